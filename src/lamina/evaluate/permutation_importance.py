"""Permutation importance: how much worse the answers to held-out rows are when one column is shuffled. Breiman 2001."""

from collections.abc import Mapping
from math import prod
from time import monotonic
from typing import Any, NamedTuple

import numpy as np

from lamina.evaluate import metrics
from lamina.evaluate.bars import Bar, svg
from lamina.evaluate.markup import figure, number
from lamina.schema import ROW_HEADS, Row
from lamina.task import Session

REPEATS = 5
MOST_ROWS, FEWEST_ROWS = 1_000, 100
ANSWERS = 200_000  # in all, unless the fewest rows need more
SECONDS = 10.0  # after which no other repeat is begun
TRIAL, TRIALS = 32, 2  # rows that tell how long an answer takes: once to get ready, once to measure
NUMBERS = 1 << 22  # of inputs that are run at a time
MOST_BARS = 20  # columns of a plot

Arrays = Mapping[str, np.ndarray]


class Importance(NamedTuple):
    """By how much a metric gets worse without a column: mean and standard deviation over the repeats."""

    column: str
    mean: float
    std: float


class Importances(NamedTuple):
    """Of all columns, the largest first; of so many of `of` rows, whose score is `score` as they are."""

    metric: str
    score: float
    rows: int
    of: int
    repeats: int
    columns: tuple[Importance, ...]


def importances(session: Session, inputs: Mapping[str, Any], target: np.ndarray, metric: str) -> Importances | None:
    """Of encoded held-out rows and their target as metrics want it; None of a single column, or without a score.

    At most 1,000 rows and 5 repeats; fewer of many columns, and where an answer takes long.
    """
    names = [column.name for column in session.prep.columns]
    if session.spec.output.head not in ROW_HEADS or len(names) < 2:
        return None
    inputs = {name: np.asarray(values) for name, values in inputs.items() if name in session.prep.inputs}
    began, rng = monotonic(), np.random.default_rng(0)
    rows = np.sort(rng.permutation(len(target))[: _rows(session, inputs, len(names))])
    inputs, truth = {name: values[rows] for name, values in inputs.items()}, target[rows]
    score = _score(session, inputs, truth, metric)
    if score is None:
        return None
    sign, losses = (1 if metrics.higher(metric) else -1), list[list[float]]()
    while len(losses) < REPEATS and (not losses or monotonic() - began < SECONDS):
        order = rng.permutation(len(rows))
        shuffled = (_score(session, _shuffled(session, inputs, name, order), truth, metric) for name in names)
        losses.append([0.0 if one is None else sign * (score - one) for one in shuffled])
    means, stds = np.mean(losses, axis=0), np.std(losses, axis=0)
    columns = (Importance(names[i], float(means[i]), float(stds[i])) for i in np.argsort(-means, kind="stable"))
    return Importances(metric, score, len(rows), len(target), len(losses), tuple(columns))


def _rows(session: Session, inputs: Arrays, columns: int) -> int:
    """How many rows to evaluate on: fewer of many columns, and where a network is slow."""
    some, seconds = {name: values[:TRIAL] for name, values in inputs.items()}, 0.0
    for _ in range(TRIALS):
        start = monotonic()
        session.run(some)
        seconds = monotonic() - start
    affordable = SECONDS / 2 * TRIAL / max(seconds * columns, 1e-9)
    return max(FEWEST_ROWS, min(MOST_ROWS, ANSWERS // (columns * REPEATS), int(affordable)))


def _shuffled(session: Session, inputs: Arrays, column: str, order: np.ndarray) -> Arrays:
    """The same rows with the cells of one column in another order."""
    name, part = session.prep.places[column]
    values = inputs[name]
    if part.stop == part.start:  # it has an input of its own
        return {**inputs, name: values[order]}
    values = values.copy()
    values[:, part] = values[order][:, part]
    return {**inputs, name: values}


def _score(session: Session, inputs: Arrays, truth: np.ndarray, metric: str) -> float | None:
    task: Any = session.task
    size = max(1, NUMBERS // max(1, sum(prod(values.shape[1:]) for values in inputs.values())))
    starts = range(0, len(truth), size)
    parts = [session.run({name: values[start : start + size] for name, values in inputs.items()}) for start in starts]
    with np.errstate(all="ignore"):
        answers = task.decode({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return metrics.scores((metric,), truth, answers)[metric]


def facts(own: Importances) -> Row:
    """Plain values for `report.json`."""
    return {**own._asdict(), "columns": [one._asdict() for one in own.columns]}


def html(own: Importances) -> str:
    """The plot, what it is made of, and what it does not say."""
    label = metrics.label(own.metric)
    sample = (
        f"{own.rows:,} of {own.of:,} test rows, drawn at random" if own.rows < own.of else f"{own.rows:,} test rows"
    )
    times = f"{own.repeats} times, whose mean is the bar and whose standard deviation is the line" * (own.repeats > 1)
    hidden = len(own.columns) - MOST_BARS
    lead = (
        f"By how much {label}, {number(own.score)} as the rows are, gets worse when the cells of one column are "
        f"shuffled among {sample}{', ' + times if times else ''}."
    )
    more = f" {hidden:,} more columns, each below these, are in report.json." if hidden > 0 else ""
    limits = (
        "A column about 0 is of no use to this network, or others say the same: of columns that are correlated, "
        "each looks less important than they are together."
    )
    return f'<p class="quiet lead">{lead}{more}</p>\n{figure(plot(own), limits)}'


def plot(own: Importances) -> str:
    """SVG: a bar for each column, the most important on top."""
    bars = [Bar(one.column, one.mean, number(one.mean), one.std) for one in own.columns[:MOST_BARS]]
    return svg(bars, f"Permutation importance of {len(bars)} columns")
