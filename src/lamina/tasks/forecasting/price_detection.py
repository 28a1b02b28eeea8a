"""Does a column move as prices do: positive, by small shares of itself, without cycle, memory or pull to a level?"""

import re
from typing import NamedTuple

import numpy as np

LONGEST_LAG, NEAR = 400, 24  # a year of days, a day of hours
NOTABLE = 0.1  # a correlation this small is let pass in any case
STILL = 0.7  # share of steps without a change, at most
FLAT = 1e-9

_WORD = re.compile(r"(?:^|[^a-z])(?:open|close|prices?|bid|ask|quote|vwap|nav)(?:[^a-z]|$)", re.IGNORECASE)


class _Evidence(NamedTuple):
    """What is asked of a series: `fewest` values; `largest` deviation of a step's log-return; no correlation beyond
    `certain` deviations, `bouncing` at lag 1, `together` for the sum of the first 24 squared; a `pull` not below.
    """

    fewest: int
    largest: float
    certain: float
    bouncing: float
    together: float
    pull: float


WITH_NAME = _Evidence(fewest=150, largest=0.3, certain=4.5, bouncing=0.4, together=70, pull=-3.5)
WITHOUT_NAME = _Evidence(fewest=250, largest=0.15, certain=3.8, bouncing=0.3, together=42, pull=-3.3)


def are_prices(series: list[np.ndarray], names: tuple[str, ...]) -> bool:
    """Whether every target, (steps, targets) per series with NaN for gaps, looks like a price.

    Each value must be positive, and four of five series that are long enough must move as prices do; those hold most
    of the values. A name such as `close` or `price` only lowers how much evidence is asked for.
    """
    if not series or any(np.nanmin(values, initial=np.inf) <= 0 for values in series):
        return False
    evidence = [WITH_NAME if _WORD.search(name) else WITHOUT_NAME for name in names]
    return all(_is_price([values[:, i] for values in series], needs) for i, needs in enumerate(evidence))


def _is_price(series: list[np.ndarray], needs: _Evidence) -> bool:
    finite = [values[np.isfinite(values)] for values in series]
    long = [values for values in finite if len(values) >= needs.fewest]
    if sum(map(len, long)) <= sum(map(len, finite)) / 2:
        return False
    return float(np.mean([_is_random_walk(values, needs) for values in long])) >= 0.8


def _is_random_walk(values: np.ndarray, needs: _Evidence) -> bool:
    """Whether one series is a random walk in logarithms, as far as its changes can tell."""
    logs = np.log(values)
    changes = np.diff(logs)
    deviation = float(changes.std())
    if not FLAT < deviation <= needs.largest or (changes == 0).mean() > STILL:
        return False
    return not _has_memory(changes, needs) and _dickey_fuller(logs) > needs.pull


def _has_memory(changes: np.ndarray, needs: _Evidence) -> bool:
    """Whether changes are correlated at some lag, beyond chance and beyond what trading itself brings about.

    Bid and ask let neighbouring changes differ in sign, averaging makes them alike, so lag 1 is given more room. The
    deviation of each correlation is the one under changing volatility (Lo and MacKinlay 1988).
    """
    lags = min(LONGEST_LAG, len(changes) // 3)
    centred = changes - changes.mean()
    total = float((centred**2).sum())
    correlations = _autocovariance(centred, lags) / total
    deviation = np.sqrt(np.maximum(_autocovariance(centred**2, lags), 0)) / total
    room = np.maximum(needs.certain * deviation, NOTABLE)
    room[0] = max(room[0], needs.bouncing)
    chi_squared = float(((correlations[1:NEAR] / np.maximum(deviation[1:NEAR], FLAT)) ** 2).sum())
    small = bool((np.abs(correlations[1:NEAR]) < NOTABLE / 2).all())
    return bool((np.abs(correlations) > room).any()) or (chi_squared > needs.together and not small)


def _autocovariance(values: np.ndarray, lags: int) -> np.ndarray:
    """Sums of products with what comes 1, 2 ... `lags` later, by Fourier transform."""
    size = 1 << (2 * len(values) - 1).bit_length()
    power = np.abs(np.fft.rfft(values, size)) ** 2
    return np.fft.irfft(power, size)[1 : lags + 1]


def _dickey_fuller(logs: np.ndarray) -> float:
    """How strongly changes go back to a level: the t statistic of Dickey and Fuller (1979), with two changes before."""
    scaled = (logs - logs.mean()) / max(float(logs.std()), FLAT)
    change = np.diff(scaled)
    response = change[2:]
    design = np.stack([scaled[2:-1], np.ones(len(response)), change[1:-1], change[:-2]], axis=1)
    inverse = np.linalg.pinv(design.T @ design)
    weight = inverse @ (design.T @ response)
    error = float(((response - design @ weight) ** 2).sum()) / max(len(response) - 4, 1)
    return float(weight[0] / np.sqrt(max(error * inverse[0, 0], 1e-30)))
