"""What every file format gives: columns, notes, rows in pieces, and the line of each row."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from lamina.data._arrow_values import as_text
from lamina.schema import SkippedRow

CHUNK = 65_536


class Piece(NamedTuple):
    """Some rows of a file, in file order, the rows among them that cannot be used, and what is to be said of them."""

    table: pa.Table
    skipped_rows: tuple[SkippedRow, ...] = ()
    notes: tuple[str, ...] = ()


class TableFile(NamedTuple):
    """A file whose columns are known. `read(None)` gives all rows at once, `read(n)` pieces of at most n rows;

    `lines()` gives the line (from 1) of each good row, or its row number where a file has no lines. Cells are `typed`
    where a text is told from a number and from a gap, so that a text is always a value. `delimiter`: of delimited text.
    """

    file: Path
    schema: pa.Schema
    notes: tuple[str, ...]
    read: Callable[[int | None], Iterator[Piece]]
    lines: Callable[[], Iterator[int]]
    has_types: bool = False
    delimiter: str = ""


def common_schema(files: list[TableFile]) -> tuple[pa.Schema, tuple[str, ...]]:
    """The columns of all files by name, and notes: numbers widen, other differences in type become text."""
    notes: list[str] = []
    fields: dict[str, list[pa.DataType]] = {}
    for one in files:
        for field in one.schema:
            fields.setdefault(field.name, []).append(field.type)
    for one in files:
        present = set(one.schema.names)
        if present and (absent := [name for name in fields if name not in present]):
            notes.append(f"{one.file}: has no column {', '.join(absent[:10])}; read as missing.")
    schema = pa.schema([(name, _common(types)) for name, types in fields.items()])
    for name, types in fields.items():
        if len(set(types)) > 1:
            kinds = ", ".join(sorted(map(str, set(types))))
            notes.append(f"column {name}: read as {schema.field(name).type}, as the files differ ({kinds}).")
    return schema, tuple(notes)


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with exactly the columns of the schema; absent ones are null."""
    if table.schema.equals(schema):
        return table
    columns, present = [], set(table.column_names)
    for field in schema:
        if field.name not in present:
            columns.append(pa.nulls(table.num_rows, field.type))
        elif pa.types.is_string(field.type):
            columns.append(as_text(table[field.name]))
        else:
            columns.append(table[field.name].cast(field.type))
    return pa.table(columns, schema=schema)


def sliced(table: pa.Table, rows: int | None, skipped_rows: tuple[SkippedRow, ...] = ()) -> Iterator[Piece]:
    """A table in memory as pieces; the first has the rows that were skipped."""
    step = rows or max(1, table.num_rows)
    for start in range(0, max(1, table.num_rows), step):
        yield Piece(table.slice(start, step), skipped_rows if start == 0 else ())


def _common(types: list[pa.DataType]) -> pa.DataType:
    if len(set(types)) == 1:
        return types[0]
    if all(pa.types.is_integer(t) and t != pa.uint64() for t in types):
        return pa.int64()
    if all(pa.types.is_integer(t) or pa.types.is_floating(t) for t in types):
        return pa.float64()
    return pa.string()
