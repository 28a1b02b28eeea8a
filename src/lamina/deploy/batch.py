"""Any operation on files: rows in, files of answers out, a piece at a time where each row is answered by itself."""

import itertools
import json
import mimetypes
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import data
from lamina.config import Config, DataError, MissingColumn, errors_with_notes, nearest
from lamina.data._skipped_rows import reasons, source_lines
from lamina.deploy.cell_notes import CellNotes
from lamina.deploy.formulas import Formulas
from lamina.deploy.input_policy import FilePolicies
from lamina.deploy.predictor import Predictor
from lamina.deploy.writers import STDOUT, Write, check_format, writer
from lamina.preprocess import Broken, Preprocessor, by_mark, doubts
from lamina.resources import disk
from lamina.resources.prefetch import prefetch
from lamina.schema import Collected, Row, SkippedRow
from lamina.task import EVENTS, JSON, Answers, Operation

PIECE, FEWEST = 65_536, 1_024
EXAMPLES = 20
DIGITS = 6  # in the names of numbered files
ALL = "*"  # columns to keep


class Whole(NamedTuple):
    """Rows of a source, those that could not be read, what is to be said of them, and whether there are no more."""

    table: pa.Table
    skipped_rows: tuple[SkippedRow, ...]
    notes: tuple[str, ...]
    complete: bool = True


class WriteOptions(NamedTuple):
    """How a file of answers is written.

    `overwrite`: replace what is there, which is else an error. `escape_formulas`: in CSV, `'` in front of cells that a
    spreadsheet would compute.
    """

    overwrite: bool = False
    escape_formulas: bool = False


PLAIN = WriteOptions()


class Place(NamedTuple):
    """Where answers go, and whether they may replace what is there."""

    output: Path
    overwrite: bool
    formulas: Formulas

    @property
    def skipped_rows(self) -> Path:
        """The file of rows that could not be answered."""
        return self.output.with_name(f"{self.output.name}.skipped.jsonl")


def run(
    predictor: Predictor,
    name: str,
    source: Config | None,
    request: Any,
    output: Path,
    keep: list[str] | None = None,
    options: WriteOptions = PLAIN,
) -> Row:
    """Write what an operation answers to the rows of a source, or to a request alone; gives what was done.

    Where each row is answered by itself, memory is bounded, and rows that cannot be read or used go to
    `<output>.skipped.jsonl` with file, line and reason. `request`: settings of the call, None for those by default;
    where the operation has its own way into files, its `options`. `keep`: columns to copy beside the answers, `*` for
    all; when not said, where each file is. `options`: of writing; an operation that has its own way into files has its
    own.
    """
    operation = predictor.operation(name)
    if request is None:
        request = (operation.options or operation.request)()
    place = Place(output, options.overwrite, Formulas(options.escape_formulas))
    if output == STDOUT and (operation.write is not None or operation.gives not in (JSON, EVENTS)):
        raise DataError("-o: these results are no table, so they are no text to print. Name a file or a folder.")
    if operation.write is not None:
        return _write_own(predictor, operation, source, request, place)
    if operation.gives in (JSON, EVENTS):
        check_format(output)
    if output != STDOUT:
        disk.refuse_existing(output, place.overwrite, folder=operation.gives not in (JSON, EVENTS))
        disk.refuse_existing(place.skipped_rows, place.overwrite)
    if operation.rows == "each" and source is not None:
        return _write_each(predictor, operation, source, request, place, keep)
    if keep:
        raise DataError(
            "--keep: these results are not one for each row, so there is nothing to copy beside them. Leave it out."
        )
    return _write_whole(predictor, operation, source, request, place)


def stream(predictor: Predictor, name: str, source: Config | None, request: Any) -> Iterator[Answers]:
    """The answers of an operation as they come, in pieces, for whoever wants to look at them and not at a file."""
    operation = predictor.operation(name)
    rows = None if source is None else read(predictor, source, operation).table
    return predictor.pieces(operation, rows, operation.request() if request is None else request)


def read(predictor: Predictor, source: Config, operation: Operation, most: int | None = None) -> Whole:
    """The rows of a source under the names of the bundle; with `most`, no more than it takes to have so many."""
    pieces, stream = list[Collected](), data.stream(source, PIECE if most is None else max(most, FEWEST))
    for piece in stream:
        pieces.append(piece)
        if most is not None and sum(one.table.num_rows for one in pieces) >= most:
            break
    complete = most is None or next(stream, None) is None
    schema = operation.prep(predictor).schema
    tables = [by_mark(predictor.with_bundle_names(piece.table), schema, piece.decimal) for piece in pieces]
    skipped_rows = tuple(row for piece in pieces for row in piece.skipped_rows)
    whole = pa.concat_tables(tables, promote_options="permissive")
    notes = (*(note for piece in pieces for note in piece.notes), *doubts(whole, schema))
    return Whole(whole, skipped_rows, notes, complete)


def notes_on(predictor: Predictor, rows: pa.Table, operation: Operation | None = None) -> list[str]:
    """What a bundle does not know of raw rows under its names, or cannot read of them, with counts; without an
    operation, where rows are there to evaluate it by.
    """
    operation = operation or predictor.operations[0]
    cells = CellNotes(operation.prep(predictor), operation.rows != "together")
    cells.add(rows)
    return cells.sentences


def _write_own(predictor: Predictor, operation: Operation, source: Config | None, options: Any, place: Place) -> Row:
    """What an operation writes in its own way; whether it may replace what is there is one of its options."""
    assert operation.write is not None
    output, place = place.output, place._replace(overwrite=bool(options.model_dump().get("overwrite")))
    if source is None:
        return operation.write(predictor, None, options, output)
    disk.refuse_existing(place.skipped_rows)
    rows = read(predictor, source, operation)
    result = operation.write(predictor, rows.table, options, output)
    notes = [*rows.notes, *notes_on(predictor, rows.table, operation), *result.get("notes", ())]
    result |= {"notes": notes} if notes else {}
    broken = _places(result.pop("broken", []), source)
    return {"output": str(output), **result, **_skipped_rows(place, [*rows.skipped_rows, *broken])}


def _write_each(
    predictor: Predictor, operation: Operation, source: Config, request: Any, place: Place, keep: list[str] | None
) -> Row:
    """One answer for each row, in order."""
    skipped_rows, broken = list[SkippedRow](), list[Broken]()
    count = start = 0
    prep, columns = operation.prep(predictor), list[str]()
    notes, cells, policies = dict[str, None](), CellNotes(prep, keep=keep or ()), FilePolicies(prep)
    with errors_with_notes(notes), _answers_writer(operation, place) as write:
        for piece, rows, raw, knowing in prefetch(_pieces(predictor, source, prep, cells)):
            raw, refusals = policies.apply(raw) if policies else (raw, [])
            notes |= dict.fromkeys([*piece.notes, *doubts(raw, prep.schema)])
            columns = columns or _columns(predictor, rows, keep)
            answered = _without(knowing.pieces(operation, raw, request), refusals)
            for answers in _aligned(answered, rows, columns):
                write(answers.table)
                count += answers.table.num_rows
                broken += [cell._replace(row=start + cell.row) for cell in answers.broken]
                notes |= dict.fromkeys(answers.notes)
            skipped_rows += piece.skipped_rows
            start += rows.num_rows
    notes |= dict.fromkeys([*cells.sentences, *policies.sentences])
    result = _result(place, count, [*skipped_rows, *_places(broken, source)], notes)
    return result | ({"warnings": policies.warnings} if policies.warnings else {})


def _without(pieces: Iterator[Answers], refusals: list[Broken]) -> Iterator[Answers]:
    """Answers whose rows are broken, too, where the policy of a column rejects them."""
    start = 0
    for answers in pieces:
        stop = start + answers.table.num_rows
        own = tuple(cell for cell in refusals if start <= cell.row < stop)
        yield answers._replace(broken=(*answers.broken, *own))
        start = stop


def _pieces(
    predictor: Predictor, source: Config, prep: Preprocessor, notes: CellNotes
) -> Generator[tuple[Collected, pa.Table, pa.Table, Predictor], None, None]:
    """What a source gives, its rows under the names of the bundle, and as they are read, which `notes` has seen; and
    the predictor that knows their cells.
    """
    for piece in data.stream(source, PIECE):
        rows = predictor.with_bundle_names(piece.table)
        raw = by_mark(rows, prep.schema, piece.decimal)
        if prep is predictor.prep and not prep.files:
            cells = prep.read(raw)
            notes.add(raw, cells)
            yield piece, rows, raw, predictor.knowing(raw, cells)
        else:
            notes.add(raw)
            yield piece, rows, raw, predictor


def _columns(predictor: Predictor, rows: pa.Table, keep: list[str] | None) -> list[str]:
    """The columns to copy beside the answers."""
    if keep is None:
        return _paths(predictor, rows)
    return rows.column_names if keep == [ALL] else keep


def _aligned(pieces: Iterator[Answers], rows: pa.Table, keep: list[str]) -> Iterator[Answers]:
    """Answers with columns of their rows beside them, without those of rows that cannot be used."""
    start = 0
    for answers in pieces:
        count = answers.table.num_rows
        table = _with_columns(rows.slice(start, count), keep, answers.table)
        if answers.broken:
            good = np.ones(rows.num_rows, bool)
            good[[cell.row for cell in answers.broken]] = False
            table = table.filter(pa.array(good[start : start + count]))
        yield answers._replace(table=table)
        start += count


def _write_whole(predictor: Predictor, operation: Operation, source: Config | None, request: Any, place: Place) -> Row:
    """Answers to rows that are one thing, or to a request alone, piece by piece as they come."""
    rows = None if source is None or operation.rows == "none" else read(predictor, source, operation)
    first_notes = (*rows.notes, *notes_on(predictor, rows.table, operation)) if rows else ()
    count, amounts, notes, broken = 0, list[str](), dict.fromkeys(first_notes), list[Broken]()
    pieces = predictor.pieces(operation, rows.table if rows else None, request)
    with errors_with_notes(rows.notes if rows else ()):
        first = next(pieces)  # what cannot be answered leaves nothing behind
    with _answers_writer(operation, place) as write:
        for answers in itertools.chain([first], pieces):
            write(answers.table)
            count += answers.table.num_rows
            amounts += [answers.amount] if answers.amount else []
            notes |= dict.fromkeys(answers.notes)
            broken += answers.broken
    skipped_rows = [*rows.skipped_rows, *_places(broken, source)] if rows and source else []
    result = _result(place, count, skipped_rows, notes)
    return result | ({"amount": ", ".join(amounts)} if amounts else {})


@contextmanager
def _answers_writer(operation: Operation, place: Place) -> Iterator[Write]:
    """A function that takes tables of answers: into one file, or numbered files where each answer is bytes."""
    media = operation.gives
    if media in (JSON, EVENTS):
        with writer(place.output, place.overwrite, place.formulas) as write:
            yield write
        return
    suffix = mimetypes.guess_extension(media) or f".{media.rpartition('/')[2]}"
    numbers = itertools.count(1)
    with disk.new_folder(place.output, place.overwrite) as folder:

        def write_files(table: pa.Table) -> None:
            for body in table.column(table.num_columns - 1).to_pylist():
                (folder / f"{next(numbers):0{DIGITS}}{suffix}").write_bytes(body)

        yield write_files


def _result(place: Place, count: int, skipped_rows: list[SkippedRow], notes: dict[str, None]) -> Row:
    result: Row = {"output": str(place.output), "rows": count, **_skipped_rows(place, skipped_rows)}
    sentences = [*notes, *place.formulas.notes()]
    return result | ({"notes": sentences} if sentences else {})


def _skipped_rows(place: Place, rows: list[SkippedRow]) -> Row:
    """How many rows were skipped; where there are some, in a file of their own, but for standard output."""
    if not rows:
        return {"skipped": 0}
    if place.output == STDOUT:
        return {"skipped": len(rows), "reasons": reasons(rows)}
    file, lines = place.skipped_rows, (json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in rows)
    disk.write_text(file, "".join(lines), place.overwrite)
    examples = [row._asdict() for row in rows[:EXAMPLES]]
    facts = {"skipped": len(rows), "skipped_file": str(file), "skipped_rows": examples}
    return facts | {"reasons": reasons(rows)}


def _places(broken: list[Broken], source: Config) -> list[SkippedRow]:
    """Where the rows stand whose cells cannot be used; each row once."""
    first = {cell.row: cell for cell in reversed(broken)}
    rows = sorted(first)
    places = source_lines(source, rows) if rows else []
    return [
        SkippedRow(file, line, first[row].column, first[row].reason)
        for row, (file, line) in zip(rows, places, strict=True)
    ]


def _paths(predictor: Predictor, rows: pa.Table) -> list[str]:
    """The columns that say where a file is."""
    cells = {name: _path(rows[name]) for name in predictor.files if name in rows.column_names}
    return [
        name
        for name, paths in cells.items()
        if paths is not None and not pc.any(pc.starts_with(paths, "data:")).as_py()
    ]


def _path(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The paths of a column of files, if it has any."""
    if pa.types.is_struct(column.type):
        return pc.struct_field(column, "path") if column.type.get_field_index("path") >= 0 else None
    return column if pa.types.is_string(column.type) else None


def _with_columns(rows: pa.Table, keep: list[str], answers: pa.Table) -> pa.Table:
    for name in reversed(keep):
        if name not in rows.column_names:
            raise MissingColumn(f"--keep: the rows have no column '{name}'. {nearest(name, rows.column_names)}")
        cells = _path(rows[name])
        answers = answers.add_column(0, name, rows[name] if cells is None else cells)
    return answers
