"""The report of a task that predicts one column: its verdict, and what test images, series and texts show."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina import models
from lamina.evaluate import metrics, permutation_importance, row_attributions, series_gallery, verdict
from lamina.evaluate.attribution_plot import RowAttributions
from lamina.evaluate.images import corruptions, gallery
from lamina.evaluate.markup import escape, number, section, table
from lamina.evaluate.texts import gallery as text_gallery
from lamina.experiment import Baseline, Conclusion, Evaluation, Finding, Section, Summary
from lamina.schema import Row
from lamina.tasks._supervised import external_report
from lamina.tasks._supervised.external_data import ExternalData
from lamina.tasks._supervised.task import SupervisedTask


class Details(NamedTuple):
    """What is evaluated beside the scores: other data, a column of images, of series and of texts as facts and pieces
    of the page, what corrupted images do, and which columns answers hang on, in all and in single rows.
    """

    external: list[Row]
    images: Row
    series: Row
    texts: Row
    pieces: Mapping[str, str]
    corruptions: list[Row]
    importances: permutation_importance.Importances | None
    attributions: list[RowAttributions]


def examine(finding: Finding, external: Sequence[ExternalData]) -> Evaluation:
    """The evaluation of a fresh run with its details."""
    experiment, evaluation = finding.experiment, finding.evaluation
    images, image_pieces = gallery.pieces(finding)
    series, series_pieces = series_gallery.pieces(finding)
    texts, text_pieces = text_gallery.pieces(finding)
    details = Details(
        external=external_report.rows(external, experiment, finding.session, evaluation),
        images=images,
        series=series,
        texts=texts,
        pieces={**image_pieces, **series_pieces, **{f"text_{name}": piece for name, piece in text_pieces.items()}},
        corruptions=_corruptions(finding),
        importances=_importances(finding),
        attributions=row_attributions.rows(finding),
    )
    return evaluation._replace(details=details)


def _corruptions(finding: Finding) -> list[Row]:
    """What corrupted test images do to the answers, where the architecture is evaluated by that."""
    task, test = finding.experiment.task, finding.examples["test"]
    if not models.evaluates_corruptions(finding.session.bundle.model.kind) or not task.classes:
        return []
    inputs = {name: values for name, values in test.inputs.items() if isinstance(values, np.ndarray)}
    target = task.truth(np.asarray(test.target))
    return corruptions.table(finding.session, inputs, target) if target.ndim == 1 else []


def _importances(finding: Finding) -> permutation_importance.Importances | None:
    """Of the columns, by the test rows and the metric that decides."""
    inputs, target = finding.examples["test"].inputs, finding.evaluation.target
    return permutation_importance.importances(finding.session, inputs, target, finding.experiment.metrics[0])


def notes(finding: Finding) -> list[str]:
    """Sentences on what scores hide, on what added rows were worth, and on images that are there twice."""
    task: SupervisedTask = finding.experiment.task
    details: Details = finding.evaluation.details
    sentences = [*task.remarks(finding.evaluation.scores), *_augmented(finding)]
    duplicates = details.images.get("duplicates")
    return [*sentences, *([duplicates["sentence"]] if duplicates and "duplicates" not in details.pieces else [])]


def _augmented(finding: Finding) -> list[str]:
    augmented = finding.end.get("augmented")
    return [augmented["sentence"]] if augmented else []


def conclude(finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
    """One honest sentence; where other data were evaluated, it does not leave out that nothing carries over."""
    experiment, evaluation = finding.experiment, finding.evaluation
    scores = {name: baseline.scores for name, baseline in baselines.items()}
    sentence = verdict.sentence(
        experiment.metrics[0], evaluation.scores, scores, experiment.subject, evaluation.interval
    )
    return Conclusion(sentence + external_report.headline(evaluation.details.external), experiment.subject)


def sections(finding: Finding) -> Iterator[Section]:
    """Other data, images, corruptions and series, where there are any."""
    details: Details = finding.evaluation.details
    pieces, primary = details.pieces, finding.experiment.metrics[0]
    count = finding.experiment.counts()["test"]
    yield from external_report.sections(details.external, finding.evaluation, primary, count)
    if details.importances:
        html = section("Permutation importance", "importance", permutation_importance.html(details.importances))
        own = {"permutation_importance": permutation_importance.facts(details.importances)}
        yield Section("importance", "Permutation importance", "comparison", html, own)
    if details.attributions:
        html = section("Single rows", "attributions", row_attributions.html(details.attributions))
        own = {"attributions": row_attributions.facts(details.attributions)}
        yield Section("attributions", "Single rows", "errors", html, own)
    yield _section("duplicates", "Duplicate images", "comparison", pieces, "duplicates")
    yield _section("same_text", "Duplicate texts", "comparison", pieces, "text_duplicates")
    yield _section("texts", "The texts", "errors", pieces, *(f"text_{name}" for name in text_gallery.PIECES))
    yield _section("images", "Test images", "errors", pieces, "confused", "worst", "heat")
    if details.corruptions:
        yield Section(
            "damage", "Corrupted images", "errors", _table(details.corruptions), {"damage": details.corruptions}
        )
    yield _section("series", "The series", "errors", pieces, "class_means", "worst_series")
    yield _section("augmented", "Data augmentation", "training", pieces, "augmented")
    facts: Row = {"images": details.images, "series": details.series, "texts": details.texts}
    if augmented := finding.end.get("augmented"):
        facts["augmented"] = augmented
    yield Section("facts", facts=facts)


def _section(name: str, title: str, after: Any, pieces: Mapping[str, str], *names: str) -> Section:
    return Section(name, title, after, section(title, name, *(pieces.get(piece, "") for piece in names)))


def _table(rows: Sequence[Row]) -> str:
    """What is left when images are compressed, blurred or shrunk."""
    names = [name for name in rows[0] if name not in ("damage", "rows")]
    cells = [[escape(row["damage"]), *(number(row.get(name)) for name in names)] for row in rows]
    heads = ["corruption of the test images", *(escape(metrics.label(name)) for name in names)]
    return section("Corrupted images", "damage", table(heads, cells, range(1, len(heads))))


def summary(finding: Finding) -> Summary:
    """Other data as a table and sentences; notes on what a person should look at."""
    details: Details = finding.evaluation.details
    duplicates = [details.images["duplicates"]["sentence"]] if "duplicates" in details.pieces else []
    duplicates += [details.texts["duplicates"]["sentence"]] if "text_duplicates" in details.pieces else []
    remarks = [*duplicates, *_augmented(finding)]
    facts: Row = {"notes": remarks} if remarks else {}
    if not details.external:
        return Summary(facts=facts)
    primary, count = finding.experiment.metrics[0], finding.experiment.counts()["test"]
    lines = external_report.lines(details.external, finding.evaluation, primary, count)
    sentences = (
        row.get("verdict") or ("" if row["scores"] else f"{row['name']}: {row['description']}")
        for row in details.external
    )
    return Summary((lines,), tuple(filter(None, sentences)), facts={"also": details.external, **facts})
