"""Numbers and times as the cells of their column: of its type, or text as it is written there."""

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import _time_formats, time
from lamina.tasks.generation import number_styles, time_spellings
from lamina.tasks.generation.state import ColumnModes

TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=(.+))?\]")
DECIMAL = re.compile(r"decimal(?:128|256)?\((\d+), (-?\d+)\)")
PLAIN = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "halffloat", "float", "double")
DAYS = ("date32[day]", "date64[ms]")


def type_of(dtype: str) -> pa.DataType | None:
    """The type of Arrow by its name, of those that numbers and times may have; None for others."""
    if dtype in (*PLAIN, *DAYS):
        return pa.type_for_alias(dtype)
    if match := TIMESTAMP.fullmatch(dtype):
        return pa.timestamp(match[1], match[2])
    if (match := DECIMAL.fullmatch(dtype)) and 0 <= int(match[2]) <= int(match[1]) <= 38:
        return pa.decimal128(int(match[1]), int(match[2]))
    return None


def cast(cells: pa.Array, form: str) -> pa.Array:
    """Texts as cells of a form."""
    kinds = {"boolean": pa.bool_(), "whole": pa.int64(), "number": pa.float64(), "date": pa.date32()}
    return cells.cast(kinds.get(form, pa.string()))


def write(
    modes: ColumnModes, numbers: np.ndarray, absent: np.ndarray, zones: np.ndarray | None, fraction: np.ndarray
) -> pa.Array:
    """Numbers, or times in units of their column, (rows,), as cells."""
    if modes.kind == "time":
        seconds = np.where(absent, 0, np.round(numbers) * modes.unit)
        return _time_cells(modes, seconds, absent, zones, fraction)
    numbers = np.where(absent, 0, numbers)
    if modes.styles:
        return pa.array(number_styles.write(numbers, modes.styles), mask=absent)
    cells = pa.array(numbers.astype(np.int64) if modes.form == "whole" else numbers, mask=absent)
    kind = type_of(modes.dtype)
    return cells if kind is None else cells.cast(kind, safe=False)


def _time_cells(
    modes: ColumnModes, seconds: np.ndarray, absent: np.ndarray, zones: np.ndarray | None, fraction: np.ndarray
) -> pa.Array:
    kind = type_of(modes.dtype)
    stamps = pa.array(seconds.astype(np.int64), mask=absent).cast(pa.timestamp("s"))
    if modes.form in ("date", "moment"):
        if kind is None:
            return stamps.cast(pa.date32()) if modes.form == "date" else stamps
        return stamps.cast(pa.timestamp("s", "UTC")).cast(kind) if _zone(modes) else stamps.cast(kind)
    if not modes.spelling:
        cells = time.texts(stamps, modes.form)
        return cells if kind is None else cells.cast(kind)
    count = len(seconds)
    digits = (
        [f"{int(share * 10**modes.fraction):0{modes.fraction}}" for share in fraction]
        if modes.fraction
        else [""] * count
    )
    local = clock(seconds, modes, zones)
    names = _offset_texts(local - seconds, ":" if "%z" in modes.spelling else "") if zones is None else zones.tolist()
    cells = time_spellings.write(local, modes.spelling, names, digits)
    return pc.if_else(pa.array(absent), pa.scalar(None, pa.string()), cells)


def _offset_texts(offsets: np.ndarray, mark: str) -> list[str]:
    """Seconds that clocks are ahead of UTC, as texts."""
    names = {
        o: f"{'-' if o < 0 else '+'}{int(abs(o)) // 3600:02}{mark}{int(abs(o)) // 60 % 60:02}" for o in set(offsets)
    }
    return [names[offset] for offset in offsets]


def clock(seconds: np.ndarray, modes: ColumnModes, zones: np.ndarray | None) -> np.ndarray:
    """What clocks show (rows,) at moments in UTC, NaN where missing."""
    if zones is not None:
        return seconds + _offsets(zones)
    tz = _zone(modes)
    return (
        seconds
        if tz is None
        else _through(seconds, lambda stamps: pc.local_timestamp(stamps.cast(pa.timestamp("s", tz))))
    )


def in_utc(seconds: np.ndarray, modes: ColumnModes, zones: np.ndarray | None) -> np.ndarray:
    """The moments at which clocks show this."""
    if zones is not None:
        return seconds - _offsets(zones)
    tz = _zone(modes)
    if tz is None:
        return seconds
    return _through(seconds, lambda s: pc.assume_timezone(s, tz, ambiguous="earliest", nonexistent="latest"))


def _through(seconds: np.ndarray, change: Callable[[pa.Array], pa.Array]) -> np.ndarray:
    absent = np.isnan(seconds)
    stamps = pa.array(np.where(absent, 0, seconds).astype(np.int64)).cast(pa.timestamp("s"))
    moved = change(stamps).cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.float64)
    return np.where(absent, np.nan, moved)


def _zone(modes: ColumnModes) -> str | None:
    """The zone of a column of Arrow's times."""
    match = TIMESTAMP.fullmatch(modes.dtype)
    return match[2] if match else None


def _offsets(zones: np.ndarray) -> np.ndarray:
    by_name = {name: float(_time_formats.offset(name)) for name in set(zones.tolist())}
    return np.array([by_name[name] for name in zones])


def writes(modes: ColumnModes) -> bool:
    """Whether a column's cells can be written as it says."""
    readable = not modes.dtype or type_of(modes.dtype) is not None
    spelled = not modes.spelling or time_spellings.sound(modes.spelling)
    return readable and spelled and (not modes.spellings or len(modes.spellings) == len(modes.values))
