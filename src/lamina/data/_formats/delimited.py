"""Delimited text (CSV, TSV): its layout, and its rows as tables of text.

DuckDB reads the file and its rejects table tells whether any row is unsound. When one is, the records of
`_records` decide: they give the exact line and the reason, and one stray quote costs one row, not the rest.
"""

import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lamina.data._formats.delimited_records import NO_DELIMITER, Record, records
from lamina.data._formats.header import column_names
from lamina.data._formats.pieces import CHUNK, Piece, TableFile
from lamina.data._formats.text import Text
from lamina.schema import MISSING, Quarantined

if TYPE_CHECKING:
    import duckdb

SAMPLE = 200
STEP = 4096  # rows made of Python cells at a time; more is slower
DELIMITERS = ("\t", ";", "|", ",")  # on equal evidence a comma is the likelier to be part of a value
DECIMAL = r"^\s*[-+]?(\d+|\d{1,3}(\.\d{3})+),\d+([eE][-+]?\d+)?\s*$"
GROUPED = r"^\s*[-+]?\d{1,3}(\.\d{3})+\s*$"


class Layout(NamedTuple):
    """How a file is laid out. `header` is the line of the header, 0 without; `commas` the decimal-comma columns."""

    text: Text
    delimiter: str
    header: int
    names: tuple[str, ...]
    commas: tuple[str, ...]
    notes: tuple[str, ...]


def open_file(plan: Layout) -> TableFile:
    """The file as every format gives it."""
    return TableFile(plan.text.file, _schema(plan), plan.notes, partial(read, plan), partial(lines, plan))


def layout(
    text: Text,
    delimiter: str | None,
    header: bool | None,
    names: tuple[str, ...] | None,
    decimal: Literal[".", ","] | None,
) -> Layout:
    """What the first rows tell, where the settings do not. A file without any record has no columns."""
    notes = text.notes
    if delimiter is None:
        delimiter = _delimiter(text.path, len(names or ()))

        if delimiter == NO_DELIMITER:
            notes = (*notes, f"{text.file}: no delimiter found; read as one column. Set delimiter to choose one.")
    sample = _sample(text.path, delimiter)
    if not sample:
        return Layout(text, delimiter, 0, (), (), notes)
    is_header, columns, more = column_names(text.file, [record.cells for record in sample], header, names)
    body = [record.cells for record in sample[is_header:]]
    commas = tuple(columns) if decimal == "," else ()
    if decimal is None and delimiter != ",":
        commas = tuple(name for i, name in enumerate(columns) if _has_decimal_commas([row[i : i + 1] for row in body]))
        if commas:
            more = (*more, f"{text.file}: decimal commas read as points in {', '.join(commas)}. Set decimal to choose.")
    return Layout(text, delimiter, sample[0].line if is_header else 0, tuple(columns), commas, (*notes, *more))


def read(plan: Layout, rows: int | None) -> Iterator[Piece]:
    """All rows in file order: in one piece when `rows` is None, else in pieces of at most that many rows."""
    import duckdb

    tables = None
    # DuckDB keeps NUL bytes, drops a CR among LFs, and takes a blank first line for the header.
    if plan.text.clean and plan.header in (0, 1):
        try:
            tables = _sound(plan, rows)
        except (duckdb.Error, OSError):
            tables = None  # the records below say what is wrong, if anything
    if tables is None:
        yield from _careful(plan, rows)
        return
    for table in tables:
        yield Piece(_points(table.rename_columns(list(plan.names)), plan.commas))


def lines(plan: Layout) -> Iterator[int]:
    """The line each good row begins on, in order."""
    return (record.line for record in _checked_records(plan) if not record.reason)


def _sound(plan: Layout, rows: int | None) -> Iterator[pa.Table] | None:
    """The rows as DuckDB reads them; None when it rejects any, or gives other than one row a line.

    The count is checked because DuckDB 2.0 can lose rows without a word, after a header with line ends in it.
    """
    with _database(plan.text.path) as db:
        scan, whole = _scan(db, plan), []
        if rows is None:
            whole.append(scan.to_arrow_table())
            count = whole[0].num_rows
        else:
            # A first pass, to know before the first row is given away.
            count = sum(batch.num_rows for batch in scan.to_arrow_reader(CHUNK))
        rejected = db.execute("SELECT count(*) FROM reject_errors").fetchone()
    if rejected != (0,) or count + (plan.header == 1) != _filled_lines(plan):
        return None
    return iter(whole) if rows is None else _batches(plan, rows)


def _filled_lines(plan: Layout) -> int:
    with plan.text.path.open("rb") as file:
        return sum(1 for raw in file if raw.strip(b" \r\n"))


def _batches(plan: Layout, rows: int) -> Iterator[pa.Table]:
    with _database(plan.text.path) as db:
        for batch in _scan(db, plan).to_arrow_reader(rows):
            yield pa.Table.from_batches([batch])


def _database(path: Path) -> "duckdb.DuckDBPyConnection":
    """A database in memory that can read this one file and nothing else, and loads no extension."""
    import duckdb

    off = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    db = duckdb.connect(":memory:", config={**off})
    db.execute(f"SET allowed_paths = [{_quoted(str(path))}]")
    db.execute("SET enable_external_access = false")
    db.execute("SET lock_configuration = true")
    return db


def _scan(db: "duckdb.DuckDBPyConnection", plan: Layout) -> "duckdb.DuckDBPyRelation":
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(plan.names)))
    # A line end as the null text: no unquoted cell can hold one, so empty cells stay empty text.
    options = f"""auto_detect = false, header = {plan.header == 1}, delim = {_quoted(plan.delimiter)},
        quote = '"', escape = '"', nullstr = '\n', allow_quoted_nulls = false, strict_mode = true,
        null_padding = false, store_rejects = true, columns = {{{columns}}}"""
    return db.sql(f"SELECT * FROM read_csv($path, {options})", params={"path": str(plan.text.path)})


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _careful(plan: Layout, rows: int | None) -> Iterator[Piece]:
    pieces = _pieces(plan, rows or STEP)
    if rows is not None:
        yield from pieces
        return
    whole = list(pieces)
    bad = tuple(row for piece in whole for row in piece.quarantine)
    yield Piece(pa.concat_tables([_schema(plan).empty_table(), *(piece.table for piece in whole)]), bad)


def _pieces(plan: Layout, rows: int) -> Iterator[Piece]:
    schema, source = _schema(plan), _checked_records(plan)
    while batch := list(islice(source, rows)):
        good = [record.cells for record in batch if not record.reason]
        bad = tuple(_quarantined(plan, record) for record in batch if record.reason)
        columns = zip(*good, strict=True) if good else [()] * len(plan.names)
        table = pa.table([pa.array(column, pa.string()) for column in columns], schema=schema)
        yield Piece(_points(table, plan.commas), bad)


def _schema(plan: Layout) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in plan.names])


def _checked_records(plan: Layout) -> Iterator[Record]:
    """Every record but the header; one with the wrong number of cells has a reason too."""
    width = len(plan.names)
    for record in records(plan.text.path, plan.delimiter):
        if record.line == plan.header and not record.reason:
            continue
        if not record.reason and len(record.cells) != width:
            got = len(record.cells)
            reason = f"{got} column{'s'[: got != 1]} where {width} {'are' if width > 1 else 'is'} expected"
            record = Record(record.line, [], reason, got if got < width else -1)
        yield record


def _quarantined(plan: Layout, record: Record) -> Quarantined:
    column = plan.names[record.field] if 0 <= record.field < len(plan.names) else ""
    return Quarantined(str(plan.text.file), record.line, column, record.reason)


def _sample(path: Path, delimiter: str) -> list[Record]:
    return [record for record in islice(records(path, delimiter), SAMPLE) if not record.reason]


def _delimiter(path: Path, width: int) -> str:
    """The delimiter by which the most rows are `width` wide, or else as wide as the first."""
    best, most = NO_DELIMITER, 0.0
    for delimiter in DELIMITERS:
        widths = [len(record.cells) for record in islice(records(path, delimiter), SAMPLE)]
        expected = width or next((n for n in widths if n), 0)
        share = widths.count(expected) / len(widths) if widths else 0.0
        if expected > 1 and share > most:
            best, most = delimiter, share
    return _delimiter(path, 0) if best == NO_DELIMITER and width > 1 else best


def _has_decimal_commas(cells: list[list[str]]) -> bool:
    """All values are numbers that could have a decimal comma, and one has no reading as thousands (1,234)."""
    values = [cell[0].strip() for cell in cells if cell and cell[0].strip() not in MISSING]
    commas = [value for value in values if re.match(DECIMAL, value)]
    rest = [value for value in values if not re.fullmatch(r"[-+]?\d+", value) and not re.match(GROUPED, value)]
    return len(rest) == len(commas) > 0 and any(not re.fullmatch(r"[-+]?\d{1,3},\d{3}", value) for value in commas)


def _points(table: pa.Table, names: tuple[str, ...]) -> pa.Table:
    for name in names:
        column = table[name]
        number = [_call("match_substring_regex", column, pc.MatchSubstringOptions(p)) for p in (DECIMAL, GROUPED)]
        whole = _call("replace_substring", column, pc.ReplaceSubstringOptions(".", ""))
        points = _call("replace_substring", whole, pc.ReplaceSubstringOptions(",", "."))
        column = pc.call_function("if_else", [pc.call_function("or", number), points, column])
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _call(name: str, column: Any, options: pc.FunctionOptions) -> Any:
    return pc.call_function(name, [column], options)
