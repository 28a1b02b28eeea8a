"""What the columns of a table are to a forecast: time, series, targets; and whether a table asks for one at all."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import preprocess
from lamina.config import DataError, RecipeError, nearest
from lamina.plugins import kind as kind_of
from lamina.preprocess import typed
from lamina.recipe import Recipe
from lamina.schema import Column, Schema
from lamina.tasks import forecasting, suggest
from lamina.tasks._supervised import target as labelled
from lamina.tasks.forecasting import panel as frames
from lamina.tasks.forecasting import time_index as grid
from lamina.tasks.forecasting.panel import Frames, Roles

USABLE = ("number", "boolean", "category")  # kinds of columns that help to forecast
MOST_VALUES = 100  # of a category that helps
FILLED = 0.3  # share of series and times that rows fill, where a column is taken to tell series apart
SAMPLED = 1_000
SHORTEST = 30  # steps, before a table without a word about its task is taken to be series


class Found(NamedTuple):
    """The roles of columns, the columns by their kinds for them, and what to say of how they were found."""

    roles: Roles
    columns: tuple[Column, ...]
    notes: tuple[str, ...]


def find(recipe: Recipe, cfg: Any, table: pa.Table) -> Found:
    """What the recipe says, else the one column of times, or columns named year, month ... that make a time; and where
    times are there many times, the column that tells series apart.
    """
    given = {name: said for name, said in recipe.columns.items() if name in table.column_names}
    seen = preprocess.infer(table, None, given, recipe.missing)
    kinds = {column.name: column.kind for column in seen.columns}
    time, notes = _time(cfg, kinds, table)
    there(cfg.known, table, "task.known")
    if cfg.series is not None:
        there((cfg.series,), table, "task.series")
    targets = _targets(cfg, recipe, kinds, table, (*time, cfg.series, *cfg.known))
    roles = Roles(time, cfg.series, targets)
    if both := ({*time, cfg.series} & {*targets, *cfg.known}) | (set(targets) & set(cfg.known)):
        raise RecipeError([f"task: column '{min(both, key=str)}' has two roles: time, series, target or known."])
    columns = _kinds(seen, roles)
    if time and cfg.series is None and (name := _telling(table, columns, seen, roles, cfg)):
        notes.append(f"The series are told apart by '{name}'; say another with task.series.")
        roles = roles._replace(series=name)
        columns = _kinds(seen, roles)
    return Found(roles, columns, tuple(notes))


def there(names: tuple[str, ...], table: pa.Table, place: str) -> tuple[str, ...]:
    """The names, all of which the table has."""
    for name in names:
        if name not in table.column_names:
            raise DataError(f"{place}: the data has no column '{name}'. {nearest(name, table.column_names)}")
    return names


def _time(cfg: Any, kinds: Mapping[str, str], table: pa.Table) -> tuple[tuple[str, ...], list[str]]:
    if cfg.time:
        said = there(cfg.time, table, "task.time")
        words = [name.lower() for name in said]
        if len(said) > 1 and ("year" not in words or set(words) - set(grid.CLOCK)):
            got = ", ".join(said)
            raise RecipeError([f"task.time: several columns must be named year, month, day, hour, minute (got {got})."])
        return said, []
    moments = [name for name, found in kinds.items() if found == "time"]
    if moments:
        more = [f"'{moments[0]}' was taken as the time; say another with task.time."] if len(moments) > 1 else []
        return (moments[0],), more
    named = {name.lower(): name for name in kinds}
    parts = list[str]()
    for word in grid.CLOCK:
        if word not in named:
            break
        parts.append(named[word])
    if len(parts) > 1 or (parts and len(table[parts[0]].unique()) == table.num_rows):
        return tuple(parts), [f"The time was made of the columns {', '.join(parts)}."]
    return (), []


def _targets(
    cfg: Any, recipe: Recipe, kinds: Mapping[str, str], table: pa.Table, taken: tuple[str | None, ...]
) -> tuple[str, ...]:
    names: tuple[str, ...] = cfg.targets or ((recipe.target,) if recipe.target else ())
    if names == ("all",) and "all" not in kinds:
        return tuple(name for name, found in kinds.items() if found == "number" and name not in taken)
    if not names:
        raise DataError("target: is required. Say which column is to be forecast with: --target COLUMN.")
    found = tuple(dict.fromkeys(labelled.column(table, name) for name in names))
    if recipe.target and labelled.column(table, recipe.target) not in found:
        told = ", ".join(found)
        raise RecipeError([f"target: '{recipe.target}' is not among task.targets ({told}). Say it in one place."])
    return found


def _kinds(seen: Schema, roles: Roles) -> tuple[Column, ...]:
    """The columns with the kinds that their roles ask for."""
    forced = dict.fromkeys(roles.targets, "number") | ({roles.series: "category"} if roles.series else {})
    if len(roles.time) > 1:
        forced |= dict.fromkeys(roles.time, "number")
    found = []
    for column in seen.columns:
        kind = forced.get(column.name, column.kind)
        if column.name in roles.time and kind not in ("time", "number"):
            kind = "number"
        changed = {} if kind == column.kind else {"kind": kind, "settings": {}}
        held = column.name in (*roles.time, roles.series, *roles.targets)
        if kind in (*USABLE, "time") and (held or kind != "category" or column.distinct <= MOST_VALUES):
            found.append(column.model_copy(update=changed))
    return tuple(found)


def _telling(table: pa.Table, columns: tuple[Column, ...], seen: Schema, roles: Roles, cfg: Any) -> str | None:
    """The column within which each time is there once, where in the table most times are there several times."""
    clock = grid.clock(typed(table, tuple(c for c in columns if c.name in roles.time)), roles.time, None)
    stamps = np.unique(clock.stamps, return_inverse=True)[1]
    count, times = len(stamps), int(stamps.max(initial=0)) + 1
    if times > 0.9 * count:
        return None
    for column in seen.columns:
        taken = column.name in (*roles.time, *roles.targets, *cfg.known) or column.kind in ("time", "image", "constant")
        if taken or column.distinct * times * FILLED > count or column.distinct < 2:
            continue
        as_name = (column.model_copy(update={"kind": "category", "settings": {}}),)
        code = typed(table, as_name)[column.name].combine_chunks().dictionary_encode().indices
        code = pc.fill_null(code, column.distinct).to_numpy(zero_copy_only=False).astype(np.int64)
        if len(np.unique(code * times + stamps)) > 0.95 * count:
            return column.name
    return None


class Meant(NamedTuple):
    """A table as series: on which grid, with how many rows set aside, and which other columns it has."""

    frames: Frames
    roles: Roles
    others: tuple[str, ...]

    def told(self) -> str:
        """A sentence on it."""
        found, steps = self.frames, len(self.frames.source)
        gaps = int((found.source < 0).sum())
        many = f"{len(found.ids):,} series" if self.roles.series else "a time series"
        lost = f", {gaps:,} of {steps:,} steps without a row" if gaps else " without a gap"
        by = f" told apart by '{self.roles.series}'" if self.roles.series else ""
        time = ", ".join(self.roles.time)
        return f"The rows look like {many} in time{by}: in '{time}', one {grid.said(found.step)} apart{lost}."


def meant(recipe: Recipe, table: pa.Table, target: str | None) -> Meant | None:
    """The table as series, where it has one regular time within which no row is there twice; else nothing."""
    if not any(_timely(table[name]) for name in table.column_names) and "year" not in map(
        str.lower, table.column_names
    ):
        return None
    numbers = [
        n for n in table.column_names if pa.types.is_floating(table[n].type) or pa.types.is_integer(table[n].type)
    ]
    if not (target or numbers):
        return None
    try:
        said = recipe.model_copy(update={"target": target or numbers[-1]})
        found = find(said, forecasting.Config(), table)
        made = frames.frames(table, found.columns, found.roles)
    except (DataError, RecipeError):
        return None
    if not found.roles.time or made.step.unit == "row" or made.lost or made.used > len(made.source):
        return None
    held = (*found.roles.time, found.roles.series, *found.roles.targets)
    return Meant(made, found.roles, tuple(c.name for c in found.columns if c.name not in held and c.distinct > 1))


def _timely(column: pa.ChunkedArray) -> bool:
    """Whether the first cells are times."""
    return preprocess.suits(column.slice(0, SAMPLED).combine_chunks().drop_null(), "time") > 0


def surely(recipe: Recipe, table: pa.Table, target: str) -> tuple[bool, tuple[str, ...]]:
    """Whether a table can only mean a forecast, because it holds nothing but times and the target; and what to say."""
    if kind_of(recipe.split) not in ("auto", "time") or suggest(table[target].combine_chunks(), target) != "regression":
        return False, ()
    found = meant(recipe, table, target)
    if found is None or len(found.frames.source) < SHORTEST:
        return False, ()
    if not found.others:
        return True, (f"{found.told()} So a forecast was taken to be meant; say otherwise with --task regression.",)
    cure = "Rows drawn at random let it look into the future: --task forecasting learns from the past only."
    return False, (f"{found.told()} {cure}",)
