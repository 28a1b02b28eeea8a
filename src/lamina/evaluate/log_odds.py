"""How strongly a network answers, in numbers that still move where a probability is as good as 1."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
