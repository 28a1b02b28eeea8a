"""The rows of requests become a table of typed columns, each cell by itself.

A table in memory has one type per column, so one odd cell would turn its whole column to text, and requests that
are answered together would change one another. Here the cells of a column are parsed in groups of one JSON type
each: what a cell means depends on nothing but the cell.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.data import _arrow_values
from lamina.deploy.server.json_reader import describe, some
from lamina.deploy.server.limits import Limits, RequestError, quoted
from lamina.deploy.server.request_rows import RequestRows
from lamina.preprocess import Preprocessor, cells_from_json
from lamina.schema import Column, clean

NOTES = 20
TYPES = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
SERIES = "series"
NOUNS = {"number": "a number", "boolean": "true or false", "time": "a point in time"}
A_SERIES = "Send a list of numbers, or of steps that are lists of channels; null stands for a gap."


class Malformed(NamedTuple):
    """A cell that is there but does not read as its column's kind."""

    row: int
    column: Column
    cells: pa.Array


class CellParser:
    """What the cells of requests mean to one fitted preprocessing; what does not change is looked up once."""

    def __init__(self, prep: Preprocessor):
        self.prep = prep
        self.columns = {column.name: column for column in prep.columns}
        self.series = tuple(column for column in prep.columns if column.kind == SERIES)
        self.files = {column.name for column in prep.files}
        self._lists = {column.name for column in self.series}
        self._special = self.files | self._lists
        self._scalars = [name for name in self.columns if name not in self._special]
        target = prep.schema.target
        self._recognized = {column.name for column in prep.schema.columns} | ({target.name} if target else set())

    def select(self, rows: RequestRows, limits: Limits) -> RequestRows:
        """The columns that the model uses, with plain cells, none too long; notes on the others.

        Errors: RequestError for the first cell that cannot be.
        """
        if self.columns.keys().isdisjoint(rows.values):
            got = ", ".join(quoted(name) for name in list(rows.values)[:5]) or "no column"
            where = "rows" if rows.by_row else "columns"
            cure = f"This model knows {some(sorted(self.columns))}."
            raise RequestError(400, f"{where}: not one column is known (got {got}). {cure}")
        for name, values in rows.values.items():
            check_series(name, values, rows, limits) if name in self._lists else _check(name, values, rows, limits)
        if rows.values.keys() <= self.columns.keys():
            return rows
        used = {name: values for name, values in rows.values.items() if name in self.columns}
        unknown = [name for name in rows.values if name not in self._recognized]
        return replace(rows, values=used, notes=(*rows.notes, *self._unknown(unknown)))

    def _unknown(self, names: list[str]) -> Iterable[str]:
        """Notes on columns that nobody asked for."""
        for name in names[: NOTES - 1]:
            close = difflib.get_close_matches(name[:100], self.columns, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            yield f"{quoted(name)} is not a column of this model; not used.{hint}"
        if len(names) >= NOTES:
            yield f"and {len(names) - NOTES + 1:,} more columns that this model does not have."

    def parse(self, requests: Sequence[RequestRows]) -> tuple[pa.Table, list[Malformed]]:
        """The cells of all requests, one below the other, every column parsed by its kind; malformed ones by row."""
        parsed: dict[str, pa.Array] = {}
        malformed: list[Malformed] = []
        for arrays in self._rounds(self._joined(requests)):
            raw = clean(pa.table(arrays), self.prep.schema.missing)
            for name, values in self.prep.parse(raw, arrays).items():
                if name not in self._special:
                    malformed += _malformed(self.columns[name], raw[name], values)
                parsed[name] = parsed[name].fill_null(values) if name in parsed else values
        return pa.table({name: parsed[name] for name in self.columns}), sorted(malformed, key=lambda cell: cell.row)

    def _joined(self, requests: Sequence[RequestRows]) -> dict[str, list[Any]]:
        if len(requests) == 1:
            (rows,) = requests
            return {name: rows.values.get(name) or [None] * rows.count for name in self.columns}
        return {
            name: [cell for rows in requests for cell in rows.values.get(name) or [None] * rows.count]
            for name in self.columns
        }

    def _rounds(self, cells: dict[str, list[Any]]) -> Iterable[dict[str, pa.Array]]:
        """All cells as columns of one type each: first those of each column's first JSON type, then of the next, for
        as long as there are columns with more; cells of other types are missing.
        """
        types = {name: set(map(type, cells[name])) for name in self._scalars}
        kinds = {name: [kind for kind in TYPES if kind in types[name]] or [str] for name in self._scalars}
        arrays = {name: _column(cells[name], kinds[name][0], types[name]) for name in self._scalars}
        arrays |= {name: pa.array(cells[name], pa.large_binary()) for name in self.files}
        arrays |= cells_from_json(self.series, cells)
        place = 0
        while arrays:
            yield arrays
            place += 1
            more = [name for name in self._scalars if len(kinds[name]) > place]
            arrays = {name: _column(cells[name], kinds[name][place], types[name]) for name in more}


def _column(values: list[Any], kind: type, types: set[type]) -> pa.Array:
    """The cells of one JSON type."""
    if types - {kind, type(None)}:
        values = [value if type(value) is kind else None for value in values]
    return _arrow_values.column(values, TYPES[kind])


def notes(rows: RequestRows, malformed: Sequence[Malformed], start: int) -> list[str]:
    """What a person should know about one request, whose first row is row `start` of those parsed."""
    sentences = list(rows.notes)
    room = NOTES - len(sentences)
    shortened = malformed if len(malformed) <= room else malformed[: max(room - 1, 0)]
    for row, column, cells in shortened:
        noun = NOUNS.get(column.kind, f"a {column.kind}")
        got = quoted(cells[row].as_py())
        sentences.append(f"{rows.place(column.name, row - start)}: {got} is not {noun}; read as missing.")
    if room and len(shortened) < len(malformed):
        sentences.append(f"and {len(malformed) - len(shortened):,} more cells that were read as missing.")
    return sentences


def _malformed(column: Column, raw: pa.ChunkedArray, values: pa.Array) -> list[Malformed]:
    if raw.null_count == values.null_count:
        return []
    cells = raw.combine_chunks()
    present, missing = (mask.to_numpy(zero_copy_only=False) for mask in (cells.is_valid(), values.is_null()))
    return [Malformed(row, column, cells) for row in np.flatnonzero(present & missing).tolist()]


def _check(name: str, values: list[Any], rows: RequestRows, limits: Limits) -> None:
    """Only plain values, none too long."""
    kinds = set(map(type, values))
    if dict in kinds or list in kinds:
        row = next(i for i, value in enumerate(values) if isinstance(value, dict | list))
        cure = "Send a plain value, and the parts of an object as columns of their own ('a.b')."
        raise RequestError(400, f"{rows.place(name, row)}: must not be nested (got {describe(values[row])}). {cure}")
    if str in kinds:
        row = max(range(len(values)), key=lambda i: len(values[i]) if isinstance(values[i], str) else -1)
        if len(values[row]) > limits.text:
            size = f"{len(values[row]):,} characters; at most {limits.text:,} are taken"
            raise RequestError(413, f"{rows.place(name, row)}: has {size}. Shorten it.")


def check_series(name: str, values: list[Any], rows: RequestRows, limits: Limits) -> None:
    """Only lists of numbers, lists of these, and text, none too long."""
    for row, cell in enumerate(values):
        if isinstance(cell, str):
            if len(cell) > 16 * limits.numbers:
                raise _too_long(rows.place(name, row), limits)
        elif isinstance(cell, list):
            _check_list(cell, rows.place(name, row), limits)
        elif cell is not None:
            got = describe(cell)
            raise RequestError(400, f"{rows.place(name, row)}: must be a list of numbers (got {got}). {A_SERIES}")


def _check_list(cell: list[Any], place: str, limits: Limits) -> None:
    if sum(len(inner) if isinstance(inner, list) else 1 for inner in cell) > limits.numbers:
        raise _too_long(place, limits)
    nested = any(isinstance(inner, list) for inner in cell)
    for i, inner in enumerate(cell):
        if nested and not isinstance(inner, list):
            got = describe(inner)
            raise RequestError(400, f"{place}[{i}]: must be a list, as others are (got {got}). {A_SERIES}")
        for k, value in enumerate(inner if nested else (inner,)):
            if value is not None and type(value) not in (int, float):
                at = f"{place}[{i}][{k}]" if nested else f"{place}[{i}]"
                raise RequestError(400, f"{at}: must be a number (got {describe(value)}). {A_SERIES}")


def _too_long(place: str, limits: Limits) -> RequestError:
    return RequestError(413, f"{place}: has more than {limits.numbers:,} numbers. Send a shorter series.")
