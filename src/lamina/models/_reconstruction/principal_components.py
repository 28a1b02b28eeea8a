"""Principal component analysis of rows that are not all in memory as floats: exact where they are narrow, else by
random projections (Halko et al. 2011).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

EXACT = 1024  # numbers of a row, up to which the covariance is computed
CHUNK = 1 << 22  # numbers at a time
MOST = 1 << 27  # numbers of the rows that random projections look at
EXTRA, ROUNDS = 10, 5

Rows = Callable[[np.ndarray], np.ndarray]  # indices to (some, width) float32


class Components(NamedTuple):
    """`mean` (width,), `axes` (size, width) of unit length, the deviation along each, and the mean variance of all
    numbers.
    """

    mean: np.ndarray
    axes: np.ndarray
    deviations: np.ndarray
    variance: float


def fit(rows: Rows, count: int, width: int, size: int) -> Components:
    """The first `size` components of `count` rows; axes beyond the rank of the rows are zeros."""
    size = min(size, width)
    narrow = width <= EXACT
    most = count if narrow else max(1, min(count, MOST // width))
    places = np.linspace(0, count - 1, most).astype(np.int64)
    step = max(1, CHUNK // width)
    parts = [places[at : at + step] for at in range(0, most, step)]
    mean, squares = np.zeros(width), np.zeros(width)
    for part in parts:
        block = rows(part).astype(np.float64)
        mean += block.sum(axis=0)
        squares += np.square(block).sum(axis=0)
    mean = mean / most
    variance = float(np.maximum(squares / most - np.square(mean), 0).mean())
    deviations, axes = (_exact if narrow else _projected)(lambda part: rows(part) - mean, parts, width, size)
    deviations = np.sqrt(np.maximum(deviations, 0) / most)
    axes = axes * (deviations > 1e-6 * max(deviations[0], 1e-12))[:, None]
    return Components(mean, axes, deviations, variance)


def _exact(rows: Rows, parts: list[np.ndarray], width: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squares along the first axes, and the axes."""
    covariance = np.zeros((width, width))
    for part in parts:
        block = rows(part)
        covariance += block.T @ block
    squares, vectors = np.linalg.eigh(covariance)
    return squares[::-1][:size], vectors.T[::-1][:size]


def _projected(rows: Rows, parts: list[np.ndarray], width: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((width, min(width, size + EXTRA)))
    for _ in range(ROUNDS):
        basis, _ = np.linalg.qr(basis)
        product = np.zeros_like(basis)
        for part in parts:
            block = rows(part).astype(np.float32)
            product += block.T @ (block @ basis.astype(np.float32))
        basis = product
    vectors, squares, _ = np.linalg.svd(basis, full_matrices=False)  # of (rows' rows) times a basis: squares
    return squares[:size], vectors.T[:size]
