"""Plots by name, drawn of what every evaluation has; a task lists those it wants.

A plot says by the arrays it needs whether it can be drawn: of answers that it cannot use there is none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lamina.evaluate import baselines, metrics
from lamina.evaluate.plots import curves, figures


@dataclass(frozen=True)
class Context:
    """All that plots are made of: test targets and answers by row, the training rows, and the scores."""

    target: np.ndarray
    answers: metrics.Answers
    primary: str
    classes: tuple[str, ...] = ()
    baselines: Mapping[str, metrics.Answers] = field(default_factory=dict)
    scores: Mapping[str, float | None] = field(default_factory=dict)
    baseline_scores: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    rows: Sequence[Mapping[str, Any]] = ()
    best: int | None = None

    @property
    def by_label(self) -> dict[str, metrics.Answers]:
        """Answers of the network and of each baseline, by what a legend calls them."""
        others = {baselines.label(name): answers for name, answers in self.baselines.items()}
        return {figures.NETWORK: self.answers, **others}

    @property
    def usable(self) -> bool:
        """Whether there are rows, each with probabilities."""
        return len(self.target) > 0 and bool(np.isfinite(self.answers["probabilities"]).all())


def draw(names: Sequence[str], context: Context) -> dict[str, str]:
    """SVG text by plot name, in the order asked; a plot that these rows do not define is left out."""
    unknown = [name for name in names if name not in PLOTS]
    assert not unknown, f"plots: there is no {unknown}; there is {sorted(PLOTS)}"
    svgs = {name: PLOTS[name](context) for name in names}
    return {name: svg for name, svg in svgs.items() if svg}


def _pairs(context: Context) -> Context:
    """A target (rows, classes) of yes and no as one row per pair of row and class, which curves of two classes are made
    for; any other context as it is.
    """
    if context.target.ndim != 2 or not context.classes:
        return context

    def flat(answers: metrics.Answers) -> metrics.Answers:
        yes = answers["probabilities"].ravel()
        return {"probabilities": np.stack([1 - yes, yes], axis=1)}

    others = {name: flat(answers) for name, answers in context.baselines.items()}
    target = context.target.ravel().astype(np.int64)
    return replace(context, target=target, answers=flat(context.answers), baselines=others, classes=("no", "yes"))


def _comparison(context: Context) -> str:
    others = {baselines.label(name): s.get(context.primary) for name, s in context.baseline_scores.items()}
    values = {figures.NETWORK: context.scores.get(context.primary), **others}
    if not any(value is not None for value in values.values()):
        return ""
    label, higher = metrics.label(context.primary), metrics.higher(context.primary)
    return figures.comparison(values, label, higher, context.interval)


def _curve(context: Context, curve: Callable[..., Any], plot: Callable[..., str]) -> str:
    context = _pairs(context)
    if len(context.target) == 0:
        return ""
    points = {label: curve(context.target, answers) for label, answers in context.by_label.items()}
    points = {label: line for label, line in points.items() if line is not None}
    return plot(points) if figures.NETWORK in points else ""


def _confusion(context: Context) -> str:
    context = _pairs(context)
    if not context.usable:
        return ""
    return figures.confusion(metrics.confusion(context.target, context.answers["probabilities"]), context.classes)


def _reliability(context: Context) -> str:
    context = _pairs(context)
    return figures.reliability(context.answers["probabilities"], context.target) if context.usable else ""


def _residuals(context: Context) -> str:
    return figures.residuals(context.target, context.answers["prediction"]) if len(context.target) else ""


def _learning(context: Context) -> str:
    if not context.rows:
        return ""
    name = context.rows[-1].get("score_name") or context.primary
    return figures.learning(context.rows, context.best, metrics.label(name))


PLOTS: dict[str, Callable[[Context], str]] = {
    "comparison": _comparison,
    "confusion": _confusion,
    "roc": lambda context: _curve(context, curves.roc, figures.roc),
    "precision_recall": lambda context: _curve(context, curves.precision_recall, figures.precision_recall),
    "reliability": _reliability,
    "residuals": _residuals,
    "learning": _learning,
}
