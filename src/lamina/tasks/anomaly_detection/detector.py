"""How anomalous a row is: what the network cannot rebuild of it, and how far it is from what there was in training.

Two distances are turned into tail probabilities, by rows that were left out of what each was fitted on, and joined:

- `residual`: the Mahalanobis distance of what is left when the network has rebuilt the row, with a shrunk covariance;
- `neighbours`: the distance to the nearest group of training rows, to its mean or, where anomalies may be among them,
  to its rows; by the numbers of the row itself or, of an image, by the latent numbers of the network.

NumPy only; what is fitted is in `detector_fit`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from lamina.deploy.bundle.strict_json import rejection
from lamina.tasks.anomaly_detection import micro_aggregation, tail_probability
from lamina.tasks.anomaly_detection.micro_aggregation import Groups
from lamina.tasks.anomaly_detection.tail_probability import TailProbability

ASSET = "detector.safetensors"
WEIGHT = 2.0  # of the neighbours, beside the residual
GRID = 8  # cells each way, in which what is left of an image is looked at
LIMIT = 8.0  # deviations, beyond which a network says nothing of the other places of a row
NAMES = ("centre", "whitening", "means", "spreads", "origin", "forecast")


class Tails(NamedTuple):
    """What the two distances mean, and their sum."""

    residual: TailProbability
    neighbours: TailProbability
    joint: TailProbability


@dataclass(frozen=True)
class Detector:
    """Arrays that are a file of the bundle: `centre` (places,) and `whitening` (places, places), or (places,) where
    there are many, of what is left of a row; `groups` of rows, relative to their `origin`; `forecast` (places, numbers
    of a step), which of a window gives how far its last step is from what those before say; no numbers of other rows.
    """

    centre: np.ndarray
    whitening: np.ndarray
    groups: Groups
    origin: np.ndarray
    forecast: np.ndarray

    def dump(self) -> bytes:
        arrays = (self.centre, self.whitening, *self.groups, self.origin, self.forecast)
        return save({name: np.ascontiguousarray(v, np.float32) for name, v in zip(NAMES, arrays, strict=True)})

    def errors(self, residual: np.ndarray) -> np.ndarray:
        """What is left of rows (rows, places), as independent numbers of variance 1, one for each place: the sum of
        their squares is the square of the Mahalanobis distance (the corr-max transformation, Garthwaite and Koch 2016).
        """
        centred = residual - self.centre
        return centred * self.whitening if self.whitening.ndim == 1 else centred @ self.whitening


class DetectorScores(NamedTuple):
    """Of rows: `surprise` (rows,), that of both distances together; `attributions` (rows, places), shares that sum to
    1; `last` (rows,), how far the last step of a window is from its forecast.
    """

    surprise: np.ndarray
    attributions: np.ndarray
    last: np.ndarray


@lru_cache(maxsize=4)
def restore(body: bytes) -> Detector:
    """The arrays of a bundle's file. Errors: BundleError where they are not those."""
    try:
        arrays = load(body)
    except (SafetensorError, ValueError, KeyError) as error:
        raise rejection(ASSET, "", f"cannot be read: {error}") from None
    if set(arrays) != set(NAMES) or not all(np.isfinite(v).all() for v in arrays.values()):
        raise rejection(ASSET, "", "does not hold finite arrays of a detector")
    centre, whitening, means, spreads, origin, forecast = (arrays[name] for name in NAMES)
    places = len(centre) if centre.ndim == 1 else -1
    if whitening.shape not in ((places, places), (places,)):
        raise rejection(ASSET, "whitening", "does not fit the centre")
    if means.ndim != 2 or not len(means) or spreads.shape != means.shape[:1] or origin.shape != means.shape[1:]:
        raise rejection(ASSET, "means", "do not fit one another")
    if spreads.min() < 0:
        raise rejection(ASSET, "spreads", "must be 0 or more")
    if forecast.ndim != 2 or len(forecast) != len(origin):
        raise rejection(ASSET, "forecast", "does not fit the origin")
    return Detector(centre, whitening, Groups(means, spreads), origin, forecast)


def within_limit(inputs: Mapping[str, np.ndarray], limit: float | None) -> Mapping[str, np.ndarray]:
    """What the network is to rebuild: numbers no further out than it can have learned. One absurd number would spoil
    what it says of every other place, to which the score would go; that number itself is far from what is rebuilt
    either way.
    """
    if limit is None:
        return inputs
    return {name: np.clip(v, -limit, limit) if v.dtype.kind == "f" else v for name, v in inputs.items()}


def features(inputs: np.ndarray, outputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What is left of rows, and the numbers by which they are near one another, both (rows, places) float32.

    An image is told by the error in each cell of a coarse grid, and by its latent numbers.
    """
    rebuilt = outputs["reconstruction"]
    if inputs.ndim == 4:
        return _cells(inputs.astype(np.float32) / 255 - rebuilt), outputs["latent"]
    flat = inputs.reshape(len(inputs), -1).astype(np.float32)  # NaN behind the end of a short series
    return np.nan_to_num(flat - rebuilt.reshape(flat.shape)), np.nan_to_num(flat)


def _cells(difference: np.ndarray) -> np.ndarray:
    """Root mean squares in the cells of a grid, (rows, cells)."""
    squares = np.square(difference).mean(axis=3)  # (rows, height, width)
    for axis in (1, 2):
        edges = np.linspace(0, squares.shape[axis], min(GRID, squares.shape[axis]) + 1).astype(int)[:-1]
        sizes = np.diff([*edges, squares.shape[axis]])
        shape = [1, 1, 1]
        shape[axis] = -1
        squares = np.add.reduceat(squares, edges, axis=axis) / sizes.reshape(shape)
    return np.sqrt(squares).reshape(len(squares), -1)


def distances(detector: Detector, residual: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The errors (rows, places), the distance to the nearest group (rows,), and the difference from it."""
    errors = detector.errors(residual)
    moved = place - detector.origin
    near, number = micro_aggregation.nearest(moved, detector.groups)
    return errors, near, moved - detector.groups.means[number]


def score(detector: Detector, tails: Tails, residual: np.ndarray, place: np.ndarray) -> DetectorScores:
    """What the two distances say of rows by `features`: attributed to the places of both where these are the same."""
    errors, near, difference = distances(detector, residual, place)
    squares = np.square(errors)
    far = tail_probability.surprise(tails.residual, np.sqrt(squares.sum(axis=1)))
    near_surprise = WEIGHT * tail_probability.surprise(tails.neighbours, near)
    attributions = _shares(squares)
    if difference.shape == squares.shape:
        weight = (far / np.maximum(far + near_surprise, 1e-9))[:, None]
        attributions = weight * attributions + (1 - weight) * _shares(np.square(difference))
    last = np.sqrt(np.square((place - detector.origin) @ detector.forecast).sum(axis=1))
    return DetectorScores(far + near_surprise, attributions, last)


def _shares(squares: np.ndarray) -> np.ndarray:
    return squares / np.maximum(squares.sum(axis=1, keepdims=True), 1e-30)
