"""Which columns are never above others, in all training rows, and by more than chance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lamina import privacy
from lamina.tasks.generation.formulas import Values

FEWEST = 20  # rows in which both are there
CHANCE = np.log(1e-6)  # that independent columns are in order in so many rows
CLOSE, WIDE = 0.5, 1.05  # of the spread of a column, that of the distance from its bases
MORE = 1.1  # times as many different distances as numbers


class Ordering(NamedTuple):
    """`target` is never below the largest of `bases`, and `gap` above it at least; `relative` where the distance tells
    it better than the number does.
    """

    target: str
    bases: tuple[str, ...]
    gap: float
    relative: bool


def learn(columns: Sequence[Values]) -> tuple[Ordering, ...]:
    """The orderings of some columns, numbers among one another and times among one another."""
    below = {column.name: [other for other in columns if _is_below(other, column)] for column in columns}
    orderings = list[Ordering]()
    for column in columns:
        names = {other.name for other in below[column.name]}
        direct = [other for other in below[column.name] if not names & _above(other.name, below)]
        if direct:
            orderings.append(_ordering(column, direct))
    return tuple(orderings)


def _above(name: str, below: dict[str, list[Values]]) -> set[str]:
    """The columns that are never below one."""
    return {target for target, others in below.items() if any(other.name == name for other in others)}


def _is_below(low: Values, high: Values) -> bool:
    """Whether a column is never above another one, though it could be."""
    if low is high or low.time != high.time:
        return False
    both = ~np.isnan(low.numbers) & ~np.isnan(high.numbers)
    x, y = low.numbers[both], high.numbers[both]
    if len(x) < FEWEST or (x > y).any() or (x == y).all():
        return False
    share = np.searchsorted(np.sort(x), y, side="right").mean() / len(x)
    return len(x) * np.log(share) < CHANCE


def _ordering(column: Values, bases: Sequence[Values]) -> Ordering:
    base = np.fmax.reduce([other.numbers for other in bases])
    both = ~np.isnan(base) & ~np.isnan(column.numbers)
    distances, own = (column.numbers - base)[both], column.numbers[both]
    ratio = distances.std() / (own.std() or 1.0)
    more = len(np.unique(distances)) / len(np.unique(own))
    least = float(np.sort(privacy.coarse(distances))[min(privacy.MIN_ROWS, len(distances)) - 1])
    gap = max(0.0, min(least, float(distances[distances > 0].min(initial=least)))) if distances.min() > 0 else 0.0
    relative = bool(ratio <= CLOSE or (ratio <= WIDE and more <= MORE))
    return Ordering(column.name, tuple(other.name for other in bases), gap, relative)
