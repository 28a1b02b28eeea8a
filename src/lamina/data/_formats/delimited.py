"""Delimited text (CSV, TSV): its layout, and its rows as tables of text.

DuckDB reads the file and its rejects table tells whether any row is unsound. When one is, the records of
`_records` decide: they give the exact line and the reason, and one stray quote costs one row, not the rest.
"""

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lamina.data._formats.delimited_records import Record, records, skipped_row
from lamina.data._formats.header import HEADER_AGAIN, is_header_again
from lamina.data._formats.pieces import CHUNK, Piece, TableFile
from lamina.data._formats.text import Text
from lamina.schema import SkippedRow

if TYPE_CHECKING:
    import duckdb

STEP = 4096  # rows made of Python cells at a time; more is slower


class Layout(NamedTuple):
    """How a file is laid out. The first `skip` lines hold no row that can be used; those of them that are rows are
    `aside`. `header`: cells that name the columns again wherever they come again. `trailing`: rows end in a delimiter.
    """

    text: Text
    delimiter: str
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    skip: int = 0
    aside: tuple[SkippedRow, ...] = ()
    header: tuple[str, ...] = ()
    trailing: bool = False


def open_file(plan: Layout) -> TableFile:
    """The file as every format gives it."""
    give, count = partial(read, plan), partial(lines, plan)
    return TableFile(plan.text.file, _schema(plan), plan.notes, give, count, delimiter=plan.delimiter)


def read(plan: Layout, rows: int | None) -> Iterator[Piece]:
    """All rows in file order: in one piece when `rows` is None, else in pieces of at most that many rows."""
    import duckdb

    tables = None
    if plan.text.clean:  # DuckDB keeps NUL bytes, and drops a CR among LFs
        try:
            tables = _sound(plan, rows)
        except (duckdb.Error, OSError):
            tables = None  # the records below say what is wrong, if anything
    if tables is None:
        yield from _careful(plan, rows)
    else:
        yield from _with_aside(plan, map(Piece, tables))


def lines(plan: Layout) -> Iterator[int]:
    """The line each good row begins on, in order."""
    return (record.line for record in checked_records(plan) if not record.reason)


def _sound(plan: Layout, rows: int | None) -> Iterator[pa.Table] | None:
    """The rows as DuckDB reads them; None when it rejects any, gives other than one row a line, or a row is none.

    The count is checked because DuckDB 2.0 can lose rows without a word, behind cells with line ends in them.
    """
    with _database(plan.text.path) as db:
        scan, whole = _scan(db, plan), []
        if rows is None:
            whole.append(scan.to_arrow_table())
            count, is_sound = whole[0].num_rows, _are_rows(whole[0], plan)
        else:
            # A first pass, to know before the first row is given away.
            count, is_sound = 0, True
            for batch in scan.to_arrow_reader(CHUNK):
                count, is_sound = count + batch.num_rows, is_sound and _are_rows(pa.Table.from_batches([batch]), plan)
        rejected = db.execute("SELECT count(*) FROM reject_errors").fetchone()
    if rejected != (0,) or not is_sound or count != _filled_lines(plan):
        return None
    return (_named(table, plan) for table in (whole if rows is None else _batches(plan, rows)))


def _are_rows(table: pa.Table, plan: Layout) -> bool:
    """Whether no row is the header again, and nothing stands behind the last delimiter of one that ends in it."""
    name = max(plan.header, key=len, default="")
    cells = table[plan.header.index(name)] if name else None
    if cells is not None and any(pc.any(pc.equal(cells, text)).as_py() for text in (name, f"\ufeff{name}")):
        return False
    return not plan.trailing or not pc.any(pc.not_equal(table[-1], "")).as_py()


def _named(table: pa.Table, plan: Layout) -> pa.Table:
    return table.select(range(len(plan.names))).rename_columns(list(plan.names))


def _filled_lines(plan: Layout) -> int:
    with plan.text.path.open("rb") as file:
        return sum(1 for raw in itertools.islice(file, plan.skip, None) if raw.strip(b" \r\n"))


def _batches(plan: Layout, rows: int) -> Iterator[pa.Table]:
    with _database(plan.text.path) as db:
        for batch in _scan(db, plan).to_arrow_reader(rows):
            yield pa.Table.from_batches([batch])


def _database(path: Path) -> "duckdb.DuckDBPyConnection":
    """A database in memory that can read this one file and nothing else, and loads no extension."""
    import duckdb

    off = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    db = duckdb.connect(":memory:", config={**off})
    db.execute("SET enable_progress_bar = false")
    db.execute(f"SET allowed_paths = [{_quoted(str(path))}]")
    db.execute("SET enable_external_access = false")
    db.execute("SET lock_configuration = true")
    return db


def _scan(db: "duckdb.DuckDBPyConnection", plan: Layout) -> "duckdb.DuckDBPyRelation":
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(plan.names) + plan.trailing))
    # A line end as the null text: no unquoted cell can hold one, so empty cells stay empty text.
    options = f"""auto_detect = false, header = false, skip = {plan.skip}, delim = {_quoted(plan.delimiter)},
        quote = '"', escape = '"', nullstr = '\n', allow_quoted_nulls = false, strict_mode = true,
        null_padding = false, store_rejects = true, columns = {{{columns}}}"""
    return db.sql(f"SELECT * FROM read_csv($path, {options})", params={"path": str(plan.text.path)})


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _careful(plan: Layout, rows: int | None) -> Iterator[Piece]:
    pieces = _with_aside(plan, _pieces(plan, rows or STEP))
    if rows is not None:
        yield from pieces
        return
    whole = list(pieces)
    bad = tuple(row for piece in whole for row in piece.skipped_rows)
    yield Piece(pa.concat_tables([_schema(plan).empty_table(), *(piece.table for piece in whole)]), bad)


def _with_aside(plan: Layout, pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Pieces, the first with what was skipped above the first row."""
    first = next(pieces, Piece(_schema(plan).empty_table()))
    if plan.aside or first.skipped_rows or first.table.num_rows:
        yield first._replace(skipped_rows=(*plan.aside, *first.skipped_rows))
    yield from pieces


def _pieces(plan: Layout, rows: int) -> Iterator[Piece]:
    schema, source = _schema(plan), checked_records(plan)
    while batch := list(itertools.islice(source, rows)):
        good = [record.cells for record in batch if not record.reason]
        bad = tuple(skipped_row(plan.text.file, plan.names, record) for record in batch if record.reason)
        columns = zip(*good, strict=True) if good else [()] * len(plan.names)
        table = pa.table([pa.array(column, pa.string()) for column in columns], schema=schema)
        yield Piece(table, bad)


def _schema(plan: Layout) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in plan.names])


def checked_records(plan: Layout) -> Iterator[Record]:
    """Every record of a row; one with the wrong number of cells, or with those of the header, has a reason too."""
    width = len(plan.names)
    for record in records(plan.text.path, plan.delimiter, plan.skip):
        cells, reason = record.cells, record.reason
        if plan.trailing and len(cells) == width + 1 and not cells[-1]:
            cells = cells[:-1]
        if not reason and len(cells) != width:
            reason = (
                f"{len(cells)} column{'s'[: len(cells) != 1]} where {width} {'are' if width > 1 else 'is'} expected"
            )
            record = Record(record.line, [], reason, len(cells) if len(cells) < width else -1)
        elif not reason and plan.header and is_header_again(cells, plan.header):
            record = Record(record.line, [], HEADER_AGAIN)
        yield record if record.reason else record._replace(cells=cells)
