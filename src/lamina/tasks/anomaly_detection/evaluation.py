"""What a bundle is worth on rows it has not seen: by labels where there are some, else by how many are flagged."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import Config, DataError
from lamina.data._skipped_rows import ROW_NUMBER, locate, with_row_numbers
from lamina.evaluate import metrics as registry
from lamina.experiment import Evaluation
from lamina.preprocess import Broken, category
from lamina.schema import Collected, SkippedRow
from lamina.task import Session
from lamina.tasks.anomaly_detection import metrics, scoring
from lamina.tasks.anomaly_detection.scoring import RowScores
from lamina.tasks.anomaly_detection.state import State

UNKNOWN = -1


class Details(NamedTuple):
    """What was evaluated, by row as it was given; `has_score` (rows,) bool."""

    row_scores: RowScores
    has_score: np.ndarray


def truth(session: Session, rows: pa.Table) -> np.ndarray:
    """(rows,) 1 for an anomaly, 0 for a normal row, -1 where no label says."""
    state: State = session.task.state
    target = np.full(rows.num_rows, UNKNOWN)
    if session.target is None or session.target not in rows.column_names or state.normal is None:
        return target
    labels = category.parse(rows[session.target].combine_chunks(), category.Config())
    present = pc.is_valid(labels).to_numpy(zero_copy_only=False)
    other = pc.fill_null(pc.not_equal(labels, state.normal), False).to_numpy(zero_copy_only=False)
    target[present] = other[present]
    return target


def score(session: Session, rows: pa.Table) -> Evaluation:
    """Scores of rows whose cells are sound."""
    return _score(session, rows, scoring.score_rows(session, rows))


def _score(session: Session, rows: pa.Table, row_scores: RowScores) -> Evaluation:
    has_score = ~np.isnan(row_scores.score)
    target = truth(session, rows)[has_score]
    cfg = session.task.cfg
    promise = np.full(len(target), cfg.contamination or cfg.false_alarm_rate)
    answers = {"score": row_scores.score[has_score], "flag": row_scores.flag[has_score], "promise": promise}
    interval = registry.bootstrap(metrics.names(session.task.state)[0], target, answers)
    details = Details(row_scores, has_score)
    return Evaluation(
        metrics.scores(session.task.state, target, answers), interval, target, answers, len(target), details=details
    )


def score_source(session: Any, collected: Collected, source: Config) -> Evaluation:
    """The same for rows of a source; those with cells of no use are skipped. Errors: DataError where none is left."""
    rows = session.with_bundle_names(collected.table, collected.target)
    collected = replace(collected, table=rows, literal=session.schema.literal)
    table = with_row_numbers(collected, session.schema.missing)
    broken = list[Broken]()
    row_scores = scoring.score_rows(session, table.drop_columns([ROW_NUMBER]), broken)
    good, damaged = np.ones(table.num_rows, bool), list[SkippedRow]()
    for cell in {cell.row: cell for cell in reversed(broken)}.values():
        good[cell.row] = False
        mask = np.arange(table.num_rows) == cell.row
        damaged += locate(table, mask, cell.column, [cell.reason], source)
    skipped_rows = (*collected.skipped_rows, *damaged)
    if not good.any():
        raise DataError(f"evaluate: no row can be used; the first was skipped because {skipped_rows[0].reason}.")
    row_scores = RowScores(*(values[good] for values in row_scores))
    table = table.drop_columns([ROW_NUMBER]).filter(pa.array(good))
    return _score(session, table, row_scores)._replace(skipped_rows=skipped_rows)
