"""Raw rows as the histories that a trained network goes on from, and windows of history as forecasts.

The same for prediction, batches of files, servers and tests; the last use `read_panel` alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.config import DataError, MissingColumn
from lamina.preprocess import Preprocessor
from lamina.schema import Column
from lamina.task import Session
from lamina.tasks.forecasting import decoding, encoding, explode, time_index, time_zones, transform
from lamina.tasks.forecasting.encoding import EncodedSteps
from lamina.tasks.forecasting.panel import ColumnRoles, Exclusion, Panel, build_panel
from lamina.tasks.forecasting.state import State

BATCH, BATCH_NUMBERS = 4096, 1 << 23  # series at a time, and numbers of their windows
MAX_NUMBERS = 1 << 26  # of all forecasts of one call


@dataclass(frozen=True)
class Histories:
    """What to forecast from: one row per series. `last`: (series, targets); `times`: of all steps ahead, series by
    series, in the zone of the history, or None where each row is a step, which has no time.
    """

    panel: Panel
    steps: EncodedSteps
    end: np.ndarray  # one behind the last step that was measured, of each series
    state: State
    last: np.ndarray
    ids: pa.Array
    times: pa.Array | None
    notes: tuple[str, ...]

    def inputs(self, series: slice) -> dict[str, np.ndarray]:
        """What a network is fed for some of the series."""
        state, end = self.state, self.end[series, None]
        starts, stops = self.panel.bounds[:-1][series, None], self.panel.bounds[1:][series, None]
        steps = end + np.arange(-state.context, 0)
        history = self.steps.history[np.maximum(steps, starts)]  # (series, context, channels)
        if state.transform != "none":  # before the first price nothing moved
            history[:, :, : len(state.targets)][steps < starts] = transform.no_change(state)
        if not self.steps.future.shape[1]:
            return {"history": history}
        offsets = np.arange(state.horizon)
        future = self.steps.future[np.minimum(end + offsets, stops - 1)]
        index = self.panel.index[end - 1] + 1 + offsets
        calendar = encoding.calendar(index.ravel(), state)
        columns = self.steps.future.shape[1] - calendar.shape[1]
        future[:, :, columns:] = calendar.reshape(*index.shape, -1)
        return {"future": future, "history": history}


def forecast_windows(
    session: Session, windows: Mapping[str, np.ndarray], last: np.ndarray, share: np.ndarray, state: State
) -> dict[str, np.ndarray]:
    """Forecasts, as `decoding.decode` gives them, from encoded windows of history and future. `last`: the values
    measured last before each (rows, targets); `share`: how much of each history was measured, likewise.
    """
    outputs = session.run(windows)
    with np.errstate(all="ignore"):
        return decoding.decode(outputs, decoding.widths(windows["history"], share, state), last, state)


def measured_share(panel: Panel, origins: np.ndarray, state: State) -> np.ndarray:
    """The share of the `context` steps before each first step ahead that was measured, (rows, targets)."""
    total = np.concatenate([np.zeros((1, panel.values.shape[1])), np.cumsum(~np.isnan(panel.values), axis=0)])
    begin = np.maximum(origins - state.context, panel.bounds[panel.series_of(origins - 1)])
    return (total[origins] - total[begin]) / state.context


def forecast_histories(session: Session, histories: Histories) -> dict[str, np.ndarray]:
    """Forecasts of all series, so many at a time that memory is bounded. Errors: DataError for far too many."""
    state, count = histories.state, len(histories.end)
    width = max(1, len(state.quantiles)) * len(state.targets) * state.horizon
    if count * width > MAX_NUMBERS:
        raise DataError(f"rows: hold {count:,} series, each with {width:,} numbers ahead. Send fewer series at a time.")
    size = max(1, min(BATCH, BATCH_NUMBERS // max(width, state.context * histories.steps.history.shape[1])))
    pieces = [slice(start, start + size) for start in range(0, count, size)]
    share = measured_share(histories.panel, histories.end, state)
    parts = [
        forecast_windows(session, histories.inputs(piece), histories.last[piece], share[piece], state)
        for piece in pieces
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def read_panel(rows: pa.Table, prep: Preprocessor, state: State) -> Panel:
    """Raw rows (cleaned) as the series that a trained network knows. Errors: DataError naming a column that is needed
    and not there; one that only helps counts as not measured, which is noted.
    """
    roles = ColumnRoles(state.time, state.series, tuple(state.names))
    parent = None
    if explode.has_lists(rows, roles.targets):
        rows, series, parent = explode.explode(rows, state.series if state.series in rows.column_names else None)
        rows = rows.rename_columns([state.series or n if n == series else n for n in rows.column_names])
    names = set(rows.column_names)
    for name in (*roles.time, *([roles.series] if roles.series else []), *roles.targets):
        if name not in names:
            got = ", ".join(map(repr, rows.column_names[:5])) or "none"
            cure = "A forecast goes on from rows that have it."
            raise MissingColumn(f"rows: column '{name}' is missing (got {got}). {cure}")
    panel = build_panel(rows, prep.columns, roles, state.step)
    absent = [name for name in (*state.past, *state.known) if name not in names]
    notes = [f"Column {', '.join(map(repr, absent))} is not there; it counts as not measured."] if absent else []
    if parent is not None:  # of a row that is a series, some steps have no place, and the row can be pointed at
        exclusions = (Exclusion(np.unique(parent[e.rows]), f"some of its steps: {e.reason}") for e in panel.exclusions)
        panel = replace(panel, exclusions=tuple(exclusions))
    return replace(panel, notes=(*panel.notes, *notes))


def read_histories(rows: pa.Table, prep: Preprocessor, state: State) -> Histories:
    """The end of each series' history, and what is known of the steps after it.

    A series ends with its last row in which a target was measured; rows after that are the future, of which known
    columns are read. A history shorter than the context is extended backwards by its first value. Errors: DataError for
    a series without one measured value.
    """
    panel = read_panel(rows, prep, state)
    steps = encoding.encode(panel, prep, state)
    measured = np.asarray(~np.isnan(panel.values).all(axis=1))
    last = np.maximum.reduceat(np.where(measured, np.arange(len(measured)), -1), panel.bounds[:-1])
    if (last < 0).any():
        which = f"series '{panel.ids[int((last < 0).argmax())]}'" if state.series else "rows"
        targets = " or ".join(f"'{target}'" for target in state.names[:3])
        raise DataError(f"{which}: no row has a value of {targets}, so there is nothing to go on from.")
    end = last + 1
    index = panel.index[end - 1][:, None] + np.arange(1, state.horizon + 1)
    ids = _ids(panel.ids, next((c for c in prep.columns if c.name == state.series), None))
    times, step = None, state.step
    if step.unit != "row":
        times = time_zones.restore(time_index.future_times(index, step), step, panel.zone, panel.utc_offsets)
    values = panel.latest[end - 1]
    return Histories(panel, steps, end, state, values, ids, times, tuple(_notes(panel, end, state)))


def _notes(panel: Panel, end: np.ndarray, state: State) -> list[str]:
    """What was done to the rows, and what they lack."""
    notes = [f"{len(e.rows):,} rows were left out: {e.reason}." for e in panel.exclusions]
    notes += panel.notes
    if short := int((end - panel.bounds[:-1] < state.context).sum()):
        which = f"{short:,} of {len(end):,} series are" if state.series else "The history is"
        notes.append(f"{which} shorter than {state.context:,} steps; extended backwards by the first value.")
    if state.known and (late := int((panel.bounds[1:] - end < state.horizon).sum())):
        names, few = ", ".join(state.known), f"fewer than {state.horizon:,} rows ahead"
        notes.append(f"{names}: {few} were given for {late:,} series; the last value was kept.")
    return notes


def _ids(ids: list[Any], column: Column | None) -> pa.Array:
    """The names of series; whole numbers where they were in training."""
    whole = column is not None and all(_is_whole(text) for text in (*column.examples, *ids))
    return pa.array([int(name) for name in ids] if whole else ids, pa.int64() if whole else pa.string())


def _is_whole(text: str) -> bool:
    return text.isdecimal() and text.isascii() and len(text) < 19 and str(int(text)) == text
