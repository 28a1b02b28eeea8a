"""How much of a text stands in the training text word for word: runs of 20 characters, found by their hashes."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from lamina.preprocess.text.characters import characters, normalize
from lamina.tasks.language_modelling import sequences

RUN = 20  # characters
SEARCHED = 10_000_000  # characters of training text at most
BASE = np.uint64(0x100000001B3)


def repeated(groups: Sequence[Iterable[str]], training: pa.ChunkedArray) -> list[float | None]:
    """Of each group of texts, the share of runs of 20 characters that stand in the training text; None where no text
    of a group is so long. One pass through the training text.
    """
    runs = [np.concatenate([np.zeros(0, np.uint64), *map(_hashes, map(_points, texts))]) for texts in groups]
    table = np.unique(np.concatenate(runs))
    hits, left, before = np.zeros(len(table), bool), SEARCHED, np.zeros(0, np.uint32)
    for piece in sequences.pieces(training) if len(table) else ():
        points = characters(normalize(piece)).points.astype(np.uint32)[:left]
        hashes = _hashes(np.concatenate([before, points]))
        places = np.minimum(np.searchsorted(table, hashes), len(table) - 1)
        hits[places[table[places] == hashes]] = True
        before, left = points[1 - RUN :], left - len(points)
        if left <= 0:
            break
    return [float(hits[np.searchsorted(table, own)].mean()) if len(own) else None for own in runs]


def _points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)


def _hashes(points: np.ndarray) -> np.ndarray:
    """(characters - 19,) uint64, one for each run."""
    count = len(points) - RUN + 1
    if count < 1:
        return np.zeros(0, np.uint64)
    wide, sums = points.astype(np.uint64) + np.uint64(1), np.zeros(count, np.uint64)
    for i in range(RUN):
        sums = sums * BASE + wide[i : i + count]
    return sums ^ (sums >> np.uint64(29))


def known(texts: Iterable[str], training: pa.ChunkedArray) -> list[bool]:
    """Whether each text is one of the training texts as it is."""
    own = list(texts)
    missing, there = set(own), set[str]()
    for piece in sequences.pieces(training):
        if missing - there:
            there |= missing & set(normalize(piece).to_pylist())
    return [text in there for text in own]
