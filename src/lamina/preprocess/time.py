"""Points in time: a trend plus the cyclic parts of the calendar, as sine and cosine.

Parts: time since the training median (robustly scaled), month, day of month, day of week, and hour of day when
the column has hours. Stamps with a zone are moved to UTC. Missing cells are zeros with an indicator.
"""

import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from lamina import config
from lamina.preprocess import _calendar, _time_formats, number
from lamina.preprocess._calendar import statistics
from lamina.preprocess._column_config import ColumnConfig
from lamina.preprocess._domain import Domain, of_times
from lamina.preprocess._time_background import background
from lamina.preprocess._time_detection import (
    ENOUGH,
    NUMBERS,
    PER_SECOND,
    fitting,
    guess,
    guess_number,
    regularity,
    sortedness,
    swapped,
)
from lamina.preprocess._time_formats import DAY, HOURS, OFFSET, SECONDS
from lamina.schema import DAYS, NUMBER_TEXT, Column, Input

ALIASES = ("date", "datetime", "timestamp")

UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
CLOCK_END = r"(:\d\d([.,]\d+)?|[ap][.]?m[.]?|T\d{2,6})"
ZONED = rf"(?i)((\d|m[.]?) ?({'|'.join(HOURS)})|{CLOCK_END} ?{OFFSET})( \d{{4}})?$"  # how a time with a zone ends

NAMED = re.compile(r"(?i)time|date|epoch|unix|stamp|(^|_)(ts|at|ds|utc|when)($|_)")  # of numbers that are times
DIGITS = r"^\d{8,19}([.]\d*)?$"
BINS, MANY = 16, 1 << 14  # pieces of the trend; cells, from which on equal ones are read once
TEXTS = {str, type(None)}


class Config(ColumnConfig):
    kind: Literal["time"] = "time"
    format: str | None = Field(default=None, description="how texts are written, such as `%d.%m.%Y`")
    unit: Literal["s", "ms", "us", "ns"] | None = Field(default=None, description="of numbers: time since 1970 in UTC")

    @field_validator("format")
    @classmethod
    def _check_format(cls, form: str | None) -> str | None:
        if form is not None:
            _time_formats.plain(form)
        return form


class State(config.Config):
    hours: bool
    trend: number.State
    missing: bool
    edges: tuple[tuple[float, ...], ...]


def detect(column: pa.Array) -> tuple[float, dict[str, Any]]:
    """Arrow times; text of which at least 95 % reads by one format; numbers such as 20240131 or seconds since 1970.

    Of formats that read equally well the one counts by which the times are even and complete, then month first. Numbers
    of seconds that are no whole minutes are times where the column's name says so too (`NAMED`).
    """
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return 1.0, {}
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return guess_number(column)
    if not pa.types.is_string(column.type):
        return 0.0, {}
    if len(column) and pc.all(pc.match_substring_regex(column, DIGITS)).as_py():
        return guess_number(column.cast(pa.float64()))
    share, form = guess(column)
    return (0.95, {"format": form} if form else {}) if share >= ENOUGH else (0.0, {})


def agree(columns: Sequence[Column], table: pa.Table, kinds: Collection[str]) -> tuple[Column, ...]:
    """Columns of which both orders of day and month fit, in the order that another column of the table proves; not
    those of `kinds`, whose settings were given.
    """
    forms = {c.name: str(c.settings.get("format")) for c in columns if c.kind == "time" and c.name not in kinds}
    forms = {name: form for name, form in forms.items() if swapped(form) and pa.types.is_string(table[name].type)}
    others = {name: fitting(table[name].combine_chunks().drop_null(), [str(swapped(forms[name]))]) for name in forms}
    proofs = {_is_day_first(forms[name]): name for name, other in others.items() if other is None}
    changes = dict[str, Column]()
    for column in columns if len(proofs) == 1 else ():
        other = others.get(column.name)
        if other is not None and _is_day_first(other) in proofs:
            note = f"read by {other}, as '{proofs[_is_day_first(other)]}' shows"
            changes[column.name] = column.model_copy(update={"settings": {"format": other}, "note": note})
    return tuple(changes.get(column.name, column) for column in columns)


def _is_day_first(form: str) -> bool:
    return form.index("%d") < form.index("%m")


def share(column: pa.Array) -> float:
    """The share of text cells that are written as times are, by one format."""
    return guess(column)[0]


def describe(column: pa.Array, cfg: Config) -> str:
    """How times were read, and what else could have been meant."""
    if cfg.unit is not None:
        return f"{UNITS[cfg.unit]} since 1970; numbers that mean none: --set columns.{{name}}.kind=number"
    if cfg.format is None or not pa.types.is_string(column.type):
        return "" if cfg.format is None else f"read by {cfg.format}"
    if not has_day(cfg):
        return f"times of day, read by {cfg.format}"
    years = "; years 69 to 99 are of 1900" if "%y" in cfg.format else ""
    other = fitting(column, filter(None, [swapped(cfg.format)]))
    also = f", and {other} fits all cells too: --set columns.{{name}}.format={other}" if other else ""
    return f"read by {cfg.format}{years}{also}"


def remark(column: pa.Array, cfg: Config) -> str:
    """What is to be said of cells that are there and cannot be read; "" where all can. No cell is quoted."""
    present = column.drop_null()
    bad = parse(present, cfg).null_count
    by = cfg.format or ("numbers since 1970" if cfg.unit else "ISO 8601")
    also = hint(present, cfg)
    return f"{bad:,} of {len(present):,} times are not written by {by}{also and '; '}{also}." if bad else ""


def hint(column: pa.Array, cfg: Config) -> str:
    """How cells of which some cannot be read look to be written; "" where it cannot be told."""
    if other := other_order(column, cfg):
        return f"only {other} fits all, so that day and month are in each other's place in those that were read"
    share, settings = detect(column.drop_null())
    return f"they look like {settings.get('format', settings.get('unit', 'ISO 8601'))}" if share else ""


def has_day(cfg: Config) -> bool:
    """Whether times are of a day, and not of a clock alone."""
    return not _time_formats.is_clock(cfg.format)


def other_order(column: pa.Array, cfg: Config) -> str | None:
    """The format with day and month in each other's place, where it alone fits all cells that are there."""
    other, present = swapped(cfg.format), column.drop_null()
    if other is None or not pa.types.is_string(column.type) or not parse(present, cfg).null_count:
        return None
    return fitting(present, [other])


def parse(column: pa.Array, cfg: Config) -> pa.Array:
    """Cells to seconds since 1970 in UTC as a timestamp without zone. Text that is not of the column's format is read
    too where it can mean one moment only, because it begins with the year: ISO 8601, `2024-03`, `2024/3/1`.
    """
    return _stamps(column, cfg, on_clock=False)


def clock(column: pa.Array, cfg: Config) -> pa.Array:
    """The same as clocks showed it in the zone of each cell."""
    return _stamps(column, cfg, on_clock=True)


def zone(column: pa.Array, cfg: Config) -> str | None:
    """The zone that cells are in, by its name or as `+02:00`: of text that of the latest; None where they have none."""
    if pa.types.is_timestamp(column.type):
        return column.type.tz
    if not pa.types.is_string(column.type) or cfg.unit is not None:
        return None
    present = column.filter(pc.match_substring_regex(column, ZONED))
    if not len(present) or not ({"%z", "%Z"} & set(re.findall("%.", cfg.format or "%z"))):
        return None
    moments = parse(present, cfg).cast(pa.int64())
    latest = pc.index(moments, pc.max(moments)).as_py()
    if latest < 0:
        return None
    offset = clock(present[latest : latest + 1], cfg).cast(pa.int64())[0].as_py() - moments[latest].as_py()
    return f"{'-' if offset < 0 else '+'}{abs(offset) // 3600:02}:{abs(offset) // 60 % 60:02}" if offset else "UTC"


def _stamps(column: pa.Array, cfg: Config, on_clock: bool) -> pa.Array:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        if pa.types.is_timestamp(kind) and kind.tz:
            column = pc.local_timestamp(column) if on_clock else column.cast(pa.timestamp(kind.unit, "UTC"))
        return column.cast(SECONDS, safe=False)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if cfg.unit is not None:
            return _since_1970(column.cast(pa.float64(), safe=False), cfg.unit)
        if cfg.format is None:
            return pa.nulls(len(column), SECONDS)
        whole = column if pa.types.is_integer(kind) else pc.if_else(pc.is_finite(column), column, None)
        column = whole.cast(pa.int64(), safe=False).cast(pa.string())  # such as 20240301 by %Y%m%d
    if not pa.types.is_string(column.type):
        return pa.nulls(len(column), SECONDS)
    iso = _time_formats.iso(column, on_clock) if cfg.format is None and cfg.unit is None else None
    if iso is not None and iso.null_count == column.null_count:
        return iso
    if len(column) > MANY:
        encoded = column.dictionary_encode()
        if 2 * len(encoded.dictionary) < len(column):
            return _text(encoded.dictionary, cfg, on_clock).take(encoded.indices)
    return _text(column, cfg, on_clock)


def _since_1970(numbers: pa.Array, unit: str) -> pa.Array:
    seconds = pc.floor(pc.divide(numbers, float(PER_SECOND[unit])))
    inside = pc.and_kleene(pc.greater_equal(seconds, DAYS[0] * DAY), pc.less(seconds, DAYS[1] * DAY))
    return pc.if_else(inside, seconds, None).cast(pa.int64()).cast(SECONDS)


def _text(column: pa.Array, cfg: Config, on_clock: bool) -> pa.Array:
    if cfg.unit is not None:
        plain = pc.match_substring_regex(column, NUMBER_TEXT)
        numbers = pc.if_else(plain, column, pa.scalar(None, pa.string())).cast(pa.float64())
        stamps = _since_1970(numbers, cfg.unit)
    elif cfg.format is not None:
        if cfg.format in NUMBERS.values():
            column = pc.replace_substring_regex(column, r"^(\d+)[.]0*$", r"\1")
        stamps = _time_formats.seconds(column, cfg.format, on_clock)
    else:
        return _time_formats.seconds(column, None, on_clock)
    if stamps.null_count == column.null_count:
        return stamps
    rest = pc.if_else(stamps.is_null(), column, pa.scalar(None, pa.string()))
    return stamps.fill_null(_time_formats.seconds(rest, None, on_clock))


def fit(values: pa.Array, cfg: Config) -> State:
    present = values.drop_null()
    hours = bool(len(present)) and pc.any(pc.not_equal(pc.hour(present), 0)).as_py()
    trend = number.fit(present.cast(pa.int64()).cast(pa.float64(), safe=False), number.Config(bins=BINS))
    edges = [trend.edges, *_calendar.edges(hours, BINS)]
    missing = values.null_count > 0
    edges += [(0.0, 1.0)] if missing else []
    trend = trend.model_copy(update={"missing": False, "histogram": None})  # time goes on, which is no drift
    return State(hours=hours, trend=trend, missing=missing, edges=tuple(edges))


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, 7 to 10) float32: trend, then sine and cosine of each cycle, then the missing indicator."""
    absent = pc.is_null(values).to_numpy(zero_copy_only=False)
    seconds = pc.fill_null(values.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return encoder([state])(np.where(absent, np.nan, seconds)[:, None])


def encoder(states: Sequence[State]) -> Callable[[np.ndarray], np.ndarray]:
    """The same of seconds (rows, columns), NaN where one is missing, for several columns side by side."""
    trend, hours = number.encoder([state.trend for state in states]), any(state.hours for state in states)
    size = 9 if hours else 7  # of a trend and its cycles, behind which is the indicator
    parts_of = [[*range(9 if state.hours else 7), *([size] if state.missing else [])] for state in states]
    places = np.array([column * (size + 1) + part for column, own in enumerate(parts_of) for part in own])

    def encode(seconds: np.ndarray) -> np.ndarray:
        absent = np.isnan(seconds)
        whole = np.where(absent, 0, seconds).astype(np.int64)
        parts = [trend(whole.astype(np.float64))[..., None], _calendar.cycles(whole, hours), absent[..., None]]
        out = np.concatenate(parts, axis=2, dtype=np.float32)
        out[absent, :size] = 0
        return out.reshape(len(out), len(states) * (size + 1))[:, places]

    return encode


def plain(cells: list[Any], cfg: Config) -> np.ndarray | None:
    """(cells,) seconds since 1970 of text by the column's format, NaN where one is missing; None where some are written
    otherwise.
    """
    if cfg.unit is not None or not TEXTS.issuperset(map(type, cells)):
        return None
    seconds = _time_formats.plain_seconds(cells, cfg.format)
    beyond = seconds is not None and ((seconds < DAYS[0] * DAY) | (seconds >= DAYS[1] * DAY)).any()
    return None if beyond else seconds


def golden(state: State, cfg: Config, rng: np.random.Generator, count: int) -> list[Any]:
    """Made-up days, and hours where there were some, as the cells of the column are written; gaps as in training."""
    numbers = number.golden(state.trend, number.Config(), rng, count)
    step = 3600 if state.hours else DAY
    seconds = [int(float(n)) // step * step for n in numbers]
    seconds = np.clip(seconds, DAYS[0] * DAY, (DAYS[1] - 1) * DAY).tolist()
    cells: list[Any] = [spell(datetime.fromtimestamp(second, UTC), cfg, state.hours) for second in seconds]
    if state.missing:
        cells[5::7] = [None] * len(cells[5::7])
    return cells


def spell(moment: datetime, cfg: Config, hours: bool = True) -> str | int:
    """A moment as a column has it: by its format, in its unit, or as ISO 8601."""
    if cfg.unit is not None:
        return int(moment.replace(tzinfo=UTC).timestamp()) * PER_SECOND[cfg.unit]
    return _time_formats.write(moment, cfg.format or ("%Y-%m-%dT%H:%M:%S" if hours else "%Y-%m-%d"))


def texts(stamps: pa.Array, form: str) -> pa.Array:
    """Many moments by a format, or as numbers of a unit since 1970."""
    if form in PER_SECOND:
        return pc.multiply(stamps.cast(pa.int64()), PER_SECOND[form])
    return _time_formats.write_all(stamps, form)


def writes(form: str) -> bool:
    """Whether `texts` has such a form."""
    try:
        return form in PER_SECOND or "%" in _time_formats.plain(form)
    except ValueError:
        return False


def domain(state: State, cfg: Config) -> Domain:
    """Between which days training rows were, or moments where there were hours; a time of day is a text."""
    return of_times(number.domain(state.trend, number.Config()), state.hours) if has_day(cfg) else Domain()


def feed(state: State) -> Input:
    width = 1 + 2 * (4 if state.hours else 3) + state.missing
    return Input(kind="number", shape=(width,), dtype="float32", edges=state.edges)


__all__ = [
    "Config", "State", "agree", "background", "clock", "describe", "detect", "encode", "feed", "fit", "fitting",
    "golden", "has_day", "hint", "other_order", "parse", "regularity", "remark", "share", "sortedness", "spell",
    "statistics", "texts", "writes", "zone",
]  # fmt: skip
