"""Points in time: a trend plus the cyclic parts of the calendar, as sine and cosine.

Parts: time since the training median (robustly scaled), month, day of month, day of week, and hour of day when
the column has hours. Stamps with a zone are moved to UTC. Missing cells are zeros with an indicator.
"""

import functools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import config
from lamina.preprocess import number
from lamina.schema import DAYS, Input

FORMATS = (
    (r"^\d{4}-\d\d?-\d\d?$", "%Y-%m-%d"),
    (r"^\d{4}-\d\d?-\d\d? \d\d?:\d\d$", "%Y-%m-%d %H:%M"),
    (r"^\d{4}-\d\d?-\d\d? \d\d?:\d\d:\d\d$", "%Y-%m-%d %H:%M:%S"),
    (r"^\d{4}-\d\d$", "%Y-%m"),
    (r"^\d{4}/\d\d?/\d\d?$", "%Y/%m/%d"),
    (r"^\d\d?\.\d\d?\.\d{4}$", "%d.%m.%Y"),
    (r"^\d\d?\.\d\d?\.\d{4} \d\d?:\d\d$", "%d.%m.%Y %H:%M"),
    (r"^\d\d?/\d\d?/\d{4}$", "%m/%d/%Y"),
    (r"^\d\d?/\d\d?/\d{4}$", "%d/%m/%Y"),
    (r"^\d\d?/\d\d?/\d{4} \d\d?:\d\d$", "%m/%d/%Y %H:%M"),
    (r"^\d\d?/\d\d?/\d{4} \d\d?:\d\d$", "%d/%m/%Y %H:%M"),
)
ISO = r"^(?P<day>\d{4}-\d\d-\d\d)(?:[T ](?P<clock>\d\d:\d\d)(?P<sec>:\d\d)?(?:\.\d+)?(?P<zone>Z|[+-]\d\d:?\d\d)?)?$"
LIKE_TIME = r"^(\d{4}[-/]\d|\d\d?[./]\d\d?[./]\d)"  # how a text of any of these formats begins
YEAR_FIRST = tuple(form for _, form in FORMATS if form.startswith("%Y"))
SECONDS = pa.timestamp("s")
BINS = 16
DAY = 86_400


class Config(config.Config):
    kind: Literal["time"] = "time"
    format: str | None = None


class State(config.Config):
    hours: bool
    trend: number.State
    missing: bool
    edges: tuple[tuple[float, ...], ...]


def detect(column: pa.Array) -> tuple[float, dict[str, Any]]:
    """Arrow times, or text of which at least 95 % reads by one format; month first when both readings fit."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return 1.0, {}
    if not pa.types.is_string(column.type):
        return 0.0, {}
    sample = column.slice(0, 1000)
    if pc.match_substring_regex(sample, LIKE_TIME).true_count < number.ENOUGH * len(sample):  # most columns end here
        return 0.0, {}
    shares = {f: _share(sample, f) for f in (None, *(f for _, f in FORMATS))}
    best = max(shares, key=lambda f: shares[f])
    share = shares[best] if len(sample) == len(column) else min(shares[best], _share(column, best))
    if share < number.ENOUGH:
        return 0.0, {}
    return 0.95, {"format": best} if best else {}


def _share(column: pa.Array, form: str | None) -> float:
    return 1 - _text(column, form).null_count / max(len(column), 1)


def parse(column: pa.Array, cfg: Config) -> pa.Array:
    """Cells to seconds since 1970 as a timestamp without zone. Text that is not of the column's format is read too
    where it can mean one moment only, because it begins with the year: ISO 8601, `2024-03`, `2024/3/1`.
    """
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        if pa.types.is_timestamp(column.type) and column.type.tz:
            column = column.cast(pa.timestamp(column.type.unit, "UTC"))
        return column.cast(SECONDS, safe=False)
    if pa.types.is_integer(column.type) and cfg.format is not None:
        column = column.cast(pa.string())  # such as 20240301 by %Y%m%d
    if not pa.types.is_string(column.type):
        return pa.nulls(len(column), SECONDS)
    stamps = _text(column, cfg.format)
    for form in (None, *YEAR_FIRST):
        if stamps.null_count == column.null_count:
            break
        stamps = stamps.fill_null(_text(pc.if_else(stamps.is_null(), column, pa.scalar(None, pa.string())), form))
    return stamps


def _text(column: pa.Array, form: str | None) -> pa.Array:
    """Text by one format, ISO 8601 when none is said."""
    return _iso(column) if form is None else _read(_shaped(column, form), form)


def _shaped(column: pa.Array, form: str) -> pa.Array:
    """Only cells of the format's own shape, so that trailing text is malformed and not ignored."""
    shape = next((pattern for pattern, f in FORMATS if f == form), r"^.+$")
    return pc.if_else(pc.match_substring_regex(column, shape), column, pa.scalar(None, pa.string()))


def _read(column: pa.Array, form: str) -> pa.Array:
    """Text by a format; a day that its month does not have is malformed (strptime makes 30 February 1 March)."""
    stamps = pc.strptime(column, format=form, unit="s", error_is_null=True)
    if "z" in form.lower():
        return stamps
    late = pc.less_equal(pc.day(stamps), 3)  # only the last three days of a month can run over
    if not pc.any(late).as_py():
        return stamps
    again = pc.strftime(pc.if_else(late, stamps, pa.scalar(None, SECONDS)), format=form)
    sound = pc.or_kleene(pc.invert(late), pc.equal(_bare(again), _bare(column)))
    return pc.if_else(sound, stamps, pa.scalar(None, SECONDS))


def _bare(text: pa.Array) -> pa.Array:
    """Without blanks, leading zeros and case, in which two spellings of one moment may differ."""
    return pc.utf8_lower(pc.replace_substring_regex(pc.replace_substring_regex(text, r"\b0+(\d)", r"\1"), r"\s+", ""))


def _iso(column: pa.Array) -> pa.Array:
    """ISO 8601 with T, fractions or zone; the zone is applied, the fraction dropped."""
    parts = pc.extract_regex(column, ISO)
    day, clock, sec, zone = (pc.struct_field(parts, f) for f in ("day", "clock", "sec", "zone"))
    clock = pc.if_else(pc.equal(clock, ""), "00:00", clock)
    sec = pc.if_else(pc.equal(sec, ""), ":00", sec)
    text = pc.binary_join_element_wise(day, pc.binary_join_element_wise(clock, sec, ""), " ")
    stamp = _read(text, "%Y-%m-%d %H:%M:%S")
    offset = pc.if_else(pc.match_substring_regex(zone, r"^[+-]"), pc.replace_substring(zone, ":", ""), "+0000")
    minutes = pc.add(
        pc.multiply(pc.utf8_slice_codeunits(offset, 1, 3).cast(pa.int64()), 60),
        pc.utf8_slice_codeunits(offset, 3, 5).cast(pa.int64()),
    )
    sign = pc.if_else(pc.starts_with(offset, "-"), -1, 1)
    shift = pc.multiply(pc.multiply(minutes, sign), 60)
    return pc.subtract(stamp.cast(pa.int64()), shift).cast(SECONDS)


def fit(values: pa.Array, cfg: Config) -> State:
    present = values.drop_null()
    hours = bool(len(present)) and pc.any(pc.not_equal(pc.hour(present), 0)).as_py()
    trend = number.fit(present.cast(pa.int64()).cast(pa.float64(), safe=False), number.Config(bins=BINS))
    edges = [trend.edges, *_cycle_edges(hours)]
    missing = values.null_count > 0
    edges += [(0.0, 1.0)] if missing else []
    return State(hours=hours, trend=trend.model_copy(update={"missing": False}), missing=missing, edges=tuple(edges))


@functools.cache
def _cycle_edges(hours: bool) -> tuple[tuple[float, ...], ...]:
    return tuple(number.edges(part, BINS) for part in _cycles(hours))


def _cycles(hours: bool) -> Iterator[np.ndarray]:
    """Sine and cosine of all that a calendar holds, so that edges say nothing of the times there were."""
    for steps, period in ((12, 12), (31, 31), (7, 7), *([(24, 24)] if hours else [])):
        angles = 2 * np.pi * np.arange(steps) / period
        yield from (np.sin(angles), np.cos(angles))


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, 7 to 10) float32: trend, then sine and cosine of each cycle, then the missing indicator."""
    absent = pc.is_null(values).to_numpy(zero_copy_only=False)
    filled = pc.fill_null(values, pa.scalar(0, SECONDS))
    cycles = [(pc.month(filled), 12), (pc.day(filled), 31), (pc.day_of_week(filled), 7)]
    if state.hours:
        cycles.append(
            (pc.add(pc.hour(filled).cast(pa.float64()), pc.divide(pc.minute(filled).cast(pa.float64()), 60)), 24)
        )
    angles = [2 * np.pi * c.to_numpy(zero_copy_only=False).astype(np.float64) / period for c, period in cycles]
    trend = number.encode(filled.cast(pa.int64()).cast(pa.float64(), safe=False), state.trend)[:, 0]
    parts = np.stack([trend, *(f(a) for a in angles for f in (np.sin, np.cos))], axis=1).astype(np.float32)
    parts[absent] = 0
    return np.concatenate([parts, absent[:, None].astype(np.float32)], axis=1) if state.missing else parts


def golden(state: State, cfg: Config, rng: np.random.Generator, count: int) -> list[Any]:
    """Made-up days, and hours where there were some, as the cells of the column are written; gaps as in training."""
    numbers = number.golden(state.trend, number.Config(), rng, count)
    step = 3600 if state.hours else DAY
    seconds = [int(float(n)) // step * step for n in numbers]
    seconds = np.clip(seconds, DAYS[0] * DAY, (DAYS[1] - 1) * DAY).tolist()
    form = cfg.format or ("%Y-%m-%dT%H:%M:%S" if state.hours else "%Y-%m-%d")
    cells: list[Any] = [datetime.fromtimestamp(second, UTC).strftime(form) for second in seconds]
    if state.missing:
        cells[5::7] = [None] * len(cells[5::7])
    return cells


def feed(state: State) -> Input:
    width = 1 + 2 * (4 if state.hours else 3) + state.missing
    return Input(kind="number", shape=(width,), dtype="float32", edges=state.edges)
