"""The words of texts, whatever tokens a network reads: where they stand, and which of them many rows share.

A word is a run of letters, digits, signs and emoji between blanks and punctuation; in scripts that set no blanks
between words, each character is one.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lamina import privacy

_BETWEEN = r"\x00-\x20!-/:-@\[-`{-\xbf\u2000-\u200b\u200e-\u206f\u3000-\u303f\ufe00-\ufe0f\uff00-\uff0f\uff1a-\uff20"
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_APOSTROPHES = "'\u2019"
WORD = re.compile(rf"[{_UNSPACED}]|[^{_BETWEEN}{_UNSPACED}]+(?:[{_APOSTROPHES}][^{_BETWEEN}{_UNSPACED}]+)*")
MOST_CHARACTERS = 50_000_000  # looked at for words that rows share; a word that is not met often enough is hidden


class Word(NamedTuple):
    """A word as it is compared (in lower case), and its place in the text."""

    word: str
    start: int
    stop: int


def split(text: str) -> list[Word]:
    """The words of a text in order."""
    return [Word(one[0].lower(), one.start(), one.end()) for one in WORD.finditer(text)]


def excerpt(words: Sequence[Word], longest: int) -> tuple[Sequence[Word], Sequence[Word]]:
    """The first and the last words of a long text, as many in all as are looked at; networks read such ends too."""
    if len(words) <= longest:
        return words, ()
    return words[: longest // 4], words[len(words) - (longest - longest // 4) :]


def without(text: str, words: Sequence[Word]) -> str:
    """A text without some of its words, and without the blank behind each."""
    pieces, end = [], 0
    for word in words:
        pieces.append(text[end : word.start])
        end = word.stop + (text[word.stop : word.stop + 1] == " ")
    return "".join([*pieces, text[end:]])


def shared(texts: Iterable[str | None]) -> frozenset[str]:
    """The words that as many rows have as it takes to show them."""
    counts, characters = Counter[str](), 0
    for text in texts:
        counts.update({word.lower() for word in WORD.findall(text or "")})
        characters += len(text or "")
        if characters > MOST_CHARACTERS:
            break
    return frozenset(word for word, rows in counts.items() if rows >= privacy.MIN_ROWS)
