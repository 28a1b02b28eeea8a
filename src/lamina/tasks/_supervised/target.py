"""Rows whose target can be used; the others are set aside with file, line and reason, so that all are accounted for."""

import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import Config
from lamina.data._quarantine import locate
from lamina.preprocess import parse_columns
from lamina.schema import Column, Quarantined
from lamina.tasks._supervised.task import SupervisedTask


def split_off(table: pa.Table, column: Column, source: Config) -> tuple[pa.Table, list[Quarantined]]:
    """The rows whose target reads as its kind, and the rest as quarantined."""
    values = parse_columns(table, (column,))[column.name]
    bad = pc.is_null(values).to_numpy()
    cells = table[column.name].filter(pa.array(bad)).to_pylist()
    reasons = ["the target is missing" if v is None else f"the target is not a {column.kind}: '{v}'" for v in cells]
    return table.filter(pa.array(~bad)), locate(table, bad, column.name, reasons, source)


def with_known_labels(
    table: pa.Table, column: Column, task: SupervisedTask, source: Config
) -> tuple[pa.Table, list[Quarantined]]:
    """The rows whose label was seen in training, and the rest as quarantined."""
    bad = task.unknown(parse_columns(table, (column,))[column.name].combine_chunks())
    cells = table[column.name].filter(pa.array(bad)).to_pylist()
    reasons = [f"the label '{v}' was never seen in training" for v in cells]
    return table.filter(pa.array(~bad)), locate(table, bad, column.name, reasons, source)
