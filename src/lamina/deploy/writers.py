"""How tables of answers are written, by the suffix of the file: CSV, Parquet, JSON lines, Feather."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from lamina.config import DataError
from lamina.data.arrays import json_rows
from lamina.deploy.formulas import Formulas
from lamina.resources import disk

FORMATS = (".csv", ".parquet", ".jsonl", ".feather")
STDOUT = Path("-")

Write = Callable[[pa.Table], None]


def check_format(output: Path) -> None:
    """Errors: DataError where a table cannot be written under this name."""
    if output != STDOUT and output.suffix not in FORMATS:
        raise DataError(f"-o: must end in one of {', '.join(FORMATS)} (got '{output}').")


@contextmanager
def writer(output: Path, overwrite: bool = False, formulas: Formulas | None = None) -> Iterator[Write]:
    """A function that appends a table to a file, whose suffix is one of `FORMATS`; without a call there is no file.
    `-` is standard output, as CSV.

    `formulas` looks at what goes into a CSV file, which a spreadsheet may open.

    Errors: StorageError where something is there already, or it cannot be written.
    """
    if output == STDOUT:
        yield _standard_output(formulas or Formulas())
        return
    with disk.new_path(output, overwrite) as aside:
        change = formulas or Formulas()
        write, close = _json_lines(aside) if output.suffix == ".jsonl" else _arrow(aside, output.suffix, change)
        try:
            yield write
        except BaseException:
            with contextlib.suppress(Exception):  # it is thrown away
                close()
            raise
        close()


def _standard_output(change: Formulas) -> Write:
    headed: list[bool] = []

    def write(table: pa.Table) -> None:
        text = pa.BufferOutputStream()
        pyarrow.csv.write_csv(change(_flat(table)), text, pyarrow.csv.WriteOptions(include_header=not headed))
        headed.append(True)
        sys.stdout.write(text.getvalue().to_pybytes().decode())
        sys.stdout.flush()

    return write


def _json_lines(path: Path) -> tuple[Write, Callable[[], None]]:
    opened: list[Any] = []

    def write(table: pa.Table) -> None:
        if not opened:
            opened.append(open(path, "w", encoding="utf-8"))  # noqa: SIM115 - closed below
        opened[0].write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in json_rows(table)))
        opened[0].flush()

    def close() -> None:
        for file in opened:
            file.close()

    return write, close


def _arrow(path: Path, suffix: str, change: Formulas) -> tuple[Write, Callable[[], None]]:
    opened: list[Any] = []

    def write(table: pa.Table) -> None:
        table = change(_flat(table)) if suffix == ".csv" else table
        if not opened:
            opened.append(_arrow_writer(path, suffix, table.schema))
        opened[0].write_table(table)

    def close() -> None:
        for file in opened:
            file.close()

    return write, close


def _arrow_writer(path: Path, suffix: str, schema: pa.Schema) -> Any:
    if suffix == ".csv":
        return pyarrow.csv.CSVWriter(path, schema)
    if suffix == ".parquet":
        return pyarrow.parquet.ParquetWriter(path, schema)
    return pa.ipc.new_file(path, schema)


def _flat(table: pa.Table) -> pa.Table:
    """Structs as columns of their own, lists as text with `|` between, which reads back as labels, and times without
    a zone that are all at midnight as days.
    """
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()  # one level at a time
    for i, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            joined = pc.binary_join(table[field.name].cast(pa.list_(pa.string())), "|")
            table = table.set_column(i, field.name, joined)
        elif pa.types.is_timestamp(field.type) and not field.type.tz and (days := _days(table[field.name])) is not None:
            table = table.set_column(i, field.name, days)
    return table


def _days(times: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Times as days, where each is a midnight."""
    whole = times.cast(pa.date32(), safe=False)
    return whole if pc.all(pc.equal(whole.cast(times.type), times), min_count=0).as_py() else None
