"""Images as files hold them, of any depth, to numbers that a network is fed, and back to files of the same sort."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lamina.preprocess import Preprocessor, parse_columns
from lamina.preprocess.image import cells, codec
from lamina.preprocess.image.stderr import quiet
from lamina.schema import Schema, clean
from lamina.task import Session
from lamina.tasks.denoising import tiling

TOPS = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}  # white, by the type of a pixel
PNG, TIFF = ".png", ".tiff"
MISSING = "is missing"


class Image(NamedTuple):
    """Upright pixels as deep as the file has them, (height, width, 1 or 3), red first; what is transparent apart."""

    pixels: np.ndarray
    alpha: np.ndarray | None = None  # (height, width, 1)

    @property
    def white(self) -> float:
        """The number that is white; floats are taken as they are."""
        return TOPS.get(self.pixels.dtype, 1.0)

    @property
    def suffix(self) -> str:
        """Of the file that can hold it."""
        return PNG if self.pixels.dtype in TOPS else TIFF


def decode(body: bytes | None, most: int) -> Image | str:
    """The pixels of a file of at most so many, or the reason why there are none."""
    if body is None:
        return MISSING
    with quiet():
        decoded = codec.decode(body, most)
    if isinstance(decoded, str):
        return decoded
    image = codec.upright(decoded.image, decoded.head.turn)
    image = image[:, :, None] if image.ndim == 2 else image
    image = image if image.dtype in TOPS else image.astype(np.float32)
    if not np.isfinite(image).all():
        return "holds numbers that are not finite"
    count = image.shape[2]
    colours, alpha = (image[:, :, :-1], image[:, :, -1:]) if count in (2, 4) else (image, None)
    return Image(np.ascontiguousarray(colours[:, :, ::-1]), alpha)


def encode(image: Image) -> bytes:
    """A PNG of the same depth; of floats a TIFF of floats."""
    parts = [image.pixels[:, :, ::-1]]
    if image.alpha is not None:  # grey has none in these files
        parts = [np.repeat(parts[0], 3, axis=2) if parts[0].shape[2] == 1 else parts[0], image.alpha]
    ok, body = codec.opencv().imencode(image.suffix, np.ascontiguousarray(np.concatenate(parts, axis=2)))
    assert ok
    return body.tobytes()


def restore(session: Session, image: Image) -> Image:
    """The same image without its noise; of whole numbers, rounded to these. What is transparent stays what it is."""
    out = restored(session, image.pixels.astype(np.float32) / image.white) * image.white
    if image.pixels.dtype in TOPS:
        out = np.rint(np.clip(out, 0, image.white))
    return image._replace(pixels=out.astype(image.pixels.dtype))


def restored(session: Session, pixels: np.ndarray) -> np.ndarray:
    """(height, width, 1 or 3) float32 of 0 to 1 as the network answers it: a network of grey images sees colours one
    by one, one of colours sees grey three times.
    """
    channels = session.task.state.channels
    if pixels.shape[2] == channels:
        return tiling.restore(session, np.ascontiguousarray(pixels))
    if channels == 1:
        parts = [tiling.restore(session, np.ascontiguousarray(pixels[:, :, i : i + 1])) for i in range(pixels.shape[2])]
        return np.concatenate(parts, axis=2)
    return tiling.restore(session, np.repeat(pixels, 3, axis=2)).mean(axis=2, keepdims=True)


def column(schema: Schema, rows: pa.Table, name: str) -> cells.Cells:
    """The cells of a column of images: paths and bytes."""
    raw = clean(rows, schema.missing, schema.literal)
    own = [one for one in (*schema.columns, schema.target) if one and one.name == name]
    values = parse_columns(raw, tuple(own))[name]
    return cells.cells(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)


def most(prep: Preprocessor) -> int:
    """Pixels of an image at most."""
    return prep.states[0].model_dump()["max_pixels"]


def read(column: cells.Cells, row: int, most: int) -> Image | str:
    """The image of one row, or why there is none."""
    body, reason = cells.body(column, row)
    return reason or decode(body, most)
