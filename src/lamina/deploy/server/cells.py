"""The rows of requests become a table of typed columns, each cell by itself.

A table in memory has one type per column, so one odd cell would turn its whole column to text, and requests that
are answered together would change one another. Here the cells of a column are parsed in groups of one JSON type
each: what a cell means depends on nothing but the cell.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.data import _arrow_values
from lamina.deploy.cell_notes import (
    AS_MISSING,
    NOTES,
    SERIES,
    Reading,
    absent_columns,
    quoted,
    readings,
    unknown_columns,
)
from lamina.deploy.input_policy import CURES, MISSING_COLUMN, PolicyChecks
from lamina.deploy.server.json_reader import describe, some
from lamina.deploy.server.limits import Limits, RequestError
from lamina.deploy.server.request_rows import RequestRows, check_plain
from lamina.preprocess import Preprocessor, cells_from_json
from lamina.schema import Column, Row, clean

TYPES = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
NUMERIC = {int, float, bool, type(None)}
INFINITE = (math.inf, -math.inf)
A_SERIES = "Send a list of numbers, or of steps that are lists of channels; null stands for a gap."


class Remark(NamedTuple):
    """A cell that is not read as it was written."""

    row: int
    column: Column
    cells: pa.ChunkedArray
    reading: Reading

    @property
    def words(self) -> str:
        """What the cell is, and how it is read."""
        return f"{self.reading.words(self.cells[self.row].as_py())}."


class CellParser:
    """What the cells of requests mean to one fitted preprocessing; what does not change is looked up once."""

    def __init__(self, prep: Preprocessor, says_absent: bool = True):
        self.prep, self._says_absent = prep, says_absent
        self.columns = {column.name: column for column in prep.columns}
        self.series = tuple(column for column in prep.columns if column.kind == SERIES)
        self.files = {column.name for column in prep.files}
        self._zoned = [column.name for column in prep.columns if prep.has_zones(column.name)]
        self._lists = {column.name for column in self.series}
        self._special = self.files | self._lists
        self._scalars = [name for name in self.columns if name not in self._special]
        target = prep.schema.target
        self._recognized = {column.name for column in prep.schema.columns} | ({target.name} if target else set())
        self._checks = PolicyChecks(prep)

    def check(self, rows: RequestRows, limits: Limits) -> RequestRows:
        """The same with plain cells, none too long. Errors: RequestError for the first that is not, or no column."""
        if not rows.values:
            got = ", ".join(quoted(name) for name in rows.unknown[:5]) or "no column"
            where = "rows" if rows.by_row else "columns"
            cure = f"This model knows {some(sorted(self.columns))}."
            raise RequestError(400, f"{where}: not one column is known (got {got}). {cure}")
        sentences = list[str]()
        if not self._special and _are_plain(rows.values, limits.text):
            return rows
        for name, values in rows.values.items():
            if name in self._lists:
                sentences += check_series(name, values, rows, limits)
            elif name not in self.files:
                check_plain(name, values, limits, by_row=rows.by_row)
        return replace(rows, notes=tuple(sentences)) if sentences else rows

    def parse(self, requests: Sequence[RequestRows]) -> tuple[pa.Table, list[Remark]]:
        """The cells of all requests, one below the other, every column parsed by its kind; remarks on some, by row."""
        parsed: dict[str, pa.Array] = {}
        remarks: list[Remark] = []
        for arrays in self._rounds(self._joined(requests)):
            raw = clean(pa.table(arrays), self.prep.schema.missing, self.prep.schema.literal)
            for name, values in self.prep.parse(raw, arrays).items():
                if name not in self._special:
                    remarks += self._remarks(self.columns[name], raw[name], values)
                parsed[name] = parsed[name].fill_null(values) if name in parsed else values
        if self._checks:
            remarks += self._check(requests, parsed, remarks)
        return pa.table({name: parsed[name] for name in self.columns}), sorted(remarks, key=lambda remark: remark.row)

    def encode(self, requests: Sequence[RequestRows]) -> dict[str, np.ndarray] | None:
        """The inputs of a network for all requests, where every cell means what it looks like, so that there is nothing
        to say of any; else None.
        """
        count = sum(rows.count for rows in requests)
        values = requests[0].values if len(requests) == 1 else self._joined(requests)
        inputs = self.prep.encode_cells(values, count)
        if inputs is None or not self._checks or not any(self._checks.suspects(rows.values) for rows in requests):
            return inputs
        return None

    def _check(
        self, requests: Sequence[RequestRows], parsed: dict[str, pa.Array], remarks: Sequence[Remark]
    ) -> list[Remark]:
        """Remarks on cells by the policies of their columns; what these take for missing is, in `parsed`."""
        new, count = list[Remark](), sum(rows.count for rows in requests)
        for name in self._checks.policies:
            ignored = np.zeros(count, bool)  # rows that something is said of already
            ignored[[remark.row for remark in remarks if remark.column.name == name]] = True
            stop = 0
            for rows in requests:
                start, stop = stop, stop + rows.count
                ignored[start:stop] |= name not in rows.values
            values, column = parsed[name], self.columns[name]
            for reading, mask in self._checks.readings(name, values, ignored):
                cells = pa.chunked_array([values])
                new += [Remark(row, column, cells, reading) for row in np.flatnonzero(mask).tolist()]
            parsed[name] = self._checks.imputed(name, values)
        return new

    def fault(self, rows: RequestRows, remarks: Sequence[Remark], start: int = 0) -> RequestError | None:
        """Why the policy of a column refuses a request, whose first row is row `start` of those parsed, if so."""
        for name in self.absent(rows) if self._checks else ():
            if self._checks.rejects(name):
                where = "rows" if rows.by_row else "columns"
                what = f"{quoted(name)} is not there, which this server does not take"
                return RequestError(400, f"{where}: {what}. {CURES[MISSING_COLUMN]}")
        for one in remarks if self._checks else ():
            if self._checks.rejects(one.column.name):
                place, what = rows.place(one.column.name, one.row - start), one.reading.what(one.cells[one.row].as_py())
                cure = CURES[one.reading.kind]
                return RequestError(400, f"{place}: {what}, which this server does not take. {cure}")
        return None

    def warnings(self, rows: RequestRows, remarks: Sequence[Remark], start: int = 0) -> list[Row]:
        """What programs should know of the cells of columns whose policy is to say so."""
        if not self._checks:
            return []
        columns = [(None, name, MISSING_COLUMN, f"is not there; {AS_MISSING}.") for name in self.absent(rows)]
        cells = [(one.row - start, one.column.name, one.reading.kind, one.words) for one in remarks]
        flagged = [words for words in (*columns, *cells) if self._checks.flags(words[1])]
        return [dict(zip(("row", "column", "kind", "message"), words, strict=True)) for words in flagged]

    def absent(self, rows: RequestRows) -> tuple[str, ...]:
        """The columns that a request does not have, where that is worth a word."""
        if not self._says_absent or len(rows.values) == len(self.columns):
            return ()
        return tuple(name for name in self.columns if name not in rows.values)

    def parse_together(self, rows: RequestRows) -> tuple[pa.Table, list[Remark]]:
        """The same of one request whose rows are one thing; texts of times stay as they are, with their zones."""
        table, remarks = self.parse([rows])
        for name in self._zoned:
            values = rows.values.get(name) or [None]
            if set(map(type, values)) <= {str, type(None)} and any(values):
                table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.string()))
        return table, remarks

    def _remarks(self, column: Column, raw: pa.ChunkedArray, values: pa.Array) -> Iterator[Remark]:
        """Cells of one type that are there and do not read as their column's kind, or as anything it was fitted on."""
        for reading, mask in readings(self.prep, column, raw, values):
            yield from (Remark(row, column, raw, reading) for row in np.flatnonzero(mask).tolist())

    def notes(self, rows: RequestRows, remarks: Sequence[Remark], start: int = 0) -> list[str]:
        """What a person should know about one request, whose first row is row `start` of those parsed."""
        if len(rows.values) == len(self.columns) and not (rows.unknown or rows.notes or remarks):
            return []
        unknown = [name for name in rows.unknown if name not in self._recognized]
        absent = absent_columns(list(self.absent(rows)))
        sentences = [*unknown_columns(unknown, self.columns), *absent, *rows.notes]
        room = max(NOTES - len(sentences), 0)
        shortened = remarks if len(remarks) <= room else remarks[: max(room - 1, 0)]
        sentences += [f"{rows.place(one.column.name, one.row - start)}: {one.words}" for one in shortened]
        others = remarks[len(shortened) :]
        if room and others:
            how = "missing" if all(one.reading.effect == AS_MISSING for one in others) else "missing, or as others"
            sentences.append(f"and {len(others):,} more cells that were read as {how}.")
        return sentences

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


def _are_plain(values: Mapping[str, list[Any]], longest: int) -> bool:
    """Whether all cells are plain, and no text is longer: one look at all of them."""
    types = set(map(type, chain.from_iterable(values.values())))
    if types <= NUMERIC:
        return True
    texts = (cell for cell in chain.from_iterable(values.values()) if type(cell) is str)
    return types <= NUMERIC | {str} and max(map(len, texts)) <= longest


def check_series(name: str, values: list[Any], rows: RequestRows, limits: Limits) -> Iterator[str]:
    """Only lists of numbers, lists of these, and text, none too long; infinite numbers become gaps, with a note."""
    for row, cell in enumerate(values):
        if isinstance(cell, str):
            if len(cell) > 16 * limits.numbers:
                raise _too_long(rows.place(name, row), limits)
        elif isinstance(cell, list):
            _check_list(cell, rows.place(name, row), limits)
            if any(infinite in inner for inner in _lists(cell) for infinite in INFINITE):
                values[row] = _finite(cell)
                yield f"{rows.place(name, row)}: holds infinite numbers; read as gaps."
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


def _lists(cell: list[Any]) -> Iterator[list[Any]]:
    return iter(cell if any(isinstance(inner, list) for inner in cell) else [cell])


def _finite(value: Any) -> Any:
    """A list with null in place of what is infinite."""
    return [_finite(inner) for inner in value] if isinstance(value, list) else None if value in INFINITE else value


def _too_long(place: str, limits: Limits) -> RequestError:
    return RequestError(413, f"{place}: has more than {limits.numbers:,} numbers. Send a shorter series.")
