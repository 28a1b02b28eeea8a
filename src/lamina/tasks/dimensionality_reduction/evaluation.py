"""What coordinates are worth on rows that the network has never seen. No torch."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.config import Config, DataError, MissingColumn, nearest
from lamina.data._skipped_rows import ROW_NUMBER, locate, with_row_numbers
from lamina.evaluate import metrics
from lamina.experiment import Evaluation
from lamina.preprocess import Broken, category
from lamina.schema import Collected, clean
from lamina.tasks._unlabelled import row_layout
from lamina.tasks.dimensionality_reduction import coordinates
from lamina.tasks.dimensionality_reduction.metrics import NAMES

MOST, NUMBERS = 10_000, 1 << 27  # rows that are evaluated, and numbers of theirs, at most
FEWEST = 3  # rows that can be told apart
MOST_LABELS = 200  # different ones, beyond which they are no classes


def some(rows: int, width: int) -> np.ndarray:
    """Places of the rows that are evaluated, in order: all, or as many as memory allows, drawn at random."""
    most = min(MOST, max(FEWEST, NUMBERS // max(width, 1)))
    return np.sort(np.random.default_rng(0).permutation(rows)[:most])


def score(session: Any, table: pa.Table) -> Evaluation:
    """Scores of usable rows; their labels, where they have a column of them, evaluate and are no input."""
    feed = coordinates.feed(session)
    places = some(table.num_rows, int(np.prod([n or 1 for n in feed.shape])))
    table = clean(table.take(places), session.schema.missing, session.schema.literal)
    target = coordinates.flat(row_layout.feed(session, session.task.state.layout, table))
    projection = coordinates.project(session, table)
    answers = {"latent": projection.latent, "error": projection.error, "spread": spread(target)}
    answers |= {} if projection.elbo is None else {"elbo": projection.elbo}
    codes, names = labels(session, table)
    answers |= {"label": codes} if names else {}
    interval = metrics.bootstrap(NAMES[0], target, answers)
    return Evaluation(scores(target, answers), interval, target, answers, table.num_rows, details=(places, names))


def scores(target: np.ndarray, answers: metrics.Answers) -> dict[str, float | None]:
    """Those that are defined by these answers."""
    return metrics.scores(metrics.defined(NAMES, answers), target, answers)


def spread(target: np.ndarray) -> np.ndarray:
    """Mean squared distance of each row to the mean of all, (rows,); what is not there does not count."""
    present = ~np.isnan(target)
    mean = np.where(present, target, 0).sum(0, dtype=np.float64) / np.maximum(present.sum(0), 1)
    squares = np.where(present, (target - mean.astype(np.float32)) ** 2, 0)
    return squares.sum(1, dtype=np.float64) / np.maximum(present.sum(1), 1)


def labels(session: Any, table: pa.Table) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes (rows,) of the labels of rows (cleaned), -1 where one is missing, and what they are called; no names where
    there are none, or so many that they are no classes: most are those of one row.
    """
    if session.target is None or session.target not in table.column_names:
        return np.full(table.num_rows, -1), ()
    texts = category.parse(table[session.target].combine_chunks(), category.Config())
    names = sorted(texts.drop_null().unique().to_pylist(), key=_by_number)
    if not 0 < len(names) <= min(MOST_LABELS, (len(texts) - texts.null_count) // 2):
        return np.full(table.num_rows, -1), ()
    return _codes(texts, names), tuple(names)


def _codes(texts: pa.Array, names: list[str]) -> np.ndarray:
    by_name = {name: code for code, name in enumerate(names)}
    return np.array([by_name.get(text, -1) for text in texts.to_pylist()], np.int64)


def _by_number(name: str) -> tuple[float, str]:
    """Numbers in their order, then texts in theirs."""
    return (float(name) if name.isdecimal() else float("inf"), name)


def score_source(session: Any, collected: Collected, source: Config) -> Evaluation:
    """The same for rows of a source; images and series of no use are skipped.

    Errors: DataError where a column is missing, or too few rows are left.
    """
    prep = session.prep
    table = session.with_bundle_names(collected.table, collected.target)
    if absent := [column.name for column in prep.columns if column.name not in table.column_names]:
        raise MissingColumn(
            f"evaluate: the rows have no column '{absent[0]}'. {nearest(absent[0], table.column_names)}"
        )
    table = with_row_numbers(replace(collected, table=table, literal=session.schema.literal), session.schema.missing)
    skipped_rows, broken = [*collected.skipped_rows], list[Broken]()
    session.encode(table.drop_columns([ROW_NUMBER]), broken)
    first = {cell.row: cell for cell in reversed(broken)}
    for name in dict.fromkeys(cell.column for cell in first.values()):
        rows = sorted(cell.row for cell in first.values() if cell.column == name)
        mask = np.isin(np.arange(table.num_rows), rows)
        skipped_rows += locate(table, mask, name, [first[row].reason for row in rows], source)
    table = table.filter(pa.array(~np.isin(np.arange(table.num_rows), list(first))))
    if table.num_rows < FEWEST:
        raise DataError(f"evaluate: {table.num_rows} usable rows are too few to evaluate on. Give {FEWEST} or more.")
    return score(session, table.drop_columns([ROW_NUMBER]))._replace(skipped_rows=tuple(skipped_rows))
