"""What a network that forecasts must beat: the last value, the last season, a straight map of the history."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from lamina.evaluate.baselines import register
from lamina.preprocess import Preprocessor
from lamina.schema import Windows
from lamina.tasks.forecasting import encoding
from lamina.tasks.forecasting.backtest import Backtest
from lamina.tasks.forecasting.panel import Panel
from lamina.tasks.forecasting.state import State

MAX_WINDOWS, MAX_NUMBERS = 4_000, 1 << 25  # that the linear baseline is fitted on
MAX_WIDTH = 1_024  # numbers of known columns in one window of it
PENALTY = 1e-3

VALUES = ("last_value", "seasonal_naive", "linear_window")
PRICES = ("random_walk", "drift", "linear_window")


class Training(NamedTuple):
    """What a baseline learns from: the series and origins of training, and how known columns are encoded there."""

    panel: Panel
    origins: np.ndarray
    prep: Preprocessor


def forecasts(test: Backtest, training: Training) -> dict[str, Backtest]:
    """The same test with the answers of each baseline, which learns from what the network was trained on."""
    names = PRICES if test.state.transform == "log_return" else VALUES
    names = [name for name in names if name != "seasonal_naive" or test.state.season > 1]
    return {name: replace(test, answers={"prediction": _BASELINES[name](test, training)}) for name in names}


def last_value(test: Backtest, training: Training) -> np.ndarray:
    """Every step ahead as the last one: the random walk."""
    return np.repeat(test.last[:, None], test.state.horizon, axis=1)


def seasonal_naive(test: Backtest, training: Training) -> np.ndarray:
    """Every step ahead as one season before it, or the nearest whole number of seasons that there is."""
    season = min(test.state.season, test.state.context)
    steps = np.arange(test.state.horizon)
    return test.latest[test.origins[:, None] + steps - season * (1 + steps // season)]


def drift(test: Backtest, training: Training) -> np.ndarray:
    """Every step ahead as the last one moved on by the mean log-return of training: the random walk with drift."""
    mean = np.array([target.mean for target in test.state.targets])
    steps = np.arange(1, test.state.horizon + 1)[:, None]
    return test.last[:, None] * np.exp(mean * steps)


def linear_window(test: Backtest, training: Training) -> np.ndarray:
    """One linear map from history to horizon for all targets, both relative to the last value, with an L2 penalty; what
    is known beforehand goes into it too, of the steps ahead and of those before.
    """
    state, panel, targets = test.state, training.panel, len(test.state.targets)
    values, test_values = (encoding.future_covariates(p, training.prep, state) for p in (panel, test.panel))
    reach = _reach(state, values.shape[1])
    width = state.context + (reach + state.horizon) * values.shape[1]
    most = max(1, min(len(training.origins), MAX_WINDOWS, MAX_NUMBERS // (width * targets)))
    origins = training.origins[np.linspace(0, len(training.origins) - 1, most).astype(int)]
    std = np.maximum(np.nanstd(panel.latest, axis=0), 1e-9)
    history, level = _relative(panel.latest / std, origins, state)
    future = Windows(panel.latest / std, origins, state.horizon)[:] - level
    inputs = _inputs(history, values, origins, state, reach).reshape(-1, width)
    mean = inputs.mean(axis=0) * (np.arange(width) >= state.context)
    inputs = inputs - mean
    gram = inputs.T @ inputs
    gram += PENALTY * np.trace(gram) / len(gram) * np.eye(len(gram)) + 1e-9 * np.eye(len(gram))
    outcome = future.transpose(0, 2, 1).reshape(-1, state.horizon)
    offset = outcome.mean(axis=0) if values.shape[1] else 0.0
    weight = np.linalg.solve(gram, inputs.T @ (outcome - offset))  # (width, horizon)
    parts = []
    for start in range(0, len(test.origins), MAX_WINDOWS):
        some = test.origins[start : start + MAX_WINDOWS]
        history, level = _relative(test.latest / std, some, state)
        answer = (_inputs(history, test_values, some, state, reach) - mean) @ weight + offset
        parts.append((answer.transpose(0, 2, 1) + level) * std)
    return np.concatenate(parts)


def _reach(state: State, channels: int) -> int:
    """Of how many steps of history known columns are looked at: two seasons or horizons, where that is not too much."""
    most = max(0, MAX_WIDTH // max(channels, 1) - state.horizon)
    return min(state.context, 2 * max(state.season, state.horizon), most)


def _relative(values: np.ndarray, origins: np.ndarray, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Histories (rows, context, targets) relative to their last values (rows, 1, targets), and these."""
    history = Windows(values, origins - state.context, state.context)[:]
    return history - history[:, -1:], history[:, -1:]


def _inputs(history: np.ndarray, columns: np.ndarray, origins: np.ndarray, state: State, reach: int) -> np.ndarray:
    """(rows, targets, width): the history of each target, and what is known around the origin, the same for all."""
    around = Windows(columns, origins - reach, reach + state.horizon)[:].reshape(len(origins), 1, -1)
    return np.concatenate([history.transpose(0, 2, 1), np.repeat(around, history.shape[2], axis=1)], axis=2)


_BASELINES: dict[str, Callable[[Backtest, Training], np.ndarray]] = {
    "last_value": last_value,
    "seasonal_naive": seasonal_naive,
    "linear_window": linear_window,
    "random_walk": last_value,
    "drift": drift,
}
register("last_value", "last value", "the last value")
register("seasonal_naive", "seasonal naive", "the seasonal naive forecast")
register("linear_window", "ridge regression")
register("random_walk", "random walk")
register("drift", "random walk with drift")
