"""A synthetic history that travels with a bundle: an even time, and cells by the kinds of its columns."""

from datetime import date, datetime
from datetime import time as clock
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.deploy.golden import golden_cells
from lamina.preprocess import Preprocessor, settings, time
from lamina.schema import Column, Row
from lamina.tasks.forecasting.panel import Panel
from lamina.tasks.forecasting.state import Frequency, State
from lamina.tasks.forecasting.time_index import DAY, PARTS, SPANS, positions, to_times

MAX_STEPS = 256
ROUND = 1000  # steps that are no times


def golden_rows(train: pa.Table, panel: Panel, prep: Preprocessor, state: State) -> list[Row]:
    """Rows that a forecast can go on from, as plain JSON values; nobody's value leaves with the bundle."""
    rng = np.random.Generator(np.random.PCG64(0))
    count = min(state.context, MAX_STEPS) + 1
    columns = {c.name: golden_cells(train, prep, c.name, rng, count + 1)[:-1] for c in prep.columns}  # no far number
    stamps = to_times(_first_step(int(panel.index[0]), state.step) + np.arange(count), state.step)
    dates = len(state.time) > 1 or any(c.kind == "time" and c.name in state.time for c in prep.columns)
    if dates and stamps.dtype.kind != "M":  # the rows of uneven times
        stamps = np.datetime64("2000-01-01", "s") + DAY * np.arange(count)
    for column in (c for c in prep.columns if c.name in state.time):
        columns[column.name] = _time_cells(stamps, column, state.time)
    if state.series:
        columns[state.series] = [next((cell for cell in columns[state.series] if cell is not None), "series")] * count
    rows = (dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True))
    return [{k: v.isoformat() if isinstance(v, date | clock) else v for k, v in row.items()} for row in rows]


def _part(moment: datetime, name: str, by_week: bool) -> int:
    """A part of a time; of weeks, the year is that of ISO 8601."""
    iso = moment.isocalendar()
    parts = {"quarter": (moment.month + 2) // 3, "week": iso.week, "year": iso.year if by_week else moment.year}
    parts |= {"month": moment.month, "day": moment.day, "hour": moment.hour, "minute": moment.minute}
    return parts[name]


def _first_step(first: int, frequency: Frequency) -> int:
    """A step not long before the first of the data that says little of it: where the year begins, or a round number."""
    moment = to_times(np.array([first]), frequency)
    if moment.dtype.kind != "M":
        return first // ROUND * ROUND
    year = moment.astype("M8[Y]").astype("M8[s]").astype(np.int64)
    return int(positions(np.zeros(1, np.int64), year, frequency)[0])


def _time_cells(stamps: np.ndarray, column: Column, names: tuple[str, ...]) -> list[Any]:
    """Times as the cells of a column have them: text by its format, or the part of a time that it is named by."""
    times, cfg = stamps.tolist(), settings(column)
    if len(names) > 1 and column.name.lower() in (*PARTS, *SPANS) and not isinstance(cfg, time.Config):
        by_week = "week" in map(str.lower, names)
        return [_part(moment, column.name.lower(), by_week) for moment in times]
    if not isinstance(cfg, time.Config) or not (cfg.format or cfg.unit):
        return times
    return [time.spell(moment, cfg) if isinstance(moment, datetime) else moment for moment in times]
