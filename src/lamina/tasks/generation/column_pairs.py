"""Conditions that compare two columns, such as `check_out > check_in`: numbers, times, or texts as they are spelled.

A missing cell differs from every other one, and is neither above nor below one.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from lamina.config import DataError
from lamina.deploy.bundle.strict_json import printable
from lamina.schema import Column
from lamina.tasks.generation import column_values
from lamina.tasks.generation.expressions import OPERATORS, Condition
from lamina.tasks.generation.state import ColumnModes

Pair = tuple[Column, str, Column]


def is_pair(condition: Condition, columns: Mapping[str, ColumnModes], label: str | None) -> bool:
    """Whether the value of a condition is the name of another column, and no value of its own."""
    other = condition.value
    if not isinstance(other, str) or other not in columns or other == condition.column:
        return False
    return label not in (other, condition.column) and other not in columns[condition.column].values


def check(condition: Condition, columns: Mapping[str, ColumnModes], by_name: Mapping[str, Column]) -> Pair:
    """The two columns and the sign. Errors: DataError for columns of two kinds, and for what no row can meet."""
    first, second = columns[condition.column], columns[condition.value]
    if _kind(first) != _kind(second):
        names = f"'{printable(first.name)}' ({_kind(first)}) and '{printable(second.name)}' ({_kind(second)})"
        raise DataError(f"where: {names} cannot be compared. Compare columns of one kind.")
    below = {(base, modes.name): modes.gap > 0 for modes in (first, second) for base in modes.bases}
    for low, high, signs in ((first, second, (">", ">=", "=")), (second, first, ("<", "<=", "="))):
        strict = below.get((low.name, high.name))
        if strict is not None and condition.sign in (signs if strict else signs[:1]):
            words = f"'{printable(high.name)}' is always {'above' if strict else 'at or above'} '{printable(low.name)}'"
            raise DataError(f"where: '{condition}' can never hold: {words}.")
    return by_name[first.name], condition.sign, by_name[second.name]


def _kind(modes: ColumnModes) -> str:
    return modes.kind if modes.numeric else "text"


def mask(table: pa.Table, first: Column, sign: str, second: Column) -> np.ndarray:
    """(rows,) which rows meet it."""
    if _is_numeric(first):
        a, b = (column_values.numbers(table, column) for column in (first, second))
        absent = np.isnan(a) | np.isnan(b)
    else:
        a, b = (np.array(column_values.texts(table, column).to_pylist(), object) for column in (first, second))
        absent = np.array([x is None or y is None for x, y in zip(a, b, strict=True)], bool)
        a, b = np.where(absent, "", a).astype(str), np.where(absent, "", b).astype(str)
    with np.errstate(invalid="ignore"):
        return np.where(absent, sign == "!=", OPERATORS[sign](a, b))


def _is_numeric(column: Column) -> bool:
    return column.kind in ("number", "time")
