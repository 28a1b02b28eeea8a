"""The cycle of a series, and how much of its past a forecast looks at."""

import numpy as np

from lamina.tasks.forecasting import Step

CYCLES = ((300, 3600), (86_400, 86_400), (604_800, 604_800), (31_449_600, 31_449_600))  # of steps below: its seconds
MOST_CONTEXT = 336
ALIKE = 0.3  # correlation of steps one cycle apart, at least
LONGEST_SEASON = 1024  # of which two are looked at


def season(step: Step, values: np.ndarray) -> int:
    """The usual cycle of a step: an hour of minutes, a day of hours, a week of days, a year of weeks or months; where
    the step tells of none, the one that some values (steps,) show.
    """
    if step.unit in ("month", "business"):
        return max(1, 12 // step.count) if step.unit == "month" else 5
    if step.unit == "second" and step.count >= 60:
        whole = next((seconds for below, seconds in CYCLES if step.count < below), 0)
        if whole and whole % step.count == 0:
            return whole // step.count
    return cycle(values)


def cycle(values: np.ndarray) -> int:
    """The shortest lag after which a series, without its straight trend, comes back about as alike as it ever does; 1
    where it does not.
    """
    known = np.flatnonzero(~np.isnan(values))
    most = min(len(values) // 3, LONGEST_SEASON)
    if most < 3 or len(known) < len(values) // 2:
        return 1
    filled = np.interp(np.arange(len(values)), known, values[known])
    rest = filled - np.polyval(np.polyfit(known, values[known], 1), np.arange(len(values)))
    alike = np.fft.irfft(np.abs(np.fft.rfft(rest, 2 * len(rest))) ** 2)[: most + 1]
    if alike[0] <= 1e-12 or (alike > 0).all():
        return 1
    alike = alike / alike[0] * len(rest) / (len(rest) - np.arange(most + 1))  # of the pairs that a lag leaves
    first = max(2, int(np.argmax(alike < 0)))
    peaks = first + np.flatnonzero((alike[first:-1] > alike[first - 1 : -2]) & (alike[first:-1] >= alike[first + 1 :]))
    strong = peaks[alike[peaks] > max(ALIKE, 3 / np.sqrt(len(rest)))]
    return int(strong[alike[strong] >= 0.9 * alike[strong].max()][0]) if len(strong) else 1


def context(length: int, period: int, horizon: int) -> int:
    """Whole seasons up to 336 steps or two seasons, and no more than a third of what there is to train on, or half of
    it for two seasons.
    """
    two = 2 * period if 1 < period <= LONGEST_SEASON else 1
    most = max(min(max(MOST_CONTEXT, two), max(length // 3, min(two, length // 2)), length - horizon - 8), 1)
    return most // period * period if most >= period else most
