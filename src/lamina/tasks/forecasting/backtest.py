"""Forecasts from one origin after the other over rows with their truth: what a network that forecasts is worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lamina import privacy
from lamina.config import DataError
from lamina.evaluate import metrics
from lamina.experiment import Evaluation
from lamina.schema import Windows, clean
from lamina.task import Session
from lamina.tasks.forecasting import encoding, history, transform
from lamina.tasks.forecasting.metrics import METRICS
from lamina.tasks.forecasting.panel import Panel
from lamina.tasks.forecasting.state import State
from lamina.train.settings import Examples

BATCH = 512
DRAWS = 400
COVERAGE = 0.9

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Backtest:
    """`origins` (rows,) are the first steps ahead; `truth` (rows, horizon, targets) is NaN where nothing was measured;
    `answers` are `prediction`, `low`, `high` of that shape, in the targets' units; `latest` is what was measured last
    at each step (steps, targets).
    """

    panel: Panel
    origins: np.ndarray
    truth: np.ndarray
    answers: Arrays
    latest: np.ndarray
    state: State

    @property
    def last(self) -> np.ndarray:
        """The values measured last before each forecast (rows, targets)."""
        return self.latest[self.origins - 1]

    @property
    def scaled_errors(self) -> np.ndarray:
        """Absolute errors in those of the seasonal naive forecast on training rows, (rows, horizon, targets)."""
        naive = np.array([target.naive for target in self.state.targets])
        return np.abs(self.answers["prediction"] - self.truth) / naive

    @property
    def series(self) -> np.ndarray:
        """The number of the series that each origin is of."""
        return self.panel.series_of(self.origins)


def run(session: Session, rows: pa.Table) -> Backtest:
    """Forecast from every step of each series that has `context` steps before it and `horizon` from it on.

    Errors: DataError where no series is long enough.
    """
    state: State = session.task.state
    panel = history.read_panel(clean(rows, session.schema.missing, session.schema.literal), session.prep, state)
    steps = encoding.encode(panel, session.prep, state)
    context, horizon = state.context, state.horizon
    origins = np.concatenate(
        [np.arange(s.start + context, max(s.stop - horizon + 1, s.start + context)) for s in panel.spans]
    )
    if not len(origins):
        longest = max(s.stop - s.start for s in panel.spans)
        raise DataError(
            f"rows: no series is long enough to score a forecast: {context:,} steps of history and {horizon:,} ahead "
            f"are needed, the longest has {longest:,}. Give more rows."
        )
    origins = encoding.thin(origins, 4 * horizon * len(state.targets))
    latest, parts = panel.latest, []
    for start in range(0, len(origins), BATCH):
        batch = origins[start : start + BATCH]
        windows = {name: views[:] for name, views in steps.windows(batch, state).items()}
        share = history.measured_share(panel, batch, state)
        parts.append(history.forecast_windows(session, windows, latest[batch - 1], share, state))
    answers = {name: np.concatenate([part[name] for part in parts]) for name in ("prediction", "low", "high")}
    return Backtest(panel, origins, Windows(panel.values, origins, horizon)[:], answers, latest, state)


def evaluate(session: Session, rows: pa.Table) -> Evaluation:
    """Scores of all steps that were measured; the backtest itself is in `details`."""
    test = run(session, rows)
    target, answers = flat(test)
    scores = metrics.scores(METRICS, target, answers)
    return Evaluation(scores, interval(test), target, answers, rows.num_rows, details=test)


def flat(test: Backtest) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Truth and answers of all that was measured, one below the other, with what errors are scaled by."""
    measured = ~np.isnan(test.truth)
    scales: dict[str, Any] = {"naive": [target.naive for target in test.state.targets]}
    if test.state.transform == "none":
        scales["std"] = [target.std for target in test.state.targets]
    else:
        scales["last"] = test.last[:, None]
    wide = {name: np.broadcast_to(np.array(values), test.truth.shape)[measured] for name, values in scales.items()}
    return test.truth[measured], {name: values[measured] for name, values in test.answers.items()} | wide


def interval(test: Backtest) -> tuple[float, float] | None:
    """95 % interval of the MASE. Forecasts from neighbouring origins err alike, so stretches of origins are drawn, as
    long as the horizon (Kuensch 1989, moving blocks).
    """
    errors = test.scaled_errors
    sums, weights = np.nansum(errors, axis=(1, 2)), (~np.isnan(errors)).sum(axis=(1, 2))
    block = min(len(sums), test.state.horizon + 1)
    return moving_blocks(sums, weights, block, DRAWS) if len(sums) >= 2 * block else None


def moving_blocks(sums: np.ndarray, weights: np.ndarray, block: int, draws: int) -> tuple[float, float]:
    """95 % interval of a mean, `sums` (times,) by `weights`, from blocks of neighbouring times drawn at random."""
    count = len(sums)
    starts = np.random.default_rng(0).integers(0, count - block + 1, (draws, -(-count // block)))
    total, weight = (np.concatenate([[0.0], np.cumsum(values)]) for values in (sums, weights))
    totals = (total[starts + block] - total[starts]).sum(1)
    means = totals / np.maximum((weight[starts + block] - weight[starts]).sum(1), 1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def half_widths(outputs: Arrays, validation: Examples, state: State) -> tuple[tuple[float, ...], ...]:
    """Half widths (horizon, targets), in deviations of the history, of an interval that held nine of ten validation
    steps. Vovk et al. 2005; errors in proportion as in Lei et al. 2018.
    """
    low, high = transform.interval(outputs["target"].astype(np.float64), state)
    truth = transform.levels(np.asarray(validation.target), state)
    windows = validation.inputs["history"]
    pieces = [slice(start, start + BATCH) for start in range(0, len(truth), BATCH)]
    scale = np.concatenate([transform.scale(windows[piece], state) for piece in pieces])
    outside = np.maximum(low - truth, truth - high) / scale  # (rows, horizon, targets): how far
    return tuple(tuple(_quantile(step[:, t]) for t in range(step.shape[1])) for step in outside.transpose(1, 0, 2))


def last_half_widths(validation: Examples, state: State) -> tuple[tuple[float, ...], ...]:
    """The same (horizon, targets) for a forecast that repeats the last value, in units of its `transform.magnitude`."""
    truth, windows = transform.levels(np.asarray(validation.target), state), validation.inputs["history"]
    errors = []
    for start in range(0, len(truth), BATCH):
        piece = slice(start, start + BATCH)
        history = windows[piece]
        last = transform.levels(history[:, -1:, : len(state.targets)], state) if state.transform == "none" else 0.0
        errors.append(np.abs(truth[piece] - last) / transform.magnitude(history, state))
    steps = np.concatenate(errors).transpose(1, 0, 2)
    return tuple(tuple(_quantile(step[:, t]) for t in range(step.shape[1])) for step in steps)


def _quantile(outside: np.ndarray) -> float:
    finite = np.sort(outside[np.isfinite(outside)])
    if not len(finite):
        return 0.0
    rank = int(np.ceil(np.round((len(finite) + 1) * COVERAGE, 9)))
    width = float(finite[min(rank, len(finite)) - 1])  # how far one row is outside, or inside
    return privacy.upward(width)
