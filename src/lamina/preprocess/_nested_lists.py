"""Columns of lists, nested lists or text as flat numbers; everything in whole columns, save JSON that is nested."""

import json
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import _decimal_mark, _number_notes, _number_text
from lamina.preprocess._number_text import Decimal
from lamina.schema import is_list, null_if_missing

Layout = Literal["steps_first", "channels_first"]

CELL = pa.struct([("values", pa.large_list(pa.float64())), ("channels", pa.int32()), ("reason", pa.string())])
SEPARATOR = r"\s*[,;]\s*|\s+"
NUMBERS = r"^[\[(]?[\s\d.,;eE+\-?]*(?:(?:NaN|nan|null|NA|None)[\s\d.,;eE+\-?]*)*[\])]?$"
NESTED = r"^\s*\[\s*\["
DECIMAL_COMMAS = r"^\s*[\[(]?\s*[+-]?\d+(?:,\d+)?(?:\s*[;|]\s*[+-]?\d+(?:,\d+)?)+\s*[\])]?\s*$"  # 1,5; 2; 3,25
ENOUGH = 0.95
MOST_MISSING = 0.5


def _innermost(kind: pa.DataType) -> tuple[pa.DataType, int]:
    """What lists hold at last, and how deep they are."""
    depth = 0
    while is_list(kind):
        kind, depth = kind.value_type, depth + 1
    return kind, depth


def holds_numbers(kind: pa.DataType) -> bool:
    """Lists of numbers, or lists of these."""
    inner, depth = _innermost(kind)
    numbers = pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_decimal(inner)
    return depth in (1, 2) and numbers


def holds_texts_of_numbers(column: pa.Array) -> bool:
    """Lists of texts that are numbers, such as columns of a text file that are the steps of a series."""
    if not is_list(column.type) or not pa.types.is_string(column.type.value_type):
        return False
    texts = null_if_missing(column.flatten()).drop_null()
    return _number_text.share(texts.filter(pc.invert(_number_notes.says_missing(texts)))) >= ENOUGH


def decimal(column: pa.Array, usual: Decimal | None) -> Decimal:
    """The decimal mark of lists of texts, or of text with `;`, `|` or blanks between its numbers."""
    if is_list(column.type):
        return _decimal_mark.of_column(column.flatten().drop_null(), usual)
    cells, shape = column.drop_null(), DECIMAL_COMMAS
    if usual == ",":
        shape = shape.replace("[;|]", "(?:[;|]|[ \\t])")
    fits = pc.and_(pc.match_substring_regex(cells, shape), pc.match_substring(cells, ","))
    return "," if len(cells) and fits.true_count >= 0.5 * len(cells) else "."


def holds_whole_numbers(kind: pa.DataType) -> bool:
    inner, depth = _innermost(kind)
    return depth == 1 and pa.types.is_integer(inner)


def distinct(column: pa.Array) -> int:
    """How many cells differ, by their numbers and how many lists or numbers are in them."""
    outer = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
    inside, sizes, ends = column.flatten(), outer, np.cumsum(outer)
    if is_list(inside.type):
        each = pc.fill_null(pc.list_value_length(inside), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        bounds = np.concatenate([[0], np.cumsum(each)])
        inside, sizes = inside.flatten(), bounds[ends] - bounds[ends - outer]
        ends = np.cumsum(sizes)
    values = _numbers(inside)[0]
    spans = zip(outer.tolist(), (ends - sizes).tolist(), ends.tolist(), strict=True)
    return len({(count, hash(values[first:last].tobytes())) for count, first, last in spans})


def looks_like_numbers(column: pa.Array, fewest: int) -> bool:
    """Whether text is made of numbers with separators between them, enough of them in a typical cell."""
    nested = pc.match_substring_regex(column, r"^\s*\[[\[\]\s\d.,eE+\-nulaN]*\]\s*$")
    matched = pc.or_(nested, pc.match_substring_regex(column, NUMBERS)).to_numpy(zero_copy_only=False)
    if np.mean(matched.astype(float)) < 1 - 0.05:
        return False
    gaps = pc.count_substring_regex(column, r"[\d.][\s,;\[\]]+[-+\d.?nN]")
    return bool(np.median(2 * gaps.to_numpy(zero_copy_only=False)) + 1 >= fewest)


def layout(column: pa.Array) -> Layout:
    """What nested lists are: their inner lists are steps when all are equally long in all cells, unless the number of
    inner lists never changes either and is the smaller one. Lists of a fixed size are steps.
    """
    if pa.types.is_string(column.type):
        cells = [json.loads(c) if isinstance(c, str) and c.lstrip()[:2] == "[[" else None for c in _valid_json(column)]
        if not any(cells):
            return "steps_first"
        column = pa.array(cells, pa.list_(pa.list_(pa.float64())))
    if not is_list(column.type) or not is_list(column.type.value_type):
        return "steps_first"
    if pa.types.is_fixed_size_list(column.type.value_type):
        return "steps_first"
    outer = pc.unique(pc.list_value_length(column.drop_null())).to_pylist()
    inner = pc.unique(pc.list_value_length(column.flatten())).to_pylist()
    if len(inner) != 1:
        return "channels_first" if len(outer) == 1 else "steps_first"
    return "channels_first" if len(outer) == 1 and outer[0] < inner[0] else "steps_first"


def _valid_json(column: pa.Array) -> list[str | None]:
    """Texts that are JSON of numbers."""
    valid: list[str | None] = []
    for text in column.to_pylist():
        value, reason = _from_json(text) if text is not None else (None, "")
        valid.append(text if value is not None and not reason else None)
    return valid


def texts(cells: list[Any]) -> pa.Array:
    """Plain Python cells as text: lists as JSON."""
    words = [c if c is None or isinstance(c, str) else json.dumps(c) for c in cells]
    return pa.array([c if c is None else c.encode("utf-8", "replace").decode() for c in words], pa.string())


def flat(lists: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The size of each list (0 where it is null) and all their numbers, float64 with NaN for null."""
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return sizes, lists.flatten().to_numpy(zero_copy_only=False)


def parse(column: pa.Array, order: Layout, decimal: Decimal = ".") -> pa.Array:
    """Any column as `CELL`, one that is so already as it is: null where the cell is missing or is no series at all."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if column.type == CELL:
        return column
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _from_text(column.cast(pa.string()), order, decimal)
    inner, depth = _innermost(column.type)
    if depth not in (1, 2):
        return pa.nulls(len(column), CELL)
    numbers = pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_decimal(inner)
    if not (numbers or pa.types.is_string(inner) or pa.types.is_boolean(inner) or pa.types.is_null(inner)):
        return pa.nulls(len(column), CELL)
    return _from_lists(column, decimal) if depth == 1 else _from_nested(column, order, decimal)


def _from_lists(column: pa.Array, decimal: Decimal = ".") -> pa.Array:
    sizes = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    values, invalid = _numbers(column.flatten(), decimal)
    reasons = _fault_reasons(len(column), invalid, sizes)
    return _to_cells(values, sizes, np.ones(len(column), np.int32), reasons, column.is_null())


def _from_nested(column: pa.Array, order: Layout, decimal: Decimal = ".") -> pa.Array:
    """Two levels of lists; those of each cell must be equally long."""
    outer = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    inside = column.flatten()
    inner = pc.fill_null(pc.list_value_length(inside), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    values, invalid = _numbers(inside.flatten(), decimal)
    rows = len(column)
    ends = np.cumsum(outer)
    bounds = np.concatenate([[0], np.cumsum(inner)])
    sizes = bounds[ends] - bounds[ends - outer]
    shortest, longest = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    filled = np.flatnonzero(outer)
    if len(filled):
        shortest[filled] = np.minimum.reduceat(inner, (ends - outer)[filled])
        longest[filled] = np.maximum.reduceat(inner, (ends - outer)[filled])
    reasons = _fault_reasons(rows, invalid, sizes)
    what = "channels have" if order == "channels_first" else "steps hold"
    for row in np.flatnonzero(shortest < longest).tolist():
        of = "steps" if order == "channels_first" else "channels"
        reasons[row] = f"its {what} {shortest[row]:,} to {longest[row]:,} {of}, and must have equally many"
    if order == "channels_first":
        values = _steps_first(values, sizes, outer, longest, np.array([r is None for r in reasons], bool))
    channels = (outer if order == "channels_first" else longest).clip(1).astype(np.int32)
    return _to_cells(values, sizes, channels, reasons, column.is_null())


def _steps_first(
    values: np.ndarray, sizes: np.ndarray, channels: np.ndarray, steps: np.ndarray, sound: np.ndarray
) -> np.ndarray:
    """Numbers with the channels of each step side by side, which came channel after channel."""
    if not len(sizes) or not sizes.sum():
        return values
    if sound.all() and (channels == channels[0]).all() and (steps == steps[0]).all():
        return values.reshape(len(sizes), channels[0], steps[0]).transpose(0, 2, 1).reshape(-1)
    start = np.cumsum(sizes) - sizes
    row = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(values)) - start[row]
    moved = (place % steps[row].clip(1)) * channels[row] + place // steps[row].clip(1)
    moved_values = values.copy()
    take = sound[row]
    moved_values[(start[row] + moved)[take]] = values[take]
    return moved_values


def _numbers(flat: pa.Array, decimal: Decimal = ".") -> tuple[np.ndarray, pa.Array | None]:
    """float64 with NaN for what is missing, and texts that are no numbers at their places, None where all are."""
    invalid = None
    if pa.types.is_string(flat.type):
        texts = null_if_missing(flat)
        flat = _number_text.to_floats(texts, decimal, {})
        if flat.null_count > texts.null_count:
            unread = pc.and_(flat.is_null(), pc.invert(_number_notes.says_missing(texts)))
            invalid = pc.if_else(unread, texts, pa.scalar(None, pa.string()))
    elif pa.types.is_boolean(flat.type):
        flat = flat.cast(pa.int8())
    values = flat.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if not np.isfinite(values).all():
        values = np.where(np.isfinite(values), values, np.nan)
    return values, invalid


def _fault_reasons(rows: int, invalid: pa.Array | None, sizes: np.ndarray) -> list[str | None]:
    """A reason for each row that holds a text which is no number."""
    reasons: list[str | None] = [None] * rows
    if invalid is not None and invalid.null_count < len(invalid):
        at = np.flatnonzero(invalid.is_valid().to_numpy(zero_copy_only=False))
        ends = np.cumsum(sizes)
        for row, place in zip(np.searchsorted(ends, at, side="right").tolist(), at.tolist(), strict=True):
            step = place - int(ends[row] - sizes[row]) + 1
            reasons[row] = reasons[row] or f"number {step:,} is '{invalid[place].as_py()[:40]}', which is no number"
    return reasons


def _to_cells(
    values: np.ndarray, sizes: np.ndarray, channels: np.ndarray, reasons: list[str | None], missing: pa.Array
) -> pa.Array:
    """Cells, with a reason for those that hold nothing, or too little."""
    present = sizes.copy()
    if np.isnan(values).any():
        totals = np.concatenate([[0], np.cumsum(~np.isnan(values))])
        present = totals[np.cumsum(sizes)] - totals[np.cumsum(sizes) - sizes]
    absent = missing.to_numpy(zero_copy_only=False)
    for row in np.flatnonzero((present < (1 - MOST_MISSING) * sizes) | (present == 0)).tolist():
        if reasons[row] is None and not absent[row]:
            gaps = f"{sizes[row] - present[row]:,} of its {sizes[row]:,} numbers are missing, more than half"
            reasons[row] = gaps if present[row] else "holds no finite number"
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(values, pa.float64()))
    why = pa.array(reasons, pa.string())
    return pa.StructArray.from_arrays([lists, pa.array(channels, pa.int32()), why], fields=list(CELL), mask=missing)


def _from_text(column: pa.Array, order: Layout, decimal: Decimal) -> pa.Array:
    """Text cells, those of nested JSON one by one, the others all at once."""
    nested = pc.fill_null(pc.match_substring_regex(column, NESTED), False)
    bare = pc.utf8_trim(column, "[]() \t")
    bare = pc.if_else(pc.or_(nested, pc.equal(bare, "")), pa.scalar(None, pa.string()), bare)
    points = pc.replace_substring_regex(bare, r"(\d),(\d)", r"\1.\2") if decimal == "," else bare
    some = _from_lists(pc.split_pattern_regex(points, SEPARATOR))
    if not pc.any(nested).as_py():
        return _with_empty(some, column, bare)
    at = np.flatnonzero(nested.to_numpy(zero_copy_only=False))
    read = [_from_json(column[i].as_py()) for i in at.tolist()]
    cells = _from_nested(pa.array([value for value, _ in read], pa.list_(pa.list_(pa.float64()))), order)
    whole = _with_empty(some, column, bare, at)
    merged = pa.concat_arrays([whole, _with_reasons(cells, [reason for _, reason in read])])
    take = np.arange(len(column))
    take[at] = len(column) + np.arange(len(at))
    return merged.take(pa.array(take))


def _with_empty(some: pa.Array, column: pa.Array, bare: pa.Array, others: np.ndarray | None = None) -> pa.Array:
    """Cells that were there and held nothing, such as `[]`, with the reason."""
    empty = pc.and_(column.is_valid(), bare.is_null()).to_numpy(zero_copy_only=False).copy()
    if others is not None:
        empty[others] = False
    if not empty.any():
        return some
    return _with_reasons(some, ["holds no finite number" if e else "" for e in empty.tolist()])


def _with_reasons(cells: pa.Array, texts: list[str]) -> pa.Array:
    """The same cells; where a reason is told, the cell is there and broken for it."""
    lists, channels, own = (cells.field(i) for i in range(3))
    reasons = [new or old for new, old in zip(texts, own.to_pylist(), strict=True)]
    absent = np.array([not new for new in texts], bool) & cells.is_null().to_numpy(zero_copy_only=False)
    arrays = [lists, channels, pa.array(reasons, pa.string())]
    return pa.StructArray.from_arrays(arrays, fields=list(CELL), mask=pa.array(absent))


def _from_json(text: str) -> tuple[list[list[float | None]] | None, str]:
    """Nested lists out of JSON, or a reason."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None, "is not JSON"
    for i, inner in enumerate(value if isinstance(value, list) else [value]):
        if not isinstance(inner, list):
            return None, f"place {i + 1:,} is no list, as others are"
        invalid = [v for v in inner if v is not None and (isinstance(v, bool) or not isinstance(v, int | float))]
        if invalid:
            return None, f"place {i + 1:,} holds '{str(invalid[0])[:40]}', which is no number"
    return [[None if v is None else _float(v) for v in inner] for inner in value], ""


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 300 digits
        return float("nan")
