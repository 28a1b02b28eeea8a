"""A model card, as model hubs show them: what a bundle is for, its data, scores beside baselines, limits, use.

All of it stands in the bundle, and in the report of its run where that lies beside it.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lamina.deploy.bundle import Bundle
from lamina.deploy.bundle.card import markdown
from lamina.deploy.predictor import Predictor, summary
from lamina.evaluate import usage
from lamina.resources import disk
from lamina.schema import Column, Row

NO_REPORT = "Intervals and warnings are in the report of the run, which was not beside the bundle."
LICENCE = (
    "This file states no licence: whoever publishes the model chooses one, and writes it here and in place of "
    "`unknown` above."
)


def write(bundle: Bundle, path: Path) -> None:
    """Write the card as Markdown."""
    disk.write_text(path, text(bundle))


def text(bundle: Bundle) -> str:
    """The card of a bundle, with what the report beside it says."""
    predictor, report = Predictor(bundle), _report(bundle)
    parts = [
        *("---", "library_name: lamina", "license: unknown", "tags:"),
        *(f"- {tag}" for tag in (predictor.task.kind, bundle.model.kind)),
        *("---", "", f"# {markdown(predictor.target or predictor.task.kind)}", ""),
        *_purpose(predictor),
        *_data(bundle, report),
        *_scores(bundle, report),
        *_limits(bundle, report),
        *_use(predictor),
        *("## Licence", "", LICENCE),
    ]
    return "\n".join(parts) + "\n"


def _report(bundle: Bundle) -> Row:
    """What the report of the run says, where the bundle lies in its run and is the one that was evaluated."""
    file = bundle.path.parent / "report.json"
    if not file.is_file():
        return {}
    report: Row = json.loads(file.read_text("utf-8"))
    return report if report.get("scores") == bundle.training.get("scores") else {}


def _purpose(predictor: Predictor) -> Iterable[str]:
    yield from ("## What it is for", "")
    target = f" of `{markdown(predictor.target)}`" if predictor.target else ""
    model = predictor.bundle.model.kind
    yield f"Task: {predictor.task.kind}{target}, answered by a network of the kind {model}. It can be asked to"
    yield ""
    for operation in predictor.operations:
        yield f"- `{operation.name}`: {markdown(summary(operation, predictor))}"
    if predictor.task.classes:
        yield from ("", f"It answers with {', '.join(f'`{markdown(name)}`' for name in predictor.task.classes)}.")
    yield ""


def _data(bundle: Bundle, report: Row) -> Iterable[str]:
    """Rows and columns, as they were understood."""
    data, schema = bundle.training.get("data", {}), bundle.schema
    yield from ("## Data", "")
    if report:
        yield f"- evaluated: {report['created']}"
        yield f"- source: {markdown(report['data']['source'])}"
    for name, count in data.get("rows", {}).items():
        yield f"- rows, {markdown(name)}: {count:,}"
    if "fingerprint" in data:
        yield f"- fingerprint: `{markdown(data['fingerprint'])}`"
    columns = [*schema.columns, *([schema.target] if schema.target else [])]
    yield from ("", *_table(("column", "kind", "missing", "distinct", "note"), map(_column, columns)), "")


def _column(column: Column) -> Sequence[Any]:
    return column.name, column.kind, f"{column.missing:,}", f"{column.distinct:,}", column.note


def _scores(bundle: Bundle, report: Row) -> Iterable[str]:
    """The network beside its baselines, the first score first."""
    scores, baselines = bundle.training.get("scores", {}), bundle.training.get("baselines", {})
    yield from ("## Scores", "")
    if not scores:
        yield from ("This network was not evaluated: `lamina evaluate` does it, on rows with their predictions.", "")
        return
    yield from ("On rows that played no part in training.", "")
    if report:
        low, high = report["interval"] or (None, None)
        yield from (markdown(report["verdict"]), "")
        if low is not None:
            yield from (f"95 % interval of {report['primary']}: {low:.4g} to {high:.4g}.", "")
    networks = {"this network": scores, **baselines}
    rows = ([name, *(_number(own.get(name)) for own in networks.values())] for name in scores)
    yield from (*_table(("score", *networks), rows), "")


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}"


def _limits(bundle: Bundle, report: Row) -> Iterable[str]:
    """What the report warns of."""
    yield from ("## Limits and warnings", "")
    notes = report["data"]["notes"] if report else [NO_REPORT]
    if bundle.model.runtime == "torch":
        notes = [*notes, f"It needs PyTorch where it is served: {bundle.model.reason.rstrip('.')}."]
    yield from (f"- {markdown(note)}" for note in notes or ["The report gave no warning."])
    yield "- Scores hold for rows like those it was evaluated on; other places and later times were not."
    yield ""


def _use(predictor: Predictor) -> Iterable[str]:
    """How to ask it, from three places."""
    path = f"{predictor.bundle.path.name}"
    yield from ("## How to ask it", "")
    for operation in predictor.operations[:1]:
        words = usage.of(predictor, operation, path)
        for language, code in (("sh", words.shell), ("python", words.python), ("sh", words.http)):
            if code:
                yield from (f"```{language}", code, "```", "")


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterable[str]:
    yield from (f"| {' | '.join(map(markdown, head))} |", f"|{' --- |' * len(head)}")
    yield from (f"| {' | '.join(map(markdown, row))} |" for row in rows)
