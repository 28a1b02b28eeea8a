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
from typing import Any

import pyarrow as pa

from lamina.config import DataError, nearest
from lamina.data import _arrow_values as _values
from lamina.data._formats.header import column_names
from lamina.data._formats.options import Options
from lamina.data._formats.pieces import TableFile, sliced

MOST_CELLS = 1 << 24  # between the first and the last one of a sheet; more only where a quarter of them hold a value
MOST_BYTES = 1 << 29  # that all members unpack to; more only where the archive is not packed 100 times
BLOCK = 1 << 20
CELL = re.compile(rb"""<(?:\w+:)?c(?=\s)[^<>]*?\sr\s*=\s*["']([A-Za-z]{1,7})(\d{1,20})["'][^<>]*?(/?)>""")
REPEATED = re.compile(rb"""<(?:\w+:)?table-(row|cell)\b([^<>]*)>""")
TIMES = re.compile(rb"""number-(?:rows|columns)-repeated\s*=\s*["'](\d{1,20})["']""")


def excel(file: Path, options: Options) -> TableFile:
    """One sheet of a workbook, the first unless named. Empty rows and columns are ignored."""
    _check(file)
    grid, notes = _sheet(file, options.sheet)
    rows = [(number, cells) for number, cells in enumerate(grid, start=1) if any(cell is not None for cell in cells)]
    used = [i for i in range(len(grid[0]) if grid else 0) if any(cells[i] is not None for _, cells in rows)]
    rows = [(number, [cells[i] for i in used]) for number, cells in rows]
    if not rows:
        return TableFile(file, pa.schema([]), notes, partial(sliced, pa.table({})), lambda: iter(()))
    texts = [["" if cell is None else str(cell) for cell in cells] for _, cells in rows[:200]]
    header = column_names(file, texts, options)
    columns, body = header.names, rows[header.rows :]
    arrays = [_values.column([cells[i] for _, cells in body]) for i in range(len(columns))]
    table = pa.table(arrays, names=list(columns))
    numbers = [number for number, _ in body]
    return TableFile(file, table.schema, (*notes, *header.notes), partial(sliced, table), lambda: iter(numbers))


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
