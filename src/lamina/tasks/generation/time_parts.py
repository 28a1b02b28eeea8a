"""Times as a generator learns them: the day, or week and weekday, and the clock, each by itself, as clocks show them;
and how they are written.

So working hours stay working hours, and nobody works on Sundays where nobody did. The zone is one more choice.
"""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import privacy
from lamina.preprocess import _time_formats, time
from lamina.preprocess._time_detection import NUMBERS, regularity
from lamina.schema import Column, Schema
from lamina.tasks.generation import column_values, number_modes, time_spellings
from lamina.tasks.generation.state import ColumnModes

DAY, WEEK = 86_400, 604_800
UNEVEN = 1e-6  # chance below which weekdays are not all alike
ISO = {86_400: "%Y-%m-%d", 3_600: "%Y-%m-%dT%H:%M", 60: "%Y-%m-%dT%H:%M", 1: "%Y-%m-%dT%H:%M:%S"}
COMPACT = ("%d%m%Y", "%m%d%Y", "%Y%d%m", "%y%m%d", "%d%m%y", "%m%d%y")  # dates without marks
FEWEST = 20  # different dates
SUMMERS = (  # one zone for each way to have summers
    *("Europe/Berlin", "Europe/London", "Europe/Athens", "America/New_York", "America/Chicago", "America/Denver"),
    *("America/Los_Angeles", "America/Halifax", "America/Anchorage", "Australia/Sydney", "Australia/Adelaide"),
    *("Pacific/Auckland", "America/Santiago", "Asia/Jerusalem"),
)
YEARS = (-2_208_988_800, 4_102_444_800)  # 1900 to 2100, of such dates


def with_dates(table: pa.Table, schema: Schema) -> tuple[Schema, tuple[str, ...]]:
    """The schema in which columns of dates without marks, such as 31012024, are times; and a note on each."""
    columns, notes = list[Column](), list[str]()
    for column in schema.columns:
        form = _compact(column_values.raw(table, column)) if column.kind in ("category", "identifier") else None
        if form is not None:
            settings = {"format": form}
            column = column.model_copy(update={"kind": "time", "settings": settings, "note": f"read by {form}"})
            cure = f"--set columns.{column.name}=category"
            notes.append(f"'{column.name}' is read as dates by {form}. To say otherwise: {cure}")
        columns.append(column)
    return schema.model_copy(update={"columns": tuple(columns)}), tuple(notes)


def _compact(cells: pa.Array) -> str | None:
    """The format of dates without marks in which all texts are written; where several are, the most even one."""
    if not pa.types.is_string(cells.type):
        return None
    words = pc.unique(cells.drop_null())
    if len(words) < FEWEST or not pc.all(pc.match_substring_regex(words, r"^(\d{6}|\d{8})$")).as_py():
        return None
    fits = dict[str, float]()
    for form in COMPACT:
        stamps = _time_formats.seconds(words, form)
        if not stamps.null_count:
            seconds = stamps.cast(pa.int64()).to_numpy()
            if seconds.min() >= YEARS[0] and seconds.max() < YEARS[1]:
                fits[form] = regularity(seconds)
    return max(fits, key=lambda form: fits[form]) if fits else None


def writing(cells: pa.Array, column: Column, seconds: np.ndarray) -> dict[str, Any]:
    """The unit of a column of times, and how its cells are written."""
    present = seconds[~np.isnan(seconds)]
    unit = column_values.unit_of(present)
    settings: dict[str, Any] = {"unit": unit, "decimals": 0}
    form = column.settings.get("unit") or column.settings.get("format") or ISO[unit]
    if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
        form = "date" if pa.types.is_date(cells.type) else "moment"
        return settings | {"form": form, "dtype": str(cells.type)}
    if not pa.types.is_string(cells.type):
        return settings | {"form": form, "dtype": str(cells.type)}
    if column.settings.get("unit"):
        return settings | {"form": form}
    spelling, fraction = _spelling(cells, column)
    settings |= {"form": form, "spelling": spelling, "fraction": fraction}
    if name := _summer_zone(cells, column, seconds):
        marks = any(":" in time_spellings.zone_of(cell) for cell in cells.drop_null().slice(0, FEWEST).to_pylist())
        settings |= {
            "dtype": f"timestamp[s, tz={name}]",
            "spelling": spelling if marks else spelling.replace("%z", "%-z"),
        }
    return settings


def _summer_zone(cells: pa.Array, column: Column, seconds: np.ndarray) -> str:
    """The name of a zone whose summers and winters all texts follow; "" where they have one offset, or no such zone."""
    offsets = column_values.clock_of(cells, column) - seconds
    present = ~np.isnan(offsets)
    words = [time_spellings.zone_of(cell) for cell in cells.drop_null().unique().to_pylist()]
    if len(np.unique(offsets[present])) < 2 or not all(word[:1] in ("+", "-") for word in words):
        return ""
    stamps = pa.array(seconds[present].astype(np.int64)).cast(pa.timestamp("s"))
    for name in SUMMERS:
        clock = pc.local_timestamp(stamps.cast(pa.timestamp("s", name))).cast(pa.int64()).to_numpy()
        if (clock - seconds[present] == offsets[present]).all():
            return name
    return ""


def _spelling(cells: pa.Array, column: Column) -> tuple[str, int]:
    """How texts are written, and how many digits stand behind the seconds."""
    form = column.settings.get("format")
    cfg = time.Config(format=form)
    readable = cells.filter(pc.is_valid(time.parse(cells, cfg)))
    clock = time.clock(readable, cfg).cast(pa.int64()).to_numpy(zero_copy_only=False)
    spelling = time_spellings.learn(readable, clock, form)
    if form in NUMBERS.values() and not spelling:
        spelling = str(form)
    digits = Counter(len(time_spellings.fraction_of(cell)) for cell in readable.slice(0, 1000).to_pylist())
    return spelling, digits.most_common(1)[0][0] if "%f" in spelling else 0


def zone(table: pa.Table, column: Column, named: bool) -> tuple[ColumnModes, ...]:
    """The zones that texts end with, as they are written, as one more part; () where they have none, or one whose name
    is known.
    """
    cells = column_values.raw(table, column)
    if not pa.types.is_string(cells.type) or column.settings.get("unit") or named:
        return ()
    names = Counter(time_spellings.zone_of(cell) for cell in cells.drop_null().to_pylist())
    frequent = [(name, n) for name, n in names.most_common() if n >= privacy.MIN_ROWS]
    if not frequent or frequent[0][0] == "":
        return ()
    frequent = [(name, n) for name, n in frequent if name]
    total = sum(n for _, n in frequent)
    values, shares = tuple(name for name, _ in frequent), tuple(n / total for _, n in frequent)
    return (ColumnModes(name="zone", kind="category", values=values, shares=shares),)


def fit(table: pa.Table, column: Column, unit: int) -> tuple[ColumnModes, ...]:
    """Week and weekday, or the day, and the clock; () where times are days that are all alike, or clocks alone."""
    clock = column_values.clocks(table, column)
    clock = clock[~np.isnan(clock)]
    days = np.floor(clock / DAY)
    if len(np.unique(days)) < 2 or DAY % unit:
        return ()
    weekdays = np.bincount(((days + 3) % 7).astype(int), minlength=7)
    uneven = _chance(weekdays) < UNEVEN and len(np.unique(days)) > 14
    parts = list[ColumnModes]()
    if uneven:
        shifted = days * DAY + DAY * 3
        parts += [_part("week", np.floor(shifted / WEEK), WEEK), _part("weekday", (days + 3) % 7, DAY)]
    elif unit < DAY:
        parts.append(_part("day", days, DAY))
    if unit < DAY:
        parts.append(_part("clock", (clock % DAY) / unit, unit))
    return tuple(parts)


def _part(name: str, numbers: np.ndarray, unit: int) -> ColumnModes:
    modes = number_modes.fit(numbers, 0)
    step = number_modes.step(numbers, 0) if not modes.get("grid") else {}
    return ColumnModes(name=name, kind="number", form="whole", decimals=0, unit=unit, **modes, **step)


def _chance(counts: np.ndarray) -> float:
    """How likely days as uneven as these are, were all weekdays alike."""
    from scipy.stats import chisquare

    return float(chisquare(counts).pvalue)


def take_apart(clock: np.ndarray, parts: tuple[ColumnModes, ...]) -> list[np.ndarray]:
    """The parts of times (rows,) in seconds, each in its unit."""
    weekly = parts[0].name == "week"
    rest, values = clock + (3 * DAY if weekly else 0), list[np.ndarray]()
    for part in parts:
        values.append(np.floor(rest / part.unit))
        rest = rest - values[-1] * part.unit
    return values


def put_together(values: list[np.ndarray], parts: tuple[ColumnModes, ...]) -> np.ndarray:
    """Times (rows,) in seconds, of their parts."""
    weekly = parts[0].name == "week"
    total = sum((value * part.unit for value, part in zip(values, parts, strict=True)), np.zeros(len(values[0])))
    return total - (3 * DAY if weekly else 0)
