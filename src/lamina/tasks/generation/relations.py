"""What holds between the columns of every training row: learned here, kept by the decoder, counted in the report."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.schema import Column, Schema
from lamina.tasks.generation import choice_pairs as pairs
from lamina.tasks.generation import column_values, formulas, orderings
from lamina.tasks.generation.formulas import Values
from lamina.tasks.generation.orderings import Ordering
from lamina.tasks.generation.state import ColumnModes, Combination, Formula, Relations

FEW_NAMES = 60  # of weekdays, months and the like
Codes = dict[str, np.ndarray]


def learn(table: pa.Table, schema: Schema, values: Sequence[Values]) -> tuple[dict[str, Formula], dict[str, Ordering]]:
    """Formulas and orderings by the column that they say something of; none needs itself."""
    clocks = {
        c.name: column_values.clocks(table, c)
        for c in schema.columns
        if c.kind == "time" and any(one.name == c.name for one in values)
    }
    by_target = dict[str, Formula]()
    for column in schema.columns:
        formula = _calendar(table, column, values, clocks)
        if formula is not None and formula.terms[0][0] not in by_target:
            by_target[column.name] = formula
    rest = [one for one in values if one.name not in by_target]
    by_target |= {formula.target: formula for formula in formulas.learn(rest)}
    ordered = dict[str, Ordering]()
    for one in orderings.learn(values):
        bases = tuple(base for base in one.bases if not _needs(base, one.target, by_target, ordered))
        if one.target not in by_target and bases:
            ordered[one.target] = one._replace(bases=bases) if bases != one.bases else one
    return by_target, ordered


def _needs(name: str, target: str, by_target: Mapping[str, Formula], ordered: Mapping[str, Ordering]) -> bool:
    """Whether a column is computed from the target."""
    sources = [term for term, _ in by_target[name].terms] if name in by_target else []
    sources += ordered[name].bases if name in ordered else ()
    return name == target or any(_needs(source, target, by_target, ordered) for source in sources)


def _calendar(
    table: pa.Table, column: Column, values: Sequence[Values], clocks: Mapping[str, np.ndarray]
) -> Formula | None:
    """A column as what a calendar says of a time."""
    own = next((one for one in values if one.name == column.name), None)
    if own is not None:
        return formulas.calendar_numbers(own, clocks)
    if column.kind not in ("category", "boolean") or not clocks:
        return None
    cells = column_values.texts(table, column)
    words = pc.unique(cells.drop_null())
    if len(words) > FEW_NAMES:
        return None
    codes = pc.fill_null(pc.index_in(cells, value_set=words), -1).to_numpy(zero_copy_only=False)
    return formulas.calendar_names(column.name, codes, words.to_pylist(), clocks)


def states(table: pa.Table, schema: Schema, columns: Sequence[ColumnModes]) -> tuple[Codes, dict[str, int]]:
    """Which state each cell is in, (rows,), -1 for a rare value, and how many there are, of columns of choices."""
    by_name = {column.name: column for column in schema.columns}
    codes, sizes = Codes(), dict[str, int]()
    for modes in columns:
        if modes.templates or modes.choices < 2:
            continue
        codes[modes.name] = _state(table, by_name[modes.name], modes)
        sizes[modes.name] = int(pairs.states(modes).max()) + 1
    return codes, sizes


def _state(table: pa.Table, column: Column, modes: ColumnModes) -> np.ndarray:
    missing = int(pairs.states(modes)[-1]) if modes.missing else -1
    if not modes.numeric:
        cells = column_values.texts(table, column)
        places = pc.fill_null(pc.index_in(cells, value_set=pa.array(modes.values, pa.string())), -1)
        return np.where(
            pc.is_null(cells).to_numpy(zero_copy_only=False), missing, places.to_numpy(zero_copy_only=False)
        )
    numbers = column_values.numbers(table, column) / modes.unit
    absent = np.isnan(numbers)
    if modes.parts:
        return np.where(absent, missing, 0)
    spikes = np.array(modes.spikes)
    place = np.searchsorted(spikes, numbers).clip(0, max(len(spikes) - 1, 0))
    exact = spikes[place] == numbers if len(spikes) else np.zeros(len(numbers), bool)
    return np.where(absent, missing, np.where(exact, place + 1, 0 if modes.centres else -1))


def paired_choices(table: pa.Table, schema: Schema, columns: Sequence[ColumnModes]) -> tuple[Combination, ...]:
    """What choices go together."""
    return pairs.learn(*states(table, schema, columns))


def report(
    table: pa.Table, schema: Schema, columns: Sequence[ColumnModes], relations: Relations
) -> list[dict[str, Any]]:
    """What held in all training rows, a sentence each, and in how many of these rows (cleaned) it does not."""
    by_name = {column.name: column for column in schema.columns}
    numeric = {m.name: column_values.numbers(table, by_name[m.name]) for m in columns if m.numeric}
    rows = list[dict[str, Any]]()
    for modes in columns:
        for base in modes.bases:
            strict = modes.gap > 0
            with np.errstate(invalid="ignore"):
                bad = numeric[modes.name] <= numeric[base] if strict else numeric[modes.name] < numeric[base]
            rows.append(_row(f"'{modes.name}' {'>' if strict else '>='} '{base}'", bad))
    for formula in relations.formulas:
        rows.append(_row(sentence(formula), _wrong(formula, table, by_name, numeric, columns)))
    codes, sizes = states(table, schema, columns)
    for one in relations.choice_pairs:
        bad = pairs.broken(one, codes[one.first], codes[one.second], sizes[one.second])
        rows.append(_row(f"'{one.second}' goes with '{one.first}'", bad))
    return rows


def _row(name: str, bad: np.ndarray) -> dict[str, Any]:
    return {"relation": name, "broken": int(bad.sum()), "rows": len(bad)}


def _wrong(
    formula: Formula,
    table: pa.Table,
    by_name: Mapping[str, Column],
    numeric: Mapping[str, np.ndarray],
    columns: Sequence[ColumnModes],
) -> np.ndarray:
    """The rows in which a formula does not hold."""
    if formula.kind == "calendar":
        source = column_values.clocks(table, by_name[formula.terms[0][0]])
        parts = formulas.calendar_part(source, formula.part)
        if formula.target in numeric:
            return ~np.isnan(parts) & ~np.isnan(numeric[formula.target]) & (parts != numeric[formula.target])
        cells = column_values.texts(table, by_name[formula.target]).to_pylist()
        names = [None if np.isnan(part) else formula.names.get(str(int(part))) for part in parts]
        return np.array([a is not None and b is not None and a != b for a, b in zip(cells, names, strict=True)], bool)
    modes = next(modes for modes in columns if modes.name == formula.target)
    expected, own = formulas.evaluate(formula, numeric), numeric[formula.target]
    decimals = modes.decimals if modes.kind == "number" and modes.decimals > 0 else None
    tolerance = 0.5 * 10.0**-decimals * (1 + 1e-6) if decimals is not None else 0.0
    with np.errstate(invalid="ignore"):
        return np.abs(own - expected) > tolerance + 1e-9 * np.nanmax(np.abs(own), initial=0.0)


def sentence(formula: Formula) -> str:
    """A formula as people write it."""
    if formula.kind == "calendar":
        return f"'{formula.target}' = {formula.part} of '{formula.terms[0][0]}'"
    if formula.kind == "sum":
        parts = [f"{'' if abs(f) == 1 else f'{abs(f):g} x '}'{name}'" for name, f in formula.terms]
        signs = ["- " if factor < 0 else "+ " for _, factor in formula.terms]
        text = " ".join(sign + part for sign, part in zip(signs, parts, strict=True)).removeprefix("+ ")
        constant = f" {'-' if formula.constant < 0 else '+'} {abs(formula.constant):g}" if formula.constant else ""
        return f"'{formula.target}' = {text}{constant}"
    (first, _), *rest = sorted(formula.terms, key=lambda term: -term[1])
    text = f"'{first}'" + "".join(f" {'x' if power > 0 else '/'} '{name}'" for name, power in rest)
    return f"'{formula.target}' = {'' if formula.constant == 1 else f'{formula.constant:g} x '}{text}"
