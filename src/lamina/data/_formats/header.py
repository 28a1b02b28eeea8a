"""Which row names the columns, what stands above it, and how the columns are called."""

import re
from collections.abc import Container, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from lamina.config import DataError, as_override
from lamina.data._arrow_values import unique
from lamina.data._formats.options import Options
from lamina.schema import MISSING

# Numbers, money, percentages, dates and times: what a column holds, seldom what it is called.
QUANTITY = re.compile(r"\s*[-+(]*[$€£]?\s*\.?\d[\d\s.,:/%TZeE+()-]*[$€£]?\s*")
COUNTER = re.compile(r"\d{1,4}(-\d\d(-\d\d)?)?")  # a number, year, month or day that may well be a name
# What stands for a missing cell.
MARKER = re.compile(
    r"[^\w%°$€£]+|_+|n\W?[ad]\W?|nan|none|null|<na>|missing|unknown", re.IGNORECASE
)  # of a missing cell
PLACEHOLDER_NAME = re.compile(r"column\d+")  # as columns without a name are called
TOTAL = re.compile(
    r"\W*((grand|sub|sum)[\s-]*)?(totals?|sums?|overall|gesamt|insgesamt|summe|gesamtsumme|suma|somme|totale?|итого|всего|"
    r"合计|总计|合計)\W*",
    re.IGNORECASE,
)
TOP = 20  # rows that may stand above a header
HEADER_AGAIN = "the names of the columns again"
UNITS = "units below the names of the columns, and no values"
ENOUGH, MANY = 3, 10  # rows of a table, for rows above it to be told from it

Rows = Sequence[Sequence[str]]


class Header(NamedTuple):
    """The names of the columns, how many rows they take (0 to 2), and whether the row below them holds units."""

    names: tuple[str, ...]
    rows: int
    units: bool = False
    certain: bool = False  # so that a row like it, further down, is the header again
    notes: tuple[str, ...] = ()


def rows_above(rows: Rows, expect: Sequence[str], gaps: Container[int] = ()) -> int:
    """How many of the first rows are titles and remarks, and not of the table: mostly empty, or too short.

    `gaps` are the places of rows above which a line is blank.
    """
    widths = [len(row) for row in rows]
    width = max(set(widths), key=widths.count, default=0)
    words = {name for name in expect if not QUANTITY.fullmatch(name)}
    for place, row in enumerate(rows[:TOP]):
        if _filled(row) > 1 and words & {cell.strip() for cell in row}:
            return place if all(_filled(other) < width for other in rows[:place]) else 0
    sparse = [len(row) < width or 2 * _filled(row) <= width for row in rows]
    above = next((place for place, row in enumerate(rows) if len(row) == width and _filled(row) == width), 0)
    rest = rows[above:]
    if not 0 < above <= TOP or width < 2 or len(rest) < ENOUGH or sum(sparse[above:]) > 0.1 * len(rest):
        return 0
    if any(QUANTITY.fullmatch(cell) for row in rows[:above] for cell in row[:1]):
        return 0
    if (max(widths[:above]) < width and above in gaps) or (widths[above - 1] == 1 and width > 2 and len(rest) > MANY):
        return above
    for_header, for_data = _votes([cell.strip() for cell in rest[0]], rest[1:])
    clear = width > 2 and all(sparse[:above]) and (len(rows[0]) == width or len(rest) > MANY)
    likely = above in gaps or clear
    return above if for_header > for_data or (likely and not for_data and all(sparse[:above])) else 0


def column_names(file: Path, rows: Rows, options: Options) -> Header:
    """The header of a table whose first rows these are.

    Errors: DataError when `names` and the file differ in width, or `names` repeats itself.
    """
    first, names = [cell.strip() for cell in rows[0]], options.names
    if names is not None and len(names) != len(first):
        raise DataError(f"data.names: has {len(names)} names, {file} has {len(first)} columns. Name each column once.")
    if names is not None and unique(names) != list(names):
        raise DataError(f"data.names: every column needs a name of its own (got {', '.join(names)}).")
    if names is not None:
        header = first == list(names) if options.header is None else options.header
        return Header(names, int(header))
    reason = ""
    is_header = options.header
    if is_header is None:
        is_header, reason = _is_header(first, rows[1:], options.expect)
    if not is_header:
        span = "column1" if len(first) == 1 else f"column1 to column{len(first)}"
        cure = "If its first row names them: --set data.header=true; or name them: --set data.names=[...]"
        return Header(
            tuple(unique([""] * len(first))), 0, notes=(f"{file}: no header found; columns are called {span}. {cure}",)
        )
    notes = [f"{file}: the first row names the columns, as {reason}. If it holds values: --set data.header=false"]
    return _named(file, first, rows[1:], tuple(notes) if reason else (), options)


def _named(file: Path, first: list[str], body: Rows, notes: tuple[str, ...], options: Options) -> Header:
    """The names in a header, of which a second row may be a part, or hold units."""
    second = _second_row(first, body) if options.header is None else ""
    certain = options.header is True or _votes(first, body[int(bool(second)) :])[0] > 0 or _matches(first, options)
    if second == "names":
        below = [cell.strip() for cell in body[0]]
        first = [".".join(dict.fromkeys(filter(None, pair))) for pair in zip(first, below, strict=True)]
        name, how = max(first, key=len), as_override(("data", "skip"), "1")
        notes = (*notes, f"{file}: two rows name the columns, as in '{name}'. To use the second alone: {how}")
    elif second == "units":
        how = as_override(("data", "header"), "true")
        notes = (*notes, f"{file}: the row below the header holds units, and is skipped. To use it: {how}")
    columns = unique(first)
    changed = [f"column {i} '{a}' as '{b}'" for i, (a, b) in enumerate(zip(first, columns, strict=True), 1) if a != b]
    if changed:
        notes = (*notes, f"{file}: blank or repeated names in the header; read {', '.join(changed[:10])}.")
    return Header(tuple(columns), 1 + (second == "names"), second == "units", certain, notes)


def _second_row(first: list[str], body: Rows) -> str:
    """What the row below a header is: `names` of sub-columns, `units`, or "", a row like others."""
    if len(body) <= ENOUGH or len(body[0]) != len(first):
        return ""
    cells = [cell.strip() for cell in body[0]]
    words, numbers = _votes(cells, body[1:])
    if not words or numbers or any(QUANTITY.fullmatch(cell) or MARKER.fullmatch(cell) for cell in cells):
        return ""
    if _votes(first, body[1:])[1]:  # the first row has numbers above numbers
        return "names" if len(set(first)) < len(first) else ""
    names = [cell for cell in first if cell]
    if len(set(names)) < len(names):
        return "names"
    return "units" if words == _filled(cells) else ""


def _is_header(first: list[str], body: Rows, expect: Sequence[str]) -> tuple[bool, str]:
    """Whether a first row names the columns, and a reason where one has to be told."""
    if _second_row(first, body) == "names":
        return True, ""
    names = [cell for cell in first if cell in expect]
    if any(not QUANTITY.fullmatch(name) for name in names):
        return True, ""
    numbers = [cell for cell in first if QUANTITY.fullmatch(cell)]
    counts = _counts_up(numbers)
    may_be_names = len(set(first)) == len(first) and all(COUNTER.fullmatch(cell) for cell in numbers)
    if names and may_be_names:
        again = any(row[first.index(name)].strip() == name for name in names for row in body if len(row) == len(first))
        if counts or not again:
            return True, f"it holds '{names[0]}'"
    if expect and all(map(PLACEHOLDER_NAME.fullmatch, expect)):
        for_header, for_data = _votes(first, body)
        return for_header > for_data, ""
    words = [i for i, cell in enumerate(first) if cell not in numbers]
    recur = any(first[i] and first[i] in {row[i].strip() for row in body if i < len(row)} for i in words)
    counting = sum(_counts_up([cell.strip() for cell in row if QUANTITY.fullmatch(cell)]) for row in body) > 0.1 * len(
        body
    )
    if counts and may_be_names and body and not recur and not counting and (words or len(numbers) > ENOUGH):
        return True, f"its numbers count up ({', '.join(numbers[:3])})"
    return looks_like_header(first, body), ""


def _matches(first: list[str], options: Options) -> bool:
    return any(cell in options.expect for cell in first)


def _counts_up(cells: Sequence[str]) -> bool:
    """Whether numbers, years or days follow one another at one distance."""
    if len(cells) < 2 or not all(map(COUNTER.fullmatch, cells)):
        return False
    if not all(map(str.isdigit, cells)):
        return all(a < b for a, b in pairwise(cells))
    return len({int(b) - int(a) for a, b in pairwise(cells)}) == 1 and int(cells[1]) > int(cells[0])


def looks_like_header(first: Sequence[str], body: Rows) -> bool:
    """True when the first row differs in nature from the rows below, or, all being words, does not recur in them."""
    for_header, for_data = _votes(first, body)
    return for_header > for_data if for_header or for_data else True


def _votes(first: Sequence[str], body: Rows) -> tuple[int, int]:
    """Columns by which a row is a header (a word over numbers), and by which it is one of the rows below."""
    for_header = for_data = 0
    for i, cell in enumerate(first):
        below = [row[i].strip() for row in body if i < len(row) and row[i].strip() not in MISSING]
        quantities = sum(QUANTITY.fullmatch(value) is not None for value in below)
        if QUANTITY.fullmatch(cell):
            for_data += 1 if quantities >= 0.5 * len(below) else 0
        elif below and quantities >= 0.9 * len(below):
            for_header += cell not in MISSING
        elif cell and cell in below:
            for_data += 1
    return for_header, for_data


def is_header_again(cells: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a row holds the names of the columns, as it does where files were joined end to end."""
    return len(cells) == len(header) and [cells[0].lstrip("\ufeff"), *cells[1:]] == list(header)


def is_total(row: Sequence[str], body: Rows) -> bool:
    """Whether the last row of a table sums up the others, by what it says; no other row may say so."""
    place = next((i for i, cell in enumerate(row) if cell.strip()), None)
    if place is None or not TOTAL.fullmatch(row[place]) or not any(QUANTITY.fullmatch(cell) for cell in row):
        return False
    return not any(place < len(other) and TOTAL.fullmatch(other[place]) for other in body)


def total_note(file: Path, row: Sequence[str]) -> str:
    """What is said of a last row that sums up the others."""
    word = next(cell.strip() for cell in row if cell.strip())
    how = as_override(("data", "footer"), "1")
    return f"{file}: the last row seems to sum up the others ('{word}'), and is a row like them. To leave it out: {how}"


def _filled(row: Sequence[str]) -> int:
    return sum(1 for cell in row if cell.strip())
