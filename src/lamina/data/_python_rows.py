"""What people pass in Python beside tables: one row, texts by themselves, and a target apart from the rows."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamina.config import DataError
from lamina.data import _memory_images, arrays
from lamina.data._pandas_index import as_frame, is_a

TARGETS = ("target", "label", "y")  # what a target without a name is called, the first that no column is
IMAGE, SERIES, TEXT = "image", "series", "text"  # the column of rows that are images, series or texts alone


def is_path(rows: Any) -> bool:
    """Whether rows are named by where they are: a file, a folder, a pattern, `toy:churn`."""
    return isinstance(rows, str | os.PathLike)


def as_path(path: Any, place: str) -> Path:
    """A path that was given at some place. Errors: DataError for what is none."""
    if not is_path(path) or not os.fspath(path):
        got = repr(path) if path == "" else f"'{type(path).__name__}'"
        raise DataError(f"{place}: must be a path (got {got}). Name a file or a folder.")
    return Path(path)


def is_texts(rows: Any) -> bool:
    """Whether rows are texts by themselves: a list or an array of them."""
    if isinstance(rows, np.ndarray):
        return rows.ndim == 1 and rows.dtype.kind in "UO" and is_texts(rows.tolist())
    return isinstance(rows, list | tuple) and bool(rows) and all(isinstance(text, str) for text in rows)


def one_row(rows: Any, names: Collection[str]) -> Any | None:
    """One row (a dict of cells, or a pandas Series whose index are names of columns) as rows of it; None for others."""
    if is_a(rows, "pandas", "Series") and any(str(label) in names for label in rows.index):
        return rows.to_frame().T.infer_objects()
    if isinstance(rows, Mapping) and any(name in names and _is_cell(value) for name, value in rows.items()):
        return [dict(rows)]
    return None


def _is_cell(value: Any) -> bool:
    return isinstance(value, str | bytes | Mapping) or not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0


def first(answers: Any) -> Any:
    """The only answer of one row, in the type that `arrays.like` gave."""
    return answers.iloc[0] if is_a(answers, "pandas", "DataFrame") else answers[0]


def with_target(rows: Any, values: Any, name: str | None = None) -> tuple[Any, str]:
    """Rows with target values behind, one for each, and the name of their column: that of a Series, of a frame's only
    column, or the first of `TARGETS` that is free. Errors: DataError for a column that is there, or another length.
    """
    columns: Any = as_columns(rows)
    own, values = _named(values)
    present = [str(column) for column in getattr(columns, "columns", columns if isinstance(columns, Mapping) else ())]
    table = None if present else arrays.table(columns)
    present = present or (table.column_names if table is not None else [])
    name = name or own or next((free for free in TARGETS if free not in present), "target_")
    if name in present:
        raise DataError(f"y: the rows have a column '{name}' already. Leave it out of X, or name it: target='{name}'")
    cells = arrays.table(arrays.with_label_sets({name: values}, name))[name]
    count = len(next(iter(columns.values()), ())) if isinstance(columns, Mapping) else len(columns)
    if len(cells) != count:
        if isinstance(values, list | tuple) and set(map(str, values)) <= set(present):
            cure = f"A task that takes several has the setting targets: task={{'kind': ..., 'targets': {list(values)}}}"
            raise DataError(f"target: must be one column, or a value for each row (got {list(values)}). {cure}")
        raise DataError(f"y: has {len(cells):,} values where X has {count:,} rows. Give one for each row.")
    if isinstance(columns, Mapping):
        return {**columns, name: cells}, name
    if is_a(columns, "pandas", "DataFrame"):
        frame: Any = columns
        frame = frame.copy(deep=False)
        frame[name] = type(frame.iloc[:, 0])(cells.to_pylist(), index=frame.index, dtype=object)
        return frame, name
    table = arrays.table(columns) if table is None else table
    return table.append_column(name, cells), name


def as_columns(rows: Any) -> Any:
    """Rows that are all of one column, images, series or texts, under its usual name; others as they are."""
    if is_texts(rows):
        return {TEXT: list(rows)}
    if isinstance(rows, np.ndarray) and not rows.ndim:
        raise DataError(f"data: a single number is no table. Give {arrays.KINDS}.")
    if isinstance(rows, np.ndarray | list | tuple) and len(rows) and _memory_images.are(rows):
        return {IMAGE: rows}
    if isinstance(rows, np.ndarray) and rows.ndim == 3:
        return {SERIES: rows}
    return as_frame(rows)


def _named(values: Any) -> tuple[str | None, Any]:
    """The name of target values, and the values as one column."""
    frame = as_frame(values)
    if is_a(frame, "pandas", "DataFrame") or is_a(frame, "polars", "DataFrame"):
        if frame.shape[1] != 1:
            raise DataError(f"y: must be one column (got a frame of {frame.shape[1]} columns). Name the target.")
        named = frame is values or values.name not in (None, "")
        name = str(frame.columns[0])
        return (name if named else None), frame[frame.columns[0]]
    if isinstance(values, np.ndarray) and values.ndim == 2 and values.shape[1] == 1:
        return None, values[:, 0]
    if not hasattr(values, "__len__") or isinstance(values, str | Mapping):
        got = type(values).__name__
        raise DataError(f"target: must be the name of a column, or one value for each row (got '{got}'). Give one.")
    return None, values
