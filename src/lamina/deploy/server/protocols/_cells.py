"""Inputs of the Open Inference Protocol as the cells of rows: numbers, texts, series, images."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.data._image_cells import pnm
from lamina.deploy.server.limits import RequestError, bare
from lamina.deploy.server.protocols._tensors import ANY, BYTES, Signature, plain

CHANNELS = (1, 3, 4)  # of an image
WIDEST = 1 << 63  # 64 bits hold whole numbers below it


class Values(NamedTuple):
    """What came for one input, flat, the row first: an array of numbers, or a list of plain cells; texts in binary are
    bytes.
    """

    datatype: str
    shape: tuple[int, ...]
    flat: np.ndarray | list[Any]


def cells_of(name: str, values: Values, signature: Signature) -> list[Any]:
    """The cells that an input is, one for each row. Errors: RequestError where it can be none of its column."""
    sizes, is_series = values.shape[1:], name in signature.series and values.datatype != BYTES
    if is_series and len(sizes) in (1, 2) and 0 not in sizes:
        return _series(_grid(name, values, np.float64), name in signature.channels_first)
    if name in signature.images and values.datatype == "UINT8" and _is_image(sizes):
        return pnm(_grid(name, values, np.uint8)).to_pylist()
    if sizes in ((), (1,)) and not is_series:
        return _scalars(name, values, name in signature.files)
    got = f"{values.datatype} of the shape {list(values.shape)}"
    raise RequestError(400, f"inputs.{bare(name)}: cannot be read (got {got}). Send {_words(name, signature)}.")


def _words(name: str, signature: Signature) -> str:
    """What may be sent for a column."""
    tensor = signature.inputs[name]
    inner = "".join(", any" if size == ANY else f", {size}" for size in tensor.shape[1:])
    pixels = " or UINT8 of the shape [rows, height, width, channels]" if name in signature.images else ""
    return f"{tensor.datatype} of the shape [rows{inner}]{pixels}"


def _scalars(name: str, values: Values, is_file: bool) -> list[Any]:
    """One plain cell for each row: NaN is missing, and a whole number too large for 64 bits is its digits."""
    cells = values.flat
    if isinstance(cells, np.ndarray):
        if cells.dtype.kind == "f":
            return plain(cells, np.isnan(cells))
        whole = cells.tolist()
        return [str(cell) if cell >= WIDEST else cell for cell in whole] if cells.dtype == np.uint64 else whole
    if is_file or not isinstance(cells[0], bytes):
        return cells
    return [_text(name, row, cell) for row, cell in enumerate(cells)]


def _text(name: str, row: int, cell: bytes) -> str:
    try:
        return cell.decode()
    except UnicodeDecodeError as error:
        place = f"inputs.{bare(name)}[{row}]"
        raise RequestError(400, f"{place}: is not UTF-8 (byte {error.start}). Send text in UTF-8.") from None


def _grid(name: str, values: Values, dtype: type[np.generic]) -> np.ndarray:
    """The values in their shape; null is NaN among floats. Errors: RequestError for what cannot be of this type."""
    try:
        return np.asarray(values.flat, dtype).reshape(values.shape)
    except (OverflowError, TypeError):
        cure = "Send numbers in its range."
        raise RequestError(400, f"inputs.{bare(name)}: holds what is no {values.datatype}. {cure}") from None


def _series(grid: np.ndarray, channels_first: bool) -> list[Any]:
    """(rows, steps[, channels]) as a list for each row, which ends where nothing but NaN is behind."""
    cells = list[Any]()
    for row in grid:
        turned = channels_first and row.ndim == 2
        steps = row.T if turned else row  # (steps, channels) or (steps,)
        there = np.flatnonzero(~np.isnan(steps.reshape(len(steps), -1)).all(axis=1))
        steps = steps[: there[-1] + 1] if len(there) else steps[:0]
        part = steps.T if turned else steps
        cells.append(plain(part, np.isnan(part)) if len(there) else None)
    return cells


def _is_image(sizes: Sequence[int]) -> bool:
    return 0 not in sizes and (len(sizes) == 2 or (len(sizes) == 3 and sizes[2] in CHANNELS))
