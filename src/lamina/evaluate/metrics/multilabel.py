"""Scores where a row may have several labels: `target` and `answers["chosen"]` are bool (n, classes).

Each is a number, or None where these rows do not define it; `metrics` gives them their names.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

Answers = Mapping[str, np.ndarray]


def counted(target: np.ndarray, answers: Answers, axis: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels answered rightly, labels there are, and labels answered: in all, by class (axis 0) or by row (axis 1)."""
    chosen = answers["chosen"]
    return (target & chosen).sum(axis), target.sum(axis), chosen.sum(axis)


def _f1(hits: np.ndarray, actual: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """2 hits / (actual + chosen); nothing to find and nothing answered is right."""
    whole = actual + chosen
    return np.where(whole > 0, 2 * hits / np.maximum(whole, 1), 1.0)


def f1_micro(target: np.ndarray, answers: Answers) -> Any:
    """F1 over all pairs of row and label: a frequent label counts more than a rare one."""
    return _f1(*counted(target, answers, None))


def f1_macro(target: np.ndarray, answers: Answers) -> Any:
    """F1 of each label that occurs or is answered; their mean."""
    found = counted(target, answers, 0)
    there = found[1] + found[2] > 0
    return _f1(*found)[there].mean() if there.any() else None


def f1_samples(target: np.ndarray, answers: Answers) -> Any:
    """F1 of the labels of each row; their mean. A row without labels that gets none counts 1."""
    return _f1(*counted(target, answers, 1)).mean()


def precision_micro(target: np.ndarray, answers: Answers) -> Any:
    """Of all labels answered, the share that is right."""
    hits, _, chosen = counted(target, answers, None)
    return hits / chosen if chosen else None


def recall_micro(target: np.ndarray, answers: Answers) -> Any:
    """Of all labels there are, the share that was answered."""
    hits, actual, _ = counted(target, answers, None)
    return hits / actual if actual else None


def mean_average_precision(target: np.ndarray, answers: Answers) -> Any:
    """Average precision of each label over all thresholds; mean over the labels that some rows have."""
    from sklearn.metrics import average_precision_score

    there = np.flatnonzero(target.any(axis=0))
    values = [average_precision_score(target[:, c], answers["probabilities"][:, c]) for c in there]
    return np.mean(values) if values else None


def subset_accuracy(target: np.ndarray, answers: Answers) -> Any:
    """Share of rows whose labels are all right, none missing and none too many."""
    return (target == answers["chosen"]).all(axis=1).mean()


def hamming_loss(target: np.ndarray, answers: Answers) -> Any:
    """Share of the pairs of row and label that are wrong."""
    return (target != answers["chosen"]).mean()
