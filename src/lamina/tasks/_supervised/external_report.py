"""The finished network on other data: the scores that `lamina evaluate` gives, beside those of the test rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.config import DataError
from lamina.data import _locator
from lamina.evaluate import metrics
from lamina.evaluate.markup import cell, escape, number, section, table
from lamina.experiment import Evaluation, Experiment, Section
from lamina.schema import Row
from lamina.tasks._supervised.external_data import ExternalData
from lamina.tasks._supervised.task import SupervisedTask

METRICS = ("balanced_accuracy", "roc_auc", "log_loss", "f1_macro", "mae", "r2", "smape", "coverage")  # and the primary
NOTHING, PART = 0.2, 0.8  # of what is above chance on test rows: below, it does not carry over, or in part only
SKIPPED = 5  # rows skipped in the facts
BETTER = 0.2  # than chance on test rows, at least, for there to be something to carry over


def rows(external: Sequence[ExternalData], experiment: Experiment, session: Any, test: Evaluation) -> list[Row]:
    """One for each data set of the recipe's `also`; `test` is the evaluation on the test rows.

    Of data that hold a single class, such as what another generator made, neither accuracy nor ranking says anything;
    they are evaluated together with the test rows of the other classes, and the row says so.
    """
    return [_row(one, experiment, session, test) for one in external]


def _row(external: ExternalData, experiment: Experiment, session: Any, test: Evaluation) -> Row:
    about: Row = {"name": external.name, "source": _locator.describe(external.source)}
    try:
        evaluation = experiment.evaluate_source(session, external.collected, external.source)
    except DataError as error:  # what was sound before training is gone
        return about | {"rows": 0, "scores": {}, "difference": {}, "description": f"Could not be evaluated: {error}"}
    count, only = evaluation.rows, _only_class(evaluation, session)
    own: Row = {}
    if only is not None:
        classes = session.task.classes
        own = {"class": classes[only], "right": float((_codes(evaluation, session) == only).mean())}
        evaluation, codes = _completed(evaluation, test, only, session)
        own["with"] = {classes[code]: int((codes == code).sum()) for code in np.unique(codes)}
    scores = evaluation.scores
    difference = {n: _minus(scores.get(n), v) for n, v in test.scores.items()}
    about |= {"rows": count, "skipped": len(evaluation.skipped_rows), **own}
    about["skipped_rows"] = [row.masked()._asdict() for row in evaluation.skipped_rows[:SKIPPED]]
    about |= {"scores": scores, "interval": evaluation.interval, "difference": difference}
    noun = session.prep.file_kind(session.files[0]).plural if session.files else "rows"
    about["description"] = _describe(about, noun)
    return about | _verdict(about, noun, test.scores, evaluation.target)


def _codes(evaluation: Evaluation, session: Any) -> np.ndarray:
    """The most probable class of each row."""
    return session.task.chances(evaluation.answers).argmax(1)


def _only_class(evaluation: Evaluation, session: Any) -> int | None:
    """The code of the only class there is, of a task whose classes exclude one another."""
    if not isinstance(session.task, SupervisedTask) or session.task.chances(evaluation.answers) is None:
        return None
    codes = np.unique(evaluation.target)
    return int(codes[0]) if len(codes) == 1 else None


def _completed(evaluation: Evaluation, test: Evaluation, only: int, session: Any) -> tuple[Evaluation, np.ndarray]:
    """Scores with the test rows of all other classes, whose answers are there already; and the classes of these."""
    rest = test.target != only
    target = np.concatenate([evaluation.target, test.target[rest]])
    answers = {name: np.concatenate([v, test.answers[name][rest]]) for name, v in evaluation.answers.items()}
    names = session.task.metrics
    completed = evaluation._replace(
        scores=metrics.scores(names, target, answers),
        interval=metrics.bootstrap(names[0], target, answers),
        target=target,
    )
    return completed, test.target[rest]


def _minus(value: float | None, than: float | None) -> float | None:
    return None if value is None or than is None else value - than


def _describe(row: Row, noun: str) -> str:
    """Which rows were evaluated."""
    aside = f"; {row['skipped']:,} files or rows skipped" if row["skipped"] else ""
    if not row.get("with"):
        return f"Its {row['rows']:,} {noun}{aside}."
    others = " and ".join(f"{count:,} '{name}'" for name, count in row["with"].items())
    return f"Its {row['rows']:,} {noun}, all '{row['class']}', with the {others} of the test rows{aside}."


def _verdict(row: Row, noun: str, test: Mapping[str, float | None], target: np.ndarray) -> Row:
    """Whether what was learned holds there too, where that can be said: `carries` and a sentence."""
    name, mine, theirs = row["name"], row["scores"].get("balanced_accuracy"), test.get("balanced_accuracy")
    if mine is None or theirs is None:
        r2 = row["scores"].get("r2")
        if r2 is None or r2 > 0 or (test.get("r2") or 0) < BETTER:
            return {}
        return {
            "carries": "no",
            "verdict": f"It does not carry over to {name}: R2 {number(r2)}, no better than one prediction for all.",
        }
    chance = 1 / max(len(np.unique(target)), 2)
    if theirs < chance + BETTER * (1 - chance) or not row.get("with", True):
        return {}
    share = (mine - chance) / (theirs - chance)
    carries = "no" if share < NOTHING else "in part" if share < PART else "yes"
    claim = {"no": "does not carry over to", "in part": "carries over only in part to", "yes": "carries over to"}
    facts = (
        f"{_percent(mine)} right, {_percent(theirs)} on test rows, {_percent(chance)} by guessing (classes count alike)"
    )
    if "class" in row:
        facts += f"; it finds {_percent(row['right'])} of its {row['rows']:,} {noun} to be '{row['class']}'"
    return {"carries": carries, "verdict": f"It {claim[carries]} {name}: {facts}."}


def _percent(share: float) -> str:
    """Never 0 % or 100 % of what is not."""
    if share in (0, 1) or 0.01 <= share <= 0.99:
        return f"{share:.0%}".replace("%", " %")
    return f"{100 * share:.{2 if share < 0.01 else 3}g} %"


def headline(external: Sequence[Row]) -> str:
    """What the first sentence of a report must not leave out."""
    names = [row["name"] for row in external if row.get("carries") == "no"]
    return f" It does not carry over to {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}." if names else ""


def displayed_metrics(scores: Mapping[str, float | None], primary: str) -> list[str]:
    """The metrics that stand in a table."""
    return [primary, *(name for name in METRICS if name != primary and scores.get(name) is not None)][:4]


def sections(external: Sequence[Row], test: Evaluation, primary: str, count: int) -> list[Section]:
    """The part of the report on other data; `count`: test rows."""
    if not external:
        return []
    names = displayed_metrics(test.scores, primary)
    label = metrics.label
    heads = ["data", "rows", *(escape(label(name)) for name in names), f"{escape(label(primary))}, difference"]
    lines = [["<b>test rows</b>", number(count), *(number(test.scores.get(name)) for name in names), ""]]
    for row in external:
        name = f'<b>{escape(row["name"], 60)}</b><span class="examples">{escape(row["description"], 300)}</span>'
        values = [number(row["scores"].get(name)) for name in names]
        lines.append([name, number(row["rows"]), *values, signed(row["difference"].get(primary))])
    verdicts = [
        f'<p class="{"callout" if row["carries"] == "no" else "lead"}">{escape(row["verdict"], 400)}</p>'
        for row in external
        if row.get("verdict")
    ]
    html = section("On other data", "also", *verdicts, table(heads, lines, range(1, len(heads)), 0))
    return [Section("also", "On other data", "comparison", html, {"also": list(external)})]


def lines(external: Sequence[Row], test: Evaluation, primary: str, count: int) -> tuple[tuple[str, ...], ...]:
    """The same for the terminal: a table, heads first."""
    names = displayed_metrics(test.scores, primary)
    heads = ("on other data", "rows", *map(metrics.label, names), "difference")
    first = ("test rows", number(count), *(cell(test.scores[name]) for name in names), "")
    rest = (
        (row["name"], number(row["rows"]), *(cell(row["scores"].get(name)) for name in names),
         signed(row["difference"].get(primary)))
        for row in external
    )  # fmt: skip
    return (heads, first, *rest)


def signed(value: float | None) -> str:
    """A difference with its sign."""
    return number(value) if value is None else f"{'+' if value > 0 else ''}{number(value)}"
