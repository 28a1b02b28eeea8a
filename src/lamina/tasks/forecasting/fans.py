"""Which forecasts a report shows as fans, and with what beside them: after the data, the worst ones, and others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.evaluate.markup import number
from lamina.evaluate.plots.timeline import PARTS, timeline
from lamina.schema import Row, clean
from lamina.task import Session
from lamina.tasks.forecasting import encoding, error_breakdown, history
from lamina.tasks.forecasting.backtest import Backtest
from lamina.tasks.forecasting.encoding import EncodedSteps
from lamina.tasks.forecasting.plots import Fan, plot_fan
from lamina.tasks.forecasting.state import State
from lamina.tasks.forecasting.time_index import to_times

COUNT = 6  # fans in all
MAX_PAIRS = 3  # of series and target that have fans of their own

Arrays = Mapping[str, np.ndarray]


def draw(experiment: Any, session: Session, test: Backtest, sums: Arrays) -> tuple[list[Row], list[str]]:
    """Titles and scores, and the drawings. `sums`: errors of the network by origin and target."""
    pairs = choose(test, sums)
    mase = sums["mase"] / np.maximum(sums["count"], 1)  # (origins, targets)
    series_of, steps = test.series, encoding.encode(test.panel, session.prep, test.state)
    labels: list[tuple[str, Fan, float | None]] = []
    for series, target in pairs:
        labels.append(("after the data", _after_the_data(experiment, session, series, target), None))
        rows = np.flatnonzero(series_of == series)
        worst = int(rows[mase[rows, target].argmax()])
        rest = COUNT // len(pairs) - 2
        even = rows[np.linspace(0, len(rows) - 1, rest).round().astype(int)] if rest else rows[:0]
        rows = [worst, *(int(i) for i in dict.fromkeys(even.tolist()) if i != worst)]
        answers = _answers(session, test, steps, test.origins[rows])
        for place, row in enumerate(rows):
            cells = {name: values[place, :, target] for name, values in answers.items()}
            fan = _fan_with_truth(test, row, target, cells)
            labels.append(("the worst" if place == 0 else "", fan, float(mase[row, target])))
    facts, drawings = [], []
    for label, fan, score in labels:
        first = error_breakdown.format_times(fan.times[-len(fan.prediction) :][:1], test.state.step)[0]
        remarks = ", ".join(part for part in (label, f"MASE {number(score)}" if score is not None else "") if part)
        title = f"{fan.title + ' ' if fan.title else ''}from {first}: {remarks}"
        facts.append({"title": title, "mase": score})
        drawings.append(plot_fan(Fan(title, fan.times, fan.measured, fan.prediction, fan.bands)))
    return facts, drawings


def choose(test: Backtest, sums: Arrays) -> list[tuple[int, int]]:
    """Pairs of series and target: all of a few, else the first, the best and the worst forecast ones."""
    series, code = np.unique(test.series, return_inverse=True)
    total, count = (np.zeros((len(series), len(test.state.targets))) for _ in range(2))
    np.add.at(total, code, sums["mase"])
    np.add.at(count, code, sums["count"])
    score = np.where(count > 0, total / np.maximum(count, 1), np.nan).ravel()
    pairs = np.flatnonzero(np.isfinite(score))
    if len(pairs) > MAX_PAIRS:
        pairs = np.array(
            list(dict.fromkeys([pairs[0], pairs[np.argmin(score[pairs])], pairs[np.argmax(score[pairs])]]))
        )
    width = len(test.state.targets)
    return [(int(series[i // width]), int(i % width)) for i in pairs.tolist()]


def _answers(session: Session, test: Backtest, steps: EncodedSteps, origins: np.ndarray) -> dict[str, np.ndarray]:
    """Forecasts from some origins, with their quantiles."""
    windows = {name: views[:] for name, views in steps.windows(origins, test.state).items()}
    share = history.measured_share(test.panel, origins, test.state)
    return history.forecast_windows(session, windows, test.latest[origins - 1], share, test.state)


def draw_whole(experiment: Any, test: Backtest, sums: Arrays) -> list[str]:
    """Each series and target that has fans, from its first step to its last."""
    drawings = []
    for series, target in choose(test, sums):
        panel, state = experiment.panel, test.state
        span, edges = panel.spans[series], experiment.cuts[series] - panel.spans[series].start
        parts = {name: (int(edges[2 * i]), int(edges[2 * i + 1])) for i, name in enumerate(PARTS)}
        title = _title(panel.ids, series, state, target) or state.names[target]
        times = to_times(panel.index[span], state.step)
        drawings.append(timeline(title, times, panel.values[span, target], parts))
    return drawings


def _history_length(state: State) -> int:
    """Steps of history that a fan shows."""
    return int(min(state.context, max(3 * state.horizon, 2 * state.season, 30)))


def _fan_with_truth(test: Backtest, row: int, target: int, answers: Arrays) -> Fan:
    """A forecast of the test part."""
    origin, horizon = int(test.origins[row]), test.state.horizon
    steps = np.arange(origin - _history_length(test.state), origin + horizon)
    times = to_times(test.panel.index[steps], test.state.step)
    title = _title(test.panel.ids, int(test.series[row]), test.state, target)
    return Fan(title, times, test.panel.values[steps, target], answers["prediction"], _bands(answers))


def _after_the_data(experiment: Any, session: Session, series: int, target: int) -> Fan:
    """The forecast that a served bundle gives for the data as it stands."""
    state, panel = experiment.task.state, experiment.panel
    span = panel.spans[series]
    source = panel.source[span]
    rows = experiment.table.take(pa.array(source[source >= 0]))
    rows = clean(rows, session.schema.missing, session.schema.literal)
    answers = history.forecast_histories(session, history.read_histories(rows, session.prep, state))
    end = int(np.flatnonzero(np.isfinite(panel.values[span]).any(axis=1))[-1]) + 1
    begin = max(end - _history_length(state), 0)
    times = to_times(panel.index[span][end - 1] + 1 + np.arange(begin - end, state.horizon), state.step)
    measured = np.concatenate([panel.values[span, target][begin:end], np.full(state.horizon, np.nan)])
    cells = {name: values[0, :, target] for name, values in answers.items()}
    return Fan(_title(panel.ids, series, state, target), times, measured, cells["prediction"], _bands(cells))


def _bands(answers: Arrays) -> list[tuple[np.ndarray, np.ndarray]]:
    """The interval, then pairs of quantiles inside it."""
    bands = [(answers["low"], answers["high"])]
    if "quantiles" in answers:
        quantiles = answers["quantiles"]  # (horizon, quantiles), rising
        bands += [(quantiles[:, i], quantiles[:, -1 - i]) for i in range(quantiles.shape[1] // 2)]
    return bands[:4]


def _title(ids: Sequence[Any], series: int, state: State, target: int) -> str:
    """The series where there are several, and the target where there are."""
    names = (str(ids[series]) if len(ids) > 1 else "", state.names[target] if len(state.targets) > 1 else "")
    return " ".join(name for name in names if name)
