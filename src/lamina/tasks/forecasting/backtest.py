"""Forecasts from one origin after the other over rows that are known: what a network that forecasts is worth."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.config import DataError
from lamina.deploy.predictor import Predictor
from lamina.evaluate import metrics
from lamina.schema import Windows, clean
from lamina.tasks import forecasting
from lamina.tasks.forecasting import history as histories
from lamina.tasks.forecasting import panel as frames
from lamina.tasks.forecasting.experiment import Ahead, thinned
from lamina.tasks.forecasting.panel import Frames
from lamina.train.settings import Data

BATCH = 512
MOST_FITTED = 4_000  # windows that the linear baseline is fitted on
PENALTY = 1e-3
DRAWS = 400

Answers = dict[str, np.ndarray]


@dataclass(frozen=True)
class Backtest:
    """`origins` (rows,) are the first steps ahead; `truth` (rows, horizon, targets) is NaN where nothing was measured;
    `answers` are `prediction`, `low`, `high` of that shape, in the targets' units; `seen` is what was measured last at
    each step (steps, targets).
    """

    frames: Frames
    origins: np.ndarray
    truth: np.ndarray
    answers: Answers
    seen: np.ndarray
    state: Any


def run(predictor: Predictor, rows: pa.Table) -> Backtest:
    """Forecast from every step of each series that has `context` steps before it and `horizon` from it on.

    Errors: DataError where no series is long enough.
    """
    state, prep = predictor.state, predictor.bundle.prep
    table = clean(rows, predictor.bundle.schema.missing)
    found = histories.given(table, prep, state)
    history, known, target = frames.encoded(found, prep, state)
    context, horizon = state.context, state.horizon
    origins = np.concatenate(
        [np.arange(s.start + context, max(s.stop - horizon + 1, s.start + context)) for s in found.spans]
    )
    if not len(origins):
        longest = max(s.stop - s.start for s in found.spans)
        raise DataError(
            f"rows: no series is long enough to judge a forecast: {context:,} steps of history and {horizon:,} ahead "
            f"are needed, the longest has {longest:,}. Give more rows."
        )
    origins = thinned(origins, 4 * horizon * target.shape[1])
    latest = frames.latest(~np.isnan(found.values), found.bounds)
    seen = found.values[latest, np.arange(target.shape[1])]
    parts = []
    for at in range(0, len(origins), BATCH):
        some = origins[at : at + BATCH]
        inputs = {"history": Windows(history, some - context, context)[:]}
        if known.shape[1]:
            inputs["future"] = Windows(known, some, horizon)[:]
        beside = {"last": seen[some - 1], "spread": forecasting.spread(inputs["history"], state)}
        parts.append(predictor.task.decode(predictor.fed(inputs) | beside, state))
    answers = {name: np.concatenate([part[name] for part in parts]) for name in ("prediction", "low", "high")}
    return Backtest(found, origins, Windows(found.values, origins, horizon)[:], answers, seen, state)


def flat(test: Backtest, answers: Answers) -> tuple[np.ndarray, Answers]:
    """Truth and answers of all that was measured, one below the other, with what errors are scaled by."""
    there = ~np.isnan(test.truth)
    scales: dict[str, Any] = {"naive": [one.naive for one in test.state.targets]}
    if test.state.transform == "none":
        scales["std"] = [one.std for one in test.state.targets]
    else:
        scales["last"] = test.seen[test.origins - 1][:, None]
    scaled = {name: np.broadcast_to(np.array(values), test.truth.shape)[there] for name, values in scales.items()}
    return test.truth[there], {name: values[there] for name, values in answers.items()} | scaled


def score(predictor: Predictor, rows: pa.Table) -> dict[str, Any]:
    """`scores` by metric, the 95 % `interval` of the primary, `target` and `answers` of all steps, and the `test`."""
    test = run(predictor, rows)
    target, answers = flat(test, test.answers)
    names = predictor.task.metrics
    return {
        "scores": metrics.scores(names, target, answers),
        "interval": interval(test),
        "target": target,
        "answers": answers,
        "test": test,
    }


def interval(test: Backtest) -> tuple[float, float] | None:
    """95 % interval of the MASE. Forecasts from neighbouring origins err alike, so stretches of origins are drawn, as
    long as the horizon (Kuensch 1989, moving blocks).
    """
    naive = np.array([one.naive for one in test.state.targets])
    scaled = np.abs(test.answers["prediction"] - test.truth) / naive
    each, weight = np.nansum(scaled, axis=(1, 2)), (~np.isnan(scaled)).sum(axis=(1, 2))
    count, block = len(each), min(len(each), test.state.horizon + 1)
    if count < 2 * block:
        return None
    rng = np.random.default_rng(0)
    starts = rng.integers(0, count - block + 1, (DRAWS, -(-count // block)))
    total, counted = (np.concatenate([[0.0], np.cumsum(values)]) for values in (each, weight))
    drawn = (total[starts + block] - total[starts]).sum(1) / np.maximum(
        (counted[starts + block] - counted[starts]).sum(1), 1
    )
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


# what a network must beat


def drift(test: Backtest, case: Ahead) -> np.ndarray:
    """Every step ahead as the last one moved on by the mean log-return of training: the random walk with drift."""
    mean = np.array([one.mean for one in test.state.targets])
    ahead = np.arange(1, test.state.horizon + 1)[:, None]
    return test.seen[test.origins - 1][:, None] * np.exp(mean * ahead)


def last_value(test: Backtest, case: Ahead) -> np.ndarray:
    """Every step ahead as the last one: the random walk."""
    return np.repeat(test.seen[test.origins - 1][:, None], test.state.horizon, axis=1)


def seasonal_naive(test: Backtest, case: Ahead) -> np.ndarray:
    """Every step ahead as one season before it, or the nearest whole number of seasons that is known."""
    season = min(test.state.season, test.state.context)
    ahead = np.arange(test.state.horizon)
    return test.seen[test.origins[:, None] + ahead - season * (1 + ahead // season)]


def ridge(test: Backtest, case: Ahead) -> np.ndarray:
    """One linear map from history to horizon for all targets, both relative to the last value, with an L2 penalty."""
    state, found = case.state, case.frames
    latest = frames.latest(~np.isnan(found.values), found.bounds)
    seen = found.values[latest, np.arange(found.values.shape[1])]
    origins = case.origins(0)
    origins = origins[np.linspace(0, len(origins) - 1, min(len(origins), MOST_FITTED)).astype(int)]
    std = np.maximum(np.nanstd(seen, axis=0), 1e-9)
    history, ahead = _relative(seen / std, origins, state)
    gram = history.T @ history
    gram += PENALTY * np.trace(gram) / len(gram) * np.eye(len(gram)) + 1e-9 * np.eye(len(gram))
    weight = np.linalg.solve(gram, history.T @ ahead)  # (context, horizon)
    own = test.seen / std
    window = Windows(own, test.origins - state.context, state.context)[:]
    level = window[:, -1:]
    return (np.einsum("nlt,lh->nht", window - level, weight) + level) * std


def _relative(values: np.ndarray, origins: np.ndarray, state: Any) -> tuple[np.ndarray, np.ndarray]:
    """History (rows, context) and what came after (rows, horizon), of all targets below one another."""
    whole = Windows(values, origins - state.context, state.context + state.horizon)[:]
    whole = (whole - whole[:, state.context - 1 : state.context]).transpose(0, 2, 1).reshape(-1, whole.shape[1])
    return whole[:, : state.context], whole[:, state.context :]


RIVALS: dict[str, Callable[[Backtest, Ahead], np.ndarray]] = {
    "last_value": last_value,
    "seasonal_naive": seasonal_naive,
    "linear_window": ridge,
    "random_walk": last_value,
    "drift": drift,
}
PRICES = ("random_walk", "drift", "linear_window")


def rivals(test: Backtest, case: Ahead) -> dict[str, Backtest]:
    """The same test with the answers of each baseline."""
    all_of = case.task.baselines if case.state.transform == "none" else PRICES
    names = [name for name in all_of if name != "seasonal_naive" or case.state.season > 1]
    return {name: replace(test, answers={"prediction": RIVALS[name](test, case)}) for name in names}


def widths(case: Ahead, raw: Answers, validation: Data) -> Answers:
    """Half widths (horizon, targets), in spreads of the history, of an interval that held nine of ten validation steps.
    Vovk et al. 2005; errors in proportion as in Lei et al. 2018.
    """
    low, high = forecasting.interval(raw["target"].astype(np.float64), case.state)
    truth = forecasting.levels(np.asarray(validation.target), case.state)
    history = validation.inputs["history"]
    pieces = [slice(at, at + BATCH) for at in range(0, len(truth), BATCH)]
    spread = np.concatenate([forecasting.spread(history[piece], case.state) for piece in pieces])
    beyond = np.maximum(low - truth, truth - high) / spread  # (rows, horizon, targets): how far outside
    return {
        "half_widths": np.array(
            [[_ninth(step[:, t]) for t in range(step.shape[1])] for step in beyond.transpose(1, 0, 2)]
        )
    }


def _ninth(beyond: np.ndarray) -> float:
    found = np.sort(beyond[np.isfinite(beyond)])
    if not len(found):
        return 0.0
    rank = int(np.ceil(np.round((len(found) + 1) * 0.9, 9)))
    return float(found[min(rank, len(found)) - 1])
