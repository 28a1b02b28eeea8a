"""Images that are things in memory (arrays, PIL images, bytes, paths) as cells of a column."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.config import DataError
from lamina.data._image_cells import pnm
from lamina.schema import FILE_CELL

DEPTHS = (np.uint8, np.uint16)


def are(values: Any) -> bool:
    """Whether a column can only be images: a uint8 array of 3 or 4 dimensions, or such arrays or PIL images; of
    uint16 those with colours, for others may be series.
    """
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values.ndim in {np.dtype(np.uint8): (3, 4), np.dtype(np.uint16): (4,)}.get(values.dtype, ())
    first = next((value for value in values if value is not None), None)
    if _is_pil(first) or not isinstance(first, np.ndarray):
        return _is_pil(first)
    return _is_array(first) and (first.dtype == np.uint8 or first.ndim == 3)


def cells(name: str, values: Any) -> pa.Array:
    """A column of images: texts where all are paths, else bytes; arrays become PNM, which is a header before them.

    Arrays are uint8, or uint16 of which black and white are learned, (height, width), or red first with 1, 3 or 4
    channels behind. Errors: DataError naming the row.
    """
    if isinstance(values, np.ndarray) and values.dtype != object and values.ndim in (3, 4):
        return _many(name, values)
    pairs = [_cell(f"{name}[{row}]", value) for row, value in enumerate(values)]
    if all(body is None for _, body in pairs):
        return pa.array([path for path, _ in pairs], pa.string())
    bodies = pa.array([body for _, body in pairs], pa.large_binary())
    if all(path is None for path, _ in pairs):
        return bodies
    paths = pa.array([path for path, _ in pairs], pa.string())
    absent = pa.array([cell == (None, None) for cell in pairs])
    return pa.StructArray.from_arrays([paths, bodies], fields=list(FILE_CELL), mask=absent)


def _many(name: str, values: np.ndarray) -> pa.Array:
    if values.dtype not in DEPTHS or (values.ndim == 4 and values.shape[3] not in (1, 3, 4)) or 0 in values.shape[1:]:
        raise _refused(f"data.{name}", values)
    return pnm(values)


def _cell(place: str, value: Any) -> tuple[str | None, bytes | None]:
    """(path, bytes), one of which is None; both where there is no image."""
    if value is None or (isinstance(value, float) and value != value) or type(value).__name__ == "NAType":
        return None, None
    if isinstance(value, dict) and "bytes" in value and value.keys() <= {"path", "bytes"}:
        return value.get("path"), value["bytes"]
    if isinstance(value, bytes | bytearray | memoryview):
        return None, bytes(value)
    if isinstance(value, str | os.PathLike):
        return (os.fspath(value) or None), None
    if _is_pil(value):
        try:
            value = _from_pil(value)
        except (
            OSError,
            ValueError,
            SyntaxError,
        ) as error:  # pixels are read now, of a file cut short
            raise DataError(f"data.{place}: this PIL image cannot be read ({error}). Give its path or bytes.") from None
    if not isinstance(value, np.ndarray):
        got = type(value).__name__
        raise DataError(f"data.{place}: must be an image (got '{got}'). Give a path, bytes, an array or a PIL image.")
    if not _is_array(value):
        raise _refused(f"data.{place}", value)
    return None, _many(place, value[None])[0].as_py()


def _is_array(value: np.ndarray) -> bool:
    shaped = value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (1, 3, 4))
    return value.dtype in DEPTHS and shaped and 0 not in value.shape


def _refused(place: str, value: np.ndarray) -> DataError:
    form = "uint8, 0 to 255, or uint16, height x width, with 1, 3 or 4 channels last if any"
    return DataError(f"{place}: images must be {form} (got {value.dtype} of shape {value.shape}). Convert them.")


def _is_pil(value: Any) -> bool:
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, vars(module)["Image"])


def _from_pil(image: Any) -> np.ndarray:
    """Upright, grey or colour, as the file would be read."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return np.asarray(image.convert("RGBA"))
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() >= 0 and values.max() <= 65535:
            return values.astype(np.uint16)
    if image.mode in ("I", "F"):
        raise DataError(f"data: a PIL image of mode {image.mode} has no known white. Convert it, or give its path.")
    return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def is_image(source: Any) -> bool:
    """Whether it can only be a single image: its path, bytes or PIL image."""
    return isinstance(source, str | os.PathLike | bytes | bytearray) or _is_pil(source)


def as_columns(source: Any, image_columns: Sequence[str]) -> Any:
    """One image, or a list or an array of images alone, as the one column there is; anything else as it came."""
    if len(image_columns) != 1:
        return source
    if is_image(source):
        return {image_columns[0]: [source]}
    if isinstance(source, np.ndarray) and source.dtype != object:
        return {image_columns[0]: source[None] if _is_array(source) else source} if source.ndim in (2, 3, 4) else source
    bare = isinstance(source, list | tuple | np.ndarray) and len(source)
    return {image_columns[0]: list(source)} if bare and not all(isinstance(row, dict) for row in source) else source
