"""Scores where a row may have several labels: `target` and `answers["chosen"]` are bool (n, classes), and
`answers["probabilities"]` of each class by itself.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.evaluate.metrics.classification import rows_by_class
from lamina.evaluate.metrics.registry import Answers, class_rows, metric


def counts(target: np.ndarray, answers: Answers, axis: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels answered rightly, labels there are, and labels answered: in all, by class (axis 0) or by row (axis 1)."""
    predicted = answers["chosen"]
    return (target & predicted).sum(axis), target.sum(axis), predicted.sum(axis)


def _f1(hits: np.ndarray, actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """2 hits / (actual + predicted); nothing to find and nothing answered is right."""
    whole = actual + predicted
    return np.where(whole > 0, 2 * hits / np.maximum(whole, 1), 1.0)


@metric(True, "probabilities", "chosen", label="F1 over all labels")
def f1_micro(target: np.ndarray, answers: Answers) -> Any:
    """F1 over all pairs of row and label: a frequent label counts more than a rare one."""
    return _f1(*counts(target, answers, None))


@metric(True, "probabilities", "chosen", label="F1, mean of labels")
def f1_macro(target: np.ndarray, answers: Answers) -> Any:
    """F1 of each label that occurs or is answered; their mean."""
    by_class = counts(target, answers, 0)
    occurs = by_class[1] + by_class[2] > 0
    return _f1(*by_class)[occurs].mean() if occurs.any() else None


@metric(True, "probabilities", "chosen", label="F1, mean of rows")
def f1_samples(target: np.ndarray, answers: Answers) -> Any:
    """F1 of the labels of each row; their mean. A row without labels that gets none counts 1."""
    return _f1(*counts(target, answers, 1)).mean()


@metric(True, "probabilities", "chosen", label="precision")
def precision_micro(target: np.ndarray, answers: Answers) -> Any:
    """Of all labels answered, the share that is right."""
    hits, _, predicted = counts(target, answers, None)
    return hits / predicted if predicted else None


@metric(True, "probabilities", "chosen", label="recall")
def recall_micro(target: np.ndarray, answers: Answers) -> Any:
    """Of all labels there are, the share that was answered."""
    hits, actual, _ = counts(target, answers, None)
    return hits / actual if actual else None


@metric(True, "probabilities", "chosen", label="mAP")
def mean_average_precision(target: np.ndarray, answers: Answers) -> Any:
    """Average precision of each label over all thresholds; mean over the labels that some rows have."""
    from sklearn.metrics import average_precision_score

    occurs = np.flatnonzero(target.any(axis=0))
    values = [average_precision_score(target[:, c], answers["probabilities"][:, c]) for c in occurs]
    return np.array(values).mean() if values else None


@metric(True, "probabilities", "chosen", label="all labels right")
def subset_accuracy(target: np.ndarray, answers: Answers) -> Any:
    """Share of rows whose labels are all right, none missing and none too many."""
    return (target == answers["chosen"]).all(axis=1).mean()


@metric(False, "chosen", label="Hamming loss")
def hamming_loss(target: np.ndarray, answers: Answers) -> Any:
    """Share of the pairs of row and label that are wrong."""
    return (target != answers["chosen"]).mean()


@class_rows
def per_label(target: np.ndarray, answers: Answers, names: Sequence[str]) -> list[dict[str, Any]]:
    """Scores of each label, None where undefined."""
    return rows_by_class(*counts(target, answers, 0), names)
