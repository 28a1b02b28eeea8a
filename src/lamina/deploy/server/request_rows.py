"""The rows of a request out of JSON or CSV: the columns that a model uses, of cells that nothing has looked at yet.

Rows become columns here, which multiplies them: rows times names. So names that the model does not use are dropped
while rows are read, and how many rows there may be hangs on how many cells each becomes.
"""

from codecs import BOM_UTF8
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lamina.data._formats import delimited_body
from lamina.data._formats.header import HEADER_AGAIN
from lamina.deploy.server.json_reader import describe, load_json, some
from lamina.deploy.server.limits import Limits, RequestError, bare, quoted

ROWS, COLUMNS = "rows", "columns"
SHAPE = 'Send {"rows": [{"column": value, ...}, ...]} or {"columns": {"column": [value, ...], ...}}.'
LINES = "Send a first line of names, each once, and then a line for each row."
NONE: Mapping[str, Any] = MappingProxyType({})
CELLS = 200  # of one request, for each of the rows it may have


@dataclass(slots=True, eq=False)
class RequestRows:
    """The cells of one request by column, as they came; `unknown` names, `notes` and `settings` beside them."""

    values: Mapping[str, list[Any]]
    count: int
    by_row: bool = True
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def place(self, name: str, row: int) -> str:
        """A cell as its sender wrote it."""
        return place(name, row, self.by_row)


def place(name: str, row: int, by_row: bool = True) -> str:
    return f"rows[{row}].{bare(name)}" if by_row else f"columns.{bare(name)}[{row}]"


class RowReader:
    """How bodies become rows of a model with these `columns`, of which each row is `width` cells, answers included."""

    def __init__(self, columns: Collection[str], width: int, limits: Limits):
        self.columns, self.limits = dict.fromkeys(columns), limits
        cells = limits.cells or CELLS * limits.rows
        self.most = max(1, min(limits.rows, cells // max(width, 1)))
        reason = f" Each is {width:,} cells, and one request may have {cells:,}." if self.most < limits.rows else ""
        self._sentence = f"rows: there are more than {self.most:,}.{reason} Send them in several requests."

    def too_many(self) -> RequestError:
        return RequestError(413, self._sentence)

    def from_json(self, body: bytes | bytearray, settings: Collection[str] = ()) -> RequestRows:
        """One request in JSON; `settings` may stand beside its rows.

        Errors: RequestError with a sentence that names the place.
        """
        value = load_json(body, self.most + 2, self.too_many(), SHAPE)
        if not isinstance(value, dict) or (ROWS in value) == (COLUMNS in value):
            raise RequestError(
                400, f"body: must be an object with either rows or columns (got {_keys(value)}). {SHAPE}"
            )
        read = self.by_row if ROWS in value else self.by_column
        cells = value.pop(ROWS if ROWS in value else COLUMNS)
        if value and (extra := value.keys() - set(settings)):
            raise RequestError(400, f"body: {quoted(min(extra))} does not belong beside rows or columns. {SHAPE}")
        return read(cells, value)

    def from_form_field(self, body: bytes) -> RequestRows:
        """The rows of a form's field: a list of objects, in JSON."""
        value = load_json(body, self.most + 2, self.too_many(), SHAPE)
        return self.by_row(value.get(ROWS) if isinstance(value, dict) else value)

    def from_csv(self, body: bytes | bytearray) -> RequestRows:
        """One request in CSV, read as a file of the same bytes is: names, then a row in each line; cells are text."""
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise RequestError(400, f"body: is not UTF-8 (byte {error.start}). Send CSV in UTF-8.") from None
        with ExitStack() as stack:
            lines = delimited_body.read(bytes(body).removeprefix(BOM_UTF8), self.columns, self.most + 1, stack)
            if len({name.strip() for name in lines.header}) < len(lines.header):
                raise RequestError(400, f"body: names a column twice. {LINES}")
            notes = [_without_command(note) for note in lines.notes if len(lines.names) > 1]
            rows = list(self._cells(lines, notes)) if lines.rows is None else lines.rows
        if not rows:
            raise RequestError(400, f"body: holds no row. {LINES}")
        if len(rows) > self.most:
            raise self.too_many()
        columns = zip(lines.names, zip(*rows, strict=True), strict=True)
        values = {name: list(cells) for name, cells in columns if name in self.columns}
        unknown = tuple(name for name in lines.names if name not in self.columns)
        return RequestRows(values, len(rows), unknown=unknown, notes=tuple(notes))

    def _cells(self, lines: delimited_body.Lines, notes: list[str]) -> Iterator[list[str]]:
        """Cells by row, as many in each; what is no row at all is added to `notes`."""
        width, count = len(lines.names), 0
        for record in lines.records:
            if record.reason == HEADER_AGAIN:
                notes.append(f"line {record.line}: is no row ({record.reason}).")
                continue
            if record.reason:
                cure = f"Give one value for each of the {width} columns; an empty one is missing."
                raise RequestError(400, f"line {record.line}: {record.reason}. {cure}")
            count += 1
            if count > self.most:
                raise self.too_many()
            yield record.cells

    def by_row(self, rows: Any, settings: Mapping[str, Any] = NONE, shape: str = SHAPE) -> RequestRows:
        """Rows out of a list of objects; `shape`: a sentence on what to send. Errors: RequestError."""
        if not isinstance(rows, list):
            raise RequestError(400, f"rows: must be a list of objects (got {describe(rows)}). {shape}")
        if not rows:
            raise RequestError(400, f"rows: there is none. {shape}")
        if len(rows) > self.most:
            raise self.too_many()
        unknown = dict[str, None]()
        for i, row in enumerate(rows):
            if not isinstance(row, dict):
                got = describe(row)
                raise RequestError(400, f"rows[{i}]: must be an object of column and value (got {got}). {shape}")
            if row.keys() <= self.columns.keys():
                continue
            for name in [name for name in row if name not in self.columns]:
                check_plain(name, (row.pop(name),), self.limits, i)
                unknown[name] = None
        if len(rows) == 1:
            values = {name: [cell] for name, cell in rows[0].items()}
        else:
            names = set[str]().union(*rows)
            values = {name: [row.get(name) for row in rows] for name in self.columns if name in names}
        return RequestRows(values, len(rows), unknown=tuple(unknown), settings=settings)

    def by_column(self, columns: Any, settings: Mapping[str, Any] = NONE, shape: str = SHAPE) -> RequestRows:
        """Rows out of an object of lists; `shape`: a sentence on what to send. Errors: RequestError."""
        if not isinstance(columns, dict):
            raise RequestError(400, f"columns: must be an object of column and list (got {describe(columns)}). {shape}")
        for name, values in columns.items():
            if not isinstance(values, list):
                got = describe(values)
                raise RequestError(400, f"columns.{bare(name)}: must be a list of values (got {got}). {shape}")
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            got = ", ".join(f"{quoted(name)}: {length}" for name, length in list(lengths.items())[:10])
            cure = "Give one value per row; null means missing."
            raise RequestError(400, f"columns: must be equally long (got {got}). {cure}")
        if not any(lengths.values()):
            raise RequestError(400, f"columns: there is no row. {shape}")
        count = max(lengths.values())
        if count > self.most:
            raise self.too_many()
        unknown = tuple(name for name in columns if name not in self.columns)
        for name in unknown:
            check_plain(name, columns.pop(name), self.limits, by_row=False)
        return RequestRows(columns, count, by_row=False, unknown=unknown, settings=settings)


def check_plain(name: str, values: Sequence[Any], limits: Limits, start: int = 0, by_row: bool = True) -> None:
    """Only plain cells, none too long; the first is of row `start`. Errors: RequestError."""
    kinds = set(map(type, values))
    if dict in kinds or list in kinds:
        row = next(i for i, value in enumerate(values) if isinstance(value, dict | list))
        cure = "Send a plain value, and the parts of an object as columns of their own ('a.b')."
        where = place(name, start + row, by_row)
        raise RequestError(400, f"{where}: must not be nested (got {describe(values[row])}). {cure}")
    if str in kinds:
        row = max(range(len(values)), key=lambda i: len(values[i]) if isinstance(values[i], str) else -1)
        if len(values[row]) > limits.text:
            size = f"{len(values[row]):,} characters; at most {limits.text:,} are taken"
            raise RequestError(413, f"{place(name, start + row, by_row)}: has {size}. Shorten it.")


def _keys(value: Any) -> str:
    """What a body holds that is no request."""
    if not isinstance(value, dict) or not value:
        return describe(value)
    return "both rows and columns" if ROWS in value and COLUMNS in value else f"the keys {some(list(value))}"


def _without_command(note: str) -> str:
    """A note without how to say otherwise on a command line, which none has who sends a request."""
    return note if "--set" not in note else note[: note.rindex(". ", 0, note.index("--set")) + 1]
