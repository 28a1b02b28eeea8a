"""JSON and JSON lines: objects as rows, ragged keys as missing, nested objects flattened with dots."""

import json
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from lamina.config import DataError
from lamina.data import _arrow_values as _values
from lamina.data._formats.json_frames import Parsed, from_arrays, from_frame
from lamina.data._formats.options import Options
from lamina.data._formats.pieces import CHUNK, Piece, TableFile
from lamina.data._formats.text import Text
from lamina.data._nested_rows import DEPTH, Extent, flatten, is_too_deep
from lamina.schema import SkippedRow

TOO_DEEP = f"more than {DEPTH} objects and lists in one another"


def json_lines(text: Text, whole: bool) -> TableFile:
    """JSON lines, one object per line. Types are settled over the whole file before the first row is given.

    `whole` keeps the rows of that first pass in memory instead of parsing them twice.
    """
    rows_read: list[Parsed] | None = list(_parsed_lines(text.path)) if whole else None

    def rows() -> Iterator[Parsed]:
        return iter(rows_read) if rows_read is not None else _parsed_lines(text.path)

    kinds: dict[str, pa.DataType] = {}
    source, extent = rows(), Extent(str(text.file))
    while batch := list(islice(source, CHUNK)):
        good = [one.row for one in batch if not one.reason]
        extent.add(good)
        for name, cells in _cells(good).items():
            kinds[name] = _values.together([kinds.get(name, pa.null()), _values.kind(cells)])
    kinds = {name: pa.string() if pa.types.is_null(kind) else kind for name, kind in kinds.items()}

    def read(step: int | None) -> Iterator[Piece]:
        source = rows()
        while batch := list(islice(source, step)):
            table = _values.flat_table([one.row for one in batch if not one.reason], list(kinds), kinds)
            yield Piece(table, _skipped_rows(text.file, batch))

    def lines() -> Iterator[int]:
        return (one.line for one in rows() if not one.reason)

    return TableFile(text.file, pa.schema(list(kinds.items())), text.notes, read, lines, has_types=True)


def document(text: Text, whole: bool, options: Options) -> TableFile:
    """A JSON document: an array of objects or of arrays, an object of columns, one with an array of objects inside, or
    any layout that pandas writes.

    Errors: DataError with the line of a syntax fault; JSON lines under this name are read as such.
    """
    notes = list(text.notes)
    try:
        content = text.path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{text.file}: is not valid {text.encoding} ({error.reason}). Set encoding.") from None
    start = len(content) - len(content.lstrip())
    if content[start : start + 1] == "[":
        elements = list(_elements(text.file, content, start + 1))
        values = from_arrays(text.file, elements, options, notes) or [_as_row(*element) for element in elements]
    else:
        value = _loaded(text.file, content)
        if value is None:
            return json_lines(text, whole)
        rows = from_frame(text.file, value, options.expect, notes) if isinstance(value, dict) else None
        values = _rows(text.file, value) if rows is None else [_as_row(*row) for row in enumerate(rows, start=1)]
    rows, extent = [one.row for one in values if not one.reason], Extent(str(text.file))
    extent.add(rows)
    table = _values.flat_table(rows, list(extent.names))
    read, lines = partial(_read, text.file, table, values), partial(_lines, values)
    return TableFile(text.file, table.schema, tuple(notes), read, lines, has_types=True)


def _cells(rows: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    """By name, the cells there are."""
    cells: dict[str, list[Any]] = {}
    for row in rows:
        for name, cell in row.items():
            cells.setdefault(name, []).append(cell)
    return cells


def _read(file: Path, table: pa.Table, values: list[Parsed], step: int | None) -> Iterator[Piece]:
    start = 0
    for at in range(0, len(values), step or max(1, len(values))):
        batch = values[at : at + step] if step else values
        good = sum(not one.reason for one in batch)
        yield Piece(table.slice(start, good), _skipped_rows(file, batch))
        start += good


def _lines(values: list[Parsed]) -> Iterator[int]:
    return (one.line for one in values if not one.reason)


def _skipped_rows(file: Path, values: Iterable[Parsed]) -> tuple[SkippedRow, ...]:
    return tuple(SkippedRow(str(file), one.line, "", one.reason) for one in values if one.reason)


def _parsed_lines(path: Path) -> Iterator[Parsed]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                value = json.loads(raw.rstrip().decode("utf-8"))
                yield _as_row(number, value, raw.count(b"{") + raw.count(b"[") > DEPTH)
            except UnicodeDecodeError:
                yield Parsed(number, {}, "bytes that are not valid in the encoding")
            except json.JSONDecodeError as error:
                yield Parsed(number, {}, f"not valid JSON at character {error.pos + 1} ({error.msg})")
            except RecursionError:
                yield Parsed(number, {}, TOO_DEEP)
            except ValueError as error:
                yield Parsed(number, {}, f"not usable JSON ({error})")


def _as_row(line: int, value: Any, deep: bool = True) -> Parsed:
    """A value as a row; `deep`: it may hold more objects and lists in one another than are read."""
    if not isinstance(value, dict):
        return Parsed(line, {}, f"{_name(value)} where an object is expected")
    if deep and is_too_deep(value):
        return Parsed(line, {}, TOO_DEEP)
    try:
        return Parsed(line, flatten(value))
    except DataError as error:
        return Parsed(line, {}, str(error))


def _name(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _elements(file: Path, content: str, at: int) -> Iterator[tuple[int, Any]]:
    """The elements of the array whose bracket is just before `at`, each behind its line."""
    decoder, line, scanned = json.JSONDecoder(), 1, 0
    try:
        at = _skip(content, at)
        while content[at : at + 1] != "]":
            line, scanned = line + content.count("\n", scanned, at), at
            value, at = decoder.raw_decode(content, at)
            yield line, value
            at = _skip(content, at)
            if content[at : at + 1] == ",":
                at = _skip(content, at + 1)
            elif content[at : at + 1] != "]":
                raise json.JSONDecodeError("Expecting ',' or ']'", content, at)
        if rest := content[at + 1 :].strip():
            raise json.JSONDecodeError(f"Extra data '{rest[:20]}'", content, at + 1)
    except (ValueError, RecursionError) as error:
        raise _broken(file, error) from None


def _skip(content: str, at: int) -> int:
    while content[at : at + 1] in (" ", "\n", "\r", "\t"):
        at += 1
    return at


def _loaded(file: Path, content: str) -> Any:
    """The one value of the document; None when lines of JSON follow one another."""
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        # A first line that is a whole value by itself says JSON lines, whatever the name of the file.
        first = content.lstrip().partition("\n")[0]
        try:
            json.loads(first)
        except (ValueError, RecursionError):
            raise _broken(file, error) from None
        return None
    except (ValueError, RecursionError) as error:
        raise _broken(file, error) from None


def _broken(file: Path, error: Exception) -> DataError:
    where = TOO_DEEP if isinstance(error, RecursionError) else str(error)
    if isinstance(error, json.JSONDecodeError):
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
    return DataError(f"{file}: is not valid JSON ({where}). Mend it there, or write one object per line as .jsonl.")


def _rows(file: Path, value: Any) -> list[Parsed]:
    if isinstance(value, dict):
        lists = [cell for cell in value.values() if isinstance(cell, list)]
        if len(lists) == 1 and lists[0] and all(isinstance(one, dict) for one in lists[0]):
            return [_as_row(number, one) for number, one in enumerate(lists[0], start=1)]
        if lists and len(lists) == len(value) and len({len(one) for one in lists}) == 1:
            rows = zip(*lists, strict=True)
            return [_as_row(number, dict(zip(value, row, strict=True))) for number, row in enumerate(rows, start=1)]
        if not lists:
            return [_as_row(1, value)]
    raise DataError(
        f"{file}: holds {_name(value) if not isinstance(value, dict) else 'an object'} that is no table. "
        "Write an array of objects, one per row."
    )
