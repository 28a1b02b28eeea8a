"""What the cells of columns are like, in the terminal: a table for each sort of facts, no number of them cut."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from lamina.cli.console import compare, out, short, table
from lamina.evaluate.markup import number
from lamina.schema import Row

MOST, LARGEST, CLASSES = 40, 4, 20  # columns shown, values of a column, and of the target
ABOUT = ("column", "kind", "target", "rows", "single")  # of a column, and no statistics
HEADS = {"counts": "largest shares"}


def show(rows: Sequence[Row], console: Console = out) -> None:
    """The balance of the target's values, then columns side by side that have the same statistics."""
    for row in rows:
        if row["target"] and row.get("counts"):
            name = escape(short(row["column"], 40))
            console.print(f"[bold]class balance[/] of {name}: {escape(shares(row, CLASSES, with_rows=True))}")
    alike: dict[tuple[str, ...], list[Row]] = {}
    for row in rows[:MOST]:
        names = tuple(name for name in row if name not in ABOUT)
        if len(names) > 1 and not (row["target"] and "counts" in row):
            alike.setdefault(names, []).append(row)
    for names, group in alike.items():
        console.print()
        _table(names, group, console)
    if len(rows) > MOST:
        console.print(f"and {len(rows) - MOST:,} more columns")
    console.print()


def _table(names: Sequence[str], rows: Sequence[Row], console: Console) -> None:
    """Numbers are never cut; a text at the end goes on in the line below."""
    heads = ["column", *(HEADS.get(name, name) for name in names)]
    cells = [[escape(short(row["column"], 24)), *(escape(_cell(row, name)) for name in names)] for row in rows]
    if "counts" not in names:
        return compare(heads, cells, repeated=1, bold=None, console=console)
    folded = table(*heads, right=range(1, len(heads) - 1))
    folded.columns[-1].no_wrap, folded.columns[-1].overflow = False, "fold"
    for row in cells:
        folded.add_row(*row)
    return console.print(folded)


def _cell(row: Row, name: str) -> str:
    value: Any = row[name]
    if isinstance(value, Mapping):
        return shares(row, LARGEST)
    if name == "missing":
        return f"{value:,}" if value else ""
    return value if isinstance(value, str) else number(value)


def shares(row: Row, most: int, with_rows: bool = False) -> str:
    """The most frequent values of a column: `yes 61.6 %, no 38.4 %`."""
    counts, present = row["counts"], max(row["rows"] - row["missing"], 1)
    texts = [
        f"{short(value, 16)}\u00a0{count / present:.1%}{f' ({count:,})' if with_rows else ''}"
        for value, count in list(counts.items())[:most]
    ]
    left = row["values"] - len(texts)
    return ", ".join([*texts, *([f"{left:,} more"] if left and texts else [])])
