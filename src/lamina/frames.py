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

DAY = 86_400
SPARSE = 0.6  # share of grid steps that rows must fill, or each row is a step
WIDEST = 20  # steps of a grid per row, at most
CLOCK = ("year", "month", "day", "hour", "minute")


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
    number of each step on the grid; `source`: its row in the table given, -1 for none.
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

    @property
    def spans(self) -> list[slice]:
        return [slice(int(a), int(b)) for a, b in zip(self.bounds[:-1], self.bounds[1:], strict=True)]


def frames(table: pa.Table, columns: tuple[Column, ...], roles: Roles, step: Step | None = None) -> Frames:
    """The rows of a cleaned table as series; without a `step`, it is found from the times. Columns are read by kind."""
    count, known = table.num_rows, {column.name: column for column in columns}
    cells = typed(table, columns)
    code, ids = _codes(cells, roles.series)
    stamps, there = _stamps(table, known, roles.time)
    there &= code >= 0
    lost = [Lost(np.flatnonzero(~there), "the time is missing or cannot be read")] if not there.all() else []
    order = np.lexsort((np.arange(count), stamps, code))
    order = order[there[order]]
    if not len(order):
        raise DataError("time: no row has a time that can be read. Say which column it is with task.time.")
    twice = _same(code[order], stamps[order])
    if twice.any():
        lost.append(Lost(np.sort(order[:-1][twice]), "another row has the same time, and the last one counts"))
        order = order[~np.append(twice, False)]
    notes = [] if (np.diff(order) > 0).all() or len(ids) > 1 else ["Rows were put in order of time."]
    code, stamps = code[order], stamps[order]
    step, told = (step, []) if step else _step(code, stamps, cells, roles, known)
    index = _index(code, stamps, step)
    group = np.concatenate([[0], np.cumsum(~_same(code, index))]) if len(code) > 1 else np.zeros(1, np.int64)
    ends = np.append(np.flatnonzero(np.diff(group)), len(group) - 1)
    if len(ends) < len(group):
        told.append(f"{len(group) - len(ends):,} rows share a step with others; numbers of one step were averaged.")
    code, index = code[ends], index[ends]
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    lengths = index[np.append(starts[1:], len(code)) - 1] - index[starts] + 1
    if lengths.sum() > WIDEST * count + 10_000:
        raise DataError(
            f"time: {count:,} rows spread over {lengths.sum():,} steps of {said(step)}. Say another task.step, or row."
        )
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    place = np.repeat(bounds[:-1], np.diff(np.append(starts, len(code)))) + index
    place -= np.repeat(index[starts], np.diff(np.append(starts, len(code))))
    source = np.full(bounds[-1], -1)
    source[place] = order[ends]
    if missing := int((source < 0).sum()):
        told.append(f"{missing:,} of {len(source):,} steps have no row; they count as not measured.")
    taken = cells.take(pa.array(source, pa.int64(), mask=source < 0))
    taken = _averaged(taken, cells, order, group, ends, place)
    first = index[starts]
    whole = np.concatenate([np.arange(a, a + n) for a, n in zip(first, lengths, strict=True)])
    values = np.stack([_floats(taken[name]) for name in roles.targets], axis=1)
    named = [ids[c] for c in code[starts]]
    return Frames(taken, values, whole, bounds, named, step, source, tuple(lost), (*notes, *told))


def _codes(cells: pa.Table, name: str | None) -> tuple[np.ndarray, list[Any]]:
    """The number of each row's series, -1 for none, and what each is called."""
    if name is None:
        return np.zeros(cells.num_rows, np.int64), [""]
    coded = cells[name].combine_chunks().dictionary_encode()
    return pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64), coded.dictionary.to_pylist()


def _stamps(table: pa.Table, known: dict[str, Column], time: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since 1970, or the number that a time is; and where there is one."""
    if not time:
        return np.arange(table.num_rows), np.ones(table.num_rows, bool)
    cells = typed(table, tuple(known[name] for name in time))
    if len(time) > 1:
        parts = {name.lower(): _floats(cells[name]) for name in time}
        there = np.asarray(~np.isnan(np.stack(list(parts.values()))).any(axis=0))
        clock = {
            name: np.where(there, parts.get(name, 1.0 * (name in CLOCK[:3])), 1).astype(np.int64) for name in CLOCK
        }
        months = (clock["year"] - 1970) * 12 + clock["month"] - 1
        days = months.astype("M8[M]").astype("M8[D]").astype(np.int64) + clock["day"] - 1
        return days * DAY + clock["hour"] * 3600 + clock["minute"] * 60, there
    column = cells.column(0).combine_chunks()
    there = pc.is_valid(column).to_numpy(zero_copy_only=False)
    if pa.types.is_timestamp(column.type):
        return pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False), there
    return np.where(there, np.nan_to_num(_floats(column)), 0).round().astype(np.int64), there


def _floats(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)


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
        values = _floats(cells[field.name])[order]
        there = ~np.isnan(values)
        total, counted = (np.add.reduceat(v, begins) for v in (np.where(there, values, 0), there.astype(float)))
        found = _floats(taken[field.name])
        found[place] = np.divide(total, counted, out=np.full(len(total), np.nan), where=counted > 0)
        taken = taken.set_column(i, field.name, pa.array(found, from_pandas=True))
    return taken


# the grid


def said(step: Step) -> str:
    """A step as a person would say it."""
    if step.unit == "second":
        for seconds, name in ((7 * DAY, "week"), (DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
            if step.count % seconds == 0:
                count = step.count // seconds
                return name if count == 1 else f"{count} {name}s"
    name = {"month": "month", "business": "business day", "number": "one", "row": "row"}[step.unit]
    return name if step.count == 1 else f"{step.count} {name}s"


def read(text: str) -> Step:
    """`15min`, `1h`, `d`, `1w`, `3mo`, `1y`, `b` (business day) or `row` as a step."""
    digits = "".join(c for c in text if c.isdigit())
    unit, count = text[len(digits) :].strip().lower(), int(digits or 1)
    seconds = {"s": 1, "min": 60, "h": 3600, "d": DAY, "w": 7 * DAY}
    if unit in seconds and count:
        return Step(unit="second", count=count * seconds[unit])
    if unit in ("mo", "q", "y") and count:
        return Step(unit="month", count=count * {"mo": 1, "q": 3, "y": 12}[unit])
    if unit in ("b", "row"):
        return Step(unit="business" if unit == "b" else "row")
    raise DataError(f"task.step: '{text}' is not a step. Write 15min, 1h, 1d, 1w, 1mo, 1q, 1y, b or row.")


def phased(step: Step, stamps: np.ndarray) -> Step:
    """A step on the grid that most of the times lie on."""
    if step.unit == "month":
        stamp = stamps.astype("M8[s]")
        month = stamp.astype("M8[M]")
        days = (stamp.astype("M8[D]") - month.astype("M8[D]")).astype(np.int64) + 1
        ends = ((month + 1).astype("M8[D]") - stamp.astype("M8[D]")).astype(np.int64) == 1
        day = 31 if ends.all() else int(_often(days))
        return step.model_copy(update={"phase": int(_often(month.astype(np.int64) % step.count)) * 32 + day})
    if step.unit in ("second", "number"):
        return step.model_copy(update={"phase": int(_often(stamps % step.count))})
    return step


def _often(values: np.ndarray) -> np.integer:
    found, counts = np.unique(values, return_counts=True)
    return found[counts.argmax()]


def _step(
    code: np.ndarray, stamps: np.ndarray, cells: pa.Table, roles: Roles, known: dict[str, Column]
) -> tuple[Step, list[str]]:
    """The step that most rows follow, and what to say of it."""
    if not roles.time:
        return Step(unit="row"), ["No column of time was found: rows are taken in their order, each a step."]
    gaps = np.diff(stamps)[np.diff(code) == 0]
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return Step(unit="row"), []
    common, name = int(_often(gaps)), roles.time[0]
    if len(roles.time) == 1 and not pa.types.is_timestamp(cells[name].type):
        found = Step(unit="number", count=common)
    elif common >= 28 * DAY and (gaps >= 28 * DAY).mean() > 0.9:
        found = Step(unit="month", count=max(1, round(float(np.median(gaps)) / (30.44 * DAY))))
    elif common == DAY and _weekdays(stamps) and len(stamps) > 10:
        found = Step(unit="business")
    else:
        found = Step(unit="second", count=common)
    found = phased(found, stamps)
    index = _index(code, stamps, found)
    filled = len(np.unique(np.stack([code, index]), axis=1).T)
    span = sum(int(np.ptp(index[code == c])) + 1 for c in np.unique(code)) if code[-1] < 1000 else filled
    if filled < SPARSE * span:
        return Step(unit="row"), [f"The times in '{name}' are too uneven for a grid: each row is taken as one step."]
    return found, []


def _weekdays(stamps: np.ndarray) -> bool:
    """Whether no row is of a Saturday or Sunday."""
    return bool(((stamps // DAY + 3) % 7 < 5).all())


def _index(code: np.ndarray, stamps: np.ndarray, step: Step) -> np.ndarray:
    """The number of each row's step on the grid."""
    if step.unit in ("second", "number"):
        return (stamps - step.phase + step.count // 2) // step.count
    if step.unit == "month":
        return (stamps.astype("M8[s]").astype("M8[M]").astype(np.int64) - step.phase // 32) // step.count
    if step.unit == "business":
        return np.busday_count(np.datetime64("1970-01-01"), stamps.astype("M8[s]").astype("M8[D]"))
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    return np.arange(len(code)) - np.repeat(starts, np.diff(np.append(starts, len(code))))


def times(index: np.ndarray, step: Step) -> np.ndarray:
    """Step numbers as times (datetime64 in seconds), or as the numbers that stand for them."""
    if step.unit == "second":
        return (index * step.count + step.phase).astype("M8[s]")
    if step.unit == "month":
        month = (index * step.count + step.phase // 32).astype("M8[M]")
        last = ((month + 1).astype("M8[D]") - month.astype("M8[D]")).astype(np.int64)
        return (month.astype("M8[D]") + np.minimum(step.phase % 32, last) - 1).astype("M8[s]")
    if step.unit == "business":
        days = np.busday_offset(np.datetime64("1970-01-01"), index, roll="forward")
        return np.asarray(days).astype("M8[s]")
    return index * step.count + step.phase


# what a network is fed


def feeds(prep: Preprocessor, state: State) -> dict[str, Input]:
    """The inputs of a network that forecasts: `history` and, where something is known beforehand, `future`."""
    ahead = sum(_widths(prep, state.known)) + len(_cycles(state)) * 2
    width = len(state.targets) + sum(_widths(prep, state.past)) + ahead
    history = Input(kind="series", shape=(state.context, width), dtype="float32", targets=len(state.targets))
    future = Input(kind="series", shape=(state.horizon, ahead), dtype="float32")
    return {"future": future, "history": history} if ahead else {"history": history}


def encoded(found: Frames, prep: Preprocessor, state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
    known = np.concatenate([_covariates(found, prep, state.known), _calendar(found.index, state)], axis=1)
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
    return np.concatenate([np.eye(size, dtype=np.float32)[codes[:, i]] for i, size in enumerate(sizes)], axis=1)


def _cycles(state: State) -> tuple[str, ...]:
    """The cycles of the calendar that a step leaves visible."""
    step = state.step
    if not state.calendar or step.unit in ("number", "row"):
        return ()
    if step.unit == "month":
        return ("year",) if step.count < 12 else ()
    seconds = DAY if step.unit == "business" else step.count
    return tuple(name for name, longest in (("year", 31 * DAY), ("week", DAY), ("day", 43_200)) if seconds <= longest)


def _calendar(index: np.ndarray, state: State) -> np.ndarray:
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


@dataclass(frozen=True)
class Histories:
    """What to forecast from: one row per series. `last`: (series, targets), `times`: (series, horizon)."""

    inputs: dict[str, np.ndarray]
    last: np.ndarray
    ids: np.ndarray
    times: np.ndarray
    notes: tuple[str, ...]


def histories(rows: pa.Table, prep: Preprocessor, state: State) -> Histories:
    """The end of each series' history, and what is known of the steps after it.

    A series ends with its last row in which a target was measured; rows after that are the future, of which known
    columns are read. A history shorter than the context is extended backwards by its first value. Errors: DataError for
    a series without one measured value.
    """
    roles = Roles(state.time, state.series, tuple(state.names))
    for name in (*roles.time, *([roles.series] if roles.series else []), *roles.targets):
        if name not in rows.column_names:
            raise DataError(f"rows: column '{name}' is missing. A forecast continues from rows that have it.")
    found = frames(rows, prep.used, roles, state.step)
    seen, known, _ = encoded(found, prep, state)
    notes = [*(f"{len(lost.rows):,} rows were left out: {lost.reason}." for lost in found.lost), *found.notes]
    ends, context, horizon = [], state.context, state.horizon
    for name, span in zip(found.ids, found.spans, strict=True):
        measured = np.flatnonzero(~np.isnan(found.values[span]).all(axis=1))
        if not len(measured):
            which = f"series '{name}'" if state.series else "rows"
            told = " or ".join(f"'{target}'" for target in state.names[:3])
            raise DataError(f"{which}: no row has a value of {told}, so there is nothing to go on from.")
        ends.append(span.start + int(measured[-1]) + 1)
    starts, stops = found.bounds[:-1], found.bounds[1:]
    end = np.array(ends)
    if short := int((end - starts < context).sum()):
        told = f"{short:,} of {len(end):,} series are" if state.series else "The history is"
        notes.append(f"{told} shorter than {context:,} steps; extended backwards by the first value.")
    back = np.maximum(end[:, None] + np.arange(-context, 0), starts[:, None])
    history = seen[back]
    if state.transform != "none":  # before the first price nothing moved
        history[:, :, : len(state.targets)][end[:, None] + np.arange(-context, 0) < starts[:, None]] = (
            forecasting.still(state)
        )
    index = found.index[end - 1][:, None] + np.arange(1, horizon + 1)
    inputs = {"history": history}
    if known.shape[1]:
        inputs["future"], late = _future(known, found, prep, state, end, stops, index)
        notes += late
    last = found.values[latest(~np.isnan(found.values), found.bounds), np.arange(len(roles.targets))][end - 1]
    return Histories(inputs, last, np.array(found.ids, object), times(index, state.step), tuple(notes))


def _future(
    known: np.ndarray,
    found: Frames,
    prep: Preprocessor,
    state: State,
    end: np.ndarray,
    stops: np.ndarray,
    index: np.ndarray,
) -> tuple[np.ndarray, list[str]]:
    """What is known of the steps ahead (series, horizon, channels); columns that end too soon keep their last value."""
    ahead = end[:, None] + np.arange(state.horizon)
    future = known[np.minimum(ahead, stops[:, None] - 1)]
    calendar = [_calendar(row, state) for row in index]
    own = sum(_widths(prep, state.known))
    future[:, :, own:] = np.stack(calendar)
    late = int((stops - end < state.horizon).sum()) if state.known else 0
    names = ", ".join(state.known)
    told = f"{names}: fewer than {state.horizon} rows ahead were given for {late:,} series; the last value was kept."
    return future, [told] if late else []
