"""Times to compare a row's own with: as training rows had them, as far as the state of their column says."""

from typing import Any

import numpy as np

from lamina.preprocess import _calendar, number


def background(state: Any, rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 7 to 10) float32: times on the edges of the trend, as often as training rows lay between them, with the
    place of each in the cycles of the calendar.
    """
    marks = number.background(state.trend, rng, count)[:, :1]
    seconds = number.inverse_scale(marks, state.trend).astype(np.int64)
    gaps = np.zeros((count, int(state.missing)))
    return np.concatenate([marks, _calendar.cycles(seconds, state.hours)[:, 0], gaps], axis=1, dtype=np.float32)
