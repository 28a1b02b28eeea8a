"""How rarely rows score so high: the quantiles of scores, and beyond them a tail that never ends.

A score is turned into the probability p that a row like those of training scores at least so high. Up to a threshold
that is the share of calibration rows; beyond it excesses follow a generalised Pareto distribution (Pickands 1975), so
that of two rows beyond all that were ever measured the farther one still has the higher score. NumPy only.
"""

import numpy as np
from pydantic import Field

from lamina import privacy
from lamina.config import Config

KNOTS = 201  # quantiles at most
FEWEST, MOST = 10, 60  # calibration rows in the tail
SHARE = 0.1  # of calibration rows that are in the tail, as far as these are between the two
STEEPEST = 0.9  # shape of a tail: beyond 1 it has no mean to be fitted by
WIDEST = 0.9  # share above the lower of the quantiles that say how a tail goes on
SURE = 300.0  # -log10 p at most: what is beyond is not told apart


class TailProbability(Config):
    """`quantiles` of scores at evenly spaced shares from 0 to 1 - `share`; beyond the last one the excess has a tail of
    this `scale` and `shape` (0: exponential).
    """

    quantiles: tuple[float, ...] = Field(min_length=2, max_length=KNOTS)
    share: float = Field(gt=0, le=1)
    scale: float = Field(gt=0, allow_inf_nan=False)
    shape: float = Field(ge=0, le=STEEPEST)


def fit(scores: np.ndarray, trim: float = 0.0) -> TailProbability:
    """The tail of calibration scores (rows,), of any number from 1 on. Nothing in it is one row's alone.

    Scale and shape by probability-weighted moments (Hosking and Wallis 1987), shape between 0 and 0.9. With `trim`, the
    share that may be of anomalies, the tail of the others goes on as the rows below that share say.
    """
    if trim:
        return _below(np.sort(privacy.coarse(scores.astype(np.float64))), trim)
    values = np.sort(privacy.coarse(scores.astype(np.float64)))
    count = len(values)
    share = float(np.clip(SHARE, min(FEWEST, 0.5 * count) / count, max(MOST, 1) / count)) if count else 1.0
    knots = int(np.clip(count, 2, KNOTS))
    quantiles = np.quantile(values, np.linspace(0, 1 - share, knots))
    excess = values[values > quantiles[-1]] - quantiles[-1]
    spread = float(values[-1] - values[0]) or abs(float(values[-1])) or 1.0
    if len(excess) < 2:
        return TailProbability(quantiles=tuple(quantiles.tolist()), share=share, scale=spread, shape=0.0)
    mean = float(excess.mean())
    weights = (len(excess) - np.arange(len(excess)) - 0.65) / len(excess)
    lower = float((weights * excess).mean())  # E[X (1 - F(X))]
    shape = float(np.clip(2 - mean / max(mean - 2 * lower, 1e-9 * mean), 0.0, STEEPEST))
    scale = max(mean * (1 - shape), 1e-9 * spread)
    return TailProbability(quantiles=tuple(quantiles.tolist()), share=share, scale=scale, shape=shape)


def _below(values: np.ndarray, share: float) -> TailProbability:
    """An exponential tail beyond a share of sorted scores, as steep as two quantiles below it say."""
    quantiles = np.quantile(values, np.linspace(0, 1 - share, int(np.clip(len(values), 2, KNOTS))))
    wide = min(4 * share, WIDEST)
    spread = float(values[-1] - values[0]) or abs(float(values[-1])) or 1.0
    scale = float(quantiles[-1] - np.quantile(values, 1 - wide)) / np.log(wide / share)
    return TailProbability(quantiles=tuple(quantiles.tolist()), share=share, scale=max(scale, 1e-9 * spread), shape=0.0)


def surprise(tail: TailProbability, scores: np.ndarray) -> np.ndarray:
    """-log10 of the probability of such a score or a higher one, (rows,): 2 is one row in a hundred."""
    quantiles = np.array(tail.quantiles)
    shares = np.linspace(0, 1 - tail.share, len(quantiles))
    inside = -np.log10(np.maximum(1 - np.interp(scores, quantiles, shares), tail.share))
    excess = np.maximum(scores - quantiles[-1], 0) / tail.scale
    nats = excess if tail.shape == 0 else np.log1p(tail.shape * excess) / tail.shape
    return np.minimum(np.where(scores > quantiles[-1], nats / np.log(10) - np.log10(tail.share), inside), SURE)
