"""What the cells of a column of answers are, by their Arrow type and their first bytes: images, shares, series ..."""

import base64
import binascii
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess.image import codec, headers

Sort = Literal["image", "shares", "series", "labels", "struct", "plain"]
FEWEST = 40  # characters of an image in base64
MOST_PIXELS = 50_000_000
SMALL, SIDE = 1 << 17, 560  # bytes of an image that is sent as it is, and pixels of the longer side of another


def sort(column: pa.ChunkedArray) -> Sort:
    """What the cells of a column are."""
    kind = column.type
    if pa.types.is_struct(kind):
        return "shares" if _are_shares(column) else "struct"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = kind.value_type
        return "series" if pa.types.is_floating(inner) or pa.types.is_nested(inner) else "labels"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_string(kind):
        cells = column.drop_null()
        return "image" if len(cells) and image(cells[0].as_py()) is not None else "plain"
    return "plain"


def _are_shares(column: pa.ChunkedArray) -> bool:
    """Whether each field is a number from 0 to 1."""
    fields = column.combine_chunks().flatten()
    if not fields or not all(pa.types.is_floating(field.type) for field in fields):
        return False
    ends = [pc.min_max(field).as_py() for field in fields]
    return all(end["min"] is None or (end["min"] >= 0 and end["max"] <= 1) for end in ends)


def image(cell: str | bytes | None) -> bytes | None:
    """The bytes of an image, which a cell may have in base64; None where it is none."""
    if isinstance(cell, str):
        if len(cell) < FEWEST or " " in cell[:FEWEST]:
            return None
        try:
            cell = base64.b64decode(cell, validate=True)
        except (binascii.Error, ValueError):  # base64 can be told only by decoding it
            return None
    return cell if cell and headers.format_of(cell) else None


def ending(body: bytes) -> str:
    """The ending of a file of this image."""
    return (headers.format_of(body) or "bin").lower()


def address(body: bytes) -> str:
    """An image as a `data:` address that every browser shows, made smaller where it is large; "" where it cannot be
    decoded.
    """
    if headers.format_of(body) == "PNG" and len(body) < SMALL:
        return f"data:image/png;base64,{base64.b64encode(body).decode()}"
    pixels, _ = codec.pixels(body, MOST_PIXELS)
    return "" if pixels is None else codec.data_address(pixels[:, :, ::-1], SIDE)
