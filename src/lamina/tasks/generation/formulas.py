"""Columns that others say exactly in all training rows: sums, products, and parts of a date.

Only formulas with short factors count, and only where they hold in every row up to the rounding of the column: a sum
(`check_out` is `check_in` and `nights`), a product (`total` is `price` times `quantity`), both with a factor (`tax` is
0.19 times `net`), and what a calendar says of a time (`weekday`, `year`).
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lamina import privacy
from lamina.tasks.generation.state import Formula

FEWEST = 20  # rows in which all terms are there
MOST_COLUMNS = 24
SAMPLE = 200  # rows that tell whether it is worth to look at all
DIGITS = 6  # of a factor
NEAR = 1e-9  # of the largest number, between which numbers without a last digit are the same
COARSE = 0.02  # of the spread: a column that is rounded more tells nothing of a formula with a factor
SAMPLED_ERROR = 3.0  # times what rounding may do
CALENDAR = ("date", "year", "quarter", "month", "week", "day", "weekday", "hour")


class Values(NamedTuple):
    """One column of numbers (rows,), NaN where missing, times in seconds; `rounding` is half of the last digit."""

    name: str
    numbers: np.ndarray
    rounding: float
    time: bool

    @property
    def tolerance(self) -> float:
        """How far a formula may be off."""
        largest = np.nanmax(np.abs(self.numbers), initial=0.0)
        return self.rounding * (1 + 1e-6) + NEAR * float(largest)


def learn(columns: Sequence[Values]) -> tuple[Formula, ...]:
    """The formulas of some columns, none of which needs itself: those without a minus first, then of later columns."""
    columns = [c for c in columns if len(np.unique(c.numbers[~np.isnan(c.numbers)])) > 2][:MOST_COLUMNS]
    solutions = [(rank, formula) for rank, column in enumerate(reversed(columns)) for formula in _of(column, columns)]
    solutions.sort(key=lambda one: (_cost(one[1]), one[0]))
    formulas, used = dict[str, Formula](), list[frozenset[str]]()
    for _, formula in solutions:
        names = frozenset([formula.target, *(name for name, _ in formula.terms)])
        implied = any(names <= other for other in used)
        if formula.target in formulas or implied or _needs(formulas, formula.terms, formula.target):
            continue
        formulas[formula.target] = formula
        used.append(names)
    return tuple(formulas.values())


def _cost(formula: Formula) -> tuple[bool, int]:
    """How far a formula is from the simplest: it may go below zero, and it has many terms."""
    return any(factor < 0 for _, factor in formula.terms), len(formula.terms) + (formula.constant not in (0.0, 1.0))


def _needs(formulas: Mapping[str, Formula], terms: Iterable[tuple[str, float]], target: str) -> bool:
    """Whether some of the terms are computed from the target."""
    return any(
        name == target or (name in formulas and _needs(formulas, formulas[name].terms, target)) for name, _ in terms
    )


def _of(target: Values, columns: Sequence[Values]) -> Iterator[Formula]:
    """Formulas of one column by one or two others, or by the sum of many."""
    others = [column for column in columns if column is not target]
    for one in others:
        yield from _line(target, one)
    for pair in itertools.combinations(others, 2):
        yield from _sum(target, pair)
        if not target.time and not any(column.time for column in pair):
            yield from _product(target, pair)
    same = [column for column in others if column.time == target.time]
    if len(same) > 2 and not target.time:
        yield from _total(target, same)


def _complete(*columns: Values) -> np.ndarray:
    """The rows (rows, columns) in which all are there."""
    rows = np.stack([column.numbers for column in columns], axis=1)
    rows = rows[~np.isnan(rows).any(axis=1)]
    return rows if len(rows) >= FEWEST else rows[:0]


def _line(target: Values, one: Values) -> Iterator[Formula]:
    """The target as a multiple of one column, and a constant."""
    rows = _complete(target, one)
    if not len(rows) or target.time != one.time:
        return
    z, x = rows.T
    factor = _between(z, x, target.tolerance) if not target.time else None
    if factor is not None and _tells(target, z, factor):
        yield Formula(target=target.name, kind="sum", terms=((one.name, factor),))
        return
    slopes = _least_squares(z, x[:, None], target)
    if slopes is not None and (fit := _short(target, z, x[:, None], slopes)) is not None:
        yield Formula(target=target.name, kind="sum", terms=((one.name, fit[0][0]),), constant=fit[1])


def _sum(target: Values, pair: Sequence[Values]) -> Iterator[Formula]:
    rows = _complete(target, *pair)
    if not len(rows):
        return
    slopes = _least_squares(rows[:, 0], rows[:, 1:], target)
    if slopes is not None and (fit := _short(target, rows[:, 0], rows[:, 1:], slopes)) is not None:
        terms = tuple((column.name, factor) for column, factor in zip(pair, fit[0], strict=True))
        if all(factor for _, factor in terms):
            yield Formula(target=target.name, kind="sum", terms=terms, constant=fit[1])


def _total(target: Values, others: Sequence[Values]) -> Iterator[Formula]:
    """The target as what others add up to, each once."""
    rows = _complete(target, *others)
    if len(rows) <= 2 * len(others):
        return
    slopes = np.linalg.lstsq(rows[:, 1:] - rows[:, 1:].mean(0), rows[:, 0] - rows[:, 0].mean(), rcond=None)[0]
    factors = np.round(slopes)
    used = np.flatnonzero(factors).tolist()
    if len(used) > 2 and np.abs(factors).max() == 1:
        rest = rows[:, 0] - rows[:, 1:] @ factors
        if np.abs(rest).max() <= target.tolerance + sum(others[i].tolerance for i in used):
            terms = tuple((others[i].name, float(factors[i])) for i in used)
            yield Formula(target=target.name, kind="sum", terms=terms)


def _product(target: Values, pair: Sequence[Values]) -> Iterator[Formula]:
    """The target as a multiple of two columns, or of one by the other."""
    rows = _complete(target, *pair)
    if not len(rows) or min(len(np.unique(column)) for column in rows.T) < 3:
        return
    z, x, y = rows.T
    for powers in ((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0)):
        if any(power < 0 and not column.all() for power, column in zip(powers, (x, y), strict=True)):
            continue
        product = x ** powers[0] * y ** powers[1]
        factor = _between(z, product, target.tolerance)
        if factor is not None and _tells(target, z, factor):
            terms = tuple((column.name, power) for column, power in zip(pair, powers, strict=True))
            yield Formula(target=target.name, kind="product", terms=terms, constant=factor)


def _between(z: np.ndarray, x: np.ndarray, tolerance: float) -> float | None:
    """The shortest factor by which all of z are x, up to the tolerance; None where there is none."""
    zero = x == 0
    if zero.all() or np.abs(z[zero]).max(initial=0) > tolerance:
        return None
    z, x = z[~zero], x[~zero]
    ends = np.stack([(z - tolerance) / x, (z + tolerance) / x])
    low, high = ends.min(0).max(), ends.max(0).min()
    if low > high:
        return None
    return next((short for short in _shorter((low + high) / 2) if low <= short <= high), None)


def _shorter(number: float) -> Iterator[float]:
    """A number with one digit, then two, ..."""
    yield from (float(f"{number:.{digits}g}") for digits in range(1, DIGITS + 1))


def _tells(target: Values, z: np.ndarray, factor: float) -> bool:
    """Whether a column has enough digits to prove a formula with such a factor."""
    return target.rounding <= COARSE * float(z.std()) or factor in (1.0, -1.0)


def _least_squares(z: np.ndarray, x: np.ndarray, target: Values) -> np.ndarray | None:
    """The factors of columns (rows, terms) if the first rows say that there may be some."""
    some = slice(0, SAMPLE)
    middle = x[some].mean(0), z[some].mean()
    slopes, _, rank, _ = np.linalg.lstsq(x[some] - middle[0], z[some] - middle[1], rcond=None)
    if rank < x.shape[1]:
        return None
    rest = z[some] - middle[1] - (x[some] - middle[0]) @ slopes
    return slopes if np.abs(rest).max() <= SAMPLED_ERROR * target.tolerance else None


def _short(target: Values, z: np.ndarray, x: np.ndarray, slopes: np.ndarray) -> tuple[tuple[float, ...], float] | None:
    """Short factors and a short constant by which all rows hold."""
    for digits in range(1, DIGITS + 1):
        factors = np.array([float(f"{slope:.{digits}g}") for slope in slopes])
        rest = z - x @ factors
        if rest.max() - rest.min() > 2 * target.tolerance:
            continue
        low, high = rest.max() - target.tolerance, rest.min() + target.tolerance
        options = (0.0, *_shorter((low + high) / 2))
        constant = next((short for short in options if low <= short <= high), None)
        exact = set(np.abs(factors)) <= {1.0, 86_400.0, 3_600.0, 60.0}
        if constant is not None and (exact or target.rounding <= COARSE * float(z.std())):
            return tuple(factors.tolist()), constant
    return None


def evaluate(formula: Formula, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
    """What a sum or a product gives for columns of numbers (rows,), NaN where a term is missing."""
    values = [(numbers[name], factor) for name, factor in formula.terms]
    if formula.kind == "sum":
        return formula.constant + sum(factor * x for x, factor in values)  # pyrefly: ignore[bad-return]
    with np.errstate(divide="ignore", invalid="ignore"):
        product = np.prod([x**power for x, power in values], axis=0) * formula.constant
    return np.where(np.isfinite(product), product, np.nan)


# calendars


def calendar_part(clock: np.ndarray, part: str) -> np.ndarray:
    """A part of times (rows,) as clocks show them, in seconds since 1970: a number; NaN where missing."""
    present = ~np.isnan(clock)
    stamps = np.where(present, clock, 0).astype("M8[s]")
    days, months = stamps.astype("M8[D]"), stamps.astype("M8[M]")
    month = months.astype(np.int64) % 12 + 1
    values = {
        "date": lambda: days.astype(np.int64) * 86_400,
        "year": lambda: stamps.astype("M8[Y]").astype(np.int64) + 1970,
        "quarter": lambda: (month + 2) // 3,
        "month": lambda: month,
        "week": lambda: _week(days),
        "day": lambda: (days - months.astype("M8[D]")).astype(np.int64) + 1,
        "weekday": lambda: (days.astype(np.int64) + 3) % 7,
        "hour": lambda: (stamps - days).astype(np.int64) // 3_600,
    }
    return np.where(present, values[part]().astype(np.float64), np.nan)


def _week(days: np.ndarray) -> np.ndarray:
    """The week of ISO 8601: that of the Thursday of the same week."""
    thursday = days - (days.astype(np.int64) + 3) % 7 + 3
    first = thursday.astype("M8[Y]").astype("M8[D]")
    return (thursday - first).astype(np.int64) // 7 + 1


def calendar_numbers(target: Values, clocks: Mapping[str, np.ndarray]) -> Formula | None:
    """A column of numbers or days as a part of some column of times, as its clocks show them."""
    for name, clock in clocks.items():
        for part in ("date",) if target.time else CALENDAR[1:]:
            both = ~np.isnan(clock) & ~np.isnan(target.numbers)
            own = target.numbers[both]
            enough = name != target.name and len(own) >= FEWEST and len(np.unique(own)) > 2
            if enough and (calendar_part(clock[both], part) == own).all():
                return Formula(target=target.name, kind="calendar", terms=((name, 1.0),), part=part)
    return None


def calendar_names(
    target: str, codes: np.ndarray, words: Sequence[str], clocks: Mapping[str, np.ndarray]
) -> Formula | None:
    """A column of `words`, codes (rows,) of which -1 is none, as what a part of some column of times is called."""
    for (name, clock), part in itertools.product(clocks.items(), CALENDAR[1:]):
        both = ~np.isnan(clock) & (codes >= 0)
        if both.sum() < FEWEST or len(np.unique(codes[both])) < 3:
            continue
        values, own = calendar_part(clock[both], part).astype(int), codes[both]
        distinct, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        first = np.full(len(distinct), -1)
        first[place] = own
        if (first[place] == own).all() and len(distinct) <= 60 and both.sum() >= FEWEST + 2 * len(distinct):
            values = zip(distinct.tolist(), first.tolist(), counts.tolist(), strict=True)
            names = {str(value): words[int(code)] for value, code, count in values if count >= privacy.MIN_ROWS}
            return Formula(target=target, kind="calendar", terms=((name, 1.0),), part=part, names=names)
    return None
