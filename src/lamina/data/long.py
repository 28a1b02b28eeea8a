"""Long tables: many rows to one series, told apart by a column, as loggers and databases write them.

The rows of one series become one row: its numbers as a list in the order of time, with duplicates and gaps as they are,
beside the columns that say one and the same thing in all its rows, such as a label. A series whose label changes on the
way, or with a time or a number that cannot be read, is skipped with the reason and the line it begins on.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina.config import DataError, as_override, nearest
from lamina.data import _series_cells as _series
from lamina.data import files
from lamina.data._arrow_values import unique
from lamina.schema import MISSING, NUMBER_TEXT, Collected, SkippedRow, floats, null_if_missing

CONSTANT = 0.9  # of the series in which a column of numbers says one thing: then it should in all
COMMA = r"^[-+]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?([eE][-+]?\d+)?$"  # numbers with decimal commas
THOUSANDS = r"^[-+]?(\d{1,3}(,\d{3})+|\d{1,3})$"
REGULAR, NOTHING = 0.5, ("", "?")  # share of the rows of other series, by the median; what is never a name
LABELLED = 0.5  # the same of other columns, which would else be of no use


class Config(files.Reading):
    """Which files hold the table, read as `files` does, and which columns make its series."""

    kind: Literal["long"] = "long"
    series: str = Field(description="The column that says which series a row belongs to.")
    time: str | None = Field(default=None, description="The column to sort by; the order of the file when unset.")
    values: tuple[str, ...] | None = Field(
        default=None,
        description="The columns of numbers, one channel each; those that change within a series if unset.",
    )


class _Groups(NamedTuple):
    """Rows by series: `order` sorts them by series and time; `starts` and `counts` are those of each series in it."""

    order: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    first: np.ndarray  # the row each series begins with in the file


def load(cfg: Config) -> Collected:
    """One row per series, in the order in which they begin. Errors: DataError where a column named is not there."""
    return _group_rows(cfg)[0]


def source_line(cfg: Config, row_numbers: Sequence[int]) -> list[tuple[str, int | None]]:
    """File and line, from 1, at which the series begin whose rows in the loaded table are given by their index."""
    firsts = _group_rows(cfg)[1]
    return files.source_line(_files(cfg), [int(firsts[row]) for row in row_numbers])


def _files(cfg: Config) -> files.Config:
    settings = {name: value for name, value in dict(cfg).items() if name in files.Reading.model_fields}
    names = (cfg.series, cfg.time, *(cfg.values or ()))
    return files.expecting(files.Config.model_validate({**settings, "test": None}), filter(None, names))


def _group_rows(cfg: Config) -> tuple[Collected, np.ndarray]:
    source = files.load(_files(cfg))
    table, notes = _with_points(source)
    required = {
        "series": cfg.series,
        "time": cfg.time,
        **{f"values.{i}": name for i, name in enumerate(cfg.values or ())},
    }
    for setting, name in required.items():
        if name is not None and name not in table.column_names:
            raise DataError(f"data.{setting}: there is no column '{name}'. {nearest(name, table.column_names)}")
    bad: dict[int, str] = {}
    groups = _groups(table, cfg, bad)
    names = [name for name in table.column_names if name not in (cfg.series, cfg.time)]
    same = {name: _same(table[name].combine_chunks(), groups) for name in names if name not in (cfg.values or ())}
    constant = [name for name, each in same.items() if each.mean() >= _enough(table[name])]
    if cfg.values is not None:
        varying, unused = list(cfg.values), [name for name in same if name not in constant]
    else:
        others = [name for name in names if name not in constant]
        varying = [name for name in others if _is_number(table[name].combine_chunks())]
        unused = [name for name in others if name not in varying]
    if not varying:
        raise DataError(
            f"data.values: no column of numbers changes within a series of '{cfg.series}'. Name one with "
            "--set data.values=[COLUMN]"
        )
    for name in constant:
        for group in np.flatnonzero(~same[name]).tolist():
            bad.setdefault(group, f"column '{name}' does not say the same in all rows of this series")
    columns = {name: table[name].combine_chunks().take(pa.array(groups.first)) for name in (cfg.series, *constant)}
    cells = _cells(table, varying, groups, bad)
    name = unique([*columns, varying[0] if len(varying) == 1 else "series"])[-1]
    whole = pa.table({**columns, name: cells})
    sound = np.array([group not in bad for group in range(whole.num_rows)], bool)
    notes += [
        f"{table.num_rows:,} rows make {whole.num_rows:,} series; channels of '{name}': {', '.join(varying[:20])}."
    ]
    notes += (
        [f"Columns {', '.join(unused[:10])} change within a series and are no numbers: left out."] if unused else []
    )
    places = files.source_line(_files(cfg), [int(groups.first[g]) for g in sorted(bad)]) if bad else []
    skipped_rows = [SkippedRow(*place, name, bad[g]) for g, place in zip(sorted(bad), places, strict=True)]
    if not sound.any():
        raise DataError(f"data: no series can be used; the first was skipped because {skipped_rows[0].reason}.")
    source_notes = tuple(note for note in source.notes if "count up" not in note)
    collected = replace(
        source,
        table=whole.filter(pa.array(sound)),
        skipped_rows=(*source.skipped_rows, *skipped_rows),
        notes=(*source_notes, *notes),
        metadata=(cfg.series,),
        literal=source.literal,
    )
    return collected, groups.first[sound]


def _with_points(source: Collected) -> tuple[pa.Table, list[str]]:
    """Decimal points in the numbers of a table that has commas, as it says or one of its columns shows."""
    table, commas = source.table, source.decimal == ","
    texts = [name for name in table.column_names if pa.types.is_string(table[name].type)]
    cells = {name: null_if_missing(table[name].combine_chunks()) for name in texts}
    if source.decimal is None and source.delimiter != ",":
        commas = any(_all_match(some, COMMA) and not _all_match(some, THOUSANDS) for some in cells.values())
    if not commas:
        return table, []
    numbers = [name for name, some in cells.items() if _all_match(some, COMMA)]
    for name in numbers:
        whole = pc.replace_substring(cells[name], ".", "")
        points = pc.replace_substring(whole, ",", ".")
        table = table.set_column(table.column_names.index(name), name, points)
    how = as_override(("data", "decimal"), ".")
    return table, [f"Commas are decimal marks in {', '.join(numbers)}. To say another mark: {how}"]


def _all_match(cells: pa.Array, pattern: str) -> bool:
    """Whether cells have a comma, and all that are there match a pattern."""
    present = cells.drop_null()
    some = pc.any(pc.match_substring(present, ",")).as_py()
    return bool(some) and bool(pc.all(pc.match_substring_regex(present, pattern)).as_py())


def _enough(cells: pa.ChunkedArray) -> float:
    return CONSTANT if _is_number(cells.combine_chunks()) else LABELLED


def _groups(table: pa.Table, cfg: Config, bad: dict[int, str]) -> _Groups:
    names = _names(table[cfg.series].combine_chunks())
    codes = names.dictionary_encode(null_encoding="encode")
    indices = codes.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    if not len(indices):
        raise DataError(f"data.series: column '{cfg.series}' is empty.")
    counts = np.bincount(indices)
    first = np.full(len(counts), len(indices))
    np.minimum.at(first, indices, np.arange(len(indices)))
    when = np.zeros(len(indices))
    if cfg.time is not None:
        when = _times(table[cfg.time].combine_chunks())
        for row in np.flatnonzero(np.isnan(when)).tolist():
            cell = table[cfg.time][row].as_py()
            bad.setdefault(int(indices[row]), f"its time '{cell}' cannot be read" if cell else "a time is missing")
    if codes.dictionary.null_count:
        empty = int(np.flatnonzero(codes.dictionary.is_null().to_numpy(zero_copy_only=False))[0])
        bad[empty] = f"column '{cfg.series}' does not say which series these rows belong to"
    order = np.lexsort((when, indices))  # stable: rows of one time stay in the order of the file
    return _Groups(order, np.cumsum(counts) - counts, counts, first)


def _names(cells: pa.Array) -> pa.Array:
    """Names of series; null where there is none. A text such as NA is one, where it has rows as others have."""
    if not pa.types.is_string(cells.type):
        return cells
    counts = {
        one["values"]: one["counts"] for one in pc.utf8_trim_whitespace(cells).drop_null().value_counts().to_pylist()
    }
    others = [count for name, count in counts.items() if name not in MISSING]
    usual = REGULAR * float(np.median(others)) if others else np.inf
    gaps = [text for text in MISSING if text in NOTHING or counts.get(text, 0) < usual]
    return null_if_missing(cells, pa.array(gaps))


def _times(cells: pa.Array) -> np.ndarray:
    """Numbers, or points in time as seconds; NaN where neither can be read."""
    numbers = _numbers(cells)
    if not pa.types.is_temporal(cells.type) and np.isnan(numbers).mean() < 1 - CONSTANT:
        return numbers
    stamp = pa.timestamp("us")
    if not pa.types.is_string(cells.type):
        ticks = cells.cast(stamp, safe=False) if not pa.types.is_time(cells.type) else cells
        return _numbers(ticks.cast(pa.int64(), safe=False) if pa.types.is_timestamp(ticks.type) else ticks)
    shape = r"^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?(Z|[+-]\d\d:?\d\d)?$"
    fits = pc.match_substring_regex(cells, shape)
    zoned = pc.match_substring_regex(cells, r"T?\d\d:\d\d.*(Z|[+-]\d\d:?\d\d)$")
    cells = pc.if_else(fits, cells, pa.scalar(None, pa.string()))
    seconds = np.full(len(cells), np.nan)
    for mask, kind in ((zoned, pa.timestamp("us", "UTC")), (pc.invert(zoned), stamp)):
        some = pc.if_else(mask, cells, pa.scalar(None, pa.string()))
        try:
            read = some.cast(kind)
        except pa.ArrowInvalid:  # one that no calendar has: they are read one by one
            read = pa.array([_stamp(text, kind) for text in some.to_pylist()], kind)
        there = read.is_valid().to_numpy(zero_copy_only=False)
        seconds[there] = read.drop_null().cast(pa.int64()).to_numpy()
    return seconds


def _stamp(text: str | None, kind: pa.DataType) -> pa.Scalar:
    try:
        return pa.scalar(text).cast(kind)
    except pa.ArrowInvalid:
        return pa.scalar(None, kind)


def _numbers(cells: pa.Array) -> np.ndarray:
    """float64, NaN where there is no number."""
    if pa.types.is_string(cells.type):
        cells = null_if_missing(cells)
        plain = pc.match_substring_regex(cells, NUMBER_TEXT)
        cells = pc.if_else(plain, cells, pa.scalar(None, pa.string()))
    if pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.int8())
    numbers = floats(cells)
    return np.full(len(cells), np.nan) if numbers is None else numbers


def _is_number(cells: pa.Array) -> bool:
    present = (null_if_missing(cells) if pa.types.is_string(cells.type) else cells).drop_null()
    return (
        bool(len(present))
        and not pa.types.is_temporal(present.type)
        and np.isnan(_numbers(present)).mean() < 1 - CONSTANT
    )


def _same(cells: pa.Array, groups: _Groups) -> np.ndarray:
    """For each series, whether a column says one thing in all its rows."""
    if pa.types.is_nested(cells.type):
        return np.zeros(len(groups.counts), bool)
    codes = cells.dictionary_encode(null_encoding="encode").indices.to_numpy(zero_copy_only=False)[groups.order]
    return np.minimum.reduceat(codes, groups.starts) == np.maximum.reduceat(codes, groups.starts)


def _cells(table: pa.Table, names: list[str], groups: _Groups, bad: dict[int, str]) -> pa.Array:
    """Series out of the columns of their channels, in the order of time."""
    group_of = np.repeat(np.arange(len(groups.counts)), groups.counts)
    channels = []
    for name in names:
        cells = table[name].combine_chunks()
        values = _numbers(cells)[groups.order]
        there = (
            (null_if_missing(cells) if pa.types.is_string(cells.type) else cells)
            .is_valid()
            .to_numpy(zero_copy_only=False)
        )
        invalid = np.isnan(values) & there[groups.order] & pa.types.is_string(cells.type)
        for place in np.flatnonzero(invalid).tolist():
            got = cells[int(groups.order[place])].as_py()
            bad.setdefault(int(group_of[place]), f"column '{name}' holds '{got[:40]}', which is no number")
        channels.append(values)
    return _series.column(np.stack(channels, axis=1).reshape(-1), groups.counts, len(names))
