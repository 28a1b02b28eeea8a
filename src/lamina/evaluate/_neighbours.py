"""Series as plain rows of numbers, and which of them are near one another."""

from collections.abc import Sequence

import numpy as np

PIECES = 256  # means of a channel that a series is shrunk to


def pieces(series: np.ndarray) -> np.ndarray:
    """Series (rows, steps, channels) as the means of at most 256 pieces of each channel; zero behind their ends."""
    rows, steps = series.shape[:2]
    starts = np.unique(np.linspace(0, steps, min(steps, PIECES), endpoint=False).astype(int))
    sums = np.add.reduceat(np.nan_to_num(series), starts, axis=1)
    return (sums / np.diff([*starts, steps])[:, None]).reshape(rows, -1)


def side_by_side(series: Sequence[np.ndarray]) -> np.ndarray:
    """All steps of all series side by side, zero behind their ends."""
    return np.concatenate([np.nan_to_num(one).reshape(len(one), -1) for one in series], axis=1)


def nearest(rows: np.ndarray, known: np.ndarray, itself: bool = True) -> np.ndarray:
    """Which of `known` each row is nearest to; not the one at its own place where `itself` is false."""
    squares, found = np.square(known, dtype=np.float64).sum(axis=1), []
    for start in range(0, len(rows), 1024):
        part = rows[start : start + 1024]
        apart = squares - 2 * (part @ known.T).astype(np.float64)
        if not itself:
            apart[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        found.append(apart.argmin(axis=1))
    return np.concatenate(found) if found else np.zeros(0, np.int64)
