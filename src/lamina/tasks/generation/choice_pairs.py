"""Which choices of two columns go together in all training rows, such as a city and its country.

A choice says another one (a functional dependency) where all rows of each value agree, by more than chance. Two choices
never come together where fewer than five rows have both, though thirty or more should by how often each of them is.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from lamina import privacy
from lamina.tasks.generation.state import ColumnModes, Combination

CHANCE = np.log(1e-6)  # that columns which have nothing to do with each other agree so
SHOULD = 30.0  # rows with both choices, if these had nothing to do with each other
COVERED = 0.8  # of the rows must have values that five rows have
MOST_COLUMNS = 60
TINY = 1e-300


def states(modes: ColumnModes) -> np.ndarray:
    """Which state each choice of a column is, (choices,): a text, a frequent number, missing; all other numbers are
    one.
    """
    if modes.parts or modes.templates or not modes.numeric:
        return np.arange(modes.choices)
    return np.concatenate([np.zeros(len(modes.centres)), np.arange(modes.choices - len(modes.centres)) + 1]).astype(int)


def learn(codes: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> tuple[Combination, ...]:
    """What goes together, of columns of states (rows,), -1 for a rare value, of which there are `sizes`."""
    names = [name for name, size in sizes.items() if size > 1][:MOST_COLUMNS]
    combinations = list[Combination]()
    for first, second in itertools.combinations(names, 2):
        allowed = _allowed(codes[first], codes[second], sizes[first], sizes[second])
        if allowed is not None and not allowed.all():
            rows = tuple(() if row.all() or not row.any() else tuple(np.flatnonzero(row).tolist()) for row in allowed)
            combinations.append(Combination(first=first, second=second, allowed=rows))
    return tuple(combinations)


def _allowed(first: np.ndarray, second: np.ndarray, rows: int, columns: int) -> np.ndarray | None:
    """(rows, columns) bool: which pairs may be; None where nothing can be said."""
    both = (first >= 0) & (second >= 0)
    if both.sum() < COVERED * len(first):
        return None
    place = first[both] * columns + second[both]
    counts = np.bincount(place, minlength=rows * columns).reshape(rows, columns)
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / max(counts.sum(), 1)
    allowed = ~((expected >= SHOULD) & (counts < privacy.MIN_ROWS))
    if _says(counts):
        allowed &= (counts > 0) | (counts.sum(1, keepdims=True) < privacy.MIN_ROWS)
    if _says(counts.T):
        allowed &= (counts > 0) | (counts.sum(0) < privacy.MIN_ROWS)
    return allowed


def _says(counts: np.ndarray) -> bool:
    """Whether each row of a table of counts has one column alone, though chance would not have it so."""
    often = counts.sum(1) >= privacy.MIN_ROWS
    if ((counts > 0).sum(1)[often] != 1).any() or often.sum() < 2 or len(np.unique(counts[often].argmax(1))) < 2:
        return False
    shares = counts.sum(0) / counts.sum()
    shares = shares[shares > 0]
    sizes, times = np.unique(counts.sum(1)[often], return_counts=True)
    chance = sum(
        n * np.log(max(float(np.sum(shares ** float(size))), TINY)) for size, n in zip(sizes, times, strict=True)
    )
    return bool(chance < CHANCE)


def matrix(combination: Combination, size: int) -> np.ndarray:
    """(states of the first, `size`) bool: which states of the second go with each of the first."""
    allowed = np.ones((len(combination.allowed), size), bool)
    for row, some in zip(allowed, combination.allowed, strict=True):
        if some:
            row[:] = False
            row[[i for i in some if i < size]] = True
    return allowed


def broken(combination: Combination, first: np.ndarray, second: np.ndarray, size: int) -> np.ndarray:
    """(rows,) which rows of states, -1 for others, have what does not go together."""
    both, allowed = (first >= 0) & (second >= 0), matrix(combination, size)
    return both & ~allowed[np.where(both, first, 0), np.where(both, second, 0)]


def pairs(some: Sequence[Combination]) -> list[str]:
    """The names of the columns that go together."""
    return [f"'{one.first}' and '{one.second}'" for one in some]
