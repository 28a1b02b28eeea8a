"""Rows in order of time as windows, each judged as one row; then a score for each step, against those before it.

A window ends at the step that it judges, so that no score waits for what comes later. How strange windows are drifts
with what is recorded; therefore each is compared with the mean and the spread of many before it, much as Lavin and
Ahmad 2015 do for the Numenta benchmark: a level that stays is no news. NumPy only.
"""

import numpy as np
from pydantic import Field

from lamina.config import Config

SHORTEST, LONGEST = 8, 256  # steps of a window that is chosen by the data
PLAIN = 32  # steps of a window where nothing comes back
PARTS = 8  # windows side by side that training rows must have room for
PRIOR = 100.0  # steps that the mean and the spread of training count for at the beginning of a recording
FLOOR = 0.05  # of the spread of training, below which no spread falls


class Recording(Config):
    """The column of `time`, the steps of a `window`, how many windows before it (`memory`) one is compared with, and
    the `level` and `spread` of those of training, with which that begins.
    """

    time: str = Field(max_length=10_000)
    window: int = Field(ge=2, le=4096)
    memory: int = Field(default=2000, ge=2, le=1_000_000)
    level: float = Field(default=0.0, allow_inf_nan=False)
    spread: float = Field(default=1.0, gt=0, allow_inf_nan=False)


def length(period: int, steps: int) -> int:
    """The steps of a window: a period of what is recorded, of training rows so many that some windows are apart."""
    most = max(2, min(LONGEST, steps // PARTS))
    return int(np.clip(period if period > 1 else PLAIN, min(SHORTEST, most), most))


def windows(steps: np.ndarray, window: int, every: int = 1) -> np.ndarray:
    """Stretches of steps (steps, places) laid flat, (windows, window * places); none where there are too few steps."""
    if len(steps) < window:
        return np.zeros((0, window * steps.shape[1]), steps.dtype)
    view = np.lib.stride_tricks.sliding_window_view(steps, window, axis=0)[::every]  # (windows, places, window)
    return np.ascontiguousarray(view.transpose(0, 2, 1)).reshape(len(view), -1)


def contrast(surprise: np.ndarray, recording: Recording) -> np.ndarray:
    """How far each window is above those before it, in their spreads: (windows,) of any number."""
    sums, squares = (np.concatenate([[0.0], np.cumsum(v, dtype=np.float64)]) for v in (surprise, np.square(surprise)))
    now = np.arange(len(surprise))
    first = np.maximum(now - recording.memory, 0)
    level, spread = recording.level, recording.spread
    weight = PRIOR + now - first
    mean = (PRIOR * level + sums[now] - sums[first]) / weight
    square = (PRIOR * (spread**2 + level**2) + squares[now] - squares[first]) / weight
    return (surprise - mean) / np.sqrt(np.maximum(square - mean**2, (FLOOR * spread) ** 2))
