"""Rows of a table as series on an even grid of time, and series as what a network is fed: one code for training and
serving.

What becomes of odd rows: they are put in order of time; of several with one time the last counts; several within one
step are averaged; a step without a row is there, and not measured; a row without a readable time is set aside. Before a
network sees it, a value that was not measured is the last one that was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError
from lamina.preprocess import Preprocessor, typed
from lamina.schema import Column, Input
from lamina.tasks import forecasting
from lamina.tasks.forecasting import State, Step
from lamina.tasks.forecasting import time_index as grid
from lamina.tasks.forecasting.time_index import CLOCK, DAY, floats, read, said, times

__all__ = ["CLOCK", "Frames", "Roles", "calendar", "encoded", "feeds", "frames", "latest", "read", "said", "times"]

WIDEST = 20  # steps of a grid per row, at most
MOST, MOST_WINDOW = 1 << 28, 1 << 24  # numbers that may be made of the rows given, and of one window
TWICE = 0.3  # share of rows with the time of another, from which on something else must be meant


Encoded = tuple[np.ndarray, np.ndarray, np.ndarray]  # seen, known beforehand, target: (steps, channels) each


class Lost(NamedTuple):
    """Rows, by their place in the table given, that no series can take, and why."""

    rows: np.ndarray
    reason: str


class Roles(NamedTuple):
    """Which columns say where a row belongs, and which are numbers to go on with."""

    time: tuple[str, ...]
    series: str | None
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Frames:
    """Series one behind the other, `bounds[i]` to `bounds[i + 1]`, one row per step and every step there.

    `table`: typed columns, null where nothing was measured; `values` (steps, targets), the same with NaN; `index`: the
    number of each step on the grid; `source`: its row in the table given (the last, if several share it), -1 for none;
    `used`: how many rows given are in some step.
    """

    table: pa.Table
    values: np.ndarray
    index: np.ndarray
    bounds: np.ndarray
    ids: list[Any]
    step: Step
    source: np.ndarray
    lost: tuple[Lost, ...]
    notes: tuple[str, ...]
    used: int

    @property
    def spans(self) -> list[slice]:
        return [slice(int(a), int(b)) for a, b in zip(self.bounds[:-1], self.bounds[1:], strict=True)]


def frames(table: pa.Table, columns: tuple[Column, ...], roles: Roles, step: Step | str | None = None) -> Frames:
    """The rows of a cleaned table as series. `step`: that of a state, or as a recipe writes it; else it is found.

    Columns are read by their kind. Errors: DataError where no row has a time, where the rows cover a sliver of their
    grid, and without a state's `step` where half of them have the time of another.
    """
    if not table.num_rows:
        raise DataError("rows: there is none. Give the history that a forecast goes on from.")
    cells = typed(table, columns)
    code, ids = _codes(cells, roles.series)
    clock = grid.clock(cells, roles.time, step.scale if isinstance(step, Step) else None)
    lost = _without_place(code, clock.there, roles)
    order = np.lexsort((np.arange(table.num_rows), clock.stamps, code))
    order = order[(clock.there & (code >= 0))[order]]
    if not len(order):
        raise DataError(_unreadable(table, roles))
    notes = [] if (np.diff(order) > 0).all() or len(ids) > 1 else ["Rows were put in order of time."]
    code, stamps = code[order], clock.stamps[order]
    fixed, told = isinstance(step, Step), list[str]()
    if not isinstance(step, Step):
        step, told = _step(code, stamps, clock, roles, step)
    twice = np.append(_same(code, stamps) & (step.unit != "row"), False)
    if twice.any():
        if not fixed and twice.mean() > TWICE:
            raise DataError(_many(twice, roles))
        lost.append(Lost(np.sort(order[twice]), "another row has the same time, and the last one counts"))
        order, code, stamps = order[~twice], code[~twice], stamps[~twice]
    index = grid.index(code, stamps, step)
    group = np.concatenate([[0], np.cumsum(~_same(code, index))])
    ends = np.append(np.flatnonzero(np.diff(group)), len(group) - 1)
    if len(ends) < len(group):
        told.append(f"{len(group) - len(ends):,} rows share a step with others; numbers of one step were averaged.")
    bounds, place, whole = _spread(code[ends], index[ends], table.num_rows, step)
    source = np.full(bounds[-1], -1)
    source[place] = order[ends]
    if missing := int((source < 0).sum()):
        told.append(f"{missing:,} of {len(source):,} steps have no row; they count as not measured.")
    taken = cells.take(pa.array(source, pa.int64(), mask=source < 0))
    taken = _averaged(taken, cells, order, group, ends, place)
    values = np.stack([floats(taken[name]) for name in roles.targets], axis=1)
    starts = np.flatnonzero(np.diff(code[ends], prepend=-1))
    named = [ids[c] for c in code[ends][starts]]
    notes += told + _malformed(table, cells, roles.targets)
    return Frames(taken, values, whole, bounds, named, step, source, tuple(lost), tuple(notes), len(order))


def _spread(code: np.ndarray, index: np.ndarray, count: int, step: Step) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each series begins and ends once every step is there, where each given step then is, and all numbers."""
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    each = np.diff(np.append(starts, len(code)))
    lengths = index[np.append(starts[1:], len(code)) - 1] - index[starts] + 1
    if lengths.sum() > WIDEST * count + 10_000 or lengths.max() > WIDEST * count + 10_000:  # a sum may run over
        steps = f"{float(lengths.astype(float).sum()):,.0f} steps of {said(step)}"
        raise DataError(f"time: {count:,} rows spread over {steps}. Say another task.step, or task.step: row.")
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    place = np.repeat(bounds[:-1] - index[starts], each) + index
    whole = np.arange(bounds[-1]) + np.repeat(index[starts] - bounds[:-1], lengths)
    return bounds, place, whole


def _without_place(code: np.ndarray, there: np.ndarray, roles: Roles) -> list[Lost]:
    found = [Lost(np.flatnonzero(~there), "the time is missing or cannot be read")] if not there.all() else []
    strays = np.flatnonzero(there & (code < 0))
    return [*found, Lost(strays, f"'{roles.series}' is missing, so it belongs to no series")] if len(strays) else found


def _unreadable(table: pa.Table, roles: Roles) -> str:
    """Why no row has a place, with a cell to see it by."""
    if not roles.time:
        return f"rows: none says in '{roles.series}' which series it belongs to."
    names = ", ".join(roles.time)
    cells = table[roles.time[0]].drop_null() if roles.time[0] in table.column_names else []
    got = f"got {str(cells[0].as_py())[:40]!r}" if len(cells) else "all are missing"
    cure = f"Say how they are written, such as --set 'columns.{roles.time[0]}={{kind: time, format: \"%d %b %Y\"}}'."
    return f"time: no row has a time that can be read in {names} ({got}). {cure}"


def _many(twice: np.ndarray, roles: Roles) -> str:
    cure = "If the table holds several series, say which column tells them apart: --set task.series=COLUMN. If not, "
    cure += "leave out the rows that are there twice."
    if roles.series:
        cure = "Times are read to the second: for finer ones give numbers, or --set task.step=row."
    return f"time: {int(twice.sum()):,} of {len(twice):,} rows have the same time as another. {cure}"


def _malformed(table: pa.Table, cells: pa.Table, targets: Sequence[str]) -> list[str]:
    """A note on each target with cells that are no numbers."""
    told = []
    for name in targets:
        if name in table.column_names and (lost := cells[name].null_count - table[name].null_count) > 0:
            bad = pc.and_(pc.is_valid(table[name]), pc.is_null(cells[name]))
            first = table[name].filter(bad)[0].as_py()
            told.append(f"{lost:,} cells of '{name}' are no numbers, such as {str(first)[:40]!r}: not measured.")
    return told


def _codes(cells: pa.Table, name: str | None) -> tuple[np.ndarray, list[Any]]:
    """The number of each row's series, -1 for none, and what each is called."""
    if name is None:
        return np.zeros(cells.num_rows, np.int64), [""]
    coded = cells[name].combine_chunks().dictionary_encode()
    return pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64), coded.dictionary.to_pylist()


def _step(
    code: np.ndarray, stamps: np.ndarray, clock: grid.Clock, roles: Roles, wanted: str | None
) -> tuple[Step, list[str]]:
    """The step asked for, or the one that most rows follow, and what to say of it."""
    if wanted:
        return grid.asked(read(wanted), code, stamps), []
    if not roles.time:
        return Step(unit="row"), ["No column of time was found: rows are taken in their order, each a step."]
    return grid.found(code, clock, stamps, roles.time[0])


def _same(code: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    """Where a row has the series and the time of the one before it."""
    return (code[1:] == code[:-1]) & (stamps[1:] == stamps[:-1])


def _averaged(
    taken: pa.Table, cells: pa.Table, order: np.ndarray, group: np.ndarray, ends: np.ndarray, place: np.ndarray
) -> pa.Table:
    """With the mean of the numbers of all rows that share a step."""
    if len(ends) == len(group):
        return taken
    begins = np.concatenate([[0], ends[:-1] + 1])
    for i, field in enumerate(taken.schema):
        if not pa.types.is_floating(field.type):
            continue
        values = floats(cells[field.name])[order]
        there = ~np.isnan(values)
        total, counted = (np.add.reduceat(v, begins) for v in (np.where(there, values, 0), there.astype(float)))
        found = floats(taken[field.name])
        found[place] = np.divide(total, counted, out=np.full(len(total), np.nan), where=counted > 0)
        taken = taken.set_column(i, field.name, pa.array(found, from_pandas=True))
    return taken


# what a network is fed


def feeds(prep: Preprocessor, state: State) -> dict[str, Input]:
    """The inputs of a network that forecasts: `history` and, where something is known beforehand, `future`."""
    ahead = sum(_widths(prep, state.known)) + len(_cycles(state)) * 2
    width = len(state.targets) + sum(_widths(prep, state.past)) + ahead
    if (state.context + state.horizon) * width > MOST_WINDOW:
        raise DataError(
            f"task.context: {state.context:,} steps of {width:,} channels are more than a network can be fed. Ask for "
            "a smaller context, or set columns to ignore."
        )
    history = Input(kind="series", shape=(state.context, width), dtype="float32", targets=len(state.targets))
    future = Input(kind="series", shape=(state.horizon, ahead), dtype="float32")
    return {"future": future, "history": history} if ahead else {"history": history}


def encoded(found: Frames, prep: Preprocessor, state: State) -> Encoded:
    """What a network sees of each step, (steps, channels); of that, what is known beforehand; and the target (steps,
    targets) in training deviations, NaN where nothing was measured.
    """
    spans = found.spans
    target = np.concatenate([forecasting.worked(found.values[span], state.transform) for span in spans])
    target = forecasting.standard(target, state)
    if state.transform == "none":
        seen = target[latest(~np.isnan(target), found.bounds), np.arange(target.shape[1])]
    else:
        seen = np.where(np.isnan(target), forecasting.still(state), target)
    past = _covariates(found, prep, state.past)
    known = np.concatenate([_covariates(found, prep, state.known), calendar(found.index, state)], axis=1)
    return np.nan_to_num(np.concatenate([seen, past, known], axis=1)), known, target


def latest(there: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """For each step and column the last step up to it that was measured; before the first, the first."""
    steps = np.arange(len(there))[:, None]
    last = np.maximum.accumulate(np.where(there, steps, -1), axis=0)
    first = np.minimum.accumulate(np.where(there, steps, len(there))[::-1], axis=0)[::-1]
    begin = np.repeat(bounds[:-1], np.diff(bounds))[:, None]
    end = np.repeat(bounds[1:], np.diff(bounds))[:, None]
    found = np.where(last >= begin, last, first)
    return np.where((found >= begin) & (found < end), found, steps)


def _covariates(found: Frames, prep: Preprocessor, names: Sequence[str]) -> np.ndarray:
    """Columns as their kinds encode them, codes as zeros and ones: (steps, channels)."""
    if not names:
        return np.zeros((len(found.index), 0), np.float32)
    blocks = []
    for name in names:
        column = found.table[name].combine_chunks()
        there = pc.is_valid(column).to_numpy(zero_copy_only=False)[:, None]
        filled = column.take(pa.array(latest(there, found.bounds)[:, 0]))
        values, feed = prep.alone(name, filled), prep.feed(name)
        blocks.append(values if feed.kind == "number" else _one_hot(values, feed.sizes))
    return np.concatenate(blocks, axis=1).astype(np.float32)


def _widths(prep: Preprocessor, names: Sequence[str]) -> list[int]:
    found = [prep.feed(name) for name in names]
    return [feed.shape[0] or 0 if feed.kind == "number" else sum(feed.sizes) for feed in found]


def _one_hot(codes: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    begins = np.cumsum([0, *sizes])
    if len(codes) * int(begins[-1]) > MOST:
        raise DataError(f"rows: {len(codes):,} steps of {begins[-1]:,} categories are too many. Send fewer rows.")
    found = np.zeros((len(codes), begins[-1]), np.float32)
    for i in range(len(sizes)):
        found[np.arange(len(codes)), begins[i] + codes[:, i]] = 1
    return found


def _cycles(state: State) -> tuple[str, ...]:
    """The cycles of the calendar that a step leaves visible."""
    step = state.step
    if not state.calendar or step.unit in ("number", "row"):
        return ()
    if step.unit == "month":
        return ("year",) if step.count < 12 else ()
    seconds = DAY if step.unit == "business" else step.count
    return tuple(name for name, longest in (("year", 31 * DAY), ("week", DAY), ("day", 43_200)) if seconds <= longest)


def calendar(index: np.ndarray, state: State) -> np.ndarray:
    """Sine and cosine of the place in each cycle, (steps, 2 per cycle)."""
    cycles = _cycles(state)
    if not cycles:
        return np.zeros((len(index), 0), np.float32)
    stamps = times(index, state.step)
    seconds = stamps.astype(np.int64)
    year = stamps.astype("M8[Y]")
    length = ((year + 1).astype("M8[s]") - year.astype("M8[s]")).astype(np.int64)
    share = {
        "year": (stamps - year.astype("M8[s]")).astype(np.int64) / length,
        "week": (seconds // DAY + 3) % 7 / 7,
        "day": seconds % DAY / DAY,
    }
    angles = [2 * np.pi * share[name] for name in cycles]
    return np.stack([f(angle) for angle in angles for f in (np.sin, np.cos)], axis=1).astype(np.float32)
