"""The finished network on other data: the scores that `lamina evaluate` gives, beside those of the test rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.config import DataError
from lamina.data import _locator as _named
from lamina.deploy.predictor import Predictor
from lamina.evaluate import metrics
from lamina.evaluate.markup import escape, number, section, table
from lamina.experiment import Case, Other
from lamina.schema import Row
from lamina.tasks._supervised.evaluation import judged

SHOWN = ("balanced_accuracy", "roc_auc", "log_loss", "f1_macro", "mae", "r2", "smape", "coverage")  # and the primary
NOTHING, PART = 0.2, 0.8  # of what is above chance on test rows: below, it does not carry over, or in part only
LOST = 5  # rows set aside that are told of
BETTER = 0.2  # than chance on test rows, at least, for there to be something to carry over


def rows(case: Case, predictor: Predictor, tested: Mapping[str, Any]) -> list[Row]:
    """One for each data set of the recipe's `also`; `tested` is what `score` found of the test rows.

    Of data that hold a single class, such as what another generator made, neither accuracy nor ranking says anything;
    they are judged together with the test rows of the other classes, and the row says so.
    """
    return [_row(other, case, predictor, tested) for other in case.also]


def _row(other: Other, case: Case, predictor: Predictor, tested: Mapping[str, Any]) -> Row:
    about: Row = {"name": other.name, "source": _named.told(other.source)}
    try:
        found = judged(predictor, other.collected, other.source)
    except DataError as error:  # what was sound before training is gone
        return about | {"rows": 0, "scores": {}, "difference": {}, "told": f"Could not be judged: {error}"}
    classes = case.state.model_dump().get("classes", ())
    alone = _alone(found)
    own: Row = {}
    if alone is not None:
        right = found["answers"]["probabilities"].argmax(1) == alone
        own = {"class": classes[alone], "right": float(right.mean())}
        found |= _completed(found, tested, alone, predictor.task.metrics)
        own["with"] = {classes[code]: int((found["beside"] == code).sum()) for code in np.unique(found["beside"])}
    scores = found["scores"]
    difference = {n: _less(scores.get(n), v) for n, v in tested["scores"].items()}
    about |= {"rows": found["rows"], "quarantined": len(found["quarantine"]), **own}
    about["quarantine"] = [lost._asdict() for lost in found["quarantine"][:LOST]]
    about |= {"scores": scores, "interval": found["interval"], "difference": difference}
    what = "pictures" if predictor.pictures else "rows"
    return about | {"told": _told(about, what), **_verdict(about, what, tested["scores"], found["target"])}


def _alone(found: Mapping[str, Any]) -> int | None:
    """The code of the only class there is, of a task that gives each row one."""
    if found["target"].ndim != 1 or "probabilities" not in found["answers"]:
        return None
    codes = np.unique(found["target"])
    return int(codes[0]) if len(codes) == 1 else None


def _completed(found: Mapping[str, Any], tested: Mapping[str, Any], alone: int, names: Sequence[str]) -> Row:
    """Scores with the test rows of all other classes, whose answers are known already."""
    rest = tested["target"] != alone
    target = np.concatenate([found["target"], tested["target"][rest]])
    theirs = tested["answers"]["probabilities"][rest]
    answers = {"probabilities": np.concatenate([found["answers"]["probabilities"], theirs])}
    return {
        "scores": metrics.scores(names, target, answers),
        "interval": metrics.bootstrap(names[0], target, answers),
        "target": target,
        "beside": tested["target"][rest],
    }


def _less(value: float | None, than: float | None) -> float | None:
    return None if value is None or than is None else value - than


def _told(row: Row, what: str) -> str:
    """Which rows were judged."""
    lost = f"; {row['quarantined']:,} files or rows set aside" if row["quarantined"] else ""
    if not row.get("with"):
        return f"Its {row['rows']:,} {what}{lost}."
    beside = " and ".join(f"{count:,} '{name}'" for name, count in row["with"].items())
    return f"Its {row['rows']:,} {what}, all '{row['class']}', with the {beside} of the test rows{lost}."


def _verdict(row: Row, what: str, tested: Mapping[str, float | None], target: np.ndarray) -> Row:
    """Whether what was learned holds there too, where that can be said of a task: `carries` and a sentence."""
    name, mine, theirs = row["name"], row["scores"].get("balanced_accuracy"), tested.get("balanced_accuracy")
    if mine is None or theirs is None:
        r2 = row["scores"].get("r2")
        if r2 is None or r2 > 0 or (tested.get("r2") or 0) < BETTER:
            return {}
        return {
            "carries": "no",
            "verdict": f"It does not carry over to {name}: R2 {number(r2)}, no better than one answer for all.",
        }
    chance = 1 / max(len(np.unique(target)), 2)
    if theirs < chance + BETTER * (1 - chance) or not row.get("with", True):
        return {}
    share = (mine - chance) / (theirs - chance)
    carries = "no" if share < NOTHING else "in part" if share < PART else "yes"
    said = {"no": "does not carry over to", "in part": "carries over only in part to", "yes": "carries over to"}
    facts = (
        f"{_percent(mine)} right, {_percent(theirs)} on test rows, {_percent(chance)} by guessing (classes count alike)"
    )
    if "class" in row:
        facts += f"; it finds {_percent(row['right'])} of its {row['rows']:,} {what} to be '{row['class']}'"
    return {"carries": carries, "verdict": f"It {said[carries]} {name}: {facts}."}


def _percent(share: float) -> str:
    """Never 0 % or 100 % of what is not."""
    if share in (0, 1) or 0.01 <= share <= 0.99:
        return f"{share:.0%}".replace("%", " %")
    return f"{100 * share:.{2 if share < 0.01 else 3}g} %"


def headline(found: Sequence[Row]) -> str:
    """What the first sentence of a report must not leave out."""
    names = [row["name"] for row in found if row.get("carries") == "no"]
    return f" It does not carry over to {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}." if names else ""


def shown(tested: Mapping[str, float | None], primary: str) -> list[str]:
    """The metrics that stand in a table."""
    return [primary, *(name for name in SHOWN if name != primary and tested.get(name) is not None)][:4]


def page(report: Mapping[str, Any], plots: Mapping[str, str]) -> str:
    """The network on other data, below its test rows."""
    found, primary, tested = report.get("also") or [], report.get("primary", ""), report.get("scores") or {}
    if not found:
        return ""
    names = shown(tested, primary)
    label = metrics.label
    heads = ["data", "rows", *(escape(label(name)) for name in names), f"{escape(label(primary))}, difference"]
    count = ((report.get("data") or {}).get("rows") or {}).get("test")
    lines = [["<b>test rows</b>", number(count), *(number(tested.get(name)) for name in names), ""]]
    for row in found:
        said = f'<b>{escape(row["name"], 60)}</b><span class="examples">{escape(row["told"], 300)}</span>'
        values = [number(row["scores"].get(name)) for name in names]
        lines.append([said, number(row["rows"]), *values, signed(row["difference"].get(primary))])
    told = [
        f'<p class="{"callout" if row["carries"] == "no" else "lead"}">{escape(row["verdict"], 400)}</p>'
        for row in found
        if row.get("verdict")
    ]
    return section("On other data", "also", *told, table(heads, lines, range(1, len(heads)), 0))


def signed(value: float | None) -> str:
    """A difference with its sign."""
    return number(value) if value is None else f"{'+' if value > 0 else ''}{number(value)}"
