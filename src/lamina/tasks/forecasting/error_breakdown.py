"""Errors of a backtest by step ahead, by stretch of time, by target and by series, in sums over arrays."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lamina.schema import Row
from lamina.tasks.forecasting.backtest import Backtest
from lamina.tasks.forecasting.state import Frequency
from lamina.tasks.forecasting.time_index import DAY, to_times

NETWORK = "network"
FOLDS = 6
MAX_ROWS, ENDS = 20, 8  # rows of a table, and at both ends of a longer one
SMALL = 0.1  # a correlation that explains 1 % of the next error


def format_steps(index: np.ndarray, frequency: Frequency) -> list[str]:
    """Steps of a grid as a person writes them: a month, a day, a time of day, or the number of the step."""
    return format_times(to_times(index, frequency), frequency)


def format_times(times: np.ndarray, frequency: Frequency) -> list[str]:
    """Times, or the numbers that stand for them, as a person writes them."""
    if times.dtype.kind != "M":
        return [f"step {time + 1:,}" if frequency.unit == "row" else str(time) for time in times.tolist()]
    unit = "M" if frequency.unit == "month" and not (frequency.phase % 32 > 1) else "D"
    if frequency.unit == "second" and frequency.count % DAY:
        unit = "m" if frequency.count % 60 == 0 else "s"
    return [text.replace("T", " ") for text in np.datetime_as_string(times, unit).tolist()]


class Errors(NamedTuple):
    """Sums of errors, by name, that every table below is made of: by origin and target, and by step ahead."""

    cells: dict[str, np.ndarray]  # (origins, targets)
    steps: dict[str, np.ndarray]  # (horizon,)


def errors(test: Backtest) -> Errors:
    """Each kind of error is summed as soon as it is there, because all of them at once may not fit in memory."""
    truth, prediction = test.truth, test.answers["prediction"]
    error, measured = np.abs(prediction - truth), ~np.isnan(truth)
    cells, steps = {}, {}

    def add(name: str, values: np.ndarray) -> None:
        values = np.where(measured, values, 0.0)
        cells[name], steps[name] = values.sum(axis=1), values.sum(axis=(0, 2))

    add("mase", error / np.array([target.naive for target in test.state.targets]))
    add("rmse", error**2)
    add("mae", error)
    size = np.abs(truth) + np.abs(prediction)
    add("smape", 200 * np.divide(error, size, out=np.zeros(error.shape), where=size > 0))
    if "low" in test.answers:
        add("coverage", (test.answers["low"] <= truth) & (truth <= test.answers["high"]))
    add("count", measured)
    return Errors(cells, steps)


def _means(totals: Mapping[str, np.ndarray]) -> list[dict[str, float | None]]:
    """Scores of each group from its sums."""
    count = totals["count"]
    means = {name: values / np.maximum(count, 1) for name, values in totals.items() if name != "count"}
    means["rmse"] = np.sqrt(means["rmse"])
    return [{name: float(v[i]) if count[i] else None for name, v in means.items()} for i in range(len(count))]


def _grouped(methods: Mapping[str, Errors], group: np.ndarray) -> list[dict[str, Any]]:
    """Scores by method of each group of origins."""
    scores = {
        method: _means({name: np.bincount(group, values.sum(axis=1)) for name, values in sums.cells.items()})
        for method, sums in methods.items()
    }
    return [dict(zip(scores, row, strict=True)) for row in zip(*scores.values(), strict=True)]


def by_step(methods: Mapping[str, Errors]) -> Row:
    """MASE of each method, and the network's coverage, for each step ahead."""
    scores = {method: _means(sums.steps) for method, sums in methods.items()}
    mase = {method: [step["mase"] for step in steps] for method, steps in scores.items()}
    return {"mase": mase, "coverage": [step.get("coverage") for step in scores[NETWORK]]}


def folds(test: Backtest, methods: Mapping[str, Errors]) -> list[Row]:
    """The test part as stretches in order of time, each with the times its forecasts begin at."""
    index = test.panel.index[test.origins]
    times, place = np.unique(index, return_inverse=True)
    number = int(np.clip(len(times) // test.state.horizon, min(2, len(times)), FOLDS))
    group = place * number // len(times)
    edges = [times[np.arange(len(times)) * number // len(times) == i][[0, -1]] for i in range(number)]
    texts = _days(format_steps(np.concatenate(edges), test.state.step))
    counts = np.bincount(group)
    return [
        {"from": texts[2 * i], "to": texts[2 * i + 1], "forecasts": int(counts[i]), "scores": scores}
        for i, scores in enumerate(_grouped(methods, group))
    ]


def _days(texts: list[str]) -> list[str]:
    """Times of day left out where the days alone tell stretches apart."""
    days = [text[:10] for text in texts]
    return days if " " in texts[0] and len(set(days)) == len(days) else texts


def by_target(test: Backtest, methods: Mapping[str, Errors]) -> list[Row]:
    """One row per target, where there are several; of many, those forecast best and worst."""
    if len(test.state.targets) < 2:
        return []
    scores = {
        method: _means({name: values.sum(axis=0) for name, values in sums.cells.items()})
        for method, sums in methods.items()
    }
    rows = [{"name": name, "scores": {m: scores[m][i] for m in scores}} for i, name in enumerate(test.state.names)]
    return rows if len(rows) <= MAX_ROWS else _ends(rows)


def by_series(test: Backtest, methods: Mapping[str, Errors]) -> list[Row]:
    """One row per series, where there are several, from the best to the worst; of many, both ends."""
    if len(test.panel.ids) < 2:
        return []
    which, group = np.unique(test.series, return_inverse=True)
    counts = np.bincount(group)
    return _ends([
        {"name": str(test.panel.ids[which[i]]), "forecasts": int(counts[i]), "scores": scores}
        for i, scores in enumerate(_grouped(methods, group))
    ])  # fmt: skip


def _ends(rows: list[Row]) -> list[Row]:
    ranked = sorted(rows, key=lambda row: _rank(row["scores"][NETWORK]["mase"]))
    return ranked if len(ranked) <= MAX_ROWS else [*ranked[:ENDS], *ranked[-ENDS:]]


def _rank(value: float | None) -> float:
    return float("inf") if value is None else value


def residuals(test: Backtest) -> Row:
    """Autocorrelation of the errors one step ahead, over all series and targets, with the 95 % bound of pure chance.

    Of prices, errors are relative. Empty where origins are not next to one another, or too few.
    """
    error = test.truth[:, 0] - test.answers["prediction"][:, 0]  # (origins, targets)
    if test.state.transform == "log_return":
        error = error / test.last
    error = error / np.maximum(np.nanstd(error, axis=0), 1e-12) if np.isfinite(error).any() else error
    error = np.nan_to_num(error - np.nanmean(error, axis=0)) if np.isfinite(error).any() else error
    near = np.diff(test.origins) == 1
    longest = np.bincount(test.series).max(initial=0)
    lags = min(max(24, 2 * test.state.season), longest // 4, 60)
    if lags < 4 or near.mean() < 0.5:
        return {}
    run = np.concatenate([[0], np.cumsum(~near)])  # origins of one number follow one another
    total = float((error**2).sum())
    correlations = [
        float((error[lag:] * error[:-lag])[run[lag:] == run[:-lag]].sum()) / total for lag in range(1, lags + 1)
    ]
    bound = 1.96 / np.sqrt(len(error))
    sentence = _meaning(np.array(correlations), bound, test.state.season)
    return {"lags": correlations, "bound": float(bound), "sentence": sentence}


def _meaning(correlations: np.ndarray, bound: float, season: int) -> str:
    """One sentence: what it means when bars stick out."""
    count, out = len(correlations), np.flatnonzero(np.abs(correlations) > bound) + 1
    if len(out) <= max(1, round(0.1 * count)):
        return (
            f"{len(out)} of {count} bars stick{'s' if len(out) == 1 else ''} out, no more than chance explains: "
            "the errors hold nothing that the next forecast could have been told."
        )
    if float(np.abs(correlations).max()) < SMALL:
        return (
            f"{len(out)} of {count} bars stick out of the 95 % bounds, but none is beyond {SMALL:g}: an error "
            "says next to nothing of those after it, and there is little left to learn from it."
        )
    which = ", ".join(map(str, out[:5].tolist())) + (" ..." if len(out) > 5 else "")
    cure = "a longer task.context may help"
    if season > 1 and season in out:
        cure = f"the cycle of {season} steps is not learned in full: try a task.context of several seasons"
    elif out[0] > 1 and season <= 1:
        cure = f"there may be a cycle of {int(out[0])} steps: try task.season"
    return (
        f"{len(out)} of {count} bars stick out of the 95 % bounds (lags {which}): an error says something of the "
        f"errors after it, so there is more to be learned; {cure}."
    )
