"""Scores of numbers: `target` and `answers["prediction"]` are (n,) in the target's unit, `answers["low"]` and
`answers["high"]` the ends of the interval.
"""

from typing import Any

import numpy as np

from lamina.evaluate.metrics.registry import Answers, metric


@metric(False, "prediction", label="RMSE")
def rmse(target: np.ndarray, answers: Answers) -> Any:
    """Root of the mean squared error, in the target's unit."""
    from sklearn.metrics import root_mean_squared_error

    return root_mean_squared_error(target, answers["prediction"]) if _finite(target, answers) else None


@metric(False, "prediction", label="MAE")
def mae(target: np.ndarray, answers: Answers) -> Any:
    """Mean absolute error, in the target's unit."""
    from sklearn.metrics import mean_absolute_error

    return mean_absolute_error(target, answers["prediction"]) if _finite(target, answers) else None


@metric(True, "prediction", label="R²")
def r2(target: np.ndarray, answers: Answers) -> Any:
    """Share of the target's variance that is explained: 1 is perfect, 0 is as good as the mean."""
    from sklearn.metrics import r2_score

    return r2_score(target, answers["prediction"]) if _finite(target, answers) and np.ptp(target) > 0 else None


@metric(True, "low", "high")
def coverage(target: np.ndarray, answers: Answers) -> Any:
    """Share of rows whose true value lies inside the stated interval."""
    return np.mean((answers["low"] <= target) & (target <= answers["high"]))


@metric(False, "low", "high")
def interval_width(target: np.ndarray, answers: Answers) -> Any:
    """Mean width of the stated interval, in the target's unit."""
    return np.mean(answers["high"] - answers["low"])


def _finite(target: np.ndarray, answers: Answers) -> bool:
    return bool(np.isfinite(target).all() and np.isfinite(answers["prediction"]).all())
