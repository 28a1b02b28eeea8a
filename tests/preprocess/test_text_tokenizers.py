"""Texts become the same ids in training, in a predictor and over HTTP, whatever their script, length or oddity."""

import asyncio
import json
import random
import sys
import time
import unicodedata
from pathlib import Path
from typing import Any, get_args

import httpx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import lamina
from lamina import preprocess
from lamina.config import DataError, LaminaError, RecipeError
from lamina.deploy.server import app
from lamina.preprocess import text
from lamina.preprocess.text import subwords, tokenizers
from lamina.preprocess.text.characters import words
from lamina.schema import Column, Schema, clean
from service_tools import ask

NAMES = get_args(tokenizers.Name)
EXACT = ("character", "byte", "bpe")
ODD = [
    "Don't stop! “Hé” 中文字符 สวัสดี 👨‍👩‍👧 x̂y 3.5 a_b 'quoted' it’s",
    "שלום עולם, مرحبا بالعالم",
    "cafe\u0301 and caf\u00e9",
    "a\x00b\u200b\ufeffc\u2028d\r\ne\tf",
    "\u0301 begins with a mark",
    "\U0010ffff\ue000\ufffd",
    "<pad> <unk> [PAD] [CLS] <|endoftext|>",
    "'" * 40,
    "x" * 3000,
    "word " * 700,
    " ",
    "NA",
]
REMARKS = ("the line drops every evening", "asked twice for a refund", "kind and quick service", "never a problem")
ODD_TEXTS = st.lists(st.one_of(st.text(max_size=60), st.sampled_from(ODD)), min_size=20, max_size=20)
LOOSE = {"deadline": None, "suppress_health_check": list(HealthCheck)}
SEARCH = {**LOOSE, "phases": [Phase.explicit, Phase.generate]}  # a failing list of texts says enough


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> str:
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer.json", ["[PAD]", "[UNK]", "[CLS]", "[SEP]"])


def save_tokenizer(path: Path, special: list[str]) -> str:
    """A tokenizer of words as Hugging Face writes it, whose limits of length are not ours."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(REMARKS, trainer)
    pairs = [(word, special.index(word)) for word in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*pairs)
    tokenizer.enable_padding(pad_id=special.index("[PAD]"), length=40)
    tokenizer.enable_truncation(5)
    tokenizer.save(str(path))
    return str(path)


def remarks(count: int = 240) -> list[str]:
    draw = random.Random(0)
    return [f"{draw.choice(REMARKS)}, {draw.choice(REMARKS)} {i}" for i in range(count)]


def column(name: str, file: str) -> dict[str, Any]:
    return {"tokenizer": name, "length": 48} | ({"file": file} if name == "pretrained" else {})


def cells_of(texts: list[str | None]) -> pa.Table:
    return pa.table({name: pa.array(texts, pa.string()) for name in NAMES})


@pytest.fixture(scope="module")
def trained(file) -> preprocess.Preprocessor:
    """What training learns of a column for each tokenizer."""
    columns = tuple(Column(name=name, kind="text", settings=column(name, file)) for name in NAMES)
    return preprocess.fit(cells_of(remarks()), Schema(columns=columns))


@pytest.fixture(scope="module")
def opened(trained) -> preprocess.Preprocessor:
    """The same out of the JSON of a bundle."""
    return preprocess.restore(trained.schema, json.loads(json.dumps(trained.dump())))


@pytest.fixture(scope="module")
def run(file, tmp_path_factory) -> lamina.Estimator:
    """One bundle with a column for each tokenizer."""
    rows = [dict.fromkeys(NAMES, cell) | {"label": "yes" if "refund" in cell else "no"} for cell in remarks(100)]
    recipe = {
        "model": {"kind": "fnn", "width": 8, "depth": 1, "members": 1},
        "train": {"epochs": 1},
        "columns": {name: {"kind": "text"} | column(name, file) for name in NAMES},
    }
    return lamina.fit(rows, "label", recipe=recipe, out=tmp_path_factory.mktemp("runs") / "texts")


def fit(name: str, texts: list[str | None], **more: Any) -> tokenizers.TokenizerState:
    return text.fit(pa.array(texts, pa.string()), text.Config(tokenizer=name, **more))


def ids(state: tokenizers.TokenizerState, cell: str | None) -> list[int]:
    return tokenizers.encode(pa.array([cell], pa.string()), state).ids.tolist()


def check_ids(trained: preprocess.Preprocessor, opened: preprocess.Preprocessor, cells: list[str | None]) -> None:
    """The ids of training are those of an opened bundle, all texts together as each by itself."""
    together = trained.encode(clean(cells_of(cells), trained.schema.missing))
    again = opened.encode(clean(cells_of(cells), trained.schema.missing))
    for name, values in together.items():
        assert np.array_equal(values, again[name]), name
        assert values.min() >= 0
        assert values.max() < opened.inputs[name].sizes[0]
    for i, cell in enumerate(cells):
        for name, values in opened.encode(clean(cells_of([cell]), trained.schema.missing)).items():
            row, padding = together[name][i], opened.inputs[name].padding
            width = max(row.size, values.shape[1])
            assert np.array_equal(*(np.append(one, [padding] * (width - one.size)) for one in (row, values[0]))), name


def check_answers(run: lamina.Estimator, cells: list[str | None]) -> None:
    """A server answers as Python does, and that does not hang on the neighbours of a text."""
    rows = [dict.fromkeys(NAMES, cell) for cell in cells]
    reply = ask(run, "POST", "/predict", json={"rows": rows})
    assert reply.status_code == 200, reply.text
    for row, mine, theirs in zip(rows, run.predict(rows), reply.json()["predictions"], strict=True):
        (single,) = run.predict([row])
        for one in (theirs, single):
            assert one["probabilities"] == pytest.approx(mine["probabilities"], abs=1e-6)


def test_odd_texts_have_the_same_ids_and_answers_in_training_in_a_bundle_and_over_http(trained, opened, run):
    assert run.predictor.bundle.model.runtime == "onnx"
    cells = [*ODD, None, "", *remarks(3)]
    check_ids(trained, opened, cells)
    check_answers(run, cells)


@settings(max_examples=5, **SEARCH)
@given(ODD_TEXTS)
def test_a_hundred_made_up_texts_have_the_same_ids_and_answers(trained, opened, run, cells):
    check_ids(trained, opened, cells)
    check_answers(run, cells)


@pytest.mark.slow
@settings(max_examples=50, **SEARCH)
@given(ODD_TEXTS)
def test_a_thousand_made_up_texts_have_the_same_ids_and_answers(trained, opened, run, cells):
    check_ids(trained, opened, cells)
    check_answers(run, cells)


@settings(max_examples=30, **LOOSE)
@given(st.text(max_size=200))
def test_characters_bytes_and_byte_pairs_give_back_the_text(cell):
    cell = unicodedata.normalize("NFC", cell)
    for name in EXACT:
        state = fit(name, [cell] * 5)
        assert tokenizers.decode(ids(state, cell), state) == cell
        assert "".join(tokenizers.decode_pieces(iter(ids(state, cell)), state)) == cell


@settings(max_examples=100, **LOOSE)
@given(st.text(max_size=200))
def test_words_have_all_of_a_text_but_its_blanks(cell):
    tokens, offsets = words(pa.array(["before", cell, "after"]))
    inner = tokens.to_pylist()[offsets[1] : offsets[2]]
    blank = {c for c in cell if unicodedata.category(c)[0] in "ZC" and unicodedata.category(c) not in ("Cn", "Co")}
    assert "".join(inner) == "".join(c for c in cell if c not in blank or c in "\u200c\u200d")
    assert tokens.to_pylist()[0] == "before"


@pytest.mark.parametrize(
    ("cell", "pieces"),
    [
        ("Don't stop!", ["don't", "stop", "!"]),
        ("'quoted' it's", ["'", "quoted", "'", "it's"]),
        ("我喜欢猫", ["我", "喜", "欢", "猫"]),
        ("ภาษา", ["ภ", "า", "ษ", "า"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("שלום, עולם", ["שלום", ",", "עולם"]),
        ("cafe\u0301 au lait", ["café", "au", "lait"]),
        ("good🙂🙂", ["good", "🙂", "🙂"]),
        ("a_b 3.5%", ["a_b", "3", ".", "5", "%"]),
    ],
)
def test_words_of_any_script(cell, pieces):
    assert words(tokenizers.normalize(pa.array([cell]), lower=True))[0].to_pylist() == pieces


def test_a_word_and_a_character_of_fewer_than_five_texts_are_unknown_and_are_not_stored():
    texts = [f"the same {'Zbigniew' if i < 4 else 'other'}" for i in range(20)]
    for name in ("word", "character", "bpe"):
        state = fit(name, texts)
        assert "zbig" not in state.model_dump_json().lower(), name
    assert 1 in ids(fit("word", texts), "Zbigniew")
    assert 1 in ids(fit("character", texts), "Z")
    assert tokenizers.decode(ids(fit("bpe", texts), "Zbigniew"), fit("bpe", texts)) == "Zbigniew"


def test_a_part_of_words_is_shared_by_as_many_texts_as_a_word_with_it():
    texts = [" ".join(f"kowalczyk{j}" for j in range(8)), *["plain words of all"] * 20]
    assert "kow" not in fit("bpe", texts).model_dump_json()


def test_a_corpus_keeps_all_of_its_characters():
    corpus = pa.array(["To be, or not to be: ĉ\n", "ĝ 是\n"])
    state = tokenizers.fit(corpus, tokenizers.Config(tokenizer="character"), min_rows=1)
    assert set(state.vocabulary) == set("To be, or not to be: ĉ\nĝ 是\n")
    ragged = tokenizers.encode(corpus, state)
    assert tokenizers.decode(ragged.ids.tolist(), state) == "".join(corpus.to_pylist())
    assert state.size == len(state.vocabulary) + 2


def test_byte_pairs_are_the_same_whenever_they_are_learned():
    assert fit("bpe", remarks()) == fit("bpe", remarks())


def test_a_long_text_keeps_a_quarter_from_its_start_and_the_rest_from_its_end():
    long = " ".join(f"w{i}" for i in range(100))
    state = fit("word", [long] * 5, length=16)
    (row,) = text.encode(pa.array([long]), state)
    assert tokenizers.decode(row.tolist(), state).split() == [f"w{i}" for i in [*range(4), *range(88, 100)]]


def test_a_width_is_the_longest_text_in_steps_of_sixteen_and_at_most_the_length():
    state = fit("byte", ["x" * 100] * 5, length=40)
    widths = [text.encode(pa.array([cell]), state).shape[1] for cell in ("", "x" * 16, "x" * 17, "x" * 1000)]
    assert widths == [16, 16, 32, 40]
    assert text.encode(pa.array([], pa.string()), state).shape == (0, 16)


def test_a_length_that_is_not_set_leaves_nearly_all_training_texts_whole():
    texts = ["one two three"] * 99 + ["word " * 300]
    assert fit("word", texts).length == 16
    assert fit("word", ["word " * 5000] * 10).length == 512


def test_a_pretrained_tokenizer_keeps_its_ids_and_the_length_is_ours(tmp_path):
    file = save_tokenizer(tmp_path / "tokenizer.json", ["[CLS]", "[PAD]", "[SEP]", "[UNK]"])
    state = fit("pretrained", REMARKS, file=file, length=8)
    assert text.feed(state).padding == state.padding == 1
    rows = text.encode(pa.array(["kind", None, " ".join(REMARKS)]), state)
    assert rows.shape == (3, 8)
    assert rows[1].tolist() == [0, 2, *[1] * 6]
    assert rows[0, 0] == rows[2, 0] == 0
    assert rows[2, -1] == 2
    assert tokenizers.decode(rows[0].tolist(), state) == "kind"


def test_what_is_no_tokenizer_is_a_sentence(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    for place, sentence in (
        (str(tmp_path), "is no tokenizer of Hugging Face"),
        (str(tmp_path / "other.json"), "there is no file"),
        ("nobody/no-such-model", "hf download nobody/no-such-model"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            fit("pretrained", REMARKS, file=place)


def save_expression(path: Path, expression: str) -> str:
    """A tokenizer of two words whose texts are cut where an expression of its own matches."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "good": 1, "bad": 2}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(expression), "isolated")
    tokenizer.save(str(path))
    return str(path)


def ask_in_turn(model: lamina.Estimator, *requests: list[dict[str, Any]]) -> list[httpx.Response]:
    """The replies of one server to requests for predictions, one after the other."""

    async def replies() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app(model.predictor))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            return [await client.post("/predict", json={"rows": rows}) for rows in requests]

    return asyncio.run(replies())


def test_an_expression_without_end_costs_the_request_it_is_asked_in_and_no_other(tmp_path):
    file = save_expression(tmp_path / "tokenizer.json", r"(a+)+$|\s")
    recipe = {
        "model": {"kind": "fnn", "width": 8, "depth": 1, "members": 1},
        "train": {"epochs": 1},
        "columns": {"text": {"kind": "text", "tokenizer": "pretrained", "file": file}},
    }
    rows = [{"text": f"{('good', 'bad')[i % 2]} {i}", "label": i % 2} for i in range(60)]
    model = lamina.fit(rows, "label", recipe=recipe, out=tmp_path / "run")
    endless = [{"text": "a" * 40 + "!"}]
    with pytest.raises(DataError, match=r"tokenizer: a text cannot be cut into tokens .* regular expressions"):
        model.predict(endless)
    refusal, answer = ask_in_turn(model, endless, [{"text": "good"}])
    assert (refusal.status_code, answer.status_code) == (400, 200)
    assert "regular expressions of tokenizer.json" in refusal.json()["error"]


def test_an_expression_that_takes_long_is_not_waited_for(tmp_path, monkeypatch):
    state = fit("pretrained", REMARKS, file=save_expression(tmp_path / "tokenizer.json", r"\s*\s*\s*[xy]z"))
    monkeypatch.setattr(subwords, "PATIENCE", 0.05)
    assert ids(state, "good")
    with pytest.raises(DataError, match="more than 0 seconds"):
        ids(state, " " * 220 + "xyzz"[::-1] * 2)


def test_classical_methods_read_the_same_words_whatever_a_token_is():
    draw, scores = random.Random(2), []
    rows = [{"text": f"{draw.choice(REMARKS)} {i}", "label": i % 2} for i in range(80)]
    for name in ("word", "byte"):
        recipe = {
            "model": {"kind": "gru", "width": 4},
            "train": {"epochs": 1},
            "columns": {"text": {"kind": "text", "tokenizer": name}},
        }
        scores.append(lamina.fit(rows, "label", recipe=recipe).result["baselines"]["logistic"])
    assert scores[0] == scores[1]


def test_without_the_library_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(LaminaError, match=r"pip install 'lamina\[text\]'"):
        fit("bpe", remarks())


def test_ids_of_hashes_are_no_text():
    state = fit("ngram", remarks())
    with pytest.raises(LaminaError, match="Use word, character, byte or bpe"):
        tokenizers.decode([1, 2], state)


def test_ngrams_are_each_there_once_words_first():
    state = fit("ngram", remarks(), buckets=1 << 18)
    once, twice = ids(state, "good film"), ids(state, "good film good film")
    assert len(set(twice)) == len(twice)
    assert twice[:2] == once[:2]
    assert set(once) < set(twice)


@pytest.mark.slow
def test_a_hundred_thousand_texts_are_encoded_in_seconds():
    texts = pa.array(remarks(100_000))
    for name in ("hash", "word", "character", "byte"):
        state = fit(name, remarks())
        began = time.monotonic()
        text.encode(texts, state)
        assert time.monotonic() - began < 20, name
