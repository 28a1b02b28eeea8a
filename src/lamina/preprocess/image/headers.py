"""What the first bytes of an image say: its format, how many pixels it claims, which way up, whether it is all there.

Read before any decoder sees the bytes, so that a few kB that claim 50,000 x 50,000 pixels cost nothing. Each format is
one function from bytes to `Header`; a header that ends too early is "cut short".
"""

import math
import re
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lamina.preprocess.image import exif

PNG = b"\x89PNG\r\n\x1a\n"
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
STARTS = {
    b"\xff\xd8\xff": "JPEG",
    PNG: "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"#?RADIANCE": "HDR",
    b"#?RGBE": "HDR",
    **{f"P{digit}".encode(): "PNM" for digit in "1234567"},
    b"PF\n": "PFM",
    b"Pf\n": "PFM",
}
CONVERT = "which is not read: convert it to PNG or JPEG"
REFUSED: tuple[tuple[str, str], ...] = (  # bytes that are something else, and what to say of them
    (r"(?s)....ftyp(heic|heix|heim|heis|hevc|mif1|msf1)", f"is a HEIC image, {CONVERT}"),
    (r"(?s)....ftyp", "is a video, not an image"),
    (r"(?s)\x00\x00\x00\x0cJXL |\xff\x0a", f"is a JPEG XL image, {CONVERT}"),
    (r"(?is)(\xef\xbb\xbf)?\s*(<\?xml.*?|<!--.*?)?<(svg|!doctype svg)", f"is an SVG drawing, {CONVERT}"),
    (r"(?is)(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)", "is a web page, not an image: fetch the image anew"),
    (r"version https://git-lfs", "is a Git LFS pointer, not an image: fetch the files with git lfs pull"),
    (r"%PDF", f"is a PDF document, {CONVERT}"),
    (r"8BPS", f"is a Photoshop file, {CONVERT}"),
    (r"II+\x00|MM\x00\+", f"is a BigTIFF image, {CONVERT}"),
    (r"v/1\x01", f"is an OpenEXR image, {CONVERT}"),
    (r"PK\x03\x04", "is a zip archive, not an image"),
    (r"[\t\n\r\x20-\x7e]{16,}", "is text, not an image"),
)


class Header(NamedTuple):
    """`height` and `width` are those stored; `turn` is the EXIF orientation still to be undone (1 to 8).

    `top` is the largest value of a pixel of 16 bits; `whole` says that the file is as long as it must be; `body` is
    what the decoder is to be given, where that is not the file itself.
    """

    form: str
    height: int
    width: int
    turn: int = 1
    whole: bool = True
    top: int = 65535
    body: bytes | None = None


def format_of(body: bytes) -> str | None:
    """The format by its first bytes, whatever the file is called."""
    if body[4:8] == b"ftyp":
        brands = body[8 : min(int.from_bytes(body[:4], "big"), 256)]
        return "AVIF" if b"avif" in brands or b"avis" in brands else None
    if body[:4] == b"RIFF":
        return "WebP" if body[8:12] == b"WEBP" else None
    return next((name for start, name in STARTS.items() if body.startswith(start)), None)


def read(body: bytes) -> Header | str:
    """The header, or a reason why these bytes are of no use."""
    if not body:
        return "the file is empty"
    form = format_of(body)
    if form is None:
        reasons = (why for pattern, why in REFUSED if re.match(pattern.encode("latin-1"), body[:512]))
        return next(reasons, "is not an image of a known format")
    try:
        header = READERS[form](body)
    except (IndexError, struct.error):
        return "is cut short"
    except ValueError:
        return f"cannot be decoded as {form}: its header is damaged"
    return (
        header if header.height > 0 and header.width > 0 else f"cannot be decoded as {form}: it says it has no pixels"
    )


def _jpeg(body: bytes) -> Header:
    at, turn = 2, 1
    size: tuple[int, int] | None = None
    while True:
        if body[at] != 0xFF:  # bytes that belong to nothing, which decoders pass over
            at = body.find(b"\xff", at)
            if at < 0:
                raise IndexError
        mark = body[at + 1]
        if mark == 0xFF or mark == 0x01 or 0xD0 <= mark <= 0xD7:
            at += 1 if mark == 0xFF else 2
            continue
        (long,) = struct.unpack_from(">H", body, at + 2)
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", body, at + 5)
            size = height, width
        elif mark == 0xE1 and body[at + 4 : at + 10] == b"Exif\0\0":
            turn = exif.orientation(body[at + 10 : at + 2 + long])
        elif mark == 0xDA:
            break
        elif mark == 0xD9 or long < 2:
            raise ValueError
        at += 2 + long
    if size is None:
        raise ValueError
    # FF D9 cannot stand inside the pixels; phones append films behind it
    whole = body.endswith(b"\xff\xd9") or body.find(b"\xff\xd9", at) >= 0
    return Header("JPEG", *size, turn, whole)


def _png(body: bytes) -> Header:
    """Only the chunks that make pixels go on to the decoder: no bomb of text, no remark on a colour profile."""
    width, height = struct.unpack_from(">II", body, 16)
    if body[12:16] != b"IHDR":
        raise ValueError
    at, turn, chunks, name = len(PNG), 1, [PNG], b""
    only = True
    while name != b"IEND" and at < len(body):
        (long,) = struct.unpack_from(">I", body, at)
        name, end = body[at + 4 : at + 8], at + 12 + long
        if end > len(body):
            return Header("PNG", height, width, whole=False)
        if name in PIXEL_CHUNKS:
            if zlib.crc32(memoryview(body)[at + 4 : end - 4]) != int.from_bytes(body[end - 4 : end], "big"):
                raise ValueError
            if name == b"IDAT" and chunks[-1][4:8] != name and long > 1 and not _is_zlib(body[at + 8], body[at + 9]):
                raise ValueError
            chunks.append(body[at:end])
        else:
            only = False
            turn = exif.orientation(body[at + 8 : end - 4]) if name == b"eXIf" else turn
        at = end
    return Header("PNG", height, width, turn, name == b"IEND", body=None if only else b"".join(chunks))


def _is_zlib(first: int, second: int) -> bool:
    """How packed pixels begin; libpng says so on the terminal where they do not."""
    return first & 15 == 8 and (first * 256 + second) % 31 == 0


def _gif(body: bytes) -> Header:
    """The first frame is kept; the others are only walked over."""
    width, height = struct.unpack_from("<HH", body, 6)
    at, first, frames = 13 + _palette(body[10]), 0, 0
    while body[at] != 0x3B:
        if body[at] == 0x2C:
            across, down = struct.unpack_from("<HH", body, at + 5)
            width, height = max(width, across), max(height, down)
            at = _blocks(body, at + 11 + _palette(body[at + 9]))
            first, frames = first or at, frames + 1
        elif body[at] == 0x21:
            at = _blocks(body, at + 2)
        else:
            raise ValueError
    if not first:
        raise ValueError
    return Header("GIF", height, width, body=body[:first] + b";" if frames > 1 else None)


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(body: bytes, at: int) -> int:
    while body[at]:
        at += 1 + body[at]
    return at + 1


def _bmp(body: bytes) -> Header:
    start, head = struct.unpack_from("<II", body, 10)
    if head == 12:
        width, height, bits, packed = *struct.unpack_from("<HH", body, 18), struct.unpack_from("<H", body, 24)[0], 0
    else:
        width, height = struct.unpack_from("<ii", body, 18)
        bits, packed = struct.unpack_from("<HI", body, 28)
    height = abs(height)
    whole = packed not in (0, 3) or start + (width * bits + 31) // 32 * 4 * height <= len(body)
    return Header("BMP", height, width, whole=whole)


def _webp(body: bytes) -> Header:
    whole = int.from_bytes(body[4:8], "little") + 8 <= len(body) + 1  # some writers leave the last padding byte out
    kind = body[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(body[i : i + 3], "little") + 1 for i in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", body, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (n & 0x3FFF for n in struct.unpack_from("<HH", body, 26))
    else:
        raise ValueError
    at, turn = 12, 1
    while kind == b"VP8X" and at + 8 <= len(body):
        (long,) = struct.unpack_from("<I", body, at + 4)
        if body[at : at + 4] == b"EXIF":
            turn = exif.orientation(body[at + 8 : at + 8 + long].removeprefix(b"Exif\0\0"))
        at += 8 + long + long % 2
    return Header("WebP", height, width, turn, whole)


def _tiff(body: bytes) -> Header:
    """The first page. OpenCV turns TIFF by itself."""
    tags = dict(exif.tags(body))
    first = {tag: values[0] for tag, values in tags.items() if values}
    if 256 not in first or 257 not in first or first.get(277, 1) > 4 or first.get(322, 0) * first.get(323, 0) > 1 << 26:
        raise ValueError
    starts, longs = (tags.get(273), tags.get(279)) if 273 in tags else (tags.get(324), tags.get(325))
    if not starts:
        raise ValueError
    whole = all(s + n <= len(body) for s, n in zip(starts, longs or (1,) * len(starts), strict=False))
    return Header("TIFF", first[257], first[256], whole=whole)


def _pnm(body: bytes) -> Header:
    if body[:2] == b"P7":
        return _pam(body)
    kind, head = int(body[1:2]), body[:4096]
    token = rb"(?:\s|#[^\n]*\n)+(\d{1,9})"
    match = re.match(rb"P\d" + token * (2 if kind in (1, 4) else 3), head)
    if not match:
        if len(body) < 32:
            raise IndexError
        raise ValueError
    width, height, top = int(match[1]), int(match[2]), int(match[3]) if kind not in (1, 4) else 1
    across = {4: (width + 7) // 8, 5: width, 6: 3 * width}.get(kind, 0) * (2 if top > 255 else 1)
    form = "array" if body[2:11] == b"\n# array\n" else "PNM"
    return Header(form, height, width, whole=match.end() + 1 + across * height <= len(body), top=_top(top))


def _pam(body: bytes) -> Header:
    head, mark, _ = body[:4096].partition(b"ENDHDR\n")
    if not mark:
        raise IndexError
    fields = {
        name: int(value) for name, value in re.findall(rb"(?m)^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d{1,9})\s*$", head)
    }
    if len(fields) < 4:
        raise ValueError
    height, width, depth, top = fields[b"HEIGHT"], fields[b"WIDTH"], fields[b"DEPTH"], fields[b"MAXVAL"]
    long = len(head) + len(mark) + height * width * depth * (2 if top > 255 else 1)
    return Header("PAM", height, width, whole=long <= len(body), top=_top(top))


PFM = re.compile(rb"P([Ff])\s+(\d{1,9})\s+(\d{1,9})\s+([-+]?[\d.eE+-]{1,20})\s")


def _pfm(body: bytes) -> Header:
    match = PFM.match(body[:200])
    if not match:
        raise IndexError
    width, height = int(match[2]), int(match[3])
    needed = match.end() + width * height * (12 if match[1] == b"F" else 4)
    return Header("PFM", height, width, whole=needed <= len(body))


def pfm_pixels(body: bytes, header: Header) -> np.ndarray:
    """Floats (height, width[, 3]), blue first, of a sound PFM, whose rows stand from below."""
    match = PFM.match(body[:200])
    assert match
    shape = (header.height, header.width, *((3,) if match[1] == b"F" else ()))
    values = np.frombuffer(body, "<f4" if match[4].startswith(b"-") else ">f4", math.prod(shape), match.end())
    image = values.reshape(shape)[::-1].astype(np.float32)
    return np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image


def _top(top: int) -> int:
    if not 0 < top < 65536:
        raise ValueError
    return top if top > 255 else 65535


def _jpeg_2000(body: bytes) -> Header:
    at = body.index(b"\xff\x4f\xff\x51")
    right, down, left, upper = struct.unpack_from(">IIII", body, at + 8)
    bits = (body[at + 42] & 0x7F) + 1
    return Header("JPEG 2000", down - upper, right - left, top=(1 << bits) - 1 if bits > 8 else 65535)


def _avif(body: bytes) -> Header:
    """The largest of all sizes named, so that the tiles of a grid do not hide the whole."""
    at, meta = 0, b""
    while at + 8 <= len(body):
        long, kind = struct.unpack_from(">I4s", body, at)
        if long < 2:  # up to the end, or a long length behind
            long = struct.unpack_from(">Q", body, at + 8)[0] if long else len(body) - at
        if long < 8:
            raise ValueError
        if kind == b"meta":
            meta = body[at : at + long]
        at += long
    sizes = [struct.unpack_from(">II", meta, match.end() + 4) for match in re.finditer(b"ispe", meta)]
    if not sizes:
        raise ValueError
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    depth = re.search(rb"(?s)pixi.{4}.(.)", meta)
    turned, mirrored = re.search(rb"(?s)irot(.)", meta), re.search(rb"(?s)imir(.)", meta)
    turn = AVIF_TURNS[turned[1][0] & 3 if turned else 0][mirrored[1][0] & 1 if mirrored else 2]
    bits = depth[1][0] if depth else 8
    return Header("AVIF", height, width, turn, at <= len(body), (1 << bits) - 1 if bits > 8 else 65535)


# by quarter turns against the clock; mirrored upside down, left to right, or not
AVIF_TURNS = ((4, 2, 1), (5, 7, 8), (2, 4, 3), (7, 5, 6))


def _hdr(body: bytes) -> Header:
    match = re.search(rb"[-+]Y (\d{1,9}) [-+]X (\d{1,9})\n", body[:4096])
    if not match:
        raise ValueError
    return Header("HDR", int(match[1]), int(match[2]))


READERS: dict[str, Callable[[bytes], Header]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "BMP": _bmp,
    "WebP": _webp,
    "TIFF": _tiff,
    "PNM": _pnm,
    "PFM": _pfm,
    "JPEG 2000": _jpeg_2000,
    "AVIF": _avif,
    "HDR": _hdr,
}
