"""Tables from things in memory, and answers back in the caller's own type."""

import math
import sys
from collections.abc import Mapping, Sequence, Set
from datetime import date, datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from lamina.config import Config as Settings
from lamina.config import DataError
from lamina.data import _arrow_values as _values
from lamina.data import _image_cells as _images
from lamina.data import _memory_images, _pandas_index
from lamina.data import _series_cells as _series
from lamina.data._nested_rows import flatten, sound
from lamina.data._pandas_index import as_frame, is_a
from lamina.schema import Collected

FILE = {"bytes", "path"}
SCALARS = (float, int, str, bool)
KINDS = "a table (pandas, polars, Arrow), a dict of columns, a list of dicts, or a 2-D NumPy array"


class Config(Settings):
    """Data passed in Python; a recipe that says so cannot be run from the command line."""

    kind: Literal["arrays"] = "arrays"


def load(cfg: Config) -> Collected:
    """Always a DataError: what was in memory is gone."""
    raise DataError("data.kind: 'arrays' means data passed in Python. Pass the data again, or use kind: files.")


def table(source: Any, image_columns: Sequence[str] = ()) -> pa.Table:
    """A table of whatever holds columns: see `KINDS`. Mixed types in a column become text; NaN becomes null.

    `image_columns`: columns known to be images, whose cells may be paths, bytes, arrays and PIL images, mixed; where
    there is one such column, a list or an array of images is a table of it. uint8 arrays of 3 or 4 dimensions always
    are.

    Arrays (rows, steps, channels), floats (rows, four steps or more), and lists of arrays are series.

    Levels of a pandas index that have a name are columns, others are not used (but see `timed`). Categories become
    text; other 2-D columns `x` are spread as x_0, x_1, ...; nested dicts of rows and structs become columns with dots.
    Masked cells of NumPy are missing. Errors: DataError naming the column.
    """
    source = _values.native(source) if isinstance(source, np.ndarray) else source
    source = as_frame(_memory_images.as_columns(source, image_columns))
    read = _read(source, image_columns)
    rows = 0 if read.num_columns or not hasattr(source, "__len__") else len(source)
    return pa.table({"": pa.nulls(rows, pa.string())}) if rows else read


def _read(source: Any, image_columns: Sequence[str]) -> pa.Table:
    """As `table`; rows without any column are lost."""
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if isinstance(source, pa.Table):
        return _values.plain(_pandas_index.names(source.schema).apply(source)).replace_schema_metadata(None)
    if is_a(source, "pandas", "DataFrame"):
        return _from_columns(*_pandas_index.columns(source), image_columns)
    if is_a(source, "polars", "DataFrame"):
        return _values.plain(source.to_arrow()).replace_schema_metadata(None)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Mapping):
        return _from_columns([sound(str(name)) for name in source], list(source.values()), image_columns)
    if isinstance(source, list | tuple):
        if source and all(isinstance(row, list | tuple) for row in source):
            return _from_lists(source)
        for number, row in enumerate(source):
            if not isinstance(row, Mapping):
                raise DataError(f"data: row {number} must be a dict of column: value (got {_name(row)}). Give {KINDS}.")
        return _from_rows(source, image_columns)
    if hasattr(source, "__arrow_c_stream__") and not isinstance(source, pa.ChunkedArray):
        return table(pa.table(source))
    raise DataError(f"data: cannot read {_name(source)} as a table. Give {KINDS}.")


def with_label_sets(source: Any, target: str | None) -> Any:
    """A dict of columns whose target is (rows, labels) of zeros and ones, with a class (where each row has a single 1)
    or a list of labels for each row in its place, called by the numbers of the columns; anything else as it is.
    """
    matrix = source.get(target) if isinstance(source, Mapping) else None
    if matrix is None or not _values.is_zeros_and_ones(matrix):
        return source
    return {**source, target: matrix.argmax(1) if (matrix.sum(1) == 1).all() else _values.label_sets(matrix)}


def select(rows: Any, names: Set[str]) -> Any:
    """Rows that are dicts, perhaps nested, with the values that go by these names alone; anything else as it is."""
    if not isinstance(rows, list | tuple):
        return rows
    plain = names | FILE  # a list of files is one column, and no rows
    return [flatten(row, plain) if isinstance(row, Mapping) and not row.keys() <= plain else row for row in rows]


def timed(source: Any, name: str | None = None) -> Any:
    """A pandas frame or Series whose index is times, as a frame with them in its first column, which is called `name`,
    as the index is, or `time`; anything else as it is.
    """
    if is_a(source, "pandas", "Series"):
        source = as_frame(source)
    if not is_a(source, "pandas", "DataFrame"):
        return source
    index, pandas = source.index, sys.modules["pandas"]
    if isinstance(index, pandas.PeriodIndex):
        index = index.to_timestamp()
    name = name or str(index.name or "time")
    if not isinstance(index, pandas.DatetimeIndex) or name in source.columns:
        return source
    frame = source.copy(deep=False)
    frame.index = index.set_names([None])
    frame.insert(0, name, index)
    return frame


def like(answers: pa.Table, source: Any, aligned: bool = True) -> Any:
    """The answers in the type the rows came in; `aligned`: there is one for each row.

    pandas gives pandas with the same index, polars gives polars, Arrow gives Arrow, a list of dicts the same with
    nested dicts for structs, as does a single image, a dict of columns gives a dict of lists, and NumPy a dict of
    arrays. Where columns cannot nest (pandas, NumPy), a struct is spread as `probabilities.<name>`.
    """
    if is_a(source, "pandas", "DataFrame") or is_a(source, "pandas", "Series"):
        frame = _flat(answers).to_pandas()
        if aligned:
            frame.index = source.index
        return frame
    if is_a(source, "polars", "DataFrame") or is_a(source, "polars", "Series"):
        return sys.modules["polars"].from_arrow(answers)
    if isinstance(source, np.ndarray):
        flat = _flat(answers)
        return {name: flat[name].to_numpy() for name in flat.column_names}
    if isinstance(source, Mapping):
        return answers.to_pydict()
    if isinstance(source, list | tuple) or _memory_images.is_image(source):
        return answers.to_pylist()
    return answers


def frame(answers: pa.Table) -> Any:
    """A table as a frame of pandas where that is installed, structs spread as `probabilities.<name>`; else as it is."""
    try:
        import pandas  # noqa: F401 - Arrow needs it to make a frame
    except ModuleNotFoundError:
        return answers
    return _flat(answers).to_pandas()


def json_rows(rows: pa.Table) -> list[dict[str, Any]]:
    """A table as rows of plain JSON values: times in ISO form, NaN as null, structs as objects."""
    return [{name: _json_value(value) for name, value in row.items()} for row in rows.to_pylist()]


def _json_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _json_value(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_json_value(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _from_array(source: np.ndarray) -> pa.Table:
    """Rows and columns, or records with names."""
    if source.dtype.names:
        return _from_columns(list(source.dtype.names), [source[name] for name in source.dtype.names])
    if source.ndim == 3 and _series.are(source):
        return _from_columns(["series"], [source])
    if source.ndim != 2:
        cure = "Reshape it to rows x columns; a single row is a dict, or an array of one row."
        raise DataError(f"data: a NumPy array must have 2 dimensions (got {source.ndim}). {cure}")
    return _from_columns([""] * source.shape[1], list(source.T))


def _from_lists(rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows that are lists of cells, as the columns column1, column2 and so on."""
    wide = len(rows[0])
    for number, row in enumerate(rows):
        if len(row) != wide:
            raise DataError(f"data: row {number} has {len(row)} cells where row 0 has {wide}. Give all rows as many.")
    return _from_columns([""] * wide, list(zip(*rows, strict=True)))


def _from_rows(rows: Sequence[Mapping[str, Any]], image_columns: Sequence[str]) -> pa.Table:
    """Columns of images and of arrays by themselves, so that no cell of them is taken apart; others as is."""
    firsts: dict[Any, Any] = {}
    for row in rows:
        firsts |= {name: cell for name, cell in row.items() if cell is not None and name not in firsts}
    firsts = {name: cell for name, cell in firsts.items() if name in image_columns or type(cell) not in SCALARS}
    images = {name for name, cell in firsts.items() if name in image_columns or _memory_images.are([cell])}
    special = [name for name, cell in firsts.items() if name in images or _series.are([cell])]
    if not special:
        return _values.table(rows)
    cells_of = {name: [row.get(name) for row in rows] for name in special}
    plain = _values.table([{name: row[name] for name in row if name not in cells_of} for row in rows])
    columns = {
        str(name): (_memory_images.cells if name in images else _series.from_arrays)(str(name), cells)
        for name, cells in cells_of.items()
    }
    return pa.table({name: plain[name] for name in plain.column_names} | columns)


def _from_columns(names: list[str], columns: Sequence[Any], image_columns: Sequence[str] = ()) -> pa.Table:
    spread: list[str] = []
    arrays: list[Any] = []
    images: dict[str, pa.Array] = {}
    for label, column in zip(names, columns, strict=True):
        name = label or f"column{len(arrays) + 1}"
        column = _values.native(column) if isinstance(column, np.ndarray) else column
        if _holds_images(name, column, image_columns):
            images[name] = _memory_images.cells(name, column)
            spread.append(name)
            arrays.append(pa.nulls(len(images[name]), pa.string()))
        elif isinstance(column, np.ndarray) and column.ndim == 2 and not _series.are(column):
            spread += [f"{name}_{i}" for i in range(column.shape[1])]
            arrays += [_column(name, part) for part in column.T]
        else:
            spread.append(name)
            arrays.append(_column(name, column))
    lengths = {name: len(array) for name, array in zip(spread, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name}: {length}" for name, length in list(lengths.items())[:10])
        raise DataError(f"data: columns must be equally long (got {counts}). Give one value per row in each.")
    whole = _values.plain(pa.table(arrays, names=spread))
    for name, cells in images.items():
        whole = whole.set_column(whole.column_names.index(name), name, cells)
    return whole


def _holds_images(name: str, column: Any, image_columns: Sequence[str]) -> bool:
    if isinstance(column, pa.Array | pa.ChunkedArray | str | bytes | Mapping) or not hasattr(column, "__iter__"):
        return False
    if name not in image_columns:
        return isinstance(column, list | tuple | np.ndarray) and _memory_images.are(column)
    return not (isinstance(column, np.ndarray) and column.dtype != object and column.ndim < 3)


def _column(name: str, values: Any) -> Any:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if isinstance(values, str | bytes | Mapping) or not (hasattr(values, "__len__") and hasattr(values, "__iter__")):
        cure = "Wrap it; a single row is a list of one dict."
        raise DataError(f"data.{name}: must be a list or an array, one value per row (got {_name(values)}). {cure}")
    if not is_a(values, "pandas", "Series") and not is_a(values, "polars", "Series") and _series.are(values):
        return _series.from_arrays(name, values)
    if isinstance(values, np.ndarray):
        return _from_numpy(name, values)
    if is_a(values, "pandas", "Series"):
        return _from_pandas(values)
    if is_a(values, "polars", "Series"):
        return values.to_arrow()
    return _values.column(values.tolist() if is_a(values, "torch", "Tensor") else list(values))


def _from_numpy(name: str, values: np.ndarray) -> pa.Array:
    if values.dtype == np.uint8 and (values.ndim == 3 or (values.ndim == 4 and values.shape[3] in (1, 3, 4))):
        return _images.pnm(values)
    if values.ndim != 1:
        raise DataError(
            f"data.{name}: must have 1 or 2 dimensions, or be images of uint8 (rows, height, width[, 1, 3 or 4]) "
            f"(got {values.ndim} dimensions of {values.dtype}). Reshape it, one row per example."
        )
    if values.dtype.kind in "biuf" and values.dtype != np.longdouble:
        short = values.dtype == np.float16
        return pa.array(np.ascontiguousarray(values, np.float32 if short else None), from_pandas=True)
    if values.dtype.kind == "M":
        return pa.array(values.astype("datetime64[us]"), from_pandas=True)
    return _values.column(values.tolist())


def _from_pandas(series: Any) -> Any:
    """A pandas Series. Categories are text, whatever they were: their owner said they are no quantities."""
    if str(series.dtype) == "category":
        return _values.as_text(pa.chunked_array([_values.column(series.tolist())]))
    if series.dtype == object:
        return _values.column(series.tolist())
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError):
        return _values.column(series.tolist())  # sparse and complex numbers
    # Periods and intervals have Arrow types of pandas' own, which mean nothing elsewhere.
    return _values.column(series.tolist()) if isinstance(array.type, pa.BaseExtensionType) else array


def _flat(answers: pa.Table) -> pa.Table:
    while any(pa.types.is_struct(field.type) for field in answers.schema):
        answers = answers.flatten()
    return answers


def _name(value: Any) -> str:
    return f"'{type(value).__name__}'"
