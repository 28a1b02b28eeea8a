"""What may leave with a bundle or a report: what many rows share, and numbers too coarse to be those of one row.

Whatever is learned of columns passes here before it is stored. The names of classes are the only exception: they are
the answers.
"""

from collections.abc import Callable
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


def rounded(value: float, spread: float) -> float:
    """A number in whole units of its spread."""
    return float(_whole(np.round, value, _power(spread)))


def upward(value: float) -> float:
    """A number with three digits, not below what it was."""
    return float(_whole(np.ceil, value, _power(abs(value))))


def coarse(numbers: np.ndarray) -> np.ndarray:
    """Numbers (rows,) finite, those that fewer than `MIN_ROWS` share in whole units of the spread, the further from the
    median the larger: three digits are left.

    What is computed of these (quantiles, extremes, edges) tells no more of a row than these do.
    """
    if np.abs(numbers).max(initial=0.0) > HUGE:
        return coarse(numbers / HUGE / HUGE) * HUGE * HUGE
    distinct, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    quarters = np.searchsorted(np.cumsum(counts), len(numbers) * np.array([0.25, 0.5, 0.75]))
    low, middle, high = distinct[quarters]
    power = _power(high - low or (distinct[-1] - distinct[0]) / 2 or abs(middle))
    powers = np.maximum(power, _powers(np.maximum(np.abs(distinct - middle), TINY)))
    return np.where(counts < MIN_ROWS, _whole(np.round, distinct, powers), distinct)[place]


def limits(numbers: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest of numbers (rows,), further apart by up to a deviation where few rows have them."""
    low, high, power = numbers.min(), numbers.max(), _power(numbers.std()) + DIGITS - 1
    if (numbers == low).sum() < MIN_ROWS:
        low = _whole(np.floor, low, power)
    if (numbers == high).sum() < MIN_ROWS:
        high = _whole(np.ceil, high, power)
    return float(low), float(high)


def masked(sentence: str, column: str) -> str:
    """A sentence without the cell that it quotes: what stands in quotes is hidden, but for the name of the column."""
    before, name, after = sentence.partition(f"'{column}'") if column else ("", "", sentence)
    return (_hidden(before) + name + _hidden(after)) if name else _hidden(sentence)


def _hidden(sentence: str) -> str:
    """From the first quote to the last, since a cell may hold some itself."""
    first, last = sentence.find("'"), sentence.rfind("'")
    return sentence[:first] + HIDDEN + sentence[last + 1 :] if 0 <= first < last else sentence


def _power(spread: float) -> int:
    """The power of ten that numbers of such a spread are rounded to: a hundredth of the spread, or a little less."""
    return int(_powers(np.array(spread))) if TINY < spread < np.inf else 0


def _powers(spreads: np.ndarray) -> np.ndarray:
    return np.floor(np.log10(spreads)).astype(int) - DIGITS + 1


def _whole(to_whole: Callable[..., Any], values: Any, powers: Any) -> Any:
    """Numbers in whole powers of ten; both factors are exact, so that 61.8 is 61.8."""
    small, large = 10.0 ** np.maximum(-np.asarray(powers), 0), 10.0 ** np.maximum(powers, 0)
    return to_whole(values * small / large) / small * large
