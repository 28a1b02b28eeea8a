"""Rows and answers as tensors: a column of rows is an input, a column of answers an output, the row comes first.

Datatypes are those of the Open Inference Protocol.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.deploy.cell_notes import SERIES
from lamina.deploy.server.content_types import matches
from lamina.deploy.server.endpoint import Endpoint
from lamina.preprocess import Preprocessor
from lamina.schema import Column

ANY = -1  # a dimension of any size
BYTES = "BYTES"  # texts, and files
DTYPES = {
    "BOOL": np.dtype("?"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
OF_TYPE: dict[type, str] = {bool: "BOOL", int: "INT64", float: "FP64"}
OF_KIND = {"number": "FP64", "boolean": "BOOL", SERIES: "FP32"}
ANYMAP = "image/x-portable-anymap"  # a header before pixels, so that an array is a file


class Tensor(NamedTuple):
    """An input or an output; `labels` are those of its last dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    labels: tuple[str, ...] = ()


class Signature:
    """The inputs and outputs of an operation that answers each row by itself.

    `channels_first`: series whose lists are channels; `files`: inputs whose cells are files; `images`: those of them
    that an array of pixels can be.
    """

    def __init__(self, endpoint: Endpoint):
        prep = endpoint.prep
        self.channels_first = {c.name for c in prep.columns if c.settings.get("layout") == "channels_first"}
        self.series = {column.name for column in prep.columns if column.kind == SERIES}
        self.files = {column.name for column in prep.files}
        self.images = {name for name in self.files if matches(ANYMAP, prep.file_kind(name).media)}
        self.inputs = {column.name: self._input(prep, column) for column in prep.columns}
        self.outputs = {name: _output(name, value) for name, value in next(iter(endpoint.example.answers), {}).items()}

    def _input(self, prep: Preprocessor, column: Column) -> Tensor:
        datatype, inner = OF_KIND.get(column.kind, BYTES), ()
        if column.name in self.series:
            channels = prep.feed(column.name).shape[-1] or 1
            by_step = (channels, ANY) if column.name in self.channels_first else (ANY, channels)
            inner = by_step if channels > 1 else (ANY,)
        return Tensor(column.name, datatype, (ANY, *inner))


def _output(name: str, value: Any) -> Tensor:
    """An output by an answer: numbers as they are, numbers by class side by side, lists of numbers as long as the
    longest; all else is text.
    """
    if isinstance(value, dict) and value and set(map(type, value.values())) == {float}:
        return Tensor(name, "FP64", (ANY, len(value)), tuple(value))
    depth = 0
    while isinstance(value, list):
        value, depth = next(iter(value), None), depth + 1
    if depth in (1, 2) and type(value) in (int, float):
        return Tensor(name, "FP64", (ANY,) * (depth + 1))
    return Tensor(name, OF_TYPE.get(type(value), BYTES) if depth == 0 else BYTES, (ANY,))


def output_values(tensor: Tensor, cells: Sequence[Any]) -> np.ndarray | list[str]:
    """A column of answers in the datatype of its tensor; where there is none it is NaN, 0, false or an empty text."""
    if tensor.datatype == BYTES:
        return [cell if isinstance(cell, str) else "" if cell is None else json.dumps(cell) for cell in cells]
    dtype = DTYPES[tensor.datatype]
    if tensor.labels:
        return np.array([[cell[label] for label in tensor.labels] for cell in cells], dtype)
    if len(tensor.shape) > 1:
        return _padded(cells, len(tensor.shape))
    return np.array(cells if dtype.kind == "f" else [cell or 0 for cell in cells], dtype)


def _padded(rows: Sequence[Any], dimensions: int) -> np.ndarray:
    """Lists of numbers, or lists of these, as one array of the longest, with NaN behind shorter ones."""
    shape, level = [len(rows)], rows
    for _ in range(dimensions - 1):
        shape.append(max((len(one or ()) for one in level), default=0))
        level = [inner for one in level for inner in one or ()]
    out = np.full(shape, np.nan)
    for i, row in enumerate(rows):
        if dimensions == 2:
            out[i, : len(row or ())] = row or ()
        for k, inner in enumerate(row or () if dimensions > 2 else ()):
            out[i, k, : len(inner or ())] = inner or ()
    return out


def plain(array: np.ndarray, absent: np.ndarray) -> list[Any]:
    """Nested lists of plain values, null where a mask says so."""
    if not absent.any():
        return array.tolist()
    cells = array.astype(object)
    cells[absent] = None
    return cells.tolist()


def json_values(values: np.ndarray | list[str]) -> list[Any]:
    """The values of an output in strict JSON, row by row: what is no finite number is null."""
    if isinstance(values, list):
        return values
    return plain(values, ~np.isfinite(values)) if values.dtype.kind == "f" else values.tolist()
