"""One score per fit, the same function for every competitor: ROC AUC of classes, RMSE of numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

ERROR_FLOOR = 1e-3  # of 1 - AUC, in ratios: below it, one row of the test decides


def truth_of(folder: Path, target: str, kind: str) -> np.ndarray:
    """The target of the test rows: numbers, or the texts of classes as they lie in the file."""
    cells = pd.read_csv(folder / "test.csv", usecols=[target], dtype=str, keep_default_na=False).to_numpy(str)[:, 0]
    return cells.astype(float) if kind == "regression" else cells


def score(predictions: pd.DataFrame, folder: Path, target: str, kind: str) -> float:
    """RMSE, or ROC AUC: of the class that is last by name, or the plain mean over classes, each against the rest.

    `predictions` has the column `prediction`, or one of probabilities per class of the training rows. Classes that
    training or test rows lack are left out of the mean.
    """
    truth = truth_of(folder, target, kind)
    if kind == "regression":
        return float(np.sqrt(np.mean((predictions["prediction"].to_numpy(float) - truth) ** 2)))
    classes = sorted(set(truth) & set(predictions.columns))
    if kind == "binary":
        classes = classes[-1:]
    areas = [roc_auc_score(truth == name, predictions[name].to_numpy(float)) for name in classes]
    return float(np.mean(areas))


def error(value: float, kind: str) -> float:
    """What ratios compare: RMSE, or 1 - AUC."""
    return value if kind == "regression" else max(1 - value, ERROR_FLOOR)
