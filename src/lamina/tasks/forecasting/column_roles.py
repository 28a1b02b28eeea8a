"""What the columns of a table are to a forecast: time, series, targets; and whether a table looks like series."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import preprocess
from lamina.config import DataError, MissingColumn, RecipeError, nearest
from lamina.data._skipped_rows import column_name
from lamina.experiment import Suitability
from lamina.plugins import kind
from lamina.preprocess import Decimal, parse_columns
from lamina.recipe import Recipe
from lamina.schema import Collected, Column, Schema, clean
from lamina.tasks.forecasting import time_columns, time_index
from lamina.tasks.forecasting.panel import MAX_DUPLICATES, ColumnRoles, Panel, build_panel
from lamina.tasks.forecasting.state import Config

USABLE = ("number", "boolean", "category")  # kinds of columns that help to forecast
MAX_CATEGORIES = 100  # of a column that helps
FILLED = 0.3  # share of series and times that rows fill, where a column is taken to tell series apart
SAMPLE = 1_000
SHORTEST = 30  # steps, before a table without a word about its task is taken to be series


class Assignment(NamedTuple):
    """The roles of columns, the columns by their kinds for them, and what to say of how they were found."""

    roles: ColumnRoles
    columns: tuple[Column, ...]
    notes: tuple[str, ...]


def assign(recipe: Recipe, cfg: Config, table: pa.Table, decimal: Decimal | None = None) -> Assignment:
    """What the recipe says, else the one column of times, or columns named year, month ... that make a time; and where
    times are there many times, the column that tells series apart. Errors: DataError, RecipeError.
    """
    settings = {name: kind for name, kind in recipe.columns.items() if name in table.column_names}
    schema = preprocess.infer(table, None, settings, recipe.missing, decimal)
    kinds = {column.name: column.kind for column in schema.columns}
    _check_columns(cfg.time or (), table, "task.time")
    _check_columns(cfg.known, table, "task.known")
    if cfg.series is not None:
        _check_columns((cfg.series,), table, "task.series")
    names = cfg.targets or ((recipe.target,) if recipe.target else ())
    others = {column_name(table, name) for name in names if name in table.column_names}
    others |= {cfg.series or "", *cfg.known}
    time, notes, changes, repeats = time_columns.find(cfg, schema, table, others, recipe.columns)
    schema = _with_changes(schema, changes)
    targets = _targets(cfg, recipe, kinds, table, (*time, cfg.series, *cfg.known))
    roles = ColumnRoles(time, cfg.series, targets)
    if both := ({*time, cfg.series} & {*targets, *cfg.known}) | (set(targets) & set(cfg.known)):
        raise RecipeError([f"task: column '{min(both, key=str)}' has two roles: time, series, target or known."])
    columns = _with_kinds(schema, roles, decimal)
    if time and cfg.series is None and (name := _find_series(table, columns, schema, roles, cfg)):
        notes = (*notes, f"The series are told apart by '{name}'; say another with --set task.series=COLUMN.")
        roles = roles._replace(series=name)
        columns = _with_kinds(schema, roles, decimal)
    elif repeats and cfg.series is None:
        notes, roles = (), roles._replace(time=())
        columns = _with_kinds(schema, roles, decimal)
    return Assignment(roles, columns, notes)


def _with_changes(schema: Schema, changes: tuple[Column, ...]) -> Schema:
    """The schema with some columns read otherwise."""
    new = {column.name: column for column in changes}
    return schema.model_copy(update={"columns": tuple(new.get(c.name, c) for c in schema.columns)})


def _check_columns(names: tuple[str, ...], table: pa.Table, place: str) -> None:
    for name in names:
        if name not in table.column_names:
            raise MissingColumn(f"{place}: the data has no column '{name}'. {nearest(name, table.column_names)}")


def _targets(
    cfg: Config, recipe: Recipe, kinds: Mapping[str, str], table: pa.Table, others: tuple[str | None, ...]
) -> tuple[str, ...]:
    names = cfg.targets or ((recipe.target,) if recipe.target else ())
    if names == ("all",) and "all" not in kinds:
        return tuple(name for name, kind in kinds.items() if kind == "number" and name not in others)
    if not names:
        raise DataError("target: is required. Say which column is to be forecast with: --target COLUMN.")
    targets = tuple(dict.fromkeys(column_name(table, name) for name in names))
    if recipe.target and column_name(table, recipe.target) not in targets:
        listed = ", ".join(targets)
        raise RecipeError([f"target: '{recipe.target}' is not among task.targets ({listed}). Say it in one place."])
    return targets


def _with_kinds(schema: Schema, roles: ColumnRoles, decimal: Decimal | None) -> tuple[Column, ...]:
    """The columns with the kinds that their roles ask for; without those that are of no use."""
    kinds = dict.fromkeys(roles.targets, "number") | ({roles.series: "category"} if roles.series else {})
    if len(roles.time) > 1:
        kinds |= {c.name: "number" for c in schema.columns if c.name in roles.time and c.kind != "time"}
    columns = []
    for column in schema.columns:
        kind = kinds.get(column.name, column.kind)
        if column.name in roles.time and kind not in ("time", "number"):
            kind = "number"
        settings = {"decimal": decimal} if decimal and kind == "number" else {}
        changes = {} if kind == column.kind else {"kind": kind, "settings": settings}
        if column.name == roles.series and "spellings" in column.settings and "as set" not in column.note:
            changes = {"kind": kind, "settings": {"spellings": {}}, "note": ""}  # each has times of its own
        has_role = column.name in (*roles.time, roles.series, *roles.targets)
        if kind in (*USABLE, "time") and (has_role or kind != "category" or column.distinct <= MAX_CATEGORIES):
            columns.append(column.model_copy(update=changes))
    return tuple(columns)


def _find_series(
    table: pa.Table, columns: tuple[Column, ...], schema: Schema, roles: ColumnRoles, cfg: Config
) -> str | None:
    """The column within which each time is there once, where in the table most times are there several times."""
    cells = parse_columns(table, tuple(c for c in columns if c.name in roles.time))
    stamps = np.unique(time_index.timestamps(cells, roles.time, None).values, return_inverse=True)[1]
    count, times = len(stamps), int(stamps.max(initial=0)) + 1
    if times > 0.9 * count:
        return None
    for column in schema.columns:
        if column.name in (*roles.time, *roles.targets, *cfg.known) or column.kind in ("time", "image", "constant"):
            continue
        if column.distinct * times * FILLED > count or column.distinct < 2:
            continue
        category = (column.model_copy(update={"kind": "category", "settings": {}}),)
        codes = parse_columns(table, category)[column.name].combine_chunks().dictionary_encode().indices
        codes = pc.fill_null(codes, column.distinct).to_numpy(zero_copy_only=False).astype(np.int64)
        if len(np.unique(codes * times + stamps)) > 0.95 * count:
            return column.name
    return None


# does a table look like series?


class Detection(NamedTuple):
    """A table as series: on which grid, which other columns it has, and how many rows have no step of their own."""

    panel: Panel
    roles: ColumnRoles
    others: tuple[str, ...]
    twice: int

    @property
    def sentence(self) -> str:
        panel, steps = self.panel, len(self.panel.source)
        gaps = int((panel.source < 0).sum())
        series = f"{len(panel.ids):,} series" if self.roles.series else "a time series"
        missing = f", {gaps:,} of {steps:,} steps without a row" if gaps else " without a gap"
        if self.twice:
            others = "1 row at the time of another" if self.twice == 1 else f"{self.twice:,} rows at the time of others"
            missing += f", {others}"
        by = f" told apart by '{self.roles.series}'" if self.roles.series else ""
        time, step = ", ".join(self.roles.time), time_index.describe(panel.frequency)
        return f"The rows look like {series} in time{by}: in '{time}', one {step} apart{missing}."


def detect(recipe: Recipe, collected: Collected, target: str | None) -> Detection | None:
    """The rows of a source as series, where they have one regular time, and as few rows at the time of others as a
    forecast allows; else nothing. Of most tables the first rows tell.
    """
    raw, literal = collected.table, collected.literal
    if not _has_times(clean(raw.slice(0, SAMPLE), recipe.missing, literal)):
        return None
    table = clean(raw, recipe.missing, literal)
    numbers = [field.name for field in table.schema if _is_number(field.type)]
    if not (target or numbers):
        return None
    recipe = recipe.model_copy(update={"target": target or numbers[-1]})
    few = table.select(_with_possible_roles(recipe, table))
    try:
        assignment = assign(recipe, Config(), few, collected.decimal)
        panel = build_panel(few, assignment.columns, assignment.roles)
    except (DataError, RecipeError):
        return None
    roles = assignment.roles
    twice = few.num_rows - int((panel.source >= 0).sum())
    if not roles.time or panel.frequency.unit == "row" or twice > MAX_DUPLICATES * few.num_rows:
        return None
    with_role = (*roles.time, roles.series, *roles.targets)
    if few.num_columns < table.num_columns:
        assignment = assign(recipe, Config(), table, collected.decimal)
    columns = assignment.columns
    others = tuple(c.name for c in columns if c.name not in with_role and c.distinct > 1)
    return Detection(panel, roles, others, twice)


def _with_possible_roles(recipe: Recipe, table: pa.Table) -> list[str]:
    """Columns of times, the target, those that the recipe speaks of, and those of so few values that they could tell
    series apart: to understand all the others takes long where a table is wide.
    """
    named = {recipe.target, *recipe.columns, *(n for n in table.column_names if n.lower() in time_index.PARTS)}
    sizes = {f.name: 0 if pa.types.is_nested(f.type) else len(table[f.name].unique()) for f in table.schema}
    times = {n for n in sizes if n in named or preprocess.suits(table[n].combine_chunks().drop_null(), "time") > 0}
    least = min((sizes[name] for name in times - {recipe.target}), default=0)
    return [n for n in sizes if n in times or sizes[n] * least * FILLED <= table.num_rows]


def _has_times(table: pa.Table) -> bool:
    """Whether the cells of some column are times, or one is named as a year is."""
    columns = (column.combine_chunks().drop_null() for column in table.columns)
    return "year" in map(str.lower, table.column_names) or any(preprocess.suits(c, "time") > 0 for c in columns)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)


def suitability(recipe: Recipe, collected: Collected) -> Suitability:
    """Whether rows without a word on their task are series: surely, where they hold nothing but times and a numeric
    target; else a note, where they look like it.
    """
    table, target = collected.table, recipe.target or collected.target
    if target is not None:
        target = column_name(table, target)
        cells = clean(table.select([target]), recipe.missing)[target].combine_chunks().drop_null()
        if not preprocess.suits(cells, "number"):
            return Suitability()
    detection = detect(recipe, collected, target)
    if detection is None:
        return Suitability()
    sentence = detection.sentence
    command = f"lamina train DATA --task forecasting --target {target or 'COLUMN'}"
    advice = f"{sentence} Learn from the past with: {command}"
    if target is None or kind(recipe.split) not in ("auto", "time") or len(detection.panel.source) < SHORTEST:
        return Suitability(0.0, "", advice)
    if detection.others:
        cure = "Rows drawn at random let it look into the future: --task forecasting learns from the past only."
        return Suitability(0.45, f"{sentence} {cure}", advice)
    note = "So a forecast was taken to be meant; say otherwise with --task regression."
    return Suitability(0.7, f"{sentence} {note}", advice)
