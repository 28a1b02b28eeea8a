"""Whether made pictures are training pictures again: distances to the nearest, beside those of held-out real ones."""

from typing import NamedTuple

import numpy as np

from lamina.preprocess.image.codec import shrunk

KNOWN, ASKED = 20_000, 500  # training pictures searched, and pictures that are looked up
SIDE = 32  # pixels, to which larger pictures are averaged
RARE = 0.01  # of held-out pictures are as near


class Memory(NamedTuple):
    """`made` and `held`: root mean squared distance (rows,) to the nearest training picture, 0 to 255; `nearest`: its
    row; `closer`: the share of made pictures nearer than any held-out one is; `near`: nearer than all but 1 % of them.
    """

    made: np.ndarray
    held: np.ndarray
    nearest: np.ndarray
    closer: float
    near: float
    searched: int


def recalled(made: np.ndarray, held: np.ndarray, training: np.ndarray) -> Memory:
    """Pictures (rows, height, width, channels) of three sorts; a sample where there are many."""
    rows = np.arange(len(training))
    if len(rows) > KNOWN:
        rows = np.sort(np.random.default_rng(0).choice(len(rows), KNOWN, replace=False))
    known = _small(training[rows])
    mine, place = _nearest(_small(made[:ASKED]), known)
    theirs, _ = _nearest(_small(held[:ASKED]), known)
    closer, near = float((mine < theirs.min()).mean()), float((mine < np.quantile(theirs, RARE)).mean())
    return Memory(mine, theirs, rows[place], closer, near, len(rows))


def _small(pictures: np.ndarray) -> np.ndarray:
    """(rows, pixels) float32, blocks of larger pictures averaged."""
    return shrunk(pictures, -(-max(pictures.shape[1:3]) // SIDE)).reshape(len(pictures), -1)


def _nearest(some: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gaps = (some**2).sum(1)[:, None] + (known**2).sum(1) - 2 * some @ known.T
    place = gaps.argmin(1)
    apart = np.square(some - known[place]).mean(1)  # anew: the short formula loses digits where pictures are the same
    return np.sqrt(apart), place
