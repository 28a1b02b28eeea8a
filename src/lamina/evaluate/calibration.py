"""Honest confidence from rows the network was not trained on: one temperature, one interval width, thresholds."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from lamina import privacy
from lamina.schema import Row

COLDEST, HOTTEST = 0.05, 20.0
GOLDEN = (np.sqrt(5) - 1) / 2
MIN_ROWS = 5  # of a label from which on it has a threshold of its own

Arrays = Mapping[str, np.ndarray]
Method = Callable[[Any, Arrays, np.ndarray], dict[str, Any]]


class Entry(NamedTuple):
    """How a method is fitted, which of what it gives is a fact for people, and what would change nothing."""

    fit: Method
    facts: tuple[str, ...]
    neutral: Mapping[str, Any]


_METHODS: dict[str, Entry] = {}


def method(name: str, *facts: str, neutral: Mapping[str, Any] | None = None) -> Callable[[Method], Method]:
    """Register `f(task, outputs, target)` under a name: it gives what changes in the task's state, by field.

    `task` decodes raw `outputs` and turns an encoded `target` into what metrics want; both are of validation rows.
    `facts` are the fields that a report shows, `neutral` the values of fields that leave answers as they were.

        @method("temperature", "temperature", neutral={"temperature": 1.0})
        def _temperature(task, outputs, target):
            return {"temperature": temperature(outputs["target"], task.truth(target))}
    """

    def register(function: Method) -> Method:
        _METHODS[name] = Entry(function, facts, neutral or {})
        return function

    return register


def fit(task: Any, outputs: Arrays, target: np.ndarray) -> dict[str, Any]:
    """What the method that `task.calibration` names learns from validation rows; nothing where it names none."""
    return _METHODS[task.calibration].fit(task, outputs, target) if task.calibration else {}


def facts(task: Any) -> Row:
    """What a report shows of calibration: the fields of the task's state that methods say are for people."""
    state = task.state.model_dump()
    names = [name for entry in _METHODS.values() for name in entry.facts]
    return {name: state[name] for name in names if name in state}


def neutral(task: Any) -> dict[str, Any]:
    """What changes in a state so that answers are as they were before calibration, where there is any such thing."""
    state = task.state.model_dump()
    fields = {name: value for entry in _METHODS.values() for name, value in entry.neutral.items()}
    return {name: value for name, value in fields.items() if name in state}


@method("temperature", "temperature", neutral={"temperature": 1.0})
def _temperature(task: Any, outputs: Arrays, target: np.ndarray) -> dict[str, Any]:
    return {"temperature": temperature(outputs["target"], task.truth(target))}


@method("conformal", "half_width")
def _conformal(task: Any, outputs: Arrays, target: np.ndarray) -> dict[str, Any]:
    width = privacy.upward(conformal(task.residuals(outputs, target)))  # it is the error of one row
    return {"half_width": width, "smearing": task.smearing(outputs, target)}


@method("thresholds")
def _thresholds(task: Any, outputs: Arrays, target: np.ndarray) -> dict[str, Any]:
    return {"thresholds": thresholds(task.decode(outputs)["probabilities"], task.truth(target))}


def temperature(logits: np.ndarray, target: np.ndarray) -> float:
    """Divide logits by this number to make their probabilities as likely as they can be on these rows.

    `logits` is (n, classes), or (n, 1) for the log-odds of class 1; `target` holds class codes (n,). The answer
    is between 0.05 and 20, and 1 when no row has finite logits. Guo et al. 2017, "On Calibration of Modern
    Neural Networks"; as Platt 1999, one row in n + 2 is taken to be mislabelled, so that n right answers do not
    make the next one certain.
    """
    logits = logits.astype(np.float64)
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    usable = np.isfinite(logits).all(axis=1)
    if not usable.any():
        return 1.0
    logits, target = logits[usable], target[usable].astype(np.int64)
    # Below, every logit is relative to the right class: the loss is then one log-sum-exp.
    margins = logits - logits[np.arange(len(target)), target][:, None]  # (n, classes)
    doubt = 1 / (len(target) + 2)
    return float(np.exp(_minimise(lambda t: _nll(margins, np.exp(t), doubt), np.log(COLDEST), np.log(HOTTEST))))


def _nll(margins: np.ndarray, t: float, doubt: float) -> float:
    """Mean loss where a share `doubt` of the labels is any class at all."""
    scaled = margins / t
    top = scaled.max(axis=1)
    return float((top + np.log(np.exp(scaled - top[:, None]).sum(axis=1)) - doubt * scaled.mean(axis=1)).mean())


def _minimise(f: Callable[[float], float], low: float, high: float, steps: int = 40) -> float:
    """Golden-section search; the loss has one valley in log temperature, since it is convex in 1 / temperature."""
    a, b = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    fa, fb = f(a), f(b)
    for _ in range(steps):
        if fa <= fb:
            high, b, fb = b, a, fa
            a = high - GOLDEN * (high - low)
            fa = f(a)
        else:
            low, a, fa = a, b, fb
            b = low + GOLDEN * (high - low)
            fb = f(b)
    return (low + high) / 2


def conformal(residuals: np.ndarray, coverage: float = 0.9) -> float:
    """Half-width to add on both sides of a prediction so that `coverage` of new rows fall inside.

    `residuals` (n,) come from rows not used in training, in the target's unit. The quantile is the
    ceil((n + 1) * coverage)-th smallest absolute residual. A residual that is not finite counts as the
    largest; the answer is always finite, so with fewer than coverage / (1 - coverage) rows it is the largest
    finite residual and covers less than asked. Vovk et al. 2005; Lei et al. 2018.
    """
    sizes = np.sort(np.abs(residuals[np.isfinite(residuals)].astype(np.float64)))
    assert len(sizes), "conformal needs at least one finite residual"
    rank = int(np.ceil(np.round((len(residuals) + 1) * coverage, 9)))
    return float(sizes[min(rank, len(sizes)) - 1])


def thresholds(probabilities: np.ndarray, target: np.ndarray) -> tuple[float, ...]:
    """For each label the probability from which on to answer it, so that its F1 on these rows is largest.

    `probabilities` (n, classes), `target` bool of the same shape. A label with fewer than 5 rows here tells too little
    of itself: it gets the threshold that is best over all labels together. Lipton et al. 2014.
    """
    shared = best_threshold(probabilities.ravel(), target.ravel())
    return tuple(
        best_threshold(chances, hits) if hits.sum() >= MIN_ROWS else shared
        for chances, hits in zip(probabilities.T, target.T, strict=True)
    )


def best_threshold(chances: np.ndarray, hits: np.ndarray) -> float:
    """Halfway between the last probability that counts as a yes and the next; one half where there is no yes."""
    order = np.argsort(-chances, kind="stable")
    chances, true = chances[order].astype(np.float64), np.cumsum(hits[order])  # `true`: hits down to each place
    last = np.append(chances[1:] < chances[:-1], True)  # only between different probabilities can a line be drawn
    f1 = np.where(last, 2 * true / (np.arange(1, len(true) + 1) + max(true[-1], 1)), -1.0)
    if not true[-1]:
        return 0.5
    best = int(f1.argmax())
    below = chances[best + 1] if best + 1 < len(chances) else 0.0
    return float((chances[best] + below) / 2)
