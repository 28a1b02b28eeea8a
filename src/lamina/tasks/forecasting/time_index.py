"""The even grid of time that rows of series are put on: times as whole numbers, the step between them, and back."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError
from lamina.schema import DAYS
from lamina.tasks.forecasting.state import Frequency

DAY = 86_400
MONDAY = 4 * DAY  # the first one after 1970 began
PARTS = ("year", "month", "day", "hour", "minute")
SPANS = ("quarter", "week")  # in place of months and days
BOUNDS = {"year": (1, 9998), "month": (1, 12), "day": (1, 31), "hour": (0, 24), "minute": (0, 59)}
BOUNDS |= {"quarter": (1, 4), "week": (1, 53)}
SPARSE = 0.6  # share of grid steps that rows must fill, or each row is a step
COMMON = 0.2  # share of the gaps that one must have to be the step, or the times are taken to be jittered
NEAR = 0.1  # of the median gap: a round number is then the step of jittered times
ROUND = (
    *(1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800),
    *(3600, 7200, 10_800, 14_400, 21_600, 28_800, 43_200, DAY, 7 * DAY),
)
FINEST = 1_000_000  # parts of one that a time given as a number may have
EXACT = 2.0**53


class Timestamps(NamedTuple):
    """Times of rows as whole numbers: seconds since 1970 where they `are_dates`, else numbers times `scale`. Of rows
    that are not `valid` they mean nothing.
    """

    values: np.ndarray
    valid: np.ndarray
    are_dates: bool
    scale: int


def timestamps(cells: pa.Table, names: tuple[str, ...], scale: int | None) -> Timestamps:
    """The times of typed cells; of no column, the order of the rows. Without a `scale` it is looked for."""
    if not names:
        return Timestamps(np.arange(cells.num_rows), np.ones(cells.num_rows, bool), False, 1)
    column = cells[names[0]].combine_chunks()
    if len(names) > 1 and pa.types.is_timestamp(column.type):  # a day, and a clock
        (days, are_days), (seconds, are_clocks) = (_seconds(cells[name].combine_chunks()) for name in names)
        return Timestamps(days + seconds % DAY, are_days & are_clocks, True, 1)
    if len(names) > 1:
        seconds, valid = _from_parts({name.lower(): _part(cells[name], name.lower()) for name in names})
        return Timestamps(seconds, valid, True, 1)
    if pa.types.is_timestamp(column.type):
        return Timestamps(*_seconds(column), True, 1)
    values = numbers(column)
    scale = scale or _scale(values)
    valid = np.isfinite(values) & (np.abs(np.nan_to_num(values)) < EXACT / scale)
    return Timestamps((np.where(valid, values, 0) * scale).round().astype(np.int64), valid, False, scale)


def _seconds(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Times as seconds since 1970, and which there are."""
    valid = pc.is_valid(column).to_numpy(zero_copy_only=False)
    return pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False), valid


def _part(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """A part of times as numbers: of names of months and quarters, which are read as times, their number."""
    if pa.types.is_timestamp(column.type):
        column = pc.quarter(column) if name == "quarter" else pc.month(column)
    return numbers(column)


def numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Typed numbers as float64, NaN where missing."""
    return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)


def _from_parts(parts: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since 1970 of years, months, quarters or weeks, days ...; what no calendar has is no time."""
    valid = np.ones(len(parts["year"]), bool)
    for name, values in parts.items():
        low, high = BOUNDS[name]
        valid &= (values >= low) & (values <= high) & (np.floor(values) == values)
    whole = {name: np.full(len(valid), 1 if name in PARTS[:3] else 0) for name in PARTS}
    whole |= {name: np.where(valid, values, 1).astype(np.int64) for name, values in parts.items()}
    if "quarter" in whole:
        whole["month"] = whole["quarter"] * 3 - 2
    months = ((whole["year"] - 1970) * 12 + whole["month"] - 1).astype("M8[M]")
    days = months.astype("M8[D]").astype(np.int64) + whole["day"] - 1
    valid &= days < (months + 1).astype("M8[D]").astype(np.int64)
    if "week" in whole:
        days += 3 - (days + 6) % 7 + (whole["week"] - 1) * 7  # ISO 8601: the Monday before 5 January, and on
    return days * DAY + whole["hour"] * 3600 + whole["minute"] * 60, valid


def _scale(values: np.ndarray) -> int:
    """By what numbers must be multiplied to be whole."""
    finite = np.abs(values[np.isfinite(values)])
    for scale in (1, 10, 100, 1_000, 10_000, 100_000):
        scaled = finite * scale
        if (np.abs(scaled - scaled.round()) < 1e-3).all():
            return scale
    return FINEST if finite.max() < EXACT / FINEST else 1


# frequencies as words


def describe(frequency: Frequency) -> str:
    """A frequency as a person would say it: `hour`, `3 months`, `business day`, `step of 0.5`."""
    if frequency.unit == "second":
        for seconds, name in ((7 * DAY, "week"), (DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
            if frequency.count % seconds == 0:
                count = frequency.count // seconds
                return name if count == 1 else f"{count} {name}s"
    if frequency.unit == "number":
        return f"step of {frequency.count / frequency.scale:g}"
    name = {"month": "month", "business": "business day", "row": "row"}[frequency.unit]
    return name if frequency.count == 1 else f"{frequency.count} {name}s"


def to_text(frequency: Frequency) -> str | None:
    """A frequency as a recipe writes it; None for a step of times that are numbers, which is looked for again."""
    if frequency.unit == "second":
        units = ((DAY, "d"), (3600, "h"), (60, "min"), (1, "s"))
        seconds, name = next((s, n) for s, n in units if frequency.count % s == 0)
        return f"{frequency.count // seconds}{name}"
    return {"month": f"{frequency.count}mo", "business": "b", "row": "row", "number": None}[frequency.unit]


def from_text(text: str) -> Frequency:
    """`15min`, `1h`, `d`, `1w`, `3mo`, `1y`, `b` (business day) or `row`. Errors: DataError."""
    digits = "".join(c for c in text if c.isdecimal())
    unit, count = text[len(digits) :].strip().lower(), int(digits[:9] or 1)
    seconds = {"s": 1, "min": 60, "h": 3600, "d": DAY, "w": 7 * DAY}
    if text.startswith(digits) and len(digits) < 9 and count:
        if unit in seconds:
            return Frequency(unit="second", count=count * seconds[unit])
        if unit in ("mo", "q", "y"):
            return Frequency(unit="month", count=count * {"mo": 1, "q": 3, "y": 12}[unit])
        if unit in ("b", "row") and not digits:
            return Frequency(unit="business" if unit == "b" else "row")
    raise DataError(f"task.step: '{text[:40]}' is not a step. Write 15min, 1h, 1d, 1w, 1mo, 1q, 1y, b or row.")


# the grid that times lie on. `codes`: the series of each row; `stamps`: its time; rows in order, series by series


def align(frequency: Frequency, codes: np.ndarray, stamps: np.ndarray) -> Frequency:
    """A frequency of a recipe on the grid that the times lie on; where it is coarser than they are, its steps begin
    with the hour, the day, the Monday or the month, and hold all rows up to the next.
    """
    gaps = _gaps(codes, stamps)
    unit = {"month": 30 * DAY, "business": DAY}.get(frequency.unit, 1)
    if frequency.unit == "row" or not len(gaps) or 2 * np.median(gaps) > frequency.count * unit:
        return _with_phase(frequency, stamps)
    phase = 1 if frequency.unit == "month" else MONDAY if frequency.count % (7 * DAY) == 0 else 0
    return frequency.model_copy(update={"phase": phase, "bins": True})


def infer(codes: np.ndarray, times: Timestamps, stamps: np.ndarray, name: str) -> tuple[Frequency, list[str]]:
    """The frequency that most rows follow, and what to say of it. `name`: the column of times."""
    gaps = _gaps(codes, stamps)
    if not len(gaps):
        return Frequency(unit="row"), []
    common = _usual(gaps, times.are_dates)
    if not times.are_dates:
        frequency = Frequency(unit="number", count=common, scale=times.scale)
    elif _are_months(gaps, common):
        frequency = Frequency(unit="month", count=max(1, round(float(np.median(gaps)) / (30.44 * DAY))))
    elif common == DAY and bool(((stamps // DAY + 3) % 7 < 5).all()) and len(stamps) > 10:
        frequency = Frequency(unit="business")
    else:
        frequency = Frequency(unit="second", count=common)
    frequency = _with_phase(frequency, stamps)
    steps = positions(codes, stamps, frequency)
    filled = 1 + int(((np.diff(steps) != 0) | (np.diff(codes) != 0)).sum())
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    span = int((steps[np.append(starts[1:], len(codes)) - 1] - steps[starts] + 1).sum())
    if filled < SPARSE * span:
        note = f"The times in '{name}' are too uneven for a grid: each row is taken as one step."
        return Frequency(unit="row"), [note]
    return frequency, []


def positions(codes: np.ndarray, stamps: np.ndarray, frequency: Frequency) -> np.ndarray:
    """The number of each row's step on the grid."""
    if frequency.unit in ("second", "number"):
        return (stamps - frequency.phase + (0 if frequency.bins else frequency.count // 2)) // frequency.count
    if frequency.unit == "month":
        return (stamps.astype("M8[s]").astype("M8[M]").astype(np.int64) - frequency.phase // 32) // frequency.count
    if frequency.unit == "business":
        return np.busday_count(np.datetime64("1970-01-01"), stamps.astype("M8[s]").astype("M8[D]"))
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    return np.arange(len(codes)) - np.repeat(starts, np.diff(np.append(starts, len(codes))))


def to_times(index: np.ndarray, frequency: Frequency) -> np.ndarray:
    """Step numbers as times (datetime64 in seconds), or as the numbers that stand for them."""
    if frequency.unit == "second":
        return (index * frequency.count + frequency.phase).astype("M8[s]")
    if frequency.unit == "month":
        month = (index * frequency.count + frequency.phase // 32).astype("M8[M]")
        last = ((month + 1).astype("M8[D]") - month.astype("M8[D]")).astype(np.int64)
        return (month.astype("M8[D]") + np.clip(frequency.phase % 32, 1, last) - 1).astype("M8[s]")
    if frequency.unit == "business":
        days = np.busday_offset(np.datetime64("1970-01-01"), index, roll="forward")
        return np.asarray(days).astype("M8[s]") + np.timedelta64(frequency.phase, "s")
    whole = index * frequency.count + frequency.phase
    return whole if frequency.scale == 1 else whole / frequency.scale


def future_times(index: np.ndarray, frequency: Frequency) -> np.ndarray:
    """`to_times` of steps still to come. Errors: DataError where they lie behind the calendar's end."""
    latest = int(index.max()) * frequency.count  # a Python number, which does not run over
    days = {
        "second": (latest + frequency.phase) / DAY,
        "business": latest / 5 * 7,
        "month": (latest + 1) * 30.436_875,
    }
    if days.get(frequency.unit, 0) >= DAYS[1]:
        step = describe(frequency)
        raise DataError(f"rows: the steps ahead, each a {step}, lie after the year 9998. Send earlier times.")
    return to_times(index, frequency)


def _with_phase(frequency: Frequency, stamps: np.ndarray) -> Frequency:
    """A frequency on the grid that most of the times lie on."""
    if frequency.unit == "month":
        stamp = stamps.astype("M8[s]")
        month = stamp.astype("M8[M]")
        days = (stamp.astype("M8[D]") - month.astype("M8[D]")).astype(np.int64) + 1
        ends = ((month + 1).astype("M8[D]") - stamp.astype("M8[D]")).astype(np.int64) == 1
        day = 31 if ends.all() else int(_mode(days)[0])
        phase = int(_mode(month.astype(np.int64) % frequency.count)[0]) * 32 + day
        return frequency.model_copy(update={"phase": phase})
    if frequency.unit == "row":
        return frequency
    length = DAY if frequency.unit == "business" else frequency.count
    place, share = _mode(stamps % length)
    if share < COMMON:  # jittered times: the middle of where they lie
        turn = np.exp(2j * np.pi * (stamps % length) / length).mean()
        place = round(float(np.angle(turn)) / (2 * np.pi) * length) % length
    return frequency.model_copy(update={"phase": int(place)})


def _mode(values: np.ndarray) -> tuple[int, float]:
    """What is there most often, and its share."""
    distinct, counts = np.unique(values, return_counts=True)
    return int(distinct[counts.argmax()]), float(counts.max() / len(values))


def median_gap(codes: np.ndarray, stamps: np.ndarray) -> float:
    """The middle one of the gaps between rows, 0 where there is none."""
    gaps = _gaps(codes, stamps)
    return float(np.median(gaps)) if len(gaps) else 0.0


def _gaps(codes: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    gaps = np.diff(stamps)[np.diff(codes) == 0]
    return gaps[gaps > 0]


def _usual(gaps: np.ndarray, are_dates: bool) -> int:
    """The gap there is most often; where none is common, the round number next to the middle one."""
    common, share = _mode(gaps)
    middle = float(np.median(gaps))
    near = min(ROUND, key=lambda n: abs(n - middle)) if are_dates else float(f"{middle:.1g}")
    return common if share >= COMMON or abs(near - middle) > NEAR * middle else max(1, round(near))


def _are_months(gaps: np.ndarray, common: int) -> bool:
    """Whether gaps are those of months, quarters or years, and not of so many days, such as four weeks."""
    even = len(gaps) >= 4 and common % DAY == 0 and (gaps % common == 0).mean() > 0.95
    return common >= 28 * DAY and bool((gaps >= 28 * DAY).mean() > 0.9) and not even
