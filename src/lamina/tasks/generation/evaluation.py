"""What images or rows made by a network are worth, beside real ones that it has never seen. No torch."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.config import Config, DataError, MissingColumn, nearest
from lamina.data._skipped_rows import ROW_NUMBER, locate, with_row_numbers
from lamina.deploy.predictor import Predictor
from lamina.evaluate import baselines, metrics
from lamina.experiment import Baseline, Evaluation, Finding
from lamina.preprocess import Broken
from lamina.schema import Collected, clean
from lamina.task import Session
from lamina.tasks.generation import sampling, table_transformer
from lamina.tasks.generation.metrics import NAMES

MOST = 2_000  # samples, and real ones they are compared with
FEWEST = 10  # real rows that samples can be compared with

baselines.register("held_out", "real, held out")


def features(values: np.ndarray) -> np.ndarray:
    """Numbers (rows, features) by which images (rows, height, width, channels) or rows (rows, width) are compared: of
    images, what fixed random filters answer, which no training has shaped.
    """
    return values.astype(np.float64) if values.ndim == 2 else _filter(values)


def _filter(images: np.ndarray) -> np.ndarray:
    """Means and spreads of patches' answers to fixed filters, on three scales: (rows, features).

    In NumPy, because a bundle is evaluated where there is no torch; `layers.random_features` is its like for training.
    """
    rng, parts = np.random.default_rng(0), list[np.ndarray]()
    x = images.astype(np.float32) / 127.5 - 1
    for _ in range(3):
        if min(x.shape[1:3]) < 4:
            break
        filters = rng.standard_normal((4, 4, x.shape[3], 24)).astype(np.float32)
        filters /= np.sqrt(filters[..., 0].size)
        step = x.strides
        patches = np.lib.stride_tricks.as_strided(
            x,
            (len(x), (x.shape[1] - 4) // 2 + 1, (x.shape[2] - 4) // 2 + 1, 4, 4, x.shape[3]),
            (step[0], 2 * step[1], 2 * step[2], step[1], step[2], step[3]),
        )
        x = np.ascontiguousarray(np.maximum(np.tensordot(patches, filters, 3), 0))
        quarters = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)] if min(x.shape[1:3]) > 1 else []
        parts += [x.mean((1, 2)), x.std((1, 2)), *(quarter.mean((1, 2)) for quarter in quarters)]
    return np.concatenate(parts, axis=1).astype(np.float64)


def generate(session: Session, count: int, seed: int = 0, labels: Any = None) -> Any:
    """Images uint8, or a table, as `count` of one seed; `labels`: a class for all, or several taken in turn."""
    names = sampling.labels(labels, count, session.task.state)
    return sampling.generate(session, sampling.seeds(seed, count), names)


def encode(session: Session, samples: Any) -> np.ndarray:
    """Images as they are, rows of a table (cleaned) as blocks of numbers: as a generator has learned them."""
    if not isinstance(samples, pa.Table):
        return samples
    if session.task.state.columns:
        return table_transformer.encode(samples, session.schema, session.task.state.columns)
    (images,) = session.prep.encode(samples).values()
    return images


def score(session: Session, table: pa.Table) -> Evaluation:
    """As many samples as there are real rows, at most 2,000, compared with those."""
    table = clean(table, session.schema.missing, session.schema.literal)
    if table.num_rows > MOST:
        table = table.take(np.random.default_rng(0).permutation(table.num_rows)[:MOST])
    real = encode(session, table)
    target, answers = features(real), {"features": features(encode(session, generate(session, len(real))))}
    return Evaluation(metrics.scores(NAMES, target, answers), None, target, answers, table.num_rows)


def score_source(session: Predictor, collected: Collected, source: Config) -> Evaluation:
    """The same for rows of a source, whose classes play no part; images of no use are skipped.

    Errors: DataError where a column is missing, or too few rows are left.
    """
    prep = session.prep
    table = session.with_bundle_names(collected.table, collected.target)
    if absent := [column.name for column in prep.columns if column.name not in table.column_names]:
        near = nearest(absent[0], table.column_names)
        raise MissingColumn(f"evaluate: the rows have no column '{absent[0]}'. {near}")
    table = with_row_numbers(replace(collected, table=table, literal=session.schema.literal), session.schema.missing)
    table = table.take(np.sort(np.random.default_rng(0).permutation(table.num_rows)[:MOST]))
    skipped_rows, broken = [*collected.skipped_rows], list[Broken]()
    if prep.files:
        session.encode(table.drop_columns([ROW_NUMBER]), broken)
        bad = np.isin(np.arange(table.num_rows), [cell.row for cell in broken])
        reasons = [cell.reason for cell in sorted(broken, key=lambda cell: cell.row)]
        skipped_rows += locate(table, bad, prep.files[0].name, reasons, source)
        table = table.filter(pa.array(~bad))
    if table.num_rows < FEWEST:
        raise DataError(f"evaluate: {table.num_rows} usable rows are too few to compare with. Give {FEWEST} or more.")
    evaluation = score(session, table.drop_columns([ROW_NUMBER]))
    return evaluation._replace(rows=table.num_rows, skipped_rows=tuple(skipped_rows))


def held_out(finding: Finding) -> Baseline:
    """Real rows that were held out, evaluated as if they had been generated."""
    inputs = finding.examples["validation"].inputs
    values = next(np.asarray(v) for name, v in inputs.items() if name != "condition")
    answers = {"features": features(values[:MOST])}
    return Baseline(metrics.scores(NAMES, finding.evaluation.target, answers), answers)
