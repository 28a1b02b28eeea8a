"""Text files of odd layout as plain ones: the same lines, with a tab between cells, and nothing where no row is.

A file that needs nothing of this is never copied.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from lamina.data._formats.header import QUANTITY
from lamina.data._formats.text import Text, plain_copy

Split = Callable[[str], list[str]]

SAMPLE = 200
BLANKS = re.compile(r"[ \t]+")
WIDE_BLANKS = re.compile(r" {2,}|\t+")
QUOTED = re.compile(r'"(?:[^"]|"")*"|[^ \t]+')
ENOUGH = 3  # lines that blanks cut into as many cells


def copy(text: Text, stack: ExitStack, split: Split | None = None, comment: str | None = None, footer: int = 0) -> Text:
    """The file with cells set off by tabs, where they are `split`, and blank lines for comments and a footer."""
    last = _lines(text.path) - footer if footer else None
    with text.path.open("rb") as lines:
        return text._replace(path=plain_copy(text.file, _plain_lines(lines, split, comment, last), stack))


def _plain_lines(lines: Iterable[bytes], split: Split | None, comment: str | None, last: int | None) -> Iterator[bytes]:
    """The lines up to the `last` that is not blank; those that hold no row are blank."""
    filled, mark = 0, (comment or "").encode()
    for raw in lines:
        line = raw.rstrip(b"\r\n")
        filled += bool(line.strip())
        if (mark and line.lstrip().startswith(mark)) or (last is not None and filled > last):
            yield raw[len(line) :]
        elif split and line.strip():
            cells = split(line.decode("utf-8", "surrogateescape"))
            yield "\t".join(cells).encode("utf-8", "surrogateescape") + raw[len(line) :]
        else:
            yield raw


def _lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def by_blanks(lines: Sequence[str], certain: bool = False) -> tuple[Split, str] | None:
    """How blanks set off the cells of all these lines, and how that is called; `certain`: that they do is known."""
    if len(lines) < (2 if certain else ENOUGH):
        return None
    ways: list[tuple[Split, str]] = [(_by_runs, "by blanks"), (_by_wide_runs, "by two blanks or more")]
    edges = _edges(lines)
    ways.append((partial(_at_edges, edges), "by their place in the line"))
    for labels in (0, 1):  # 1: each row begins with a label, for which the header has no name
        for split, how in ways:
            first, *rest = [split(line) for line in lines]
            is_even = {len(row) for row in rest} == {len(first) + labels} and len(first) > 1
            if is_even and (certain or _has_numbers(rest)):
                return split, how
    return None


def _by_runs(line: str) -> list[str]:
    return QUOTED.findall(line) if '"' in line else BLANKS.split(line.strip())


def _by_wide_runs(line: str) -> list[str]:
    return WIDE_BLANKS.split(line.strip())


def _at_edges(edges: Sequence[int], line: str) -> list[str]:
    """Cells that begin at these places; all of the line as one where a cell runs over an edge."""
    if any(edge <= len(line) and line[edge - 1 : edge].strip() for edge in edges[1:]):
        return [line]
    ends = [*edges[1:], len(line)]
    return [line[start:end].strip() for start, end in zip(edges, ends, strict=True)]


def _edges(lines: Sequence[str]) -> list[int]:
    """Where columns begin: behind two places or more at which all lines are blank."""
    width = max(map(len, lines))
    is_blank = [all(line[i : i + 1] in ("", " ") for line in lines) for i in range(width)]
    return [0, *(i for i in range(3, width) if not is_blank[i] and is_blank[i - 1] and is_blank[i - 2])]


def _has_numbers(rows: Iterable[Sequence[str]]) -> bool:
    """Whether a column holds numbers, and so is no text that blanks happen to cut."""
    columns = [[cell for cell in column if cell] for column in zip(*rows, strict=True)]
    return any(0.9 * len(column) <= sum(bool(QUANTITY.fullmatch(cell)) for cell in column) > 0 for column in columns)


def hold_blanks(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a column holds several numbers in each cell, with blanks between: it is many columns."""
    columns = zip(*rows, strict=False)
    return any(all(len(BLANKS.split(c.strip())) > ENOUGH and _are_numbers(c) for c in column) for column in columns)


def _are_numbers(cell: str) -> bool:
    return all(map(QUANTITY.fullmatch, BLANKS.split(cell.strip())))
