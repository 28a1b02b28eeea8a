"""Honest confidence from rows the network was not trained on: one temperature, one interval width, thresholds."""

from typing import Any

import numpy as np

from lamina.evaluate.thresholds import thresholds
from lamina.experiment import Case
from lamina.tasks.forecasting import backtest
from lamina.tasks.forecasting.experiment import Ahead
from lamina.train.settings import Data

_COLDEST, _HOTTEST = 0.05, 20.0
_GOLDEN = (np.sqrt(5) - 1) / 2


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
    kept = np.isfinite(logits).all(axis=1)
    if not kept.any():
        return 1.0
    logits, target = logits[kept], target[kept].astype(np.int64)
    # Below, every logit is relative to the right class: the loss is then one log-sum-exp.
    margins = logits - logits[np.arange(len(target)), target][:, None]  # (n, classes)
    doubt = 1 / (len(target) + 2)
    return float(np.exp(_minimise(lambda t: _nll(margins, np.exp(t), doubt), np.log(_COLDEST), np.log(_HOTTEST))))


def _nll(margins: np.ndarray, t: float, doubt: float) -> float:
    """Mean loss where a share `doubt` of the labels is any class at all."""
    scaled = margins / t
    top = scaled.max(axis=1)
    return float((top + np.log(np.exp(scaled - top[:, None]).sum(axis=1)) - doubt * scaled.mean(axis=1)).mean())


def _minimise(f, low: float, high: float, steps: int = 40) -> float:
    """Golden-section search; the loss has one valley in log temperature, since it is convex in 1 / temperature."""
    a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    fa, fb = f(a), f(b)
    for _ in range(steps):
        if fa <= fb:
            high, b, fb = b, a, fa
            a = high - _GOLDEN * (high - low)
            fa = f(a)
        else:
            low, a, fa = a, b, fb
            b = low + _GOLDEN * (high - low)
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


def calibrated(case: Case, raw: dict[str, np.ndarray], validation: Data) -> Case:
    """The case with what its task calibrates, fitted on validation rows and the raw outputs for them."""
    state, task, encoded = case.state, case.task, np.asarray(validation.target)
    if task.calibration == "temperature":
        found = {"temperature": temperature(raw["target"], task.truth(encoded, state))}
    elif task.calibration == "conformal":
        errors = task.decode(raw, state)["prediction"] - task.truth(encoded, state)
        found: dict[str, Any] = {"half_width": conformal(errors)}
    elif isinstance(case, Ahead):
        found = backtest.widths(case, raw, validation)
        found = {"half_widths": tuple(map(tuple, found["half_widths"].tolist()))}
    elif task.calibration == "thresholds":
        chances = task.decode(raw, state)["probabilities"]
        found = {"thresholds": thresholds(chances, task.truth(encoded, state))}
    else:
        found = {}
    return case.with_state(state.model_copy(update=found))
