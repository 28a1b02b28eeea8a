"""Models of counts: published numbers, chances that add up, texts that stay apart; windows, parts, and repetition."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lamina.tasks.language_modelling import corpus, ngrams, repetition, sequences
from lamina.tasks.language_modelling.ngrams import Stream

NAMES = Path(__file__).parents[4] / "shared" / "data" / "language_modelling" / "names" / "names.txt"
WORDS = ["abba", "abab", "bab", "aab", "baab"] * 3


def stream(texts: list[str]) -> Stream:
    """Letters as ids from 2 on, 1 before and behind each text."""
    ids = [1] + [one for text in texts for one in [*(ord(letter) - 95 for letter in text), 1]]
    offsets = np.cumsum([0, *(len(text) + 1 for text in texts)])
    return ngrams.of_corpus(corpus.Ids(np.array(ids, np.uint8), offsets))


@pytest.mark.skipif(not NAMES.exists(), reason="the names are not on this machine: ../shared/data")
def test_bigram_counts_of_all_names_give_the_published_loss():
    names = stream(NAMES.read_text().split())
    assert len(names.places) == 228_146
    assert ngrams.bigram(names, names, 29).mean() == pytest.approx(2.4546, abs=1e-4)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_chances_of_all_next_tokens_add_up_to_one(order):
    model = ngrams.kneser_ney(stream(WORDS), 5, order)
    for before in ([1], [1, 2], [1, 2, 3, 3, 2], [1, 4, 4]):
        rows = [Stream(np.array([*before, token]), np.arange(len(before) + 1)) for token in range(5)]
        assert sum(np.exp(-model.nll(row)[-1]) for row in rows) == pytest.approx(1)


def test_longer_contexts_tell_more_of_a_text_that_repeats():
    train, text = stream(["abcabdabe" * 30]), stream(["abcabdabe" * 5])
    losses = [float(ngrams.kneser_ney(train, 10, order).nll(text).mean()) for order in (1, 2, 4)]
    assert losses[0] > losses[1] > losses[2] and losses[2] < 0.2


def test_no_context_reaches_into_the_text_before():
    """The order of texts changes nothing."""
    train = stream(WORDS)
    other = stream(WORDS[::-1])
    text = stream(["abba"])
    assert np.allclose(ngrams.kneser_ney(train, 5, 4).nll(text), ngrams.kneser_ney(other, 5, 4).nll(text))
    assert np.allclose(ngrams.bigram(train, text, 5), ngrams.bigram(other, text, 5))


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 12, 13, 40, 41])
def test_each_token_is_told_once_and_from_half_a_window_at_least(length):
    """By windows of 8 tokens, over a text of some length between two others."""
    lengths = np.array([3, length, 10])
    starts, skip, stop = sequences.windows(lengths, 8)
    windows = [(s + place + 1, place) for s, k, e in zip(starts, skip, stop, strict=True) for place in range(8)
            if place >= k and s + place + 1 < e]  # fmt: skip
    firsts = np.cumsum(lengths) - lengths
    everything = [i for i in range(lengths.sum()) if i not in firsts]
    assert [token for token, _ in windows] == everything
    for token, before in windows:
        first = firsts[firsts <= token].max()
        assert before >= min(token - first - 1, 3)


def test_a_text_is_cut_at_lines_and_never_inside_a_character():
    text = "".join(f"line {i} of é🙂\n" for i in range(400))
    for rows in ([text], [text[:999], text[999:3000], text[3000:]], ["é" * 5000]):
        parts = corpus.cut(pa.chunked_array([pa.array(rows)]), (0.7, 0.2, 0.1))
        whole = ["".join(part.to_pylist()) for part in parts]
        assert "".join(whole) == "".join(rows) and all(whole)
        assert len(whole[0].encode()) == pytest.approx(0.7 * len("".join(rows).encode()), rel=0.02)


def test_runs_of_twenty_characters_that_repeat_are_counted():
    training = pa.chunked_array([pa.array(["It was the best of times, it was the worst of times", "and so on"])])
    groups = [
        ["was the best of times, it"],
        ["was the best of TIMES, it was the worst of times"],
        ["it was the age of wisdom, of foolishness"],
        ["short"],
    ]
    assert repetition.repeated(groups, training) == [1, pytest.approx(8 / 29), 0, None]
    assert repetition.known(["and so on", "and so"], training) == [True, False]
