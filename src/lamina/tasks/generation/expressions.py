"""Conditions as they are written: column, sign and value."""

import operator
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.config import DataError, nearest
from lamina.deploy.bundle.strict_json import printable

SIGNS = ("!=", "<=", ">=", "==", "=", "<", ">")
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
SHAPE = "Write column, sign and value, such as tenure>=24; the signs are = != < <= > >=, and column= is a missing cell."
MOST, LISTED = 100, 10  # conditions, and columns or values in a sentence


class Condition(NamedTuple):
    """One of them as it is written; `value` is None for a missing cell."""

    column: str
    sign: str
    value: Any

    def __str__(self) -> str:
        return printable(f"{self.column}{self.sign}{'' if self.value is None else self.value}")

    @property
    def cell(self) -> pa.Array | None:
        """The value, of any plain type, as an array of one cell."""
        return _cell(self.value)


class Comparison(NamedTuple):
    """A comparison with a number, in the units of its column, or with a missing cell: None."""

    sign: str
    value: float | None

    def mask(self, numbers: np.ndarray) -> Any:
        """Which of some numbers meet it."""
        return self.sign == "!=" if self.value is None else OPERATORS[self.sign](numbers, self.value)

    def meets(self, number: float) -> bool:
        return self.sign == "!=" if self.value is None else bool(OPERATORS[self.sign](number, self.value))

    @property
    def absent(self) -> bool:
        """Whether a missing cell meets it."""
        return self.sign == ("=" if self.value is None else "!=")


def parse(where: Any, columns: Sequence[str], data: Container[str]) -> tuple[Condition, ...]:
    """Conditions on `columns`, those that are generated; `data`: names of all columns of the training data.

    Errors: DataError for what cannot be read, or is of another column.
    """
    if isinstance(where, Mapping):
        some = [Condition(str(name), "=", None if _is_absent(value) else value) for name, value in where.items()]
    elif isinstance(where, str) or (isinstance(where, Sequence) and all(isinstance(one, str) for one in where)):
        some = [_split(one, columns) for one in ([where] if isinstance(where, str) else where)]
    else:
        got = printable(repr(where))
        raise DataError(f"where: must be text, a list of it, or values by column (got {got}). {SHAPE}")
    if len(some) > MOST:
        raise DataError(f"where: at most {MOST} conditions can be asked for (got {len(some):,}).")
    for name, *_ in some:
        if name not in columns and name in data:
            raise DataError(f"where: '{printable(name)}' is in the data and not generated. {suggestion(name, columns)}")
        if name not in columns:
            raise DataError(f"where: there is no column '{printable(name)}'. {suggestion(name, columns)}")
    return tuple(some)


def _split(text: str, columns: Sequence[str]) -> Condition:
    """Column, sign and value; a column whose own name has a sign in it is recognised all the same."""
    text = text.strip()
    for name in sorted(columns, key=len, reverse=True):
        rest = text[len(name.strip()) :].lstrip()
        sign = next((sign for sign in SIGNS if rest.startswith(sign)), None)
        value = rest[len(sign or "") :].strip()
        if text.startswith(name.strip()) and sign and (value or sign in ("=", "==", "!=")):
            return Condition(name, sign.replace("==", "="), value or None)
    match = re.search("|".join(SIGNS), text)
    if not match or text[: match.start()].strip() in {"", *columns}:
        raise DataError(f"where: '{printable(text)}' is no condition. {SHAPE}")
    return Condition(text[: match.start()].strip(), match[0], None)  # of a column that there is not


def suggestion(word: str, words: Iterable[str]) -> str:
    """The nearest word, or the first of those there are."""
    words = list(words)
    near = nearest(word, words)
    if near.startswith("Did") or len(words) <= LISTED:
        return near
    return f"There is: {', '.join(printable(value, 40) for value in words[:LISTED])} and {len(words) - LISTED:,} more."


def _cell(value: Any) -> pa.Array | None:
    try:
        cell = pa.array([value])
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None
    return None if pa.types.is_nested(cell.type) else cell


def _is_absent(value: Any) -> bool:
    cell = _cell(value)
    return cell is not None and (cell.null_count > 0 or (isinstance(value, float) and value != value))
