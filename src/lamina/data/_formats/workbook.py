"""Workbooks: one sheet of an .xlsx, .xls, .xlsb or .ods file as a table.

The reader lays out all cells between the first and the last one, and trusts what the archive unpacks to. So both are
counted before, in the XML, without keeping any of it.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from lamina.config import DataError, as_override, nearest
from lamina.data import _arrow_values as _values
from lamina.data._formats.header import ENOUGH, UNITS, column_names, is_total, rows_above, total_note
from lamina.data._formats.merged_cells import Range, fill, ranges
from lamina.data._formats.options import Options
from lamina.data._formats.pieces import TableFile, sliced
from lamina.schema import SkippedRow

MOST_CELLS = 1 << 24  # between the first and the last one of a sheet; more only where a quarter of them hold a value
MOST_BYTES = 1 << 29  # that all members unpack to; more only where the archive is not packed 100 times
BLOCK = 1 << 20
SAMPLE = 200
CELL = re.compile(rb"""<(?:\w+:)?c(?=\s)[^<>]*?\sr\s*=\s*["']([A-Za-z]{1,7})(\d{1,20})["'][^<>]*?(/?)>""")
REPEATED = re.compile(rb"""<(?:\w+:)?table-(row|cell)\b([^<>]*)>""")
TIMES = re.compile(rb"""number-(?:rows|columns)-repeated\s*=\s*["'](\d{1,20})["']""")


class Sheet(NamedTuple):
    """A sheet by name: its cells, row by row, and the ranges that are one cell, each (first, last) as (row, column)."""

    name: str
    cells: list[list[Any]]
    merged_ranges: list[Range]


def excel(file: Path, options: Options) -> TableFile:
    """One sheet of a workbook, the first that has a column of the names looked for. Empty rows and columns do not
    count; cells that are one share their value.
    """
    _check(file)
    sheet, notes = _sheet(file, options)
    rows = [
        (number, cells)
        for number, cells in enumerate(sheet.cells, start=1)
        if number > (options.skip or 0) and any(cell is not None for cell in cells)
    ]
    rows = rows[: len(rows) - options.footer]
    above = _rows_above(rows, options) if options.skip is None else 0
    if above:
        count = f"{above} rows above the header are" if above > 1 else "a row above the header is"
        how = as_override(("data", "skip"), "0")
        notes += (f"{file}: {count} no row of the table. To read from the first row on: {how}",)
    rows = rows[above:]
    if not rows:
        return TableFile(file, pa.schema([]), notes, partial(sliced, pa.table({})), lambda: iter(()))
    merged_ranges = [one for one in sheet.merged_ranges if one[0][0] >= rows[0][0] - 1]
    if count := fill(sheet.cells, merged_ranges):
        ranges_of = f"{count} ranges" if count > 1 else "a range"
        notes += (f"{file}: {ranges_of} of merged cells: each cell has the value of its range.",)
    used = [i for i in range(len(rows[0][1])) if any(cells[i] is not None for _, cells in rows)]
    rows = [(number, [cells[i] for i in used]) for number, cells in rows]
    texts = [[_text(cell) for cell in cells] for _, cells in rows]
    header = column_names(file, texts[:SAMPLE], options)
    body = rows[header.rows + header.units :]
    if len(texts) > ENOUGH and is_total(texts[-1], texts[:-1]):
        notes += (total_note(file, texts[-1]),)
    table = pa.table(
        [_values.column([cells[i] for _, cells in body]) for i in range(len(header.names))], names=list(header.names)
    )
    aside = [SkippedRow(str(file), number, "", UNITS) for number, _ in rows[header.rows : header.rows + header.units]]
    numbers = [number for number, _ in body]
    read = partial(sliced, table, skipped_rows=tuple(aside))
    return TableFile(file, table.schema, (*notes, *header.notes), read, lambda: iter(numbers))


def _rows_above(rows: list[tuple[int, list[Any]]], options: Options) -> int:
    """How many rows above the header are titles and remarks; columns that only these fill do not count."""
    sample = rows[:SAMPLE]
    used = [i for i in range(len(rows[0][1])) if sum(cells[i] is not None for _, cells in sample) > 1] if rows else []
    gaps = {place for place in range(1, len(sample)) if sample[place][0] > sample[place - 1][0] + 1}
    return rows_above([[_text(cells[i]) for i in used] for _, cells in sample], options.expect, gaps)


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _sheet(file: Path, options: Options) -> tuple[Sheet, tuple[str, ...]]:
    try:
        import python_calamine as calamine
    except ImportError:
        raise DataError(f"{file}: needs python-calamine. Install it with: pip install 'lamina[excel]'.") from None
    try:
        with calamine.CalamineWorkbook.from_path(file) as book:
            names = book.sheet_names
            if options.sheet is not None and options.sheet not in names:
                raise DataError(f"data.sheet: {file} has no sheet '{options.sheet}'. {nearest(options.sheet, names)}")
            if not names:
                raise DataError(f"{file}: has no sheet. Give a workbook with one.")
            first = options.sheet or names[0]
            others = [name for name in names if name != first] if options.sheet is None and options.expect else []
            sheets = (_cells(file, book, name) for name in (first, *others))
            sheet = next(sheets)
            if not _has_names(sheet, options):
                sheet = next((other for other in sheets if _has_names(other, options)), sheet)
    except (calamine.CalamineError, OSError) as error:
        raise DataError(f"{file}: cannot be read as a spreadsheet ({error}). Save it anew as .xlsx or .csv.") from None
    rest = [name for name in names if name != sheet.name]
    if options.sheet is not None or not rest:
        return sheet, ()
    how = as_override(("data", "sheet"), rest[0])
    listed = ", ".join(f"'{name}'" for name in rest[:10])
    return sheet, (f"{file}: sheet '{sheet.name}' of {len(names)} is read, and not {listed}. To read another: {how}",)


def _cells(file: Path, book: Any, name: str) -> Sheet:
    sheet = book.get_sheet_by_name(name)
    cells = sheet.to_python(skip_empty_area=False)
    merged_ranges = sheet.merged_cell_ranges if sheet.merged_cell_ranges is not None else ranges(file, name)
    return Sheet(name, [[None if cell == "" else _whole(cell) for cell in row] for row in cells], merged_ranges)


def _has_names(sheet: Sheet, options: Options) -> bool:
    return any(str(cell).strip() in options.expect for row in sheet.cells[:SAMPLE] for cell in row if cell is not None)


def _whole(cell: Any) -> Any:
    """Spreadsheets know no integers: a whole number is one, so that a year or a code is not written 2020.0."""
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53 else cell


def _check(file: Path) -> None:
    """Errors: DataError where a workbook that is an archive unpacks, or a sheet spreads, far beyond what it holds."""
    if not zipfile.is_zipfile(file):
        return  # .xls, whose sheets have an end
    try:
        with zipfile.ZipFile(file) as book:
            members = book.infolist()
            total = sum(member.file_size for member in members)
            if total > max(MOST_BYTES, 100 * file.stat().st_size):
                raise DataError(f"{file}: unpacks to {total / 1e9:.1f} GB. Save it anew, or as .csv.")
            for member in members:
                count = _spread(_blocks(book, member), member.filename)
                if count > MOST_CELLS:
                    raise DataError(
                        f"{file}: {member.filename} spreads over {count:,} cells, nearly all of them empty. Delete the "
                        "cells that stand far from the others, or save it as .csv."
                    )
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as a spreadsheet ({error}). Save it anew as .xlsx or .csv.") from None


def _blocks(book: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """All of a member, which also shows whether it is as long as it says; no tag is cut in two but an overlong one."""
    rest = b""
    with book.open(member) as stream:
        while block := stream.read(BLOCK):
            whole, mark, tail = (rest + block).rpartition(b"<")
            yield whole
            rest = (mark + tail)[-BLOCK:]
    yield rest


def _spread(blocks: Iterator[bytes], name: str) -> int:
    """How many cells a reader would lay out for a sheet; 0 where enough of them are there, or it is no sheet."""
    if name == "content.xml":
        return _spread_of_repeats(blocks)
    rows, columns, cells = [1 << 62, 0], [1 << 62, 0], 0
    for block in blocks:
        if not name.endswith(".xml"):
            continue
        for letters, digits, empty in CELL.findall(block):
            if empty:
                continue
            row, column = int(digits), _column(letters)
            rows, columns = [min(rows[0], row), max(rows[1], row)], [min(columns[0], column), max(columns[1], column)]
            cells += 1
    spread = (rows[1] - rows[0] + 1) * (columns[1] - columns[0] + 1) if cells else 0
    return spread if spread > 4 * cells else 0


def _column(letters: bytes) -> int:
    """AA is 27."""
    number = 0
    for letter in letters.upper():
        number = 26 * number + letter - 64
    return number


def _spread_of_repeats(blocks: Iterator[bytes]) -> int:
    """An .ods file says how often a row and a cell are repeated; rows without a value at the end do not count."""
    rows = wide = cells = width = times = largest = 0
    for block in blocks:
        for kind, attributes in REPEATED.findall(block):
            match = TIMES.search(attributes)
            count = int(match[1]) if match else 1
            if kind == b"row":
                rows, width, times = rows + times * bool(width), 0, count
            elif b"value" in attributes or b"formula" in attributes:
                width, cells = width + count, cells + 1
                wide = max(wide, width)
                largest = max(largest, (rows + times) * wide)
    return largest if largest > 4 * cells else 0
