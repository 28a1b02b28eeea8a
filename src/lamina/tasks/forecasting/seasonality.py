"""The cycle of a series, and how much of its past a forecast looks at."""

import numpy as np

from lamina.tasks.forecasting.state import Frequency

CYCLES = ((300, 3600), (86_400, 86_400), (604_800, 604_800), (31_449_600, 31_449_600))  # of steps below: its seconds
MAX_CONTEXT = 336
MIN_CORRELATION = 0.3  # of steps one cycle apart
MAX_SEASON = 1024  # of which two are looked at


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


def cycle(values: np.ndarray) -> int:
    """The shortest lag after which a series, without its straight trend, comes back about as alike as it ever does; 1
    where it does not.
    """
    measured = np.flatnonzero(~np.isnan(values))
    longest = min(len(values) // 3, MAX_SEASON)
    if longest < 3 or len(measured) < len(values) // 2:
        return 1
    steps = np.arange(len(values))
    rest = np.interp(steps, measured, values[measured])
    rest = rest - np.polyval(np.polyfit(measured, values[measured], 1), steps)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(rest, 2 * len(rest))) ** 2)[: longest + 1]
    if correlation[0] <= 1e-12 or (correlation > 0).all():
        return 1
    pairs = len(rest) - np.arange(longest + 1)  # that a lag leaves
    correlation = correlation / correlation[0] * len(rest) / pairs
    first = max(2, int(np.argmax(correlation < 0)))
    middle = correlation[first:-1]
    peaks = first + np.flatnonzero((middle > correlation[first - 1 : -2]) & (middle >= correlation[first + 1 :]))
    strong = peaks[correlation[peaks] > max(MIN_CORRELATION, 3 / np.sqrt(len(rest)))]
    return int(strong[correlation[strong] >= 0.9 * correlation[strong].max()][0]) if len(strong) else 1


def context(length: int, period: int, horizon: int) -> int:
    """Whole seasons up to 336 steps or two seasons, and no more than a third of what there is to train on, or half of
    it for two seasons.
    """
    two = 2 * period if 1 < period <= MAX_SEASON else 1
    most = max(min(max(MAX_CONTEXT, two), max(length // 3, min(two, length // 2)), length - horizon - 8), 1)
    return most // period * period if most >= period else most
