"""Rows of which none is skipped for want of a target, in three splits, with the columns understood."""

from typing import NamedTuple

import pyarrow as pa

from lamina import preprocess
from lamina.data import Sources
from lamina.data._skipped_rows import ROW_NUMBER, column_name, with_row_numbers
from lamina.data._splits import Splits, explicit, split
from lamina.recipe import Recipe, Unused
from lamina.schema import Collected, Schema, SkippedRow
from lamina.tasks._supervised.experiment import split_settings, usable


class UnlabelledRows(NamedTuple):
    """What of an experiment does not depend on its task, by the names of its fields."""

    schema: Schema
    splits: Splits
    read: int
    skipped_rows: tuple[SkippedRow, ...]
    notes: tuple[str, ...]


def with_split(recipe: Recipe, collected: Collected) -> Recipe:
    """The recipe with the parts that rows of a source are given to."""
    return recipe.model_copy(update={"split": explicit(split_settings(recipe.split, collected))})


def collect(recipe: Recipe, sources: Sources, label: str | None = None) -> UnlabelledRows:
    """Every row is usable whose cells are sound. `label`: a column that is kept out of the inputs, as categories; a row
    without one is used as well.
    """
    collected = sources.train
    table = with_row_numbers(collected, recipe.missing)
    test = with_row_numbers(sources.test, recipe.missing) if sources.test else None
    label = None if label is None else column_name(table, label)
    splits = split(table, with_split(recipe, collected).split, None, recipe.seed, test)
    settings = {name: Unused(kind="ignore") for name in collected.metadata if name in table.column_names}
    settings |= recipe.columns
    train = splits.train.drop_columns([ROW_NUMBER])
    schema = preprocess.infer(train, label, settings, recipe.missing, collected.decimal)
    target = schema.target and schema.target.model_copy(
        update={"kind": "category", "settings": {}, "note": "the label"}
    )
    schema = schema.model_copy(update={"literal": collected.literal, "target": target})
    splits, broken = usable(splits, schema, sources)
    test_source = sources.test or Collected(pa.table({}))
    return UnlabelledRows(
        schema=schema,
        splits=Splits(*(rows.drop_columns([ROW_NUMBER]) for rows in splits)),
        read=sum(source.table.num_rows + len(source.skipped_rows) for source in (collected, test_source)),
        skipped_rows=(*collected.skipped_rows, *test_source.skipped_rows, *broken),
        notes=(*collected.notes, *test_source.notes),
    )
