"""Scores on held-out rows: one function per metric, named as it appears in the report.

Each takes the target and the answers of one predictor, both by row. Classification: `target` holds class
codes (n,), `answers["probabilities"]` is (n, classes). Several labels: `target` and `answers["chosen"]` are bool
(n, classes), `answers["probabilities"]` of each class by itself. Regression: `target` and `answers["prediction"]` are
(n,) in the target's unit, `answers["low"]` and `answers["high"]` the ends of the interval. A metric that
these rows do not define (no rows, one class only, a value that is not finite) is None.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import numpy as np

from lamina.config import LaminaError, nearest
from lamina.evaluate.metrics import multilabel as _multilabel
from lamina.tasks import generation

Answers = Mapping[str, np.ndarray]
Metric = Callable[[np.ndarray, Answers], float | None]

HIGHER: dict[str, bool] = {}  # is a higher value better, by metric name
_METRICS: dict[str, Metric] = {}
_BINS = 15
_DRAWN_ROWS = 4_000


def _metric(higher: bool, *needs: str) -> Callable[[Callable[[np.ndarray, Answers], Any]], Metric]:
    """Register a metric that reads the answers `needs`; what is undefined becomes None."""

    def register(function: Callable[[np.ndarray, Answers], Any]) -> Metric:
        @wraps(function)
        def safe(target: np.ndarray, answers: Answers) -> float | None:
            if len(target) == 0 or any(need not in answers or np.isnan(answers[need]).any() for need in needs):
                return None
            value = function(target, answers)
            return float(value) if value is not None and np.isfinite(value) else None

        HIGHER[function.__name__], _METRICS[function.__name__] = higher, safe
        return safe

    return register


def confusion(target: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Counts of rows (classes, classes): first the actual class, then the most probable one."""
    k = probabilities.shape[1]
    return np.bincount(target * k + probabilities.argmax(axis=1), minlength=k * k).reshape(k, k)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)


def _rates(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each class (..., classes), 0 where nothing defines them."""
    hits, actual, predicted = np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1), counts.sum(-2)
    return _ratio(hits, predicted), _ratio(hits, actual), _ratio(2 * hits, actual + predicted)


def _macro(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    return _ratio((values * counted).sum(-1), counted.sum(-1))


def _seen(counts: np.ndarray) -> np.ndarray:
    return counts.sum(-1) + counts.sum(-2) > 0


# From counts (..., classes, classes) to values (...): the bootstrap draws the counts and calls the same formula.
_FROM_COUNTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "accuracy": lambda c: np.trace(c, axis1=-2, axis2=-1) / c.sum((-2, -1)),
    "balanced_accuracy": lambda c: _macro(_rates(c)[1], c.sum(-1) > 0),
    "precision": lambda c: _macro(_rates(c)[0], _seen(c)),
    "recall": lambda c: _macro(_rates(c)[1], _seen(c)),
    "f1": lambda c: _macro(_rates(c)[2], _seen(c)),
    "f1_weighted": lambda c: _macro(_rates(c)[2], c.sum(-1)),
}


@_metric(True, "probabilities")
def accuracy(target: np.ndarray, answers: Answers) -> Any:
    """Share of rows whose most probable class is the right one."""
    return _FROM_COUNTS["accuracy"](confusion(target, answers["probabilities"]))


@_metric(True, "probabilities")
def balanced_accuracy(target: np.ndarray, answers: Answers) -> Any:
    """Mean recall over the classes that occur: a rare class counts as much as a frequent one."""
    return _FROM_COUNTS["balanced_accuracy"](confusion(target, answers["probabilities"]))


@_metric(True, "probabilities")
def precision(target: np.ndarray, answers: Answers) -> Any:
    """Of the rows given to a class, the share that belongs there; mean over classes."""
    return _FROM_COUNTS["precision"](confusion(target, answers["probabilities"]))


@_metric(True, "probabilities")
def recall(target: np.ndarray, answers: Answers) -> Any:
    """Of the rows of a class, the share that was found; mean over classes."""
    return _FROM_COUNTS["recall"](confusion(target, answers["probabilities"]))


@_metric(True, "probabilities")
def f1(target: np.ndarray, answers: Answers) -> Any:
    """Harmonic mean of precision and recall; mean over classes."""
    return _FROM_COUNTS["f1"](confusion(target, answers["probabilities"]))


@_metric(True, "probabilities")
def f1_weighted(target: np.ndarray, answers: Answers) -> Any:
    """F1 averaged over classes by how often each occurs."""
    return _FROM_COUNTS["f1_weighted"](confusion(target, answers["probabilities"]))


@_metric(True, "probabilities")
def roc_auc(target: np.ndarray, answers: Answers) -> Any:
    """Chance that a row of the class ranks above a row of another; several classes: mean of one against the rest."""
    from sklearn.metrics import roc_auc_score

    values = [roc_auc_score(hit, score) for hit, score in one_against_rest(target, answers["probabilities"])]
    return np.mean(values) if values else None


@_metric(True, "probabilities")
def pr_auc(target: np.ndarray, answers: Answers) -> Any:
    """Average precision of class 1 over all thresholds; two classes only."""
    from sklearn.metrics import average_precision_score

    probabilities = answers["probabilities"]
    if probabilities.shape[1] != 2 or not (target == 1).any():
        return None
    return average_precision_score(target == 1, probabilities[:, 1])


@_metric(False, "probabilities")
def log_loss(target: np.ndarray, answers: Answers) -> Any:
    """Mean of -log(probability given to the right class), in nats; 0 is perfect."""
    given = answers["probabilities"][np.arange(len(target)), target].astype(np.float64)
    return -np.log(np.clip(given, 1e-15, 1)).mean()


@_metric(False, "probabilities")
def ece(target: np.ndarray, answers: Answers) -> Any:
    """Expected calibration error: mean gap between stated confidence and share right (Naeini et al. 2015)."""
    _, said, right, share = reliability(target, answers["probabilities"])
    return (share * np.abs(said - right)).sum()


for _named in (_multilabel.f1_micro, _multilabel.f1_macro, _multilabel.f1_samples, _multilabel.precision_micro,
               _multilabel.recall_micro, _multilabel.mean_average_precision, _multilabel.subset_accuracy):  # fmt: skip
    _metric(True, "probabilities", "chosen")(_named)
_metric(False, "chosen")(_multilabel.hamming_loss)


@_metric(False, "prediction")
def rmse(target: np.ndarray, answers: Answers) -> Any:
    """Root of the mean squared error, in the target's unit."""
    from sklearn.metrics import root_mean_squared_error

    return root_mean_squared_error(target, answers["prediction"]) if _finite(target, answers) else None


@_metric(False, "prediction")
def mae(target: np.ndarray, answers: Answers) -> Any:
    """Mean absolute error, in the target's unit."""
    from sklearn.metrics import mean_absolute_error

    return mean_absolute_error(target, answers["prediction"]) if _finite(target, answers) else None


@_metric(True, "prediction")
def r2(target: np.ndarray, answers: Answers) -> Any:
    """Share of the target's variance that is explained: 1 is perfect, 0 is as good as the mean."""
    from sklearn.metrics import r2_score

    return r2_score(target, answers["prediction"]) if _finite(target, answers) and np.ptp(target) > 0 else None


@_metric(True, "low", "high")
def coverage(target: np.ndarray, answers: Answers) -> Any:
    """Share of rows whose true value lies inside the stated interval."""
    return np.mean((answers["low"] <= target) & (target <= answers["high"]))


@_metric(False, "low", "high")
def interval_width(target: np.ndarray, answers: Answers) -> Any:
    """Mean width of the stated interval, in the target's unit."""
    return np.mean(answers["high"] - answers["low"])


@_metric(False, "prediction", "naive")
def mase(target: np.ndarray, answers: Answers) -> Any:
    """Mean absolute error, where that of the seasonal naive forecast on training rows is 1 (Hyndman, Koehler 2006)."""
    return np.mean(np.abs(answers["prediction"] - target) / answers["naive"])


@_metric(False, "prediction")
def smape(target: np.ndarray, answers: Answers) -> Any:
    """Absolute error in percent of half the sum of truth and forecast, both taken without sign; 0 to 200."""
    size = np.abs(target) + np.abs(answers["prediction"])
    error = np.abs(answers["prediction"] - target)
    return 200 * np.mean(np.divide(error, size, out=np.zeros(len(size)), where=size > 0))


@_metric(False, "prediction", "std")
def scaled_mse(target: np.ndarray, answers: Answers) -> Any:
    """Mean squared error in training deviations of each target: what papers on long horizons report."""
    return np.mean(((answers["prediction"] - target) / answers["std"]) ** 2)


@_metric(False, "prediction", "std")
def scaled_mae(target: np.ndarray, answers: Answers) -> Any:
    """Mean absolute error in training deviations of each target."""
    return np.mean(np.abs(answers["prediction"] - target) / answers["std"])


@_metric(True, "prediction", "last")
def directional_accuracy(target: np.ndarray, answers: Answers) -> Any:
    """Share of moves from the last value whose direction was right; without a move, or a forecast of one, None."""
    truth, said = np.sign(target - answers["last"]), np.sign(answers["prediction"] - answers["last"])
    moved = truth != 0
    return np.mean(truth[moved] == said[moved]) if moved.any() and said.any() else None


@_metric(False, "features")
def frechet_distance(target: np.ndarray, answers: Answers) -> Any:
    """Distance of what was made to real rows, both as clouds of features (Heusel et al. 2017)."""
    return generation.frechet(target, answers["features"])


@_metric(True, "features")
def fidelity(target: np.ndarray, answers: Answers) -> Any:
    """Share of what was made that lies among real rows (Kynkaanniemi et al. 2019, precision)."""
    return _among(answers["features"], target)


@_metric(True, "features")
def diversity(target: np.ndarray, answers: Answers) -> Any:
    """Share of real rows that lie among what was made (Kynkaanniemi et al. 2019, recall)."""
    return _among(target, answers["features"])


def _among(some: np.ndarray, others: np.ndarray, neighbours: int = 3) -> float:
    """Share of `some` that are no farther from one of `others` than that one is from its third neighbour."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=min(neighbours + 1, len(others))).fit(others)
    reach = near.kneighbors(others)[0][:, -1]
    inside = np.zeros(len(some), bool)
    for at in range(0, len(some), 256):
        part = some[at : at + 256]
        gaps = (part**2).sum(1)[:, None] + (others**2).sum(1) - 2 * part @ others.T
        inside[at : at + 256] = (gaps <= reach**2 + 1e-9).any(axis=1)
    return float(inside.mean())


def _finite(target: np.ndarray, answers: Answers) -> bool:
    return bool(np.isfinite(target).all() and np.isfinite(answers["prediction"]).all())


def one_against_rest(target: np.ndarray, probabilities: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(is it the class, its probability) for class 1 of two, or for each class that some rows have and some lack."""
    k = probabilities.shape[1]
    pairs = [(target == c, probabilities[:, c]) for c in ([1] if k == 2 else range(k))]
    return [(hit, score) for hit, score in pairs if 0 < hit.sum() < len(hit)]


def reliability(target: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, ...]:
    """(rows, mean confidence, share right, share of rows) in at most 15 bins of about equal size."""
    said, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == target
    # Edges are values, so that equal confidences share a bin and the order of rows changes nothing.
    edges = np.unique(np.quantile(said, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, said, side="left")
    rows = np.bincount(bins)
    filled = rows > 0
    means = [np.bincount(bins, weights)[filled] / rows[filled] for weights in (said, right)]
    return rows[filled], *means, rows[filled] / len(said)


def per_class(target: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """One dict per class: class, precision, recall, f1, support (rows), predicted (rows); None where undefined."""
    counts = confusion(target, probabilities)
    return _by_class(np.diagonal(counts), counts.sum(1), counts.sum(0), names)


def per_label(target: np.ndarray, answers: Answers, names: Sequence[str]) -> list[dict[str, Any]]:
    """As `per_class`, where a row may have several labels."""
    return _by_class(*_multilabel.counted(target, answers, 0), names)


def _by_class(hits: np.ndarray, actual: np.ndarray, answered: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    support, predicted = actual.tolist(), answered.tolist()
    rates = (_ratio(hits, answered), _ratio(hits, actual), _ratio(2 * hits, actual + answered))
    p, r, f = (values.tolist() for values in rates)
    return [
        {
            "class": name,
            "precision": p[i] if predicted[i] else None,
            "recall": r[i] if support[i] else None,
            "f1": f[i] if support[i] + predicted[i] else None,
            "support": support[i],
            "predicted": predicted[i],
        }
        for i, name in enumerate(names)
    ]


_LABELS = {
    "roc_auc": "ROC AUC",
    "pr_auc": "average precision",
    "ece": "calibration error",
    "f1": "F1",
    "f1_weighted": "F1, weighted",
    "f1_micro": "F1 over all labels",
    "f1_macro": "F1, mean of labels",
    "f1_samples": "F1, mean of rows",
    "precision_micro": "precision",
    "recall_micro": "recall",
    "mean_average_precision": "mAP",
    "subset_accuracy": "all labels right",
    "hamming_loss": "Hamming loss",
    "rmse": "RMSE",
    "mae": "MAE",
    "mase": "MASE",
    "smape": "sMAPE",
    "scaled_mse": "MSE in deviations",
    "scaled_mae": "MAE in deviations",
    "directional_accuracy": "right direction",
    "r2": "R²",
}


def label(name: str) -> str:
    """The metric's name as people write it."""
    return _LABELS.get(name, name.replace("_", " "))


def find(name: str | Metric) -> Metric:
    """The metric of that name; a function is taken as it is."""
    if isinstance(name, str) and name not in _METRICS:
        raise LaminaError(f"metrics: there is no '{name}'. {nearest(name, _METRICS)}")
    return _METRICS[name] if isinstance(name, str) else name


def scores(names: Sequence[str | Metric], target: np.ndarray, answers: Answers) -> dict[str, float | None]:
    """Value of each metric by name, in the order asked; None where these rows do not define it."""
    found = [find(name) for name in names]
    return {metric.__name__: metric(target, answers) for metric in found}


def bootstrap(
    metric: str | Metric, target: np.ndarray, answers: Answers, seed: int = 0, draws: int = 200
) -> tuple[float, float] | None:
    """95 % percentile interval of a metric over resampled rows (Efron 1979); None where it is undefined.

    Metrics of counts are drawn exactly. Others are drawn with at most 4,000 rows and their spread is scaled
    to all rows (m out of n; Bickel, Goetze and van Zwet 1997), so that the cost does not grow with the data.
    """
    metric, rng = find(metric), np.random.default_rng(seed)
    value = metric(target, answers)
    if value is None:
        return None
    k = answers["probabilities"].shape[1] if "probabilities" in answers else 1
    n, m = len(target), min(len(target), _DRAWN_ROWS)
    if metric is _METRICS.get(metric.__name__) and metric.__name__ in _FROM_COUNTS and k <= 64:
        cells = confusion(target, answers["probabilities"]).ravel()
        drawn = rng.multinomial(n, cells / n, size=draws).reshape(draws, k, k)
        low, high = np.percentile(_FROM_COUNTS[metric.__name__](drawn), [2.5, 97.5])
        return float(low), float(high)
    picks = rng.integers(n, size=(max(draws // k, min(draws, 40)), m))
    values = [metric(target[pick], {name: a[pick] for name, a in answers.items()}) for pick in picks]
    shifts = [(v - value) * np.sqrt(m / n) for v in values if v is not None]
    if not shifts:
        return None
    low, high = value + np.percentile(shifts, [2.5, 97.5])
    return float(low), float(high)
