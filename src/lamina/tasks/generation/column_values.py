"""The cells of a column as a generator reads them: numbers, times in seconds, texts as they are spelled."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import UNUSED, category, parse_columns, time
from lamina.preprocess import settings as settings_of
from lamina.schema import Column

UNITS = (86_400, 3_600, 60, 1)  # seconds that times are counted in


def raw(table: pa.Table, column: Column) -> pa.Array:
    """The cells as they are; nulls where there is no such column."""
    if column.name not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    return table[column.name].combine_chunks()


def numbers(table: pa.Table, column: Column) -> np.ndarray:
    """Numbers, or times in seconds since 1970 in UTC, (rows,) float64; NaN where missing or of another sort."""
    return _floats(parse_columns(table, (column,))[column.name].combine_chunks())


def clocks(table: pa.Table, column: Column) -> np.ndarray:
    """Times as clocks showed them in the zone of each cell, in seconds since 1970."""
    return clock_of(raw(table, column), column)


def clock_of(cells: pa.Array, column: Column) -> np.ndarray:
    """The same of raw cells."""
    cfg = settings_of(column)
    assert isinstance(cfg, time.Config)
    return _floats(time.clock(cells, cfg))


def _floats(cells: pa.Array) -> np.ndarray:
    cells = cells.cast(pa.int64()) if pa.types.is_timestamp(cells.type) else cells
    filled = pc.fill_null(cells.cast(pa.float64(), safe=False), np.nan)
    return filled.to_numpy(zero_copy_only=False).astype(np.float64)


def texts(table: pa.Table, column: Column) -> pa.Array:
    """Cells as texts that compare; what its kind cannot read is missing."""
    if column.name not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    cells = category.parse(raw(table, column), category.Config())
    if column.kind in UNUSED:
        return cells
    valid = pc.is_valid(parse_columns(table, (column,))[column.name].combine_chunks())
    return pc.if_else(valid, cells, pa.scalar(None, pa.string()))


def unit_of(seconds: np.ndarray) -> int:
    """The largest unit in which times (rows,) are whole."""
    return next(unit for unit in UNITS if not (seconds % unit).any())
