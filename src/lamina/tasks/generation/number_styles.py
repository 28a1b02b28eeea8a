"""How the numbers of a column are written in text: learned from training cells, and written again.

What stands beside the digits (money, units, brackets for minus) is kept where five rows share it; how many decimals
there are, which marks stand between groups of thousands and before decimals, is counted over all rows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lamina import privacy
from lamina.preprocess import _number_text as text
from lamina.tasks.generation.state import NumberStyle

FEWER = 0.05  # of the cells may have fewer decimals
PLAIN = NumberStyle()


class _Cell(NamedTuple):
    """A text taken apart: what stands around the digits, whether it is below zero, its marks and decimals."""

    around: tuple[str, str]
    negative: bool
    unit: str
    decimal: str
    thousands: str | None
    places: int


def learn(cells: pa.Array, units: Mapping[str, float], mark: str) -> tuple[NumberStyle, ...]:
    """The styles of text cells, one for each worth of a unit, the smallest first; () where any program writes so.

    `mark`: the decimal mark of the column, which decides what 1,234 is.
    """
    counts = cells.drop_null().value_counts()
    by_worth = dict[float, list[tuple[_Cell, int]]]()
    for word, count in zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True):
        if (cell := _take_apart(word, mark)) is not None:
            by_worth.setdefault(units.get(cell.unit, 1.0), []).append((cell, count))
    often = {worth: some for worth, some in by_worth.items() if sum(n for _, n in some) >= privacy.MIN_ROWS}
    styles = tuple(_style(often[worth], worth, mark) for worth in sorted(often))
    first = styles[0] if len(styles) == 1 else None
    plain = first is not None and first.model_copy(update={"digits": 0, "decimal": "."}) == PLAIN
    return () if plain and not (first and first.digits and first.decimal == ",") else styles


def _take_apart(word: str, mark: str) -> _Cell | None:
    """The pieces of a number in text; None where it is none, or has a power of ten."""
    bare = word.translate(text.MINUS)
    parts = text.SHAPE.fullmatch(bare) if len(word) <= text.LONGEST and not text.NO_CENTS.search(bare) else None
    if parts is None or parts["power"]:
        return None
    start, end = parts.span("figures")
    negative = bool(parts["open"].endswith("(")) or "-" in (parts["sign"], parts["second"], parts["behind"])
    marks = [(at, sign) for at, sign in enumerate(parts["figures"]) if not sign.isdigit()]
    decimal, places = "", 0
    if marks and _is_decimal(parts["figures"], marks, mark):
        decimal, places = marks[-1][1], len(parts["figures"]) - marks[-1][0] - 1
        marks = marks[:-1]
    whole = len(parts["figures"]) - (places + 1 if decimal else 0) - len(marks)
    thousands = marks[0][1] if marks else "" if whole > 3 else None
    return _Cell((word[:start], word[end:]), negative, parts["unit"], decimal, thousands, places)


def _is_decimal(figures: str, marks: Sequence[tuple[int, str]], mark: str) -> bool:
    """Whether the last mark is that of decimals; one alone before three digits is if it is `mark`."""
    at, last = marks[-1]
    if last not in ".," or sum(sign == last for _, sign in marks) > 1:
        return False
    return last == mark or len(marks) > 1 or len(figures) - at - 1 != 3 or at > 3 or figures[0] == "0"


def _style(some: Sequence[tuple[_Cell, int]], worth: float, mark: str) -> NumberStyle:
    around: dict[bool, Counter[tuple[str, str]]] = {False: Counter(), True: Counter()}
    marks, decimals, places = Counter[str](), Counter[str](), list[int]()
    for cell, count in some:
        around[cell.negative][cell.around] += count
        places += [cell.places] * count
        if cell.thousands is not None:
            marks[cell.thousands] += count
        if cell.decimal:
            decimals[cell.decimal] += count
    positive = _most_common(around[False]) or _unsigned(_most_common(around[True])) or ("", "")
    negative = _most_common(around[True]) or ("-" + positive[0], positive[1])
    ordered = sorted(places)
    shared = [place for place, count in Counter(places).items() if count >= privacy.MIN_ROWS]
    decimal = "," if decimals[","] + (mark == ",") > decimals["."] else "."
    thousands = marks.most_common(1)[0][0] if marks else ""
    return NumberStyle(
        positive=positive,
        negative=negative,
        decimal=decimal,
        thousands=thousands if thousands != decimal else "",
        places=min(ordered[int(FEWER * len(ordered))], 12),
        digits=min(max(shared, default=ordered[-1]), 12),
        worth=worth,
    )


def _most_common(counts: Counter[tuple[str, str]]) -> tuple[str, str] | None:
    """The most frequent one, if five rows share it."""
    ((around, count),) = counts.most_common(1) or ((None, 0),)
    return around if count >= privacy.MIN_ROWS else None


def _unsigned(around: tuple[str, str] | None) -> tuple[str, str] | None:
    """What stands around numbers above zero where only such below zero are frequent."""
    minus = "-()" + "".join(map(chr, text.MINUS))
    return around and (around[0].translate({ord(c): None for c in minus}), around[1].translate({ord(")"): None}))


def write(numbers: np.ndarray, styles: Sequence[NumberStyle]) -> list[str]:
    """Numbers (rows,) finite as text, each in the style of the largest worth that is not above it."""
    worths = np.array([style.worth for style in styles])
    place = np.clip(np.searchsorted(worths, np.abs(numbers) * (1 + 1e-12), side="right") - 1, 0, None)
    return [_write_one(number, styles[i]) for number, i in zip(numbers.tolist(), place.tolist(), strict=True)]


def _write_one(number: float, style: NumberStyle) -> str:
    figures = f"{abs(number) / style.worth:,.{max(style.digits, style.places)}f}"
    whole, _, decimals = figures.partition(".")
    decimals = decimals[: style.places] + decimals[style.places :].rstrip("0")
    whole = whole.replace(",", style.thousands)
    zero = not any(figure in "123456789" for figure in whole + decimals)
    before, behind = style.negative if number < 0 and not zero else style.positive
    return before + whole + (style.decimal + decimals if decimals else "") + behind
