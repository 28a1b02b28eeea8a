"""What may leave with a bundle or a report: what many rows share, and numbers too coarse to be those of one row.

Whatever is learned of columns passes here before it is stored. The names of classes are the only exception: they are
the answers.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa

MIN_ROWS = 5  # rows that must share a word or a value; of a column, `min_count` is another number
DIGITS = 3  # of a number that fewer rows share, from the median
TINY = 1e-290  # below, units would be 0
HUGE = 1e150  # above, their differences may be beyond all numbers
HIDDEN = "'…'"


def shared(values: pa.Array, rows: int = MIN_ROWS) -> list[Any]:
    """The different values that at least so many rows have, the most frequent first."""
    counts = values.drop_null().value_counts()
    often = np.flatnonzero(counts.field("counts").to_numpy() >= rows)
    return [c["values"] for c in sorted(counts.take(often).to_pylist(), key=lambda c: -c["counts"])]


def unit(spread: float) -> float:
    """The power of ten that a number of such a spread is rounded to: a hundredth of the spread, or a little less."""
    return 10.0 ** np.floor(np.log10(max(spread, TINY) / 100)) if 0 < spread < np.inf else 1.0


def rounded(value: float, spread: float) -> float:
    """A number in whole units of its spread."""
    return _tidy(np.round(value / unit(spread)) * unit(spread))


def upward(value: float) -> float:
    """A number with three digits, not below what it was."""
    size = unit(abs(value))
    return _tidy(np.ceil(value / size) * size)


def coarse(numbers: np.ndarray) -> np.ndarray:
    """Numbers (rows,) finite, those that fewer than `MIN_ROWS` share in whole units of the spread, and with three
    digits at most, counted from the median.

    What is computed of these (quantiles, extremes, edges) tells no more of a row than these do.
    """
    if np.abs(numbers).max(initial=0.0) > HUGE:
        return coarse(numbers / HUGE / HUGE) * HUGE * HUGE
    distinct, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    low, middle, high = np.quantile(numbers, [0.25, 0.5, 0.75])
    step = unit(high - low or (distinct[-1] / 2 - distinct[0] / 2) or abs(middle))
    centre = np.round(middle / step) * step
    away = distinct - centre
    digits = 10.0 ** (np.floor(np.log10(np.maximum(np.abs(away), step))) - DIGITS + 1)
    steps = np.maximum(step, digits)
    few = centre + np.round(away / steps) * steps
    return np.where(counts < MIN_ROWS, few, distinct)[place]


def limits(numbers: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest of numbers (rows,), further apart by up to a deviation where few rows have them."""
    low, high = numbers.min(), numbers.max()
    step = 100 * unit(numbers.std())
    if (numbers == low).sum() < MIN_ROWS:
        low = np.floor(low / step) * step
    if (numbers == high).sum() < MIN_ROWS:
        high = np.ceil(high / step) * step
    return _tidy(low), _tidy(high)


def masked(sentence: str, names: Collection[str]) -> str:
    """A sentence without the cells that it quotes: what stands in quotes is hidden, but for names of columns."""
    parts = {f"'{name}'": f"\0{i}\0" for i, name in enumerate(names)}
    for quoted, part in parts.items():
        sentence = sentence.replace(quoted, part)
    first, last = sentence.find("'"), sentence.rfind("'")
    if 0 <= first < last:
        sentence = sentence[:first] + HIDDEN + sentence[last + 1 :]
    for quoted, part in parts.items():
        sentence = sentence.replace(part, quoted)
    return sentence


def _tidy(number: Any) -> float:
    """48.3 and not 48.300000000000004."""
    return float(f"{number:.15g}")
