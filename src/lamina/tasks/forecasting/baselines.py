"""What a network that forecasts must beat: the last value, the last season, a straight map of the history."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lamina.evaluate.baselines import register
from lamina.schema import Windows
from lamina.tasks.forecasting.backtest import Backtest
from lamina.tasks.forecasting.panel import Panel
from lamina.tasks.forecasting.state import State

MAX_WINDOWS = 4_000  # that the linear baseline is fitted on
PENALTY = 1e-3

VALUES = ("last_value", "seasonal_naive", "linear_window")
PRICES = ("random_walk", "drift", "linear_window")


def forecasts(test: Backtest, panel: Panel, origins: np.ndarray) -> dict[str, Backtest]:
    """The same test with the answers of each baseline. `panel`, `origins`: what the network was trained on."""
    names = PRICES if test.state.transform == "log_return" else VALUES
    names = [name for name in names if name != "seasonal_naive" or test.state.season > 1]
    return {name: replace(test, answers={"prediction": _BASELINES[name](test, panel, origins)}) for name in names}


def last_value(test: Backtest, panel: Panel, origins: np.ndarray) -> np.ndarray:
    """Every step ahead as the last one: the random walk."""
    return np.repeat(test.last[:, None], test.state.horizon, axis=1)


def seasonal_naive(test: Backtest, panel: Panel, origins: np.ndarray) -> np.ndarray:
    """Every step ahead as one season before it, or the nearest whole number of seasons that there is."""
    season = min(test.state.season, test.state.context)
    steps = np.arange(test.state.horizon)
    return test.latest[test.origins[:, None] + steps - season * (1 + steps // season)]


def drift(test: Backtest, panel: Panel, origins: np.ndarray) -> np.ndarray:
    """Every step ahead as the last one moved on by the mean log-return of training: the random walk with drift."""
    mean = np.array([target.mean for target in test.state.targets])
    steps = np.arange(1, test.state.horizon + 1)[:, None]
    return test.last[:, None] * np.exp(mean * steps)


def linear_window(test: Backtest, panel: Panel, origins: np.ndarray) -> np.ndarray:
    """One linear map from history to horizon for all targets, both relative to the last value, with an L2 penalty."""
    state, values = test.state, panel.latest
    origins = origins[np.linspace(0, len(origins) - 1, min(len(origins), MAX_WINDOWS)).astype(int)]
    std = np.maximum(np.nanstd(values, axis=0), 1e-9)
    history, future = _relative(values / std, origins, state)
    gram = history.T @ history
    gram += PENALTY * np.trace(gram) / len(gram) * np.eye(len(gram)) + 1e-9 * np.eye(len(gram))
    weight = np.linalg.solve(gram, history.T @ future)  # (context, horizon)
    window = Windows(test.latest / std, test.origins - state.context, state.context)[:]
    level = window[:, -1:]
    return (np.einsum("nlt,lh->nht", window - level, weight) + level) * std


def _relative(values: np.ndarray, origins: np.ndarray, state: State) -> tuple[np.ndarray, np.ndarray]:
    """History (rows, context) and what came after (rows, horizon), of all targets below one another."""
    whole = Windows(values, origins - state.context, state.context + state.horizon)[:]
    whole = (whole - whole[:, state.context - 1 : state.context]).transpose(0, 2, 1).reshape(-1, whole.shape[1])
    return whole[:, : state.context], whole[:, state.context :]


_BASELINES: dict[str, Callable[[Backtest, Panel, np.ndarray], np.ndarray]] = {
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
