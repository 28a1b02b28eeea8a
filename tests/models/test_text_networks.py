"""Networks that read texts: each learns from words, answers as its bundle does, whatever stands beside a text."""

import json
import random

import numpy as np
import pytest

import lamina

PLAIN = ["the", "film", "was", "a", "story", "about", "people", "and", "their", "world", "with", "music"]
NETWORKS = {
    "ngram": {"model": "ngram"},
    "cnn": {"model": {"kind": "cnn", "width": 16, "token_width": 32}},
    "lstm": {"model": {"kind": "lstm", "width": 32}, "train": {"epochs": 12}},
}


def reviews(count: int, seed: int) -> list[dict[str, str]]:
    """Texts of plain words, one of which is an opinion."""
    draw, rows = random.Random(seed), []
    for i in range(count):
        words = [draw.choice(PLAIN) for _ in range(draw.randint(3, 9))]
        words.insert(draw.randint(0, len(words)), draw.choice(("good", "great") if i % 2 else ("bad", "awful")))
        rows.append({"text": " ".join(words), "label": "pos" if i % 2 else "neg"})
    return rows


def probabilities(estimator, texts: list[str | None]) -> np.ndarray:
    answers = estimator.predict([{"text": text} for text in texts])
    return np.array([answer["probabilities"]["pos"] for answer in answers])


@pytest.fixture(scope="module", params=NETWORKS)
def estimator(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("texts") / "run"
    return lamina.fit(reviews(400, 0), "label", recipe=NETWORKS[request.param], out=out)


def test_a_network_learns_which_words_are_an_opinion(estimator):
    fresh = reviews(100, 1)
    positive = probabilities(estimator, [row["text"] for row in fresh]) > 0.5
    assert np.mean(positive == [row["label"] == "pos" for row in fresh]) > 0.95


def test_a_bundle_of_texts_is_served_without_torch(estimator):
    assert estimator.predictor.bundle.model.runtime == "onnx"


def test_a_long_text_in_the_same_request_changes_no_answer(estimator):
    texts = ["a good film", "people were bad", "great"]
    single = np.concatenate([probabilities(estimator, [text]) for text in texts])
    other = probabilities(estimator, [*texts, " ".join(PLAIN * 4)])[:3]
    assert np.abs(single - other).max() < 1e-5


def test_texts_that_say_nothing_are_answered(estimator):
    answers = probabilities(estimator, ["", None, "   ", "zzz", "\U0001f600"])
    assert np.isfinite(answers).all()


def test_texts_alone_are_read_as_n_grams_by_default(tmp_path):
    lamina.fit(reviews(120, 0), "label", recipe={"train": {"epochs": 1}}, out=tmp_path / "run")
    assert "ngram" in (tmp_path / "run" / "recipe.yaml").read_text()
    (column,) = json.loads((tmp_path / "run" / "bundle" / "preprocess.json").read_text())
    assert column["state"]["tokenizer"] == "ngram"


@pytest.mark.parametrize(
    "network", ["lstm", "transformer", *(pytest.param(one, marks=pytest.mark.slow) for one in ("fnn", "cnn"))]
)
def test_padding_of_a_tokenizer_of_others_is_no_word(network, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: i for i, word in enumerate(["<s>", "good", "<unk>", "<pad>", "bad", "great", "awful", *PLAIN])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(pad_id=3, pad_token="<pad>")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    text = {"kind": "text", "tokenizer": "pretrained", "file": str(tmp_path / "tokenizer.json")}
    recipe = {"model": network, "columns": {"text": text}, "train": {"epochs": 1}}
    estimator = lamina.fit(reviews(60, 0), "label", recipe=recipe, out=tmp_path / "run")
    texts = ["a good film", "people were bad"]
    other = probabilities(estimator, [*texts, " ".join(PLAIN * 4)])[:2]
    assert np.abs(probabilities(estimator, texts) - other).max() < 1e-5
