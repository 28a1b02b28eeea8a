"""The metrics there are, by name, and what is asked of them: scores, an interval, a label, a direction."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple

import numpy as np

from lamina.config import LaminaError, nearest

Answers = Mapping[str, np.ndarray]
Function = Callable[[np.ndarray, Answers], Any]
Metric = Callable[[np.ndarray, Answers], float | None]
Resample = Callable[[np.ndarray, Answers, np.random.Generator, int], np.ndarray | None]
ClassTable = Callable[[np.ndarray, Answers, Sequence[str]], list[dict[str, Any]]]

MAX_RESAMPLED_ROWS = 4_000
MIN_RESAMPLES = 40


class Entry(NamedTuple):
    """A metric, which answers it reads, how people write its name, and a faster bootstrap where it has one."""

    metric: Metric
    needs: tuple[str, ...]
    label: str
    resample: Resample | None


HIGHER: dict[str, bool] = {}  # is a higher value better, by metric name
_METRICS: dict[str, Entry] = {}
_CLASS_TABLES: dict[str, ClassTable] = {}


def metric(
    higher: bool, *needs: str, label: str = "", resample: Resample | None = None
) -> Callable[[Function], Metric]:
    """Register a function as the metric of its name: is a higher value better, and which answers does it read?

    It takes the target and the answers, arrays by row, and gives a number. Without rows, without these answers or with
    NaN in them it is not called; what it cannot define is None. `label` is how people write its name, where that is not
    the name itself. `resample(target, answers, rng, draws)` gives its values on redrawn rows, (draws,), or None.

        @metric(False, "prediction", label="MAE")
        def mae(target, answers):
            return np.mean(np.abs(answers["prediction"] - target))

        @metric(True, "low", "high")
        def coverage(target, answers):
            return np.mean((answers["low"] <= target) & (target <= answers["high"]))
    """

    def register(function: Function) -> Metric:
        @wraps(function)
        def checked(target: np.ndarray, answers: Answers) -> float | None:
            if len(target) == 0 or any(need not in answers or np.isnan(answers[need]).any() for need in needs):
                return None
            value = function(target, answers)
            return float(value) if value is not None and np.isfinite(value) else None

        name = function.__name__
        HIGHER[name], _METRICS[name] = higher, Entry(checked, needs, label or name.replace("_", " "), resample)
        return checked

    return register


def class_rows(function: ClassTable) -> ClassTable:
    """Register a function `f(target, answers, names)` as the table of scores by class that has its name."""
    _CLASS_TABLES[function.__name__] = function
    return function


def higher(name: str) -> bool:
    """Whether a higher value is better; so is that of a metric that nobody registered."""
    return HIGHER.get(name, True)


def label(name: str) -> str:
    """The metric's name as people write it."""
    return _METRICS[name].label if name in _METRICS else name.replace("_", " ")


def find(name: str | Metric) -> Metric:
    """The metric of that name; a function is taken as it is. Errors: LaminaError for a name that nobody registered."""
    if not isinstance(name, str):
        return name
    if name not in _METRICS:
        raise LaminaError(f"metrics: there is no '{name}'. {nearest(name, _METRICS)}")
    return _METRICS[name].metric


def defined(names: Sequence[str], answers: Answers) -> tuple[str, ...]:
    """Those metrics whose answers are there: without an interval there is no coverage of it."""
    return tuple(name for name in names if name not in _METRICS or set(_METRICS[name].needs) <= answers.keys())


def scores(names: Sequence[str | Metric], target: np.ndarray, answers: Answers) -> dict[str, float | None]:
    """Value of each metric by name, in the order asked; None where these rows do not define it."""
    functions = [find(name) for name in names]
    return {function.__name__: function(target, answers) for function in functions}


def class_table(name: str, target: np.ndarray, answers: Answers, classes: Sequence[str]) -> list[dict[str, Any]]:
    """One row per class: class, precision, recall, f1, support (rows), predicted (rows); none where `name` is ""."""
    return _CLASS_TABLES[name](target, answers, classes) if name else []


def bootstrap(
    name: str | Metric, target: np.ndarray, answers: Answers, seed: int = 0, draws: int = 200
) -> tuple[float, float] | None:
    """95 % percentile interval of a metric over resampled rows (Efron 1979); None where it is undefined.

    Metrics of counts are drawn exactly. Others are drawn with at most 4,000 rows and their spread is scaled
    to all rows (m out of n; Bickel, Goetze and van Zwet 1997), so that the cost does not grow with the data.
    """
    function, rng = find(name), np.random.default_rng(seed)
    value = function(target, answers)
    if value is None:
        return None
    entry = _METRICS.get(function.__name__)
    if entry is not None and entry.metric is function and entry.resample is not None:
        values = entry.resample(target, answers, rng, draws)
        if values is not None:
            low, high = np.percentile(values, [2.5, 97.5])
            return float(low), float(high)
    n, m = len(target), min(len(target), MAX_RESAMPLED_ROWS)
    width = max((array.shape[1] for array in answers.values() if np.ndim(array) == 2), default=1)
    picks = rng.integers(n, size=(max(draws // width, min(draws, MIN_RESAMPLES)), m))
    values = [function(target[pick], {name: array[pick] for name, array in answers.items()}) for pick in picks]
    shifts = [(v - value) * np.sqrt(m / n) for v in values if v is not None]
    if not shifts:
        return None
    low, high = value + np.percentile(shifts, [2.5, 97.5])
    return float(low), float(high)
