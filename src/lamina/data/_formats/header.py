"""Which row names the columns, and how the columns are called."""

import re
from pathlib import Path

from lamina.config import DataError
from lamina.data._arrow_values import unique
from lamina.schema import MISSING

# Numbers, money, percentages, dates and times: what a column holds, seldom what it is called.
QUANTITY = re.compile(r"\s*[-+(]*[$€£]?\s*\.?\d[\d\s.,:/%TZeE+()-]*[$€£]?\s*")


def column_names(
    file: Path, rows: list[list[str]], header: bool | None, names: tuple[str, ...] | None
) -> tuple[bool, list[str], tuple[str, ...]]:
    """Whether the first of `rows` is a header, the names of the columns, and notes.

    Errors: DataError when `names` and the file differ in width, or `names` repeats itself.
    """
    first = [cell.strip() for cell in rows[0]]
    if names is not None and len(names) != len(first):
        raise DataError(f"data.names: has {len(names)} names, {file} has {len(first)} columns. Name each column once.")
    if names is not None and unique(names) != list(names):
        raise DataError(f"data.names: every column needs a name of its own (got {', '.join(names)}).")
    if header is None:
        header = first == list(names) if names is not None else looks_like_header(first, rows[1:])
    if names is not None:
        return header, list(names), ()
    if not header:
        span = "column1" if len(first) == 1 else f"column1 to column{len(first)}"
        cure = "Set names, or header: true if its first row holds them."
        return False, unique([""] * len(first)), (f"{file}: no header found; columns are called {span}. {cure}",)
    columns = unique(first)
    changed = [f"column {i} '{a}' as '{b}'" for i, (a, b) in enumerate(zip(first, columns, strict=True), 1) if a != b]
    notes = (f"{file}: blank or repeated names in the header; read {', '.join(changed[:10])}.",) if changed else ()
    return True, columns, notes


def looks_like_header(first: list[str], body: list[list[str]]) -> bool:
    """True when the first row differs in nature from the rows below, or, all being words, does not recur in them."""
    for_header = for_data = 0
    for i, cell in enumerate(first):
        below = [row[i].strip() for row in body if i < len(row) and row[i].strip() not in MISSING]
        quantities = sum(QUANTITY.fullmatch(value) is not None for value in below)
        if QUANTITY.fullmatch(cell):
            for_data += 1 if quantities >= 0.5 * len(below) else 0
        elif below and quantities >= 0.9 * len(below):
            for_header += 1
        elif cell and cell in below:
            for_data += 1
    if for_header or for_data:
        return for_header > for_data
    return True
