"""The report: how scores are spread, how well they tell anomalies where labels say, and what the highest scores are
attributed to. Never the cells of a row: its number, and its columns.
"""

import shlex
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import cast

import numpy as np
import pyarrow as pa

from lamina.evaluate import baselines as baseline_names
from lamina.evaluate import verdict
from lamina.evaluate.images import thumbnails
from lamina.evaluate.markup import escape, figure, number, section, table
from lamina.evaluate.plots.figures import NETWORK
from lamina.evaluate.plots.timeline import PARTS, timeline
from lamina.evaluate.verdict import Wording
from lamina.experiment import Baseline, Conclusion, Finding, Section, Summary
from lamina.schema import Row
from lamina.tasks.anomaly_detection import heat_map, metrics, plots, scoring
from lamina.tasks.anomaly_detection.evaluation import Details
from lamina.tasks.anomaly_detection.operation import TOP, promised
from lamina.tasks.anomaly_detection.plots import Track
from lamina.tasks.anomaly_detection.state import State

TOP_ANOMALIES, IMAGES = 15, 8
COLUMNS = 4  # of a recording that are drawn
SIDE = 420  # pixels of a strip of images
WORDING = Wording(
    verb="tells anomalies from normal rows",
    activity="telling anomalies from normal rows",
    best="The network tells anomalies from normal rows better than {rival}: {facts}",
)


def conclude(finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
    """By labels where they say what is an anomaly; else whether as many rows are flagged as were promised."""
    experiment, evaluation = finding.experiment, finding.evaluation
    what = noun(experiment.task.state)
    measured = f"Measured on {len(evaluation.target):,} {what} that played no part in training."
    if not metrics.has_both(evaluation.target):
        return Conclusion(_unlabelled_conclusion(finding), what, measured=measured, warns=False)
    scores = {name: baseline.scores for name, baseline in baselines.items()}
    sentence = verdict.sentence(experiment.metrics[0], evaluation.scores, scores, what, evaluation.interval, WORDING)
    return Conclusion(sentence, what, measured=measured)


def noun(state: State) -> str:
    return "steps" if state.recording else "rows"


def _unlabelled_conclusion(finding: Finding) -> str:
    what, promise = noun(finding.experiment.task.state), promised(finding.experiment.task.cfg)
    share = _percent(float(finding.evaluation.answers["flag"].mean()))
    return (
        f"{share} of the test {what} are flagged, where {promise} was promised. Whether they are anomalies only labels "
        "can tell: --target COLUMN"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def sections(finding: Finding, baselines: Mapping[str, Baseline]) -> Iterator[Section]:
    """Scores and curves; the recording; the top anomalies, and images."""
    session, evaluation = finding.session, finding.evaluation
    limit = session.task.state.threshold
    drawing = plots.histogram(evaluation.answers["score"], evaluation.target, limit)
    share = _percent(float(evaluation.answers["flag"].mean()))
    caption = (
        f"{share} are flagged; {promised(session.task.cfg)} was to be. A score of 2 is one normal row in a hundred, of "
        "3 one in a thousand."
    )
    curves = "".join(figure(svg) for svg in _curves(finding, baselines))
    body = figure(drawing, caption) + (f'<div class="beside">{curves}</div>' if curves else "")
    facts: Row = {"anomalies": {"threshold": round(limit, 4), **_facts(finding)}}
    yield Section("spread", "Scores", "comparison", section("Scores", "spread", body), facts)
    if session.task.state.recording is not None:
        body = _whole(finding) + figure(
            plots.track(_track(finding), limit), "The test part. Orange: flagged steps. Shaded: anomalies, by label."
        )
        yield Section("recording", "The recording", "comparison", section("The recording", "recording", body))
    if next(iter(finding.spec.inputs.values())).kind == "image":
        body = _images(finding)
        yield Section("strange_images", "Most anomalous images", "errors",
                      section("Most anomalous images", "strange-images", body))  # fmt: skip
    yield _top_anomalies(finding)


def _facts(finding: Finding) -> Row:
    evaluation, cfg = finding.evaluation, finding.session.task.cfg
    flag, target = evaluation.answers["flag"], evaluation.target
    return {
        "training": cfg.training,
        "false_alarm_rate": cfg.false_alarm_rate,
        "contamination": cfg.contamination,
        "flagged": int(flag.sum()),
        "rows": len(flag),
        "labelled": int((target >= 0).sum()),
        "anomalies": int((target == 1).sum()),
    }


def _curves(finding: Finding, baselines: Mapping[str, Baseline]) -> list[str]:
    evaluation = finding.evaluation
    if not metrics.has_both(evaluation.target):
        return []
    own = {NETWORK: (evaluation.answers["score"], evaluation.scores)}
    others = {baseline_names.label(n): (one.answers["score"], one.scores) for n, one in baselines.items()}
    every = own | others
    scores = {name: score for name, (score, _) in every.items()}
    areas = {
        name: (float(values["ranking_auc"] or 0), float(values["ranking_precision"] or 0))
        for name, (_, values) in every.items()
    }
    return plots.curves(evaluation.target, scores, areas)


def _recorded(finding: Finding, rows: pa.Table) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The first columns of numbers of a recording by name, the times of its steps, and their values."""
    session = finding.session
    state: State = session.task.state
    assert state.recording is not None and state.layout is not None
    names = [place.name for place in state.layout.columns if place.kind != "category"][:COLUMNS]
    cells = session.prep.parse(rows, [*names, state.recording.time])
    times = cells[state.recording.time]
    stamps = times.cast(pa.timestamp("s")).to_numpy() if pa.types.is_timestamp(times.type) else np.arange(len(times))
    values = [cells[name].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) for name in names]
    return names, stamps, np.stack(values, axis=1)


def _whole(finding: Finding) -> str:
    """The recording from its first step to its last, with the parts it is cut into."""
    splits = finding.experiment.splits
    names, times, values = _recorded(finding, pa.concat_tables(splits))
    edges = np.cumsum([0, *(part.num_rows for part in splits)]).tolist()
    parts: dict[str, tuple[int, int]] = dict(zip(PARTS, pairwise(edges), strict=True))
    drawings = (figure(timeline(name, times, values[:, i], parts)) for i, name in enumerate(names))
    return f'<div class="beside">{"".join(drawings)}</div>'


def _track(finding: Finding) -> Track:
    """The test part of a recording, its first columns."""
    details = cast(Details, finding.evaluation.details)
    rows = finding.experiment.test
    names, stamps, values = _recorded(finding, rows)
    truth = np.full(rows.num_rows, -1)
    truth[details.has_score] = finding.evaluation.target
    row_scores = details.row_scores
    return Track(stamps, values, names, row_scores.score, row_scores.flag, truth)


def _top_anomalies(finding: Finding) -> Section:
    """The test rows with the highest scores, by their number, and what these are attributed to."""
    session, details = finding.session, cast(Details, finding.evaluation.details)
    score, flag, attributions = details.row_scores
    names, _ = scoring.owners(session.task.state, next(iter(finding.spec.inputs.values())))
    order = np.argsort(-np.nan_to_num(score, nan=-1.0), kind="stable")[:TOP_ANOMALIES]
    target = np.full(len(score), -1)
    target[details.has_score] = finding.evaluation.target
    lines, rows = list[list[str]](), list[Row]()
    for row in order[~np.isnan(score[order])].tolist():
        top = np.argsort(-attributions[row], kind="stable")[: min(TOP, len(names))]
        shares = {names[i]: round(float(attributions[row, i]), 3) for i in top}
        label = {1: "anomaly", 0: "normal"}.get(int(target[row]), "")
        rows.append(
            {"row": row + 1, "score": round(float(score[row]), 3), "flag": bool(flag[row]), "attributions": shares}
        )
        because = ", ".join(f"{escape(name, 40)} {share:.0%}" for name, share in shares.items())
        marks = "yes" if flag[row] else "no"
        cells = [f"{row + 1:,}", number(float(score[row])), f"{10.0 ** -score[row]:.1e}", marks, because, label]
        lines.append(cells)
    heads = [f"test {noun(session.task.state)[:-1]}", "score", "probability", "flagged", "attributed to", "label"]
    keep = [i for i in range(len(heads)) if any(line[i] for line in lines)]
    body = table([heads[i] for i in keep], [[line[i] for i in keep] for line in lines], (0, 1, 2))
    title = f"Most anomalous {noun(session.task.state)}"
    return Section("top_anomalies", title, "errors", section(title, "top-anomalies", body), {"top_anomalies": rows})


def _images(finding: Finding) -> str:
    """The most anomalous test images, what the network makes of each, and where the error is."""
    details = cast(Details, finding.evaluation.details)
    order = np.argsort(-np.nan_to_num(details.row_scores.score, nan=-1.0), kind="stable")[:IMAGES]
    ((name, values),) = finding.examples["test"].inputs.items()
    images = np.asarray(values)[order]
    rebuilt = finding.session.run({name: images})["reconstruction"]
    shots = [
        thumbnails.figure([thumbnails.shot(strip, f"test image {row + 1}", SIDE)], _words(row, details))
        for row, strip in zip(order.tolist(), heat_map.strips(images, rebuilt), strict=True)
    ]
    lead = '<p class="quiet lead">Each image, what the network makes of it, and where these differ.</p>'
    return lead + thumbnails.grid(shots, "wide")


def _words(row: int, details: Details) -> str:
    """What stands below a test image."""
    flag = ", flagged" if details.row_scores.flag[row] else ""
    return f"test image {row + 1:,}: score {number(float(details.row_scores.score[row]))}{flag}"


def summary(finding: Finding) -> Summary:
    """What is flagged, and a command that flags more."""
    facts = _facts(finding)
    what = noun(finding.experiment.task.state)
    sentence = f"{facts['flagged']:,} of {facts['rows']:,} test {what} are flagged."
    command = f"lamina predict {shlex.quote(str(finding.session.bundle.path))} DATA -o scores.csv"
    return Summary(sentences=(sentence,), commands={"score": command}, facts={"anomalies": facts})
