"""Files in, files of answers out, a piece at a time, so that neither has to fit in memory."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from lamina import data
from lamina.config import Config, DataError, nearest
from lamina.deploy.predictor import Predictor, json_rows
from lamina.plugins import kind, plugin
from lamina.preprocess import Broken
from lamina.schema import Quarantined, Row

FORMATS = (".csv", ".parquet", ".jsonl", ".feather")
PIECE = 65_536
SHOWN = 20


def predict(predictor: Predictor, source: Config, output: Path, keep: list[str] | None = None) -> Row:
    """Write the answers of every usable row of a source, in order; rows that cannot be read, or whose picture cannot
    be used, go to `<output>.quarantine.jsonl` with file, line and reason.

    `keep`: columns to copy beside the answers; when not said, where each picture is.
    """
    if output.suffix not in FORMATS:
        raise DataError(f"-o: must end in one of {', '.join(FORMATS)} (got '{output}').")
    if predictor.framed:
        return _continued(predictor, source, output, keep)
    lost, broken = list[Quarantined](), list[Broken]()
    count = start = 0
    output.parent.mkdir(parents=True, exist_ok=True)
    with writer(output) as write:
        for piece in data.stream(source, PIECE):
            rows = predictor.named(piece.table, "label" if predictor.generative and predictor.pictures else None)
            predictor.must_answer(rows)
            keep = _paths(predictor, rows) if keep is None else keep
            answers, found = predictor.checked(rows)
            answers = _beside(rows, keep, answers)
            if found:
                good = np.ones(rows.num_rows, bool)
                good[[cell.row for cell in found]] = False
                answers = answers.filter(pa.array(good))
            write(answers)
            lost += piece.quarantine
            if kind(source) == "folders":  # each row is a file, and says which
                lost += [Quarantined(_file(rows, cell), None, cell.column, cell.reason) for cell in found]
            else:
                broken += [cell._replace(row=start + cell.row) for cell in found]
            start, count = start + rows.num_rows, count + answers.num_rows
    lost += _places(broken, source)
    return _told(output, count, lost)


def _continued(predictor: Predictor, source: Config, output: Path, keep: list[str] | None) -> Row:
    """Write the steps ahead of the series in a source; all its rows are needed together, as the history."""
    if keep:
        raise DataError("--keep: the rows of a forecast are steps to come, and there is nothing to copy. Leave it out.")
    pieces = list(data.stream(source, PIECE))
    found = predictor.forecast(pa.concat_tables([piece.table for piece in pieces], promote_options="permissive"))
    output.parent.mkdir(parents=True, exist_ok=True)
    with writer(output) as write:
        write(found.answers)
    lost = [row for piece in pieces for row in piece.quarantine]
    column = ", ".join(predictor.state.time) or predictor.state.names[0]
    broken = [Broken(int(row), column, gone.reason) for gone in found.lost for row in gone.rows]
    told = _told(output, found.answers.num_rows, [*lost, *_places(broken, source)])
    told["horizon"] = predictor.state.horizon
    return told | {"notes": found.notes} if found.notes else told


def _told(output: Path, count: int, lost: list[Quarantined]) -> Row:
    told: Row = {"output": str(output), "rows": count, "quarantined": len(lost)}
    if lost:
        aside = output.with_name(f"{output.name}.quarantine.jsonl")
        aside.write_text("".join(json.dumps(q._asdict(), ensure_ascii=False) + "\n" for q in lost), "utf-8")
        told |= {"quarantine_file": str(aside), "quarantine": [q._asdict() for q in lost[:SHOWN]]}
    return told


def _places(broken: list[Broken], source: Config) -> list[Quarantined]:
    """Where the rows stand whose pictures cannot be used; each row once."""
    first = {cell.row: cell for cell in reversed(broken)}
    rows = sorted(first)
    module = plugin("data", kind(source))
    known = rows and "source_line" in vars(module)
    places = module.source_line(source, rows) if known else [("rows given", row + 1) for row in rows]
    return [
        Quarantined(file, line, first[r].column, first[r].reason) for r, (file, line) in zip(rows, places, strict=True)
    ]


def _file(rows: pa.Table, cell: Broken) -> str:
    paths = _path(rows[cell.column])
    assert paths is not None
    return paths[cell.row].as_py()


def _paths(predictor: Predictor, rows: pa.Table) -> list[str]:
    """The columns that say where a picture is."""
    found = [name for name in predictor.pictures if name in rows.column_names and _path(rows[name]) is not None]
    return [name for name in found if not pc.any(pc.starts_with(_path(rows[name]), "data:")).as_py()]


def _path(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The paths of a column of pictures, if it has any."""
    if pa.types.is_struct(column.type):
        return pc.struct_field(column, "path") if column.type.get_field_index("path") >= 0 else None
    return column if pa.types.is_string(column.type) else None


def _beside(rows: pa.Table, keep: list[str], answers: pa.Table) -> pa.Table:
    for name in reversed(keep):
        if name not in rows.column_names:
            raise DataError(f"--keep: the rows have no column '{name}'. {nearest(name, rows.column_names)}")
        cells = _path(rows[name])
        answers = answers.add_column(0, name, rows[name] if cells is None else cells)
    return answers


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


@contextmanager
def writer(path: Path) -> Iterator[Callable[[pa.Table], None]]:
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
