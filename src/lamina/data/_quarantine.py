"""Rows with their numbers, so that those of no use can be told by file and line."""

import numpy as np
import pyarrow as pa

from lamina.config import Config, DataError, nearest
from lamina.plugins import kind, plugin
from lamina.schema import Collected, Quarantined, clean

ROW_NUMBER = "\x00row"  # the row's number in its source, kept beside it until training starts


def with_row_numbers(collected: Collected, missing: tuple[str, ...]) -> pa.Table:
    """The table of a source, cleaned, with each row's number."""
    table = clean(collected.table, missing)
    return table.append_column(ROW_NUMBER, pa.array(np.arange(table.num_rows)))


def column_name(table: pa.Table, name: str) -> str:
    """A column by its name; a whole number that is no name counts columns, from the end if negative."""
    names = [n for n in table.column_names if n != ROW_NUMBER]
    if name in names:
        return name
    if name.lstrip("-").isdigit() and -len(names) <= int(name) < len(names):
        return names[int(name)]
    raise DataError(f"target: the data has no column '{name}'. {nearest(name, names)}")


def locate(table: pa.Table, bad: np.ndarray, name: str, reasons: list[str], source: Config) -> list[Quarantined]:
    """Where the bad rows (rows,) of a table with row numbers stand in their source."""
    if not bad.any():
        return []
    numbers = table[ROW_NUMBER].filter(pa.array(bad)).to_pylist()
    return [
        Quarantined(file, line, name, why) for (file, line), why in zip(places(source, numbers), reasons, strict=True)
    ]


def places(source: Config, rows: list[int]) -> list[tuple[str, int | None]]:
    """File and line of rows by their numbers."""
    module = plugin("data", kind(source))
    if rows and "source_line" in vars(module):
        return module.source_line(source, rows)
    return [("rows given", number + 1) for number in rows]
