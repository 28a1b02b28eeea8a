"""What people send in place of a text gets the answer that docs/text.md says, over HTTP as in Python."""

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import lamina
from lamina.models.pretrained import tiny
from service_tools import as_csv, ask

QUICK = ("lstm", "ngram")  # the others are slow tests: each trains a network
NETWORKS = {  # each with a tokenizer, so that all of these are there
    "ngram": ({"kind": "ngram"}, "ngram"),
    "fnn": ({"kind": "fnn", "width": 8, "depth": 1, "members": 1}, "hash"),
    "lstm": ({"kind": "lstm", "width": 8}, "word"),
    "cnn": ({"kind": "cnn", "width": 8}, "word"),
    "gru": ({"kind": "gru", "width": 8}, "character"),
    "rnn": ({"kind": "rnn", "width": 8}, "byte"),
    "transformer": ({"kind": "transformer", "width": 16, "depth": 1, "heads": 2}, "bpe"),
    "pretrained": ({"kind": "pretrained"}, None),
}
READ = {  # what is answered as any text is
    "emoji": "👩‍👩‍👧 good 🙂🙂",
    "right to left": "שלום עולם مرحبا بالعالم",
    "no blanks": "这部电影很好看",
    "combined": "schön",  # the two dots are a character of their own
    "control": "go\x01od\x7f\u200e\u202e",
    "one word": "x" * 99_999,
    "many words": "good bad " * 11_000,
    "marks": "!!! ... ???",
    "quotes": 'she said "good", twice',
    "lines": "good\nbad\r\n\tgood",
}
EACH = 4  # requests of a client
CLIENTS = [list(READ.values())[i % len(READ)][:300] for i in range(64)]  # what each sends beside a text of its own
MISSING = ("", "   ", "\n\t", "NA", "null", None)


def reviews(count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    sides = {"pos": ("good", "great", "fine"), "neg": ("bad", "awful", "poor")}
    names = [("pos", "neg")[i % 2] for i in range(count)]
    return [{"text": f"a {rng.choice(sides[n])} film, number {i % 7}", "label": n} for i, n in enumerate(names)]


@cache
def trained(network: str, folder: Path) -> lamina.Estimator:
    settings, tokenizer = NETWORKS[network]
    if network == "pretrained":
        settings = settings | {"name": str(tiny.encoder(folder, 50))}
    columns = {"text": {"kind": "text", "tokenizer": tokenizer} if tokenizer else "text"}
    recipe = {"columns": columns, "model": settings, "train": {"epochs": 1, "threads": 1}}
    return lamina.fit(reviews(120), "label", recipe=recipe)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(
    scope="module", params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def model(request, folder) -> lamina.Estimator:
    return trained(request.param, folder)


def post(model: lamina.Estimator, rows: list[Any]) -> httpx.Response:
    """Rows as JSON in ASCII, so that what is no character can be written too."""
    body = json.dumps({"rows": rows})
    return ask(model, "POST", "/predict", content=body, headers={"content-type": "application/json"})


def answers(response: httpx.Response) -> list[Any]:
    assert response.status_code == 200, response.text
    return response.json()["predictions"]


def same(one: Any, other: Any) -> bool:
    keys = ("pos", "neg")
    pairs = zip(one, other, strict=True)
    return all(a["probabilities"][k] == pytest.approx(b["probabilities"][k], abs=1e-6) for a, b in pairs for k in keys)


def test_odd_texts_have_one_answer_in_python_in_json_and_in_csv(model):
    rows = [{"text": text} for text in READ.values()]
    in_python = model.predict(rows)
    assert len(in_python) == len(rows)
    assert all(np.isfinite(list(row["probabilities"].values())).all() for row in in_python)
    assert same(answers(post(model, rows)), in_python)
    body = as_csv(rows).encode()
    assert same(answers(ask(model, "POST", "/predict", content=body, headers={"content-type": "text/csv"})), in_python)
    for row, answer in zip(rows, in_python, strict=True):  # and it does not hang on its neighbours
        assert same(model.predict([row]), [answer])


def test_texts_without_words_are_missing_and_have_the_answer_of_a_missing_one(model):
    rows = [{"text": text} for text in MISSING]
    in_python = model.predict(rows)
    assert same(in_python, [in_python[0]] * len(rows))
    assert same(answers(post(model, rows)), in_python)
    assert same(answers(post(model, [{}, {"text": "good"}]))[:1], in_python[:1])


def test_nul_and_half_characters_are_read_in_json_and_refused_in_csv_with_the_place(model):
    rows = [{"text": "go\x00od"}, {"text": "a\ud800b"}]
    assert same(answers(post(model, rows)), model.predict(rows))
    for text, sentence in ((b"go\x00od", "line 2: a NUL byte"), (b"a\xed\xa0\x80b", "body: is not UTF-8")):
        body = b"text\n" + text + b"\n"
        reply = ask(model, "POST", "/predict", content=body, headers={"content-type": "text/csv"})
        assert reply.status_code == 400
        assert sentence in reply.json()["error"]


def test_a_megabyte_is_answered_in_python_and_refused_over_http(model):
    for text in ("x" * 1_000_000, "good bad " * 111_111):
        assert len(model.predict([{"text": text}])) == 1
        reply = post(model, [{"text": "fine"}, {"text": text}])
        assert reply.status_code == 413
        assert re.fullmatch(
            r"rows\[1\].text: has [\d,]+ characters; at most 100,000 are taken. Shorten it.", reply.json()["error"]
        )


def test_a_number_is_read_as_its_digits_and_a_list_is_refused(model):
    assert same(answers(post(model, [{"text": 5}, {"text": True}])), model.predict([{"text": "5"}, {"text": "true"}]))
    for cell in (["good"], {"a": "good"}):
        reply = post(model, [{"text": cell}])
        assert reply.status_code == 400
        assert "rows[0].text: must not be nested" in reply.json()["error"]


def test_rows_without_any_column_are_refused_and_other_columns_are_said(model):
    for rows in ([{}], [{"texts": "good"}]):
        reply = post(model, rows)
        assert reply.status_code == 400
        assert "This model knows 'text'" in reply.json()["error"]
        with pytest.raises(lamina.DataError, match="trained on text"):
            model.predict(rows)
    reply = post(model, [{"text": "good", "stars": 5}])
    assert "'stars' is not a column of this model" in reply.json()["notes"][0]


def test_64_clients_at_once_lose_no_answer_and_get_their_own(folder):
    model = trained("lstm", folder)
    words = ["good", "great", "fine", "bad", "awful", "poor"]
    requests = [[{"text": f"a {words[i % 6]} film, number {i}"}, {"text": text}] for i, text in enumerate(CLIENTS)]
    expected = [model.predict(rows) for rows in requests]
    command = [sys.executable, "-m", "lamina", "serve", str(model.result["bundle"]), "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if name != "LAMINA_TOKEN"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        address = re.search(r"http://127.0.0.1:\d+", server.stdout.readline())[0]
        with ThreadPoolExecutor(len(requests)) as pool:
            replies = list(pool.map(lambda rows: client(address, rows), requests))
    finally:
        server.terminate()
        server.communicate(timeout=30)
    assert server.returncode == 0
    for several, answer in zip(replies, expected, strict=True):
        assert len(several) == EACH
        assert all(same(reply, answer) for reply in several)


def client(address: str, rows: list[Any]) -> list[Any]:
    """The answers to some requests one after the other; whoever is told to come later does."""
    replies, deadline = [], time.monotonic() + 60
    with httpx.Client(base_url=address, timeout=60) as connection:
        while len(replies) < EACH and time.monotonic() < deadline:
            reply = connection.post("/predict", json={"rows": rows})
            if reply.status_code == 503:
                time.sleep(float(reply.headers["retry-after"]))
                continue
            replies.append(answers(reply))
    return replies
