"""Points of the ROC and precision-recall curves, thinned for drawing."""

import numpy as np

from lamina.evaluate.metrics.classification import one_against_rest, pr_auc, roc_auc
from lamina.evaluate.metrics.registry import Answers

Curve = tuple[np.ndarray, np.ndarray, float]  # x, y, area
_GRID = np.linspace(0, 1, 201)
MAX_CELLS = 200_000  # rows x classes; a curve of more looks the same


def roc(target: np.ndarray, answers: Answers) -> Curve | None:
    """False and true positive rate and the area; several classes: mean curve of one against the rest."""
    from sklearn.metrics import roc_curve

    area = roc_auc(target, answers)
    if area is None:
        return None
    pairs = one_against_rest(*_thin(target, answers["probabilities"]))
    curves = [roc_curve(hit, score)[:2] for hit, score in pairs]
    if len(curves) == 1:
        return *_decimate(*curves[0]), area
    means = np.mean([np.interp(_GRID, x, y) for x, y in curves], axis=0) if curves else _GRID
    return np.r_[0, _GRID], np.r_[0, means], area


def precision_recall(target: np.ndarray, answers: Answers) -> Curve | None:
    """Recall, precision and average precision; several classes: mean curve of one against the rest."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    if np.isnan(answers["probabilities"]).any():
        return None
    pairs = one_against_rest(*_thin(target, answers["probabilities"]))
    if not pairs:
        return None
    area = pr_auc(target, answers)
    if area is None:
        area = float(np.array([average_precision_score(hit, score) for hit, score in pairs]).mean())
    curves = [_from_left(*precision_recall_curve(hit, score)[:2]) for hit, score in pairs]
    if len(curves) == 1:
        return *_decimate(*curves[0]), area
    return _GRID, np.mean([np.interp(_GRID, r, p) for r, p in curves], axis=0), area


def _from_left(precision: np.ndarray, recall: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision from recall 0 up to the first threshold that finds all.

    scikit-learn's own last point (recall 0, precision 1) is a convention and would draw a false spike.
    """
    r, p = recall[:-1][::-1], precision[:-1][::-1]
    end = int(np.argmax(r >= 1)) + 1
    return np.r_[0, r[:end]], np.r_[p[0], p[:end]]


def _thin(target: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = MAX_CELLS // probabilities.shape[1]
    if len(target) <= rows:
        return target, probabilities
    pick = np.random.default_rng(0).choice(len(target), rows, replace=False)
    return target[pick], probabilities[pick]


def _decimate(x: np.ndarray, y: np.ndarray, points: int = 300) -> tuple[np.ndarray, np.ndarray]:
    places = np.unique(np.linspace(0, len(x) - 1, points).astype(int))
    return x[places], y[places]
