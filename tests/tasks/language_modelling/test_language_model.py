"""Language models by every door: texts are learned, scored and gone on with in Python, on the terminal, over HTTP."""

import contextlib
import http.client
import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import plugins
from lamina.config import DataError
from lamina.deploy.server import Limits
from lamina.tasks.language_modelling import sampling
from service_tools import ask, command, path

TEXT = "the cat sat on the mat.\nשלום 🙂 עולם é\n"
NAMES = [
    f"{a}{b}{c}" for a in ("ma", "jo", "li", "be") for b in ("ri", "na", "lo") for c in ("a", "n", "ssa", "th", "x")
]
PLAIN: dict[str, Any] = {"task": "language-modelling", "seed": 1}


def learned(texts: list[str], folder: Path, **choices: Any) -> lamina.Estimator:
    return lamina.fit({"text": texts}, recipe=PLAIN | choices, out=folder)


@pytest.fixture(scope="module")
def chant(tmp_path_factory) -> lamina.Estimator:
    """One text of the same two lines again and again, by heart."""
    return learned(
        [TEXT] * 60,
        tmp_path_factory.mktemp("chant") / "run",
        model={"kind": "gru", "width": 48},
        train={"epochs": 20, "threads": 1, "batch_size": 4},
        task={"kind": "language_modelling", "context": 32, "documents": "none"},
    )


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> lamina.Estimator:
    """Short texts, each by itself, learned by attention."""
    return learned(
        NAMES * 8,  # so that each is in training
        tmp_path_factory.mktemp("names") / "run",
        model={"kind": "transformer", "width": 32, "depth": 1},
        train={"epochs": 24, "threads": 1, "batch_size": 16},
    )


# learning


def test_a_small_text_is_learned_by_heart(chant):
    scores = chant.result["scores"]
    assert scores["nats_per_token"] < 0.1
    assert scores["next_token_accuracy"] > 0.97
    assert scores["perplexity"] == pytest.approx(math.exp(scores["nats_per_token"]))
    assert chant.generate(prompt="the cat", length=17, temperature=0) == TEXT[7:24]


def test_bits_of_a_byte_are_those_of_the_text_and_not_of_tokens(chant):
    """Characters of two to four bytes count as what they are."""
    per_token = len(TEXT.encode()) / len(TEXT)
    scores = chant.result["scores"]
    assert scores["bits_per_byte"] == pytest.approx(scores["nats_per_token"] / math.log(2) / per_token, rel=0.05)


def test_every_run_is_beside_models_of_counts(chant, names):
    for model in (chant, names):
        baselines = model.result["baselines"]
        assert list(baselines) == ["kneser_ney", "bigram", "unigram"]
        assert baselines["kneser_ney"]["nats_per_token"] < baselines["unigram"]["nats_per_token"]


def test_the_step_graph_says_what_the_whole_graph_says(chant, names):
    """The loss of a text, token by token with the state going in and out, is the loss of all of it at once."""
    for model in (chant, names):
        state = model.predictor.task.state
        ids = np.random.default_rng(0).choice(np.flatnonzero(~sampling.forbidden(state)), state.context + 1)
        whole = model.predictor.run({"tokens": ids[None].astype(np.int64)})["nll"][0]
        cursor, nats = sampling.Cursor(model.predictor), []
        for token, after in itertools.pairwise(ids):
            logits = cursor.feed(np.array([token]))[0].astype(np.float64)
            nats.append(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[after])
        assert np.allclose(nats, whole, atol=1e-3)


# texts that are written


def test_the_same_seed_writes_the_same_text_however_many_there_are(names):
    one = names.generate(count=1, seed=3)
    assert names.generate(count=1, seed=3) == one
    several = names.generate(count=9, seed=3)
    assert several[0] == one and len(several) == 9 and len(set(several)) > 3
    assert names.generate(count=9, seed=4) != several


def test_a_document_ends_by_itself_and_a_text_at_its_length(chant, names):
    texts = names.generate(count=20, temperature=0.5)
    assert all(0 < len(text) < 30 and "\n" not in text for text in texts), texts
    assert len(chant.generate(length=50)) == 50


def test_stop_text_stops_and_is_left_out(chant):
    text = chant.generate(prompt="the", length=60, temperature=0)
    assert "mat." in text
    assert chant.generate(prompt="the", length=60, temperature=0, stop="mat.") == text[: text.index("mat.")]
    pieces = list(chant.stream_text(prompt="the", length=60, temperature=0, stop="mat."))
    assert "".join(pieces) == text[: text.index("mat.")]


def test_less_temperature_and_fewer_choices_mean_likelier_text(names):
    likely = [names.generate(count=20, **{name: value}) for name, value in (("temperature", 0.1), ("top_k", 1))]
    free = names.generate(count=20, temperature=2.0)
    assert all(len(set(texts)) < len(set(free)) for texts in likely)
    assert len(set(names.generate(count=20, top_p=0.01))) == 1


def test_right_to_left_letters_and_emoji_come_back_whole(chant):
    assert chant.generate(prompt="mat.\n", length=14, temperature=0) == TEXT[24:]
    assert "".join(chant.stream_text(prompt="mat.\n", length=14, temperature=0)) == TEXT[24:]


def test_bytes_and_parts_of_words_come_back_as_text_too(tmp_path):
    for tokenizer in ("byte", "bpe"):
        model = learned(
            [TEXT] * 40,
            tmp_path / tokenizer,
            model={"kind": "gru", "width": 48},
            train={"epochs": 8, "threads": 1, "batch_size": 4},
            task={"kind": "language_modelling", "tokenizer": tokenizer, "context": 16, "documents": "none"},
        )
        text = "".join(model.stream_text(prompt="the cat sat on the mat.\n", length=30, temperature=0))
        assert text and "\ufffd" not in text.rstrip("\ufffd")
        assert model.result["scores"]["nats_per_token"] < model.result["baselines"]["unigram"]["nats_per_token"]


# doors


def test_text_is_printed_as_it_comes_and_numbered_texts_are_lines(chant, names):
    code, out, _ = command("generate", path(chant), "--prompt", "the cat", "--length", 17, "--temperature", 0)
    assert (code, out) == (0, TEXT[7:24] + "\n")
    code, out, _ = command("generate", path(names), "--count", 4, "--seed", 3)
    assert (code, out.splitlines()) == (0, names.generate(count=4, seed=3))
    reply = json.loads(command("generate", path(names), "--count", 2, "--json")[1])
    assert [row["number"] for row in reply["pieces"]] == [1, 2]


def test_texts_are_written_to_a_file_as_they_are_or_as_a_table(names, tmp_path):
    texts = names.generate(count=3)
    assert command("generate", path(names), "-n", 3, "-o", tmp_path / "new.txt")[0] == 0
    assert (tmp_path / "new.txt").read_text() == "".join(f"{text}\n" for text in texts)
    assert command("generate", path(names), "-n", 3, "-o", tmp_path / "new.jsonl")[0] == 0
    assert [json.loads(line)["text"] for line in (tmp_path / "new.jsonl").read_text().splitlines()] == texts
    code, _, err = command("generate", path(names), "-n", 3, "-o", tmp_path / "new.txt")
    assert code == 1 and "new.txt" in err


def test_text_is_streamed_as_server_sent_events_in_order(chant):
    reply = ask(chant, "POST", "/generate", json={"prompt": "the cat", "length": 17, "temperature": 0})
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")]
    assert "".join(row["text"] for event in events for row in event["pieces"]) == TEXT[7:24]


SERVE = """
import sys
from lamina.deploy.server import Limits, serve
serve(sys.argv[1], port=0, limits=Limits(waiting=1, tokens=1 << 20))
"""


@contextlib.contextmanager
def generate_over_http(port: int, length: int) -> Iterator[http.client.HTTPResponse]:
    """The answer as it begins; whoever goes on before it has ended has left."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        body = json.dumps({"prompt": "the", "length": length, "temperature": 0})
        connection.request("POST", "/generate", body, {"Content-Type": "application/json"})
        with connection.getresponse() as answer:
            yield answer


def status(port: int) -> int:
    """Of a request for a short text, which is read to its end."""
    with generate_over_http(port, 5) as answer:
        assert answer.read()
        return answer.status


def test_a_client_that_leaves_in_the_middle_of_a_text_makes_room_for_the_next(chant):
    """Of a server that lets one in at a time, and of a text that would take minutes."""
    words = [sys.executable, "-c", SERVE, path(chant)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().partition("http://127.0.0.1:")[2].partition(" ")[0])
            with generate_over_http(port, 1 << 20) as endless:
                assert endless.readline().startswith(b"data: ")
                assert status(port) == 503
            until = time.monotonic() + 10
            while status(port) == 503 and time.monotonic() < until:
                time.sleep(0.02)
            assert status(port) == 200
        finally:
            server.kill()


def test_a_stranger_may_ask_for_so_many_tokens(chant):
    limits = Limits(tokens=100)
    reply = ask(chant, "POST", "/generate", limits, json={"length": 20, "count": 6})
    assert reply.status_code == 413 and "at most 100 tokens" in reply.text
    assert ask(chant, "POST", "/generate", limits, json={"length": 20, "prompt": "the " * 500}).status_code == 200


def test_unknown_characters_of_a_prompt_are_left_out_with_a_note(chant):
    code, out, err = command("generate", path(chant), "--prompt", "the ЖcZat", "--length", 17, "--temperature", 0)
    assert (code, out) == (0, TEXT[7:24] + "\n")
    assert "2 characters are left out" in err and "Ж" in err
    reply = ask(chant, "POST", "/generate", json={"prompt": "the ЖcZat", "length": 5})
    assert "2 characters are left out" in reply.text


def test_texts_are_scored_alike_by_every_door(chant):
    rows = [{"text": "the cat sat on the mat."}, {"text": "zzz zzz"}, {"text": ""}, {"text": None}, {"text": "NA"}]
    scores = chant.perplexity(rows)
    assert scores[0]["nats_per_token"] < 0.5 < scores[1]["nats_per_token"]
    assert scores[2] == scores[3] == {"nats_per_token": None, "bits_per_byte": None, "perplexity": None, "tokens": 0}
    assert scores[4]["tokens"] == 2
    reply = ask(chant, "POST", "/perplexity", json={"rows": rows}).json()["predictions"]
    for mine, theirs in zip(scores, reply, strict=True):
        assert mine["tokens"] == theirs["tokens"]
        if mine["tokens"]:
            assert theirs["nats_per_token"] == pytest.approx(mine["nats_per_token"], rel=1e-4)
        else:
            assert theirs["nats_per_token"] is None


def test_another_text_is_evaluated_by_the_same_scores(chant):
    scores = chant.evaluate({"text": [TEXT] * 10})
    assert scores["nats_per_token"] < 0.2
    assert chant.evaluate({"text": ["completely other words " * 20]})["nats_per_token"] > 1


def test_a_server_says_what_it_takes(names):
    facts = ask(names, "GET", "/schema").json()
    assert facts["task"] == "language_modelling"
    assert ask(names, "GET", "/").status_code == ask(names, "GET", "/docs").status_code == 200
    assert set(ask(names, "GET", "/openapi.json").json()["paths"]) >= {"/generate", "/perplexity"}


# what is no text to learn from


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["", None], "holds no text"),
        (["short"], "too few to learn from"),
        ([1.5, 2.5], "no column holds texts"),
    ],
)
def test_what_cannot_be_learned_from_is_a_sentence(texts, sentence, tmp_path):
    with pytest.raises(DataError, match=sentence):
        learned(texts, tmp_path / "run")


def test_files_that_hold_no_text_are_a_sentence(tmp_path):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)) * 40)
    for name in ("empty.txt", "binary.txt"):
        code, _, err = command("train", tmp_path / name, "--task", "language-modelling", "--out", tmp_path / "run")
        assert code == 1 and name in err and "Traceback" not in err


# the report


def test_the_report_shows_samples_and_says_how_much_they_quote(chant, names):
    one, many = (json.loads((Path(model.result["run"]) / "report.json").read_text()) for model in (chant, names))
    shares = one["language"]["repeated"]["by_temperature"]
    assert [row["temperature"] for row in shares] == [0.5, 0.8, 1.0]
    assert shares[0]["share"] > 0.9  # a text by heart is all quoted
    assert len(one["loss_by_position"]) == 32
    assert many["language"]["new"]["written"] == 50
    known = set(NAMES)
    assert not known & {text for sample in many["language"]["samples"] for text in sample["texts"]}
    assert one["language"]["speed"]["per_second"] > 0
    page = (Path(one["bundle"]).parent / "report.html").read_text()
    for word in ("What it writes", "Loss by position", "lamina generate"):
        assert word in page


def test_documents_of_few_are_not_in_the_bundle(names):
    """A text that one row holds is nobody else's to read."""
    state = names.predictor.task.state
    assert state.documents and set(state.tokenizer.vocabulary) <= set("".join(NAMES))
    task = plugins.plugin("tasks", "language-modelling")
    assert task.Task.operations[0].name == "generate"
