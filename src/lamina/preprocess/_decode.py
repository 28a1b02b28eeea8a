"""Bytes of a picture to pixels by OpenCV: upright, whole, of one size; or a sentence on why not."""

import base64
import functools
import os
from typing import Any, NamedTuple

import numpy as np

from lamina.config import LaminaError

MOST_PIXELS = 50_000_000
PADDING = 114  # mid grey, what a letterbox is filled with
STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"RIFF": "WebP",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
    **{b"P" + digit: "PNM" for digit in (b"1", b"2", b"3", b"4", b"5", b"6")},
}


@functools.cache
def opencv() -> Any:
    """OpenCV, imported when the first picture comes."""
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))  # read before memory is given
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        import cv2
    except ImportError:
        raise LaminaError("images: OpenCV is not installed. Install it: pip install 'lamina[images]'") from None
    cv2.setNumThreads(1)  # one picture per thread of ours is faster than many threads on one picture
    return cv2


class Size(NamedTuple):
    """What pictures are brought to: `fit` says what happens to another shape."""

    height: int
    width: int
    channels: int
    fit: str


def format_of(body: bytes) -> str | None:
    """The format by its first bytes, whatever the file is called."""
    if body[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    return next((name for start, name in STARTS.items() if body.startswith(start)), None)


def pixels(body: bytes | None, most: int, reduce: int = 0) -> tuple[np.ndarray | None, str]:
    """Pixels (height, width, 1 or 3) uint8, blue first, or None and the reason.

    JPEG turns by its EXIF mark; transparency is laid on white; 16 bits become 8; an animation gives its first frame.
    `reduce`: the shorter side wanted; a much larger JPEG is decoded at a half, quarter or eighth of its size.
    """
    cv2 = opencv()
    if not body:
        return None, "the file is empty"
    form = format_of(body)
    if form is None:
        return None, "is not a picture of a known format"
    if reason := _cut_short(body, form):
        return None, reason
    try:
        flag = _jpeg_flag(body, reduce) if form == "JPEG" else cv2.IMREAD_UNCHANGED
        found = cv2.imdecode(np.frombuffer(body, np.uint8), flag)
    except cv2.error as error:
        large = "CV_IO_MAX" in str(error) or "pixels" in str(error).lower()
        return None, "has too many pixels" if large else f"cannot be decoded as {form}"
    if found is None or found.size == 0:
        return None, f"cannot be decoded as {form}"
    if found.shape[0] * found.shape[1] > most:
        return None, f"has {found.shape[0] * found.shape[1]:,} pixels, more than {most:,}"
    return _plain(found), ""


def _cut_short(body: bytes, form: str) -> str:
    """Decoders fill what is missing with grey and say nothing; formats mark their end."""
    ends = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b"\x3b"}
    if form in ends and ends[form] not in body[-4096:]:
        return "is cut short"
    if form == "WebP" and int.from_bytes(body[4:8], "little") + 8 > len(body):
        return "is cut short"
    return ""


def _jpeg_flag(body: bytes, reduce: int) -> int:
    cv2 = opencv()
    shorter = min(_jpeg_size(body) or (0, 0))
    for factor, flag in (
        (8, cv2.IMREAD_REDUCED_COLOR_8),
        (4, cv2.IMREAD_REDUCED_COLOR_4),
        (2, cv2.IMREAD_REDUCED_COLOR_2),
    ):
        if reduce and shorter >= reduce * factor:
            return flag
    return cv2.IMREAD_COLOR


def _jpeg_size(body: bytes) -> tuple[int, int] | None:
    """(height, width) from the frame header."""
    at = 2
    while at + 9 < len(body) and body[at] == 0xFF:
        mark, length = body[at + 1], int.from_bytes(body[at + 2 : at + 4], "big")
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(body[at + 5 : at + 7], "big"), int.from_bytes(body[at + 7 : at + 9], "big")
        at += 2 + length
    return None


def _plain(found: np.ndarray) -> np.ndarray:
    """8 bits, no transparency, three dimensions."""
    cv2 = opencv()
    if found.dtype == np.uint16:
        found = (found >> 8).astype(np.uint8)
    elif found.dtype != np.uint8:
        found = cv2.normalize(found, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    if found.ndim == 2:
        return found[:, :, None]
    if found.shape[2] == 4:
        alpha = found[:, :, 3:].astype(np.float32) / 255
        found = np.rint(found[:, :, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return found


def fitted(found: np.ndarray, size: Size) -> np.ndarray:
    """Pixels (size.height, size.width, size.channels) uint8, red first when there are three."""
    cv2 = opencv()
    if found.shape[2] == 3 and size.channels == 1:
        found = cv2.cvtColor(found, cv2.COLOR_BGR2GRAY)
    elif found.shape[2] == 1 and size.channels == 3:
        found = np.repeat(found, 3, axis=2)
    elif size.channels == 3:
        found = cv2.cvtColor(found, cv2.COLOR_BGR2RGB)
    height, width = found.shape[:2]
    if (height, width) == (size.height, size.width):
        return found.reshape(size.height, size.width, size.channels)
    if size.fit == "stretch":
        return _resized(found, size.height, size.width).reshape(size.height, size.width, size.channels)
    ratios = size.height / height, size.width / width
    scale = min(ratios) if size.fit == "letterbox" else max(ratios)
    inner = _resized(found, max(1, round(height * scale)), max(1, round(width * scale)))
    inner = inner.reshape(*inner.shape[:2], size.channels)
    out = np.full((size.height, size.width, size.channels), PADDING, np.uint8)
    top, left = (inner.shape[0] - size.height) // 2, (inner.shape[1] - size.width) // 2
    taken = inner[max(top, 0) : max(top, 0) + size.height, max(left, 0) : max(left, 0) + size.width]
    out[max(-top, 0) : max(-top, 0) + taken.shape[0], max(-left, 0) : max(-left, 0) + taken.shape[1]] = taken
    return out


def _resized(found: np.ndarray, height: int, width: int) -> np.ndarray:
    """Averaging when it gets smaller, interpolating when it gets larger."""
    cv2 = opencv()
    smaller = height * width < found.shape[0] * found.shape[1]
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def png(spots: np.ndarray, height: int, width: int) -> bytes:
    """A small picture enlarged to (height, width) and written as PNG."""
    cv2 = opencv()
    large = cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC)
    done, body = cv2.imencode(".png", large)
    assert done
    return body.tobytes()


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
