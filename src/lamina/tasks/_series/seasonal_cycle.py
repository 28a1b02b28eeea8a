"""After how many steps a series comes back."""

import numpy as np

MIN_CORRELATION = 0.3  # of steps one cycle apart
MAX_SEASON = 1024  # of which two are looked at


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
