"""Where rows stand in their source, so that each row skipped can be told with file and line."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lamina.config import Config, MissingColumn, nearest
from lamina.plugins import kind, plugin
from lamina.schema import Collected, Row, SkippedRow, clean

ROW_NUMBER = "\x00row"  # a column with the row's number in its source, there until training starts


def with_row_numbers(collected: Collected, missing: tuple[str, ...]) -> pa.Table:
    """The table of a source, cleaned, with each row's number."""
    table = clean(collected.table, missing, collected.literal)
    return table.append_column(ROW_NUMBER, pa.array(np.arange(table.num_rows)))


def column_name(table: pa.Table, name: str) -> str:
    """The target's name in the table; a whole number that is no name counts columns, from the end if negative.

    Errors: DataError with the nearest name where there is no such column.
    """
    names = [n for n in table.column_names if n != ROW_NUMBER]
    if name in names:
        return name
    if name.lstrip("-").isdigit() and -len(names) <= int(name) < len(names):
        return names[int(name)]
    several = [part.strip() for part in name.split(",")]
    if len(several) > 1 and set(several) <= set(names):
        cure = f"A task that takes several has the setting targets: --set 'task.targets=[{', '.join(several)}]'"
        raise MissingColumn(f"target: must be one column (got {', '.join(several)}). {cure}")
    raise MissingColumn(f"target: the data has no column '{name}'. {nearest(name, names)}")


def position_notes(table: pa.Table, name: str | None) -> list[str]:
    """What is said of a target that is no name, and was counted."""
    if name is None or name in table.column_names or not name.lstrip("-").isdigit():
        return []
    column = column_name(table, name)
    return [f"target: no column is called '{name}', so columns were counted from 0: it is '{column}'."]


def source_lines(source: Config, row_numbers: list[int]) -> list[tuple[str, int | None]]:
    """File and line of rows of a loaded table, given by their index; rows of no file are counted from 1."""
    module = plugin("data", kind(source))
    if "source_line" in vars(module):
        return module.source_line(source, row_numbers)
    return [("rows given", number + 1) for number in row_numbers]


def locate(table: pa.Table, mask: np.ndarray, column: str, reasons: list[str], source: Config) -> list[SkippedRow]:
    """The rows of `mask` (rows,) as skipped for their reasons, with the place where they stand in their source."""
    if not mask.any():
        return []
    places = source_lines(source, table[ROW_NUMBER].filter(pa.array(mask)).to_pylist())
    return [SkippedRow(file, line, column, why) for (file, line), why in zip(places, reasons, strict=True)]


def reasons(rows: Sequence[SkippedRow]) -> list[Row]:
    """Why rows were skipped, the most frequent reason first: `count` rows, and the first of them as an example."""
    groups: dict[tuple[str, str], Row] = {}
    for row in rows:
        group = groups.setdefault((row.column, row.masked().reason), {"count": 0, **row._asdict()})
        group["count"] += 1
    return sorted(groups.values(), key=lambda group: -group["count"])
