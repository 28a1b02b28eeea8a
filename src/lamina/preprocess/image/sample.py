"""What a sample of pictures says of all of them: size, colours, mean and spread of each channel."""

import math
from typing import Any, NamedTuple

import numpy as np

from lamina.preprocess.image import cells as _cells
from lamina.preprocess.image import codec
from lamina.preprocess.image.parallel import in_threads

LARGEST_SIDE = 224
GREY = 128


class Sample(NamedTuple):
    """The size pictures are brought to, and mean and standard deviation of each channel, 0 to 1."""

    height: int
    width: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def measure(column: _cells.Cells, cfg: Any) -> Sample:
    """The headers give the size; each picture is then decoded no larger than need be, and only its sums are held.

    `cfg`: the settings of the kind; what they leave open is the median shape, never above 224, and grey if all are.
    """
    fixed = (cfg.size, cfg.size) if isinstance(cfg.size, int) else cfg.size
    height, width = fixed or _size([s for s in in_threads(lambda i: _shape_of(column, i), len(column.paths)) if s])
    size = codec.Size(height, width, cfg.channels or 3, cfg.fit)

    def moments(place: int) -> tuple[np.ndarray, np.ndarray, bool] | None:
        body, _ = _cells.body(column, place)
        pixels = codec.pixels(body, cfg.max_pixels, max(height, width))[0] if body is not None else None
        if pixels is None:
            return None
        small = codec.fit_to(pixels, size)
        return *codec.channel_moments(small), _is_grey(small)

    sums = [one for one in in_threads(moments, len(column.paths)) if one]
    channels = cfg.channels or (1 if sums and all(grey for *_, grey in sums) else 3)
    means = [_mean([mean[i] for mean, *_ in sums], GREY) for i in range(channels)]
    squares = [_mean([m[i] ** 2 + std[i] ** 2 for m, std, _ in sums], GREY**2) for i in range(channels)]
    deviations = (max(s - m**2, 0.0) ** 0.5 / 255 for m, s in zip(means, squares, strict=True))
    return Sample(height, width, channels, tuple(mean / 255 for mean in means), tuple(max(d, 1e-3) for d in deviations))


def _mean(values: list[float], otherwise: float) -> float:
    """The same whatever the order of the rows."""
    return math.fsum(values) / len(values) if values else float(otherwise)


def _shape_of(column: _cells.Cells, place: int) -> tuple[int, int] | None:
    body, _ = _cells.body(column, place)
    return codec.upright_shape(body) if body else None


def _size(shapes: list[tuple[int, int]]) -> tuple[int, int]:
    if not shapes:
        return 32, 32
    height, width = np.median(shapes, axis=0)
    if len(set(shapes)) > 1:
        height = width = (height * width) ** 0.5  # many shapes: a square of the usual area
    shrink = min(1.0, LARGEST_SIDE / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def _is_grey(pixels: np.ndarray) -> bool:
    return pixels.shape[2] == 1 or not any((_difference(pixels, 0, i) > 2).any() for i in (1, 2))


def _difference(pixels: np.ndarray, one: int, other: int) -> np.ndarray:
    a, b = pixels[:, :, one], pixels[:, :, other]
    return np.maximum(a, b) - np.minimum(a, b)
