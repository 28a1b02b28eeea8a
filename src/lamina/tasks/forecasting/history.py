"""Raw rows as the histories that a trained network goes on from: what it is fed of each series, and the times ahead.

The same for prediction, batches of files and servers; tests use the first half, `given`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.config import DataError
from lamina.preprocess import Preprocessor
from lamina.schema import Column
from lamina.tasks import forecasting
from lamina.tasks.forecasting import State
from lamina.tasks.forecasting import explode as unrolled
from lamina.tasks.forecasting import panel as frames
from lamina.tasks.forecasting import time_index as grid
from lamina.tasks.forecasting.panel import Frames


@dataclass(frozen=True)
class Histories:
    """What to forecast from: one row per series. `last`: (series, targets); `times`: (series, horizon), or None where
    each row is a step, which has no time.
    """

    frames: Frames
    seen: np.ndarray
    known: np.ndarray
    end: np.ndarray  # one behind the last step that was measured, of each series
    state: State
    last: np.ndarray
    ids: pa.Array
    times: np.ndarray | None
    notes: tuple[str, ...]

    def inputs(self, some: slice) -> dict[str, np.ndarray]:
        """What a network is fed for some of the series."""
        state, end = self.state, self.end[some, None]
        starts, stops = self.frames.bounds[:-1][some, None], self.frames.bounds[1:][some, None]
        steps = end + np.arange(-state.context, 0)
        history = self.seen[np.maximum(steps, starts)]  # (series, context, channels)
        if state.transform != "none":  # before the first price nothing moved
            history[:, :, : len(state.targets)][steps < starts] = forecasting.still(state)
        if not self.known.shape[1]:
            return {"history": history}
        ahead = np.arange(state.horizon)
        future = self.known[np.minimum(end + ahead, stops - 1)]
        index = self.frames.index[end - 1] + 1 + ahead
        calendar = frames.calendar(index.ravel(), state)
        own = self.known.shape[1] - calendar.shape[1]
        future[:, :, own:] = calendar.reshape(*index.shape, -1)
        return {"future": future, "history": history}


def given(rows: pa.Table, prep: Preprocessor, state: State) -> Frames:
    """Raw rows (cleaned) as the series that a trained network knows. Errors: DataError naming a column that is needed
    and not there; one that only helps counts as not measured, which is noted.
    """
    roles = frames.Roles(state.time, state.series, tuple(state.names))
    parent = None
    if unrolled.is_rolled(rows, roles.targets):
        rows, series, parent = unrolled.unrolled(rows, state.series if state.series in rows.column_names else None)
        rows = rows.rename_columns([state.series or n if n == series else n for n in rows.column_names])
    there = set(rows.column_names)
    for name in (*roles.time, *([roles.series] if roles.series else []), *roles.targets):
        if name not in there:
            got = ", ".join(map(repr, rows.column_names[:5])) or "none"
            raise DataError(f"rows: column '{name}' is missing (got {got}). A forecast goes on from rows that have it.")
    found = frames.frames(rows, prep.used, roles, state.step)
    gone = [name for name in (*state.past, *state.known) if name not in there]
    told = [f"Column {', '.join(map(repr, gone))} is not there; it counts as not measured."] if gone else []
    if parent is not None:  # of a row that is a series, some steps are lost, and the row is what can be pointed at
        lost = (frames.Lost(np.unique(parent[gone.rows]), f"some of its steps: {gone.reason}") for gone in found.lost)
        found = replace(found, lost=tuple(lost))
    return replace(found, notes=(*found.notes, *told))


def histories(rows: pa.Table, prep: Preprocessor, state: State) -> Histories:
    """The end of each series' history, and what is known of the steps after it.

    A series ends with its last row in which a target was measured; rows after that are the future, of which known
    columns are read. A history shorter than the context is extended backwards by its first value. Errors: DataError for
    a series without one measured value.
    """
    found = given(rows, prep, state)
    seen, known, _ = frames.encoded(found, prep, state)
    measured = np.asarray(~np.isnan(found.values).all(axis=1))
    last = np.maximum.reduceat(np.where(measured, np.arange(len(measured)), -1), found.bounds[:-1])
    if (last < 0).any():
        which = f"series '{found.ids[int((last < 0).argmax())]}'" if state.series else "rows"
        told = " or ".join(f"'{target}'" for target in state.names[:3])
        raise DataError(f"{which}: no row has a value of {told}, so there is nothing to go on from.")
    end, notes = last + 1, [f"{len(lost.rows):,} rows were left out: {lost.reason}." for lost in found.lost]
    notes += found.notes
    if short := int((end - found.bounds[:-1] < state.context).sum()):
        which = f"{short:,} of {len(end):,} series are" if state.series else "The history is"
        notes.append(f"{which} shorter than {state.context:,} steps; extended backwards by the first value.")
    if state.known and (late := int((found.bounds[1:] - end < state.horizon).sum())):
        names, few = ", ".join(state.known), f"fewer than {state.horizon:,} rows ahead"
        notes.append(f"{names}: {few} were given for {late:,} series; the last value was kept.")
    index = found.index[end - 1][:, None] + np.arange(1, state.horizon + 1)
    latest = frames.latest(~np.isnan(found.values), found.bounds)
    values = found.values[latest, np.arange(found.values.shape[1])][end - 1]
    ids = _named(found.ids, next((c for c in prep.used if c.name == state.series), None))
    times = None if state.step.unit == "row" else grid.ahead(index, state.step)
    return Histories(found, seen, known, end, state, values, ids, times, tuple(notes))


def _named(ids: list[Any], column: Column | None) -> pa.Array:
    """The names of series; whole numbers where they were in training."""
    whole = column is not None and all(_whole(text) for text in (*column.examples, *ids))
    return pa.array([int(name) for name in ids] if whole else ids, pa.int64() if whole else pa.string())


def _whole(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) < 19 and str(int(text)) == text
