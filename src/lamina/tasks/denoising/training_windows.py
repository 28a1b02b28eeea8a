"""Images and recordings as windows of one size, which a network learns random pieces of."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lamina.preprocess import Preprocessor
from lamina.preprocess.image.parallel import in_threads
from lamina.tasks.denoising import image_files, recordings
from lamina.tasks.denoising.state import State

LARGEST = {2: 192, 1: 2048}  # side of a window, by the number of axes
SMALLEST = 8
BYTES = 1 << 30  # of all windows: of more, some are drawn
FEWEST = 64  # rows of training, so that a batch has many windows also of a single image
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue


def values(prep: Preprocessor, state: State, table: pa.Table, names: Sequence[str]) -> list[np.ndarray]:
    """Some rows as the network is fed: images (height, width, channels), uint8 or floats of 0 to 1; recordings
    (steps, channels) about their means, in training deviations. `names`: their columns, which are sound.
    """
    if state.form == "table":
        one = recordings.table(prep.schema, table, tuple(names))
        return [] if isinstance(one, str) else [recordings.scaled(one.values, state)]
    if state.form == "series":
        cells = recordings.cells(prep.schema, table, names[0], state.channels)
        return [recordings.scaled(one.values, state) for one in cells if not isinstance(one, str)]
    column, most = image_files.column(prep.schema, table, names[0]), image_files.most(prep)

    def read(row: int) -> np.ndarray:
        image = image_files.read(column, row, most)
        assert not isinstance(image, str)
        pixels = image.pixels
        if pixels.dtype != np.uint8:
            pixels = pixels.astype(np.float32) / np.float32(image.white)
        return with_channels(pixels, state.channels)

    return in_threads(read, table.num_rows)


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Grey as three colours that are equal, or colours as grey."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    grey = pixels.astype(np.float32) @ GREY[:, None]
    return np.rint(grey).astype(np.uint8) if pixels.dtype == np.uint8 else grey


def side(arrays: Sequence[np.ndarray]) -> int:
    """Of windows: as large as most images are, within bounds."""
    shortest = np.median([min(one.shape[:-1]) for one in arrays])
    return int(min(LARGEST[arrays[0].ndim - 1], max(SMALLEST, shortest)))


def cut(sets: Sequence[Sequence[np.ndarray]], size: int, seed: int, most: int = BYTES) -> tuple[list[np.ndarray], int]:
    """Windows (rows, *sides, channels) of the same places in each of several sets, and how many there would be where
    memory had no bound. They cover each array evenly; what is smaller goes on mirrored.
    """
    first = sets[0]
    places = [(row, *start) for row, one in enumerate(first) for start in _starts(one.shape[:-1], size)]
    dtype = np.uint8 if all(one.dtype == np.uint8 for arrays in sets for one in arrays) else np.float32
    shape = (*([size] * (first[0].ndim - 1)), first[0].shape[-1])
    total, room = len(places), max(1, most // (int(np.prod(shape)) * np.dtype(dtype).itemsize * len(sets)))
    if total > room:
        sample = np.sort(np.random.default_rng(seed).permutation(total)[:room])
        places = [places[i] for i in sample.tolist()]
    windows = [np.empty((len(places), *shape), dtype) for _ in sets]
    for out, arrays in zip(windows, sets, strict=True):
        for i, (row, *start) in enumerate(places):
            out[i] = _window(_unit(arrays[row], dtype), start, size)
    return windows, total


def _unit(values: np.ndarray, dtype: type) -> np.ndarray:
    return values.astype(np.float32) / np.float32(255) if dtype != np.uint8 and values.dtype == np.uint8 else values


def _starts(shape: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Where windows begin, evenly spread along each axis."""
    axes = [np.linspace(0, max(n - size, 0), -(-n // size)).astype(int) for n in shape]
    return [tuple(place) for place in np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes)).tolist()]


def _window(values: np.ndarray, start: Sequence[int], size: int) -> np.ndarray:
    piece = values[tuple(slice(first, first + size) for first in start)]
    missing = [(0, size - n) for n in piece.shape[:-1]]
    return np.pad(piece, [*missing, (0, 0)], mode="symmetric") if any(n for _, n in missing) else piece


def repeated(windows: np.ndarray) -> np.ndarray:
    """As many rows as a batch wants, the same ones again where there are few."""
    return windows if len(windows) >= FEWEST else np.resize(windows, (FEWEST, *windows.shape[1:]))
