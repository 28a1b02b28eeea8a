"""The rows of a request as they came, out of JSON or CSV: columns of cells that nothing has looked at yet."""

import csv
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lamina.deploy.server.json_reader import describe, load_json, some
from lamina.deploy.server.limits import Limits, RequestError, bare, quoted

ROWS, COLUMNS = "rows", "columns"
SHAPE = 'Send {"rows": [{"column": value, ...}, ...]} or {"columns": {"column": [value, ...], ...}}.'
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class RequestRows:
    """The cells of one request by column, as they came; `settings` beside them, and notes on columns of no use."""

    values: Mapping[str, list[Any]]
    count: int
    by_row: bool = True
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def place(self, name: str, row: int) -> str:
        """A cell as its sender wrote it."""
        return f"rows[{row}].{bare(name)}" if self.by_row else f"columns.{bare(name)}[{row}]"


def too_many(limits: Limits) -> RequestError:
    return RequestError(413, f"rows: there are more than {limits.rows:,}. Send them in several requests.")


def from_json(body: bytes | bytearray, limits: Limits, settings: Collection[str] = ()) -> RequestRows:
    """One request in JSON, without a look at its cells; `settings` may stand beside its rows.

    Errors: RequestError with a sentence that names the place.
    """
    value = load_json(body, limits.rows + 2, too_many(limits), SHAPE)
    if not isinstance(value, dict) or (ROWS in value) == (COLUMNS in value):
        raise RequestError(400, f"body: must be an object with either rows or columns (got {_keys(value)}). {SHAPE}")
    cells = {name: value.pop(name) for name in (ROWS, COLUMNS) if name in value}
    if extra := value.keys() - set(settings):
        raise RequestError(400, f"body: {quoted(min(extra))} does not belong beside rows or columns. {SHAPE}")
    if ROWS in cells:
        return _by_row(cells[ROWS], limits, value)
    return _by_column(cells[COLUMNS], limits, value)


def from_form_field(body: bytes, limits: Limits) -> RequestRows:
    """The rows of a form's field: a list of objects, in JSON."""
    value = load_json(body, limits.rows + 2, too_many(limits), SHAPE)
    return _by_row(value.get(ROWS) if isinstance(value, dict) else value, limits, {})


def from_csv(body: bytes | bytearray, limits: Limits) -> RequestRows:
    """One request in CSV: names in the first line, a row in each other; cells are text, and empty ones missing."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(400, f"body: is not UTF-8 (byte {error.start}). Send CSV in UTF-8.") from None
    lines = _lines(text, limits)
    names = [name.strip() for name in lines[0]] if lines else []
    if len(lines) < 2 or len(set(names)) < len(names):
        fault = "names a column twice" if len(set(names)) < len(names) else "holds no row"
        raise RequestError(400, f"body: {fault}. Send a first line of names, each once, and then a line for each row.")
    columns = zip(*lines[1:], strict=True)
    return RequestRows({name: list(cells) for name, cells in zip(names, columns, strict=True)}, len(lines) - 1)


def _lines(text: str, limits: Limits) -> list[list[str]]:
    """Cells by line, the names first, as many in each."""
    first = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count), strict=True)
    lines = list[list[str]]()
    try:
        for line in reader:
            if lines and line and len(line) != len(lines[0]):
                where = f"line {reader.line_num}: has {len(line)} cells, and the first line {len(lines[0])} names"
                raise RequestError(400, f"{where}. Give one value for each; an empty one is missing.")
            if len(lines) > limits.rows:
                raise too_many(limits)
            lines += [line] if line else []
    except csv.Error as error:
        raise RequestError(400, f"line {reader.line_num}: is not CSV ({error}).") from None
    return lines


def _keys(value: Any) -> str:
    """What a body holds that is no request."""
    if not isinstance(value, dict) or not value:
        return describe(value)
    return "both rows and columns" if ROWS in value and COLUMNS in value else f"the keys {some(list(value))}"


def _by_row(rows: Any, limits: Limits, settings: Mapping[str, Any]) -> RequestRows:
    if not isinstance(rows, list):
        raise RequestError(400, f"rows: must be a list of objects (got {describe(rows)}). {SHAPE}")
    if not rows:
        raise RequestError(400, f"rows: there is none. {SHAPE}")
    if len(rows) > limits.rows:
        raise too_many(limits)
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise RequestError(400, f"rows[{i}]: must be an object of column and value (got {describe(row)}). {SHAPE}")
    if len(rows) == 1:
        return RequestRows({name: [value] for name, value in rows[0].items()}, 1, settings=settings)
    names = dict.fromkeys(name for row in rows for name in row)
    return RequestRows({name: [row.get(name) for row in rows] for name in names}, len(rows), settings=settings)


def _by_column(columns: Any, limits: Limits, settings: Mapping[str, Any]) -> RequestRows:
    if not isinstance(columns, dict):
        raise RequestError(400, f"columns: must be an object of column and list (got {describe(columns)}). {SHAPE}")
    for name, values in columns.items():
        if not isinstance(values, list):
            got = describe(values)
            raise RequestError(400, f"columns.{bare(name)}: must be a list of values (got {got}). {SHAPE}")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        got = ", ".join(f"{quoted(name)}: {length}" for name, length in list(lengths.items())[:10])
        cure = "Give one value per row; null means missing."
        raise RequestError(400, f"columns: must be equally long (got {got}). {cure}")
    if not any(lengths.values()):
        raise RequestError(400, f"columns: there is no row. {SHAPE}")
    if max(lengths.values()) > limits.rows:
        raise too_many(limits)
    return RequestRows(columns, max(lengths.values()), by_row=False, settings=settings)
