"""Series as cells of a column: lists of numbers, or of steps that are lists of channels."""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError, nearest
from lamina.schema import floats, null_if_missing

FEWEST = 4  # numbers in each row of an array that is one series and not some columns
MANY = 12  # columns that count up, from which on a note says that they look like one series
NUMBERED = re.compile(r"(.*?)[ _\-.]?(\d+)")


def column(flat: np.ndarray, steps: Sequence[int] | np.ndarray, channels: int) -> pa.Array:
    """Series of some steps each, out of all their numbers with the channels of a step side by side; NaN is null."""
    values = pa.array(np.ascontiguousarray(flat), from_pandas=True)
    if channels > 1:
        values = pa.FixedSizeListArray.from_arrays(values, channels)
    bounds = np.concatenate([[0], np.cumsum(steps)])
    if bounds[-1] < 1 << 31:
        return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), values)
    return pa.LargeListArray.from_arrays(pa.array(bounds, pa.int64()), values)


def are(values: Any) -> bool:
    """Whether a column given in Python is series: an array (rows, steps, channels) of numbers, one of floats (rows,
    four steps or more), or arrays of numbers one by one, of one or two dimensions.
    """
    if isinstance(values, np.ndarray) and values.dtype != object:
        many = values.ndim == 3 or (values.ndim == 2 and values.dtype.kind == "f" and values.shape[1] >= FEWEST)
        return many and values.dtype.kind in "iuf" and values.dtype != np.uint8 and values.size > 0
    first = next((value for value in values if value is not None), None)
    return isinstance(first, np.ndarray) and _is_one(first)


def _is_one(value: np.ndarray) -> bool:
    return value.dtype.kind in "iuf" and value.ndim in (1, 2) and (value.dtype != np.uint8 or value.ndim == 1)


def from_arrays(name: str, values: Any) -> pa.Array:
    """Arrays as a column of series; None is missing. Errors: DataError naming the row that is none."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        rows, steps = values.shape[:2]
        channels = values.shape[2] if values.ndim == 3 else 1
        return column(values.reshape(-1).astype(np.float64), np.full(rows, steps), channels)
    cells = list(values)
    for row, cell in enumerate(cells):
        if cell is not None and not (isinstance(cell, np.ndarray) and _is_one(cell)):
            raise DataError(
                f"data.{name}[{row}]: must be an array of numbers, (steps,) or (steps, channels), as the first one is "
                f"(got {type(cell).__name__}). Give None where there is none."
            )
    widths = {cell.shape[1] if cell.ndim == 2 else 1 for cell in cells if cell is not None}
    if len(widths) > 1:
        counts = ", ".join(map(str, sorted(widths)))
        raise DataError(
            f"data.{name}: the series must have equally many channels, (steps, channels) each (got {counts})."
        )
    steps = [0 if cell is None else len(cell) for cell in cells]
    flat = [cell.reshape(-1).astype(np.float64) for cell in cells if cell is not None]
    whole = column(np.concatenate(flat) if flat else np.zeros(0), steps, max(widths, default=1))
    return pc.if_else(pa.array([cell is not None for cell in cells]), whole, pa.scalar(None, whole.type))


def group_columns(table: pa.Table, series: Mapping[str, str]) -> pa.Table:
    """The table with the columns that match each pattern as the steps of one series, under the name said.

    Columns are ordered by the number their names end in. Missing cells behind the last number end a series sooner.
    A cell that is no number is kept as text, and tells of itself when the series is read.
    """
    for name, pattern in series.items():
        if name in table.column_names and not fnmatchcase(name, pattern):
            continue  # the file holds it as a list already
        names = [column for column in table.column_names if fnmatchcase(column, pattern)]
        if len(names) < 2:
            near = nearest(pattern, table.column_names) if len(table.column_names) < 50 else ""
            raise DataError(f"data.series.{name}: no two columns match '{pattern}'. {near}".rstrip())
        cells = _steps([table[column].combine_chunks() for column in _in_order(names)])
        at = table.column_names.index(names[0])
        table = table.drop_columns(names)
        table = table.add_column(min(at, table.num_columns), name, cells)
    return table


def _in_order(names: list[str]) -> list[str]:
    numbers = [re.search(r"(\d+)\D*$", name) for name in names]
    if not all(numbers):
        return names
    return sorted(names, key=lambda name: int(re.findall(r"\d+", name)[-1]))


def _steps(columns: list[pa.Array]) -> pa.Array:
    read = [_numbers(column) for column in columns]
    rows = len(columns[0])
    if all(values is not None for values in read):
        wide = np.stack([values for values in read if values is not None], axis=1) if rows else np.zeros((0, 1))
        there = ~np.isnan(wide)
        steps = np.where(there.any(axis=1), wide.shape[1] - there[:, ::-1].argmax(axis=1), 0)
        inside = np.arange(wide.shape[1]) < steps[:, None]
        lists = column(wide[inside], steps, 1)
        return pc.if_else(pa.array(steps > 0), lists, pa.scalar(None, lists.type))
    texts = [column.cast(pa.string()).to_pylist() for column in columns]
    return pa.array([list(cells) for cells in zip(*texts, strict=True)], pa.list_(pa.string()))


def _numbers(cells: pa.Array) -> np.ndarray | None:
    """float64 with NaN where missing; None where a text is no number."""
    return floats(null_if_missing(cells) if pa.types.is_string(cells.type) else cells)


def hint(names: Iterable[str]) -> tuple[str, ...]:
    """A note where many columns count up, as the steps of a series do."""
    runs: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if match := NUMBERED.fullmatch(name):
            runs.setdefault(match[1], []).append((int(match[2]), name))
    notes = []
    for prefix, members in runs.items():
        numbers = [number for number, _ in members]
        if len(members) >= MANY and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
            option = f"--set data.series.signal='{prefix}*'" if prefix else "--set data.series.signal='[0-9]*'"
            notes.append(
                f"{len(members)} columns, {members[0][1]} to {members[-1][1]}, count up. If they are the steps of one "
                f"series, say so: {option}"
            )
    return tuple(notes)
