"""One score per fit, the same function for every competitor: ROC AUC of classes, RMSE of numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

ERROR_FLOOR = 1e-3  # of 1 - AUC, in ratios: below it, one row of the test decides


def targets(folder: Path, target: str, part: str, kind: str) -> pd.Series:
    """The target of one part of a split: numbers, or the texts of classes as they lie in the file."""
    values = pd.read_csv(folder / f"{part}.csv", usecols=[target], dtype=str, keep_default_na=False)[target]
    return values.astype(float) if kind == "regression" else values


def score(predictions: pd.DataFrame, folder: Path, target: str, kind: str) -> float:
    """RMSE, or ROC AUC: of the class that is last by name, or the plain mean over classes, each against the rest.

    `predictions` has the column `prediction`, or one of probabilities per class of the training rows. Classes that
    training or test rows lack are left out of the mean.
    """
    truth = targets(folder, target, "test", kind)
    if kind == "regression":
        return float(np.sqrt(np.mean((predictions["prediction"].to_numpy(float) - truth.to_numpy()) ** 2)))
    classes = sorted(set(truth) & set(predictions.columns))
    if kind == "binary":
        classes = classes[-1:]
    areas = [roc_auc_score(truth == name, predictions[name].to_numpy(float)) for name in classes]
    return float(np.mean(areas))


def error(value: float, kind: str) -> float:
    """What ratios compare: RMSE, or 1 - AUC."""
    return value if kind == "regression" else max(1 - value, ERROR_FLOOR)
