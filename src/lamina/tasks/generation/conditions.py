"""Conditions on rows to make, such as `Contract=Two year` and `tenure>=24`; `city=` is a missing cell.

Text is compared as it is spelled, numbers and times by what they are. A missing cell differs from every value, and is
neither above nor below one. What no row could meet is refused before anything is made.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError, nearest
from lamina.deploy.bundle import Bundle
from lamina.deploy.bundle.strict_json import shown
from lamina.preprocess import category, number, time, typed
from lamina.schema import Column
from lamina.tasks.generation import Made

SIGNS = ("!=", "<=", ">=", "==", "=", "<", ">")
TESTS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
SHAPE = "Write column, sign and value, such as tenure>=24; the signs are = != < <= > >=, and column= is a missing cell."
MOST, LISTED = 100, 10  # conditions, and values of a column in a sentence


class Condition(NamedTuple):
    """One of them as it was said; `value` is None for a missing cell."""

    column: str
    sign: str
    value: Any

    def __str__(self) -> str:
        return shown(f"{self.column}{self.sign}{'' if self.value is None else self.value}")


class Test(NamedTuple):
    """A comparison with a number, in the units of its column, or with a missing cell: None."""

    sign: str
    value: float | None

    def meets(self, number: float) -> bool:
        return self.sign == "!=" if self.value is None else bool(TESTS[self.sign](number, self.value))

    @property
    def absent(self) -> bool:
        """Whether a missing cell meets it."""
        return self.sign == ("=" if self.value is None else "!=")


@dataclass(frozen=True)
class Where:
    """What rows have to meet. `classes`: those that may be made, any where None; `texts`: the cells that are allowed;
    `numbers`: comparisons, by column.
    """

    said: tuple[Condition, ...]
    classes: tuple[str, ...] | None
    texts: Mapping[str, tuple[str | None, ...]]
    numbers: Mapping[str, tuple[Column, Made, tuple[Test, ...]]]

    def __str__(self) -> str:
        return _joined(self.said)

    def meets(self, table: pa.Table) -> np.ndarray:
        """A mask of the rows that meet all of them; the class is not looked at."""
        found = np.ones(table.num_rows, bool)
        for name, allowed in self.texts.items():
            cells = category.parse(table[name].combine_chunks(), category.Config())
            found &= pc.is_in(cells, value_set=pa.array(allowed, pa.string())).to_numpy(zero_copy_only=False)
        for name, (column, made, tests) in self.numbers.items():
            cells = typed(table, (column,))[name].combine_chunks()
            cells = cells.cast(pa.int64()) if made.kind == "time" else cells
            absent = pc.is_null(cells).to_numpy(zero_copy_only=False)
            numbers = pc.fill_null(cells, 0).to_numpy(zero_copy_only=False).astype(np.float64) / made.unit
            for test in tests:
                held = test.sign == "!=" if test.value is None else TESTS[test.sign](numbers, test.value)
                found &= np.where(absent, test.absent, held)
        return found


def conditions(said: Any, bundle: Bundle) -> Where | None:
    """What is asked of the rows to make, or None where nothing is.

    `said`: `"tenure>=24"`, a list of such, or values by column: `{"Contract": "Two year", "city": None}`. Errors:
    DataError for what cannot be read, is of no column, or can never hold.
    """
    if said is None or (isinstance(said, Mapping | list | tuple) and not said):
        return None
    state, aim = bundle.task_state, bundle.schema.target
    if not state.columns:
        raise DataError("where: is for rows of a table, and this bundle makes pictures. A class is asked for by label.")
    made = {column.name: column for column in state.columns}
    if aim and state.classes:
        numeric = all(re.match(number.PLAIN, name) for name in state.classes)
        made[aim.name] = Made(
            name=aim.name, kind="category", form="number" if numeric else "text", values=state.classes
        )
    told = _read(said, tuple(made), {column.name for column in bundle.schema.columns})
    by = {name: tuple(c for c in told if c.column == name) for name in dict.fromkeys(c.column for c in told)}
    texts, numbers = dict[str, tuple[str | None, ...]](), dict[str, tuple[Column, Made, tuple[Test, ...]]]()
    kinds = {column.name: column for column in bundle.schema.columns}
    for name, some in by.items():
        if made[name].kind in ("number", "time"):
            numbers[name] = kinds[name], made[name], _numbers(some, made[name], kinds[name])
        else:
            texts[name] = _allowed(some, made[name])
    classes = texts.pop(aim.name, None) if aim and state.classes else None
    return Where(told, tuple(c for c in classes if c) if classes else None, texts, numbers)


def examples(bundle: Bundle) -> list[str]:
    """Conditions on one column that many rows of this bundle meet."""
    columns = [made for made in bundle.task_state.columns if made.choices > 1]
    number = next((made for made in columns if made.kind == "number"), None)
    if number is not None:
        spots = (*number.spikes, *number.centres)
        middle = min(max(sorted(spots)[len(spots) // 2], number.low), number.high)
        middle = round(middle, number.decimals) if number.decimals >= 0 else float(f"{middle:.3g}")
        return [f"{number.name}>={middle:.10g}"]
    made = next((made for made in columns if made.values), columns[0])
    return [f"{made.name}{f'={made.values[0]}' if made.values else '!='}"]


def _read(said: Any, names: Sequence[str], known: Iterable[str]) -> tuple[Condition, ...]:
    """Conditions as they were said, of columns that are made."""
    if isinstance(said, Mapping):
        found = [Condition(str(name), "=", None if _absent(value) else value) for name, value in said.items()]
    elif isinstance(said, str) or (isinstance(said, Sequence) and all(isinstance(one, str) for one in said)):
        found = [_split(one, names) for one in ([said] if isinstance(said, str) else said)]
    else:
        raise DataError(f"where: must be text, a list of it, or values by column (got {shown(repr(said))}). {SHAPE}")
    if len(found) > MOST:
        raise DataError(f"where: at most {MOST} conditions can be asked for (got {len(found):,}).")
    for name, *_ in found:
        if name not in names and name in known:
            raise DataError(f"where: '{shown(name)}' is in the data and not made. {_there(name, names)}")
        if name not in names:
            raise DataError(f"where: there is no column '{shown(name)}'. {_there(name, names)}")
    return tuple(found)


def _split(text: str, names: Sequence[str]) -> Condition:
    """Column, sign and value; a column whose own name has a sign in it is found all the same."""
    text = text.strip()
    for name in sorted(names, key=len, reverse=True):
        rest = text[len(name.strip()) :].lstrip()
        sign = next((sign for sign in SIGNS if rest.startswith(sign)), None)
        value = rest[len(sign or "") :].strip()
        if text.startswith(name.strip()) and sign and (value or sign in ("=", "==", "!=")):
            return Condition(name, sign.replace("==", "="), value or None)
    found = re.search("|".join(SIGNS), text)
    if not found or text[: found.start()].strip() in {"", *names}:
        raise DataError(f"where: '{shown(text)}' is no condition. {SHAPE}")
    return Condition(text[: found.start()].strip(), found[0], None)  # of a column that there is not


def _there(word: str, words: Iterable[str]) -> str:
    """The nearest word, or the first of those there are."""
    words = list(words)
    near = nearest(word, words)
    return near if near.startswith("Did") or len(words) <= LISTED else f"There is: {_listed(words)}."


def _listed(values: Sequence[str]) -> str:
    more = f" and {len(values) - LISTED:,} more" if len(values) > LISTED else ""
    return ", ".join(shown(value, 40) for value in values[:LISTED]) + more


def _joined(some: Iterable[Condition]) -> str:
    return " and ".join(f"'{one}'" for one in some)


def _cell(value: Any) -> pa.Array | None:
    """One value of any type as an array of one cell."""
    try:
        return pa.array([value])
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


def _absent(value: Any) -> bool:
    cell = _cell(value)
    return cell is not None and (cell.null_count > 0 or (isinstance(value, float) and value != value))


def _allowed(some: Sequence[Condition], made: Made) -> tuple[str | None, ...]:
    """The cells of a column of text that meet all conditions on it. Errors: DataError where there are none."""
    cells: tuple[str | None, ...] = (*made.values, None) if made.missing else made.values
    meeting = [{cell for cell in cells if test(cell)} for test in (_text_test(one, made) for one in some)]
    for one, left in zip(some, meeting, strict=True):
        if not left:
            never = f"'{shown(made.name)}' is never missing" if one == (made.name, "=", None) else ""
            raise DataError(f"where: '{one}' can never hold: {never or _made_as(made)}.")
    if not (found := set.intersection(*meeting)):
        raise DataError(f"where: no row can meet {_joined(some)} together.")
    return tuple(cell for cell in cells if cell in found)


def _text_test(one: Condition, made: Made) -> Callable[[str | None], bool]:
    """Whether a cell meets a condition. Errors: DataError for a value that the column does not have."""
    if one.value is None:
        return lambda cell: (cell is None) == (one.sign == "=")
    given = _cell(one.value)
    said = None if given is None else category.parse(given, category.Config())[0].as_py()
    if said is None or (one.sign in ("=", "!=") and said not in made.values):
        word = shown(str(one.value))
        raise DataError(f"where: there is no '{word}' in '{shown(made.name)}'. {_there(word, made.values)}")
    test = TESTS[one.sign]
    if made.form in ("whole", "number") and one.sign not in ("=", "!="):
        limit = _number(one, made, None)
        return lambda cell: cell is not None and test(float(cell), limit)
    return lambda cell: one.sign == "!=" if cell is None else test(cell, said)


def _numbers(some: Sequence[Condition], made: Made, column: Column) -> tuple[Test, ...]:
    """Conditions on a column of numbers or times. Errors: DataError for those that no cell can meet."""
    tests = tuple(Test(one.sign, None if one.value is None else _number(one, made, column)) for one in some)
    for one, test in zip(some, tests, strict=True):
        if not _possible(made, (test,)):
            never = f"'{shown(made.name)}' is never missing" if test == ("=", None) else _made_as(made)
            raise DataError(f"where: '{one}' can never hold: {never}.")
    if not _possible(made, tests):
        raise DataError(f"where: no row can meet {_joined(some)} together.")
    return tests


def _number(one: Condition, made: Made, column: Column | None) -> float:
    """The value of a condition on numbers, or on times in units of their column."""
    given, timed = _cell(one.value), made.kind == "time" and column is not None
    read = pa.nulls(1) if given is None else given
    if timed and column:
        found = time.parse(read, time.Config(format=column.settings.get("format"))).cast(pa.int64())[0].as_py()
    else:
        found = number.parse(read, number.Config())[0].as_py()
    if found is None:
        sort = f"a time such as {_when(made.high * made.unit)}" if timed else "a number"
        raise DataError(f"where: '{shown(made.name)}' is compared with {sort} (got '{shown(str(one.value))}').")
    return found / made.unit


def _possible(made: Made, tests: Sequence[Test]) -> bool:
    """Whether some cell of a column of numbers meets all tests."""
    if made.missing and all(test.absent for test in tests):
        return True
    if any(all(test.meets(spot) for test in tests) for spot in (*made.spikes, *made.grid)):
        return True
    if not made.centres or made.grid or any(test == ("=", None) for test in tests):
        return False
    low, high, out = made.low, made.high, set[float]()
    for sign, value in ((test.sign, test.value) for test in tests if test.value is not None):
        low = max(low, value) if sign in ("=", ">=") else low
        high = min(high, value) if sign in ("=", "<=") else high
        low = max(low, np.nextafter(value, np.inf)) if sign == ">" else low
        high = min(high, np.nextafter(value, -np.inf)) if sign == "<" else high
        out |= {value} if sign == "!=" else set()
    if made.decimals == 0:
        low, high = np.ceil(low), np.floor(high)
    exact = made.decimals < 0 or np.round(low, made.decimals) == low
    return bool(low < high or (low == high and low not in out and exact))


def _made_as(made: Made) -> str:
    """What the cells of a column can be, in words."""
    name = f"'{shown(made.name)}' is made"
    if made.kind not in ("number", "time"):
        return f"{name} as {_listed(made.values)}"
    spots = sorted({*made.spikes, *made.grid})
    ends = [*spots, *(() if made.grid or not made.centres else (made.low, made.high))]
    if len(ends) == len(spots) <= LISTED:
        return f"{name} as {', '.join(_said(spot, made) for spot in spots)}"
    decimals = {0: " in whole numbers", -1: ""}.get(
        made.decimals, f" with {made.decimals} decimal{'s' if made.decimals > 1 else ''}"
    )
    steps = {86_400: " in days", 3_600: " in hours", 60: " in minutes"}.get(made.unit, "")
    return (
        f"{name} from {_said(min(ends), made)} to {_said(max(ends), made)}{steps if made.kind == 'time' else decimals}"
    )


def _said(value: float, made: Made) -> str:
    return _when(value * made.unit) if made.kind == "time" else f"{value:.10g}"


def _when(seconds: float) -> str:
    stamp = np.datetime64(int(seconds), "s")
    return str(stamp.astype("datetime64[D]") if int(seconds) % 86_400 == 0 else stamp)
