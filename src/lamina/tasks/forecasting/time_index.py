"""The even grid of time that rows of series are put on: times as whole numbers, the step between them, and back."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError
from lamina.schema import DAYS
from lamina.tasks.forecasting import Step

DAY = 86_400
MONDAY = 4 * DAY  # the first one after 1970 began
CLOCK = ("year", "month", "day", "hour", "minute")
BOUNDS = {"year": (1, 9998), "month": (1, 12), "day": (1, 31), "hour": (0, 24), "minute": (0, 59)}
SPARSE = 0.6  # share of grid steps that rows must fill, or each row is a step
COMMON = 0.2  # share of the gaps that one must have to be the step, or the times are taken to be jittered
NEAR = 0.1  # of the median gap: a round number is then the step of jittered times
ROUND = (
    *(1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800),
    *(3600, 7200, 10_800, 14_400, 21_600, 28_800, 43_200, DAY, 7 * DAY),
)
FINEST = 1_000_000  # parts of one that a time given as a number may have
EXACT = 2.0**53


class Clock(NamedTuple):
    """Times of rows as whole numbers: seconds since 1970 where they are `moments`, else numbers times `scale`."""

    stamps: np.ndarray
    there: np.ndarray
    moments: bool
    scale: int


def clock(cells: pa.Table, names: tuple[str, ...], scale: int | None) -> Clock:
    """The times of typed cells; of no column, the order of the rows. Without a `scale` it is found."""
    if not names:
        return Clock(np.arange(cells.num_rows), np.ones(cells.num_rows, bool), False, 1)
    if len(names) > 1:
        stamps, there = _joined({name.lower(): floats(cells[name]) for name in names})
        return Clock(stamps, there, True, 1)
    column = next(cells[name] for name in names).combine_chunks()
    if pa.types.is_timestamp(column.type):
        there = pc.is_valid(column).to_numpy(zero_copy_only=False)
        return Clock(pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False), there, True, 1)
    values = floats(column)
    scale = scale or _scale(values)
    there = np.isfinite(values) & (np.abs(np.nan_to_num(values)) < EXACT / scale)
    return Clock((np.where(there, values, 0) * scale).round().astype(np.int64), there, False, scale)


def floats(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)


def _joined(parts: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since 1970 of years, months, days, hours and minutes; what no calendar has is no time."""
    there = np.ones(len(parts["year"]), bool)
    for name, values in parts.items():
        low, high = BOUNDS[name]
        there &= (values >= low) & (values <= high) & (np.floor(values) == values)
    first = {name: np.full(len(there), 1 if name in CLOCK[:3] else 0) for name in CLOCK}
    said = first | {name: np.where(there, values, 1).astype(np.int64) for name, values in parts.items()}
    months = ((said["year"] - 1970) * 12 + said["month"] - 1).astype("M8[M]")
    days = months.astype("M8[D]").astype(np.int64) + said["day"] - 1
    there &= days < (months + 1).astype("M8[D]").astype(np.int64)
    return days * DAY + said["hour"] * 3600 + said["minute"] * 60, there


def _scale(values: np.ndarray) -> int:
    """By what numbers must be multiplied to be whole."""
    known = np.abs(values[np.isfinite(values)])
    for scale in (1, 10, 100, 1_000, 10_000, 100_000):
        grown = known * scale
        if (np.abs(grown - grown.round()) < 1e-3).all():
            return scale
    return FINEST if known.max() < EXACT / FINEST else 1


def said(step: Step) -> str:
    """A step as a person would say it."""
    if step.unit == "second":
        for seconds, name in ((7 * DAY, "week"), (DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
            if step.count % seconds == 0:
                count = step.count // seconds
                return name if count == 1 else f"{count} {name}s"
    if step.unit == "number":
        return f"{step.count / step.scale:g}"
    name = {"month": "month", "business": "business day", "row": "row"}[step.unit]
    return name if step.count == 1 else f"{step.count} {name}s"


def written(step: Step) -> str | None:
    """A step as a recipe writes it; None for a step of times that are numbers, which is found again."""
    if step.unit == "second":
        seconds, name = next((s, n) for s, n in ((DAY, "d"), (3600, "h"), (60, "min"), (1, "s")) if step.count % s == 0)
        return f"{step.count // seconds}{name}"
    return {"month": f"{step.count}mo", "business": "b", "row": "row", "number": None}[step.unit]


def read(text: str) -> Step:
    """`15min`, `1h`, `d`, `1w`, `3mo`, `1y`, `b` (business day) or `row` as a step."""
    digits = "".join(c for c in text if c.isdecimal())
    unit, count = text[len(digits) :].strip().lower(), int(digits[:9] or 1)
    seconds = {"s": 1, "min": 60, "h": 3600, "d": DAY, "w": 7 * DAY}
    if text.startswith(digits) and len(digits) < 9 and count:
        if unit in seconds:
            return Step(unit="second", count=count * seconds[unit])
        if unit in ("mo", "q", "y"):
            return Step(unit="month", count=count * {"mo": 1, "q": 3, "y": 12}[unit])
        if unit in ("b", "row") and not digits:
            return Step(unit="business" if unit == "b" else "row")
    raise DataError(f"task.step: '{text[:40]}' is not a step. Write 15min, 1h, 1d, 1w, 1mo, 1q, 1y, b or row.")


def asked(step: Step, code: np.ndarray, stamps: np.ndarray) -> Step:
    """A step that was asked for, on the grid that the times lie on; where it is coarser than they are, its steps begin
    with the hour, the day, the Monday or the month, and hold all rows up to the next.
    """
    gaps = _gaps(code, stamps)
    length = step.count * (30 * DAY if step.unit == "month" else DAY if step.unit == "business" else 1)
    if step.unit == "row" or not len(gaps) or 2 * np.median(gaps) > length:
        return phased(step, stamps)
    phase = 1 if step.unit == "month" else MONDAY if step.count % (7 * DAY) == 0 else 0
    return step.model_copy(update={"phase": phase, "bins": True})


def phased(step: Step, stamps: np.ndarray) -> Step:
    """A step on the grid that most of the times lie on."""
    if step.unit == "month":
        stamp = stamps.astype("M8[s]")
        month = stamp.astype("M8[M]")
        days = (stamp.astype("M8[D]") - month.astype("M8[D]")).astype(np.int64) + 1
        ends = ((month + 1).astype("M8[D]") - stamp.astype("M8[D]")).astype(np.int64) == 1
        day = 31 if ends.all() else int(_often(days)[0])
        return step.model_copy(update={"phase": int(_often(month.astype(np.int64) % step.count)[0]) * 32 + day})
    if step.unit == "row":
        return step
    length = DAY if step.unit == "business" else step.count
    place, share = _often(stamps % length)
    if share < COMMON:  # jittered times: the middle of where they lie
        turn = np.exp(2j * np.pi * (stamps % length) / length).mean()
        place = round(float(np.angle(turn)) / (2 * np.pi) * length) % length
    return step.model_copy(update={"phase": int(place)})


def _often(values: np.ndarray) -> tuple[int, float]:
    """What is there most often, and its share."""
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()]), float(counts.max() / len(values))


def _gaps(code: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    gaps = np.diff(stamps)[np.diff(code) == 0]
    return gaps[gaps > 0]


def found(code: np.ndarray, times: Clock, stamps: np.ndarray, name: str) -> tuple[Step, list[str]]:
    """The step that most rows follow, and what to say of it. `stamps`: in order, series by series."""
    gaps = _gaps(code, stamps)
    if not len(gaps):
        return Step(unit="row"), []
    common = _usual(gaps, times.moments)
    if not times.moments:
        step = Step(unit="number", count=common, scale=times.scale)
    elif _months(gaps, common):
        step = Step(unit="month", count=max(1, round(float(np.median(gaps)) / (30.44 * DAY))))
    elif common == DAY and bool(((stamps // DAY + 3) % 7 < 5).all()) and len(stamps) > 10:
        step = Step(unit="business")
    else:
        step = Step(unit="second", count=common)
    step = phased(step, stamps)
    steps = index(code, stamps, step)
    filled = 1 + int(((np.diff(steps) != 0) | (np.diff(code) != 0)).sum())
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    span = int((steps[np.append(starts[1:], len(code)) - 1] - steps[starts] + 1).sum())
    if filled < SPARSE * span:
        return Step(unit="row"), [f"The times in '{name}' are too uneven for a grid: each row is taken as one step."]
    return step, []


def _usual(gaps: np.ndarray, moments: bool) -> int:
    """The gap there is most often; where none is common, the round number next to the middle one."""
    common, share = _often(gaps)
    middle = float(np.median(gaps))
    near = min(ROUND, key=lambda n: abs(n - middle)) if moments else float(f"{middle:.1g}")
    return common if share >= COMMON or abs(near - middle) > NEAR * middle else max(1, round(near))


def _months(gaps: np.ndarray, common: int) -> bool:
    """Whether gaps are those of months, quarters or years, and not of so many days, such as four weeks."""
    even = len(gaps) >= 4 and common % DAY == 0 and (gaps % common == 0).mean() > 0.95
    return common >= 28 * DAY and bool((gaps >= 28 * DAY).mean() > 0.9) and not even


def index(code: np.ndarray, stamps: np.ndarray, step: Step) -> np.ndarray:
    """The number of each row's step on the grid."""
    if step.unit in ("second", "number"):
        return (stamps - step.phase + (0 if step.bins else step.count // 2)) // step.count
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
        return (month.astype("M8[D]") + np.clip(step.phase % 32, 1, last) - 1).astype("M8[s]")
    if step.unit == "business":
        days = np.busday_offset(np.datetime64("1970-01-01"), index, roll="forward")
        return np.asarray(days).astype("M8[s]") + np.timedelta64(step.phase, "s")
    whole = index * step.count + step.phase
    return whole if step.scale == 1 else whole / step.scale


def ahead(index: np.ndarray, step: Step) -> np.ndarray:
    """The same for steps still to come. Errors: DataError where they lie behind the calendar's end."""
    latest = int(index.max()) * step.count  # a Python number, which does not run over
    days = {"second": (latest + step.phase) / DAY, "business": latest / 5 * 7, "month": (latest + 1) * 30.436_875}
    if days.get(step.unit, 0) >= DAYS[1]:
        raise DataError(f"rows: the steps ahead, each a {said(step)}, lie after the year 9998. Send earlier times.")
    return times(index, step)
