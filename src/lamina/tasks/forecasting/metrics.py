"""What forecasts are scored by, over all steps that were measured, and the loss on validation windows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lamina.evaluate.metrics import Answers, metric
from lamina.tasks.forecasting import transform
from lamina.tasks.forecasting.state import State

POINT_METRICS = ("mase", "rmse", "mae", "smape", "scaled_mse", "scaled_mae", "directional_accuracy")
METRICS = (*POINT_METRICS, "coverage", "interval_width")


def validation_loss(outputs: Mapping[str, np.ndarray], target: np.ndarray, state: State) -> dict[str, float]:
    """Mean squared error in training deviations, or the quantile loss, which decides what is best; and the mean
    absolute error. `target`: (rows, horizon, targets) with NaN where nothing was measured.
    """
    measured = ~np.isnan(target)
    error = np.where(measured, target - transform.point(outputs["target"], state), 0.0).astype(np.float64)
    count = max(int(measured.sum()), 1)
    loss = float((error**2).sum()) / count
    if state.quantiles:
        errors = np.where(measured, target, 0.0)[..., None] - transform.reshape(outputs["target"], state)
        shares = np.sort(np.array(state.quantiles))
        pinball = np.maximum(shares * errors, (shares - 1) * errors) * measured[..., None]
        loss = float(pinball.sum()) / (count * len(shares))
    return {"loss": loss, "scaled_mae": float(np.abs(error).sum()) / count}


# Beside `target` and `prediction`, answers hold what errors are scaled by: `naive`, `std`, `last`; see `backtest.flat`.


@metric(False, "prediction", "naive", label="MASE")
def mase(target: np.ndarray, answers: Answers) -> Any:
    """Mean absolute error, where that of the seasonal naive forecast on training rows is 1 (Hyndman, Koehler 2006)."""
    return np.mean(np.abs(answers["prediction"] - target) / answers["naive"])


@metric(False, "prediction", label="sMAPE")
def smape(target: np.ndarray, answers: Answers) -> Any:
    """Absolute error in percent of half the sum of truth and forecast, both taken without sign; 0 to 200."""
    size = np.abs(target) + np.abs(answers["prediction"])
    error = np.abs(answers["prediction"] - target)
    return 200 * np.mean(np.divide(error, size, out=np.zeros(len(size)), where=size > 0))


@metric(False, "prediction", "std", label="scaled MSE")
def scaled_mse(target: np.ndarray, answers: Answers) -> Any:
    """Mean squared error in training deviations of each target: what papers on long horizons report."""
    return np.mean(((answers["prediction"] - target) / answers["std"]) ** 2)


@metric(False, "prediction", "std", label="scaled MAE")
def scaled_mae(target: np.ndarray, answers: Answers) -> Any:
    """Mean absolute error in training deviations of each target."""
    return np.mean(np.abs(answers["prediction"] - target) / answers["std"])


@metric(True, "prediction", "last", label="directional accuracy")
def directional_accuracy(target: np.ndarray, answers: Answers) -> Any:
    """Share of moves from the last value whose direction was right; without a move, or a forecast of one, None."""
    truth, forecast = np.sign(target - answers["last"]), np.sign(answers["prediction"] - answers["last"])
    moves = truth != 0
    return np.mean(truth[moves] == forecast[moves]) if moves.any() and forecast.any() else None
