"""How each column of a table is encoded and generated, fitted on training rows: its choices, its modes, its limits, how
its cells are written, and what holds between columns.

What few rows have may name a person, and is not stored: a text that fewer than five rows have counts as a frequent one
(which, its hash says), a number that fewer have is rounded first, and numbers stay between the fifth smallest and the
fifth largest.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina import privacy
from lamina.config import DataError
from lamina.preprocess import category
from lamina.schema import LARGEST, Column, Schema
from lamina.tasks.generation import column_values, number_modes, number_styles, relations, text_templates, time_parts
from lamina.tasks.generation.orderings import Ordering
from lamina.tasks.generation.state import NUMERIC, ColumnModes, Formula, Relations

EXACT = float(1 << 53)  # up to which whole numbers are whole
CHOICES = 500  # texts of a column, the most frequent
WRITABLE = ("number", "category", "boolean", "time", "constant")
PATTERNED = ("identifier", "text")  # kinds that are made by templates alone
OFTEN, HALF = 0.9, 0.5  # of the rows have a frequent text: fewer are made by templates, and so few else not at all


class Fit(NamedTuple):
    """How each column is encoded, what holds between them, and notes on what is left out or changed."""

    columns: tuple[ColumnModes, ...]
    relations: Relations
    notes: tuple[str, ...]


def fit(table: pa.Table, schema: Schema) -> Fit:
    """From training rows (cleaned). Errors: DataError where no column can be made."""
    numeric = {c.name: column_values.numbers(table, c) for c in schema.columns if c.kind in NUMERIC}
    values = [_values(column, numeric[column.name]) for column in schema.columns if column.kind in NUMERIC]
    formulas, orderings = relations.learn(table, schema, [one for one in values if np.isfinite(one.numbers).any()])
    columns, omitted, changed = list[ColumnModes](), list[str](), list[str]()
    for column in schema.columns:
        if column.kind in NUMERIC:
            modes = _numeric(table, column, numeric, formulas.get(column.name), orderings.get(column.name))
        else:
            modes = _text(table, column, changed) if column.kind in (*WRITABLE, *PATTERNED) else None
        if modes is not None:
            columns.append(modes)
        elif column.kind != "ignore":
            omitted.append(column.name)
    if not any(modes.blocks for modes in columns):
        raise DataError("columns: no column is left whose cells could be made. Numbers, categories and times can.")
    names = {modes.name for modes in columns}
    used = tuple(f for f in formulas.values() if f.target in names and all(name in names for name, _ in f.terms))
    choice_pairs = relations.paired_choices(table, schema, columns)
    return Fit(tuple(columns), Relations(formulas=used, choice_pairs=choice_pairs), _notes(omitted, changed))


def _notes(omitted: Iterable[str], changed: Iterable[str]) -> tuple[str, ...]:
    """What is not made, or not as it was."""
    why = "free text, numbers of rows, and texts of rare values that share no pattern are not made"
    left = f"Not in the rows that are made: {', '.join(omitted)} ({why})." if omitted else ""
    rare = "values that fewer than five rows share are made as one of the frequent ones"
    return tuple(filter(None, (left, f"Of {', '.join(changed)}, {rare}." if changed else "")))


def _values(column: Column, numbers: np.ndarray) -> relations.Values:
    """A column of numbers as formulas and orderings see it."""
    present = numbers[~np.isnan(numbers)]
    decimals = 0 if column.kind == "time" else number_modes.decimals_of(present)
    return relations.Values(column.name, numbers, 0.5 * 10.0**-decimals if decimals > 0 else 0.0, column.kind == "time")


# numbers and times


def _numeric(
    table: pa.Table,
    column: Column,
    numeric: dict[str, np.ndarray],
    formula: Formula | None,
    ordering: Ordering | None,
) -> ColumnModes | None:
    """The modes of a column of numbers or times; None where it is empty."""
    numbers = numeric[column.name]
    present = numbers[~np.isnan(numbers)]
    if not len(present):
        return None
    if np.abs(present).max(initial=0) > LARGEST:
        raise DataError(
            f"columns: '{column.name}' has numbers beyond {LARGEST:g}, too large to be made (got {present.min():g} to "
            f"{present.max():g}). Give another unit, or leave the column out: --set columns.{column.name}=ignore"
        )
    settings = _writing(table, column, numbers)
    unit, decimals = settings["unit"], settings["decimals"]
    modes = number_modes.fit(present / unit, decimals)
    step = number_modes.step(present / unit, decimals)
    parts = _parts(table, column, numeric, settings, formula, ordering)
    if parts:
        limits = {name: modes[name] for name in ("low", "high")}
        settings |= {"parts": parts, **limits, **step}
    else:
        settings |= modes | ({} if modes.get("grid") else step)
    if ordering is not None and formula is None:
        settings |= {"bases": ordering.bases, "gap": ordering.gap / unit, "relative": ordering.relative and bool(parts)}
    return ColumnModes(**settings)


def _writing(table: pa.Table, column: Column, numbers: np.ndarray) -> dict[str, Any]:
    """The unit and decimals of a column, and how its cells are written."""
    cells = column_values.raw(table, column)
    present = numbers[~np.isnan(numbers)]
    settings = {"name": column.name, "kind": column.kind, "missing": bool(np.isnan(numbers).any())}
    if column.kind == "time":
        return settings | time_parts.writing(cells, column, numbers)
    decimals = number_modes.decimals_of(present)
    form = "whole" if decimals == 0 else "number"
    settings |= {"form": form, "unit": 1, "decimals": decimals}
    if pa.types.is_string(cells.type):
        units, mark = column.settings.get("units") or {}, column.settings.get("decimal") or "."
        return settings | {"styles": number_styles.learn(cells, units, mark)}
    plain = pa.types.is_int64(cells.type) or pa.types.is_float64(cells.type)
    if pa.types.is_floating(cells.type):
        settings |= {"form": "number"}
    return settings | {
        "dtype": "" if plain and not (form == "whole" and settings["form"] == "number") else str(cells.type)
    }


def _parts(
    table: pa.Table,
    column: Column,
    numeric: dict[str, np.ndarray],
    settings: dict[str, Any],
    formula: Formula | None,
    ordering: Ordering | None,
) -> tuple[ColumnModes, ...]:
    """What a column is the sum of, where it is not encoded as a whole."""
    numbers, unit = numeric[column.name], settings["unit"]
    zone = time_parts.zone(table, column, bool(settings.get("dtype"))) if column.kind == "time" else ()
    present = ~np.isnan(numbers)
    if formula is not None and all(not np.isnan(numeric[name][present]).any() for name, _ in formula.terms):
        middle = float(number_modes.fit(numbers[present] / unit, settings["decimals"])["low"])
        return (ColumnModes(name="rest", kind="number", spikes=(middle,), low=middle, high=middle, unit=unit), *zone)
    if formula is None and ordering is not None and ordering.relative:
        base = np.fmax.reduce([numeric[name] for name in ordering.bases])
        distances = ((numbers - base) / unit)[present & ~np.isnan(base)]
        decimals = number_modes.decimals_of(np.round(distances, 9))
        modes = number_modes.fit(np.round(distances, 9), decimals)
        return (ColumnModes(name="distance", kind="number", decimals=decimals, unit=unit, **modes), *zone)
    return (*time_parts.fit(table, column, unit), *zone) if column.kind == "time" else ()


# texts


def _text(table: pa.Table, column: Column, changed: list[str]) -> ColumnModes | None:
    """The modes of a column of texts; None where no value is frequent enough. Adds to the names of `changed` ones."""
    cells = column_values.texts(table, column)
    counts = cells.drop_null().value_counts().to_pylist()
    ranked = sorted(((c["counts"], c["values"]) for c in counts), key=lambda c: (-c[0], c[1]))
    frequent = [(count, text) for count, text in ranked if count >= privacy.MIN_ROWS][:CHOICES]
    total, rows = sum(count for count, _ in frequent), len(cells) - cells.null_count
    settings: dict[str, Any] = {
        "name": column.name,
        "kind": column.kind,
        "form": _form(column_values.raw(table, column).type),
        "missing": cells.null_count > 0,
    }
    if column.kind != "constant" and (column.kind in PATTERNED or total < OFTEN * rows):
        template = text_templates.fit(cells.drop_null().to_pylist()) if rows else None
        if template is not None and (column.kind != "text" or all(map(text_templates.counts, template.templates))):
            return ColumnModes(**settings, templates=template.templates)
        if column.kind in PATTERNED or total < HALF * rows or not frequent:
            return None
        changed.append(column.name)
    if not frequent and column.kind != "constant":
        return None
    return ColumnModes(
        **settings,
        values=tuple(text for _, text in frequent),
        shares=tuple(count / total for count, _ in frequent),
        spellings=_spellings(column_values.raw(table, column), [text for _, text in frequent]),
    )


def _form(kind: pa.DataType) -> str:
    tests = {"boolean": pa.types.is_boolean, "whole": pa.types.is_integer, "number": pa.types.is_floating}
    tests |= {"date": pa.types.is_date, "moment": pa.types.is_timestamp}
    return next((name for name, test in tests.items() if test(kind)), "text")


def _spellings(cells: pa.Array, values: list[str]) -> tuple[str, ...]:
    """How texts are written that compare as `values`, such as 3.0 for 3; () where all are written as they compare."""
    if not pa.types.is_string(cells.type):
        return ()
    words = privacy.shared(cells)
    keys = category.parse(pa.array(words, pa.string()), category.Config()).to_pylist()
    usual = dict(reversed([*zip(keys, words, strict=True)]))  # the most frequent one last
    spelled = tuple(usual.get(value, value) for value in values)
    return () if spelled == tuple(values) else spelled
