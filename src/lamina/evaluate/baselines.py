"""What a network must beat: naive and classical predictors on the very same inputs.

A baseline is `f(train, target, spec, classes)`: arrays by input name as the network gets them, the target
(class codes, numbers, or bool (n, classes) where a row may have several labels), what the inputs mean, and the number
of classes (0 for numbers). It answers with a function from features to answers: `{"probabilities": (n, classes)}`,
with `chosen` bool of the same shape for several labels, or `{"prediction": (n,)}`.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lamina.evaluate._neighbours import nearest, pieces, side_by_side
from lamina.evaluate.thresholds import best_threshold, thresholds
from lamina.schema import Spec

Features = Mapping[str, np.ndarray]
Predict = Callable[[Features], dict[str, np.ndarray]]

LABELS = {
    "majority": "majority class",
    "mean": "mean",
    "logistic": "logistic regression",
    "ridge": "ridge regression",
    "gradient_boosting": "gradient boosting",
    "frequent_labels": "most frequent labels",
    "logistic_labels": "logistic regression per label",
    "last_value": "last value",
    "seasonal_naive": "seasonal naive",
    "linear_window": "ridge regression",
    "held_out": "real, held out",
    "random_walk": "random walk",
    "drift": "random walk with drift",
    "nearest_neighbour": "nearest series (1-NN)",
}
_MOST_ROWS = 100_000
_MOST_PICTURES, _SIDE = 10_000, 12  # to fit on, and the pixels a side that they are shrunk to
_MOST_SERIES = 10_000  # to fit on
_MOST_CLASSES = 50  # boosting grows one tree per class and round
_BY_CLASS = ("gradient_boosting", "logistic_labels")
_MOST_CODES = 255  # categories scikit-learn's trees can split as categories
_ONE_THREAD_CELLS = 2_000_000  # below this, waking threads costs more than it gives


def majority(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """Answer every row with the class frequencies of the training rows."""
    shares = np.bincount(target, minlength=classes) / len(target)
    return lambda features: {"probabilities": np.tile(shares, (_rows(features), 1))}


def mean(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """Answer every row with the mean target of the training rows."""
    value = float(np.mean(target, dtype=np.float64))
    return lambda features: {"prediction": np.full(_rows(features), value)}


def logistic(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """Logistic regression with an L2 penalty on numbers, one-hot categories, tf-idf of words, shrunk grey pictures, and
    the steps of series.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    columns = _columns(train, spec)
    model = LogisticRegression(C=10.0 if _kinds(train, spec, "tokens") else 1.0, max_iter=100, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a nearly converged baseline is still a fair one
        model.fit(columns(train), target)
    return lambda features: {"probabilities": _spread(model, columns(features), classes)}


def ridge(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """Linear regression with a small L2 penalty, on the same columns as `logistic`."""
    from sklearn.linear_model import Ridge

    columns = _columns(train, spec)
    model = Ridge(solver="sparse_cg", tol=1e-4).fit(columns(train), target.astype(np.float64))
    return lambda features: {"prediction": model.predict(columns(features))}


def frequent_labels(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """Answer every row with the same labels, those that together have the best F1 on the training rows."""
    shares = target.mean(axis=0)
    chosen = shares >= best_threshold(np.tile(shares, (len(target), 1)).ravel(), target.ravel())
    return lambda features: {
        "probabilities": np.tile(shares, (_rows(features), 1)),
        "chosen": np.tile(chosen, (_rows(features), 1)),
    }


def logistic_labels(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """One logistic regression per label; its thresholds come from a fifth of the training rows held out for that."""
    held = np.random.default_rng(0).random(len(target)) < 0.2
    if held.any() and not held.all():
        some = {name: values[~held] for name, values in train.items()}
        tried = _per_label(some, target[~held], spec)({name: values[held] for name, values in train.items()})
        limits = thresholds(tried, target[held])
    else:
        limits = (0.5,) * classes
    chances = _per_label(train, target, spec)
    return lambda features: {"probabilities": (found := chances(features)), "chosen": found >= np.array(limits)}


def _per_label(train: Features, target: np.ndarray, spec: Spec) -> Callable[[Features], np.ndarray]:
    """Probabilities (n, classes) of one `logistic` per label; a label that all or no rows have keeps its share."""
    varied = [c for c in range(target.shape[1]) if 0 < target[:, c].sum() < len(target)]
    fitted = {c: logistic(train, target[:, c].astype(np.int64), spec, 2) for c in varied}
    shares = target.mean(axis=0)

    def predict(features: Features) -> np.ndarray:
        found = np.tile(shares, (_rows(features), 1))
        for c, model in fitted.items():
            found[:, c] = model(features)["probabilities"][:, 1]
        return found

    return predict


def gradient_boosting(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """Gradient-boosted trees on numbers and categories, stopped early on a tenth of the training rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    numbers, categories = _kinds(train, spec, "number"), _kinds(train, spec, "category")
    if not numbers + categories:
        raise ValueError("there are no numbers or categories to split on")
    matrix = _dense(train, numbers + categories)
    sizes = [size for name in categories for size in spec.inputs[name].sizes]
    splits = [matrix.shape[1] - len(sizes) + i for i, size in enumerate(sizes) if size <= _MOST_CODES]
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
        rows = _dense(features, numbers + categories)
        with _threads(rows.size):
            return {"probabilities": _spread(model, rows, classes)} if classes else {"prediction": model.predict(rows)}

    return predict


def nearest_neighbour(train: Features, target: np.ndarray, spec: Spec, classes: int) -> Predict:
    """The label of the training series that is nearest by Euclidean distance over all steps; as sure as it is right
    about training series when asked for each without itself.
    """
    names = _kinds(train, spec, "series")
    known = side_by_side([train[name] for name in names])
    own = nearest(known, known, itself=False) if len(target) > 1 else np.zeros(len(target), int)
    right = (float((target[own] == target).sum()) + 1) / (len(target) + 2)

    def predict(features: Features) -> dict[str, np.ndarray]:
        found = np.full((_rows(features), classes), (1 - right) / max(1, classes - 1))
        found[np.arange(len(found)), target[nearest(side_by_side([features[name] for name in names]), known)]] = max(
            right, 1 / classes
        )
        return {"probabilities": found / found.sum(axis=1, keepdims=True)}

    return predict


_BASELINES = {
    f.__name__: f
    for f in (majority, mean, logistic, ridge, gradient_boosting, frequent_labels, logistic_labels, nearest_neighbour)
}
_FOR = {
    "classification": ("majority", "logistic", "gradient_boosting", "nearest_neighbour"),
    "regression": ("mean", "ridge", "gradient_boosting"),
    "multilabel": ("frequent_labels", "logistic_labels"),
}


def fit(
    names: Sequence[str],
    train: Features,
    target: np.ndarray,
    spec: Spec,
    classes: int,
    notes: list[str],
) -> dict[str, Predict]:
    """Fit the baselines named; one that cannot be fitted is left out and `notes` says why, and one that is not meant
    for such inputs is left out without a word.

    `classes` is 0 where numbers are asked for. More than 100,000 rows are sampled down to that, always the same ones.
    """
    task = "multilabel" if target.ndim == 2 else "classification" if classes else "regression"
    wrong = [name for name in names if name not in _FOR[task]]
    assert not wrong, f"baselines: {wrong} are not for {task}"
    names = [name for name in names if _applies(name, train, spec)]
    known = ("number", "category", "tokens", "image", "series")
    if ignored := [name for name in train if spec.inputs[name].kind not in known]:
        notes.append(f"Baselines do not use the input {', '.join(ignored)}.")
    most = _MOST_PICTURES if _kinds(train, spec, "image") else _MOST_ROWS
    most = min(most, _MOST_SERIES) if _kinds(train, spec, "series") else most
    if len(target) > most:
        notes.append(f"Baselines were fitted on {most:,} of the {len(target):,} training rows, drawn at random.")
        pick = np.sort(np.random.default_rng(0).choice(len(target), most, replace=False))
        train, target = {name: array[pick] for name, array in train.items()}, target[pick]
    fitted = {}
    for name in names:
        if name in _BY_CLASS and classes > _MOST_CLASSES:
            notes.append(f"Baseline {LABELS[name]} was left out: {classes} classes would take too long.")
            continue
        try:
            fitted[name] = _BASELINES[name](train, target, spec, classes)
        except Exception as error:  # a baseline must never cost the run; its fault is told in the report
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            notes.append(f"Baseline {LABELS[name]} was left out: {reason}.")
    return fitted


def _applies(name: str, features: Features, spec: Spec) -> bool:
    """Neighbours are sought among series; trees are no use where there is nothing but series."""
    series = _kinds(features, spec, "series")
    return bool(series) if name == "nearest_neighbour" else name != "gradient_boosting" or len(series) < len(features)


def _rows(features: Features) -> int:
    return len(next(iter(features.values())))


def _kinds(features: Features, spec: Spec, kind: str) -> list[str]:
    return [name for name in features if spec.inputs[name].kind == kind]


def _dense(features: Features, names: list[str]) -> np.ndarray:
    return np.concatenate([features[name].astype(np.float32) for name in names], axis=1)


def _columns(train: Features, spec: Spec) -> Callable[[Features], Any]:
    """A function from features to one sparse matrix (n, columns); word weights are learned from `train`."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfTransformer

    words: dict[str, Any] = {
        name: TfidfTransformer(sublinear_tf=True).fit(_counts(train[name], spec.inputs[name].sizes[0]))
        for name in _kinds(train, spec, "tokens")
    }
    numbers, categories = _kinds(train, spec, "number"), _kinds(train, spec, "category")
    pictures, series = _kinds(train, spec, "image"), _kinds(train, spec, "series")
    if not numbers + categories + pictures + series + list(words):
        raise ValueError("there are no numbers, categories, words, pictures or series to learn from")

    def matrix(features: Features) -> Any:
        blocks = [csr_matrix(features[name], dtype=np.float64) for name in numbers]
        blocks += [_one_hot(features[name], spec.inputs[name].sizes) for name in categories]
        blocks += [weigh.transform(_counts(features[name], weigh.n_features_in_)) for name, weigh in words.items()]
        blocks += [csr_matrix(_shrunk(features[name]), dtype=np.float64) for name in pictures]
        blocks += [csr_matrix(pieces(features[name]), dtype=np.float64) for name in series]
        return hstack(blocks).tocsr()

    return matrix


def _shrunk(pictures: np.ndarray) -> np.ndarray:
    """Pictures (rows, height, width, channels) uint8 as the grey means of at most 12 x 12 parts, -1 to 1."""
    rows, height, width = pictures.shape[:3]
    tops, lefts = (np.unique(np.linspace(0, n, min(n, _SIDE), endpoint=False).astype(int)) for n in (height, width))
    areas = np.outer(np.diff([*tops, height]), np.diff([*lefts, width]))
    parts = []
    for start in range(0, rows, 512):
        grey = pictures[start : start + 512].mean(axis=3, dtype=np.float32)
        parts.append(np.add.reduceat(np.add.reduceat(grey, tops, axis=1), lefts, axis=2) / areas)
    return np.concatenate(parts).reshape(rows, -1) / 127.5 - 1


def _one_hot(codes: np.ndarray, sizes: Sequence[int]) -> Any:
    from scipy.sparse import csr_matrix

    n, width = codes.shape
    starts = np.concatenate([[0], np.cumsum(sizes)])
    columns = (codes + starts[:-1]).ravel()
    return csr_matrix((np.ones(n * width), columns, np.arange(0, n * width + 1, width)), shape=(n, int(starts[-1])))


def _counts(codes: np.ndarray, size: int) -> Any:
    """How often each word id occurs in each row, padding left out: (n, size) sparse."""
    from scipy.sparse import csr_matrix

    kept = codes != 0
    starts = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    counts = csr_matrix((np.ones(int(starts[-1])), codes[kept], starts), shape=(len(codes), size))
    counts.sum_duplicates()
    return counts


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

    return threadpool_limits(limits=1 if cells < _ONE_THREAD_CELLS else None, user_api="openmp")
