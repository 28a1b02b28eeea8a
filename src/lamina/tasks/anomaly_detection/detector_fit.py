"""What is fitted of the outputs of a trained network: covariance, groups of near rows, tails. For training only."""

from typing import NamedTuple

import numpy as np

from lamina import privacy
from lamina.preprocess.image.codec import downsample
from lamina.tasks.anomaly_detection import micro_aggregation, tail_probability
from lamina.tasks.anomaly_detection.detector import Detector, Tails

ENOUGH = 100  # validation rows from which on they alone say how often scores come
WIDE = 512  # places, from which on their correlations are left out
PASSES = 4  # of trimming
SIDE = 16  # pixels


class Rows(NamedTuple):
    """What is left of rows, and the numbers by which they are near one another."""

    residual: np.ndarray
    place: np.ndarray


def whitening(residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre (places,) and the symmetric root of the inverse covariance, (places, places), or (places,) of many.

    The covariance is shrunk to the identity as much as is best for so few rows (Ledoit and Wolf 2004), on places of
    variance 1. A place that never differs weighs as little as numbers allow.
    """
    from sklearn.covariance import ledoit_wolf

    values = residual.astype(np.float64)
    centre, spread = values.mean(axis=0), values.std(axis=0)
    spread = np.maximum(spread, 1e-3 * max(float(np.median(spread)), float(spread.max()) * 1e-3, 1e-6))
    if values.shape[1] > WIDE or len(values) < 3:
        return centre, 1 / (spread * np.sqrt(values.shape[1]))
    covariance, _ = ledoit_wolf((values - centre) / spread, assume_centered=True)
    variances, axes = np.linalg.eigh(covariance)
    root = (axes / np.sqrt(np.maximum(variances, 1e-9))) @ axes.T
    return centre, root / spread[:, None]


def fit(train: Rows, validation: Rows, trim: float = 0.0, size: int = privacy.MIN_ROWS) -> tuple[Detector, Tails]:
    """A detector of training rows, in groups of `size`, and its tails by validation rows. `trim`: the share of rows
    that may be anomalies, which covariance and tails leave out.
    """
    centre, root = whitening(train.residual[trimmed(train.residual, trim)])
    some = micro_aggregation.sample(len(train.place), train.place.shape[1])
    origin = train.place[some].mean(axis=0, dtype=np.float64).astype(np.float32)
    moved = train.place[some] - origin
    group = micro_aggregation.labels(moved, size)
    groups = micro_aggregation.fit(moved, group)
    detector = Detector(centre.astype(np.float32), root.astype(np.float32), groups, origin)
    near, _ = micro_aggregation.nearest(validation.place - origin, groups)
    far = distance(detector, validation.residual)
    if len(far) < ENOUGH:
        own, _ = micro_aggregation.nearest(moved, groups, group if len(groups.means) > 1 else None)
        near = _with_training(near, own)
        far = _with_training(far, distance(detector, train.residual[some]))
    tails = [tail_probability.fit(values, trim) for values in (far, near)]
    both = tail_probability.surprise(tails[0], far) + tail_probability.surprise(tails[1], near)
    return detector, Tails(tails[0], tails[1], tail_probability.fit(both, trim))


def distance(detector: Detector, residual: np.ndarray) -> np.ndarray:
    """The Mahalanobis distance of what is left of rows, (rows,)."""
    return np.sqrt(np.square(detector.errors(residual)).sum(axis=1))


def _with_training(validation: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Distances of few validation rows, then those of training rows brought to the same median: what was learned from
    is nearer than what was not.
    """
    factor = np.median(validation) / max(float(np.median(train)), 1e-12)
    return np.concatenate([validation, train * max(factor, 1.0)])


def small(values: np.ndarray) -> np.ndarray:
    """Rows as vectors (rows, places) without NaN; pictures in blocks of about 16 each way."""
    if values.ndim == 4:
        values = downsample(values, max(1, max(values.shape[1:3]) // SIDE)) / 255
    return np.nan_to_num(values.reshape(len(values), -1).astype(np.float32))


def trimmed(rows: np.ndarray, share: float) -> np.ndarray:
    """(rows,) bool: all but the `share` of rows (rows, places) that are furthest from the others, by a Mahalanobis
    distance that is fitted again and again on what is left (Rousseeuw and Van Driessen 1999).
    """
    flat = rows.reshape(len(rows), -1).astype(np.float64)
    most = len(flat) - int(share * len(flat))
    near = np.ones(len(flat), bool)
    for _ in range(PASSES if most < len(flat) else 0):
        centre, root = whitening(flat[near])
        moved = flat - centre
        squares = np.square(moved * root if root.ndim == 1 else moved @ root).sum(axis=1)
        near = np.zeros(len(flat), bool)
        near[np.argsort(squares, kind="stable")[:most]] = True
    return near
