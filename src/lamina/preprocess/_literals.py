"""Texts such as NA, none and null: in which columns they are values, and where they mean that nothing is there.

They are values where a source that keeps texts as such (names of folders, typed columns) has one, and in text files
where one makes up as regular a part of a column as its other values do, while no column of numbers of the same file has
it for a gap. In a column that never had one they mean missing, also in rows that are answered later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import privacy
from lamina.config import DataError, as_override, nearest
from lamina.plugins import available, plugin
from lamina.schema import MISSING, Collected, null_if_missing

WORDS = ("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none")  # of the usual texts, what may be a name
OF_WORDS = ("boolean", "category", "labels", "text")  # kinds that read texts; of others, only a gap can be such a word
SAMPLED = 1_000  # rows that tell whether a column is of words
DISTINCT = 0.5  # of a sample at most, where values come again
BETTER = 0.5  # than a category, which any column can be
REGULAR = 0.5  # of the rows that other values of the column have each, by the median
NAMED = 10  # columns in a sentence

Counts = Mapping[str, int]


def with_literals(collected: Collected, literal: tuple[str, ...] | None, missing: tuple[str, ...]) -> Collected:
    """The same with the columns in which every text is a value, and notes: `literal` ones (None: by source and cells,
    but by the source alone where a recipe has its own texts for `missing`). Errors: DataError for no column.
    """
    columns = collected.table.column_names
    if literal is not None:
        if absent := [name for name in literal if name not in columns]:
            raise DataError(f"literal: the data has no column '{absent[0]}'. {nearest(absent[0], columns)}")
        return replace(collected, literal=literal)
    literal, notes = _literals(collected.table, collected.literal, missing == MISSING)
    return replace(collected, literal=literal, notes=(*collected.notes, *notes))


def _literals(table: pa.Table, typed_columns: Iterable[str], look: bool) -> tuple[tuple[str, ...], list[str]]:
    """Which columns of raw cells are literal: of `typed`, whose source keeps texts as such, those with such a word, and
    with `look` others where it is a regular value; and what to say of that.
    """
    texts = {field.name: table[field.name] for field in table.schema if pa.types.is_string(field.type)}
    samples = {name: null_if_missing(column.slice(0, SAMPLED)) for name, column in texts.items()}
    samples = {name: column.combine_chunks().drop_null() for name, column in samples.items()}
    others = sorted(set(available("preprocess")) - set(OF_WORDS))
    words = {name for name, cells in samples.items() if not _is_any_of(others, cells)}
    names = {name for name in words & set(typed_columns) if _counts(texts[name], WORDS)}
    counts = {name: _counts(texts[name]) for name in words - names if look and _repeats(samples[name])}
    markers = {name: _markers(values) for name, values in counts.items() if _markers(values)}
    gaps = {word for name in texts.keys() - words if markers for word in _markers(_counts(texts[name], WORDS))}
    regular = {name for name in markers if _is_regular(counts[name], gaps)}
    literal = tuple(name for name in texts if name in names | regular)
    missing = {name: markers[name] for name in texts if name in markers and name not in regular}
    return literal, [*_as_values({n: markers[n] for n in texts if n in regular}), *_as_gaps(missing, literal)]


def _is_any_of(kinds: Iterable[str], cells: pa.Array) -> bool:
    return len(cells) > 0 and any(plugin("preprocess", kind).detect(cells)[0] > BETTER for kind in kinds)


def _repeats(cells: pa.Array) -> bool:
    """Whether the cells are values that come again, and no sets of labels."""
    return len(pc.unique(cells)) <= DISTINCT * len(cells) and not _is_any_of(("labels",), cells)


def _counts(column: pa.ChunkedArray, words: Sequence[str] = ()) -> dict[str, int]:
    """How many cells have each value, or each of some words."""
    cells = column.filter(pc.is_in(column, value_set=pa.array(words))) if words else column
    counts: dict[str, int] = {}
    for one in cells.drop_null().value_counts().to_pylist():
        value = one["values"].strip()
        counts[value] = counts.get(value, 0) + one["counts"]
    return counts


def _markers(counts: Counts) -> dict[str, int]:
    return {word: counts[word] for word in WORDS if word in counts}


def _is_regular(counts: Counts, gaps: set[str]) -> bool:
    """Whether a text that can mean missing is as frequent as other values, of which there are more than yes and no."""
    markers, others = _markers(counts), {value: count for value, count in counts.items() if value not in WORDS}
    values = pa.array([value for value in others if value], pa.string())
    if gaps & markers.keys() or not len(values) or _is_any_of(("boolean",), values):
        return False
    usual = float(np.median([others[value] for value in values.to_pylist()]))
    return max(markers.values()) >= max(privacy.MIN_ROWS, REGULAR * usual)


def _as_values(columns: Mapping[str, Counts]) -> list[str]:
    cure = f"Where it means missing, say so with: {as_override(['literal'], '[]')}"
    values = "values" if sum(map(len, columns.values())) > 1 else "a value"
    return [f"{_listed(columns)} read as {values}, as frequent as others there. {cure}"] if columns else []


def _as_gaps(columns: Mapping[str, Counts], literal: Sequence[str]) -> list[str]:
    if not columns:
        return []
    names = ", ".join([*literal, next(iter(columns))])
    cure = f"Where it is a value, say so with: {as_override(['literal'], f'[{names}]')}"
    return [f"{_listed(columns)} read as missing. {cure}"]


def _listed(columns: Mapping[str, Counts]) -> str:
    """`'NA' of region (67 rows) is`, for each column and word; of many columns only the first few."""
    places = [
        f"'{word}' of {name} ({count:,} row{'s' if count > 1 else ''})"
        for name, counts in columns.items()
        for word, count in counts.items()
    ]
    more = f" and {len(places) - NAMED:,} more" if len(places) > NAMED else ""
    return f"{', '.join(places[:NAMED])}{more} {'are' if len(places) > 1 else 'is'}"
