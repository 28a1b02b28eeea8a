"""Whether a file holds more than the image that is read: the later frames of an animation, the later pages."""

import struct

from lamina.preprocess.image import headers


def has_more(body: bytes) -> bool:
    """Whether an image is the first of several in its file; False for what is no image."""
    form = headers.format_of(body)
    try:
        return form in FORMS and FORMS[form](body)
    except (IndexError, struct.error):
        return False


def _gif(body: bytes) -> bool:
    header = headers.read(body)
    return not isinstance(header, str) and header.body is not None


def _tiff(body: bytes) -> bool:
    order = "<" if body[:2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", body, 4)
    (count,) = struct.unpack_from(order + "H", body, at)
    return struct.unpack_from(order + "I", body, at + 2 + 12 * count)[0] != 0


FORMS = {
    "GIF": _gif,
    "TIFF": _tiff,
    "PNG": lambda body: b"acTL" in body[:4096],
    "WebP": lambda body: body[12:16] == b"VP8X" and bool(body[20] & 2),
    "AVIF": lambda body: b"avis" in body[8:32],
}
