"""Rows in order of time as windows, each evaluated as one row; then a score for each step, against those before it.

A window ends at the step that it evaluates, so that no score waits for what comes later. How anomalous windows are
drifts with what is recorded; therefore each is compared with the mean and the spread of many before it, much as Lavin
and Ahmad 2015 do for the Numenta benchmark: a level that stays is no news. NumPy only.
"""

import numpy as np
from pydantic import Field

from lamina.config import Config
from lamina.tasks.anomaly_detection import tail_probability
from lamina.tasks.anomaly_detection.tail_probability import TailProbability

SHORTEST, LONGEST = 8, 256  # steps of a window that is chosen by the data
PLAIN = 32  # steps of a window where nothing comes back
PARTS = 8  # windows side by side that training rows must have room for
PRIOR = 100.0  # steps that the mean and the spread of training count for at the beginning of a recording
FLOOR, LEAST = 0.05, 1e-3  # of the spread of training, below which no spread falls; and the least there is


class Course(Config):
    """What a number of each window usually is, with which its past begins: `level` and `spread` of those of training;
    what its contrast to the past means.
    """

    level: float = Field(default=0.0, allow_inf_nan=False)
    spread: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    tail: TailProbability | None = None


class Recording(Config):
    """The column of `time`, the steps of a `window`, how many windows before it (`memory`) one is compared with, and
    the course of how anomalous windows are and of how far their last step is from its forecast.
    """

    time: str = Field(max_length=10_000)
    window: int = Field(ge=2, le=4096)
    memory: int = Field(default=2000, ge=2, le=1_000_000)
    whole: Course = Course()
    last: Course = Course()


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


def contrast(values: np.ndarray, course: Course, memory: int) -> np.ndarray:
    """How far the number of each window is above those before it, in their spreads: (windows,) of any number."""
    sums, squares = (np.concatenate([[0.0], np.cumsum(v, dtype=np.float64)]) for v in (values, np.square(values)))
    now = np.arange(len(values))
    first = np.maximum(now - memory, 0)
    level, spread = course.level, course.spread
    weight = PRIOR + now - first
    mean = (PRIOR * level + sums[now] - sums[first]) / weight
    square = (PRIOR * (spread**2 + level**2) + squares[now] - squares[first]) / weight
    return (values - mean) / np.sqrt(np.maximum(square - mean**2, (FLOOR * spread) ** 2))


def fit(values: np.ndarray, memory: int, trim: float) -> Course:
    """The course of a number by windows (windows,) that were left out. `trim`: of these, what is not usual."""
    bulk = np.sort(values)[: max(2, len(values) - int(trim * len(values)))]
    course = Course(level=float(bulk.mean()), spread=max(float(bulk.std()), LEAST))
    return course.model_copy(update={"tail": tail_probability.fit(contrast(values, course, memory), trim)})


def surprise(plan: Recording, whole: np.ndarray, last: np.ndarray) -> np.ndarray:
    """-log10 of the tail probability of the more anomalous of both numbers of windows, (windows,)."""
    both = [
        tail_probability.surprise(course.tail, contrast(values, course, plan.memory))
        for course, values in ((plan.whole, whole), (plan.last, last))
        if course.tail is not None
    ]
    return np.maximum(
        np.max(both, axis=0) - np.log10(len(both)), 0.0
    )  # of two that may be so anomalous, each half as much
