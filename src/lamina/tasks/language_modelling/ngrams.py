"""Models of counts, which a network has to beat: how often tokens followed one another in the training text.

Kneser and Ney 1995, interpolated and with the three discounts of Chen and Goodman 1999.
"""

from typing import NamedTuple

import numpy as np

from lamina.evaluate import baselines
from lamina.preprocess.text.ragged import Ragged
from lamina.tasks.language_modelling.corpus import Ids

baselines.register("unigram", "token counts", "the counts of tokens", constant=True)
baselines.register("bigram", "bigram counts", "the counts of bigrams")
baselines.register("kneser_ney", "n-grams (Kneser-Ney)", "the n-gram model")

MOST = 4_000_000  # tokens that are counted
ORDERS = {"character": 6, "byte": 6}  # tokens of an n-gram, the last included
ORDER, BITS = 3, 62  # of other tokens, and of a number that stands for an n-gram


class Stream(NamedTuple):
    """Ids one behind the other, and how many of the same text are before each (`age`); those of age 0 begin a text."""

    ids: np.ndarray
    age: np.ndarray

    @property
    def places(self) -> np.ndarray:
        """Where tokens stand that are to be told."""
        return np.flatnonzero(self.age > 0)

    def back(self, places: np.ndarray, steps: int) -> np.ndarray:
        """The ids so many steps before, the first of a text again where there are none."""
        return self.ids[places - np.minimum(self.age[places], steps)].astype(np.int64)


def of_corpus(part: Ids) -> Stream:
    """The texts of a part, the last ones where there are more than 4,000,000 tokens."""
    ids, offsets = part
    first = int(np.searchsorted(offsets, max(0, len(ids) - 1 - MOST)))
    if first >= len(offsets) - 1:  # one long text
        ids = np.asarray(ids[-MOST - 1 :])
        return Stream(ids, np.arange(len(ids)))
    offsets = offsets[first:]
    starts = np.repeat(offsets[:-1], np.diff(offsets))
    age = np.concatenate([[0], np.arange(offsets[0] + 1, offsets[-1] + 1) - starts])
    return Stream(np.asarray(ids[offsets[0] :]), age)


def of_texts(texts: Ragged) -> Stream:
    """Texts one behind the other, each from the id before its first token on."""
    return Stream(texts.ids, np.arange(len(texts.ids)) - np.repeat(texts.offsets[:-1], texts.lengths))


class Level(NamedTuple):
    """n-grams of one length: sorted numbers that stand for them, discounted counts; sorted contexts, their counts, and
    the share that shorter ones get.
    """

    grams: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray
    rest: np.ndarray


class KneserNey(NamedTuple):
    """Levels of 1 to n tokens. `size`: of the vocabulary."""

    levels: tuple[Level, ...]
    size: int

    def nll(self, text: Stream) -> np.ndarray:
        """Negative log likelihood in nats of each token that is to be told."""
        places = text.places
        chance = np.full(len(places), 1 / self.size)
        for order, level in enumerate(self.levels, 1):
            grams = _codes(text, places, order, self.size)
            contexts = grams // self.size
            context, match = _find(level.contexts, contexts)
            gram, there = _find(level.grams, grams)
            count = np.where(there, level.counts[gram], 0.0)
            chance = np.where(match, count / level.totals[context] + level.rest[context] * chance, chance)
        return -np.log(chance)


def kneser_ney(text: Stream, size: int, order: int) -> KneserNey:
    """Count n-grams of `order` tokens, of fewer where they would not fit into a number."""
    while order > 1 and order * np.log2(size) > BITS:
        order -= 1
    grams, counts = np.unique(_codes(text, text.places, order, size), return_counts=True)
    levels = [_level(grams, counts, size)]
    for shorter in range(order - 1, 0, -1):  # of a shorter one it counts how many different tokens come before it
        grams, counts = np.unique(grams % size**shorter, return_counts=True)
        levels.append(_level(grams, counts, size))
    return KneserNey(tuple(reversed(levels)), size)


def _level(grams: np.ndarray, counts: np.ndarray, size: int) -> Level:
    contexts, firsts = np.unique(grams // size, return_index=True)
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    totals = np.add.reduceat(counts, firsts).astype(np.float64)
    rest = np.add.reduceat(discounts, firsts) / totals
    return Level(grams, counts - discounts, contexts, totals, rest)


def _discounts(counts: np.ndarray) -> np.ndarray:
    """(4,) what is taken from counts of 0, 1, 2, and 3 or more."""
    one, two, three, four = (float((counts == n).sum()) for n in (1, 2, 3, 4))
    if not one or not two:
        return np.array([0, 0.5, 0.5, 0.5])
    share = one / (one + 2 * two)
    later = [2 - 3 * share * three / two, 3 - 4 * share * four / three if three else 1.0]
    return np.clip([0, 1 - 2 * share * two / one, *later], 0, [0, 0.99, 1.99, 2.99])


def _codes(text: Stream, places: np.ndarray, order: int, size: int) -> np.ndarray:
    """(places,) a number for each n-gram that ends there, its last token the least digit."""
    codes = np.zeros(len(places), np.int64)
    for steps in range(order - 1, -1, -1):
        codes = codes * size + text.back(places, steps)
    return codes


def _find(table: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where values stand in a sorted table, and whether they do."""
    places = np.minimum(np.searchsorted(table, values), len(table) - 1)
    return places, table[places] == values


def unigram(train: Stream, text: Stream, size: int) -> np.ndarray:
    """Nats of each token of `text` by how often it came in `train`, each once more (Laplace)."""
    counts = np.bincount(train.ids[train.places], minlength=size)
    kinds = np.count_nonzero(counts)
    return np.log(counts.sum() + kinds) - np.log(counts[text.ids[text.places]] + 1.0)


def bigram(train: Stream, text: Stream, size: int) -> np.ndarray:
    """The same by how often it followed the token before it."""
    grams, counts = np.unique(_codes(train, train.places, 2, size), return_counts=True)
    totals = np.bincount(train.back(train.places, 1), minlength=size)
    kinds = len(np.unique(train.ids[train.places]))
    codes = _codes(text, text.places, 2, size)
    place, there = _find(grams, codes)
    return np.log(totals[codes // size] + kinds) - np.log(np.where(there, counts[place], 0) + 1.0)
