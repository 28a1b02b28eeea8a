"""The rows of a request become a table of typed columns, each cell by itself.

A table in memory has one type per column, so one odd cell would turn its whole column to text, and requests that
are answered together would change one another. Here the cells of a column are parsed in groups of one JSON type
each: what a cell means depends on nothing but the cell.
"""

import csv
import difflib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.data.arrays import table
from lamina.deploy.server.limits import Limits, RequestError, shown
from lamina.preprocess import Preprocessor, typed, wired
from lamina.schema import Column, clean

NOTES = 20
SHAPE = 'Send {"rows": [{"column": value, ...}, ...]} or {"columns": {"column": [value, ...], ...}}.'
SCALARS = (str, bool, int, float)
SERIES = "series"
A_KIND = {"number": "a number", "boolean": "true or false", "time": "a point in time"}
A_SERIES = "Send a list of numbers, or of steps that are lists of channels; null stands for a gap."
WIDEST = 18  # digits that fit 64 bits whatever they are


@dataclass(frozen=True)
class Question:
    """The cells of one request by column, as they came, and what to say about columns that nobody asked for."""

    values: Mapping[str, list[Any]]
    rows: int
    by_row: bool
    notes: tuple[str, ...] = ()

    def spot(self, name: str, row: int) -> str:
        """A cell as its sender wrote it."""
        return f"rows[{row}].{shown(name)[1:-1]}" if self.by_row else f"columns.{shown(name)[1:-1]}[{row}]"


class Malformed(NamedTuple):
    """A cell that is there but does not read as its column's kind."""

    row: int
    column: Column
    cells: pa.Array


def read(body: bytes | bytearray, limits: Limits) -> Question:
    """One request in JSON, without a look at its cells. Raises `RequestError` with a sentence that names the place."""
    return _question(_json(body, limits), limits)


def read_csv(body: bytes | bytearray, limits: Limits) -> Question:
    """One request in CSV: names in the first line, a row in each other; cells are text, and empty ones missing."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(400, f"body: is not UTF-8 (byte {error.start}). Send CSV in UTF-8.") from None
    first = text.lstrip().partition("\n")[0]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    rows = list[list[str]]()
    try:
        for line in lines:
            if rows and line and len(line) != len(rows[0]):
                where = f"line {lines.line_num}: has {len(line)} cells, and the first line {len(rows[0])} names"
                raise RequestError(400, f"{where}. Give one value for each; an empty one is missing.")
            if len(rows) > limits.rows:
                raise _too_many(limits)
            rows += [line] if line else []
    except csv.Error as error:
        raise RequestError(400, f"line {lines.line_num}: is not CSV ({error}).") from None
    names = [name.strip() for name in rows[0]] if rows else []
    if len(rows) < 2 or len(set(names)) < len(names):
        what = "names a column twice" if len(set(names)) < len(names) else "holds no row"
        raise RequestError(400, f"body: {what}. Send a first line of names, each once, and then a line for each row.")
    return Question(
        {name: list(cells) for name, cells in zip(names, zip(*rows[1:], strict=True), strict=True)}, len(rows) - 1, True
    )


def read_rows(body: bytes, limits: Limits) -> Question:
    """The rows of a form's field: a list of objects, in JSON."""
    value = _json(body, limits)
    return _by_row(value.get("rows") if isinstance(value, dict) else value, limits)


def admitted(asked: Question, prep: Preprocessor, limits: Limits) -> Question:
    """The columns that the model uses, with plain cells, none too long; notes on the others. Raises `RequestError`."""
    used = {column.name for column in prep.used}
    if not used & asked.values.keys():
        got = ", ".join(shown(name) for name in list(asked.values)[:5]) or "no column"
        where = "rows" if asked.by_row else "columns"
        cure = f"This model knows {_some(sorted(used))}."
        raise RequestError(400, f"{where}: not one column is known (got {got}). {cure}")
    series = {column.name for column in prep.used if column.kind == SERIES}
    for name, values in asked.values.items():
        check_series(name, values, asked, limits) if name in series else _check(name, values, asked, limits)
    known = {column.name for column in prep.schema.columns} | {c.name for c in (prep.schema.target,) if c}
    unknown = [name for name in asked.values if name not in known]
    notes = [_unknown(name, used) for name in unknown[: NOTES - 1]]
    if len(unknown) >= NOTES:
        notes.append(f"and {len(unknown) - NOTES + 1:,} more columns that this model does not have.")
    kept = {name: values for name, values in asked.values.items() if name in used}
    return replace(asked, values=kept, notes=tuple(notes))


def parse(asked: Sequence[Question], prep: Preprocessor) -> tuple[pa.Table, list[Malformed]]:
    """The cells of all requests, one below the other, every used column parsed by its kind; malformed cells by row."""
    rows = sum(one.rows for one in asked)
    cells = {c.name: [v for one in asked for v in one.values.get(c.name) or [None] * one.rows] for c in prep.used}
    parsed: dict[str, list[pa.Array]] = {name: [] for name in cells}
    malformed: list[Malformed] = []
    series = tuple(column for column in prep.used if column.kind == SERIES)
    lists = {column.name: cells[column.name] for column in series}
    for kind in SCALARS:
        part = {name: [v if type(v) is kind else None for v in values] for name, values in cells.items()}
        part = {name: values for name, values in part.items() if name not in lists}
        part = {name: values for name, values in part.items() if any(v is not None for v in values)}
        if not part:
            continue
        columns = tuple(column for column in prep.used if column.name in part)
        raw = clean(table(part), prep.schema.missing)
        found = typed(raw, columns)
        for column in columns:
            values = found[column.name].combine_chunks()
            parsed[column.name].append(values)
            malformed += _malformed(column, raw[column.name].combine_chunks(), values)
    files = {c.name: pa.array(cells[c.name], pa.large_binary()) for c in prep.files}
    parsed |= {name: [typed(pa.table(files), prep.files)[name].combine_chunks()] for name in files}
    if series:
        raw = clean(pa.table(wired(series, lists)), prep.schema.missing)
        parsed |= {
            name: [column.combine_chunks()] for name, column in zip(lists, typed(raw, series).columns, strict=True)
        }
    nothing = typed(pa.table({"": pa.nulls(rows)}), tuple(c for c in prep.used if not parsed[c.name]))
    whole = {name: reduce(_filled, arrays) if arrays else nothing[name] for name, arrays in parsed.items()}
    return pa.table(whole), sorted(malformed, key=lambda one: one.row)


def notes(asked: Question, malformed: Sequence[Malformed], start: int) -> list[str]:
    """What a person should know about one request, whose first row is row `start` of those parsed."""
    told = list(asked.notes)
    room = NOTES - len(told)
    shortened = malformed if len(malformed) <= room else malformed[: max(room - 1, 0)]
    for row, column, cells in shortened:
        a_kind = A_KIND.get(column.kind, f"a {column.kind}")
        got = shown(cells[row].as_py())
        told.append(f"{asked.spot(column.name, row - start)}: {got} is not {a_kind}; read as missing.")
    if room and len(shortened) < len(malformed):
        told.append(f"and {len(malformed) - len(shortened):,} more cells that were read as missing.")
    return told


def _filled(values: pa.Array, others: pa.Array) -> pa.Array:
    return values.fill_null(others)


def _malformed(column: Column, raw: pa.Array, values: pa.Array) -> list[Malformed]:
    if raw.null_count == values.null_count:
        return []
    there, lost = (mask.to_numpy(zero_copy_only=False) for mask in (raw.is_valid(), values.is_null()))
    return [Malformed(row, column, raw) for row in np.flatnonzero(there & lost).tolist()]


def _json(body: bytes | bytearray, limits: Limits) -> Any:
    """JSON in UTF-8; NaN is taken for missing. The count of objects is bounded while parsing, before memory is."""
    seen = 0

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal seen
        seen += 1
        if seen > limits.rows + 2:
            raise _too_many(limits)
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in found if names.count(name) > 1)
            raise RequestError(400, f"body: {shown(twice)} is there twice in one object. Send it once.")
        return found

    try:
        text = body.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=once, parse_int=_whole, parse_constant=lambda token: None)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise RequestError(400, f"body: is not JSON ({where}: {error.msg}). {SHAPE}") from None
    except UnicodeDecodeError as error:
        raise RequestError(400, f"body: is not UTF-8 (byte {error.start}). Send JSON in UTF-8.") from None
    except RecursionError:
        raise RequestError(400, f"body: is nested too deeply. {SHAPE}") from None


def _whole(digits: str) -> int | str:
    """A whole number, or its text when 64 bits do not hold it: codes of many digits stay exact."""
    if len(digits) <= WIDEST:
        return int(digits)
    number = int(digits) if len(digits) <= WIDEST + 2 else 1 << 63
    return number if -(1 << 63) <= number < 1 << 63 else digits


def _too_many(limits: Limits) -> RequestError:
    return RequestError(413, f"rows: there are more than {limits.rows:,}. Send them in several requests.")


def _question(value: Any, limits: Limits) -> Question:
    if not isinstance(value, dict) or len(value.keys() & {"rows", "columns"}) != 1:
        got = "both rows and columns" if isinstance(value, dict) and "rows" in value and "columns" in value else ""
        got = got or (f"the keys {_some(list(value))}" if isinstance(value, dict) and value else _what(value))
        raise RequestError(400, f"body: must be an object with either rows or columns (got {got}). {SHAPE}")
    extra = value.keys() - {"rows", "columns"}
    if extra:
        raise RequestError(400, f"body: {shown(min(extra))} does not belong beside rows or columns. {SHAPE}")
    return _by_row(value["rows"], limits) if "rows" in value else _by_column(value["columns"], limits)


def _by_row(rows: Any, limits: Limits) -> Question:
    if not isinstance(rows, list):
        raise RequestError(400, f"rows: must be a list of objects (got {_what(rows)}). {SHAPE}")
    if not rows:
        raise RequestError(400, f"rows: there is none. {SHAPE}")
    if len(rows) > limits.rows:
        raise _too_many(limits)
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise RequestError(400, f"rows[{i}]: must be an object of column and value (got {_what(row)}). {SHAPE}")
    names = dict.fromkeys(name for row in rows for name in row)
    return Question({name: [row.get(name) for row in rows] for name in names}, len(rows), True)


def _by_column(columns: Any, limits: Limits) -> Question:
    if not isinstance(columns, dict):
        raise RequestError(400, f"columns: must be an object of column and list (got {_what(columns)}). {SHAPE}")
    for name, values in columns.items():
        if not isinstance(values, list):
            raise RequestError(
                400, f"columns.{shown(name)[1:-1]}: must be a list of values (got {_what(values)}). {SHAPE}"
            )
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{shown(name)}: {length}" for name, length in list(lengths.items())[:10])
        raise RequestError(
            400, f"columns: must be equally long (got {told}). Give one value per row; null means missing."
        )
    if not any(lengths.values()):
        raise RequestError(400, f"columns: there is no row. {SHAPE}")
    if max(lengths.values()) > limits.rows:
        raise _too_many(limits)
    return Question(columns, max(lengths.values()), False)


def _check(name: str, values: list[Any], asked: Question, limits: Limits) -> None:
    """Only plain values, none too long."""
    kinds = set(map(type, values))
    if dict in kinds or list in kinds:
        row = next(i for i, value in enumerate(values) if isinstance(value, dict | list))
        cure = "Send a plain value, and the parts of an object as columns of their own ('a.b')."
        raise RequestError(400, f"{asked.spot(name, row)}: must not be nested (got {_what(values[row])}). {cure}")
    if str in kinds:
        row = max(range(len(values)), key=lambda i: len(values[i]) if isinstance(values[i], str) else -1)
        if len(values[row]) > limits.text:
            size = f"{len(values[row]):,} characters; at most {limits.text:,} are taken"
            raise RequestError(413, f"{asked.spot(name, row)}: has {size}. Shorten it.")


def check_series(name: str, values: list[Any], asked: Question, limits: Limits) -> None:
    """Only lists of numbers, lists of these, and text, none too long."""
    for row, cell in enumerate(values):
        if isinstance(cell, str):
            if len(cell) > 16 * limits.numbers:
                raise _too_long(asked.spot(name, row), limits)
        elif isinstance(cell, list):
            _check_list(cell, asked.spot(name, row), limits)
        elif cell is not None:
            raise RequestError(
                400, f"{asked.spot(name, row)}: must be a list of numbers (got {_what(cell)}). {A_SERIES}"
            )


def _check_list(cell: list[Any], spot: str, limits: Limits) -> None:
    if sum(len(inner) if isinstance(inner, list) else 1 for inner in cell) > limits.numbers:
        raise _too_long(spot, limits)
    nested = any(isinstance(inner, list) for inner in cell)
    for i, inner in enumerate(cell):
        if nested and not isinstance(inner, list):
            raise RequestError(400, f"{spot}[{i}]: must be a list, as others are (got {_what(inner)}). {A_SERIES}")
        for k, value in enumerate(inner if nested else (inner,)):
            if value is not None and type(value) not in (int, float):
                at = f"{spot}[{i}][{k}]" if nested else f"{spot}[{i}]"
                raise RequestError(400, f"{at}: must be a number (got {_what(value)}). {A_SERIES}")


def _too_long(spot: str, limits: Limits) -> RequestError:
    return RequestError(413, f"{spot}: has more than {limits.numbers:,} numbers. Send a shorter series.")


def _unknown(name: str, used: set[str]) -> str:
    close = difflib.get_close_matches(name[:100], used, n=1)
    return f"{shown(name)} is not a column of this model; not used.{f' Did you mean {close[0]!r}?' if close else ''}"


def _what(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return "null" if value is None else shown(value)


def _some(names: list[str]) -> str:
    return ", ".join(shown(name) for name in names[:5]) + (" ..." if len(names) > 5 else "")
