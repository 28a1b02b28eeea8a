"""The baselines themselves: naive and classical predictors."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.evaluate.baselines.features import (
    Features,
    columns,
    count,
    dense,
    names_of_kind,
    nearest,
    side_by_side,
    topics,
)
from lamina.evaluate.baselines.registry import Predict, baseline
from lamina.evaluate.calibration import best_threshold, thresholds
from lamina.schema import Spec

MAX_CODES = 255  # categories scikit-learn's trees can split as categories
ONE_THREAD_CELLS = 2_000_000  # below this, waking threads costs more than it gives


def _any_series(features: Features, spec: Spec) -> bool:
    """Neighbours are sought among series."""
    return bool(names_of_kind(features, spec, "series"))


def _not_only_series(features: Features, spec: Spec) -> bool:
    """Trees are no use where there is nothing but series."""
    return len(names_of_kind(features, spec, "series")) < len(features)


@baseline("majority class", "class", constant=True)
def majority(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """Answer every row with the class frequencies of the training rows."""
    shares = np.bincount(target, minlength=classes) / len(target)
    return lambda features: {"probabilities": np.tile(shares, (count(features), 1))}


@baseline("mean", "number", constant=True)
def mean(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """Answer every row with the mean target of the training rows."""
    value = float(np.mean(target, dtype=np.float64))
    return lambda features: {"prediction": np.full(count(features), value)}


@baseline("logistic regression", "class")
def logistic(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """Logistic regression with an L2 penalty on numbers, one-hot categories, tf-idf of words, shrunk grey images, and
    the steps of series.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    matrix = columns(train, spec)
    texts = bool(names_of_kind(train, spec, "tokens"))  # whose gradients are small from the start
    model = LogisticRegression(C=10.0 if texts else 1.0, max_iter=100, tol=1e-5 if texts else 1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a nearly converged baseline is still a fair one
        model.fit(matrix(train), target)
    return lambda features: {"probabilities": _spread(model, matrix(features), classes)}


@baseline("ridge regression", "number")
def ridge(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """Linear regression with a small L2 penalty, on the same columns as `logistic`."""
    from sklearn.linear_model import Ridge

    matrix = columns(train, spec)
    model = Ridge(solver="sparse_cg", tol=1e-4).fit(matrix(train), target.astype(np.float64))
    return lambda features: {"prediction": model.predict(matrix(features))}


@baseline("most frequent labels", "labels", constant=True)
def frequent_labels(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """Answer every row with the same labels, those that together have the best F1 on the training rows."""
    shares = target.mean(axis=0)
    predicted = shares >= best_threshold(np.tile(shares, (len(target), 1)).ravel(), target.ravel())
    return lambda features: {
        "probabilities": np.tile(shares, (count(features), 1)),
        "chosen": np.tile(predicted, (count(features), 1)),
    }


@baseline("logistic regression per label", "labels", by_class=True)
def logistic_labels(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """One logistic regression per label; its thresholds come from a fifth of the training rows held out for that."""
    aside = np.random.default_rng(0).random(len(target)) < 0.2
    if aside.any() and not aside.all():
        rest = {name: values[~aside] for name, values in train.items()}
        probabilities = _per_label(rest, target[~aside], spec)({name: values[aside] for name, values in train.items()})
        limits = thresholds(probabilities, target[aside])
    else:
        limits = (0.5,) * classes
    predict = _per_label(train, target, spec)

    def answers(features: Features) -> dict[str, np.ndarray]:
        probabilities = predict(features)
        return {"probabilities": probabilities, "chosen": probabilities >= np.array(limits)}

    return answers


def _per_label(train: Features, target: np.ndarray, spec: Spec) -> Callable[[Features], np.ndarray]:
    """Probabilities (n, classes) of one `logistic` per label; a label that all or no rows have keeps its share."""
    varied = [c for c in range(target.shape[1]) if 0 < target[:, c].sum() < len(target)]
    models = {c: logistic(train, target[:, c].astype(np.int64), spec, 2) for c in varied}
    shares = target.mean(axis=0)

    def predict(features: Features) -> np.ndarray:
        probabilities = np.tile(shares, (count(features), 1))
        for c, model in models.items():
            probabilities[:, c] = model(features)["probabilities"][:, 1]
        return probabilities

    return predict


@baseline("gradient boosting", "class", "number", by_class=True, applies=_not_only_series)
def gradient_boosting(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """Gradient-boosted trees on numbers, categories and, beside those, the main directions of texts' words, stopped
    early on a tenth of the training rows.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    numbers, categories = names_of_kind(train, spec, "number"), names_of_kind(train, spec, "category")
    if not numbers + categories:
        raise ValueError("there are no numbers or categories to split on")
    words = {name: topics(train[name], spec.inputs[name].sizes[0]) for name in names_of_kind(train, spec, "tokens")}

    def rows_of(features: Features) -> np.ndarray:
        blocks = [shrink(features[name]) for name, shrink in words.items()]
        return np.concatenate([dense(features, numbers + categories), *blocks], axis=1)

    matrix = rows_of(train)
    sizes = [size for name in categories for size in spec.inputs[name].sizes]
    width = sum(train[name].shape[1] for name in numbers)
    splits = [width + i for i, size in enumerate(sizes) if size <= MAX_CODES]
    stop = len(target) >= 200 and (not classes or _stratifies(target))
    kind: Any = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    model = kind(
        categorical_features=splits or None,
        early_stopping=stop,
        max_iter=300 if stop else 100,
        n_iter_no_change=15,
        random_state=0,
    )
    with _threads(matrix.size):
        model.fit(matrix, target)

    def predict(features: Features) -> dict[str, np.ndarray]:
        rows = rows_of(features)
        with _threads(rows.size):
            return {"probabilities": _spread(model, rows, classes)} if classes else {"prediction": model.predict(rows)}

    return predict


@baseline("nearest series (1-NN)", "class", applies=_any_series)
def nearest_neighbour(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """The label of the training series that is nearest by Euclidean distance over all steps; as sure as it is right
    about training series when asked for each without itself.
    """
    names = names_of_kind(train, spec, "series")
    training = side_by_side([train[name] for name in names])
    own = nearest(training, training, itself=False) if len(target) > 1 else np.zeros(len(target), int)
    right = (float((target[own] == target).sum()) + 1) / (len(target) + 2)

    def predict(features: Features) -> dict[str, np.ndarray]:
        probabilities = np.full((count(features), classes), (1 - right) / max(1, classes - 1))
        neighbours = nearest(side_by_side([features[name] for name in names]), training)
        probabilities[np.arange(len(neighbours)), target[neighbours]] = max(right, 1 / classes)
        return {"probabilities": probabilities / probabilities.sum(axis=1, keepdims=True)}

    return predict


def _spread(model: Any, rows: Any, classes: int) -> np.ndarray:
    """Probabilities over all classes, 0 for those the training rows did not have."""
    wide = np.zeros((rows.shape[0], classes))
    wide[:, model.classes_] = model.predict_proba(rows)
    return wide


def _stratifies(target: np.ndarray) -> bool:
    """Can a tenth of the rows hold each class, as early stopping wants it?"""
    counts = np.bincount(target)
    counts = counts[counts > 0]
    return counts.min() >= 2 and len(target) // 10 >= len(counts)


def _threads(cells: int) -> Any:
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1 if cells < ONE_THREAD_CELLS else None, user_api="openmp")
