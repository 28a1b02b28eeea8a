"""Rows as groups of a few near ones, of which only the mean and the spread are kept: no row leaves with a bundle.

The distance of a row to the rows of a group follows from these two: its mean square is the square of the distance to
the mean, and the spread. So the nearest group says nearly what the nearest neighbours would. Without the spread thin
and dense groups count alike.
"""

from typing import NamedTuple

import numpy as np

from lamina import privacy

MOST, PLACES = 10_000, 64  # rows that are grouped, and numbers of each: of more numbers fewer rows
BATCH_NUMBERS = 1 << 22  # of distances at a time


class Groups(NamedTuple):
    """`means` (groups, places) float32 of at least five rows each; `spreads` (groups,), the mean square of their
    distance from it, or zeros where that plays no part.
    """

    means: np.ndarray
    spreads: np.ndarray


def sample(count: int, places: int) -> np.ndarray:
    """Which of so many rows are grouped: all, or some that are evenly spread."""
    most = int(MOST * min(1.0, (PLACES / max(places, 1)) ** 0.5))
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(int)


def labels(rows: np.ndarray, size: int = privacy.MIN_ROWS) -> np.ndarray:
    """The group of each row, (rows,): `size` rows that are near one another, the last group up to twice as many.

    Groups are taken off from the outside, each about the row that is furthest from the mean of all that are left
    (MDAV; Domingo-Ferrer and Mateo-Sanz 2002).
    """
    group, number = np.zeros(len(rows), np.int64), 0
    left, points = np.arange(len(rows)), rows.astype(np.float32)
    while len(left) >= 2 * size:
        furthest = int(_squares(points, points.mean(axis=0)).argmax())
        nearest = np.argpartition(_squares(points, points[furthest]), size - 1)[:size]
        group[left[nearest]] = number
        rest = np.ones(len(left), bool)
        rest[nearest] = False
        left, points, number = left[rest], points[rest], number + 1
    group[left] = number
    return group


def _squares(points: np.ndarray, origin: np.ndarray) -> np.ndarray:
    difference = points - origin
    return np.einsum("ij,ij->i", difference, difference)


def fit(rows: np.ndarray, group: np.ndarray) -> Groups:
    """Means and spreads of groups of rows (rows, places)."""
    count = int(group.max()) + 1
    sizes = np.bincount(group, minlength=count)
    means = np.zeros((count, rows.shape[1]))
    np.add.at(means, group, rows)
    means /= sizes[:, None]
    spreads = np.bincount(group, _squares(rows - means[group], np.zeros(rows.shape[1])), count) / sizes
    return Groups(means.astype(np.float32), spreads.astype(np.float32))


def nearest(rows: np.ndarray, groups: Groups, own: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The root mean square of the distances to the rows of the nearest group, (rows,), and its number.

    `own` (rows,): the group that a row is in and must not be compared with.
    """
    means = groups.means.astype(np.float32)
    norms = np.einsum("ij,ij->i", means, means) + groups.spreads
    number = np.zeros(len(rows), np.int64)
    size = max(1, BATCH_NUMBERS // max(len(means), 1))
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        squares = norms - 2 * (rows[part].astype(np.float32) @ means.T)
        if own is not None:
            squares[np.arange(len(squares)), own[part]] = np.inf
        number[part] = squares.argmin(axis=1)
    difference = rows.astype(np.float64) - means[number]
    return np.sqrt(np.einsum("ij,ij->i", difference, difference) + groups.spreads[number]), number
