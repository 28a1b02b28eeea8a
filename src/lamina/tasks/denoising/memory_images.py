"""Images in the caller's own types: arrays of floats into cells, and answers into arrays."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.config import DataError
from lamina.data import arrays
from lamina.data._image_cells import pnm
from lamina.tasks.denoising import image_files

LARGEST = 1 << 31  # pixels of an answer, which was an image just now


def with_floats(rows: Any, files: Sequence[str]) -> Any:
    """Rows in which arrays of floats, (height, width) or with 1 or 3 channels behind, are files of floats."""
    if isinstance(rows, np.ndarray) and rows.dtype.kind == "f":
        if rows.ndim == 2 or (rows.ndim == 3 and rows.shape[2] in (1, 3)):
            return [_cell(rows)]
        return [_cell(one) for one in rows]
    if isinstance(rows, Mapping):
        return {name: _cells(values) if name in files else values for name, values in rows.items()}
    if isinstance(rows, list | tuple):
        return [
            {name: _cell(cell) if name in files else cell for name, cell in row.items()}
            if isinstance(row, Mapping)
            else _cell(row)
            for row in rows
        ]
    return rows


def _cells(values: Any) -> Any:
    whole = isinstance(values, np.ndarray) and values.dtype != object and values.dtype.kind != "f"
    return values if whole or isinstance(values, str | bytes) else [_cell(value) for value in values]


def _cell(value: Any) -> Any:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return value
    if value.ndim not in (2, 3) or (value.ndim == 3 and value.shape[2] not in (1, 3)) or 0 in value.shape:
        form = "height x width, or with 1 or 3 channels behind"
        raise DataError(f"data: images of floats must be {form} (got shape {value.shape}).")
    return pnm(value[None].astype(np.float32))[0].as_py()


def like(answers: pa.Table, name: str, rows: Any) -> Any:
    """Arrays for images alone, as many as came; in tables, a column of arrays."""
    images = [_array(cell) for cell in answers[name].to_pylist()]
    if isinstance(rows, np.ndarray) and rows.dtype != object:
        if rows.ndim == 2 or (rows.ndim == 3 and len(images) == 1 and rows.shape[2] in (1, 3, 4)):
            return images[0].reshape(rows.shape) if images[0].size == rows.size else images[0]
        return np.stack([one.reshape(rows.shape[1:]) if one.size == rows[0].size else one for one in images])
    if isinstance(rows, list | tuple):
        named = bool(rows) and isinstance(rows[0], Mapping)
        return [{name: one} for one in images] if named else images
    if isinstance(rows, Mapping):
        return {name: images}
    single = (len(images) == 1 and not hasattr(rows, "__len__")) or isinstance(rows, str | bytes)
    return images[0] if single else arrays.like(answers, rows)


def _array(cell: str | None) -> np.ndarray:
    """(height, width), or with the channels behind where there are several."""
    image = image_files.decode(None if cell is None else base64.b64decode(cell), LARGEST)
    assert not isinstance(image, str)
    parts = [image.pixels] if image.alpha is None else [image.pixels, image.alpha]
    whole = np.concatenate(parts, axis=2)
    return whole[:, :, 0] if whole.shape[2] == 1 else whole
