"""A network over images and series of any size, in overlapping tiles, so that memory is bounded."""

import itertools
from collections.abc import Iterator
from time import monotonic

import numpy as np

from lamina.task import Session, TooMuch

SIDES = {1: 16_384, 2: 256}  # of a tile, by the number of axes: a multiple of every stride of the network
OVERLAP = 64  # of two tiles: their outer quarter is left out, and between they are blended
MARGIN = OVERLAP // 4


def restore(session: Session, values: np.ndarray) -> np.ndarray:
    """What the network gives for one image (height, width, channels) or series (steps, channels), float32.

    Errors: TooMuch where strangers ask and it takes too long.
    """
    space, began = values.shape[:-1], monotonic()
    pieces = [list(_pieces(n, SIDES[len(space)])) for n in space]
    if all(len(along) == 1 for along in pieces):
        return _averaged(session, values)
    out = np.zeros(values.shape, np.float32)
    for tile in itertools.product(*pieces):
        if session.limits and monotonic() - began > session.limits.seconds:
            raise TooMuch(f"rows: it took more than {session.limits.seconds:g} seconds. Send less at a time.")
        place = tuple(slice(start, stop) for start, stop, _ in tile)
        answer = _averaged(session, values[place])
        for axis, (_, _, weights) in enumerate(tile):
            shape = [-1 if i == axis else 1 for i in range(answer.ndim)]
            answer = answer * weights.reshape(shape)
        out[place] += answer
    return out


def _averaged(session: Session, values: np.ndarray) -> np.ndarray:
    """What the network gives for one tile; of an image, the mean over its views, each turned back."""
    ((name, _),) = session.spec.inputs.items()
    views = session.task.cfg.test_time_augmentation if values.ndim == 3 else 1
    total = np.zeros(values.shape, np.float32)
    for view in range(views):
        total += _view(session.run({name: _view(values, view)[None]})["restoration"][0], view, back=True)
    return total / np.float32(views)


def _view(image: np.ndarray, number: int, back: bool = False) -> np.ndarray:
    """One of the eight symmetries of a square, of (height, width, channels); or its inverse."""
    transposed = bool(number & 4)
    if transposed and not back:
        image = image.transpose(1, 0, 2)
    image = image[:: -1 if number & 1 else 1, :: -1 if number & 2 else 1]
    if transposed and back:
        image = image.transpose(1, 0, 2)
    return np.ascontiguousarray(image)


def _pieces(size: int, side: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Tiles along an axis: from, to, and the weight of each place; the weights of all tiles add up to 1."""
    start, step = 0, side - OVERLAP
    while True:
        stop = size if start + side >= size else start + side
        places = np.arange(stop - start, dtype=np.float32) + 0.5
        weights = np.ones(stop - start, np.float32)
        if start:
            weights = np.minimum(weights, np.clip((places - MARGIN) / (OVERLAP - 2 * MARGIN), 0, 1))
        if stop < size:
            weights = np.minimum(weights, np.clip((places[::-1] - MARGIN) / (OVERLAP - 2 * MARGIN), 0, 1))
        yield start, stop, weights
        if stop == size:
            return
        start += step
