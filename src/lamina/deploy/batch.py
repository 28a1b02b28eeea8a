"""Files in, files of answers out, a piece at a time, so that neither has to fit in memory."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from lamina import data
from lamina.config import Config, DataError, nearest
from lamina.deploy.predictor import Predictor, json_rows
from lamina.schema import Quarantined, Row

FORMATS = (".csv", ".parquet", ".jsonl", ".feather")
PIECE = 65_536
SHOWN = 20


def predict(predictor: Predictor, source: Config, output: Path, keep: list[str]) -> Row:
    """Write the answers of every usable row of a source, in order; rows that cannot be read go to
    `<output>.quarantine.jsonl` with file, line and reason.
    """
    if output.suffix not in FORMATS:
        raise DataError(f"-o: must end in one of {', '.join(FORMATS)} (got '{output}').")
    lost: list[Quarantined] = []
    count = 0
    output.parent.mkdir(parents=True, exist_ok=True)
    with _writer(output) as write:
        for piece in data.stream(source, PIECE):
            lost += piece.quarantine
            count += piece.table.num_rows
            write(_beside(piece.table, keep, predictor.answers(piece.table)))
    found: Row = {"output": str(output), "rows": count, "quarantined": len(lost)}
    if lost:
        aside = output.with_name(f"{output.name}.quarantine.jsonl")
        aside.write_text("".join(json.dumps(q._asdict(), ensure_ascii=False) + "\n" for q in lost), "utf-8")
        found |= {"quarantine_file": str(aside), "quarantine": [q._asdict() for q in lost[:SHOWN]]}
    return found


def _beside(rows: pa.Table, keep: list[str], answers: pa.Table) -> pa.Table:
    for name in reversed(keep):
        if name not in rows.column_names:
            raise DataError(f"--keep: the rows have no column '{name}'. {nearest(name, rows.column_names)}")
        answers = answers.add_column(0, name, rows[name])
    return answers


def _flat(table: pa.Table) -> pa.Table:
    """Structs as columns of their own, and lists as text with `|` between, which reads back as labels."""
    table = table.flatten()
    for i, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            joined = pc.binary_join(table[field.name].cast(pa.list_(pa.string())), "|")
            table = table.set_column(i, field.name, joined)
    return table


@contextmanager
def _writer(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """A function that appends a table; the file appears under its name only when all is written."""
    aside = path.with_name(f".{path.name}.writing")
    opened: list[Any] = []

    def write(table: pa.Table) -> None:
        if path.suffix == ".jsonl":
            if not opened:
                opened.append(open(aside, "w", encoding="utf-8"))  # noqa: SIM115 - closed below
            opened[0].write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in json_rows(table)))
            return
        table = _flat(table) if path.suffix == ".csv" else table
        if not opened:
            opened.append(_arrow_writer(path.suffix, aside, table.schema))
        opened[0].write_table(table)

    try:
        yield write
        for file in opened:
            file.close()
        if opened:
            aside.replace(path)
    finally:
        for file in opened:
            file.close()
        aside.unlink(missing_ok=True)


def _arrow_writer(suffix: str, path: Path, schema: pa.Schema) -> Any:
    if suffix == ".csv":
        return pyarrow.csv.CSVWriter(path, schema)
    if suffix == ".parquet":
        return pyarrow.parquet.ParquetWriter(path, schema)
    return pa.ipc.new_file(path, schema)
