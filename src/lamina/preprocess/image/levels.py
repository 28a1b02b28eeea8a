"""Pixels to 8 bits without transparency: which numbers are black and white, and what shows through.

Numbers of 8 bits stay what they are. What deeper ones mean is seldom said by a file: a scan of 12 bits in a file of 16,
a map of distances in millimetres. It is learned of training images, one range for each sort of numbers.
"""

import functools
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

Sort = Literal["unsigned", "signed", "float"]
SORTS: dict[str, Sort] = {"u": "unsigned", "i": "signed", "f": "float"}
TOPS: dict[Sort, tuple[float, ...]] = {
    "unsigned": (255, 1023, 4095, 16383, 65535),
    "signed": (),
    "float": (1, 255, 65535),
}
DEEPEST = 65535
RARE = 0.001  # of the pixels, at either end, that do not decide the range where they lie far from all others
GROUNDS = (255, 0, 128)  # white where what is drawn can be seen on it
VISIBLE = 32.0  # mean difference between what is drawn and its ground, of 255
STRIP = 64  # lines of an image that are worked on at a time


class Reading(NamedTuple):
    """How pixels are read: `levels` are the numbers that are black and white; `ground` is what transparent ones show.

    A sort of numbers without levels is read by each image's own: what bundles did that know of none.
    """

    levels: Mapping[Sort, tuple[float, float]] = {}
    ground: int = 255


PLAIN = Reading()


def sort_of(image: np.ndarray) -> Sort | None:
    """The sort of numbers deeper than 8 bits; None where they are not."""
    return None if image.dtype == np.uint8 else SORTS.get(image.dtype.kind)


def to_colours(image: np.ndarray, form: str, top: int, reading: Reading) -> np.ndarray:
    """(height, width[, channels]) of any sort as uint8 (height, width, 1 or 3); `top`: white, if the file says so."""
    sort = sort_of(image)
    span = reading.levels.get(sort) if sort and top == DEEPEST else None
    if span is not None:
        alpha, image = split_alpha(image, top)
        image = to_bytes(image, span)
    else:
        if image.dtype == np.uint16 and form != "array":
            deep = image >> 8 if top == DEEPEST else np.minimum(image * np.float32(255 / top), 255)
            image = deep.astype(np.uint8)
        elif sort is not None:
            image = _by_itself(image, form)
        alpha, image = split_alpha(image, top)
    image = image[:, :, None] if image.ndim == 2 else image
    return image if alpha is None else on_ground(image, alpha, reading.ground)


@np.errstate(invalid="ignore", over="ignore")  # of numbers that are none
def to_bytes(values: np.ndarray, levels: tuple[float, float]) -> np.ndarray:
    """Numbers between two levels as 0 to 255; what lies outside is black or white, what is no number is black."""
    low, high = levels
    if values.dtype == np.uint16:
        return _table(low, high)[values]
    out = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), STRIP):
        part = np.nan_to_num(values[start : start + STRIP].astype(np.float64), nan=low, posinf=low, neginf=low)
        out[start : start + STRIP] = np.rint((np.clip(part, low, high) - low) * (255 / max(high - low, 1e-30)))
    return out


@functools.lru_cache(maxsize=8)
def _table(low: float, high: float) -> np.ndarray:
    return np.rint(np.clip((np.arange(DEEPEST + 1) - low) * (255 / max(high - low, 1e-30)), 0, 255)).astype(np.uint8)


@np.errstate(invalid="ignore", over="ignore")
def _by_itself(image: np.ndarray, form: str) -> np.ndarray:
    """Pixels of more bits: 0 to 1 as HDR has them, else the least of 0 to 1, 255, 65535 that holds them all."""
    image = np.nan_to_num(image.astype(np.float32), posinf=0)
    largest = float(image.max())
    top = 1.0 if form == "HDR" else next((top for top in (1.0, 255.0, 65535.0) if largest <= top), largest)
    return np.rint(np.clip(image, 0, top) * (255 / top)).astype(np.uint8)


@np.errstate(invalid="ignore", over="ignore")
def split_alpha(image: np.ndarray, top: int) -> tuple[Any, np.ndarray]:
    """How opaque each pixel is, (height, width, 1) uint8 or None where an image does not say; and the colours."""
    if image.ndim == 2 or image.shape[2] not in (2, 4):
        return None, image
    alpha, colours = image[:, :, -1:], image[:, :, :-1]
    if alpha.dtype != np.uint8:
        largest = 1.0 if alpha.dtype.kind == "f" and not alpha.max() > 1 else float(top)
        alpha = np.nan_to_num(alpha.astype(np.float32)) * (255 / largest)
        alpha = np.rint(np.clip(alpha, 0, 255)).astype(np.uint8)
    return alpha, colours


def on_ground(colours: np.ndarray, alpha: np.ndarray, ground: int) -> np.ndarray:
    """What is seen where an image lies on an even grey."""
    out = np.ascontiguousarray(colours)
    if (alpha == 255).all():
        return out
    for top in range(0, len(out), STRIP):  # a large image need not be in memory several times
        share = alpha[top : top + STRIP].astype(np.uint16)
        out[top : top + STRIP] = (out[top : top + STRIP] * share + ground * (255 - share) + 127) // 255
    return out


def between(values: np.ndarray, low: float, high: float, sort: Sort) -> tuple[float, float] | None:
    """The levels of a sort of numbers by some of its `values`, and the least and largest of all of them.

    The whole range of a depth (0 to 4095, say) where more than half of it is used, else what is used; a few numbers
    far from all others are left out. None where all are the same.
    """
    first, last = (float(value) for value in np.quantile(values, (RARE, 1 - RARE)))
    if last > first:
        low, high = (low if first - low <= last - first else first), (high if high - last <= last - first else last)
    top = next((top for top in TOPS[sort] if high <= top), None)
    if top is not None and high > top / 2 and 0 <= low <= top / 8:
        return 0.0, float(top)
    return (low, high) if high > low else None


def contrast(colours: np.ndarray, alpha: np.ndarray) -> tuple[float, ...] | None:
    """How far what is drawn lies from each of `GROUNDS`, 0 to 255; None where nothing is drawn or nothing is hidden.

    `colours` (pixels, 1 or 3), `alpha` (pixels,), both 0 to 255.
    """
    weights = alpha.astype(np.float64)
    if not weights.any() or (alpha > 250).all():
        return None
    grey = colours.mean(axis=1)
    return tuple(float(np.average(np.abs(grey - ground), weights=weights)) for ground in GROUNDS)


def ground_of(contrasts: list[tuple[float, ...]]) -> int:
    """White where what is drawn can be seen on it in nearly all images, else the ground where it is seen best."""
    if not contrasts:
        return GROUNDS[0]
    weakest = np.quantile(np.array(contrasts), 0.05, axis=0)
    return GROUNDS[0] if weakest[0] >= VISIBLE else GROUNDS[int(weakest.argmax())]
