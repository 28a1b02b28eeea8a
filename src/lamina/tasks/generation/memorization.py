"""Whether generated images are training images again: distances to the nearest, beside those of held-out ones."""

from typing import NamedTuple

import numpy as np

from lamina.preprocess.image.codec import downsample

TRAINING, QUERIES = 20_000, 500  # training images searched, and images that are looked up
SIDE = 32  # pixels, to which larger images are averaged
RARE = 0.01  # of held-out images are as near


class Memorization(NamedTuple):
    """`samples` and `held_out`: root mean squared distance (rows,) to the nearest training image, 0 to 255;
    `nearest`: its row for each sample; `closer`: the share of samples nearer than any held-out one is; `near`: nearer
    than all but 1 % of them; `searched`: training images.
    """

    samples: np.ndarray
    held_out: np.ndarray
    nearest: np.ndarray
    closer: float
    near: float
    searched: int


def measure(samples: np.ndarray, held_out: np.ndarray, training: np.ndarray) -> Memorization:
    """Images (rows, height, width, channels) of three sorts; some of them where there are many."""
    rows = np.arange(len(training))
    if len(rows) > TRAINING:
        rows = np.sort(np.random.default_rng(0).choice(len(rows), TRAINING, replace=False))
    reference = _flatten(training[rows])
    mine, place = _nearest(_flatten(samples[:QUERIES]), reference)
    theirs, _ = _nearest(_flatten(held_out[:QUERIES]), reference)
    closer, near = float((mine < theirs.min()).mean()), float((mine < np.quantile(theirs, RARE)).mean())
    return Memorization(mine, theirs, rows[place], closer, near, len(rows))


def _flatten(images: np.ndarray) -> np.ndarray:
    """(rows, pixels) float32, blocks of larger images averaged."""
    return downsample(images, -(-max(images.shape[1:3]) // SIDE)).reshape(len(images), -1)


def _nearest(queries: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance and row of the nearest of `reference` for each query."""
    gaps = (queries**2).sum(1)[:, None] + (reference**2).sum(1) - 2 * queries @ reference.T
    place = gaps.argmin(1)
    apart = np.square(queries - reference[place]).mean(1)  # anew: the formula above loses digits where these are equal
    return np.sqrt(apart), place
