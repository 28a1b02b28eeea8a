"""Test texts that are, exactly or nearly, training texts: for them a score measures memory and not skill.

Texts are compared in lower case, with one blank for all that stands between words, by the sets of their runs of five
characters. A sketch of each set (one permutation hashing; Li, Owen and Zhang 2012, filled by rotation; Shrivastava and
Li 2014) picks candidates, and the sets themselves decide (Broder 1997).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lamina.evaluate.texts.words import WORD

RUN = 5  # characters
ALIKE = 0.7  # least share of the runs of two texts that both have, for one to be nearly the other
BINS, BANDS = 64, 16  # numbers of a sketch; candidates agree in all four of one band at least
EACH = 8  # training texts of one band that a text is compared with
CLOSEST = 3  # candidates, by their sketches, whose sets are compared
MOST_CHARACTERS, LEAST, MOST = 20_000_000, 200, 5_000  # of all texts and, from the beginning, of each
MOST_TEXTS, MOST_TRAINING = 50_000, 200_000  # compared for what is nearly the same, evenly spaced of more
_CHUNK = 4_000_000  # characters hashed at a time
_EMPTY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_ODD, _MIX, _SHIFT = np.uint64(0x9E37_79B9_7F4A_7C15), np.uint64(0xBF58_476D_1CE4_E5B9), np.uint64(29)


class Pair(NamedTuple):
    """A text (row of its part) and the training text that it repeats."""

    row: int
    training_row: int
    exact: bool


class Duplicates(NamedTuple):
    """`pairs` in the order of the rows; all were looked for exactly, `compared` (texts, training texts) also nearly."""

    pairs: tuple[Pair, ...]
    rows: int
    compared: tuple[int, int]


def find(texts: Sequence[str | None], training: Sequence[str | None]) -> Duplicates:
    """For each text the training text it repeats, if there is one; missing and blank texts repeat nothing.

    80,000 training texts of 200 characters take ten seconds. Of long texts the beginning is compared.
    """
    places: dict[str, int] = {}
    for place, text in enumerate(training):
        if text and not text.isspace():
            places.setdefault(text, place)
    pairs = {row: Pair(row, places[text], True) for row, text in enumerate(texts) if text in places}
    rows = _spread([row for row, text in enumerate(texts) if text and row not in pairs], MOST_TEXTS)
    others = _spread(range(len(training)), MOST_TRAINING)
    most = int(np.clip(MOST_CHARACTERS // max(1, len(rows) + len(others)), LEAST, MOST))
    ours, theirs = ([_plain(part[row], most) for row in each] for part, each in ((texts, rows), (training, others)))
    pairs |= {rows[i]: Pair(rows[i], others[place], False) for i, place in _near(ours, theirs)}
    return Duplicates(tuple(pairs[row] for row in sorted(pairs)), len(texts), (len(rows), len(others)))


def _spread(rows: Sequence[int], most: int) -> list[int]:
    """As many rows at most, evenly spaced."""
    if len(rows) <= most:
        return list(rows)
    return [rows[i] for i in np.linspace(0, len(rows) - 1, most).astype(int).tolist()]


def _plain(text: str | None, most: int) -> str:
    """Words in lower case with a blank between them."""
    return " ".join(WORD.findall((text or "")[:most].lower()))


def _near(ours: list[str], theirs: list[str]) -> list[tuple[int, int]]:
    """Texts and the training text whose runs are most like theirs, where they are enough so."""
    mine, training = _sketches(ours), _sketches(theirs)
    pairs = list[tuple[int, int]]()
    candidates = _candidates(mine, training)
    starts = np.searchsorted(candidates[:, 0], np.arange(len(ours) + 1))
    for i in np.unique(candidates[:, 0]).tolist():
        places = candidates[starts[i] : starts[i + 1], 1]
        agree = (mine[i] == training[places]).mean(axis=1)
        best = places[np.argsort(-agree, kind="stable")[:CLOSEST]].tolist()
        shares = [_alike(ours[i], theirs[place]) for place in best]
        if max(shares) >= ALIKE:
            pairs.append((i, best[shares.index(max(shares))]))
    return pairs


def _alike(one: str, other: str) -> float:
    """The share of the runs of both texts together that both have."""
    a, b = ({text[i : i + RUN] for i in range(max(1, len(text) - RUN + 1))} for text in (one, other))
    return len(a & b) / len(a | b)


def _candidates(mine: np.ndarray, training: np.ndarray) -> np.ndarray:
    """(pairs, 2) rows of both that agree in a band, in order of the first, each pair once."""
    pairs = [np.zeros((0, 2), np.int64)]
    for band in range(BANDS if len(mine) and len(training) else 0):
        ours, theirs = (_key(sketch[:, band::BANDS]) for sketch in (mine, training))
        order = np.argsort(theirs, kind="stable")
        first, last = (np.searchsorted(theirs[order], ours, side) for side in ("left", "right"))
        counts = np.minimum(last - first, EACH)
        counts[(mine[:, band] == _EMPTY)] = 0
        row = np.repeat(np.arange(len(mine)), counts)
        step = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        pairs.append(np.stack([row, order[first[row] + step]], axis=1))
    return np.unique(np.concatenate(pairs), axis=0)


def _key(band: np.ndarray) -> np.ndarray:
    """(rows,) a hash of the numbers of a band (rows, numbers)."""
    key = np.zeros(len(band), np.uint64)
    for column in band.T:
        key = (key ^ column) * _ODD
        key ^= key >> _SHIFT
    return key


def _sketches(texts: list[str]) -> np.ndarray:
    """(rows, BINS) uint64: of each bin of the hashes of a text's runs the least; empty of texts without any."""
    sketches = np.full((len(texts), BINS), _EMPTY)
    lengths = np.array([len(text) for text in texts], np.int64)
    chunks = np.cumsum(lengths) // _CHUNK
    for chunk in np.unique(chunks).tolist():
        rows = np.flatnonzero(chunks == chunk)
        codes = np.frombuffer("".join(texts[row] for row in rows.tolist()).encode("utf-32-le"), np.uint32)
        of = np.repeat(rows, lengths[rows])
        hashes, of = _runs(codes.astype(np.uint64), of)
        flat = of * BINS + (hashes % np.uint64(BINS)).astype(np.int64)
        np.minimum.at(sketches.reshape(-1), flat, hashes)
    filled = sketches.copy()
    for step in range(1, BINS):  # an empty bin borrows from the next one that is not
        empty = filled == _EMPTY
        if not empty.any():
            break
        filled[empty] = np.roll(sketches, -step, axis=1)[empty]
    return filled


def _runs(codes: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A hash of each run of characters inside one text, and the text it is of."""
    if len(codes) < RUN:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    count = len(codes) - RUN + 1
    hashes = np.zeros(count, np.uint64)
    for i in range(RUN):
        hashes = (hashes ^ codes[i : i + count]) * _ODD
    hashes ^= hashes >> _SHIFT
    hashes *= _MIX
    hashes ^= hashes >> _SHIFT
    inside = of[:count] == of[RUN - 1 :]
    return hashes[inside], of[:count][inside]
