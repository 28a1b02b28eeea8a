"""Texts as Unicode characters, and as words of any script, all texts of a column at once.

A word is a run of letters, digits and underscores with the marks that stand on them, and may hold an apostrophe
(`don't`). Any other character but a blank is a word of its own, and so is each letter of a script that is written
without blanks, such as Chinese, Japanese and Thai.
"""

import functools
import unicodedata
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess.text.ragged import raw, strings

BLANK, LETTER, SINGLE, MARK, APOSTROPHE, UNSEEN = range(6)
POINTS, SPACE = 0x110000, 0x20  # how many Unicode has, and a blank
JOINERS = (0x200C, 0x200D, *range(0x1F3FB, 0x1F400))  # also of emoji, and the shades of skin behind them
WITHOUT_BLANKS = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3040, 0x30FF),
    (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1B000, 0x1B16F),
    (0x20000, 0x3FFFF),
)  # fmt: skip


class Characters(NamedTuple):
    """Code points (characters,) of all texts, and where those of each text begin (texts + 1,)."""

    points: np.ndarray
    offsets: np.ndarray


def normalize(values: pa.Array, lower: bool = False) -> pa.Array:
    """Texts in Unicode's composed form (NFC): one text is one sequence of characters; a null is empty."""
    texts = pc.fill_null(values, "")
    if raw(texts)[0].max(initial=0) >= 0x80:
        texts = pc.utf8_normalize(texts, form="NFC")
    return pc.utf8_lower(texts) if lower else texts


def characters(texts: pa.Array) -> Characters:
    """The code points of texts without null."""
    data, offsets = raw(texts)
    if data.max(initial=0) < 0x80:
        return Characters(data, offsets)
    points = np.frombuffer(data.tobytes().decode().encode("utf-32-le"), np.uint32)
    before = np.concatenate([[0], np.cumsum((data & 0xC0) != 0x80)])  # characters that begin before each byte
    return Characters(points, before[offsets])


def words(texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """The words of all texts (words,), and where those of each text begin (texts + 1,) int64."""
    data = raw(texts)[0]
    points, firsts = characters(texts)
    kinds = _kinds(points)
    places = np.flatnonzero(_starts(kinds, firsts))
    widths, solid = _widths(points), kinds != BLANK
    ends = np.concatenate([[0], np.cumsum(widths * solid)])  # bytes of words before each character
    bodies = data[solid] if len(points) == len(data) else data[np.repeat(solid, widths)]
    return strings(bodies, np.append(ends[places], ends[-1])), np.searchsorted(places, firsts)


def segments(texts: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """As `words`, with all that is between: a blank belongs to the word behind it, more blanks are a segment."""
    data = raw(texts)[0]
    points, firsts = characters(texts)
    kinds = _kinds(points)
    begin = np.zeros(len(points) + 1, bool)
    begin[firsts] = True
    blank = kinds == BLANK
    starts = _starts(kinds, firsts)
    follows = np.flatnonzero(starts & ~begin[:-1])
    follows = follows[points[follows - 1] == SPACE]  # words behind a blank, which is of theirs
    starts[follows] = False
    starts[follows - 1] = True
    starts |= blank & (begin[:-1] | ~np.concatenate([[False], blank[:-1]])[: len(blank)])
    places = np.flatnonzero(starts)
    ends = np.concatenate([[0], np.cumsum(_widths(points))])
    return strings(data, np.append(ends[places], ends[-1])), np.searchsorted(places, firsts)


def _widths(points: np.ndarray) -> np.ndarray:
    """(characters,) bytes of each in UTF-8."""
    return 1 + (points > 0x7F).astype(np.int64) + (points > 0x7FF) + (points > 0xFFFF)


def _starts(kinds: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """(characters,) whether a word begins there."""
    begin = np.zeros(len(kinds) + 1, bool)
    begin[firsts] = True  # of texts
    if (kinds == APOSTROPHE).any():
        kinds = _inner_apostrophes(kinds, begin)
    if (kinds == MARK).any():  # marks are what the character before them is
        bases = np.where((kinds != MARK) | begin[:-1], np.arange(len(kinds)), 0)
        bases = np.maximum.accumulate(bases)
        kinds, marks = kinds[bases], kinds == MARK
        orphan = marks & ((kinds == BLANK) | (kinds == MARK))
        kinds = np.where(orphan, LETTER, kinds)
        inside = marks & ~orphan
    else:
        inside = np.zeros(len(kinds), bool)
    before = np.concatenate([[BLANK], kinds[:-1]])[: len(kinds)]
    before[begin[:-1]] = BLANK
    return ((kinds == LETTER) & (before != LETTER) | (kinds == SINGLE)) & ~inside


def _inner_apostrophes(kinds: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """Apostrophes between two letters of a text as letters, others as words of their own."""
    before = np.concatenate([[BLANK], kinds[:-1]])
    after = np.concatenate([kinds[1:], [BLANK]])
    inner = (before == LETTER) & (after == LETTER) & ~begin[:-1] & ~begin[1:]
    return np.where(kinds == APOSTROPHE, np.where(inner, LETTER, SINGLE), kinds)


def _kinds(points: np.ndarray) -> np.ndarray:
    """(characters,) uint8 what each is; the table of all characters is filled in as they come."""
    table = _table()
    kinds = table[points]
    unseen = kinds == UNSEEN
    if unseen.any():
        for point in np.unique(points[unseen]).tolist():
            table[point] = _kind(point)
        kinds = table[points]
    return kinds


@functools.cache
def _table() -> np.ndarray:
    return np.full(POINTS, UNSEEN, np.uint8)


def _kind(point: int) -> int:
    category = unicodedata.category(chr(point))
    if point in JOINERS or category[0] == "M":
        return MARK
    if category[0] in "ZC" and category not in ("Co", "Cn"):
        return BLANK
    if point in (0x27, 0x2019):
        return APOSTROPHE
    if category[0] not in "LN" and category != "Pc":
        return SINGLE
    return SINGLE if any(low <= point <= high for low, high in WITHOUT_BLANKS) else LETTER
