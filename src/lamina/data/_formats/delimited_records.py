"""The records of delimited text, one by one, with the line each begins on and what is wrong with it.

Grammar: a field is quoted when `"` is its first character (one blank before it, and any after the closing one,
do not count), `""` inside stands for `"`, a quoted field may hold line ends, and `"` elsewhere is a character
like any other.
"""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from lamina.schema import SkippedRow

NO_DELIMITER = "\x1f"
SPAN = 100_000  # lines a quoted field may span before its quote counts as stray
SURROGATE = re.compile("[\udc80-\udcff]")  # how undecodable bytes are carried
STAYS_OPEN = re.compile(r'[^"]*(?:""[^"]*)*\Z')


class Record(NamedTuple):
    """A record, its first line (from 1), the reason and field (from 0) when it is unsound, and its last line."""

    line: int
    cells: list[str]
    reason: str = ""
    field: int = -1
    last: int = 0


def skipped_row(file: Path, names: Sequence[str], record: Record) -> SkippedRow:
    """A record of no use, with the column at fault where there is one."""
    column = names[record.field] if 0 <= record.field < len(names) else ""
    return SkippedRow(str(file), record.line, column, record.reason)


class Fault(NamedTuple):
    """Why a text is not a record. `is_open`: a quoted field has not ended, the next line may end it."""

    reason: str
    field: int
    is_open: bool = False


def records(path: Path, delimiter: str, skip: int = 0) -> Iterator[Record]:
    """All records of a UTF-8 file that are not blank, behind the first lines to `skip`. After a quote gone wrong,
    reading resumes on the next line.
    """
    split = splitter(delimiter)
    number = skip
    with path.open("rb") as file:
        deque(islice(file, skip), maxlen=0)
        pending: deque[bytes] = deque()
        while raw := pending.popleft() if pending else file.readline():
            number += 1
            text = raw.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
            if not text.strip(" "):
                continue
            start = number
            cells = text.split(delimiter) if '"' not in text else split(text)
            if isinstance(cells, Fault) and cells.is_open:
                text, cells, used = _continued(raw, cells, pending, file, split)
                number += used
            yield _record(start, text, cells, number)


def splitter(delimiter: str) -> Callable[[str], list[str] | Fault]:
    """A function from the text of a record to its cells."""
    mark = re.escape(delimiter)
    before, after = ("", "") if delimiter == " " else (" ?", " *")
    field = re.compile(rf'{before}"([^"]*(?:""[^"]*)*)"{after}(?={mark}|\Z)|(?!{before}")[^{mark}]*')
    dialect = csv.reader([], delimiter=delimiter, strict=True).dialect
    open_quote = re.compile(rf'{before}"[^"]*(?:""[^"]*)*\Z')

    def split(text: str) -> list[str] | Fault:
        # Python's own reader is six times as fast, and right unless a blank stands before a quote.
        if f'{delimiter} "' not in text and not text.startswith(' "'):
            with suppress(csv.Error):
                return next(csv.reader([text], dialect))
        cells: list[str] = []
        at = 0
        while match := field.match(text, at):
            quoted = match[1]
            cells.append(match[0] if quoted is None else quoted.replace('""', '"'))
            at = match.end() + len(delimiter)
            if match.end() == len(text):
                return cells
        if open_quote.match(text, at):
            return Fault("a quote opens and does not close", len(cells), is_open=True)
        return Fault("text after a closing quote", len(cells))

    return split


def _continued(
    raw: bytes, fault: Fault, pending: deque[bytes], file: BinaryIO, split: Callable[[str], list[str] | Fault]
) -> tuple[str, list[str] | Fault, int]:
    """The record with the lines its open field needs, and how many; 0 when no line closes it well."""
    lines = [raw]
    result: list[str] | Fault = fault
    text = ""
    while isinstance(result, Fault) and result.is_open and len(lines) <= SPAN:
        if len(pending) < len(lines):
            if not (more := file.readline()):
                return text, fault, 0
            pending.append(more)
        lines.append(pending[len(lines) - 1])
        if not STAYS_OPEN.match(lines[-1].decode("utf-8", "surrogateescape")):
            text = b"".join(lines).decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
            result = split(text)
    if isinstance(result, Fault):
        return text, result, 0
    for _ in lines[1:]:
        pending.popleft()
    return text, result, len(lines) - 1


def _record(line: int, text: str, cells: list[str] | Fault, last: int) -> Record:
    if isinstance(cells, Fault):
        return Record(line, [], cells.reason, cells.field, last)
    if "\0" in text:
        return Record(line, [], "a NUL byte", next(i for i, cell in enumerate(cells) if "\0" in cell), last)
    if not text.isascii() and (odd := [i for i, cell in enumerate(cells) if SURROGATE.search(cell)]):
        return Record(line, [], "bytes that are not valid in the encoding", odd[0], last)
    return Record(line, cells, last=last)
