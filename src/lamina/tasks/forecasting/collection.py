"""The rows of a recipe, and its separate test rows behind them, as one table; their columns as training shows them."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lamina import preprocess
from lamina.data import Sources
from lamina.data._skipped_rows import locate, with_row_numbers
from lamina.preprocess import Decimal
from lamina.recipe import Recipe
from lamina.schema import Schema, SkippedRow
from lamina.tasks.forecasting.column_roles import Assignment
from lamina.tasks.forecasting.panel import Panel
from lamina.tasks.forecasting.state import Config, State
from lamina.tasks.forecasting.time_index import describe


class Rows(NamedTuple):
    """Cleaned rows with their numbers; from `test_row` on they are test rows, which come after the others."""

    table: pa.Table
    test_row: int
    decimal: Decimal | None = None


def join(sources: Sources, missing: tuple[str, ...]) -> Rows:
    """The rows of all sources. Columns of the test rows that the others lack are left out."""
    table = with_row_numbers(sources.train, missing)
    if sources.test is None:
        return Rows(table, table.num_rows, sources.train.decimal)
    later = with_row_numbers(sources.test, missing)
    later = later.select([name for name in later.column_names if name in table.column_names])
    for name in later.column_names:
        if later[name].type != table[name].type:  # such as whole numbers here and fractions there
            table = table.set_column(table.column_names.index(name), name, _as_text(table[name]))
            later = later.set_column(later.column_names.index(name), name, _as_text(later[name]))
    both = pa.concat_tables([table, later], promote_options="default")
    return Rows(both, table.num_rows, sources.train.decimal)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column if pa.types.is_null(column.type) else column.cast(pa.string())


def rows_between(table: pa.Table, panel: Panel, begin: np.ndarray, end: np.ndarray) -> pa.Table:
    """The rows that some stretch of each series came from, from step `begin` (series,) to `end`."""
    steps = np.concatenate([panel.source[a:b] for a, b in zip(begin, end, strict=True)])
    return table.take(pa.array(steps[steps >= 0]))


def make_schema(assignment: Assignment, train: pa.Table, recipe: Recipe, literal: tuple[str, ...]) -> Schema:
    """The columns as the training rows show them: one that never changes there is of no use."""
    roles = assignment.roles
    settings = {c.name: preprocess.settings(c) for c in assignment.columns}
    inferred = preprocess.infer(train.select(list(settings)), None, settings, recipe.missing, ".")
    notes = {c.name: c.note for c in assignment.columns}
    columns = tuple(
        c.model_copy(update={"note": notes[c.name]})
        for c in inferred.columns
        if c.name in (*roles.time, roles.series, *roles.targets) or c.distinct > 1
    )
    target = next(c for c in columns if c.name == roles.targets[0])
    target = target.model_copy(update={"note": "; ".join(["the target", *([target.note] if target.note else [])])})
    return Schema(columns=columns, target=target, missing=recipe.missing, literal=literal)


def skipped_rows(panel: Panel, rows: Rows, assignment: Assignment, sources: Sources) -> list[SkippedRow]:
    """Where the rows that no series can take stand in their source."""
    roles, count = assignment.roles, rows.table.num_rows
    column = roles.time[0] if roles.time else roles.series or roles.targets[0]
    parts = [(sources.config, 0, rows.test_row)]
    if sources.test is not None:
        parts.append((sources.test_config or sources.config, rows.test_row, count))
    places = list[SkippedRow]()
    for exclusion in panel.exclusions:
        for source, begin, end in parts:
            inside = exclusion.rows[(exclusion.rows >= begin) & (exclusion.rows < end)]
            bad = np.zeros(end - begin, bool)
            bad[inside - begin] = True
            reasons = [exclusion.reason] * len(inside)
            places += locate(rows.table.slice(begin, end - begin), bad, column, reasons, source)
    return places


def notes(panel: Panel, edges: np.ndarray, cfg: Config, state: State) -> list[str]:
    """What to say of series too short to evaluate on, of columns without use, and of what is forecast."""
    series, short = len(panel.ids), int((edges[:, 5] - edges[:, 4] == 0).sum())
    sentences = list[str]()
    if short:
        cure = "they are learned from, as far as they go"
        sentences.append(f"{short:,} of {series:,} series have no steps to evaluate on; {cure}.")
    unused = (name for name in cfg.known if name not in state.known)
    sentences += [f"'{name}' is not used: it is no number or category, or always the same." for name in unused]
    gap = int((edges[:, 2] - edges[:, 1]).max())
    many = f"{series:,} series of steps" if series > 1 else "Steps"
    returns = " Log-returns are forecast, as of prices." if state.transform != "none" else ""
    left = f" {gap:,} step{'s are' if gap > 1 else ' is'} left out between two parts." if gap else ""
    season = f", season {state.season:,}" if state.season > 1 else ""
    windows = f"{state.horizon:,} ahead from {state.context:,} of history{season}"
    return [*sentences, f"{many} of one {describe(state.step)}: {windows}.{returns}{left}"]
