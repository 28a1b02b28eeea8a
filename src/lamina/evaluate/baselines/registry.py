"""The baselines there are, by name: what people call them, what they predict, and which inputs they are meant for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from lamina.evaluate.baselines.features import MAX_IMAGES, MAX_SERIES, Features, names_of_kind
from lamina.schema import Spec

Predict = Callable[[Features], dict[str, np.ndarray]]
Fit = Callable[[Features, np.ndarray, Spec, int], Predict]
Target = Literal["class", "number", "labels"]

MAX_ROWS = 100_000
MAX_CLASSES = 50  # of baselines whose time grows with their number
KINDS = ("number", "category", "tokens", "image", "series")  # of inputs that baselines can read


class Entry(NamedTuple):
    """How a baseline is fitted, what it predicts, whether it is meant for some inputs, and whether it takes as many
    models as there are classes.
    """

    fit: Fit
    predicts: tuple[Target, ...]
    applies: Callable[[Features, Spec], bool]
    by_class: bool


class Name(NamedTuple):
    """What a baseline is called in a table, and in a sentence; `constant`: it answers every row the same."""

    label: str
    phrase: str
    constant: bool


_NAMES: dict[str, Name] = {}
_BASELINES: dict[str, Entry] = {}
LABELS: dict[str, str] = {}  # by name, for people


def register(name: str, label: str, phrase: str = "", constant: bool = False) -> None:
    """What people call a baseline that a task fits by itself: in a table, and in a sentence ("the last value")."""
    LABELS[name] = label
    _NAMES[name] = Name(label, phrase or label, constant)


def any_inputs(features: Features, spec: Spec) -> bool:
    return True


def baseline(
    label: str,
    *predicts: Target,
    constant: bool = False,
    by_class: bool = False,
    applies: Callable[[Features, Spec], bool] = any_inputs,
) -> Callable[[Fit], Fit]:
    """Register `f(train, target, spec, classes)` as the baseline of its name, for targets of the kinds `predicts`.

    It takes arrays by input name as the network gets them, the target (class codes, numbers, or bool (n, classes) where
    a row may have several labels), what the inputs mean, and the number of classes (0 for numbers). It gives a function
    from features to answers: `{"probabilities": (n, classes)}`, with `chosen` bool of the same shape for several
    labels, or `{"prediction": (n,)}`.

        @baseline("mean", "number", constant=True)
        def mean(train, target, spec, classes):
            value = float(np.mean(target))
            return lambda features: {"prediction": np.full(count(features), value)}
    """

    def add(function: Fit) -> Fit:
        register(function.__name__, label, constant=constant)
        _BASELINES[function.__name__] = Entry(function, predicts, applies, by_class)
        return function

    return add


def label(name: str) -> str:
    """What people call a baseline."""
    return LABELS.get(name, name)


def phrase(name: str) -> str:
    """What a baseline is called in a sentence."""
    return _NAMES[name].phrase if name in _NAMES else label(name)


def is_constant(name: str) -> bool:
    """Whether it answers every row the same, so that what does not beat it has learned nothing."""
    return name in _NAMES and _NAMES[name].constant


def fit(
    names: Sequence[str], train: Mapping[str, np.ndarray], target: np.ndarray, spec: Spec, classes: int,
    notes: list[str],
) -> dict[str, Predict]:  # fmt: skip
    """Fit the baselines named; one that cannot be fitted is left out and `notes` says why, and one that is not meant
    for such inputs is left out without a word.

    `classes` is 0 where numbers are asked for. More than 100,000 rows are sampled down to that, always the same ones.
    """
    kind: Target = "labels" if target.ndim == 2 else "class" if classes else "number"
    wrong = [name for name in names if kind not in _BASELINES[name].predicts]
    assert not wrong, f"baselines: {wrong} do not predict a {kind}"
    names = [name for name in names if _BASELINES[name].applies(train, spec)]
    if unused := [name for name in train if spec.inputs[name].kind not in KINDS]:
        notes.append(f"Baselines do not use the input {', '.join(unused)}.")
    most = MAX_IMAGES if names_of_kind(train, spec, "image") else MAX_ROWS
    most = min(most, MAX_SERIES) if names_of_kind(train, spec, "series") else most
    if len(target) > most:
        notes.append(f"Baselines were fitted on {most:,} of the {len(target):,} training rows, drawn at random.")
        pick = np.sort(np.random.default_rng(0).choice(len(target), most, replace=False))
        train, target = {name: array[pick] for name, array in train.items()}, target[pick]
    predictors = {}
    for name in names:
        if _BASELINES[name].by_class and classes > MAX_CLASSES:
            notes.append(f"Baseline {label(name)} was left out: {classes} classes would take too long.")
            continue
        try:
            predictors[name] = _BASELINES[name].fit(train, target, spec, classes)
        except Exception as error:  # a baseline must never cost the run; its fault is told in the report
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            notes.append(f"Baseline {label(name)} was left out: {reason}.")
    return predictors
