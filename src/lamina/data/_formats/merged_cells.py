"""Cells of a sheet that are one: where they are, and their value in each of them."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Range = tuple[tuple[int, int], tuple[int, int]]  # the first and the last (row, column), from 0

MOST = 1 << 20  # cells that are filled
TAG = re.compile(r"<table:(table-row|(?:covered-)?table-cell|table(?!-))\b([^<>]*)>")
NAME = re.compile(r'table:name="([^"]*)"')
COUNT = re.compile(r'table:number-(rows|columns)-(repeated|spanned)="(\d{1,9})"')


def fill(cells: list[list[Any]], merged_ranges: Sequence[Range]) -> int:
    """Write the value of each range into all of its cells; gives how many ranges had one."""
    count, room = 0, MOST
    for (top, left), (bottom, right) in merged_ranges:
        rows = cells[top : bottom + 1]
        value = rows[0][left] if rows and left < len(rows[0]) else None
        room -= (bottom - top + 1) * (right - left + 1)
        if value is None or room < 0:
            continue
        count += 1
        for row in rows:
            for place in range(left, min(right + 1, len(row))):
                row[place] = value
    return count


def ranges(file: Path, sheet: str) -> list[Range]:
    """The ranges of a sheet of an .ods file, of which its reader does not tell; none of other files."""
    if not zipfile.is_zipfile(file):
        return []
    with zipfile.ZipFile(file) as book:
        if "content.xml" not in book.namelist():
            return []
        content = book.read("content.xml").decode("utf-8", "replace")
    merged_ranges, row, column, times, inside = list[Range](), 0, 0, 0, False
    for tag, attributes in TAG.findall(content):
        counts = {(axis, what): int(number) for axis, what, number in COUNT.findall(attributes)}
        if tag == "table":
            name = NAME.search(attributes)
            inside, row, times = name is not None and name[1] == sheet, 0, 0
        elif tag == "table-row":
            row, column, times = row + times, 0, counts.get(("rows", "repeated"), 1)
        else:
            height, width = counts.get(("rows", "spanned"), 1), counts.get(("columns", "spanned"), 1)
            if inside and height * width > 1:
                merged_ranges.append(((row, column), (row + height - 1, column + width - 1)))
            column += counts.get(("columns", "repeated"), 1)
    return merged_ranges
