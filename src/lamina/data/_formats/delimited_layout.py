"""How a delimited text file is laid out, by its first rows: delimiter, names, and what stands above and below them."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from lamina.config import as_override
from lamina.data._formats import rewriting
from lamina.data._formats.delimited import Layout
from lamina.data._formats.delimited_records import NO_DELIMITER, Record, records, skipped_row
from lamina.data._formats.header import ENOUGH, UNITS, Header, column_names, is_total, rows_above, total_note
from lamina.data._formats.options import Options
from lamina.data._formats.preamble import MARK, preamble
from lamina.data._formats.text import BLOCK, Text

SAMPLE = 200
HALF = 0.5
DELIMITERS = ("\t", ";", "|", ",")  # on equal evidence a comma is the likelier to be part of a value


class Sample(NamedTuple):
    """The first records of a file, in which a `table` of sound ones begins, `shape` and all."""

    records: list[Record]
    table: list[Record]
    shape: str = ""  # of rows: "trailing" where each ends in a delimiter, "labels" where each begins with a label

    @property
    def rows(self) -> list[list[str]]:
        """Cells of the table, as many in each row as there are columns."""
        first, *rest = [record.cells for record in self.table]
        if self.shape == "labels":
            return [["", *first], *rest]
        if self.shape == "trailing":
            is_wider = rest and len(rest[0]) > len(first)
            width = len(first) if is_wider else len(first) - 1
            return [row[:width] for row in (first, *rest)]
        return [first, *rest]


def layout(text: Text, options: Options, stack: ExitStack) -> Layout:
    """What the first rows tell, where the settings do not. A file without any record has no columns."""
    top = preamble(text, options)
    notes = (*text.notes, *top.notes)
    delimiter = options.delimiter or top.delimiter
    if options.comment or options.footer:
        text = rewriting.copy(text, stack, None, options.comment, options.footer)
    if delimiter is None:
        delimiter = _delimiter(text.path, len(options.names or ()), top.skip, options.expect)
    if _may_be_blanks(text.path, delimiter, top.skip, options):
        lines = [_without_mark(line) if top.header_is_comment else line for line in _lines(text.path, top.skip)]
        cut = rewriting.by_blanks(lines, certain=delimiter == " ")
        if cut:
            split = (lambda line: cut[0](_without_mark(line))) if top.header_is_comment else cut[0]
            text, delimiter = rewriting.copy(text, stack, split), "\t"
            how = as_override(("data", "delimiter"), ",")
            notes = (*notes, f"{text.file}: cells are set off {cut[1]}. To say another delimiter: {how}")
        elif delimiter == NO_DELIMITER:
            notes = (*notes, f"{text.file}: no delimiter found; read as one column. Set delimiter to choose one.")
    whole = list(islice(records(text.path, delimiter, top.skip), SAMPLE))
    sample = _sample(whole, options, text.path, delimiter)
    if not sample.table:
        return Layout(text, delimiter, (), notes=notes, skip=top.skip)
    rows = sample.rows
    if top.header_is_comment and rows[0][0] not in options.expect:
        rows[0] = [_without_mark(rows[0][0]), *rows[0][1:]]
    header = column_names(text.file, rows, options)
    notes = (*notes, *_above(text.file, sample, whole), *_shape(text.file, sample), *header.notes)
    notes = (*notes, *_total(text, delimiter, rows))
    head = sample.table[: header.rows + header.units]
    skip = (head or [sample.table[0]])[-1]
    return Layout(
        text,
        delimiter,
        header.names,
        notes,
        skip=skip.last if head else skip.line - 1,
        aside=_aside(text.file, sample, header, head),
        header=tuple(head[0].cells) if header.certain and header.rows == 1 and len(header.names) > 1 else (),
        trailing=sample.shape == "trailing",
    )


def _sample(whole: list[Record], options: Options, path: Path, delimiter: str) -> Sample:
    sound = [record for record in whole if not record.reason]
    above = _rows_above(sound, options.expect) if options.skip is None else 0
    table = sound[above:]
    if not table:
        return Sample(whole, table)
    first, rest = table[0].cells, [record.cells for record in table[1:]]
    wider = bool(rest) and all(len(row) == len(first) + 1 for row in rest)
    is_open = wider or (len(first) > 2 and not first[-1].strip())
    if is_open and not any(row[-1].strip() for row in rest):
        return Sample(whole, table, "trailing" if wider or _all_end_in(path, delimiter, table[0].line - 1) else "")
    if wider and len(rest) >= ENOUGH and options.header is not False and options.names is None:
        return Sample(whole, table, "labels")
    return Sample(whole, table)


def _rows_above(sound: list[Record], expect: Sequence[str]) -> int:
    gaps = {place for place in range(1, len(sound)) if sound[place].line > sound[place - 1].last + 1}
    return rows_above([record.cells for record in sound], expect, gaps)


def _aside(file: Path, sample: Sample, header: Header, head: list[Record]) -> tuple:
    """Unsound records that stand above the first row, and a row of units."""
    end = head[-1].line if head else sample.table[0].line
    bad = [skipped_row(file, (), record) for record in sample.records if record.reason and record.line < end]
    units = [skipped_row(file, (), head[-1]._replace(reason=UNITS))] if header.units else []
    return (*bad, *units)


def _above(file: Path, sample: Sample, whole: list[Record]) -> list[str]:
    above = [record for record in whole if not record.reason and record.line < sample.table[0].line]
    if not above:
        return []
    lines = f"{len(above)} lines above the header are" if len(above) > 1 else "a line above the header is"
    return [
        f"{file}: {lines} no row of the table. To read from the first line on: {as_override(('data', 'skip'), '0')}"
    ]


def _shape(file: Path, sample: Sample) -> list[str]:
    match sample.shape:
        case "trailing":
            return [f"{file}: the delimiter at the end of each row begins no column."]
        case "labels":
            return [f"{file}: rows have one cell more than the header, which is taken for a label before the others."]
    return []


def _total(text: Text, delimiter: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """A note where the last row sums up the others."""
    if len(rows) <= ENOUGH:
        return []
    with text.path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - BLOCK // 64))
        last = file.read().decode("utf-8", "surrogateescape").rstrip().rpartition("\n")[2]
    row = last.rstrip("\r").split(delimiter)
    if len(row) < len(rows[0]) or not is_total(row, rows[:-1]):
        return []
    return [total_note(text.file, row)]


def _lines(path: Path, skip: int) -> list[str]:
    """The first lines that are not blank, without their ends."""
    with path.open("rb") as file:
        lines = (raw.decode("utf-8", "surrogateescape").rstrip("\r\n") for raw in islice(file, skip, None))
        return list(islice((line for line in lines if line.strip()), SAMPLE))


def _may_be_blanks(path: Path, delimiter: str, skip: int, options: Options) -> bool:
    """Whether blanks may be what sets off cells: nothing else does, or one by one they do it unevenly."""
    if delimiter == " ":
        return len({len(record.cells) for record in islice(records(path, " ", skip), SAMPLE)}) > 1
    if delimiter == "\t" and options.delimiter is None:
        rows = [record.cells for record in islice(records(path, delimiter, skip), SAMPLE)]
        return rewriting.hold_blanks(rows)
    return delimiter == NO_DELIMITER


def _without_mark(text: str) -> str:
    return text.lstrip(f"{MARK} ")


def _all_end_in(path: Path, delimiter: str, skip: int) -> bool:
    mark = delimiter.encode()
    with path.open("rb") as file:
        return all(raw.rstrip(b"\r\n ").endswith(mark) for raw in islice(file, skip, None) if raw.strip())


def _delimiter(path: Path, width: int, skip: int, expect: Sequence[str]) -> str:
    """The delimiter by which the most rows are `width` wide, or else as wide as the first; where by none most rows
    are, the one by which they are under some lines of a title.
    """
    sample = {cut: list(islice(records(path, cut, skip), SAMPLE)) for cut in DELIMITERS}
    best, most = NO_DELIMITER, 0.0
    for cut, rows in sample.items():
        widths = [len(record.cells) for record in rows]
        expected = width or next((n for n in widths if n), 0)
        share = widths.count(expected) / len(widths) if widths else 0.0
        if expected > 1 and share > most:
            best, most = cut, share
    if most < HALF:
        titled = {cut: _rows_above([r for r in rows if not r.reason], expect) for cut, rows in sample.items()}
        best = next((cut for cut, above in titled.items() if above), best)
    return _delimiter(path, 0, skip, expect) if best == NO_DELIMITER and width > 1 else best
