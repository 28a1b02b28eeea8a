"""Which columns say when a row is from: one of times, several named year, month ..., a day and a clock, or a number
that counts on. What looks like times and cannot be read is an error: the order of rows is no time.
"""

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError, RecipeError
from lamina.preprocess import parse_columns, settings, time
from lamina.schema import Column, Schema
from lamina.tasks.forecasting import time_index
from lamina.tasks.forecasting.state import Config

NAMED = re.compile(
    r"(?i)((.*[_ .-])?(date|time|datetime|timestamp|datum|zeit|fecha|ds|ts|month|monat|week|woche|quarter|day|tag|hour"
    r"|stunde|period))([_ .-](time|utc|local|at|from|begin|start))?"
)
COUNTED = re.compile(
    r"(?i)t|ts|ds|(time|date)([_ ]?(step|id|index|idx))?|datetime|timestamp|step|tick|period|second|minute|hour|day"
    r"|week|month|quarter|epoch|(time[_ ](in[_ ])?)?cycles?"
)
SIMILAR = 0.5  # share of cells that read as times, from which on a column looks like them
SAMPLE = 1_000
FEW = 12  # different cells, up to which a column rather names a part of the year
EVEN = 0.6
ANOTHER = "say another with --set task.time=COLUMN"


class TimeColumns(NamedTuple):
    """The columns that say when, what to say of how they were found, and those that have to be read otherwise;
    `repeats`: they are the time only where a column tells series apart.
    """

    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    changes: tuple[Column, ...] = ()
    repeats: bool = False


def find(cfg: Config, schema: Schema, table: pa.Table, others: Collection[str], kinds: Collection[str]) -> TimeColumns:
    """What the recipe says, else what the columns show; `others` are no times, and of `kinds` the recipe says the kind.
    Errors: DataError, RecipeError.
    """
    columns = [column for column in schema.columns if column.name not in others]
    if cfg.time:
        return _by_recipe(cfg.time, schema, table)
    if times := [column for column in columns if column.kind == "time" and not _is_clock(column)]:
        best = _most_even(times, table)
        several = len(times) > 1
        notes = (f"'{best.name}' was taken as the time; {ANOTHER}.",) if several else ()
        clock = _clock(best, columns, table)
        if clock is None:
            return TimeColumns((best.name,), notes)
        note = (
            f"The time was made of '{best.name}' and the clock '{clock.name}'; --set task.time={best.name} is the day."
        )
        return TimeColumns((best.name, clock.name), (*notes, note))
    parts = _parts(columns)
    if len(parts) > 1:
        dates = tuple(_as_names(column, table) for column in columns if column.name in parts)
        return TimeColumns(parts, (f"The time was made of the columns {', '.join(parts)}.",), dates)
    if clock := next(filter(_is_clock, columns), None):
        cure = f"Give one of the days too, or take the rows in their order: --set columns.{clock.name}=ignore."
        raise DataError(f"time: column '{clock.name}' holds times of day, and no column holds the days. {cure}")
    open_columns = [column for column in columns if column.name not in kinds]
    if unread := next((column for column in open_columns if _looks_like_times(column, table)), None):
        raise DataError(_unread(unread, table))
    years = [column for column in columns if column.name in parts and _is_year(table[column.name])]
    counted = [column for column in open_columns if _counts(column, table)]
    for column in (*years, *counted):
        note = f"'{column.name}' was taken as the time; {ANOTHER}, or none with --set columns.{column.name}=ignore."
        repeats = column in counted and column.distinct < len(table[column.name]) - column.missing
        return TimeColumns((column.name,), (note,), repeats=repeats)
    return TimeColumns(())


def _by_recipe(names: tuple[str, ...], schema: Schema, table: pa.Table) -> TimeColumns:
    words = [name.lower() for name in names]
    if len(names) == 1:
        return TimeColumns(names)
    if "year" in words and set(words) <= {*time_index.PARTS, *time_index.SPANS}:
        return TimeColumns(names, (), tuple(_as_names(c, table) for c in schema.columns if c.name in names))
    columns = {column.name: column for column in schema.columns}
    day = columns.get(next(iter(names)))
    clock = _clock(day, [column for column in schema.columns if column.name in names], table)
    if len(names) == 2 and clock:
        return TimeColumns(names)
    got = ", ".join(names)
    why = "must be named year, month, quarter, week, day, hour, minute, or be a day and its clock"
    raise RecipeError([f"task.time: several columns {why} (got {got})."])


def _most_even(times: list[Column], table: pa.Table) -> Column:
    """The column whose different times are the most even and complete; of equals, the first."""
    if len(times) == 1:
        return times[0]
    cells = parse_columns(table, tuple(times))
    return max(times, key=lambda column: round(time.regularity(_present(cells[column.name])), 1))


def _present(cells: pa.ChunkedArray) -> np.ndarray:
    return cells.drop_null().cast(pa.int64()).to_numpy()


def _clock(day: Column | None, columns: Iterable[Column], table: pa.Table) -> Column | None:
    """The column of clock times that goes with one of days that come again; None where there is none."""
    clock = next((column for column in columns if _is_clock(column)), None)
    if day is None or day.kind != "time" or _is_clock(day) or clock is None:
        return None
    days = _present(parse_columns(table, (day,))[day.name])
    return clock if len(np.unique(days)) < len(days) and not (days % time_index.DAY).any() else None


def _is_clock(column: Column) -> bool:
    cfg = settings(column) if column.kind == "time" else None
    return isinstance(cfg, time.Config) and not time.has_day(cfg)


def _parts(columns: list[Column]) -> tuple[str, ...]:
    """Columns named year, month (or quarter, or week), day ..., as far as they go on from the year."""
    names = {column.name.lower(): column.name for column in columns}
    span = next((word for word in time_index.SPANS if word in names and "month" not in names), None)
    parts = list[str]()
    for word in ("year", span) if span else time_index.PARTS:
        if word not in names:
            break
        parts.append(names[word])
    return tuple(parts)


def _as_names(column: Column, table: pa.Table) -> Column:
    """A column of months or quarters, as times where these have names, such as Jan and Q1."""
    cells = table[column.name].combine_chunks().drop_null()
    form = time.fitting(cells.unique(), ["%b", "Q%q"]) if pa.types.is_string(cells.type) else None
    return column.model_copy(update={"kind": "time", "settings": {"format": form}}) if form else column


def _is_year(cells: pa.ChunkedArray) -> bool:
    """Whether cells are whole numbers that years have."""
    years = cells.cast(pa.string()).drop_null()
    return len(years) > 0 and bool(pc.all(pc.match_substring_regex(years, r"^[12]\d{3}([.]0)?$")).as_py())


def _looks_like_times(column: Column, table: pa.Table) -> bool:
    """Whether texts look like times, by half of them or by the column's name, though they could not be read."""
    cells = table[column.name].combine_chunks().drop_null()
    if not pa.types.is_string(cells.type) or not len(cells) or column.kind in ("number", "boolean"):
        return False
    sample = cells.slice(0, SAMPLE)
    if time.share(sample) >= SIMILAR:
        return True
    with_digits = pc.match_substring_regex(sample, r"\d").true_count >= 0.95 * len(sample)
    return bool(NAMED.fullmatch(column.name)) and with_digits and column.distinct > min(FEW, len(cells) // 2)


def _unread(column: Column, table: pa.Table) -> str:
    cells = table[column.name].drop_null()
    got = str(cells[len(cells) // 2].as_py())[:40]
    cure = f"Say how they are written: --set 'columns.{column.name}.format=%d %b %Y'. "
    cure += f"If they are none: --set columns.{column.name}=category, or another column with --set task.time=COLUMN."
    return f"time: column '{column.name}' looks like times that cannot be read (such as {got!r}). {cure}"


def _counts(column: Column, table: pa.Table) -> bool:
    """Whether a column is named as time is and holds numbers, which are even and complete."""
    if column.kind not in ("number", "identifier") or not COUNTED.fullmatch(column.name):
        return False
    numbers = time_index.numbers(parse_columns(table, (_as_number(column),))[column.name])
    numbers = numbers[np.isfinite(numbers)]
    scaled = np.round(numbers * 1_000)
    if not len(numbers) or np.abs(scaled).max() > time_index.EXACT:
        return False
    return time.regularity(scaled.astype(np.int64)) >= EVEN


def _as_number(column: Column) -> Column:
    return column.model_copy(update={"kind": "number", "settings": column.settings if column.kind == "number" else {}})
