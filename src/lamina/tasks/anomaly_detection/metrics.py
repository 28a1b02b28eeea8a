"""Scores of anomaly detection: `target` (rows,) is 1 for an anomaly, 0 for a normal row, -1 where nobody knows."""

import numpy as np

from lamina.evaluate import metrics as registry
from lamina.evaluate.metrics import metric
from lamina.evaluate.metrics.registry import Answers
from lamina.tasks.anomaly_detection.state import State

LABELLED = ("ranking_auc", "ranking_precision", "flag_precision", "flag_recall", "normal_flag_rate")
UNLABELLED = ("rate_error", "flag_rate")


def has_both(target: np.ndarray) -> bool:
    """Whether both sorts of rows are there, so that scores can be evaluated by labels."""
    return bool((target == 1).any() and (target == 0).any())


@metric(True, "score", label="ROC AUC")
def ranking_auc(target: np.ndarray, answers: Answers) -> float | None:
    """How often an anomaly has a higher score than a normal row."""
    if not has_both(target):
        return None
    labelled = target >= 0
    truth, scores = target[labelled] == 1, answers["score"][labelled]
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    hits = int(truth.sum())
    return float((ranks[truth].sum() - hits * (hits + 1) / 2) / (hits * (len(truth) - hits)))


@metric(True, "score", label="PR AUC")
def ranking_precision(target: np.ndarray, answers: Answers) -> float | None:
    """Average precision: the mean of the precision at the score of each anomaly."""
    if not has_both(target):
        return None
    labelled = target >= 0
    truth, scores = target[labelled] == 1, answers["score"][labelled]
    order = np.argsort(-scores, kind="stable")
    hits, ends = np.cumsum(truth[order]), np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    gained = np.diff(hits[ends], prepend=0)
    return float((gained * hits[ends] / (ends + 1)).sum() / hits[-1])


@metric(True, "flag", label="precision of flags")
def flag_precision(target: np.ndarray, answers: Answers) -> float | None:
    """Of flagged rows with a label, the share that are anomalies."""
    flag = answers["flag"][target >= 0]
    return float((target[target >= 0] == 1)[flag].mean()) if has_both(target) and flag.any() else None


@metric(True, "flag", label="recall of flags")
def flag_recall(target: np.ndarray, answers: Answers) -> float | None:
    """The share of anomalies that are flagged."""
    return float(answers["flag"][target == 1].mean()) if has_both(target) else None


@metric(False, "flag", label="false-alarm rate")
def normal_flag_rate(target: np.ndarray, answers: Answers) -> float | None:
    """The share of normal rows that are flagged."""
    return float(answers["flag"][target == 0].mean()) if (target == 0).any() else None


@metric(False, "flag", label="share flagged")
def flag_rate(target: np.ndarray, answers: Answers) -> float | None:
    """The share of rows that are flagged."""
    return float(answers["flag"].mean())


@metric(False, "flag", "promise", label="off the promised share")
def rate_error(target: np.ndarray, answers: Answers) -> float | None:
    """How far the share of flagged rows is from the one that was promised."""
    return abs(float(answers["flag"].mean()) - float(answers["promise"][0]))


def names(state: State) -> tuple[str, ...]:
    """The metrics that may evaluate a bundle, the first primary: by labels where it knows what they mean."""
    return (*UNLABELLED, *LABELLED) if state.normal is None else (*LABELLED, *UNLABELLED)


def scores(state: State, target: np.ndarray, answers: Answers) -> dict[str, float | None]:
    """Those that there can be."""
    return registry.scores(UNLABELLED if state.normal is None else LABELLED, target, answers)
