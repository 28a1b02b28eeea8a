"""What the network has to beat: filters that learn nothing, each at the strength that is best on validation rows.

For each level of noise the strength is chosen by itself, which the network is not told. Images: non-local means of
OpenCV (Buades et al. 2005), bilateral, median and Gaussian filters. Series: the last two, and that of Savitzky and
Golay (1964).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.evaluate import baselines
from lamina.experiment import Baseline, Finding
from lamina.preprocess.image.codec import opencv
from lamina.tasks.denoising import evaluation, metrics
from lamina.tasks.denoising.evaluation import Case, Details
from lamina.tasks.denoising.state import Form

Filter = Callable[[np.ndarray, Any], np.ndarray]
TUNED = 1 << 19  # pixels or numbers of validation rows by which strengths are chosen

baselines.register("noisy", "as it came", "leaving everything as it came", constant=True)
baselines.register("non_local_means", "non-local means")
baselines.register("bilateral_filter", "bilateral filter", "the bilateral filter")
baselines.register("median_filter", "median filter", "the median filter")
baselines.register("gaussian_filter", "Gaussian filter", "the Gaussian filter")
baselines.register("savitzky_golay", "Savitzky-Golay filter", "the Savitzky-Golay filter")


def _bytes(noisy: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)


def _like(answer: Any, noisy: np.ndarray) -> np.ndarray:
    return np.asarray(answer).reshape(noisy.shape).astype(np.float32)


def _non_local_means(noisy: np.ndarray, strength: float) -> np.ndarray:
    return _like(opencv().fastNlMeansDenoising(_bytes(noisy), None, strength, 7, 21) / np.float32(255), noisy)


def _bilateral(noisy: np.ndarray, strength: tuple[float, float]) -> np.ndarray:
    colour, space = strength
    return _like(opencv().bilateralFilter(noisy.astype(np.float32), 0, colour / 255, space), noisy)


def _median(noisy: np.ndarray, strength: int) -> np.ndarray:
    return _like(opencv().medianBlur(noisy.astype(np.float32), strength), noisy)


def _gaussian(noisy: np.ndarray, strength: float) -> np.ndarray:
    return _like(opencv().GaussianBlur(noisy.astype(np.float32), (0, 0), strength), noisy)


def _median_of_series(noisy: np.ndarray, strength: int) -> np.ndarray:
    from scipy.ndimage import median_filter

    return _like(median_filter(noisy, (strength, 1), mode="nearest"), noisy)


def _gaussian_of_series(noisy: np.ndarray, strength: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    return _like(gaussian_filter1d(noisy, strength, axis=0, mode="nearest"), noisy)


def _savitzky_golay(noisy: np.ndarray, strength: int) -> np.ndarray:
    from scipy.signal import savgol_filter

    width = min(strength, len(noisy) - 1 + len(noisy) % 2)
    return _like(savgol_filter(noisy, width, 2, axis=0, mode="nearest"), noisy) if width > 2 else noisy


WIDTHS = (3, 5, 9, 15, 25, 41)
FILTERS: dict[Form, dict[str, tuple[Filter, tuple[Any, ...]]]] = {
    "image": {
        "non_local_means": (_non_local_means, (4.0, 8.0, 12.0, 16.0, 20.0, 25.0, 30.0, 38.0, 48.0, 60.0)),
        "bilateral_filter": (_bilateral, tuple((c, s) for c in (20, 40, 60, 90, 130, 200) for s in (1.0, 1.5, 2.5))),
        "median_filter": (_median, (3, 5)),
        "gaussian_filter": (_gaussian, (0.4, 0.55, 0.7, 0.85, 1.0, 1.3, 1.7, 2.2)),
    },
    "series": {
        "savitzky_golay": (_savitzky_golay, WIDTHS),
        "gaussian_filter": (_gaussian_of_series, (0.5, 0.8, 1.2, 2.0, 3.0, 5.0, 8.0, 13.0)),
        "median_filter": (_median_of_series, WIDTHS),
    },
}
FILTERS["table"] = FILTERS["series"]


def evaluate(finding: Finding, notes: list[str]) -> dict[str, Baseline]:
    """Every filter on the cases that the network was evaluated by; `strength` is the place of the one it had."""
    state, session = finding.session.task.state, finding.session
    details: Details = finding.evaluation.details
    held_out = evaluation.cases(session, finding.experiment.splits.validation, TUNED)
    rivals = {}
    for name in FILTERS[state.form]:
        best = _best(state.form, name, held_out)
        places = [best.get(case.sigma, 0) for case in details.cases]
        answers = [apply(state.form, name, place, c.noisy) for c, place in zip(details.cases, places, strict=True)]
        result = evaluation.score(state, details.cases, answers, 0)
        rivals[name] = Baseline(result.scores, {**result.answers, "strength": np.array(places)})
    result = evaluation.score(state, details.cases, [case.noisy for case in details.cases], 0)
    rivals["noisy"] = Baseline(result.scores, result.answers)
    count = len({case.row for case in details.cases})
    if state.form != "table" and count < details.rows:
        notes.append(f"Evaluated on the first {count:,} of {details.rows:,} test rows.")
    return rivals


def apply(form: Form, name: str, place: int, noisy: np.ndarray) -> np.ndarray:
    """What a filter makes of what is noisy, by the place of its strength."""
    function, strengths = FILTERS[form][name]
    return function(noisy, strengths[place])


def _best(form: Form, name: str, cases: list[Case]) -> dict[float, int]:
    """The place of the strength with the best score, by level of noise."""
    best = dict[float, int]()
    for sigma in {case.sigma for case in cases}:
        own = [case for case in cases if case.sigma == sigma]
        scores = [
            np.mean([metrics.decibels(form, case.clean, apply(form, name, place, case.noisy)) for case in own])
            for place in range(len(FILTERS[form][name][1]))
        ]
        best[sigma] = int(np.argmax(scores))
    return best
