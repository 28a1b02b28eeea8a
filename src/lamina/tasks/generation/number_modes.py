"""The choices and modes of a column of numbers, and their limits, fitted on training rows."""

import warnings
from typing import Any

import numpy as np

from lamina import privacy

MODES = 10
FEW = 20  # distinct numbers that are each a choice
SPIKE, ABOVE, NEAR = 0.005, 4, 5  # share of the rows, times its neighbours, how many of those
SAMPLE = 5_000
COVERED = 0.98  # of the rows, for a grid or a step
STEPS = (1000, 500, 250, 200, 100, 50, 25, 20, 15, 10, 5, 2)  # of numbers, in units of their last digit


def fit(numbers: np.ndarray, decimals: int) -> dict[str, Any]:
    """What a column of numbers (rows,) of so many decimals may be: spikes, centres with spreads and reaches, limits."""
    exact, numbers, few = numbers, privacy.coarse(numbers), privacy.MIN_ROWS
    distinct, counts = np.unique(exact, return_counts=True)
    inside = numbers[(numbers >= exact.min()) & (numbers <= exact.max())]  # rounding may have led out
    ordered = np.sort(inside if len(inside) else numbers)
    low, high = ordered[min(few, len(ordered)) - 1], ordered[-min(few, len(ordered))]
    if low > high:
        low, high = high, low
    limits = {"low": float(low), "high": float(high)}
    frequent = distinct[counts >= few]
    if len(distinct) <= FEW:
        return limits | {"spikes": tuple((frequent if len(frequent) else np.unique(numbers)).tolist())}
    spikes = distinct[_is_spike(counts, len(numbers)) & (counts >= few)]
    rest, exact_rest = (np.clip(v[~np.isin(exact, spikes)], low, high) for v in (numbers, exact))
    if len(rest) < few:
        return limits | {"spikes": tuple(frequent.tolist())}
    centres, spreads = _mixture(rest)
    used = np.bincount(assign(rest, centres, spreads)[0], minlength=len(centres)) > 0
    covers = decimals >= 0 and len(frequent) <= 1000 and counts[counts >= few].sum() >= COVERED * len(numbers)
    return limits | {
        "spikes": tuple(spikes.tolist()),
        "centres": tuple(centres[used].tolist()),
        "spreads": tuple(spreads[used].tolist()),
        "reaches": tuple(map(privacy.upward, _reaches(exact_rest, centres[used], spreads[used]).tolist())),
        "grid": tuple(frequent.tolist()) if covers else (),
    }


def step(numbers: np.ndarray, decimals: int) -> dict[str, Any]:
    """Of which step nearly all numbers (rows,) are multiples, and from where: prices that end in .99 are one apart."""
    if decimals < 0 or len(np.unique(numbers)) <= FEW:
        return {}
    units = np.round(numbers * 10.0**decimals)
    for size in STEPS:
        rests, counts = np.unique(units % size, return_counts=True)
        if counts.max() >= COVERED * len(units) and counts.max() >= privacy.MIN_ROWS:
            return {"step": size / 10.0**decimals, "origin": float(rests[counts.argmax()]) / 10.0**decimals}
    return {}


def snap(numbers: np.ndarray, size: float, origin: float) -> np.ndarray:
    """Each number as the nearest one of so many steps from the origin."""
    return np.round((numbers - origin) / size) * size + origin


def decimals_of(numbers: np.ndarray) -> int:
    """How many decimals numbers (rows,) have, at most 6; -1 where they have more."""
    places = range(7 if np.abs(numbers).max(initial=0) < float(1 << 53) / 4 else 0)  # of limits, too, all are exact
    return next((d for d in places if np.allclose(np.round(numbers, d), numbers, rtol=1e-12, atol=1e-12)), -1)


def _reaches(numbers: np.ndarray, centres: np.ndarray, spreads: np.ndarray) -> np.ndarray:
    """How far numbers lie from the centre they belong to, at most."""
    mode, offsets = assign(numbers, centres, spreads)
    return np.array([np.abs(offsets[mode == m]).max(initial=1e-9 * spread) for m, spread in enumerate(spreads)])


def _is_spike(counts: np.ndarray, rows: int) -> np.ndarray:
    """A mask of the numbers that far more rows have than the numbers next to them."""
    around = np.lib.stride_tricks.sliding_window_view(np.pad(counts, NEAR, mode="reflect"), 2 * NEAR + 1)
    return (counts >= SPIKE * rows) & (counts >= ABOVE * np.median(around, axis=1))


def _mixture(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres and spreads of the components of a mixture of normals."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    sample = np.random.default_rng(0).permutation(numbers)[:SAMPLE]
    scale = sample.std() or 1.0
    model = BayesianGaussianMixture(
        n_components=min(MODES, len(np.unique(sample))), weight_concentration_prior=1e-3, max_iter=60, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # any mixture will do: it is an encoding
        model.fit(((sample - sample.mean()) / scale)[:, None])
    weights, means, covariances = map(np.asarray, (model.weights_, model.means_, model.covariances_))
    large = weights > min(0.005, weights.max() / 2)
    centres = means[large, 0] * scale + sample.mean()
    return centres, np.maximum(np.sqrt(covariances[large, 0, 0]) * scale, 1e-9 * scale)


def assign(numbers: np.ndarray, centres: np.ndarray, spreads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each number the likeliest centre, and the offset from there."""
    offsets = numbers[:, None] - centres
    mode = (-0.5 * (offsets / spreads) ** 2 - np.log(spreads)).argmax(axis=1)
    return mode, offsets[np.arange(len(mode)), mode]
