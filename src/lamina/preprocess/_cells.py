"""The cells of many rows, cleaned and parsed: where few texts come again and again, each is worked on once."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.preprocess._columns import TOGETHER, Parser, parse_cells
from lamina.schema import Schema, clean

SAMPLE = 2048  # rows that tell whether texts come again
EACH = {"FILE", "encode_with_reasons"}  # of kinds that have something to say of single cells


class Cells(NamedTuple):
    """A column as it is cleaned and as its kind parses it: every cell, or distinct ones and the `places` (rows,) of all
    cells in these.
    """

    raw: pa.Array
    values: pa.Array
    places: np.ndarray | None = None

    def of_each(self, distinct: pa.Array) -> pa.Array:
        """`raw` or `values` of every row."""
        return distinct if self.places is None else distinct.take(pa.array(self.places))


def read(table: pa.Table, schema: Schema, parsers: Mapping[str, Parser]) -> dict[str, Cells]:
    """Raw rows by column; absent columns are missing in every row."""
    at = {name: place for place, name in enumerate(table.column_names)}
    if table.num_rows * len(parsers) <= TOGETHER:
        rows = clean(table, schema.missing, schema.literal)
        values = parse_cells(rows, list(parsers.values()))
        return {name: Cells(_column(rows, at.get(name)), own) for name, own in zip(parsers, values, strict=True)}
    return {name: _read(_column(table, at.get(name)), schema, parser) for name, parser in parsers.items()}


def _read(column: pa.Array, schema: Schema, parser: Parser) -> Cells:
    places = None
    if pa.types.is_string(column.type) and not EACH & vars(parser.module).keys() and _come_again(column):
        coded: Any = column.dictionary_encode("encode")
        column, places = coded.dictionary, coded.indices.to_numpy()
    rows = clean(pa.table({parser.column.name: column}), schema.missing, schema.literal)
    return Cells(_column(rows, 0), parse_cells(rows, [parser])[0], places)


def _come_again(texts: pa.Array) -> bool:
    some = texts.slice(0, SAMPLE)
    return len(some.unique()) <= len(some) // 2


def _column(table: pa.Table, place: int | None) -> pa.Array:
    """A column in one array; an absent one is texts that are missing."""
    if place is None:
        return pa.nulls(table.num_rows, pa.string())
    column = table.column(place)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
