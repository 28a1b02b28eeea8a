"""Conditions on rows to generate, such as `Contract=Two year` and `tenure>=24`; `city=` is a missing cell.

Text is compared as it is spelled, numbers and times by what they are. A missing cell differs from every value, and is
neither above nor below one. What no row could meet is refused before anything is generated.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError
from lamina.deploy.bundle.strict_json import printable
from lamina.preprocess import category, number, parse_columns, time
from lamina.schema import NUMBER_TEXT, Column
from lamina.task import Session
from lamina.tasks.generation import column_pairs
from lamina.tasks.generation.expressions import OPERATORS, Comparison, Condition, parse, suggestion
from lamina.tasks.generation.state import ColumnModes

LISTED = 10  # values of a column in a sentence


@dataclass(frozen=True)
class Conditions:
    """What rows have to meet. `classes`: those that may be generated, any where None; `texts`: the cells that are
    allowed; `numbers`: comparisons; both by column; `pairs`: two columns and the sign between.
    """

    expressions: tuple[Condition, ...]
    classes: tuple[str, ...] | None
    texts: Mapping[str, tuple[str | None, ...]]
    numbers: Mapping[str, tuple[Column, ColumnModes, tuple[Comparison, ...]]]
    pairs: tuple[tuple[Column, str, Column], ...] = ()

    def __str__(self) -> str:
        return _join(self.expressions)

    def mask(self, table: pa.Table) -> np.ndarray:
        """The rows that meet all of them; the class is not looked at."""
        mask = np.ones(table.num_rows, bool)
        for name, allowed in self.texts.items():
            cells = category.parse(table[name].combine_chunks(), category.Config())
            mask &= pc.is_in(cells, value_set=pa.array(allowed, pa.string())).to_numpy(zero_copy_only=False)
        for name, (column, modes, comparisons) in self.numbers.items():
            cells = parse_columns(table, (column,))[name].combine_chunks()
            cells = cells.cast(pa.int64()) if modes.kind == "time" else cells
            absent = pc.is_null(cells).to_numpy(zero_copy_only=False)
            numbers = pc.fill_null(cells, 0).to_numpy(zero_copy_only=False).astype(np.float64) / modes.unit
            for comparison in comparisons:
                mask &= np.where(absent, comparison.absent, comparison.mask(numbers))
        for first, sign, second in self.pairs:
            mask &= column_pairs.mask(table, first, sign, second)
        return mask


def conditions(where: Any, session: Session) -> Conditions | None:
    """What is required of the rows to generate, or None where nothing is.

    `where`: `"tenure>=24"`, a list of such, or values by column: `{"Contract": "Two year", "city": None}`. Errors:
    DataError for what cannot be read, is of no column, or can never hold.
    """
    if where is None or (isinstance(where, Mapping | list | tuple) and not where):
        return None
    state, schema = session.task.state, session.schema
    if not state.columns:
        raise DataError("where: is for rows of a table, and this bundle makes pictures. A class is asked for by label.")
    columns: dict[str, ColumnModes] = {modes.name: modes for modes in state.columns}
    label = schema.target.name if schema.target and state.classes else None
    if label is not None:
        numeric = all(re.match(NUMBER_TEXT, name) for name in state.classes)
        form = "number" if numeric else "text"
        columns[label] = ColumnModes(name=label, kind="category", form=form, values=state.classes)
    by_name = {column.name: column for column in schema.columns}
    expressions = parse(where, tuple(columns), by_name)
    pairs = [one for one in expressions if column_pairs.is_pair(one, columns, label)]
    checked = tuple(column_pairs.check(one, columns, by_name) for one in pairs)
    single = tuple(one for one in expressions if one not in pairs)
    texts, numbers = dict[str, tuple[str | None, ...]](), dict[str, Any]()
    for name in dict.fromkeys(condition.column for condition in single):
        own, modes = tuple(condition for condition in single if condition.column == name), columns[name]
        if modes.templates:
            raise DataError(f"where: '{printable(name)}' is made by a pattern, so no value of it can be asked for.")
        if modes.numeric:
            numbers[name] = by_name[name], modes, _comparisons(own, modes, by_name[name])
        else:
            texts[name] = _allowed(own, modes)
    classes = None if label is None else texts.pop(label, None)
    return Conditions(
        expressions, tuple(name for name in classes if name) if classes else None, texts, numbers, checked
    )


def examples(session: Session) -> list[str]:
    """Conditions on one column that many rows of this bundle meet."""
    columns: list[ColumnModes] = [modes for modes in session.task.state.columns if modes.choices > 1]
    numeric = next((modes for modes in columns if modes.kind == "number"), None)
    if numeric is not None:
        spots = sorted((*numeric.spikes, *numeric.centres))
        middle = min(max(spots[len(spots) // 2], numeric.low), numeric.high)
        middle = round(middle, numeric.decimals) if numeric.decimals >= 0 else float(f"{middle:.3g}")
        return [f"{numeric.name}>={middle:.10g}"]
    modes = next((modes for modes in columns if modes.values), columns[0])
    return [f"{modes.name}{f'={modes.values[0]}' if modes.values else '!='}"]


def _join(some: Iterable[Condition]) -> str:
    return " and ".join(f"'{condition}'" for condition in some)


def _allowed(own: Sequence[Condition], modes: ColumnModes) -> tuple[str | None, ...]:
    """The cells of a column of text that meet all conditions on it. Errors: DataError where there are none."""
    cells: tuple[str | None, ...] = (*modes.values, None) if modes.missing else modes.values
    matches = [{cell for cell in cells if test(cell)} for test in (_text_test(one, modes) for one in own)]
    for condition, matching in zip(own, matches, strict=True):
        if not matching:
            missing = condition == (modes.name, "=", None)
            reason = f"'{printable(modes.name)}' is never missing" if missing else _description(modes)
            raise DataError(f"where: '{condition}' can never hold: {reason}.")
    both = set.intersection(*matches)
    if not both:
        raise DataError(f"where: no row can meet {_join(own)} together.")
    return tuple(cell for cell in cells if cell in both)


def _text_test(condition: Condition, modes: ColumnModes) -> Callable[[str | None], bool]:
    """Whether a cell meets a condition. Errors: DataError for a value that the column does not have."""
    sign = condition.sign
    if condition.value is None:
        return lambda cell: (cell is None) == (sign == "=")
    cells = condition.cell
    text = None if cells is None else category.parse(cells, category.Config())[0].as_py()
    if text is None or (sign in ("=", "!=") and text not in modes.values):
        word = printable(str(condition.value))
        raise DataError(f"where: there is no '{word}' in '{printable(modes.name)}'. {suggestion(word, modes.values)}")
    compare = OPERATORS[sign]
    if modes.form in ("whole", "number") and sign not in ("=", "!="):
        limit = _number(condition, modes, None)
        return lambda cell: cell is not None and compare(float(cell), limit)
    return lambda cell: sign == "!=" if cell is None else compare(cell, text)


def _comparisons(own: Sequence[Condition], modes: ColumnModes, column: Column) -> tuple[Comparison, ...]:
    """Conditions on a column of numbers or times. Errors: DataError for those that no cell can meet."""
    comparisons = tuple(Comparison(one.sign, None if one.value is None else _number(one, modes, column)) for one in own)
    for condition, comparison in zip(own, comparisons, strict=True):
        if not _possible(modes, (comparison,)):
            missing = comparison == ("=", None)
            reason = f"'{printable(modes.name)}' is never missing" if missing else _description(modes)
            raise DataError(f"where: '{condition}' can never hold: {reason}.")
    if not _possible(modes, comparisons):
        raise DataError(f"where: no row can meet {_join(own)} together.")
    return comparisons


def _number(condition: Condition, modes: ColumnModes, column: Column | None) -> float:
    """The value of a condition on numbers, or on times in units of their column."""
    cells = condition.cell if condition.cell is not None else pa.nulls(1)
    if modes.kind == "time" and column is not None:
        value = (
            time.parse(cells, time.Config(format=column.settings.get("format"), unit=column.settings.get("unit")))
            .cast(pa.int64())[0]
            .as_py()
        )
        sort = f"a time such as {_time(modes.high * modes.unit)}"
    else:
        value, sort = number.parse(cells, number.Config())[0].as_py(), "a number"
    if value is None:
        got = printable(str(condition.value))
        raise DataError(f"where: '{printable(modes.name)}' is compared with {sort} (got '{got}').")
    return value / modes.unit


def _possible(modes: ColumnModes, comparisons: Sequence[Comparison]) -> bool:
    """Whether some cell of a column of numbers meets all comparisons."""
    if modes.missing and all(comparison.absent for comparison in comparisons):
        return True
    if any(all(comparison.meets(spot) for comparison in comparisons) for spot in (*modes.spikes, *modes.grid)):
        return True
    if not modes.centres or modes.grid or any(comparison == ("=", None) for comparison in comparisons):
        return False
    low, high, excluded = modes.low, modes.high, set[float]()
    for sign, value in ((sign, value) for sign, value in comparisons if value is not None):
        low = max(low, value) if sign in ("=", ">=") else low
        high = min(high, value) if sign in ("=", "<=") else high
        low = max(low, np.nextafter(value, np.inf)) if sign == ">" else low
        high = min(high, np.nextafter(value, -np.inf)) if sign == "<" else high
        excluded |= {value} if sign == "!=" else set()
    if modes.decimals == 0:
        low, high = np.ceil(low), np.floor(high)
    exact = modes.decimals < 0 or np.round(low, modes.decimals) == low
    return bool(low < high or (low == high and low not in excluded and exact))


def _description(modes: ColumnModes) -> str:
    """What the cells of a column can be, in words."""
    name = f"'{printable(modes.name)}' is made"
    if not modes.numeric:
        more = f" and {len(modes.values) - LISTED:,} more" if len(modes.values) > LISTED else ""
        return f"{name} as {', '.join(printable(value, 40) for value in modes.values[:LISTED])}{more}"
    spots = sorted({*modes.spikes, *modes.grid})
    ends = [*spots, *(() if modes.grid or not modes.centres else (modes.low, modes.high))]
    if len(ends) == len(spots) <= LISTED:
        return f"{name} as {', '.join(_spelling(spot, modes) for spot in spots)}"
    decimals = f" with {modes.decimals} decimal{'s' if modes.decimals > 1 else ''}"
    decimals = {0: " in whole numbers", -1: ""}.get(modes.decimals, decimals)
    steps = {86_400: " in days", 3_600: " in hours", 60: " in minutes"}.get(modes.unit, "")
    unit = steps if modes.kind == "time" else decimals
    return f"{name} from {_spelling(min(ends), modes)} to {_spelling(max(ends), modes)}{unit}"


def _spelling(value: float, modes: ColumnModes) -> str:
    return _time(value * modes.unit) if modes.kind == "time" else f"{value:.10g}"


def _time(seconds: float) -> str:
    stamp = np.datetime64(int(seconds), "s")
    return str(stamp.astype("datetime64[D]") if int(seconds) % 86_400 == 0 else stamp)
