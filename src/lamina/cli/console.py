"""What the terminal shows, and the pieces that all screens are made of: tables, columns, rows that were skipped."""

import os
import sys
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from lamina.schema import Row

FIRST = 5
MOST = 40  # columns of a table shown
GAP = 3  # between two columns
ROOM = 26  # for examples and a note, at least

PIPED = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120  # a pipe has no width of its own
out = Console(highlight=False, soft_wrap=False, width=PIPED)
err = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A sentence, folded at the end of a line."""
    out.print(escape(text))


def indented(text: str) -> Padding:
    """A sentence that stands to the right of what it is about, folded."""
    return Padding(escape(text), (0, 0, 0, 2))


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


def compare(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    repeated: int = 2,
    bold: int | None = 1,
    console: Console | None = None,
) -> None:
    """Numbers side by side, none of them cut: what is too wide for the terminal goes on in a table below, which begins
    with the same `repeated` columns, such as the names and the first numbers. The column `bold` stands out.
    """
    console = console or out
    widths = [
        max(cell_len(line) for cell in column for line in cell.split("\n")) + GAP
        for column in zip(heads, *rows, strict=True)
    ]
    again = list(range(repeated))
    groups = [again]
    for i in range(repeated, len(heads)):
        if len(groups[-1]) > repeated and sum(widths[n] for n in (*groups[-1], i)) > console.width + GAP:
            groups.append(again)
        groups[-1] = [*groups[-1], i]
    for group in groups:
        part = table(*(heads[n] for n in group), right=range(1, len(group)))
        for row in rows:
            part.add_row(*(f"[bold]{row[n]}[/]" if n == bold else row[n] for n in group))
        console.print(part)
        if group is not groups[-1]:
            console.print()


def lines(rows: Sequence[Sequence[str]]) -> None:
    """A table of texts, the first row of which are its heads: the first column names, the others are numbers."""
    heads, *others = rows
    names = [escape(short(head, MOST)) for head in heads]
    compare(names, [(escape(short(row[0], MOST)), *map(escape, row[1:])) for row in others[:MOST]], 1, None)
    if len(others) > MOST:
        out.print(f"and {len(others) - MOST:,} more")


def columns(rows: Sequence[Row]) -> Table:
    """Columns with their kinds and what they hold."""
    names = [short(c["name"], 24) for c in rows[:MOST]]
    widths = (max(map(cell_len, ["column", *names])), max([len(c["kind"]) for c in rows[:MOST]], default=4))
    room = max(out.width - sum(widths) - len("missing distinct") - 5 * GAP, len("examples"))
    noted = any(c["note"] for c in rows[:MOST]) and room >= ROOM
    room //= 1 + noted
    heads = ["column", "kind", "missing", "distinct", "examples", *(["note"] if noted else [])]
    listed = table(*heads, right=(2, 3), bend=(5,) if noted else ())
    for name, c in zip(names, rows, strict=False):
        missing = f"{c['missing']:,}" if c["missing"] else ""
        note = [escape(c["note"])] if noted else []
        listed.add_row(
            escape(name), c["kind"], missing, f"{c['distinct']:,}", escape(_examples(c["examples"], room)), *note
        )
    if len(rows) > MOST:
        listed.add_row(f"and {len(rows) - MOST:,} more")
    return listed


def _examples(values: Sequence[str], room: int) -> str:
    """As many as there is room for, none of them a part of a number."""
    line = ""
    for value in values:
        longer = f"{line}, {short(value, 14)}" if line else short(value, max(14, room))
        if cell_len(longer) > room:
            break
        line = longer
    return line


def layers(rows: Sequence[Row]) -> Table:
    """The network, layer by layer, with its number of parameters."""
    listed = table("layer", "output", "parameters", right=(1, 2))
    room = max(20, out.width - max(len(layer["output"]) for layer in rows) - len("parameters") - 2 * GAP)
    for layer in rows:
        parameters = f"{layer['parameters']:,}" if layer["parameters"] else ""
        listed.add_row(escape(short(layer["layer"], room)), layer["output"], parameters)
    listed.add_section()
    listed.add_row("[bold]all[/]", "", f"[bold]{sum(layer['parameters'] for layer in rows):,}[/]")
    return listed


def skipped_rows(reasons: Sequence[Row], console: Console = out) -> None:
    """Why rows could not be used, a line for each reason with an example; the most frequent ones first."""
    for one in reasons[:FIRST]:
        where = f"{one['file']}:{one['line']}" if one["line"] else one["file"]
        count = f" ({one['count']:,} rows)" if one["count"] > 1 else ""
        reason = f"{escape(one['column'])}: {escape(one['reason'])}{count}"
        console.print(f"[yellow]skipped[/] {escape(where)} {reason}", soft_wrap=True)
    if left := sum(one["count"] for one in reasons[FIRST:]):
        console.print(f"[yellow]skipped[/] and {left:,} more, for {len(reasons) - FIRST:,} other reasons")
