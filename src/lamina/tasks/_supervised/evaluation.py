"""What a bundle is worth on rows it has never seen: scores of the answers of the predictor that is served."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.config import Config, DataError, MissingColumn, nearest
from lamina.data._skipped_rows import ROW_NUMBER, locate, with_row_numbers
from lamina.evaluate import metrics
from lamina.experiment import Evaluation
from lamina.preprocess import Broken, parse_columns
from lamina.schema import Collected, SkippedRow
from lamina.tasks._supervised.target import split_off, with_known_labels
from lamina.tasks._supervised.task import decoded


def truth(session: Any, rows: pa.Table) -> np.ndarray:
    """The target of rows (cleaned, label known) as metrics want it."""
    column = session.schema.target
    values = parse_columns(rows, (column,))[column.name].combine_chunks()
    return session.task.truth(session.task.encode(values))


def score(session: Any, rows: pa.Table, answers: Mapping[str, np.ndarray] | None = None) -> Evaluation:
    """Scores of usable rows; `answers`: those of the rows, if they are there already."""
    task, target = session.task, truth(session, rows)
    answers = decoded(session, rows) if answers is None else answers
    return Evaluation(
        scores=metrics.scores(task.metrics, target, answers),
        interval=metrics.bootstrap(task.metrics[0], target, answers),
        target=target,
        answers=answers,
        rows=rows.num_rows,
        per_class=tuple(metrics.class_table(task.class_table, target, answers, task.classes)),
    )


def score_source(session: Any, collected: Collected, source: Config) -> Evaluation:
    """The same for rows as a source gives them; those without a usable target are skipped, with the reason."""
    column = session.schema.target
    rows = session.with_bundle_names(collected.table, collected.target)
    collected = replace(collected, table=rows, literal=session.schema.literal)
    table = with_row_numbers(collected, session.schema.missing)
    if column.name not in table.column_names:
        names = table.column_names[:-1]
        raise MissingColumn(f"evaluate: the rows have no column '{column.name}'. {nearest(column.name, names)}")
    table, unusable = split_off(table, column, source)
    table, unknown = with_known_labels(table, column, session.task, source)
    broken = list[Broken]()
    answers = decoded(session, table.drop_columns([ROW_NUMBER]), broken) if table.num_rows else {}
    good, damaged = _sound(table, broken, source)
    skipped_rows = (*collected.skipped_rows, *unusable, *unknown, *damaged)
    if not good.any():
        raise DataError(f"evaluate: no row can be used; the first was skipped because {skipped_rows[0].reason}.")
    table, answers = table.filter(pa.array(good)), {name: values[good] for name, values in answers.items()}
    return score(session, table.drop_columns([ROW_NUMBER]), answers)._replace(skipped_rows=skipped_rows)


def _sound(table: pa.Table, broken: list[Broken], source: Config) -> tuple[np.ndarray, list[SkippedRow]]:
    """A mask of the rows whose cells can be used, and where the others stand, each once."""
    first = {cell.row: cell for cell in reversed(broken)}
    good, damaged = np.ones(table.num_rows, bool), list[SkippedRow]()
    good[list(first)] = False
    for name in dict.fromkeys(cell.column for cell in first.values()):
        rows = sorted(cell.row for cell in first.values() if cell.column == name)
        mask = np.isin(np.arange(table.num_rows), rows)
        damaged += locate(table, mask, name, [first[row].reason for row in rows], source)
    return good, damaged
