"""Scores of one class per row: `target` holds class codes (n,), `answers["probabilities"]` is (n, classes)."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from lamina.evaluate.metrics.registry import Answers, Metric, class_rows, metric

BINS = 15
MAX_CLASSES = 64  # above, whole tables of counts are too large to be drawn

Formula = Callable[[np.ndarray], np.ndarray]


def confusion(target: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Counts of rows (classes, classes): first the actual class, then the most probable one."""
    k = probabilities.shape[1]
    return np.bincount(target * k + probabilities.argmax(axis=1), minlength=k * k).reshape(k, k)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)


def _of_counts(label: str = "") -> Callable[[Formula], Metric]:
    """Register a formula from counts (..., classes, classes) to values (...) as a metric.

    The bootstrap draws the counts themselves and calls the same formula on all draws at once.
    """

    def register(formula: Formula) -> Metric:
        def resample(target: np.ndarray, answers: Answers, rng: np.random.Generator, draws: int) -> np.ndarray | None:
            k = answers["probabilities"].shape[1]
            if k > MAX_CLASSES:
                return None
            cells = confusion(target, answers["probabilities"]).ravel()
            return formula(rng.multinomial(len(target), cells / len(target), size=draws).reshape(draws, k, k))

        @wraps(formula)
        def value(target: np.ndarray, answers: Answers) -> Any:
            return formula(confusion(target, answers["probabilities"]))

        return metric(True, "probabilities", label=label, resample=resample)(value)

    return register


def _rates(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each class (..., classes), 0 where nothing defines them."""
    hits, actual, predicted = np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1), counts.sum(-2)
    return ratio(hits, predicted), ratio(hits, actual), ratio(2 * hits, actual + predicted)


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return ratio((values * weights).sum(-1), weights.sum(-1))


def _occurs(counts: np.ndarray) -> np.ndarray:
    return counts.sum(-1) + counts.sum(-2) > 0


@_of_counts()
def accuracy(counts: np.ndarray) -> np.ndarray:
    """Share of rows whose most probable class is the right one."""
    return np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1))


@_of_counts()
def balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    """Mean recall over the classes that occur: a rare class counts as much as a frequent one."""
    return _mean(_rates(counts)[1], counts.sum(-1) > 0)


@_of_counts()
def precision(counts: np.ndarray) -> np.ndarray:
    """Of the rows given to a class, the share that belongs there; mean over classes."""
    return _mean(_rates(counts)[0], _occurs(counts))


@_of_counts()
def recall(counts: np.ndarray) -> np.ndarray:
    """Of the rows of a class, the share that was found; mean over classes."""
    return _mean(_rates(counts)[1], _occurs(counts))


@_of_counts(label="F1")
def f1(counts: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall; mean over classes."""
    return _mean(_rates(counts)[2], _occurs(counts))


@_of_counts(label="F1, weighted")
def f1_weighted(counts: np.ndarray) -> np.ndarray:
    """F1 averaged over classes by how often each occurs."""
    return _mean(_rates(counts)[2], counts.sum(-1))


@metric(True, "probabilities", label="ROC AUC")
def roc_auc(target: np.ndarray, answers: Answers) -> Any:
    """Chance that a row of the class ranks above a row of another; several classes: mean of one against the rest."""
    from sklearn.metrics import roc_auc_score

    values = [roc_auc_score(hit, score) for hit, score in one_against_rest(target, answers["probabilities"])]
    return np.array(values).mean() if values else None


@metric(True, "probabilities", label="average precision")
def pr_auc(target: np.ndarray, answers: Answers) -> Any:
    """Average precision of class 1 over all thresholds; two classes only."""
    from sklearn.metrics import average_precision_score

    probabilities = answers["probabilities"]
    if probabilities.shape[1] != 2 or not (target == 1).any():
        return None
    return average_precision_score(target == 1, probabilities[:, 1])


@metric(False, "probabilities")
def log_loss(target: np.ndarray, answers: Answers) -> Any:
    """Mean of -log(probability given to the right class), in nats; 0 is perfect."""
    own = answers["probabilities"][np.arange(len(target)), target].astype(np.float64)
    return -np.log(np.clip(own, 1e-15, 1)).mean()


@metric(False, "probabilities", label="calibration error")
def ece(target: np.ndarray, answers: Answers) -> Any:
    """Expected calibration error: mean gap between stated confidence and share right (Naeini et al. 2015)."""
    _, confidence, right, share = reliability(target, answers["probabilities"])
    return (share * np.abs(confidence - right)).sum()


def one_against_rest(target: np.ndarray, probabilities: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(is it the class, its probability) for class 1 of two, or for each class that some rows have and some lack."""
    k = probabilities.shape[1]
    pairs = [(target == c, probabilities[:, c]) for c in ([1] if k == 2 else range(k))]
    return [(hit, score) for hit, score in pairs if 0 < hit.sum() < len(hit)]


def reliability(target: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, ...]:
    """(rows, mean confidence, share right, share of rows) in at most 15 bins of about equal size."""
    confidence, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == target
    # Edges are values, so that equal confidences share a bin and the order of rows changes nothing.
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, confidence, side="left")
    rows = np.bincount(bins)
    filled = rows > 0
    means = [np.bincount(bins, weights)[filled] / rows[filled] for weights in (confidence, right)]
    return rows[filled], *means, rows[filled] / len(confidence)


@class_rows
def per_class(target: np.ndarray, answers: Answers, names: Sequence[str]) -> list[dict[str, Any]]:
    """Scores of each class, None where undefined."""
    counts = confusion(target, answers["probabilities"])
    return rows_by_class(np.diagonal(counts), counts.sum(1), counts.sum(0), names)


def rows_by_class(
    hits: np.ndarray, actual: np.ndarray, answered: np.ndarray, names: Sequence[str]
) -> list[dict[str, Any]]:
    """A row of scores for each class out of its counts (classes,): answered rightly, there are, answered."""
    support, predicted = actual.tolist(), answered.tolist()
    rates = (ratio(hits, answered), ratio(hits, actual), ratio(2 * hits, actual + answered))
    p, r, f = (values.tolist() for values in rates)
    return [
        {
            "class": name,
            "precision": p[i] if predicted[i] else None,
            "recall": r[i] if support[i] else None,
            "f1": f[i] if support[i] + predicted[i] else None,
            "support": support[i],
            "predicted": predicted[i],
        }
        for i, name in enumerate(names)
    ]
