"""What a report tells of forecasts: fans, errors by step, time, target and series, and of prices what they are worth.

Numbers go to `report.json` as `forecast`; pieces of the page are drawn from them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.evaluate import verdict
from lamina.evaluate.baselines import label
from lamina.evaluate.markup import figure
from lamina.evaluate.verdict import Wording
from lamina.experiment import Baseline, Conclusion, Evaluation, Finding, Section, Summary
from lamina.resources import disk
from lamina.schema import Row
from lamina.tasks._supervised import external_report
from lamina.tasks._supervised.external_data import ExternalData
from lamina.tasks.forecasting import (
    attribution_report,
    baselines,
    directional_accuracy,
    error_breakdown,
    fans,
    plots,
    report_sections,
)
from lamina.tasks.forecasting.backtest import Backtest
from lamina.tasks.forecasting.baselines import Training
from lamina.tasks.forecasting.operation import HISTORY_FILE, HISTORY_ROWS, example
from lamina.tasks.forecasting.state import State

WORDING = Wording(
    verb="forecasts",
    activity="forecasting",
    best="The network forecasts {subject} better than {rival}: {facts}",
    doubt="on too few forecasts to tell it from chance",
)


class Details(NamedTuple):
    """What is evaluated beside the scores: the backtest, that of each baseline, other data, facts for `report.json` and
    pieces of the page.
    """

    test: Backtest
    baselines: Mapping[str, Backtest]
    external: list[Row]
    facts: Row
    pieces: Mapping[str, str]


def examine(finding: Finding, external: Sequence[ExternalData]) -> Evaluation:
    """The evaluation of a fresh run with its details."""
    experiment: Any = finding.experiment
    evaluation = finding.evaluation
    test: Backtest = evaluation.details
    methods = baselines.forecasts(test, Training(experiment.panel, experiment.origins(0), finding.session.prep))
    facts, pieces = _facts(finding, test, methods)
    others = external_report.rows(external, experiment, finding.session, evaluation)
    return evaluation._replace(details=Details(test, methods, others, facts, pieces))


def _facts(finding: Finding, test: Backtest, methods: Mapping[str, Backtest]) -> tuple[Row, dict[str, str]]:
    """Facts for `report.json` and pieces of the page by name."""
    network = error_breakdown.NETWORK
    sums = {name: error_breakdown.errors(method) for name, method in {network: test, **methods}.items()}
    steps = error_breakdown.by_step(sums)
    facts: Row = {
        "sentence": _measured(test),
        "steps": steps,
        "folds": error_breakdown.folds(test, sums),
        "targets": error_breakdown.by_target(test, sums),
        "series": error_breakdown.by_series(test, sums),
        "of": {"targets": len(test.state.targets), "series": len(np.unique(test.series))},
        "residuals": error_breakdown.residuals(test),
    }
    if test.state.transform == "log_return":
        facts["prices"] = directional_accuracy.facts(test, methods)
    facts["fans"], drawings = fans.draw(finding.experiment, finding.session, test, sums[network].cells)
    whole = fans.draw_whole(finding.experiment, test, sums[network].cells)
    facts["attributions"] = attribution_report.facts(finding.session, test)
    pieces = {"fans": "".join(figure(svg) for svg in drawings), "whole": "".join(map(figure, whole))}
    if test.state.horizon > 1:
        lines = {label(str(name)): values for name, values in steps["mase"].items()}
        pieces["by_step"] = plots.plot_errors(lines, "MASE by step ahead: lower is better")
        pieces["coverage_by_step"] = plots.plot_coverage(steps["coverage"])
    if facts["residuals"]:
        residuals = facts["residuals"]
        pieces["autocorrelation"] = plots.plot_autocorrelation(residuals["lags"], residuals["bound"])
    return facts, pieces


def _measured(test: Backtest) -> str:
    """How many forecasts the scores are of, and of when."""
    horizon, origins = test.state.horizon, len(test.origins)
    begins = test.panel.index[test.origins]
    first, last = error_breakdown.format_steps(np.array([begins.min(), begins.max()]), test.state.step)
    steps = "one step" if horizon == 1 else f"{horizon:,} steps"
    many = f" in {len(test.panel.ids):,} series" if len(test.panel.ids) > 1 else ""
    span = f"that begins at {first}" if origins == 1 else f"that begin at {first} to {last}"
    return (
        f"Measured on {origins:,} forecast{'s' if origins > 1 else ''} of {steps}{many}, {span}: "
        "rows that played no part in training. One network gave them all."
    )


def conclude(finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
    """One honest sentence; of prices, whether the network beats the random walk."""
    experiment, evaluation = finding.experiment, finding.evaluation
    details: Details = evaluation.details
    scores = {name: baseline.scores for name, baseline in baselines.items()}
    subject, prices = _subject(experiment.task.state), details.facts.get("prices")
    if prices:
        sentence = directional_accuracy.verdict(prices, subject, scores)
    else:
        primary = experiment.metrics[0]
        sentence = verdict.sentence(primary, evaluation.scores, scores, subject, evaluation.interval, WORDING)
    return Conclusion(
        sentence + external_report.headline(details.external),
        subject,
        measured=details.facts["sentence"],
        doubt="" if evaluation.interval else f", {WORDING.doubt}",
        warns=not prices,
    )


def _subject(state: State) -> str:
    """The targets as a verdict names them."""
    names = state.names
    if len(names) <= 3:
        return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{names[0]}, {names[1]} and {len(names) - 2:,} more"


def sections(finding: Finding) -> list[Section]:
    """The parts of the page; beside the report stands a synthetic history, as it would be sent for a forecast."""
    details: Details = finding.evaluation.details
    example = _example(finding)
    file = finding.folder / HISTORY_FILE
    disk.write_text(file, json.dumps({"rows": example["rows"]}, ensure_ascii=False) + "\n")
    primary, count = finding.experiment.metrics[0], finding.experiment.counts()["test"]
    facts = Section("forecast", facts={"forecast": details.facts, "history": str(file), "example": example})
    return [
        *external_report.sections(details.external, finding.evaluation, primary, count),
        *report_sections.sections(details.facts, details.pieces),
        facts,
    ]


def _example(finding: Finding) -> Row:
    """The synthetic rows of one series, as they would be sent, and the answer."""
    context = finding.session.task.state.context
    rows, answer = example(finding.session, min(context, HISTORY_ROWS))
    return {"rows": rows, "answer": answer, "context": context}


def summary(finding: Finding) -> Summary:
    """Other data as a table and sentences, where there are any."""
    details: Details = finding.evaluation.details
    if not details.external:
        return Summary()
    primary, count = finding.experiment.metrics[0], finding.experiment.counts()["test"]
    lines = external_report.lines(details.external, finding.evaluation, primary, count)
    sentences = ("" if row["scores"] else f"{row['name']}: {row['description']}" for row in details.external)
    return Summary((lines,), tuple(filter(None, sentences)), facts={"also": details.external})
