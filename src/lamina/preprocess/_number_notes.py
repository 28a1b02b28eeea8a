"""What is said of a column of numbers in text: what was left out to read it, and which cells say that there is none."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import as_override
from lamina.preprocess import _number_text as text
from lamina.preprocess._number_text import Decimal

MISSING_WORDS = (
    *("-", "--", "---", ".", "..", "...", "?", "??", "*", "/", "na", "n.a", "n.a.", "n/a", "#n/a", "n/d", "nd", "n.d."),
    *("nan", "-nan", "nil", "none", "null", "unknown", "unk", "missing", "not available", "not applicable", "no data"),
    *("not measured", "not known", "tbd", "tba", "blank", "empty", "#div/0!", "#value!", "#ref!", "#num!", "#name?"),
    *("inf", "-inf", "+inf", "infinity", "-infinity", "∞", "-∞", "k.a.", "s.d.", "n.c.", "–", "—", "−"),
)
SAMPLED = 10_000
MOSTLY = 0.7
FEW = 4  # words or units that a note names
_WORDS = pa.array(MISSING_WORDS, pa.string())


def says_missing(cells: pa.Array) -> pa.Array:
    """Which texts say that there is no number, such as `-` or `n.a.`."""
    return pc.is_in(pc.utf8_lower(cells), value_set=_WORDS)


def describe(column: pa.Array, values: pa.Array, decimal: Decimal, units: Mapping[str, float]) -> str:
    """What was done to read `values` out of the texts of a column, with counts of cells; of a long column, a sample
    says what to count.
    """
    style = text.writing(text.sample(column, SAMPLED), decimal)
    read = column.filter(values.is_valid())
    pieces = ["decimal commas"] if decimal == "," else []
    if style.groups and (groups := pc.match_substring_regex(read, text.THOUSANDS[decimal]).true_count):
        pieces.append(f"thousands marks left out ({groups:,} cells)")
    pieces += _units(Counter({name: _ending(read, name) for name in style.units if name in (*units, "%")}), units, read)
    if style.money:
        mixed = ", not converted" if len(style.money) > 1 else ""
        pieces.append(f"{_counts({name: _holding(read, name) for name in style.money})} left out{mixed}")
    if style.minus:
        minus = pc.or_(pc.match_substring(read, "("), pc.ends_with(read, "-")).true_count
        pieces.append(f"brackets or a minus behind mean below zero ({minus:,} cells)")
    unread = column.filter(pc.and_(values.is_null(), column.is_valid()))
    words = unread.filter(says_missing(unread)).value_counts()
    missing = Counter(dict(zip(words.field("values").to_pylist(), words.field("counts").to_pylist(), strict=True)))
    pieces.append(describe_unread(len(unread), missing))
    return "; ".join(filter(None, pieces))


def describe_mixture(cells: pa.Array, name: str) -> str:
    """What to say of a category most of whose cells are numbers: how to read it as such."""
    if not pa.types.is_string(cells.type) or not MOSTLY <= text.share(text.sample(cells, SAMPLED)) < 1:
        return ""
    values = text.to_floats(cells, ".", text.units_of(text.writing(text.sample(cells, SAMPLED)), len(cells)))
    if pc.any(pc.match_substring_regex(cells, r"^0\d+$")).as_py():
        return ""
    how = as_override(("columns", name, "kind"), "number")
    count = len(cells) - values.null_count
    return f"{count:,} of {len(cells):,} cells are numbers; to read them as such, and the others as missing: {how}"


def _ending(cells: pa.Array, word: str) -> int:
    """How many cells end in a word, behind a number or a blank."""
    return pc.match_substring_regex(cells, rf"[\d.,{text.BLANKS}]{re.escape(word)}\)?$").true_count


def _holding(cells: pa.Array, word: str) -> int:
    return pc.match_substring(cells, word).true_count


def describe_unread(count: int, missing: Mapping[str, int]) -> str:
    """How many cells are no numbers, and which of them say that there is none."""
    pieces = [f"{_counts(missing)} read as missing"] if missing else []
    if rest := count - sum(missing.values()):
        pieces.append(f"{rest} cells are not of this kind and are read as missing")
    return "; ".join(pieces)


def _units(unit_counts: Counter[str], units: Mapping[str, float], cells: pa.Array) -> Iterable[str]:
    """What stands behind numbers, and what was done with it."""
    if unit_counts:
        worth = [f"{name} is {units[name]:,.15g}" for name in unit_counts if units.get(name, 1) != 1]
        what = f"read with their worth (units: {listed(worth)})" if worth else "left out"
        rest = len(cells) - unit_counts.total()
        yield f"{_counts(unit_counts)} {what}{f', {rest:,} cells have none' if rest > 0 else ''}"


def _counts(words: Mapping[str, int]) -> str:
    """Words with how many cells have them, the most frequent first."""
    ordered = sorted(words.items(), key=lambda pair: (-pair[1], pair[0]))
    rest = f" and {len(ordered) - FEW} more" if len(ordered) > FEW else ""
    return ", ".join(f"'{word}' ({count:,} cells)" for word, count in ordered[:FEW]) + rest


def listed(names: Iterable[str]) -> str:
    """Some names of many."""
    names = list(names)
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")
