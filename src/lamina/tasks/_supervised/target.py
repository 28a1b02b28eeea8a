"""Rows whose target can be used; the others are skipped with file, line and reason, so that all are accounted for."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import Config
from lamina.data._skipped_rows import locate
from lamina.preprocess import parse_columns
from lamina.schema import LARGEST, Column, SkippedRow
from lamina.tasks._supervised.task import SupervisedTask


def split_off(table: pa.Table, column: Column, source: Config) -> tuple[pa.Table, list[SkippedRow]]:
    """The rows whose target reads as its kind, and the rest as skipped."""
    values = parse_columns(table, (column,))[column.name]
    bad = pc.is_null(values).to_numpy()
    fault = f"is not a {column.kind}"
    if pa.types.is_floating(values.type):
        far = pc.fill_null(pc.greater(pc.abs(values), LARGEST), False).to_numpy()
        bad, faults = bad | far, np.where(far, f"is beyond {LARGEST:g}, so give it in another unit", fault)[bad | far]
    else:
        faults = np.full(int(bad.sum()), fault)
    cells = table[column.name].filter(pa.array(bad)).to_pylist()
    reasons = [_reason(cell, fault) for cell, fault in zip(cells, faults, strict=True)]
    return table.filter(pa.array(~bad)), locate(table, bad, column.name, reasons, source)


def _reason(cell: object, fault: str) -> str:
    return "the target is missing" if cell is None else f"the target {fault}: '{cell}'"


def with_known_labels(
    table: pa.Table, column: Column, task: SupervisedTask, source: Config
) -> tuple[pa.Table, list[SkippedRow]]:
    """The rows whose label was seen in training, and the rest as skipped."""
    bad = task.unknown(parse_columns(table, (column,))[column.name].combine_chunks())
    cells = table[column.name].filter(pa.array(bad)).to_pylist()
    reasons = [f"the label '{v}' was never seen in training" for v in cells]
    return table.filter(pa.array(~bad)), locate(table, bad, column.name, reasons, source)
