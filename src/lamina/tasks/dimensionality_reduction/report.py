"""The report of coordinates: the map of test rows, PCA beside the network, what coordinates mean, the worst rows."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from lamina.evaluate.images.thumbnails import percent
from lamina.evaluate.markup import escape, facts, figure, number, section, table
from lamina.experiment import Baseline, Conclusion, Evaluation, Finding, Section, Summary
from lamina.schema import Row
from lamina.tasks.dimensionality_reduction import (
    baselines,
    coordinates,
    metrics,
    operation,
    plots,
    reconstructions,
    relations,
    scatter,
)
from lamina.tasks.dimensionality_reduction.baselines import Components

WORST = 12


class Details(NamedTuple):
    """Which test rows were evaluated, the names of their labels, principal components beside, and the share of rows
    whose nearest other row has the same label when whole rows are compared.
    """

    places: np.ndarray
    labels: tuple[str, ...]
    components: Components
    whole_rows: float | None


def examine(finding: Finding) -> Evaluation:
    """The evaluation with its details."""
    evaluation = finding.evaluation
    places, labels = evaluation.details
    target, answers = evaluation.target, evaluation.answers
    train = finding.examples["train"].inputs
    components = baselines.fit(train, target, answers, finding.spec.output.size)
    whole = metrics.same_label(np.nan_to_num(target), answers["label"]) if labels else None
    return evaluation._replace(details=Details(places, labels, components, whole))


def conclude(finding: Finding, rivals: Mapping[str, Baseline]) -> Conclusion:
    """How much of the rows is kept, and whether PCA keeps as much."""
    evaluation, experiment = finding.evaluation, finding.experiment
    test = experiment.counts()["test"]
    bound = "" if evaluation.rows == test else f" {evaluation.rows:,} of {test:,} test rows were evaluated."
    measured = f"Measured on {evaluation.rows:,} test rows that played no part in training.{bound}"
    measured += f" Neighbours are those of {metrics.MOST:,} rows." if evaluation.rows > metrics.MOST else ""
    sentence = " ".join(_verdict(evaluation, rivals["pca"], finding.spec.output.size))
    return Conclusion(sentence, experiment.subject, measured, "Beside PCA")


def _verdict(evaluation: Evaluation, pca: Baseline, dimensions: int) -> Iterator[str]:
    own, other = evaluation.scores.get("explained_variance"), pca.scores.get("explained_variance")
    numbers = "one number" if dimensions == 1 else f"{dimensions:,} numbers"
    if own is None or other is None:
        yield f"Rows could not be told apart: the test rows are all alike, so {numbers} for each say nothing of them."
        return
    low, high = evaluation.interval or (np.nan, np.nan)
    rival = pca.scores["reconstruction_error"]
    within = rival is not None and low <= rival <= high
    than = "as much as" if within else "more than" if own > other else "less than"
    sentence = f"With {numbers} for each row the network keeps {_share(own)} of the variance of rows it has never seen"
    doubt = ", a difference inside the 95\u00a0% interval" if within else ""
    yield f"{sentence}, {than} PCA ({_share(other)}){doubt}."
    labelled, by_pca = evaluation.scores.get("nearest_neighbour_accuracy"), pca.scores.get("nearest_neighbour_accuracy")
    if labelled is not None and by_pca is not None:
        yield f"{_share(labelled)} of rows are nearest to one of the same label (PCA: {_share(by_pca)})."


def _share(value: float) -> str:
    return "less than nothing" if value < 0 else f"{value:.1%}".replace("%", "\u00a0%")


def sections(finding: Finding) -> Iterator[Section]:
    """The map, the curve, what coordinates mean, what they become, and the worst rows."""
    yield _map(finding)
    yield _curve(finding)
    session, layout = finding.session, finding.session.task.state.layout
    if layout is not None:
        yield _columns(finding)
    if operation.has_decoder(session):
        yield from reconstructions.sections(finding)
    yield _worst(finding)


def _map(finding: Finding) -> Section:
    """Test rows by two coordinates, coloured by label, or by columns."""
    evaluation, session = finding.evaluation, finding.session
    details: Details = evaluation.details
    has_images = coordinates.sort(session) == "images"
    rows = scatter.some(len(evaluation.target), has_images)
    points, axes = _plane(evaluation.answers["latent"], coordinates.names(session))
    shots = reconstructions.images_of(session, evaluation.target[rows]) if has_images else None
    drawing = scatter.figure(points[rows], axes, _groupings(finding, rows), (details.places[rows] + 1).tolist(), shots)
    share = f"{len(rows):,} of {len(evaluation.target):,} rows" if len(rows) < len(evaluation.target) else "All rows"
    lead = f"{share} evaluated. Point at one, turn the wheel to come nearer, drag to move, double-click to return."
    lead += _plane_note(finding) + _label_note(finding)
    body = f'<p class="quiet lead">{lead}</p>{drawing}'
    return Section("map", "The map", "scores", section("The map", "map", body), script=scatter.SCRIPT)


def _plane(latent: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, str]]:
    """Two numbers for each row, and what they are: coordinates, or the two directions in which these spread most."""
    if latent.shape[1] == 2:
        return latent, (names[0], names[1])
    if latent.shape[1] == 1:
        scattered = np.random.default_rng(0).uniform(-1, 1, len(latent)) * max(float(latent.std()), 1e-9) / 2
        return np.stack([latent[:, 0], scattered], axis=1), (names[0], "scattered by chance")
    centred = latent - latent.mean(0, dtype=np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return centred @ vectors[:, :-3:-1], ("first direction of spread", "second direction")


def _plane_note(finding: Finding) -> str:
    count = finding.spec.output.size
    if count == 2:
        return ""
    if count == 1:
        return " The height of a point means nothing."
    return f" The map shows the two directions in which the {count:,} coordinates spread most."


def _label_note(finding: Finding) -> str:
    """What labels say of coordinates, and of whole rows."""
    whole, scores = finding.evaluation.details.whole_rows, finding.evaluation.scores
    own = scores.get("nearest_neighbour_accuracy")
    if own is None or whole is None:
        return ""
    share = f"that of the nearest other row for {_share(own)} of them; by whole rows for {_share(whole)}"
    return f" The label was no input, and is {share}."


def _groupings(finding: Finding, rows: np.ndarray) -> list[scatter.Grouping]:
    evaluation, layout = finding.evaluation, finding.session.task.state.layout
    details: Details = evaluation.details
    groups = list[scatter.Grouping]()
    if details.labels:
        codes = evaluation.answers["label"]
        counts = np.bincount(codes[codes >= 0], minlength=len(details.labels))
        name = finding.session.target or "label"
        groups.append(relations.grouped(name, list(details.labels), codes, counts))
    groups += relations.groupings(evaluation.target, layout) if layout is not None else []
    return [one._replace(codes=one.codes[rows]) for one in groups]


def _curve(finding: Finding) -> Section:
    """How many principal components keep as much."""
    evaluation, dimensions = finding.evaluation, finding.spec.output.size
    details: Details = evaluation.details
    own, curve = evaluation.scores.get("explained_variance"), details.components.curve
    if own is None or not len(curve):
        return Section("variance")
    enough = np.flatnonzero(curve >= own)
    most = f"more than {len(curve)}" if not len(enough) else f"{int(enough[0]) + 1}"
    sentence = f"PCA needs {most} numbers to keep as much as the network with {dimensions:,}."
    drawing = figure(plots.variance(curve, dimensions, own), sentence)
    values = [round(float(v), 4) for v in curve]
    html = section("Explained variance", "variance", drawing)
    return Section("variance", "Explained variance", "comparison", html, {"pca_explained_variance": values})


def _columns(finding: Finding) -> Section:
    """Which columns each coordinate goes with."""
    evaluation, session = finding.evaluation, finding.session
    names = coordinates.names(session)
    layout = session.task.state.layout
    ranking = relations.relations(evaluation.target, evaluation.answers["latent"], layout)
    sign = {1: " (rises with it)", -1: " (falls with it)", 0: ""}
    rows = [
        [f"<b>{name}</b>", "; ".join(f"{escape(r.column, 40)} {percent(r.share)}{sign[r.sign]}" for r in one) or "none"]
        for name, one in zip(names, ranking, strict=False)
    ]
    lead = "How much of a coordinate each column says by itself, of the test rows; a curved relation counts less."
    title = "What coordinates go with"
    body = f'<p class="quiet lead">{lead}</p>{table(("coordinate", "columns"), rows)}'
    return Section("columns", title, "comparison", section(title, "columns", body),
                   {"relations": relations.facts(ranking, names)})  # fmt: skip


def _worst(finding: Finding) -> Section:
    """The rows that are reconstructed worst, and which columns are."""
    evaluation = finding.evaluation
    details: Details = evaluation.details
    error, title = evaluation.answers["error"], "What is lost"
    worst = np.argsort(-error, kind="stable")[:WORST]
    rows: list[Row] = [{"row": int(details.places[i]) + 1, "error": float(error[i])} for i in worst.tolist()]
    body = reconstructions.reconstruction_errors(finding, worst) if operation.has_decoder(finding.session) else ""
    quantiles = np.quantile(error, [0.5, 0.9, 1.0]).tolist()
    pairs = zip(("median error of a row", "of the worst tenth, more than", "the largest"), quantiles, strict=True)
    parts = [facts([(name, number(value)) for name, value in pairs]), body]
    return Section("worst", title, "errors", section(title, "worst", *parts), {"worst": rows})


def notes(finding: Finding) -> list[str]:
    """What a person should know of how rows were evaluated."""
    evaluation, dimensions = finding.evaluation, finding.spec.output.size
    width = evaluation.target.shape[1]
    sentences = []
    if dimensions >= width:
        cure = "Ask for fewer: --set task.dimensions=N"
        sentences.append(f"Rows are {width:,} numbers each, and {dimensions:,} coordinates reduce nothing. {cure}")
    target = finding.session.target
    if target is not None and not evaluation.details.labels:
        sentences.append(
            f"'{target}' has no labels, or too many different ones to be classes: nothing is evaluated by it."
        )
    return sentences


def summary(finding: Finding) -> Summary:
    """What the terminal shows beside scores: how to get coordinates, and how to turn them back."""
    bundle, session = finding.folder / "bundle", finding.session
    commands = {"project": f"lamina predict {bundle} DATA -o coordinates.csv"}
    if operation.has_decoder(session):
        output = "images" if coordinates.sort(session) == "images" else "rows.csv"
        commands["invert"] = f"lamina inverse_transform {bundle} coordinates.csv -o {output}"
    sentences = notes(finding)
    return Summary(commands=commands, facts={"notes": sentences} if sentences else {})
