"""A made-up history that travels with a bundle: an even time, and values of training rows in any order."""

from datetime import date, time
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.preprocess import Preprocessor
from lamina.schema import Column, Row
from lamina.tasks.forecasting.panel import Panel
from lamina.tasks.forecasting.state import State
from lamina.tasks.forecasting.time_index import DAY, to_times

MAX_STEPS = 256


def golden_rows(train: pa.Table, panel: Panel, prep: Preprocessor, state: State) -> list[Row]:
    """Rows that a forecast can go on from, as plain JSON values; nobody's row leaves with the bundle."""
    rng = np.random.Generator(np.random.PCG64(0))
    count = min(state.context, MAX_STEPS) + 1
    columns = {c.name: _shuffle(train[c.name], count, rng) for c in prep.columns}
    stamps = to_times(panel.index[0] + np.arange(count), state.step)
    dates = len(state.time) > 1 or any(c.kind == "time" and c.name in state.time for c in prep.columns)
    if dates and stamps.dtype.kind != "M":  # the rows of uneven times
        stamps = np.datetime64("2000-01-01", "s") + DAY * np.arange(count)
    for column in (c for c in prep.columns if c.name in state.time):
        columns[column.name] = _time_cells(stamps, column, len(state.time) > 1)
    if state.series:
        columns[state.series] = [panel.ids[0]] * count
    rows = (dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True))
    return [{k: v.isoformat() if isinstance(v, date | time) else v for k, v in row.items()} for row in rows]


def _shuffle(column: pa.ChunkedArray, count: int, rng: np.random.Generator) -> list[Any]:
    values = column.drop_null()
    values = values if len(values) else column
    return values.take(pa.array(rng.integers(0, len(values), count))).to_pylist()


def _time_cells(stamps: np.ndarray, column: Column, is_part: bool) -> list[Any]:
    """Times as the cells of a column have them: text by its format, or the part of a time that it is named by."""
    times = stamps.tolist()
    if is_part:
        return [getattr(moment, column.name.lower()) for moment in times]  # a datetime's year, month, day, hour ...
    form = column.settings.get("format")
    return [moment.strftime(form) if form else moment for moment in times]
