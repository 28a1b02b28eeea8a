"""The report of denoising: before and after, what was taken off, and how good it is at each level of noise."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lamina.evaluate import baselines as registry
from lamina.evaluate import verdict
from lamina.evaluate.images.thumbnails import under
from lamina.evaluate.markup import figure, number, section, table
from lamina.evaluate.metrics import label
from lamina.evaluate.verdict import Wording
from lamina.experiment import Baseline, Conclusion, Finding, Section, Summary
from lamina.preprocess.image.codec import as_png
from lamina.schema import Row
from lamina.tasks.denoising import baselines as filters
from lamina.tasks.denoising import metrics, plots
from lamina.tasks.denoising.evaluation import Details
from lamina.tasks.denoising.state import State

EXAMPLES = 4  # cases before and after
LARGEST, SMALLEST, GAP = 192, 96, 3  # pixels a side that are shown of an image, of a small one enlarged; between two
STRONGER = 4  # times that what was taken off is shown
WORDING = Wording(
    verb="restores",
    activity="restoring",
    best="The network takes noise off {subject} better than {rival}: {facts}",
)


def conclude(finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
    """One honest sentence by the primary score."""
    experiment, evaluation = finding.experiment, finding.evaluation
    state: State = finding.session.task.state
    scores = {name: baseline.scores for name, baseline in baselines.items()}
    subject = {"image": "images", "series": "recordings", "table": "measurements"}[state.form]
    sentence = verdict.sentence(experiment.metrics[0], evaluation.scores, scores, subject, evaluation.interval, WORDING)
    cases = evaluation.details.cases
    rows, levels = len({case.row for case in cases}), sorted({case.sigma for case in cases})
    what = {"image": "images", "series": "recordings", "table": "stretch of the table"}[state.form]
    how = "with the noise they came with" if state.sigma is None else (
        f"with added noise of deviation {', '.join(f'{level:g}' for level in levels)}"
    )  # fmt: skip
    measured = f"Measured on {rows:,} {what} that played no part in training, {how}."
    return Conclusion(sentence, subject, measured=measured)


def sections(finding: Finding, baselines: Mapping[str, Baseline]) -> Iterator[Section]:
    """Before and after, and scores by level."""
    best = _best(finding, baselines)
    yield _before_and_after(finding, baselines, best)
    yield _levels(finding, baselines)


def _best(finding: Finding, baselines: Mapping[str, Baseline]) -> str:
    """The filter with the best primary score."""
    primary = finding.experiment.metrics[0]
    able = [name for name in baselines if name != "noisy"]
    return max(able, key=lambda name: baselines[name].scores.get(primary) or -np.inf)


def _examples(finding: Finding) -> list[int]:
    """The median case of each level, then those of the top losses."""
    evaluation, primary = finding.evaluation, finding.experiment.metrics[0]
    scores, sigma = evaluation.answers[primary], evaluation.answers["sigma"]
    rows = []
    for level in sorted(set(sigma.tolist())):
        own = np.flatnonzero(sigma == level)
        rows.append(int(own[np.argsort(scores[own], kind="stable")[len(own) // 2]]))
    worst = [int(i) for i in np.argsort(scores, kind="stable") if int(i) not in rows]
    return [*rows, *worst][:EXAMPLES]


def _before_and_after(finding: Finding, baselines: Mapping[str, Baseline], best: str) -> Section:
    state, details = finding.session.task.state, finding.evaluation.details
    draw = _images if state.form == "image" else _series
    figures = [draw(details, place, baselines, best) for place in _examples(finding)]
    lead = (
        f"Noisy, the network's prediction, {registry.label(best)} at its best strength, clean, and what the network "
        f"took off, {STRONGER} times as strong. The median image of each level of noise, then the top losses."
        if state.form == "image"
        else f"Noisy in grey, the network's prediction in blue, {registry.label(best)} in orange, clean in black."
    )
    body = "\n".join(figures)
    return Section("before_after", "Before and after", "comparison",
                   section("Before and after", "before_after", under("Examples", lead, body)))  # fmt: skip


def _images(details: Details, place: int, baselines: Mapping[str, Baseline], best: str) -> str:
    case, answer = details.cases[place], details.answers[place]
    rival = filters.apply("image", best, int(baselines[best].answers["strength"][place]), case.noisy)
    removed = 0.5 + STRONGER * (case.noisy - answer)
    named = {"noisy": case.noisy, "network": answer, registry.label(best): rival}
    scores = (f"{name} {metrics.decibels('image', case.clean, values):.2f} dB" for name, values in named.items())
    level = f"<b>deviation {case.sigma:g}:</b> " if case.sigma else ""
    sheet = _sheet([_bytes(values) for values in (*named.values(), case.clean, removed)])
    return f'<figure class="shot">{sheet}<figcaption>{level}{", ".join(scores)}</figcaption></figure>'


def _sheet(images: list[np.ndarray]) -> str:
    """Images side by side in one PNG, pixel by pixel: JPEG, which the page has elsewhere, would change noise."""
    zoom = max(1, SMALLEST // images[0].shape[1])
    large = [one.repeat(zoom, axis=0).repeat(zoom, axis=1) for one in images]
    gap = np.full((large[0].shape[0], GAP, large[0].shape[2]), 255, np.uint8)
    parts = [part for one in large for part in (one, gap)][:-1]
    whole = np.concatenate(parts, axis=1)
    body = base64.b64encode(as_png(whole)).decode()
    size = f'width="{whole.shape[1]}" height="{whole.shape[0]}"'
    alt = "noisy, network, filter, clean, taken off"
    return f'<img class="sheet" style="margin-bottom:4px" {size} alt="{alt}" src="data:image/png;base64,{body}">'


def _bytes(values: np.ndarray) -> np.ndarray:
    """The middle of an image as it is shown, pixel by pixel."""
    height, width = values.shape[:2]
    top, left = max(0, (height - LARGEST) // 2), max(0, (width - LARGEST) // 2)
    piece = values[top : top + LARGEST, left : left + LARGEST]
    return np.rint(np.clip(piece, 0, 1) * 255).astype(np.uint8)


def _series(details: Details, place: int, baselines: Mapping[str, Baseline], best: str) -> str:
    case, answer = details.cases[place], details.answers[place]
    rival = filters.apply("series", best, int(baselines[best].answers["strength"][place]), case.noisy)
    own, other, noisy = (metrics.decibels("series", case.clean, values) for values in (answer, rival, case.noisy))
    caption = f"noisy {noisy:.2f} dB, network {own:.2f} dB, {registry.label(best)} {other:.2f} dB"
    level = f"deviation {case.sigma:g}: " if case.sigma else ""
    return figure(plots.before_after(case.clean, case.noisy, answer, rival), f"<b>{level}</b>{caption}")


def _levels(finding: Finding, baselines: Mapping[str, Baseline]) -> Section:
    """Scores of the network and of each filter by level of noise."""
    evaluation, names = finding.evaluation, finding.experiment.metrics
    sigma = evaluation.answers["sigma"]
    levels = sorted(set(sigma.tolist()))
    if len(levels) < 2:
        return Section("levels")
    primary = names[0]
    methods: dict[str, Any] = {"network": evaluation.answers} | {
        registry.label(name): baseline.answers for name, baseline in baselines.items()
    }
    means = {name: [float(own[primary][sigma == level].mean()) for level in levels] for name, own in methods.items()}
    rows = [[name, *(number(value) for value in values)] for name, values in means.items()]
    heads = [label(primary), *(f"deviation {level:g}" for level in levels)]
    numbers = table(heads, rows, range(1, len(heads)), 0)
    drawing = figure(plots.by_level(levels, means, label(primary)))
    facts: Row = {"levels": {f"{level:g}": {name: values[i] for name, values in means.items()}
                             for i, level in enumerate(levels)}}  # fmt: skip
    html = section("By level of noise", "levels", f'<div class="beside">{drawing}</div>', numbers)
    return Section("levels", "By level of noise", "comparison", html, facts)


def summary(finding: Finding) -> Summary:
    """What the terminal shows beside scores: how to use it on files."""
    if finding.session.task.state.form != "image":
        return Summary()
    return Summary(commands={"denoise": f"lamina predict {finding.folder / 'bundle'} noisy/ -o clean"})
