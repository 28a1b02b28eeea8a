"""Parquet, Arrow IPC (Feather) and spreadsheets: files whose cells have types already."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import ipc

from lamina.config import DataError, nearest
from lamina.data import _arrow_values as _values
from lamina.data import _image_cells as _pictures
from lamina.data._formats.header import column_names
from lamina.data._formats.pieces import CHUNK, Piece, TableFile, sliced

INDEX = re.compile(r"__index_level_\d+__")  # where pandas keeps a row index


def parquet(file: Path, stack: ExitStack) -> TableFile:
    """A Parquet file, read row group by row group."""
    from pyarrow import parquet as pq

    with _as_data_errors(file, "Parquet"):
        source = stack.enter_context(pq.ParquetFile(file))
    return _table_file(file, source.schema_arrow, lambda rows: source.iter_batches(batch_size=rows), "Parquet")


def feather(file: Path, stack: ExitStack) -> TableFile:
    """An Arrow IPC file or stream, mapped into memory."""
    with _as_data_errors(file, "Arrow IPC"):
        mapped = stack.enter_context(pa.memory_map(str(file)))
        is_file = mapped.read(6) == b"ARROW1"
        mapped.seek(0)
        schema = (ipc.open_file(mapped) if is_file else ipc.open_stream(mapped)).schema

    def batches(rows: int) -> Iterator[pa.RecordBatch]:
        mapped.seek(0)
        source: Any = ipc.open_file(mapped) if is_file else ipc.open_stream(mapped)
        parts = map(source.get_batch, range(source.num_record_batches)) if is_file else source
        for batch in parts:
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)

    return _table_file(file, schema, batches, "Arrow IPC")


def excel(file: Path, sheet: str | None, header: bool | None, names: tuple[str, ...] | None) -> TableFile:
    """One sheet of a workbook (.xlsx, .xls, .ods), the first unless named. Empty rows and columns are ignored."""
    grid, notes = _sheet(file, sheet)
    rows = [(number, cells) for number, cells in enumerate(grid, start=1) if any(cell is not None for cell in cells)]
    used = [i for i in range(len(grid[0]) if grid else 0) if any(cells[i] is not None for _, cells in rows)]
    rows = [(number, [cells[i] for i in used]) for number, cells in rows]
    if not rows:
        return TableFile(file, pa.schema([]), notes, partial(sliced, pa.table({})), lambda: iter(()))
    texts = [["" if cell is None else str(cell) for cell in cells] for _, cells in rows[:200]]
    is_header, columns, more = column_names(file, texts, header, names)
    body = rows[is_header:]
    arrays = [_values.column([cells[i] for _, cells in body]) for i in range(len(columns))]
    table = pa.table(arrays, names=columns)
    numbers = [number for number, _ in body]
    return TableFile(file, table.schema, (*notes, *more), partial(sliced, table), lambda: iter(numbers))


def _sheet(file: Path, sheet: str | None) -> tuple[list[list[Any]], tuple[str, ...]]:
    try:
        import python_calamine as calamine
    except ImportError:
        raise DataError(f"{file}: needs python-calamine. Install it with: pip install 'lamina[excel]'.") from None
    try:
        with calamine.CalamineWorkbook.from_path(file) as book:
            names = book.sheet_names
            if sheet is not None and sheet not in names:
                raise DataError(f"data.sheet: {file} has no sheet '{sheet}'. {nearest(sheet, names)}")
            if not names:
                raise DataError(f"{file}: has no sheet. Give a workbook with one.")
            sheet_name = sheet or names[0]
            cells = book.get_sheet_by_name(sheet_name).to_python(skip_empty_area=False)
    except (calamine.CalamineError, OSError) as error:
        raise DataError(f"{file}: cannot be read as a spreadsheet ({error}). Save it anew as .xlsx or .csv.") from None
    others = f"{file}: sheet '{sheet_name}' of {len(names)} read. Set sheet to choose another."
    notes = (others,) if sheet is None and len(names) > 1 else ()
    return [[None if cell == "" else _whole(cell) for cell in row] for row in cells], notes


def _whole(cell: Any) -> Any:
    """Spreadsheets know no integers: a whole number is one, so that a year or a code is not written 2020.0."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53 else cell


def _table_file(
    file: Path, schema: pa.Schema, batches: Callable[[int], Iterator[pa.RecordBatch]], form: str
) -> TableFile:
    dropped = [name for name in schema.names if INDEX.fullmatch(name)]
    classes = _pictures.classes(schema)

    def cleaned(table: pa.Table) -> pa.Table:
        return _values.plain(_pictures.with_class_names(table.drop_columns(dropped), classes)).replace_schema_metadata(
            None
        )

    def pieces(rows: int) -> Iterator[Piece]:
        with _as_data_errors(file, form):
            for batch in batches(rows):
                yield Piece(cleaned(pa.Table.from_batches([batch])))

    def read(rows: int | None) -> Iterator[Piece]:
        if rows is not None:
            return pieces(rows)
        tables = [piece.table for piece in pieces(CHUNK)]
        return iter([Piece(pa.concat_tables([cleaned(schema.empty_table()), *tables]))])

    def lines() -> Iterator[int]:
        return iter(range(1, 1 + sum(piece.table.num_rows for piece in pieces(CHUNK))))

    with _as_data_errors(file, form):
        plain = cleaned(schema.empty_table()).schema
    notes = tuple(f"{file}: the row index {name} is not used." for name in dropped)
    return TableFile(file, plain, notes, read, lines)


@contextmanager
def _as_data_errors(file: Path, form: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0][:200]
        raise DataError(f"{file}: cannot be read as {form} ({reason}). Write it anew, or set format.") from None
