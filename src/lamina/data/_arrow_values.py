"""Python values as Arrow columns: mixed types become text, nothing raises a raw Arrow error."""

import functools
import json
import math
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError
from lamina.data._nested_rows import DEPTH, Extent, flatten, is_file_cell, sound
from lamina.data._pandas_index import is_a

NOTHING = type(None)
TOGETHER = 1 << 14  # cells: fewer are worked on as one array
PANDAS_MISSING = ("NaTType", "NAType")
IMAGE = pa.struct([("bytes", pa.large_binary()), ("path", pa.string())])  # as Hugging Face datasets write an image
PLAIN: dict[type, pa.DataType] = {
    NOTHING: pa.null(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
}


def kind(values: Iterable[Any], room: int = DEPTH) -> pa.DataType:
    """The one Arrow type that holds all the values: int and float make float, other mixtures make text.

    Errors: DataError for lists in one another, more than `room`.
    """
    values = list(values)
    types = set(map(type, values))
    if types <= {NOTHING, str} or types <= {NOTHING, bool} or types <= {NOTHING, float}:
        return together(PLAIN[t] for t in types)
    return together(_kind(value, room) for value in reversed(values))


def together(kinds: Iterable[pa.DataType]) -> pa.DataType:
    """The one type that holds all the types; text when there is no better."""
    common = pa.null()
    for one in dict.fromkeys(kinds):
        common = _join(common, one)
    return common


def column(values: Sequence[Any], target: pa.DataType | None = None) -> pa.Array:
    """An Arrow array of plain Python values; None and NaN are null. Without any value the column is text."""
    target = kind(values) if target is None else target
    target = pa.string() if pa.types.is_null(target) else target
    ready = {NOTHING, str} if pa.types.is_string(target) else {NOTHING, bool, int, float}
    try:
        if not pa.types.is_nested(target) and set(map(type, values)) <= ready:
            return pa.array(values, target, from_pandas=True)
        return pa.array([_fit(value, target) for value in values], target)
    except UnicodeEncodeError:
        # A lone surrogate, as JSON may write, has no UTF-8 form.
        return pa.array([_sound(_fit(value, target)) for value in values], target)
    except (ValueError, TypeError, OverflowError, pa.ArrowNotImplementedError):  # how Arrow says it has no conversion
        # Values that are not of one kind after all, such as a signalling NaN among decimals, are text.
        return pa.array([_text(value) for value in values], pa.string())


def table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows (dicts, perhaps nested, perhaps ragged) as a table; nested names are joined with dots.

    Errors: DataError for rows of so many different names that nearly all cells would be gaps.
    """
    flat, extent = [flatten(row) for row in rows], Extent("data")
    extent.add(flat)
    return flat_table(flat, list(extent.names))


def flat_table(
    flat: Sequence[Mapping[str, Any]], names: Sequence[str], kinds: Mapping[str, pa.DataType] | None = None
) -> pa.Table:
    """Flat rows as a table of the columns named, absent cells missing; of `kinds`, where these are settled."""
    if kinds is None and len(names) * len(flat) <= TOGETHER:
        return pa.table(_columns(names, [[row.get(name) for row in flat] for name in names]), names=list(names))
    columns = (_column(name, [row.get(name) for row in flat], (kinds or {}).get(name)) for name in names)
    return pa.table(list(columns), names=list(names))


def _columns(names: Sequence[str], cells: list[list[Any]]) -> list[pa.Array]:
    """As `column` of each; cells of one plain type become one array first, since each array costs a call."""
    arrays: list[Any] = [None] * len(cells)
    types = [set(map(type, values)) - {NOTHING} for values in cells]
    for plain in (float, str, bool, int):
        places = [i for i, own in enumerate(types) if own == {plain}]
        joint = _joint([cells[i] for i in places], PLAIN[plain]) if len(places) > 1 else []
        for k, place in enumerate(places if joint else ()):
            arrays[place] = joint[k]
    return [array if array is not None else _column(names[i], cells[i]) for i, array in enumerate(arrays)]


def _column(name: str, values: Sequence[Any], target: pa.DataType | None = None) -> pa.Array:
    """As `column`; errors name it."""
    try:
        return column(values, target)
    except DataError as error:
        raise DataError(f"data.{name[:40]}: {error}") from None


def _joint(columns: list[list[Any]], kind: pa.DataType) -> list[pa.Array]:
    """Columns of one type, sliced from one array; none where a value does not fit, which `column` then sees to."""
    rows = len(columns[0])
    try:
        whole = pa.array([v for values in columns for v in values], kind, from_pandas=True)
    except (OverflowError, UnicodeEncodeError, pa.ArrowInvalid):
        return []
    return [whole.slice(start * rows, rows) for start in range(len(columns))]


def native(values: np.ndarray) -> np.ndarray:
    """The same values in the byte order of this machine, which Arrow wants; masked ones are missing."""
    if isinstance(values, np.ma.MaskedArray) and not values.dtype.names:
        mask, values = np.ma.getmaskarray(values), np.asarray(values)
        if mask.any():
            values = values.astype(values.dtype if values.dtype.kind in "fM" else object)
            values[mask] = None
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def is_zeros_and_ones(values: Any) -> bool:
    """Whether an array is (rows, labels) of zeros and ones, more than one column of them."""
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in "biuf":
        return False
    return bool(((values == 0) | (values == 1)).all())


def label_sets(matrix: np.ndarray) -> pa.Array:
    """(rows, labels) of zeros and ones as lists of the numbers of the columns that are 1, as text."""
    rows, columns = np.nonzero(matrix)
    offsets = np.searchsorted(rows, np.arange(len(matrix) + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(columns).cast(pa.string()))


def unique(names: Iterable[str]) -> list[str]:
    """Names with blanks filled in by position (`column3`) and repeats numbered (`age`, `age_2`)."""
    names = [name.strip() or f"column{i}" for i, name in enumerate(names, start=1)]
    present, result = set(names), dict[str, None]()
    last: dict[str, int] = {}  # number of the last repeat of a name
    for name in names:
        new, n = name, last.get(name, 1)
        while new in result or (new != name and new in present):
            new, n = f"{name}_{n + 1}", n + 1
        last[name] = n
        result[new] = None
    return list(result)


def plain(table: pa.Table) -> pa.Table:
    """The same table in the few types later stages know: no dictionaries, views or repeated names, and no structs but
    those of `{bytes, path}`, which are one file in one cell as Hugging Face datasets write it.
    """
    while any(pa.types.is_struct(field.type) and not is_image(field.type) for field in table.schema):
        table = _flatter(table)
    columns = [_plain(column) for column in table.columns]
    return pa.table(columns, names=unique(table.column_names)) if columns else table


def is_image(kind: pa.DataType) -> bool:
    """Whether a type is path and bytes of an image, which belong together."""
    if not pa.types.is_struct(kind):
        return False
    types = {field.name: field.type for field in kind}
    binary = "bytes" in types and (pa.types.is_binary(types["bytes"]) or pa.types.is_large_binary(types["bytes"]))
    return binary and types.keys() <= {"bytes", "path"}


def _flatter(table: pa.Table) -> pa.Table:
    """Each struct but files one level flatter, its fields in its place."""
    columns: list[tuple[str, pa.ChunkedArray]] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_struct(column.type) and not is_image(column.type):
            names = [f"{name}.{field.name}" for field in column.type]
            columns += zip(names, column.flatten(), strict=True)
        else:
            columns.append((name, column))
    return pa.table([column for _, column in columns], names=[name for name, _ in columns])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if is_image(column.type):
        return column if column.type == IMAGE else pa.chunked_array([_image(c) for c in column.chunks], IMAGE)
    if pa.types.is_run_end_encoded(column.type):
        column = pc.call_function("run_end_decode", [column])
    if pa.types.is_union(column.type):
        column = as_text(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    wide = pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type)
    # A chunk of 2 GB or more has no short form.
    if pa.types.is_null(column.type) or (wide and all(chunk.nbytes < 2**31 for chunk in column.chunks)):
        column = column.cast(pa.string())
    return column


def _image(chunk: pa.Array) -> pa.Array:
    """Long offsets, as images soon have 2 GB; the fields in one order."""
    fields = {field.name: chunk.field(field.name) for field in chunk.type}
    path = fields.get("path", pa.nulls(len(chunk), pa.string())).cast(pa.string())
    body = fields["bytes"].cast(pa.large_binary())
    return pa.StructArray.from_arrays([body, path], fields=list(IMAGE), mask=chunk.is_null())


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Any column as text: whole floats without `.0`, lists as JSON."""
    if pa.types.is_string(column.type):
        return column
    chunks = [pa.array([_text(value) for value in chunk.to_pylist()], pa.string()) for chunk in column.chunks]
    return pa.chunked_array(chunks, pa.string())


def _kind(value: Any, room: int) -> pa.DataType:
    value = _scalar(value)
    if _missing(value):
        return pa.null()
    if type(value) in PLAIN:
        return PLAIN[type(value)] if type(value) is not int or -(2**63) <= value < 2**63 else pa.string()
    if isinstance(value, list | tuple | np.ndarray):
        if not room:
            raise DataError(f"a cell holds more than {DEPTH} lists in one another. Give plain values or lists of them.")
        inner = kind(value.tolist() if isinstance(value, np.ndarray) else value, room - 1)
        return pa.list_(pa.float64() if pa.types.is_null(inner) else inner)
    if isinstance(value, datetime):
        return pa.timestamp("us", tz=_zone(value.tzinfo) if value.tzinfo else None)
    if isinstance(value, Decimal | float):
        return pa.float64()
    if isinstance(value, dict) and is_file_cell(value):
        return IMAGE
    return pa.date32() if isinstance(value, date) else pa.string()


@functools.lru_cache(64)
def _zone(zone: tzinfo) -> str:
    """The name or the offset of a zone; UTC where it has none that others know."""
    name = pa.lib.tzinfo_to_string(zone)
    return name if name[0] in "+-" or name in zoneinfo.available_timezones() else "UTC"


def _join(a: pa.DataType, b: pa.DataType) -> pa.DataType:
    if a == b or pa.types.is_null(b):
        return a
    if pa.types.is_null(a):
        return b
    if {a, b} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if {a, b} == {pa.date32(), pa.timestamp("us")}:
        return pa.timestamp("us")
    if pa.types.is_timestamp(a) and pa.types.is_timestamp(b) and a.tz and b.tz:
        return a  # of several offsets, as summer time makes them, that of the last value
    if pa.types.is_list(a) and pa.types.is_list(b):
        return pa.list_(_join(a.value_type, b.value_type))
    return pa.string()


def _fit(raw: Any, target: pa.DataType) -> Any:
    value: Any = _scalar(raw)
    if _missing(value):
        return None
    if pa.types.is_list(target):
        return [_fit(item, target.value_type) for item in value]
    if pa.types.is_timestamp(target) and type(value) is date:
        return datetime(value.year, value.month, value.day)
    if pa.types.is_floating(target):
        return float(value)  # a Decimal, or NumPy's own float
    return _text(value) if pa.types.is_string(target) else value


def _scalar(value: Any) -> Any:
    """Numbers of NumPy and tensors of PyTorch as Python has them; anything else as it is."""
    scalar = isinstance(value, np.generic | np.ndarray) and not value.ndim
    return value.tolist() if scalar or is_a(value, "torch", "Tensor") else value


def _missing(value: Any) -> bool:
    """None, NaN, and the two missing values of pandas, told by name because pandas may not be there."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in PANDAS_MISSING


def _text(value: Any) -> str | None:
    """As JSON would write it, so that `true` and `[1, 2]` read the same from any source; whole floats as integers."""
    value = _scalar(value)
    if _missing(value):
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool | int | list | tuple | dict | np.ndarray):
        value = value.tolist() if isinstance(value, np.ndarray) else value
        try:
            return json.dumps(value, default=str, ensure_ascii=False)
        except (RecursionError, ValueError) as error:  # too deep, itself within itself, or thousands of digits
            raise DataError(f"a cell has no form as text ({error}). Give plain values.") from None
    return str(value)


def _sound(value: Any) -> Any:
    if isinstance(value, list):
        return [_sound(item) for item in value]
    return sound(value) if isinstance(value, str) else value
