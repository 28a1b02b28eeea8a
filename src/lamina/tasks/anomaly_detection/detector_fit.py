"""What is fitted of the outputs of a trained network: covariance, groups of near rows, tails. For training only."""

from typing import NamedTuple

import numpy as np

from lamina import privacy
from lamina.preprocess.image.codec import downsample
from lamina.tasks.anomaly_detection import micro_aggregation, tail_probability
from lamina.tasks.anomaly_detection.detector import WEIGHT, Detector, Tails

ENOUGH = 100  # validation rows from which on they alone say how often scores come
WIDE = 512  # places, from which on their correlations are left out
LEAST = 1e-9  # variance, below which rows do not differ
SHRINKAGE, CROWD = 0.5, 20  # of the covariance, and rows of a group, where anomalies may be among the rows
FEWEST = 10  # rows, of which some are left out
SIDE = 16  # pixels


class Rows(NamedTuple):
    """What is left of rows, and the numbers by which they are near one another."""

    residual: np.ndarray
    place: np.ndarray


def whitening(residual: np.ndarray, shrinkage: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Centre (places,) and the symmetric root of the inverse covariance, (places, places), or (places,) of many.

    The covariance is shrunk to one variance for all places as much as is best for so few rows (Ledoit and Wolf 2004).
    Places keep their own unit: where the network errs little, a small error is not made a large one. `shrinkage`: how
    much more it is shrunk, 0 to 1.
    """
    from sklearn.covariance import ledoit_wolf

    values = residual.astype(np.float64)
    centre = values.mean(axis=0)
    if values.shape[1] > WIDE or len(values) < 3:
        spread = values.std(axis=0)
        return centre, 1 / np.sqrt(np.maximum((np.square(spread) + np.square(spread).mean()) / 2, LEAST))
    covariance, _ = ledoit_wolf(values - centre, assume_centered=True)
    variances, axes = np.linalg.eigh(covariance)
    variances = (1 - shrinkage) * variances + shrinkage * variances.mean()
    return centre, (axes / np.sqrt(np.maximum(variances, max(LEAST, 1e-6 * float(variances[-1]))))) @ axes.T


def fit(train: Rows, validation: Rows, trim: float = 0.0, channels: int = 0) -> tuple[Detector, Tails]:
    """A detector of training rows, and its tails by validation rows. `trim`: the share of validation rows that may be
    anomalies, which tails leave out; then the covariance is shrunk more, and groups are larger, so that a few anomalies
    alike are no group. `channels`: numbers of a step, where rows are windows.
    """
    shrinkage, size = (SHRINKAGE, CROWD) if trim else (0.0, privacy.MIN_ROWS)
    centre, root = whitening(train.residual, shrinkage)
    some = micro_aggregation.sample(len(train.place), train.place.shape[1])
    origin = train.place[some].mean(axis=0, dtype=np.float64).astype(np.float32)
    moved = train.place[some] - origin
    group = micro_aggregation.labels(moved, size)
    groups = micro_aggregation.fit(moved, group)
    if not trim:
        groups = groups._replace(spreads=np.zeros_like(groups.spreads))
    next_step = forecast(train.place, channels)
    detector = Detector(centre.astype(np.float32), root.astype(np.float32), groups, origin, next_step)
    near, _ = micro_aggregation.nearest(validation.place - origin, groups)
    far = distance(detector, validation.residual)
    if len(far) < ENOUGH:
        own, _ = micro_aggregation.nearest(moved, groups, group if len(groups.means) > 1 else None)
        near = _with_training(near, own)
        far = _with_training(far, distance(detector, train.residual[some]))
    tails = [tail_probability.fit(values, trim) for values in (far, near)]
    both = tail_probability.surprise(tails[0], far) + WEIGHT * tail_probability.surprise(tails[1], near)
    return detector, Tails(tails[0], tails[1], tail_probability.fit(both, trim))


def forecast(windows: np.ndarray, channels: int) -> np.ndarray:
    """(places, channels) by which a window gives the error of the linear forecast of its last step from those before,
    in deviations of that error; no channels of rows that are no windows, or too wide.
    """
    places = windows.shape[1]
    if not channels or places > WIDE:
        return np.zeros((places, 0), np.float32)
    _, root = whitening(windows)
    if root.ndim == 1:
        return np.zeros((places, 0), np.float32)
    precision = root @ root
    variances, axes = np.linalg.eigh(precision[-channels:, -channels:])
    return (precision[:, -channels:] @ (axes / np.sqrt(variances)) @ axes.T).astype(np.float32)


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
    """Rows as vectors (rows, places) without NaN; images in blocks of about 16 each way."""
    if values.ndim == 4:
        values = downsample(values, max(1, max(values.shape[1:3]) // SIDE)) / 255
    return np.nan_to_num(values.reshape(len(values), -1).astype(np.float32))


def trimmed(rows: np.ndarray, share: float) -> np.ndarray:
    """(rows,) bool: all but the rows (rows, places) that an isolation forest tells from the others with the fewest cuts
    (Liu et al. 2008): twice the `share` that may be anomalies, since nobody knows which.
    """
    from sklearn.ensemble import IsolationForest

    most = len(rows) - int(min(2 * share, 0.5) * len(rows))
    if most == len(rows) or len(rows) < FEWEST:
        return np.ones(len(rows), bool)
    scores = IsolationForest(random_state=0).fit(rows).score_samples(rows)
    normal = np.zeros(len(rows), bool)
    normal[np.argsort(-scores, kind="stable")[:most]] = True
    return normal
