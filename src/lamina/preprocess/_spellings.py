"""Spellings of one value: `Yes`, `yes `, `YES` and `yes.` are one, in training as ever after.

Values that differ in capitals alone are one where each is written as people write words (yes, Yes, YES), and has more
than one letter: `mW` and `MW`, `a` and `A` are different things.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from lamina import privacy
from lamina.config import as_override

CLOSING = " .;,"
MOST = 5_000  # different values that are compared
SAMPLED = 10_000  # rows that tell whether there are more

Key = tuple[tuple[str, str], ...]


def fold(text: str) -> str:
    """What all spellings of a value have in common."""
    return _bare(text).casefold()


def _bare(text: str) -> str:
    """Without odd blanks, closing punctuation, and accents apart from their letters."""
    return " ".join(unicodedata.normalize("NFC", text).split()).rstrip(CLOSING) or text


def of(column: pa.Array) -> dict[str, str]:
    """For values of several spellings that some rows share: what these have in common, and the most frequent one."""
    if len(pc.unique(column.slice(0, SAMPLED))) > MOST:
        return {}
    counts = column.drop_null().value_counts()
    if len(counts) > MOST:
        return {}
    groups: dict[str, dict[str, int]] = {}
    for one in counts.to_pylist():
        groups.setdefault(fold(one["values"]), {})[one["values"]] = one["counts"]
    several = {key: group for key, group in groups.items() if len(group) > 1 and _are_one(group)}
    often = {key: group for key, group in several.items() if sum(group.values()) >= privacy.MIN_ROWS}

    def usual(group: dict[str, int], text: str) -> tuple[int, bool, bool, str]:
        return group[text], text == _bare(text), text[:1].isupper(), text

    return {key: max(group, key=lambda text: usual(group, text)) for key, group in often.items()}


def _are_one(texts: Iterable[str]) -> bool:
    """Whether texts that are alike but for capitals and the like are spellings of one value."""
    bare = {_bare(text) for text in texts}
    return len(bare) == 1 or all(len(text) > 1 and _is_usual(text) for text in bare)


def _is_usual(text: str) -> bool:
    """All letters small, all large, or large ones where words begin."""
    return text in (text.lower(), text.upper(), text.capitalize(), text.title())


def apply(texts: pa.Array, spellings: Mapping[str, str]) -> pa.Array:
    """Texts with each known value in its one spelling; others as they stand."""
    coded, names = texts.dictionary_encode(), _folded(tuple(spellings.items()))
    values = [names.get(fold(text), text) for text in coded.dictionary.to_pylist()]
    return pa.array(values, pa.string()).take(coded.indices)


@lru_cache(maxsize=256)
def _folded(spellings: Key) -> dict[str, str]:
    return {fold(text): value for text, value in spellings}


def sentence(column: str, kind: str, spellings: Mapping[str, str]) -> str:
    """What was taken for one value, and how to keep spellings apart."""
    values = list(dict.fromkeys(spellings.values()))
    words = ", ".join(f"'{value}'" for value in values[:5]) + (" ..." if len(values) > 5 else "")
    several = f"{words} {'is' if len(values) == 1 else 'are'} spelled in several ways, each read as one value"
    return f"{several}; keep them apart with {as_override(('columns', column), f'{{kind: {kind}, spellings: {{}}}}')}"
