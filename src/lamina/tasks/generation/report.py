"""The report of a generator: what its samples are worth, its verdict and its own parts of the page."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from lamina.evaluate.images import gallery
from lamina.evaluate.markup import number, section
from lamina.experiment import Baseline, Conclusion, Evaluation, Finding, Section, Summary
from lamina.schema import Row, clean
from lamina.tasks.generation import (
    discriminator_evaluation,
    evaluation,
    image_fidelity,
    image_report,
    table_fidelity,
    table_report,
)
from lamina.tasks.generation.image_fidelity import ImageFidelity


class Details(NamedTuple):
    """What images or rows are worth beside their scores, what the discriminator is worth where there is one, and real
    images as facts and pieces of the page.
    """

    images: ImageFidelity | None
    table: Row | None
    discriminator: Row | None
    training_images: Row
    pieces: Mapping[str, str]


def examine(finding: Finding) -> Evaluation:
    """The evaluation with its details; images are scored by what a classifier of the run's data sees in them."""
    images, table = _images(finding), _table(finding)
    training_images, pieces = _training_images(finding) if images else ({}, {})
    details = Details(
        images, table, discriminator_evaluation.score(finding.session, finding.examples), training_images, pieces
    )
    scores = finding.evaluation.scores if images is None else images.scores
    return finding.evaluation._replace(scores=scores, details=details)


def _images(finding: Finding) -> ImageFidelity | None:
    if finding.session.task.state.columns:
        return None
    return image_fidelity.measure(finding.session, finding.examples, finding.cfg, finding.end["step"])


def _training_images(finding: Finding) -> tuple[Row, dict[str, str]]:
    """Training images as the network sees them, and those that are there twice."""
    examples, classes = finding.examples, finding.experiment.task.classes

    def label(part: str, row: int) -> str:
        return classes[int(np.asarray(examples[part].target)[row])] if classes else number(0.0)

    return gallery.training_pieces(finding, label, np.asarray(examples["train"].target) if classes else None)


def _table(finding: Finding) -> Row | None:
    """What rows of a table are worth beside real rows and SMOTE."""
    session, splits = finding.session, finding.experiment.splits
    if not session.task.state.columns:
        return None
    count, schema = min(splits.train.num_rows, table_fidelity.TRAIN), session.schema
    samples = evaluation.generate(session, count, table_fidelity.SEED)
    train, held_out = (clean(rows, schema.missing, schema.literal) for rows in (splits.train, splits.test))
    return table_fidelity.measure(train, held_out, samples, schema, session.task.classes, session.task.state)


def baselines(finding: Finding, notes: list[str]) -> dict[str, Baseline]:
    """Real ones that were held out."""
    details: Details = finding.evaluation.details
    if "duplicates" in details.training_images and "duplicates" not in details.pieces:
        notes.append(details.training_images["duplicates"]["sentence"])
    baseline = evaluation.held_out(finding)
    return {"held_out": baseline if details.images is None else baseline._replace(scores=details.images.held_out)}


def conclude(finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
    """What samples are worth; no network is expected to beat real ones."""
    return Conclusion(
        _verdict(finding, baselines),
        finding.experiment.subject,
        comparison="Beside real ones",
        method="what",
        warns=False,
    )


def _verdict(finding: Finding, baselines: Mapping[str, Baseline]) -> str:
    details: Details = finding.evaluation.details
    if details.table is not None:
        return table_report.verdict(details.table)
    if details.images is not None and (sentence := image_fidelity.verdict(details.images)):
        return sentence
    own = finding.evaluation.scores["frechet_distance"]
    real = baselines["held_out"].scores["frechet_distance"]
    if own is None or real is None:
        return "What was generated could not be compared with real rows."
    return (
        f"What the network makes is {number(own)} away from real ones (Frechet distance); real ones that were held out "
        f"are {number(real)} away."
    )


def sections(finding: Finding) -> Iterator[Section]:
    """The images or rows it makes, with the discriminator where there is one."""
    details: Details = finding.evaluation.details
    discriminator = discriminator_evaluation.html(details.discriminator) if details.discriminator else ""
    if details.images is not None:
        previews = {row["epoch"]: row["preview"] for row in finding.epochs if "preview" in row}
        body = image_report.html(details.images, finding.session.task.classes, previews) + discriminator
        yield _section("synthetic_images", "Generated images", body, details.images.facts)
    if details.table is not None:
        yield _section(
            "synthetic_rows", "Generated rows", table_report.html(details.table) + discriminator, details.table
        )
    if details.discriminator:
        yield Section("discriminator", facts={"discriminator": details.discriminator})
    if details.images is not None:
        twins, training = details.pieces.get("duplicates", ""), details.pieces.get("augmented", "")
        yield Section("duplicates", after="comparison", html=section("Duplicate images", "duplicates", twins))
        yield Section("augmented", after="training", html=section("Data augmentation", "augmented", training))
        yield Section("images", facts={"images": details.training_images})


def _section(name: str, title: str, body: str, facts: Row) -> Section:
    return Section(name, title, "comparison", section(title, name.replace("_", "-"), body), {name: facts})


def summary(finding: Finding) -> Summary:
    """What a classifier learns from the rows, what the discriminator is worth, and commands to make more."""
    details: Details = finding.evaluation.details
    bundle, facts, commands = finding.session.bundle.path, dict[str, Any](), dict[str, str]()
    if details.images is not None:
        facts["synthetic_images"] = details.images.facts
    tables = tuple(filter(None, [table_report.lines(details.table)])) if details.table else ()
    if details.table:
        facts["synthetic_rows"] = {
            name: value for name, value in details.table.items() if name not in ("columns", "samples")
        }
    if "duplicates" in details.pieces:
        facts["notes"] = [details.training_images["duplicates"]["sentence"]]
    commands["make"] = f"lamina generate {bundle} -n 64 -o generated{'.csv' if details.table else ''}"
    if details.discriminator:
        facts["discriminator"] = details.discriminator
        commands["score"] = f"lamina predict {bundle} DATA -o scores.csv"
    sentences = (details.discriminator["sentence"],) if details.discriminator else ()
    return Summary(tables, sentences, commands, facts)
