"""What the report tells of forecasts: fans, errors by step, time, target and series, and of prices what they are worth.

Numbers go to `report.json` as `forecast`; pieces of the page are drawn from them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.deploy.predictor import Predictor, json_rows
from lamina.evaluate import report
from lamina.evaluate.baselines import LABELS
from lamina.evaluate.markup import figure, number
from lamina.schema import Row, Windows, clean
from lamina.tasks.forecasting import directional_accuracy as directions
from lamina.tasks.forecasting import error_breakdown as _stretches
from lamina.tasks.forecasting import history as histories
from lamina.tasks.forecasting import panel as frames
from lamina.tasks.forecasting import plots as _fans
from lamina.tasks.forecasting.backtest import Backtest
from lamina.tasks.forecasting.experiment import Ahead
from lamina.tasks.forecasting.plots import Fan
from lamina.tasks.forecasting.report_sections import PICKED

DRAWN = 6  # fans in all
SENT = 1000  # rows of history in the example, at most


def made(
    case: Ahead, predictor: Predictor, test: Backtest, rivals: Mapping[str, Backtest]
) -> tuple[Row, dict[str, str]]:
    """Facts for `report.json` and pieces of the page by name."""
    sums = {name: _stretches.errors(one) for name, one in {_stretches.NETWORK: test, **rivals}.items()}
    steps = _stretches.by_step(sums)
    facts: Row = {
        "told": _told(test),
        "steps": steps,
        "folds": _stretches.folds(test, sums),
        "targets": _stretches.by_target(test, sums),
        "series": _stretches.by_series(test, sums),
        "of": {"targets": len(test.state.targets), "series": len(np.unique(_stretches.series_of(test)))},
        "residuals": _stretches.residuals(test),
    }
    if test.state.transform == "log_return":
        facts["prices"] = directions.judged(test, rivals)
        facts["prices"]["told"] = directions.sentence(facts["prices"])
    facts["fans"], fans = _drawn(case, predictor, test, sums[_stretches.NETWORK].cells)
    pieces = {"fans": "".join(figure(svg) for svg in fans)}
    if test.state.horizon > 1:
        lines = {LABELS.get(str(name), str(name)): values for name, values in steps["mase"].items()}
        pieces["by_step"] = _fans.by_step(lines, "MASE by step ahead: lower is better")
        pieces["coverage_by_step"] = _fans.coverage(steps["coverage"])
    if facts["residuals"]:
        pieces["autocorrelation"] = _fans.correlated(facts["residuals"]["lags"], facts["residuals"]["bound"])
    return facts, pieces


def _told(test: Backtest) -> str:
    """How many forecasts the scores are of, and of when."""
    horizon, origins = test.state.horizon, len(test.origins)
    index = test.frames.index
    first, last = _stretches.when(np.array([index[test.origins].min(), index[test.origins].max()]), test.state.step)
    ahead = "one step" if horizon == 1 else f"{horizon:,} steps"
    many = f" in {len(test.frames.ids):,} series" if len(test.frames.ids) > 1 else ""
    span = f"that begins at {first}" if origins == 1 else f"that begin at {first} to {last}"
    return (
        f"Measured on {origins:,} forecast{'s' if origins > 1 else ''} of {ahead}{many}, {span}: "
        "rows that played no part in training. One network gave them all."
    )


# fans


def _drawn(
    case: Ahead, predictor: Predictor, test: Backtest, sums: Mapping[str, np.ndarray]
) -> tuple[list[Row], list[str]]:
    """Of a few series and targets: what comes after the data, the worst forecast of the test part, and others."""
    chosen = _chosen(test, sums)
    mase = sums["mase"] / np.maximum(sums["count"], 1)  # (origins, targets)
    of = _stretches.series_of(test)
    named: list[tuple[str, Fan, float | None]] = []
    for series, target in chosen:
        own = np.flatnonzero(of == series)
        named.append(("after the data", _after(case, predictor, series, target), None))
        worst = int(own[mase[own, target].argmax()])
        rest = DRAWN // len(chosen) - 2
        spread = own[np.linspace(0, len(own) - 1, rest).round().astype(int)] if rest else own[:0]
        picked = [worst, *(int(i) for i in dict.fromkeys(spread.tolist()) if i != worst)]
        found = _answers(predictor, test, test.origins[picked])
        for place, row in enumerate(picked):
            what = "the worst" if place == 0 else ""
            fan = _tested(test, row, target, {name: values[place, :, target] for name, values in found.items()})
            named.append((what, fan, float(mase[row, target])))
    facts, drawn = [], []
    for what, one, score in named:
        first = _stretches.written(one.times[-len(one.prediction) :][:1], test.state.step)[0]
        told = ", ".join(part for part in (what, f"MASE {number(score)}" if score is not None else "") if part)
        title = f"{one.title + ' ' if one.title else ''}from {first}: {told}"
        facts.append({"title": title, "mase": score})
        drawn.append(_fans.fan(Fan(title, *(vars(one)[part] for part in ("times", "measured", "prediction", "bands")))))
    return facts, drawn


def _chosen(test: Backtest, sums: Mapping[str, np.ndarray]) -> list[tuple[int, int]]:
    """Pairs of series and target: all of a few, else the first, the best and the worst forecast ones."""
    series, count = np.unique(_stretches.series_of(test), return_inverse=True)
    total, there = (np.zeros((len(series), len(test.state.targets))) for _ in range(2))
    np.add.at(total, count, sums["mase"])
    np.add.at(there, count, sums["count"])
    score = np.where(there > 0, total / np.maximum(there, 1), np.nan).ravel()
    known = np.flatnonzero(np.isfinite(score))
    if len(known) > PICKED:
        known = np.array(
            list(dict.fromkeys([known[0], known[np.argmin(score[known])], known[np.argmax(score[known])]]))
        )
    width = len(test.state.targets)
    return [(int(series[i // width]), int(i % width)) for i in known.tolist()]


def _answers(predictor: Predictor, test: Backtest, origins: np.ndarray) -> dict[str, np.ndarray]:
    """Forecasts from some origins, with their quantiles."""
    history, known, _ = frames.encoded(test.frames, predictor.bundle.prep, test.state)
    inputs = {"history": Windows(history, origins - test.state.context, test.state.context)[:]}
    if known.shape[1]:
        inputs["future"] = Windows(known, origins, test.state.horizon)[:]
    spread = predictor.task.spread(inputs["history"], test.state)
    return predictor.task.decode(predictor.fed(inputs) | {"last": test.seen[origins - 1], "spread": spread}, test.state)


def _before(state: Any) -> int:
    """Steps of history that a fan shows."""
    return int(min(state.context, max(3 * state.horizon, 2 * state.season, 30)))


def _tested(test: Backtest, row: int, target: int, answers: Mapping[str, np.ndarray]) -> Fan:
    origin, horizon = int(test.origins[row]), test.state.horizon
    steps = np.arange(origin - _before(test.state), origin + horizon)
    measured = test.frames.values[steps, target]
    times = frames.times(test.frames.index[steps], test.state.step)
    series = int(_stretches.series_of(test)[row])
    return Fan(_name(test, series, target), times, measured, answers["prediction"], _bands(answers))


def _after(case: Ahead, predictor: Predictor, series: int, target: int) -> Fan:
    """The forecast that a served bundle gives for the data as it stands."""
    state, found = case.state, case.frames
    span = found.spans[series]
    source = found.source[span]
    rows = clean(case.table.take(pa.array(source[source >= 0])), predictor.bundle.schema.missing)
    seen = histories.histories(rows, predictor.bundle.prep, state)
    inputs = seen.inputs(slice(None))
    beside = {"last": seen.last, "spread": predictor.task.spread(inputs["history"], state)}
    answers = predictor.task.decode(predictor.fed(inputs) | beside, state)
    measured = found.values[span, target]
    end = int(np.flatnonzero(np.isfinite(found.values[span]).any(axis=1))[-1]) + 1
    begin = max(end - _before(state), 0)
    times = frames.times(found.index[span][end - 1] + 1 + np.arange(begin - end, state.horizon), state.step)
    measured = np.concatenate([measured[begin:end], np.full(state.horizon, np.nan)])
    own = {name: values[0, :, target] for name, values in answers.items()}
    title = " ".join(part for part in (_series(found.ids[series], len(found.ids)), _target(state, target)) if part)
    return Fan(title, times, measured, own["prediction"], _bands(own))


def _bands(answers: Mapping[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The interval, then pairs of quantiles inside it."""
    found = [(answers["low"], answers["high"])]
    if "quantiles" in answers:
        each = answers["quantiles"]  # (horizon, quantiles), rising
        found += [(each[:, i], each[:, -1 - i]) for i in range(each.shape[1] // 2)]
    return found[:4]


def _name(test: Backtest, series: int, target: int) -> str:
    parts = (_series(test.frames.ids[series], len(test.frames.ids)), _target(test.state, target))
    return " ".join(part for part in parts if part)


def _series(name: Any, count: int) -> str:
    return str(name) if count > 1 else ""


def _target(state: Any, target: int) -> str:
    return state.targets[target].name if len(state.targets) > 1 else ""


# an example


def example(case: Ahead, predictor: Predictor) -> Row:
    """The last rows of one series, as they would be sent, and the first steps of the answer."""
    state, found = case.state, case.frames
    source = found.source[found.spans[0]]
    rows = case.table.take(pa.array(source[source >= 0][-min(state.context, SENT) :]))
    rows = rows.select([column.name for column in predictor.bundle.prep.used])
    numbers = [column.name for column in predictor.bundle.prep.used if column.kind == "number"]
    sent = [row | {name: _number(row[name]) for name in numbers} for row in json_rows(rows)]
    return {"rows": sent, "answer": json_rows(predictor.answers(rows)), "context": state.context}


def _number(cell: Any) -> Any:
    """A text that is a number as one; any other cell as it is."""
    try:
        found = float(cell) if isinstance(cell, str) else cell
    except ValueError:
        return cell
    return int(found) if isinstance(found, float) and found.is_integer() and "." not in str(cell) else found


def targets(case: Ahead) -> str:
    """The targets as a verdict names them."""
    names = case.state.names
    if len(names) <= 3:
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{names[0]}, {names[1]} and {len(names) - 2:,} more"


def verdict(facts: Row, target: str, found: Mapping[str, Any], scored: Mapping[str, Mapping[str, float | None]]) -> str:
    """One honest sentence; of prices, whether the network beats the random walk."""
    if "prices" in facts:
        return directions.verdict(facts["prices"], target, scored)
    return report.verdict("mase", False, found["scores"], scored, target, found["interval"], "forecasts")
