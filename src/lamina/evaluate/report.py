"""The network beside its baselines, as one report: the experiment is asked for its parts, and they are put in order."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from lamina.data import _locator
from lamina.data._skipped_rows import reasons
from lamina.evaluate import calibration, usage
from lamina.evaluate.page import write as write_page
from lamina.evaluate.plots import figures
from lamina.evaluate.plots.named import Context, draw
from lamina.evaluate.sections import ABOUT, Page
from lamina.evaluate.versions import versions
from lamina.experiment import Baseline, Conclusion, Finding
from lamina.recipe import to_yaml
from lamina.run import Run
from lamina.schema import Column, Row

MAX_SKIPPED = 20  # skipped rows in the report
PLAIN_NOTES = ("the target", "as set")  # of columns: nothing was guessed
PREVIEW = "preview"  # what rows of training hold beyond numbers: a drawing, which only a task can read


def write(finding: Finding, out: Run, start: float) -> Row:
    """Fit the baselines, write `report.html` and `report.json`, and return the result of the run, which began at
    `start`, by `time.perf_counter`.
    """
    experiment = finding.experiment
    finding = replace(finding, evaluation=experiment.examine(finding))
    notes = list(experiment.notes)
    baselines = experiment.baselines(finding, notes)
    summary = experiment.summary(finding)
    notes += [note for row in finding.epochs for note in row.get("notes", ())]
    notes = list(dict.fromkeys([*notes, *summary.facts.get("notes", ())]))
    conclusion = experiment.conclude(finding, baselines)
    sections = tuple(experiment.sections(finding, baselines))
    report = _report(finding, baselines, conclusion, notes)
    for section in sections:
        report |= section.facts
    report |= {"recipe": to_yaml(finding.choices), "bundle": str(out.bundle)}
    operations = finding.session.operations
    page = Page(
        report=report,
        plots=draw(experiment.plots, _context(finding, baselines)) | _class_balance(finding),
        sections=sections,
        conclusion=conclusion,
        usages={operation.name: usage.of(finding.session, operation, str(out.bundle)) for operation in operations},
        served=any("http" in operation.faces for operation in operations),
    )
    path = write_page(out.folder, page)
    return {
        "run": str(out.folder),
        "bundle": str(out.bundle),
        "report": str(path),
        "task": experiment.task.kind,
        "scores": finding.evaluation.scores,
        "baselines": _scores(baselines),
        "seconds": round(time.perf_counter() - start, 3),
        "rows": experiment.counts()["used"],
        "skipped": len(experiment.skipped_rows),
        "parts": {name: table.num_rows for name, table in experiment.splits._asdict().items()},
        "verdict": conclusion.verdict,
        "tables": summary.tables,
        "sentences": summary.sentences,
        "commands": dict(summary.commands),
        **summary.facts,
        "notes": [*notes, *column_notes(experiment.schema.columns)],
    }


def column_notes(columns: Sequence[Column]) -> list[str]:
    """What was guessed of columns, a sentence each."""
    return [f"{column.name}: {column.note}." for column in columns if column.note and column.note not in PLAIN_NOTES]


def _report(finding: Finding, baselines: Mapping[str, Baseline], conclusion: Conclusion, notes: Sequence[str]) -> Row:
    """What every report holds, for programs."""
    experiment, evaluation, session = finding.experiment, finding.evaluation, finding.session
    return {
        "name": experiment.recipe.name or finding.folder.name,
        "task": experiment.task.kind,
        "target": conclusion.subject,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "verdict": conclusion.verdict,
        "primary": experiment.metrics[0],
        "scores": evaluation.scores,
        "interval": evaluation.interval,
        "baselines": _scores(baselines),
        "per_class": evaluation.per_class,
        "model": {
            "kind": session.bundle.model.kind,
            "parameters": sum(layer["parameters"] for layer in finding.layers),
            "layers": finding.layers,
        },
        "data": _data(finding, notes),
        "training": _training(finding),
        "calibration": calibration.facts(experiment.task),
        "example": usage.example(session, session.operations[0]),
        "versions": versions(),
    }


def _scores(baselines: Mapping[str, Baseline]) -> dict[str, Row]:
    return {name: baseline.scores for name, baseline in baselines.items()}


def _rows(finding: Finding) -> list[Row]:
    """Rows of training, one per epoch, without what is not a number."""
    return [{name: value for name, value in row.items() if name != PREVIEW} for row in finding.epochs]


def _training(finding: Finding) -> Row:
    end = finding.end
    return {
        "rows": _rows(finding),
        "best": {"epoch": end["best_epoch"], "weights": end["best_weights"]},
        "seconds": end["elapsed"],
        "stopped": end["done"],
        "skipped": end["skipped"],
        "device": finding.cfg.device,
        "precision": finding.cfg.precision,
        "seed": finding.experiment.recipe.seed,
    }


def _data(finding: Finding, notes: Sequence[str]) -> Row:
    """Where rows come from, how many were used and skipped, and what the columns hold, the target last."""
    experiment, target = finding.experiment, finding.experiment.target
    columns = [c for c in experiment.schema.columns if not target or c.name != target.name]
    columns += [target] if target else []
    rows = [column.model_dump(mode="json", exclude={"settings"}) for column in columns]
    sizes = _sizes(finding)
    statistics = {row["column"]: _shared(row) for row in finding.statistics}
    return {
        "source": _locator.describe(experiment.recipe.data),
        "rows": experiment.counts(),
        "columns": [
            row | {"note": row["note"] + sizes.get(row["name"], ""), "statistics": statistics.get(row["name"], {})}
            for row in rows
        ],
        "skipped_rows": [row.masked()._asdict() for row in experiment.skipped_rows[:MAX_SKIPPED]],
        "reasons": reasons([row.masked() for row in experiment.skipped_rows]),
        "notes": list(notes),
    }


def _class_balance(finding: Finding) -> dict[str, str]:
    """How many training rows the target's values have, where these are few enough to be classes."""
    target = next((row for row in finding.statistics if row["target"] and row.get("counts")), None)
    if target is None:
        return {}
    present = target["rows"] - target["missing"]
    return {"class_balance": figures.class_balance(target["counts"], present, target["values"])}


def _shared(statistics: Row) -> Row:
    """Statistics of a column without what is of a few rows."""
    return {name: value for name, value in statistics.items() if name not in (*statistics["single"], *ABOUT)}


def _sizes(finding: Finding) -> dict[str, str]:
    """What the network gets of each image, by column."""
    inputs = finding.spec.inputs
    feeds = {column: inputs[name] for column, name in finding.session.prep.file_inputs.items() if name in inputs}
    return {
        column: f"; the network sees {feed.shape[1]} x {feed.shape[0]}, {'grey' if feed.shape[2] == 1 else 'colour'}"
        for column, feed in feeds.items()
        if feed.kind == "image"
    }


def _context(finding: Finding, baselines: Mapping[str, Baseline]) -> Context:
    """What the general plots are made of."""
    experiment, evaluation = finding.experiment, finding.evaluation
    return Context(
        target=evaluation.target,
        answers=evaluation.answers,
        primary=experiment.metrics[0],
        classes=experiment.task.classes,
        baselines={name: baseline.answers for name, baseline in baselines.items()},
        scores=evaluation.scores,
        baseline_scores=_scores(baselines),
        interval=evaluation.interval,
        rows=_rows(finding),
        best=finding.end["best_epoch"],
    )
