"""Rows whose target can be used; the others are set aside with file, line and reason, so that all are accounted for."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import Config, DataError, nearest
from lamina.plugins import kind, plugin
from lamina.preprocess import typed
from lamina.schema import Collected, Column, Quarantined, clean

ROW = "\x00row"  # the row's number in its source, kept beside it until training starts


def rows(collected: Collected, missing: tuple[str, ...]) -> pa.Table:
    """The table of a source, cleaned, with each row's number."""
    table = clean(collected.table, missing)
    return table.append_column(ROW, pa.array(np.arange(table.num_rows)))


def column(table: pa.Table, name: str) -> str:
    """The target's name in the table; a whole number that is no name counts columns, from the end if negative."""
    names = [n for n in table.column_names if n != ROW]
    if name in names:
        return name
    if name.lstrip("-").isdigit() and -len(names) <= int(name) < len(names):
        return names[int(name)]
    raise DataError(f"target: the data has no column '{name}'. {nearest(name, names)}")


def split_off(table: pa.Table, aim: Column, source: Config) -> tuple[pa.Table, list[Quarantined]]:
    """The rows whose target reads as its kind, and the rest as quarantined."""
    values = typed(table, (aim,))[aim.name]
    bad = pc.is_null(values).to_numpy()
    cells = table[aim.name].filter(pa.array(bad)).to_pylist()
    reasons = ["the target is missing" if v is None else f"the target is not a {aim.kind}: '{v}'" for v in cells]
    return table.filter(pa.array(~bad)), lines(table, bad, aim.name, reasons, source)


def known(table: pa.Table, aim: Column, task: Any, state: Any, source: Config) -> tuple[pa.Table, list[Quarantined]]:
    """The rows whose label was seen in training, and the rest as quarantined."""
    bad = task.unknown(typed(table, (aim,))[aim.name].combine_chunks(), state)
    cells = table[aim.name].filter(pa.array(bad)).to_pylist()
    reasons = [f"the label '{v}' was never seen in training" for v in cells]
    return table.filter(pa.array(~bad)), lines(table, bad, aim.name, reasons, source)


def lines(table: pa.Table, bad: np.ndarray, name: str, reasons: list[str], source: Config) -> list[Quarantined]:
    """Where the bad rows stand in their source."""
    if not bad.any():
        return []
    numbers = table[ROW].filter(pa.array(bad)).to_pylist()
    module = plugin("data", kind(source))
    if "source_line" in vars(module):
        places = module.source_line(source, numbers)
    else:
        places = [("rows given", number + 1) for number in numbers]
    return [Quarantined(file, line, name, why) for (file, line), why in zip(places, reasons, strict=True)]
