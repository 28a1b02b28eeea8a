"""Rows of different times: in order for a split in time, and said where they are drawn at random."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import preprocess
from lamina.data._splits import Auto, Random, Split, Stratified, TimeSplit
from lamina.plugins import kind
from lamina.preprocess import time
from lamina.recipe import Recipe
from lamina.schema import Schema

SAMPLE = 1_000
FEWEST = 10  # different times
EVEN, SORTED = 0.6, 0.95  # from which on times say when rows are from, and are no trait such as a day of birth


class Order(NamedTuple):
    """Rows in the order in which they are to be split, and what to say of it."""

    table: pa.Table
    notes: tuple[str, ...]


def arrange(table: pa.Table, split: Split, target: str, recipe: Recipe, has_test: bool) -> Order:
    """Rows oldest first for a split in time; drawn at random they stay, with a warning that the network is evaluated on
    rows from before some that it learned from.
    """
    if not isinstance(split, TimeSplit) and (has_test or not isinstance(split, Auto | Random | Stratified)):
        return Order(table, ())
    times = _times(table, target, recipe)
    if times is None:
        return Order(table, ())
    name, seconds = times
    if isinstance(split, TimeSplit):
        order = np.argsort(seconds, kind="stable")
        if (order[1:] > order[:-1]).all():
            return Order(table, ())
        note = f"Rows were put in order of time, by '{name}', before they were split."
        return Order(table.take(pa.array(order)), (note,))
    why = "so that the network was evaluated on rows from before some that it learned from"
    return Order(table, (f"Rows of different times, by '{name}', were drawn at random, {why}: --set split=time.",))


def unread(test: pa.Table, schema: Schema) -> tuple[str, ...]:
    """What to say of times of separate test rows that cannot be read as those of training are."""
    sentences = list[str]()
    for column in schema.columns:
        cfg = preprocess.settings(column) if column.kind == "time" and column.name in test.column_names else None
        if isinstance(cfg, time.Config) and (remark := time.remark(test[column.name].combine_chunks(), cfg)):
            sentences.append(f"Test rows, '{column.name}': {remark}")
    return tuple(sentences)


def _times(table: pa.Table, target: str, recipe: Recipe) -> tuple[str, np.ndarray] | None:
    """The column that says when rows are from, and its times as seconds, those that are missing first."""
    for name in table.column_names:
        kinds = {name: recipe.columns[name]} if name in recipe.columns else {}
        if name == target or any(kind(cfg) != "time" for cfg in kinds.values()):
            continue
        if not kinds and not _may_be_times(table[name], name):
            continue
        column = preprocess.infer(table.select([name]), None, kinds, recipe.missing).columns[0]
        cfg = preprocess.settings(column) if column.kind == "time" and column.distinct >= FEWEST else None
        if not isinstance(cfg, time.Config) or not time.has_day(cfg):
            continue
        stamps = preprocess.parse_columns(table, (column,))[name].combine_chunks().cast(pa.int64())
        present = stamps.drop_null().to_numpy()
        if time.sortedness(present) >= SORTED or time.regularity(present) >= EVEN:
            return name, pc.fill_null(stamps, np.iinfo(np.int64).min).to_numpy()
    return None


def _may_be_times(cells: pa.ChunkedArray, name: str) -> bool:
    """Whether the first cells may be times: numbers where the column is named so."""
    if (pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type)) and not time.NAMED.search(name):
        return False
    return preprocess.suits(cells.slice(0, SAMPLE).combine_chunks().drop_null(), "time") > 0
