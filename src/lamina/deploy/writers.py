"""The one place where answers are written: beside their place first, then under their name by one rename.

A reader never sees half of what was written, and what fails leaves nothing behind.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from lamina.config import DataError, LaminaError
from lamina.data.arrays import json_rows

FORMATS = (".csv", ".parquet", ".jsonl", ".feather")

Write = Callable[[pa.Table], None]


def check_format(output: Path) -> None:
    """Errors: DataError where a table cannot be written under this name."""
    if output.suffix not in FORMATS:
        raise DataError(f"-o: must end in one of {', '.join(FORMATS)} (got '{output}').")


@contextmanager
def writer(output: Path) -> Iterator[Write]:
    """A function that appends a table to a file, whose suffix is one of `FORMATS`; without a call there is no file."""
    output.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(output)
    write, close = (_json_lines if output.suffix == ".jsonl" else _arrow)(aside)
    try:
        yield write
        close()
        if aside.exists():
            _flush(aside)
            aside.replace(output)
    finally:
        close()
        aside.unlink(missing_ok=True)


@contextmanager
def folder(output: Path) -> Iterator[Path]:
    """An empty folder to write files into, which is at `output` once all are written.

    Errors: LaminaError where something is there already.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise LaminaError(f"-o: {output} is there already and not empty. Name a new folder.")
    aside = _aside(output)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        aside.replace(output)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_text(output: Path, text: str) -> None:
    """One file of text, in UTF-8."""
    aside = _aside(output)
    try:
        aside.write_text(text, "utf-8")
        _flush(aside)
        aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)


def _aside(output: Path) -> Path:
    """Where something is written until it is whole: on the same disk, so that a rename is enough."""
    return output.with_name(f".{output.name}.writing")


def _flush(path: Path) -> None:
    """Wait until a file is on the disk: its name must not come before its content."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


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


def _arrow(path: Path) -> tuple[Write, Callable[[], None]]:
    opened: list[Any] = []

    def write(table: pa.Table) -> None:
        table = _flat(table) if _suffix(path) == ".csv" else table
        if not opened:
            opened.append(_arrow_writer(path, table.schema))
        opened[0].write_table(table)

    def close() -> None:
        for file in opened:
            file.close()

    return write, close


def _suffix(aside: Path) -> str:
    """That of the file which will be there: `.answers.csv.writing` is CSV."""
    return Path(aside.stem).suffix


def _arrow_writer(path: Path, schema: pa.Schema) -> Any:
    if _suffix(path) == ".csv":
        return pyarrow.csv.CSVWriter(path, schema)
    if _suffix(path) == ".parquet":
        return pyarrow.parquet.ParquetWriter(path, schema)
    return pa.ipc.new_file(path, schema)


def _flat(table: pa.Table) -> pa.Table:
    """Structs as columns of their own, lists as text with `|` between, which reads back as labels, and times that are
    all at midnight as days.
    """
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()  # one level at a time
    for i, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            joined = pc.binary_join(table[field.name].cast(pa.list_(pa.string())), "|")
            table = table.set_column(i, field.name, joined)
        elif pa.types.is_timestamp(field.type) and (days := _days(table[field.name])) is not None:
            table = table.set_column(i, field.name, days)
    return table


def _days(times: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Times as days, where each is a midnight."""
    whole = times.cast(pa.date32(), safe=False)
    return whole if pc.all(pc.equal(whole.cast(times.type), times), min_count=0).as_py() else None
