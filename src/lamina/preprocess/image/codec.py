"""Bytes of a picture to pixels by OpenCV: upright, whole, of one size; or a sentence on why not."""

import base64
import functools
import math
import os
from typing import Any, NamedTuple

import numpy as np

from lamina.config import LaminaError
from lamina.preprocess.image import headers as _header

MOST_PIXELS = 50_000_000
REDUCED = 8  # OpenCV's flags: 16, 32, 64 for a half, a quarter, an eighth
STRIP = 64  # lines of a picture that are worked on at a time
PADDING = 114  # mid grey, what a letterbox is filled with


@functools.cache
def opencv() -> Any:
    """OpenCV, imported when the first picture comes."""
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))  # read before memory is given
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        import cv2
    except ImportError:
        raise LaminaError("images: OpenCV is not installed. Install it: pip install 'lamina[images]'") from None
    cv2.utils.logging.setLogLevel(0)  # whoever imported it first: a broken picture is told of by us, once
    cv2.setNumThreads(1)  # one picture per thread of ours is faster than many threads on one picture
    return cv2


class Size(NamedTuple):
    """What pictures are brought to: `fit` says what happens to another shape."""

    height: int
    width: int
    channels: int
    fit: str


def pixels(body: bytes | None, most: int, reduce: int = 0) -> tuple[np.ndarray | None, str]:
    """Pixels (height, width, 1 or 3) uint8, blue first, upright, or None and the reason.

    Transparency is laid on white, deeper pixels become 8 bits, an animation gives its first frame. `reduce`: the longer
    side wanted; a JPEG of twice, four or eight times that is decoded at a half, quarter or eighth of its size.
    """
    head = _header.read(body or b"")
    if isinstance(head, str):
        return None, head
    if head.height * head.width > most:
        return None, f"has {head.height * head.width:,} pixels, more than {most:,}"
    if not head.whole:
        return None, "is cut short"
    cv2 = opencv()
    flag = _jpeg_flag(head, reduce) if head.form == "JPEG" else cv2.IMREAD_UNCHANGED
    try:
        found = cv2.imdecode(np.frombuffer(head.body or body or b"", np.uint8), flag)
    except cv2.error as error:
        large = "CV_IO_MAX" in str(error)
        return None, "has too many pixels" if large else f"cannot be decoded as {head.form}"
    if found is None or found.size == 0:
        return None, f"cannot be decoded as {head.form}: it is damaged or cut short"
    if found.shape[0] * found.shape[1] > most or (found.ndim == 3 and found.shape[2] > 4):
        return None, f"cannot be decoded as {head.form}: it is not what its header says"
    plain = _plain(found, head)
    if head.form == "PAM" and plain.shape[2] == 3:  # OpenCV hands these over in the order of the file
        plain = np.ascontiguousarray(plain[:, :, ::-1])
    return _turned(plain, head.turn), ""


def upright(body: bytes) -> tuple[int, int] | None:
    """(height, width) as it will be seen, by the header alone."""
    head = _header.read(body)
    if isinstance(head, str):
        return None
    return (head.width, head.height) if head.turn > 4 else (head.height, head.width)


def _jpeg_flag(head: _header.Header, reduce: int) -> int:
    cv2 = opencv()
    plain = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION
    for factor in (8, 4, 2):
        if reduce and min(head.height, head.width) >= reduce * factor:
            return plain | REDUCED * factor
    return plain


def _plain(found: np.ndarray, head: _header.Header) -> np.ndarray:
    """8 bits, no transparency, three dimensions."""
    if found.dtype == np.uint16:
        found = (found >> 8 if head.top == 65535 else np.minimum(found * np.float32(255 / head.top), 255)).astype(
            np.uint8
        )
    elif found.dtype != np.uint8:
        found = _scaled(found, head.form)
    if found.ndim == 2:
        return found[:, :, None]
    if found.shape[2] in (2, 4):
        return _on_white(found[:, :, :-1], found[:, :, -1:])
    return found


def _scaled(found: np.ndarray, form: str) -> np.ndarray:
    """Pixels of 32 bits and more: 0 to 1 as HDR has them, else the least of 0 to 1, 255, 65535 that holds them all."""
    found = np.nan_to_num(found.astype(np.float32), posinf=0)
    largest = float(found.max())
    top = 1.0 if form == "HDR" else next((top for top in (1.0, 255.0, 65535.0) if largest <= top), largest)
    return np.rint(np.clip(found * (255 / top), 0, 255)).astype(np.uint8)


def _on_white(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    out = np.ascontiguousarray(colours)
    if (alpha == 255).all():
        return out
    for top in range(0, len(out), STRIP):  # a large picture need not be in memory several times
        share = alpha[top : top + STRIP].astype(np.uint16)
        out[top : top + STRIP] = (out[top : top + STRIP] * share + 255 * (255 - share) + 127) // 255
    return out


def _turned(found: np.ndarray, turn: int) -> np.ndarray:
    """Undo an EXIF orientation: 2, 4 mirrored, 3 upside down, 5 to 8 lying on a side."""
    if turn == 1:
        return found
    if turn > 4:
        found = found.swapaxes(0, 1)
    down, across = turn in (3, 4, 7, 8), turn in (2, 3, 6, 7)
    return np.ascontiguousarray(found[:: -1 if down else 1, :: -1 if across else 1])


def fitted(found: np.ndarray, size: Size) -> np.ndarray:
    """Pixels (size.height, size.width, size.channels) uint8, red first when there are three."""
    height, width = found.shape[:2]
    if (height, width) == (size.height, size.width) or size.fit == "stretch":
        return _coloured(_resized(found, size.height, size.width), size.channels)
    ratios = size.height / height, size.width / width
    scale = min(ratios) if size.fit == "letterbox" else max(ratios)
    if size.fit == "crop":  # only what is kept is enlarged: a line of 1 x 5,000 would else become a giant
        tall, wide = min(height, math.ceil(size.height / scale)), min(width, math.ceil(size.width / scale))
        top, left = (height - tall) // 2, (width - wide) // 2
        kept = np.ascontiguousarray(found[top : top + tall, left : left + wide])
        return _coloured(_resized(kept, size.height, size.width), size.channels)
    inner = _resized(found, max(1, round(height * scale)), max(1, round(width * scale)))
    out = np.full((size.height, size.width, size.channels), PADDING, np.uint8)
    top, left = (size.height - inner.shape[0]) // 2, (size.width - inner.shape[1]) // 2
    out[top : top + inner.shape[0], left : left + inner.shape[1]] = _coloured(inner, size.channels)
    return out


def _coloured(found: np.ndarray, channels: int) -> np.ndarray:
    """Grey or red first, after resizing: there are fewer pixels then."""
    cv2 = opencv()
    have = found.shape[2] if found.ndim == 3 else 1
    if have == channels == 1:
        return found.reshape(*found.shape[:2], 1)
    if channels == 1:
        return cv2.cvtColor(found, cv2.COLOR_BGR2GRAY)[:, :, None]
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB if have == 3 else cv2.COLOR_GRAY2RGB)


def _resized(found: np.ndarray, height: int, width: int) -> np.ndarray:
    """Averaging when it gets smaller, interpolating when it gets larger."""
    cv2 = opencv()
    if found.shape[:2] == (height, width):
        return found
    smaller = height * width < found.shape[0] * found.shape[1]
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def spread(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, 0 to 255."""
    mean, std = opencv().meanStdDev(found)
    return mean.ravel(), std.ravel()


def png(spots: np.ndarray, height: int, width: int) -> bytes:
    """A small picture enlarged to (height, width) and written as PNG."""
    cv2 = opencv()
    large = cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC)
    done, body = cv2.imencode(".png", large)
    assert done
    return body.tobytes()


def as_png(picture: np.ndarray) -> bytes:
    """A picture (height, width, 1 or 3) uint8, red first, as PNG."""
    cv2 = opencv()
    done, body = cv2.imencode(".png", np.ascontiguousarray(picture[:, :, ::-1]))
    assert done
    return body.tobytes()


def shrunk(pictures: np.ndarray, by: int) -> np.ndarray:
    """Pictures (rows, height, width, channels) with each block of `by` x `by` pixels averaged, float32."""
    tall, wide = (size // by * by for size in pictures.shape[1:3])
    cut = pictures[:, :tall, :wide].astype(np.float32)
    rows, _, _, channels = cut.shape
    return cut.reshape(rows, tall // by, by, wide // by, by, channels).mean((2, 4)) if by > 1 else cut


def data_address(picture: np.ndarray, side: int) -> str:
    """A picture (height, width, 1 or 3) uint8, red first, as a `data:` address, no side longer than `side` pixels.

    Up to 48 pixels it is PNG, so that every pixel is the one the network sees; larger ones are JPEG.
    """
    cv2 = opencv()
    longest = max(picture.shape[:2])
    if longest > side:
        height, width = (max(1, round(n * side / longest)) for n in picture.shape[:2])
        picture = _resized(picture, height, width).reshape(height, width, -1)
    found = picture[:, :, ::-1] if picture.shape[2] == 3 else picture
    small = longest <= 48
    settings = [] if small else [cv2.IMWRITE_JPEG_QUALITY, 82]
    done, body = cv2.imencode(".png" if small else ".jpg", np.ascontiguousarray(found), settings)
    assert done
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(body.tobytes()).decode()}"
