"""Stage 5: what the network is worth, beside what a simpler method is worth, on rows it has never seen.

- `metrics`: one function per score; `scores`, `per_class` and a `bootstrap` interval for the primary one;
- `baselines`: naive and classical predictors fitted on the network's own inputs;
- `calibrate`: a temperature for probabilities and a conformal width for numbers, from validation rows;
- `plots`: arrays in, SVG out; `draw` makes those a task lists;
- `report`: `report.json` for machines and one self-contained `report.html` for people.

NumPy, scikit-learn and matplotlib only: answers come from the predictor that is deployed, never from training.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lamina.evaluate import baselines, metrics
from lamina.evaluate.plots import curves as _curves
from lamina.evaluate.plots import figures as _plots


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


def draw(names: Sequence[str], context: Context) -> dict[str, str]:
    """SVG text by plot name, in the order asked; a plot that these rows do not define is left out."""
    unknown = [name for name in names if name not in _DRAWN]
    assert not unknown, f"plots: there is no {unknown}; there is {sorted(_DRAWN)}"
    context = _pairs(context) if context.target.ndim == 2 and "probabilities" in context.answers else context
    drawn = {name: _DRAWN[name](context) for name in names}
    return {name: svg for name, svg in drawn.items() if svg}


def _pairs(context: Context) -> Context:
    """Several labels per row as one yes or no per pair of row and label, which curves of two classes are made for."""

    def flat(answers: metrics.Answers) -> metrics.Answers:
        yes = answers["probabilities"].ravel()
        return {"probabilities": np.stack([1 - yes, yes], axis=1)}

    others = {name: flat(answers) for name, answers in context.baselines.items()}
    target = context.target.ravel().astype(np.int64)
    return replace(context, target=target, answers=flat(context.answers), baselines=others, classes=("no", "yes"))


def _labelled(context: Context) -> dict[str, metrics.Answers]:
    others = {baselines.LABELS.get(name, name): answers for name, answers in context.baselines.items()}
    return {_plots.NETWORK: context.answers, **others}


def _comparison(context: Context) -> str:
    others = {baselines.LABELS.get(n, n): s.get(context.primary) for n, s in context.baseline_scores.items()}
    values = {_plots.NETWORK: context.scores.get(context.primary), **others}
    if not any(value is not None for value in values.values()):
        return ""
    higher = metrics.HIGHER.get(context.primary, True)
    return _plots.comparison(values, metrics.label(context.primary), higher, context.interval)


def _curve(context: Context, curve: Callable[..., Any], plot: Callable[..., str]) -> str:
    if len(context.target) == 0:
        return ""
    found = {label: curve(context.target, answers) for label, answers in _labelled(context).items()}
    found = {label: points for label, points in found.items() if points is not None}
    return plot(found) if _plots.NETWORK in found else ""


def _usable(context: Context) -> bool:
    return len(context.target) > 0 and bool(np.isfinite(context.answers["probabilities"]).all())


def _confusion(context: Context) -> str:
    if not _usable(context):
        return ""
    return _plots.confusion(metrics.confusion(context.target, context.answers["probabilities"]), context.classes)


def _reliability(context: Context) -> str:
    return _plots.reliability(context.answers["probabilities"], context.target) if _usable(context) else ""


def _learning(context: Context) -> str:
    if not context.rows:
        return ""
    name = context.rows[-1].get("score_name") or context.primary
    return _plots.learning(context.rows, context.best, metrics.label(name))


_DRAWN: dict[str, Callable[[Context], str]] = {
    "comparison": _comparison,
    "confusion": _confusion,
    "roc": lambda c: _curve(c, _curves.roc, _plots.roc),
    "precision_recall": lambda c: _curve(c, _curves.precision_recall, _plots.precision_recall),
    "reliability": _reliability,
    "residuals": lambda c: _plots.residuals(c.target, c.answers["prediction"]) if len(c.target) else "",
    "learning": _learning,
}
