"""The cycle of a series, and how much of its past a forecast looks at."""

import numpy as np

from lamina.tasks._series.seasonal_cycle import MAX_SEASON, cycle
from lamina.tasks.forecasting.state import Frequency

CYCLES = ((300, 3600), (86_400, 86_400), (604_800, 604_800), (31_449_600, 31_449_600))  # of steps below: its seconds
MAX_CONTEXT = 336


def season(frequency: Frequency, values: np.ndarray) -> int:
    """The usual cycle of a step: an hour of minutes, a day of hours, a week of days, a year of weeks or months; where
    the step tells of none, the one that some values (steps,) show.
    """
    if frequency.unit in ("month", "business"):
        return max(1, 12 // frequency.count) if frequency.unit == "month" else 5
    if frequency.unit == "second" and frequency.count >= 60:
        whole = next((seconds for below, seconds in CYCLES if frequency.count < below), 0)
        if whole and whole % frequency.count == 0:
            return whole // frequency.count
    return cycle(values)


def context(length: int, period: int, horizon: int) -> int:
    """Whole seasons up to 336 steps or two seasons, and no more than a third of what there is to train on, or half of
    it for two seasons.
    """
    two = 2 * period if 1 < period <= MAX_SEASON else 1
    most = max(min(max(MAX_CONTEXT, two), max(length // 3, min(two, length // 2)), length - horizon - 8), 1)
    return most // period * period if most >= period else most
