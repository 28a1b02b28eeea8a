"""Bytes of an image to pixels by OpenCV: upright, whole, of one size; or a sentence on why not."""

import base64
import functools
import math
import os
from typing import Any, NamedTuple

import numpy as np

from lamina.config import LaminaError
from lamina.preprocess.image import headers, levels
from lamina.preprocess.image.levels import Reading

MOST_PIXELS = 50_000_000
REDUCED = 8  # OpenCV's flags: 16, 32, 64 for a half, a quarter, an eighth
PADDING = 114  # mid grey, what a letterbox is filled with


@functools.cache
def opencv() -> Any:
    """OpenCV, imported when the first image comes."""
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))  # read before memory is given
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        import cv2
    except ImportError:
        raise LaminaError("images: OpenCV is not installed. Install it: pip install 'lamina[images]'") from None
    cv2.utils.logging.setLogLevel(0)  # whoever imported it first: a broken image is told of by us, once
    cv2.setNumThreads(1)  # one image per thread of ours is faster than many threads on one image
    return cv2


class Size(NamedTuple):
    """What images are brought to: `fit` says what happens to another shape."""

    height: int
    width: int
    channels: int
    fit: str


class Decoded(NamedTuple):
    """Pixels as a file holds them: (height, width[, channels]) of any depth, blue first, not yet upright."""

    image: np.ndarray
    head: headers.Header


def pixels(
    body: bytes | None, most: int, reduce: int = 0, reading: Reading = levels.PLAIN
) -> tuple[np.ndarray | None, str]:
    """Pixels (height, width, 1 or 3) uint8, blue first, upright, or None and the reason.

    Transparency and deeper pixels become what `reading` says, an animation gives its first frame. `reduce`: the longer
    side wanted; a JPEG of twice, four or eight times that is decoded at a half, quarter or eighth of its size.
    """
    decoded = decode(body, most, reduce)
    if isinstance(decoded, str):
        return None, decoded
    image, head = decoded
    return upright(levels.to_colours(image, head.form, head.top, reading), head.turn), ""


def decode(body: bytes | None, most: int, reduce: int = 0) -> Decoded | str:
    """The pixels of a file with its header, or the reason why there are none; for `most` and `reduce` see `pixels`."""
    head = headers.read(body or b"")
    if isinstance(head, str):
        return head
    if head.height * head.width > most:
        return f"has {head.height * head.width:,} pixels, more than {most:,}"
    if not head.whole:
        return "is cut short"
    if head.form == "PFM":
        return Decoded(headers.pfm_pixels(body or b"", head), head)
    cv2 = opencv()
    flag = _jpeg_flag(head, reduce) if head.form == "JPEG" else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(np.frombuffer(head.body or body or b"", np.uint8), flag)
    except cv2.error as error:
        large = "CV_IO_MAX" in str(error)
        return "has too many pixels" if large else f"cannot be decoded as {head.form}"
    if image is None or image.size == 0:
        return f"cannot be decoded as {head.form}: it is damaged or cut short"
    if image.shape[0] * image.shape[1] > most or (image.ndim == 3 and image.shape[2] > 4):
        return f"cannot be decoded as {head.form}: it is not what its header says"
    if (
        head.form == "PAM" and image.ndim == 3 and image.shape[2] > 2
    ):  # OpenCV hands these over in the order of the file
        image = np.ascontiguousarray(image[:, :, [2, 1, 0, 3][: image.shape[2]]])
    return Decoded(image, head)


def upright_shape(body: bytes) -> tuple[int, int] | None:
    """(height, width) as it will be seen, by the header alone."""
    head = headers.read(body)
    if isinstance(head, str):
        return None
    return (head.width, head.height) if head.turn > 4 else (head.height, head.width)


def _jpeg_flag(head: headers.Header, reduce: int) -> int:
    cv2 = opencv()
    plain = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION
    for factor in (8, 4, 2):
        if reduce and min(head.height, head.width) >= reduce * factor:
            return plain | REDUCED * factor
    return plain


def upright(image: np.ndarray, turn: int) -> np.ndarray:
    """Undo an EXIF orientation: 2, 4 mirrored, 3 upside down, 5 to 8 lying on a side."""
    if turn == 1:
        return image
    if turn > 4:
        image = image.swapaxes(0, 1)
    down, across = turn in (3, 4, 7, 8), turn in (2, 3, 6, 7)
    return np.ascontiguousarray(image[:: -1 if down else 1, :: -1 if across else 1])


def fit_to(pixels: np.ndarray, size: Size) -> np.ndarray:
    """Pixels (size.height, size.width, size.channels) uint8, red first when there are three."""
    height, width = pixels.shape[:2]
    if (height, width) == (size.height, size.width) or size.fit == "stretch":
        return _with_channels(_resize(pixels, size.height, size.width), size.channels)
    ratios = size.height / height, size.width / width
    scale = min(ratios) if size.fit == "letterbox" else max(ratios)
    if size.fit == "crop":  # only what is kept is enlarged: a line of 1 x 5,000 would else become a giant
        tall, wide = min(height, math.ceil(size.height / scale)), min(width, math.ceil(size.width / scale))
        top, left = (height - tall) // 2, (width - wide) // 2
        middle = np.ascontiguousarray(pixels[top : top + tall, left : left + wide])
        return _with_channels(_resize(middle, size.height, size.width), size.channels)
    inner = _resize(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
    out = np.full((size.height, size.width, size.channels), PADDING, np.uint8)
    top, left = (size.height - inner.shape[0]) // 2, (size.width - inner.shape[1]) // 2
    out[top : top + inner.shape[0], left : left + inner.shape[1]] = _with_channels(inner, size.channels)
    return out


def _with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Grey or red first, after resizing: there are fewer pixels then."""
    cv2 = opencv()
    have = image.shape[2] if image.ndim == 3 else 1
    if have == channels == 1:
        return image.reshape(*image.shape[:2], 1)
    if channels == 1:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[:, :, None]
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB if have == 3 else cv2.COLOR_GRAY2RGB)


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Averaging when it gets smaller, interpolating when it gets larger."""
    cv2 = opencv()
    if image.shape[:2] == (height, width):
        return image
    smaller = height * width < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def channel_moments(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, 0 to 255."""
    mean, std = opencv().meanStdDev(pixels)
    return mean.ravel(), std.ravel()


def enlarged_png(spots: np.ndarray, height: int, width: int) -> bytes:
    """A small image enlarged to (height, width) and written as PNG."""
    cv2 = opencv()
    large = cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC)
    ok, body = cv2.imencode(".png", large)
    assert ok
    return body.tobytes()


def as_png(image: np.ndarray) -> bytes:
    """An image (height, width, 1 or 3) uint8, red first, as PNG."""
    cv2 = opencv()
    ok, body = cv2.imencode(".png", np.ascontiguousarray(image[:, :, ::-1]))
    assert ok
    return body.tobytes()


def downsample(images: np.ndarray, by: int) -> np.ndarray:
    """Images (rows, height, width, channels) with each block of `by` x `by` pixels averaged, float32."""
    tall, wide = (size // by * by for size in images.shape[1:3])
    cut = images[:, :tall, :wide].astype(np.float32)
    rows, _, _, channels = cut.shape
    return cut.reshape(rows, tall // by, by, wide // by, by, channels).mean((2, 4)) if by > 1 else cut


def data_address(image: np.ndarray, side: int) -> str:
    """An image (height, width, 1 or 3) uint8, red first, as a `data:` address, no side longer than `side` pixels.

    Up to 48 pixels it is PNG, so that every pixel is the one the network sees; larger ones are JPEG.
    """
    cv2 = opencv()
    longest = max(image.shape[:2])
    if longest > side:
        height, width = (max(1, round(n * side / longest)) for n in image.shape[:2])
        image = _resize(image, height, width).reshape(height, width, -1)
    blue_first = image[:, :, ::-1] if image.shape[2] == 3 else image
    small = longest <= 48
    settings = [] if small else [cv2.IMWRITE_JPEG_QUALITY, 82]
    ok, body = cv2.imencode(".png" if small else ".jpg", np.ascontiguousarray(blue_first), settings)
    assert ok
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(body.tobytes()).decode()}"
