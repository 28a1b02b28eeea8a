"""Raw cells of columns to typed Arrow arrays, each by its kind; kinds and settings are looked up once."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from lamina.config import Config, LaminaError, parse
from lamina.plugins import plugin
from lamina.schema import Column, Input

UNUSED = ("constant", "identifier", "ignore")
TOGETHER = 1 << 14  # cells of all columns: fewer are parsed kind by kind, more column by column
PLAIN = {t.id for t in (pa.string(), pa.bool_(), pa.float64(), pa.float32(), pa.int64(), pa.int32())}


class Parser(NamedTuple):
    """A column, the module of its kind, and its checked settings."""

    column: Column
    module: Any
    settings: Config


class Fitted(NamedTuple):
    """A column with all that is needed to encode it; `input_name` is that of the input its numbers go to."""

    column: Column
    module: Any
    settings: Config
    state: Config
    feed: Input
    input_name: str


def parsers(columns: Iterable[Column]) -> tuple[Parser, ...]:
    """How the cells of each column are read; columns of one kind with equal settings share them."""
    shared: list[Parser] = []
    for column in columns:
        module, cfg = module_of(column), settings(column)
        alike = (p.settings for p in shared if p.module is module and p.settings == cfg)
        shared.append(Parser(column, module, next(alike, cfg)))
    return tuple(shared)


def module_of(column: Column) -> Any:
    """The module of a column's kind. Errors: RecipeError naming the column."""
    return plugin("preprocess", column.kind, f"columns.{column.name}")


def settings(column: Column) -> Config:
    """The checked settings of a column: its kind's defaults and what the schema says."""
    faults: list[str] = []
    cfg = parse(module_of(column).Config, {"kind": column.kind, **column.settings}, f"columns.{column.name}", faults)
    if cfg is None:
        raise LaminaError("\n".join(faults))
    return cfg


def parse_columns(table: pa.Table, columns: tuple[Column, ...]) -> pa.Table:
    """The columns named, each parsed by its kind; a column that is absent counts as missing in every row."""
    if not columns:
        return table.select([])
    return pa.table(parse_cells(table, parsers(columns)), names=[column.name for column in columns])


def parse_cells(table: pa.Table, parsers: Sequence[Parser]) -> list[pa.Array]:
    """The same as arrays, one for each parser.

    A kind parses cell by cell, so the cells of columns of one kind, one setting and one type are parsed as one array
    where the table is small: a call into Arrow costs more than it works on one row.
    """
    places = {name: place for place, name in enumerate(table.column_names)}
    raw = [_raw(table, places.get(parser.column.name)) for parser in parsers]
    if len(parsers) == 1 or table.num_rows * len(parsers) > TOGETHER:
        return [p.module.parse(cells, p.settings) for p, cells in zip(parsers, raw, strict=True)]
    groups: dict[tuple[int, int, int], list[int]] = {}
    for place, (parser, cells) in enumerate(zip(parsers, raw, strict=True)):
        joint = cells.type.id in PLAIN
        groups.setdefault((id(parser.settings), cells.type.id, -1 if joint else place), []).append(place)
    arrays: list[pa.Array] = list(raw)
    for members in groups.values():
        parser, cells = parsers[members[0]], [raw[place] for place in members]
        joint = parser.module.parse(pa.concat_arrays(cells) if len(cells) > 1 else cells[0], parser.settings)
        for i, place in enumerate(members):
            arrays[place] = joint.slice(i * table.num_rows, table.num_rows)
    return arrays


def _raw(table: pa.Table, place: int | None) -> pa.Array:
    """The cells of a column in one array; those of an absent or empty one are texts that are missing."""
    if place is None:
        return pa.nulls(table.num_rows, pa.string())
    column = table.column(place)
    cells = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return cells.cast(pa.string()) if pa.types.is_null(cells.type) else cells
