"""What to say of rows that a bundle answers: columns it does not have or that are not there, cells it cannot read.

A server says it cell by cell, see `deploy.server.cells`; of a file, cells are counted column by column.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import Cells, Preprocessor
from lamina.schema import Column

NOTES = 20  # of one request
NAMES = 5  # of columns in one note
AS_MISSING = "read as missing"
SERIES = "series"
MISSING, UNREADABLE, WRONG_TYPE, UNSEEN, RANGE = "missing", "unreadable", "wrong_type", "unseen", "out_of_range"
NOUNS = {"number": "a number", "boolean": "true or false", "time": "a point in time", "labels": "a list of labels"}


class Reading(NamedTuple):
    """How cells are read that are not what their column holds: what they are, what becomes of them, and a word."""

    one: str
    effect: str
    kind: str

    def words(self, cell: object) -> str:
        """Of one cell: "'abc' is not a number; read as missing"."""
        if self.one == "is":
            return f"{json.dumps(cell)} is {self.effect}"
        return f"{self.what(cell)}; {self.effect}"

    def what(self, cell: object) -> str:
        """The same without what becomes of it."""
        if cell is None:
            return self.one
        value = json.dumps(cell) if isinstance(cell, bool | float) else quoted(cell)
        return f"{value} {'is no number' if self.one == 'is' else self.one}"


def readings(prep: Preprocessor, column: Column, raw: pa.Array, values: pa.Array) -> Iterator[tuple[Reading, Any]]:
    """What to say of cells of one type (cleaned, and as their kind parses them), each with a mask (rows,) of them."""
    if raw.null_count < values.null_count:
        unread = pc.and_(raw.is_valid(), values.is_null())
        hint = prep.hint(column.name, raw)
        effect = f"{AS_MISSING}; {hint}" if hint else AS_MISSING
        yield Reading(f"is not {NOUNS.get(column.kind, f'a {column.kind}')}", effect, UNREADABLE), _mask(unread)
    if column.kind == "number" and pa.types.is_boolean(raw.type):
        for number in (1, 0):
            yield Reading("is", f"read as the number {number}", WRONG_TYPE), _mask(pc.equal(values, number))
    elif (rare := prep.rare(column.name, values)) is not None:
        what = "has labels" if column.kind == "labels" else "is a value"
        yield Reading(f"{what} that this model does not know", "read as a rare one", UNSEEN), _mask(rare)


def _mask(mask: Any) -> np.ndarray:
    return np.asarray(mask.fill_null(False) if isinstance(mask, pa.Array) else mask)


def unknown_columns(names: Iterable[str], columns: Iterable[str]) -> list[str]:
    """A note on each column that a model does not have, with the name it may be meant for."""
    names, columns = list(names), list(columns)
    sentences = []
    for name in names[: NOTES - 1]:
        close = difflib.get_close_matches(name[:100], columns, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        sentences.append(f"{quoted(name)} is not a column of this model; not used.{hint}")
    if len(names) >= NOTES:
        sentences.append(f"and {len(names) - NOTES + 1:,} more columns that this model does not have.")
    return sentences


def absent_columns(names: list[str]) -> list[str]:
    """A note on the columns of a model that rows do not have at all."""
    if not names:
        return []
    listed = ", ".join(map(quoted, names[:NAMES])) + (f" and {len(names) - NAMES:,} more" if len(names) > NAMES else "")
    verb = "is not there" if len(names) == 1 else "are not there"
    return [f"{listed} {verb}; {AS_MISSING} in every row."]


def quoted(value: object) -> str:
    """What a client sent, short and safe to repeat to it."""
    text = repr(value) if isinstance(value, str) else str(value)
    text = text if len(text) <= 40 else f"{text[:36]} ..."
    return text.encode("utf-8", "replace").decode()


class CellNotes:
    """Counts over all rows of a file, piece by piece: `add` each, then read `sentences`."""

    def __init__(self, prep: Preprocessor, says_absent: bool = True, keep: Iterable[str] = ()):
        """`says_absent`: whether a column that is not there is worth a note; `keep`: columns that answers are given."""
        self.prep, self.rows, self._says_absent = prep, 0, says_absent
        special = {column.name for column in (*prep.files, *(c for c in prep.columns if c.kind == SERIES))}
        self._columns = {column.name: column for column in prep.columns}
        self._plain = [name for name in self._columns if name not in special]
        target = prep.schema.target
        self._recognized = {column.name for column in prep.schema.columns} | ({target.name} if target else set())
        self._recognized |= set(keep)
        self._unknown = dict[str, None]()
        self._present = set[str]()
        self._counts = dict[tuple[str, Reading], tuple[int, str]]()

    def add(self, rows: pa.Table, cells: Mapping[str, Cells] | None = None) -> None:
        """Look at the raw cells of more rows, under the names of the bundle; `cells` where they are read already."""
        self._unknown |= dict.fromkeys(name for name in rows.column_names if name and name not in self._recognized)
        present = set(rows.column_names)
        self._present |= present
        names = [name for name in self._plain if name in present]
        cells = self.prep.read(rows, names) if cells is None else cells
        for name in names:
            raw, values, places = cells[name]
            if pa.types.is_null(raw.type):
                continue
            if places is not None and raw.null_count < values.null_count:  # a hint is one on all cells
                raw, values, places = cells[name].of_each(raw), cells[name].of_each(values), None
            for reading, mask in readings(self.prep, self._columns[name], raw, values):
                self._count(name, reading, raw, mask, places)
        self.rows += rows.num_rows

    def _count(self, name: str, reading: Reading, raw: pa.Array, mask: np.ndarray, places: np.ndarray | None) -> None:
        if not mask.any():
            return
        rows = mask if places is None else mask[places]
        before, example = self._counts.get((name, reading), (0, ""))
        if not before:
            row = int(rows.argmax())
            cell = raw[row if places is None else int(places[row])]
            example = f"row {self.rows + row + 1:,}: {reading.words(cell.as_py())}"
        self._counts[name, reading] = before + int(rows.sum()), example

    @property
    def sentences(self) -> list[str]:
        """What a person should know, with counts; the columns first."""
        absent = [name for name in self._columns if name not in self._present] if self._says_absent else []
        notes = [*unknown_columns(self._unknown, self._columns), *absent_columns(absent)]
        for (name, _), (count, example) in self._counts.items():
            more = f" {count - 1:,} more cells of this column are read so, too." if count > 1 else ""
            notes.append(f"{quoted(name)} in {example}.{more}")
        return notes
