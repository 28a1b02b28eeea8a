"""Parquet and Arrow IPC (Feather): files whose cells have types already.

A damaged file can say anything of its buffers, and Arrow believes it: each batch is checked whole before it is used,
and no file is mapped into memory, where a short one would end the process.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import ipc

from lamina.config import DataError
from lamina.data import _arrow_values as _values
from lamina.data import _image_cells as _images
from lamina.data import _pandas_index
from lamina.data._formats.pieces import CHUNK, Piece, TableFile

FREE_ROWS = 1 << 24  # of one batch; more must have a bit of memory each


def parquet(file: Path, stack: ExitStack) -> TableFile:
    """A Parquet file, read row group by row group."""
    from pyarrow import parquet as pq

    with _as_data_errors(file, "Parquet"):
        source = stack.enter_context(pq.ParquetFile(file))
        schema = source.schema_arrow

    def batches(rows: int) -> Iterator[pa.RecordBatch]:
        for batch in source.iter_batches(batch_size=rows):
            _check(batch)
            yield batch

    return _table_file(file, schema, batches, "Parquet")


def feather(file: Path, stack: ExitStack) -> TableFile:
    """An Arrow IPC file or stream, read batch by batch."""
    with _as_data_errors(file, "Arrow IPC"):
        body = stack.enter_context(pa.OSFile(str(file)))
        is_file = body.read(6) == b"ARROW1"
        body.seek(0)
        schema = (ipc.open_file(body) if is_file else ipc.open_stream(body)).schema

    def batches(rows: int) -> Iterator[pa.RecordBatch]:
        body.seek(0)
        source: Any = ipc.open_file(body) if is_file else ipc.open_stream(body)
        parts = map(source.get_batch, range(source.num_record_batches)) if is_file else source
        for batch in parts:
            _check(batch)
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)

    return _table_file(file, schema, batches, "Arrow IPC")


def _check(batch: pa.RecordBatch) -> None:
    """Raises ArrowInvalid where offsets, lengths, indices or texts cannot be, or many rows come from no bytes."""
    batch.validate(full=True)
    if batch.num_rows > FREE_ROWS and batch.num_rows > 8 * batch.get_total_buffer_size():
        raise pa.ArrowInvalid(f"{batch.num_rows:,} rows in {batch.get_total_buffer_size():,} bytes")


def _table_file(
    file: Path, schema: pa.Schema, batches: Callable[[int], Iterator[pa.RecordBatch]], form: str
) -> TableFile:
    with _as_data_errors(file, form):  # a name may be no text
        names = _pandas_index.names(schema)
        classes = _images.classes(schema)

    def cleaned(table: pa.Table) -> pa.Table:
        table = names.apply(_images.with_class_names(table, classes))
        return _values.plain(table).replace_schema_metadata(None)

    def pieces(rows: int) -> Iterator[Piece]:
        with _as_data_errors(file, form):
            for batch in batches(rows):
                yield Piece(cleaned(pa.Table.from_batches([batch])))

    def read(rows: int | None) -> Iterator[Piece]:
        if rows is not None:
            return pieces(rows)
        tables = [piece.table for piece in pieces(CHUNK)]
        return iter([Piece(pa.concat_tables([cleaned(schema.empty_table()), *tables]))])

    def lines() -> Iterator[int]:
        return iter(range(1, 1 + sum(piece.table.num_rows for piece in pieces(CHUNK))))

    with _as_data_errors(file, form):
        plain = cleaned(schema.empty_table()).schema
    notes = tuple(f"{file}: {note}" for note in names.notes)
    return TableFile(file, plain, notes, read, lines, has_types=True)


@contextmanager
def _as_data_errors(file: Path, form: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, ValueError, MemoryError, OverflowError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise DataError(f"{file}: cannot be read as {form} ({reason}). Write it anew, or set format.") from None
