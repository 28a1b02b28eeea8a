"""What generated rows are worth: to learn from, beside real rows and SMOTE, and how one tells them apart.

- Train on synthetic, test on real (Esteban et al. 2017): a fixed classifier learns the class from rows, and is tested
  on real rows that no one has used.
- Columns by themselves (Kolmogorov-Smirnov distance of numbers, total variation of texts) and in pairs.
- A detector that learns to tell generated from real (a two-sample test, Lopez-Paz and Oquab 2017): 0.5 is best.
- Copies: rows that are a training row, and how near the nearest training row is, beside real rows.
- Cells that no row of the training data could have; there must be none.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.schema import Column, Row, Schema
from lamina.tasks.generation import relations
from lamina.tasks.generation.column_distances import distances, histogram, pair_associations
from lamina.tasks.generation.smote import smote
from lamina.tasks.generation.state import State
from lamina.tasks.generation.table_cells import CellEncoder, Cells

TRAIN, TEST, NEAR = 10_000, 10_000, 2_000
MOST_CODES = 250  # of a text: what the classifier takes
SEED = 1
MAX_COLUMNS = 9  # columns with histograms
FEW, MOST_LETTERS = 6, 40  # generated rows in a report, and letters of a cell


def measure(
    train: pa.Table,
    held_out: pa.Table,
    samples: pa.Table,
    schema: Schema,
    classes: Sequence[str],
    state: State | None = None,
) -> Row:
    """All of it, as plain values. Tables are cleaned; `held_out` are real rows that no network has learned from. By the
    `state`, texts of a pattern are new ones and of no use to learn from, and what holds between columns is counted.
    """
    state = state or State()
    names, patterned = set(samples.column_names), {modes.name for modes in state.columns if modes.templates}
    computed = {formula.target for formula in state.relations.formulas}
    every = [c for c in schema.columns if c.name in names and c.kind not in ("constant",)]
    columns = [c for c in every if c.name not in patterned] or every
    target = schema.target if classes else None
    encoder = CellEncoder(train, columns, target, classes)
    checker = CellEncoder(train, every, None, (), patterned, computed)
    rng = np.random.default_rng(SEED)
    real = encoder.encode(held_out.take(pa.array(rng.permutation(held_out.num_rows)[:TEST])))
    own, training = encoder.encode(samples), encoder.train.sample(TRAIN, rng)
    facts: Row = {"invalid": checker.invalid(samples, checker.encode(samples)), "rows": {"generated": len(own.numbers)}}
    if state.columns:
        facts["relations"] = relations.report(samples, schema, state.columns, state.relations)
    if target:
        rival = _smote(encoder, len(own.numbers))
        sources = {"real": training, "generated": own, "smote": rival}
        facts["trained_on"] = {name: _classifier_scores(rows, real, len(classes)) for name, rows in sources.items()}
        facts["smote"] = _likeness(encoder, rival, real)
    facts |= _likeness(encoder, own, real)
    copies = _is_in(own, encoder.train) | _is_in(own, encoder.encode(held_out))
    facts["samples"] = _some(samples, copies)
    return facts | {"columns": _columns(encoder, own, real, MAX_COLUMNS), "held": _reachable(encoder, real)}


def _smote(encoder: CellEncoder, count: int) -> Cells:
    numbers, classes = smote(encoder.train.numbers, encoder.texts, encoder.train.classes, count)
    whole = encoder.whole & ~encoder.texts
    return Cells(np.where(whole, np.round(numbers), numbers), encoder.texts, classes)


def _likeness(encoder: CellEncoder, own: Cells, real: Cells) -> dict[str, Any]:
    """How like the real rows some generated ones are, and how near to training rows."""
    pairs = np.abs(pair_associations(own) - pair_associations(real))
    nearest, copies = _nearness(encoder, own)
    return {
        "column_distance": float(np.mean(distances(own, real))),
        "pair_difference": float(np.nanmean(pairs)) if np.isfinite(pairs).any() else None,
        "detector_auc": _detector_auc(own, real),
        "copies": copies,
        "nearest": nearest,
    }


def _reachable(encoder: CellEncoder, real: Cells) -> dict[str, float]:
    """The same of real rows: what can be reached."""
    nearest, copies = _nearness(encoder, real)
    distance = float(np.mean(distances(encoder.train, real)))
    return {"copies": copies, "nearest": nearest, "column_distance": distance}


def _columns(encoder: CellEncoder, own: Cells, real: Cells, count: int) -> list[Row]:
    """The distance of each column, 0 to 1; and the shares of its values for the `count` worst."""
    pairs = zip(encoder.columns, distances(own, real), strict=True)
    rows: list[Row] = [{"column": column.name, "kind": column.kind, "distance": value} for column, value in pairs]
    for i in sorted(range(len(rows)), key=lambda i: -rows[i]["distance"])[:count]:
        column: Column = encoder.columns[i]
        words = encoder.words[column.name].to_pylist() if encoder.texts[i] else None
        rows[i] |= histogram(own.numbers[:, i], real.numbers[:, i], words, column.kind == "time")
    return rows


def _classifier(texts: np.ndarray) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=100,
        categorical_features=texts,
        early_stopping=False,
        random_state=0,
    )


def _classifier_inputs(cells: Cells) -> np.ndarray:
    return np.where(cells.texts & (cells.numbers >= MOST_CODES), np.nan, cells.numbers)


def _classifier_scores(rows: Cells, real: Cells, classes: int) -> dict[str, float | None]:
    """Scores on real rows of a classifier that learned from `rows`."""
    from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

    if len(np.unique(rows.classes)) < 2:
        return {"accuracy": float((real.classes == rows.classes[0]).mean()), "roc_auc": None, "f1": None}
    model = _classifier(rows.texts).fit(_classifier_inputs(rows), rows.classes)
    shares = np.zeros((len(real.classes), classes))
    shares[:, model.classes_] = model.predict_proba(_classifier_inputs(real))
    predictions, present, area = shares.argmax(1), np.unique(real.classes), None
    if len(present) == classes == 2:
        area = float(roc_auc_score(real.classes, shares[:, 1]))
    elif len(present) == classes:
        area = float(roc_auc_score(real.classes, shares, multi_class="ovr"))
    return {
        "accuracy": float(accuracy_score(real.classes, predictions)),
        "roc_auc": area,
        "f1": float(f1_score(real.classes, predictions, average="macro", labels=present)),
    }


def _detector_auc(own: Cells, real: Cells) -> float:
    """Area under the curve of a detector on rows that are new to it; half of the rows of each sort teach it."""
    from sklearn.metrics import roc_auc_score

    count = min(len(own.numbers), len(real.numbers), 2 * NEAR)
    both = [np.concatenate([_classifier_inputs(c)[:count], c.classes[:count, None]], axis=1) for c in (own, real)]
    half, texts = count // 2, np.append(own.texts, False)
    train, test = (np.concatenate([rows[part] for rows in both]) for part in (slice(half), slice(half, count)))
    label = np.repeat([1, 0], half)
    model = _classifier(texts).fit(train, label)
    return float(roc_auc_score(np.repeat([1, 0], count - half), model.predict_proba(test)[:, 1]))


def _nearness(encoder: CellEncoder, own: Cells) -> tuple[float, float]:
    """Median distance to the nearest training row, and the share of rows that are one."""
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(SEED)
    train, some = encoder.train.sample(TRAIN, rng).numbers, own.sample(NEAR, rng).numbers
    spread, middle = np.nanstd(encoder.train.numbers, axis=0), np.nanmedian(encoder.train.numbers, axis=0)

    def scale(cells: np.ndarray) -> np.ndarray:
        numbers = (cells - middle) / np.where(spread > 0, spread, 1)
        blocks = [np.nan_to_num(numbers[:, ~encoder.texts])]
        for i in np.flatnonzero(encoder.texts).tolist():
            size = len(encoder.words[encoder.columns[i].name]) + 1
            blocks.append(np.eye(size)[np.nan_to_num(cells[:, i], nan=-1).astype(np.int64) + 1] / np.sqrt(2))
        return np.concatenate(blocks, axis=1).astype(np.float32)

    distance = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(scale(train)).kneighbors(scale(some))[0]
    return float(np.median(distance)), float(_is_in(own, encoder.train).mean())


def _is_in(rows: Cells, others: Cells) -> np.ndarray:
    """(rows,) whether a row is one of the others."""
    bodies = {row.tobytes() for row in np.nan_to_num(others.numbers, nan=np.inf) + 0.0}
    return np.array([row.tobytes() in bodies for row in np.nan_to_num(rows.numbers, nan=np.inf) + 0.0], bool)


def _some(samples: pa.Table, real: np.ndarray) -> list[Row]:
    """The first generated rows that are no real ones, as short texts."""
    rows = samples.take(pa.array(np.flatnonzero(~real)[:FEW])).to_pylist()
    return [{name: "" if cell is None else str(cell)[:MOST_LETTERS] for name, cell in row.items()} for row in rows]
