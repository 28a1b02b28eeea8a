"""What the terminal shows, and the pieces that all screens are made of: tables, columns, rows that were set aside."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lamina.schema import Row

FIRST = 5
MOST = 40  # columns of a table shown
GAP = 3  # between two columns

PIPED = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120  # a pipe has no width of its own
out = Console(highlight=False, soft_wrap=False, width=PIPED)
err = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A sentence, folded at the end of a line."""
    out.print(escape(text))


def line(text: str) -> None:
    """A line that stays one, since it holds a path or a command to copy."""
    out.print(escape(text), soft_wrap=True)


def notes(sentences: Sequence[Any], console: Console = out) -> None:
    for sentence in sentences:
        console.print(f"[yellow]note[/] {escape(str(sentence))}")


def short(text: str, longest: int) -> str:
    """A text on one line, cut."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def table(*heads: str, right: Sequence[int] = (), bend: Sequence[int] = ()) -> Table:
    """A table of one line per row; the columns in `bend` give way, with an ellipsis, when the terminal is narrow."""
    bare = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for i, head in enumerate(heads):
        justify, ratio = "right" if i in right else "left", 1 if i in bend else None
        bare.add_column(head, justify=justify, overflow="ellipsis", no_wrap=True, ratio=ratio)
    bare.expand = bool(bend)
    return bare


def compare(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Numbers side by side, none of them cut: what is too wide for the terminal goes on in a table below, which begins
    with the same two columns, the names and the first numbers.
    """
    widths = [
        max(cell_len(line) for cell in column for line in cell.split("\n")) + GAP
        for column in zip(heads, *rows, strict=True)
    ]
    groups: list[list[int]] = [[0, 1]]
    for i in range(2, len(heads)):
        if len(groups[-1]) > 2 and sum(widths[n] for n in (*groups[-1], i)) > out.width + GAP:
            groups.append([0, 1])
        groups[-1].append(i)
    for group in groups:
        part = table(*(heads[n] for n in group), right=range(1, len(group)))
        for row in rows:
            part.add_row(*(f"[bold]{row[n]}[/]" if n == 1 else row[n] for n in group))
        out.print(part)
        if group is not groups[-1]:
            out.print()


def lines(rows: Sequence[Sequence[str]]) -> Table:
    """A table of texts, the first row of which are its heads: the first column names, the others are numbers."""
    heads, *others = rows
    plain = table(*(escape(short(head, MOST)) for head in heads), right=range(1, len(heads)))
    for row in others[:MOST]:
        plain.add_row(escape(short(row[0], MOST)), *map(escape, row[1:]))
    if len(others) > MOST:
        plain.add_row(f"and {len(others) - MOST:,} more")
    return plain


def columns(rows: Sequence[Row]) -> Table:
    """Columns with their kinds and what they hold."""
    listed = table("column", "kind", "missing", "distinct", "examples", "note", right=(2, 3), bend=(4, 5))
    for c in rows[:MOST]:
        missing = f"{c['missing']:,}" if c["missing"] else ""
        examples = escape(", ".join(short(e, 14) for e in c["examples"]))
        name, note = escape(short(c["name"], 24)), escape(c["note"])
        listed.add_row(name, c["kind"], missing, f"{c['distinct']:,}", examples, note)
    if len(rows) > MOST:
        listed.add_row(f"and {len(rows) - MOST:,} more")
    return listed


def layers(rows: Sequence[Row]) -> Table:
    """The network, layer by layer, with its number of parameters."""
    listed = table("layer", "output", "parameters", right=(1, 2))
    for layer in rows:
        parameters = f"{layer['parameters']:,}" if layer["parameters"] else ""
        listed.add_row(escape(layer["layer"]), layer["output"], parameters)
    listed.add_section()
    listed.add_row("[bold]all[/]", "", f"[bold]{sum(layer['parameters'] for layer in rows):,}[/]")
    return listed


def quarantine(reasons: Sequence[Row], console: Console = out) -> None:
    """Why rows could not be used, a line for each reason with an example; the most frequent ones first."""
    for one in reasons[:FIRST]:
        where = f"{one['file']}:{one['line']}" if one["line"] else one["file"]
        count = f" ({one['count']:,} rows)" if one["count"] > 1 else ""
        reason = f"{escape(one['column'])}: {escape(one['reason'])}{count}"
        console.print(f"[yellow]set aside[/] {escape(where)} {reason}", soft_wrap=True)
    if left := sum(one["count"] for one in reasons[FIRST:]):
        console.print(f"[yellow]set aside[/] and {left:,} more, for {len(reasons) - FIRST:,} other reasons")
