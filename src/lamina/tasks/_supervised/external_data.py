"""`also`: other data that the finished network is evaluated by, looked at before training, so that no fault waits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lamina import data, preprocess
from lamina.config import Config, DataError, MissingColumn, nearest
from lamina.data import _locator
from lamina.data._skipped_rows import locate, with_row_numbers
from lamina.experiment import Experiment
from lamina.preprocess import UNUSED
from lamina.recipe import Recipe
from lamina.schema import Collected, SkippedRow, rename_columns
from lamina.tasks._supervised.target import split_off, with_known_labels
from lamina.tasks._supervised.task import SupervisedTask

PIECE = 256  # rows at a time that are looked at for one that can be used


class ExternalData(NamedTuple):
    """Other data by name, as they were read."""

    name: str
    source: Config
    collected: Collected


def refuse(recipe: Recipe) -> None:
    """For runs that evaluate nothing else. Errors: DataError where a recipe names other data."""
    if recipe.also:
        cure = "Evaluate other rows when the network is there, with: lamina evaluate BUNDLE SOURCE"
        raise DataError(f"also: this run predicts no column, so there is nothing to evaluate on other data. {cure}")


def load(sources: Mapping[str, Config], experiment: Experiment) -> tuple[ExternalData, ...]:
    """The sources of a recipe's `also`, each with a row at least that can be evaluated.

    Errors: DataError where a source cannot be read, has no such column or class, or, where each row is answered by
    itself, no usable row.
    """
    external = []
    for name, source in sources.items():
        try:
            external.append(ExternalData(name, source, data.load(source)))
            _check(external[-1], experiment)
        except DataError as error:
            raise DataError(f"also.{name}: {str(error).removeprefix('data.path: ')}") from None
    return tuple(external)


def _check(external: ExternalData, experiment: Experiment) -> None:
    target, collected = experiment.target, external.collected
    assert target is not None
    used = [column for column in experiment.schema.columns if column.kind not in UNUSED]
    files = [column.name for column in preprocess.file_columns(used)]
    names = {"image": files[0]} if len(files) == 1 else {}
    rows = rename_columns(collected.table, names | ({collected.target: target.name} if collected.target else {}))
    if target.name not in rows.column_names:
        if rows.column_names == files:
            raise DataError(f"its images have no class. Say which one: CLASS={_locator.describe(external.source)}")
        raise MissingColumn(f"there is no column '{target.name}'. {nearest(target.name, rows.column_names)}")
    if not {column.name for column in used} & set(rows.column_names):
        features, columns = (", ".join(names[:5]) for names in ([c.name for c in used], rows.column_names))
        raise MissingColumn(f"has none of the columns that are learned from, {features} (got {columns}).")
    if not isinstance(experiment.task, SupervisedTask):
        return
    collected = replace(collected, table=rows, literal=experiment.schema.literal)
    table = with_row_numbers(collected, experiment.schema.missing)
    table, unusable = split_off(table, target, external.source)
    _refuse_unknown_classes(external, experiment)
    table, unknown = with_known_labels(table, target, experiment.task, external.source)
    if not table.num_rows:
        reason = (unusable + unknown)[0].reason
        raise DataError(f"no row can be evaluated; the first was skipped because {reason}.")
    _refuse_broken(table, experiment, external.source)


def _refuse_unknown_classes(external: ExternalData, experiment: Experiment) -> None:
    """A class that was named and was never trained on is a slip of the pen."""
    classes = experiment.task.classes
    for name in external.source.model_dump().get("classes", ()) if classes else ():
        if experiment.task.unknown(pa.array([str(name)]))[0]:
            raise DataError(f"there is no class '{name}' to evaluate. {nearest(str(name), classes)}")


def _refuse_broken(table: pa.Table, experiment: Experiment, source: Config) -> None:
    """Rows are looked at until one comes whose cells are sound."""
    for column in filter(preprocess.can_have_faults, experiment.schema.columns):
        if column.name not in table.column_names:
            continue
        pieces = (table.slice(start, PIECE) for start in range(0, table.num_rows, PIECE))
        first: list[SkippedRow] = []
        for piece in pieces:
            _, faults = preprocess.faults((experiment.splits.train.slice(0, PIECE), piece), column)
            bad = np.array([fault is not None for fault in faults])
            if not bad.all():
                break
            first = first or locate(piece, bad, column.name, [str(fault) for fault in faults], source)
        else:
            raise DataError(f"no row can be evaluated; the first is {first[0].file}, which {first[0].reason}.")
