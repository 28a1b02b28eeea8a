"""Delimited text in memory, as a request brings it: laid out and read as a file of the same bytes is."""

import csv
import io
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from lamina.data._formats.delimited import Layout, checked_records
from lamina.data._formats.delimited_layout import layout
from lamina.data._formats.delimited_records import Record
from lamina.data._formats.options import Options
from lamina.data._formats.text import Text

NAME = Path("body")  # what notes and reasons call it
HEAD = 24  # lines that say how all are laid out


class Memory(NamedTuple):
    """Bytes that open as a file does."""

    body: bytes

    def open(self, mode: str) -> BinaryIO:
        assert mode == "rb"
        return BytesIO(self.body)


class Lines(NamedTuple):
    """The names of columns; the cells of the `header` where there surely is one; those of all `rows` where these are
    seen to be sound, else `records` one by one, unsound ones with the reason; what was guessed.
    """

    names: tuple[str, ...]
    header: tuple[str, ...]
    rows: list[list[str]] | None
    records: Iterator[Record]
    notes: tuple[str, ...]


def read(body: bytes, expect: Collection[str], most: int, stack: ExitStack) -> Lines:
    """The rows of a body in UTF-8 without a BOM, of which more than `most` are of no use; `expect` are names that tell
    the header. The layout is that of the first lines. Temporary files, if any, live as long as `stack`.
    """
    if b"\r" in body and b"\n" not in body:
        body = body.replace(b"\r", b"\n")
    head = b"\n".join(body.split(b"\n", HEAD)[:HEAD])
    plan = layout(_text(head), Options(expect=tuple(expect)), stack)
    if isinstance(plan.text.path, Memory):
        plan = plan._replace(text=_text(body))
    elif len(head) < len(body):  # cells set off by blanks were written to a file, and so must be the rest
        plan = layout(_text(body), Options(expect=tuple(expect)), stack)
    notes = (*plan.notes, *(f"line {row.line}: is no row ({row.reason})." for row in plan.aside))
    return Lines(plan.names, plan.header, _sound(body, plan, most), checked_records(plan), notes)


def _text(body: bytes) -> Text:
    return Text(NAME, cast("Path", Memory(body)), "utf-8", clean=True)


def _sound(body: bytes, plan: Layout, most: int) -> list[list[str]] | None:
    """The cells of all rows, where Python's own reader, which is far faster, is sure to give the same; else None."""
    mark, name = plan.delimiter.encode(), max(plan.header, key=len, default="").encode()
    odd = (b"\0", b'\n "', mark + b' "', b"\n ", b"\r\r")
    if (
        not isinstance(plan.text.path, Memory)
        or plan.trailing
        or (name and body.count(name) > 1)
        or any(one in body for one in odd)
    ):
        return None
    lines = io.StringIO(body.decode(), newline="")
    for _ in range(plan.skip):
        lines.readline()
    width = len(plan.names)
    try:
        rows = [cells for cells in islice(csv.reader(lines, delimiter=plan.delimiter, strict=True), most + 1) if cells]
    except csv.Error:
        return None
    return rows if all(len(cells) == width for cells in rows) else None
