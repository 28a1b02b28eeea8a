"""What a sample of images says of all of them: size, colours, mean and spread of each channel, and how deep ones and
transparent ones are read.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from lamina.preprocess.image import cells as _cells
from lamina.preprocess.image import codec, headers, levels
from lamina.preprocess.image.levels import Reading, Sort
from lamina.preprocess.image.parallel import in_threads

LARGEST_SIDE = 224
GREY = 128
PIXELS = 4096  # of each image that are looked at for levels and ground
FEW_LEVELS = 32  # of 256, below which a note says so


class Sample(NamedTuple):
    """The size images are brought to, and mean and standard deviation of each channel, 0 to 1."""

    height: int
    width: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Depth(NamedTuple):
    """What one image says of how all are to be read: some of its deep numbers and their extremes, and how far what is
    drawn lies from each ground.
    """

    sort: Sort | None
    values: np.ndarray
    low: float
    high: float
    contrast: tuple[float, ...] | None


def reading(column: _cells.Cells, cfg: Any) -> tuple[Reading, str]:
    """How deep and transparent images are read, by all of a sample, and a note on it for people.

    `cfg`: the settings of the kind, which may say `levels` and `ground`.
    """
    depths = [one for one in in_threads(lambda place: _depth(column, place, cfg), len(column.paths)) if one]
    ranges, notes = dict[Sort, tuple[float, float]](), list[str]()
    for sort in levels.SORTS.values():
        deep = [one for one in depths if one.sort == sort]
        values = np.concatenate([one.values for one in deep]) if deep else np.zeros(0)
        span = cfg.levels or (
            levels.between(values, min(one.low for one in deep), max(one.high for one in deep), sort) if deep else None
        )
        if span is None:
            continue
        ranges[sort] = span
        if deep and span != (0, 255):
            notes += _notes(values, span)
    ground = levels.ground_of([one.contrast for one in depths if one.contrast])
    ground = ground if cfg.ground is None else cfg.ground
    if ground != levels.GROUNDS[0]:
        name = {0: "black", 128: "grey"}.get(ground, f"a grey of {ground}")
        notes.append(f"transparent places are {name} (for white: --set columns.{{name}}.ground=255)")
    return Reading(ranges, ground), "; ".join(notes)


def _notes(values: np.ndarray, span: tuple[float, float]) -> list[str]:
    """What becomes of deeper pixels, and whether few levels are left of many."""
    low, high = (f"{value:.6g}" for value in span)
    setting = "--set columns.{name}.levels"
    notes = [f"deeper than 8 bits: {low} is black and {high} is white ({setting}=[{low},{high}])"]
    before, after = len(np.unique(values)), len(np.unique(levels.to_bytes(values, span)))
    if after < FEW_LEVELS and before > 2 * after:
        usual = ",".join(f"{value:.6g}" for value in np.quantile(values, (0.05, 0.95)))
        notes.append(f"only {after} of 256 levels are left of {before:,} (for most pixels: {setting}=[{usual}])")
    return notes


def _depth(column: _cells.Cells, place: int, cfg: Any) -> Depth | None:
    """What an image says; None where it can say nothing."""
    body, _ = _cells.body(column, place)
    if not body or not _may_be_deep(body):
        return None
    decoded = codec.decode(body, cfg.max_pixels)
    if isinstance(decoded, str):
        return None
    image, head = decoded
    sort = levels.sort_of(image) if head.top == levels.DEEPEST else None
    transparent = image.ndim == 3 and image.shape[2] in (2, 4)
    if sort is None and not transparent:
        return None
    flat = image.reshape(image.shape[0] * image.shape[1], -1)
    some = flat[:: max(1, len(flat) // PIXELS)]
    colours = some[:, :-1] if transparent else some
    sound = colours[np.isfinite(colours)]
    contrast = None
    if transparent:
        alpha, rest = levels.split_alpha(some[None], head.top)
        plain = levels.to_colours(np.ascontiguousarray(rest), head.form, head.top, levels.PLAIN)
        contrast = levels.contrast(plain[0].reshape(len(some), -1), alpha[0, :, 0])
    if sort is None or not len(sound):
        return Depth(None, np.zeros(0), 0.0, 0.0, contrast)
    whole = flat[:, : colours.shape[1]]
    whole = whole[np.isfinite(whole)]
    return Depth(sort, sound.ravel(), float(whole.min()), float(whole.max()), contrast)


def _may_be_deep(body: bytes) -> bool:
    """Whether an image may have more than 8 bits or be transparent, by its first bytes."""
    form = headers.format_of(body)
    if form == "PNG":
        return body[24:25] == b"\x10" or body[25:26] in (b"\4", b"\6") or b"tRNS" in body[:4096]
    if form == "PNM":
        return body[:2] == b"P7" or b"\n255\n" not in body[:64]
    return form != "JPEG"


def measure(column: _cells.Cells, cfg: Any, how: Reading) -> Sample:
    """The headers give the size; each image is then decoded no larger than need be, and only its sums are held.

    `cfg`: the settings of the kind; what they leave open is the median shape, never above 224, and grey if all are.
    """
    fixed = (cfg.size, cfg.size) if isinstance(cfg.size, int) else cfg.size
    height, width = fixed or _size(
        [shape for shape in in_threads(lambda i: _shape_of(column, i), len(column.paths)) if shape], cfg.largest
    )
    size = codec.Size(height, width, cfg.channels or 3, cfg.fit)

    def moments(place: int) -> tuple[np.ndarray, np.ndarray, bool] | None:
        body, _ = _cells.body(column, place)
        pixels = codec.pixels(body, cfg.max_pixels, max(height, width), how)[0] if body is not None else None
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


def _size(shapes: list[tuple[int, int]], largest: tuple[int, int] | None) -> tuple[int, int]:
    if not shapes:
        return 32, 32
    height, width = np.median(shapes, axis=0)
    if largest and height >= largest[0] and width >= largest[1]:
        return largest
    if len(set(shapes)) > 1:
        height = width = (height * width) ** 0.5  # many shapes: a square of the usual area
    shrink = min(1.0, LARGEST_SIDE / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def _is_grey(pixels: np.ndarray) -> bool:
    return pixels.shape[2] == 1 or not any((_difference(pixels, 0, i) > 2).any() for i in (1, 2))


def _difference(pixels: np.ndarray, one: int, other: int) -> np.ndarray:
    a, b = pixels[:, :, one], pixels[:, :, other]
    return np.maximum(a, b) - np.minimum(a, b)
