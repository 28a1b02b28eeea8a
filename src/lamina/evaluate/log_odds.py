"""How strongly a network answers, in numbers that still move where a probability is as good as 1."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.config import DataError, nearest
from lamina.evaluate import calibration

TINY = 1e-300  # the least that a float64 still tells from 0


def uncalibrated(task: Any) -> Any:
    """The task before it is calibrated: a calibrated answer can be so sure that nothing moves it."""
    return task.with_state(**calibration.neutral(task))


def strength(answers: Mapping[str, np.ndarray], code: int | None) -> np.ndarray:
    """(rows,) log-odds of a label; without one, the number itself."""
    if code is None:
        return np.asarray(answers["prediction"], np.float64)
    own, others = answers["probabilities"][:, code], np.delete(answers["probabilities"], code, axis=1).sum(axis=1)
    rest = np.where(np.abs(own + others - 1) < 1e-6, others, 1 - own)  # several labels at once do not sum to 1
    return np.log(own + TINY) - np.log(rest + TINY)


def strengths(answers: Mapping[str, np.ndarray], codes: Sequence[int] | None) -> np.ndarray:
    """(rows, codes) the same for several labels; without any, (rows, 1) of the number."""
    return np.stack([strength(answers, code) for code in ((None,) if codes is None else codes)], axis=1)


def best(
    task: Any, raw: Mapping[str, np.ndarray], label: str | None
) -> tuple[int | None, tuple[tuple[str, float], ...]]:
    """Which output is explained (of a number: None), and the best answers. Labels have `probabilities`."""
    answers, classes = task.decode(raw), task.classes
    if not classes:
        if label is not None:
            raise DataError("--label: this bundle predicts a number, not labels. Leave --label out.")
        return None, (("", float(answers["prediction"][0])),)
    chances = answers["probabilities"][0]
    if label is not None and label not in classes:
        raise DataError(f"--label: there is no label '{label}'. {nearest(label, classes)}")
    best = np.argsort(-chances, kind="stable")[:4].tolist()
    top = tuple((classes[i], float(chances[i])) for i in best)
    return (best[0] if label is None else classes.index(label)), top
