"""Rows of a table as series on an even grid of time: one code for training and serving.

What becomes of odd rows: they are put in order of time; of several with one time the last counts; several within one
step are averaged; a step without a row is there, and not measured; a row without a readable time is skipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError
from lamina.preprocess import parse_columns, settings, time
from lamina.schema import LARGEST, Column
from lamina.tasks.forecasting import time_index, time_zones
from lamina.tasks.forecasting.state import Frequency
from lamina.tasks.forecasting.time_index import Timestamps, numbers

WIDEST = 20  # steps of a grid per row, at most
MAX_DUPLICATES = 0.3  # share of rows with the time of another, from which on something else must be meant


class Exclusion(NamedTuple):
    """Rows, by their place in the table of the caller, that no series can take, and why."""

    rows: np.ndarray
    reason: str


class ColumnRoles(NamedTuple):
    """Which columns say where a row belongs, and which are numbers to go on with."""

    time: tuple[str, ...]
    series: str | None
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """Series one behind the other, `bounds[i]` to `bounds[i + 1]`, one row per step and every step there.

    `table`: typed columns, null where nothing was measured; `values` (steps, targets), the same with NaN; `index`: the
    number of each step on the grid; `source`: its row in the caller's table (the last, if several share it), -1 for
    none; `row_count`: how many of the caller's rows are in some step; `zone`: that of the times, and `utc_offsets`
    (series,) by how many seconds its clocks are ahead of UTC in the last row of each series.
    """

    table: pa.Table
    values: np.ndarray
    index: np.ndarray
    bounds: np.ndarray
    ids: list[Any]
    frequency: Frequency
    source: np.ndarray
    exclusions: tuple[Exclusion, ...]
    notes: tuple[str, ...]
    row_count: int
    zone: str | None = None
    utc_offsets: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def spans(self) -> list[slice]:
        """The steps of each series."""
        return [slice(int(a), int(b)) for a, b in zip(self.bounds[:-1], self.bounds[1:], strict=True)]

    @property
    def latest(self) -> np.ndarray:
        """What was measured last at each step (steps, targets); before the first value, the first."""
        return self.values[latest(~np.isnan(self.values), self.bounds), np.arange(self.values.shape[1])]

    def series_of(self, steps: np.ndarray) -> np.ndarray:
        """The number of the series that each step is of."""
        return np.searchsorted(self.bounds, steps, side="right") - 1


def build_panel(
    table: pa.Table, columns: tuple[Column, ...], roles: ColumnRoles, frequency: Frequency | str | None = None
) -> Panel:
    """The rows of a cleaned table as series. `frequency`: that of a state, or as a recipe writes it; else it is found.

    Columns are read by their kind. Errors: DataError where no row has a time, where the rows cover a sliver of their
    grid, and without a state's `frequency` where half of them have the time of another.
    """
    if not table.num_rows:
        raise DataError("rows: there is none. Give the history that a forecast goes on from.")
    cells = _within_reach(parse_columns(table, columns))
    codes, ids = _codes(cells, roles.series)
    times = time_index.timestamps(cells, roles.time, frequency.scale if isinstance(frequency, Frequency) else None)
    exclusions = _without_place(codes, times.valid, roles)
    remark = "" if times.valid.all() else _remark(table, columns, roles)
    rows, zone = _sort(codes, times), time_zones.find(table, columns, roles.time)
    if not len(rows.order):
        raise DataError(_unreadable(table, roles))
    if local := _is_local(rows, times, frequency):
        times = time_zones.on_clocks(times, zone)
        rows = _sort(codes, times)
    notes = [remark] if remark else []
    notes += [] if (np.diff(rows.order) > 0).all() or len(ids) > 1 else ["Rows were put in order of time."]
    fixed = isinstance(frequency, Frequency)
    if not isinstance(frequency, Frequency):
        frequency, remarks = _frequency(rows, times, roles, frequency)
        frequency = frequency.model_copy(update={"local": local})
        notes += remarks
    twice = np.append(_repeats(rows.codes, rows.stamps) & (frequency.unit != "row"), False)
    if twice.any():
        if not fixed and twice.mean() > MAX_DUPLICATES:
            raise DataError(_too_many_duplicates(twice, roles))
        reason = "another row has the same time, and the last one counts"
        exclusions.append(Exclusion(np.sort(rows.order[twice]), reason))
        rows = _Rows(*(values[~twice] for values in rows))
    grid = _fill_grid(rows, frequency, table.num_rows)
    if extra := len(grid.group) - len(grid.ends):
        notes.append(f"{extra:,} rows share a step with others; numbers of one step were averaged.")
    source = np.full(grid.bounds[-1], -1)
    source[grid.place] = rows.order[grid.ends]
    if missing := int((source < 0).sum()):
        notes.append(f"{missing:,} of {len(source):,} steps have no row; they count as not measured.")
    steps = cells.take(pa.array(source, pa.int64(), mask=source < 0))
    steps = _average(steps, cells, rows.order, grid)
    values = np.stack([numbers(steps[name]) for name in roles.targets], axis=1)
    names = [ids[code] for code in rows.codes[_starts(rows.codes)]]
    notes += _malformed(table, cells, roles.targets)
    offsets = zone.utc_offsets[source[grid.bounds[1:] - 1]] if zone else np.zeros(len(names), np.int64)
    facts = (tuple(exclusions), tuple(notes), len(rows.order), zone.name if zone else None, offsets)
    return Panel(steps, values, grid.index, grid.bounds, names, frequency, source, *facts)


def latest(measured: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """For each step and column the last step up to it that was measured; before the first, the first."""
    steps = np.arange(len(measured))[:, None]
    last = np.maximum.accumulate(np.where(measured, steps, -1), axis=0)
    first = np.minimum.accumulate(np.where(measured, steps, len(measured))[::-1], axis=0)[::-1]
    begin = np.repeat(bounds[:-1], np.diff(bounds))[:, None]
    end = np.repeat(bounds[1:], np.diff(bounds))[:, None]
    nearest = np.where(last >= begin, last, first)
    return np.where((nearest >= begin) & (nearest < end), nearest, steps)


class _Rows(NamedTuple):
    """The rows that have a place, series by series in order of time: their numbers, series and times."""

    order: np.ndarray
    codes: np.ndarray
    stamps: np.ndarray


@dataclass(frozen=True)
class _Grid:
    """Rows on the grid: which of them share a step (`group`), the last of each that does, `place` of these among all
    steps; where each series begins and ends; the number of each step.
    """

    group: np.ndarray
    ends: np.ndarray
    place: np.ndarray
    bounds: np.ndarray
    index: np.ndarray


def _sort(codes: np.ndarray, times: Timestamps) -> _Rows:
    order = np.lexsort((np.arange(len(codes)), times.values, codes))
    order = order[(times.valid & (codes >= 0))[order]]
    return _Rows(order, codes[order], times.values[order])


def _fill_grid(rows: _Rows, frequency: Frequency, count: int) -> _Grid:
    """Every step from the first to the last row of each series. Errors: DataError where that is far more than `count`,
    the rows of the table.
    """
    index = time_index.positions(rows.codes, rows.stamps, frequency)
    group = np.concatenate([[0], np.cumsum(~_repeats(rows.codes, index))])
    ends = np.append(np.flatnonzero(np.diff(group)), len(group) - 1)
    codes, index = rows.codes[ends], index[ends]
    starts = _starts(codes)
    each = np.diff(np.append(starts, len(codes)))
    lengths = index[np.append(starts[1:], len(codes)) - 1] - index[starts] + 1
    if lengths.sum() > WIDEST * count + 10_000 or lengths.max() > WIDEST * count + 10_000:  # a sum may run over
        steps = f"{float(lengths.astype(float).sum()):,.0f} steps of {time_index.describe(frequency)}"
        raise DataError(f"time: {count:,} rows spread over {steps}. Say another task.step, or task.step: row.")
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    place = np.repeat(bounds[:-1] - index[starts], each) + index
    whole = np.arange(bounds[-1]) + np.repeat(index[starts] - bounds[:-1], lengths)
    return _Grid(group, ends, place, bounds, whole)


def _starts(codes: np.ndarray) -> np.ndarray:
    """The first row of each series."""
    return np.flatnonzero(np.diff(codes, prepend=-1))


def _without_place(codes: np.ndarray, valid: np.ndarray, roles: ColumnRoles) -> list[Exclusion]:
    timeless = Exclusion(np.flatnonzero(~valid), "the time is missing or cannot be read")
    strays = Exclusion(np.flatnonzero(valid & (codes < 0)), f"'{roles.series}' is missing, so it belongs to no series")
    return [exclusion for exclusion in (timeless, strays) if len(exclusion.rows)]


def _remark(table: pa.Table, columns: Sequence[Column], roles: ColumnRoles) -> str:
    """What to say of times that are there and cannot be read. Errors: DataError where all fit the other order of day
    and month, since those that were read would be wrong.
    """
    column = next((c for c in columns if roles.time == (c.name,) and c.kind == "time"), None)
    if column is None or column.name not in table.column_names:
        return ""
    cells, cfg = table[column.name].combine_chunks(), settings(column)
    assert isinstance(cfg, time.Config)
    if other := time.other_order(cells, cfg):
        cure = f"Write them as the rows of training, or train with --set columns.{column.name}.format={other}."
        raise DataError(
            f"time: the cells of '{column.name}' are read by {cfg.format}, but only {other} fits all. {cure}"
        )
    remark = time.remark(cells, cfg)
    return f"'{column.name}': {remark}" if remark else ""


def _unreadable(table: pa.Table, roles: ColumnRoles) -> str:
    """Why no row has a place, with a cell to see it by."""
    if not roles.time:
        return f"rows: none says in '{roles.series}' which series it belongs to."
    names = ", ".join(roles.time)
    cells = table[roles.time[0]].drop_null() if roles.time[0] in table.column_names else []
    got = f"got {str(cells[0].as_py())[:40]!r}" if len(cells) else "all are missing"
    cure = f"Say how they are written, such as --set 'columns.{roles.time[0]}={{kind: time, format: \"%d %b %Y\"}}'."
    return f"time: no row has a time that can be read in {names} ({got}). {cure}"


def _too_many_duplicates(twice: np.ndarray, roles: ColumnRoles) -> str:
    cure = "If the table holds several series, say which column tells them apart: --set task.series=COLUMN. If not, "
    cure += "leave out the rows that are there twice."
    if roles.series:
        cure = "Times are read to the second: for finer ones give numbers, or --set task.step=row."
    return f"time: {int(twice.sum()):,} of {len(twice):,} rows have the same time as another. {cure}"


def _within_reach(cells: pa.Table) -> pa.Table:
    """Without the numbers that are too large to compute with."""
    columns = [
        pc.if_else(pc.greater(pc.abs(cells[field.name]), LARGEST), None, cells[field.name])
        if pa.types.is_floating(field.type)
        else cells[field.name]
        for field in cells.schema
    ]
    return pa.table(columns, names=cells.column_names) if columns else cells


def _malformed(table: pa.Table, cells: pa.Table, targets: Sequence[str]) -> list[str]:
    """A note on each target with cells that are no numbers."""
    notes = []
    for name in targets:
        if name in table.column_names and (count := cells[name].null_count - table[name].null_count) > 0:
            notes.append(f"{count:,} cells of '{name}' are no numbers up to {LARGEST:g}: not measured.")
    return notes


def _codes(cells: pa.Table, name: str | None) -> tuple[np.ndarray, list[Any]]:
    """The number of each row's series, -1 for none, and what each is called."""
    if name is None:
        return np.zeros(cells.num_rows, np.int64), [""]
    encoded = cells[name].combine_chunks().dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_pylist()


def _is_local(rows: _Rows, times: Timestamps, frequency: Frequency | str | None) -> bool:
    """Whether steps lie on the clocks of a zone: as a state says, else where they are days or longer."""
    if isinstance(frequency, Frequency):
        return frequency.local
    if frequency:
        return times.are_dates and time_zones.begin_by_clocks(time_index.from_text(frequency))
    return times.are_dates and time_index.median_gap(rows.codes, rows.stamps) >= time_zones.LONG


def _frequency(rows: _Rows, times: Timestamps, roles: ColumnRoles, text: str | None) -> tuple[Frequency, list[str]]:
    """The frequency of a recipe, or the one that most rows follow, and what to say of it."""
    if text:
        return time_index.align(time_index.from_text(text), rows.codes, rows.stamps), []
    if not roles.time:
        return Frequency(unit="row"), ["No column of time was found: rows are taken in their order, each a step."]
    return time_index.infer(rows.codes, times, rows.stamps, roles.time[0])


def _repeats(codes: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    """Where a row has the series and the time of the one before it."""
    return (codes[1:] == codes[:-1]) & (stamps[1:] == stamps[:-1])


def _average(steps: pa.Table, cells: pa.Table, order: np.ndarray, grid: _Grid) -> pa.Table:
    """The steps with the mean of the numbers of all rows that share one."""
    if len(grid.ends) == len(grid.group):
        return steps
    begins = np.concatenate([[0], grid.ends[:-1] + 1])
    for i, column in enumerate(steps.schema):
        if not pa.types.is_floating(column.type):
            continue
        values = numbers(cells[column.name])[order]
        finite = ~np.isnan(values)
        total, count = (np.add.reduceat(v, begins) for v in (np.where(finite, values, 0), finite.astype(float)))
        means = numbers(steps[column.name])
        means[grid.place] = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        steps = steps.set_column(i, column.name, pa.array(means, from_pandas=True))
    return steps
