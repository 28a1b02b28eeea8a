"""JSON that is a table without being rows: the layouts in which pandas writes a frame, and arrays of arrays."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lamina.data._formats.header import column_names
from lamina.data._formats.options import Options

INDEX = "index"  # the column of row labels
POSITIONS = 10**9  # numbers below are positions of rows, and not times
SAMPLE = 200
FEW = 2
SPLIT = {"columns", "index", "data"}


class Parsed(NamedTuple):
    """One value of a file as a flat row, the line it begins on, and the reason when it is no row."""

    line: int
    row: dict[str, Any]
    reason: str = ""


def from_arrays(file: Path, elements: Sequence[tuple[int, Any]], options: Options, notes: list[str]) -> list[Parsed]:
    """Rows of arrays, each behind its line, of which the first may name the columns; none where some are no arrays."""
    rows = [row for _, row in elements]
    if not rows or not all(isinstance(row, list) and not any(map(_is_nested, row)) for row in rows) or not rows[0]:
        return []
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows[:SAMPLE]]
    header = column_names(file, texts, options)
    notes += header.notes
    width, parsed = len(header.names), list[Parsed]()
    for line, row in elements[header.rows :]:
        reason = "" if len(row) == width else f"{len(row)} values where {width} are expected"
        parsed.append(Parsed(line, {} if reason else dict(zip(header.names, row, strict=True)), reason))
    return parsed


def from_frame(
    file: Path, value: dict[str, Any], expect: Sequence[str], notes: list[str]
) -> list[dict[str, Any]] | None:
    """The rows of a frame as pandas writes it (columns, split, index or table); None for any other object."""
    names, cells = value.get("columns"), value.get("data")
    if _is_split(value):
        rows = [dict(zip(map(_name, names or ()), row, strict=True)) for row in cells or ()]
        return _labelled(file, rows, value.get("index") or range(len(rows)), notes)
    if _is_table(value):
        rows = [{name: cell for name, cell in row.items() if name != INDEX} for row in cells or ()]
        return _labelled(file, rows, [row[INDEX] for row in cells or ()], notes)
    if not _is_grid(value):
        return None
    rows, labels = list(value.values()), list(value)
    inner, hits = list(rows[0]), (len(set(rows[0]) & set(expect)), len(set(value) & set(expect)))
    if any(f"{outer}.{name}" in expect for outer in value for name in inner):
        return None  # one row, in which each has the same parts
    if hits[0] > hits[1] or (hits[0] == hits[1] and _are_numbers(labels) and not _are_numbers(inner)):
        return _labelled(file, rows, labels, notes)
    if not hits[1] and not _are_numbers(inner) and len(inner) <= max(FEW, len(value)):
        return None
    return _labelled(file, [{name: one[label] for name, one in value.items()} for label in inner], inner, notes)


def _is_split(value: dict[str, Any]) -> bool:
    names, rows = value.get("columns"), value.get("data")
    if not value.keys() <= SPLIT or not isinstance(names, list) or not isinstance(rows, list):
        return False
    return all(isinstance(row, list) and len(row) == len(names) for row in rows)


def _is_table(value: dict[str, Any]) -> bool:
    rows = value.get("data")
    if not isinstance(value.get("schema"), dict) or not isinstance(rows, list):
        return False
    return all(isinstance(row, dict) and INDEX in row for row in rows)


def _is_grid(value: dict[str, Any]) -> bool:
    """Whether an object holds objects of the same names, and these plain cells."""
    rows = list(value.values())
    if not rows or not all(isinstance(row, dict) and row and row.keys() == rows[0].keys() for row in rows):
        return False
    return not any(_is_nested(cell) for row in rows for cell in row.values())


def _are_numbers(labels: Sequence[str]) -> bool:
    return all(map(str.isdigit, labels))


def _labelled(file: Path, rows: list[dict[str, Any]], labels: Iterable[Any], notes: list[str]) -> list[dict[str, Any]]:
    """Rows with their labels as a column, where these are more than positions."""
    texts = list(map(str, labels))
    if texts == [str(place) for place in range(len(texts))]:
        return rows
    if all(text.isdigit() and int(text) < POSITIONS for text in texts) or any(INDEX in row for row in rows):
        notes.append(f"{file}: the labels of its rows, such as '{texts[0]}', are not used.")
        return rows
    notes.append(f"{file}: the labels of its rows are the column '{INDEX}'.")
    return [{INDEX: label, **row} for label, row in zip(labels, rows, strict=True)]


def _name(name: Any) -> str:
    return ".".join(map(str, name)) if isinstance(name, list) else str(name)


def _is_nested(cell: Any) -> bool:
    return isinstance(cell, dict | list)
