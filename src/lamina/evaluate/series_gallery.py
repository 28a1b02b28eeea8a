"""What there is to see of series: what those of one answer look like on average, and those with the top losses."""

import html
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.evaluate.images.thumbnails import figure, grid, percent, text, under, words
from lamina.evaluate.markup import number
from lamina.experiment import Finding
from lamina.schema import Row

WORST, CLASSES, SAMPLES, CHANNELS = 12, 12, 5, 6
WIDTH, HEIGHT, LEFT, BELOW, POINTS = 280, 120, 40, 16, 280  # pixels; points drawn of one line at most
HIGHEST = 1e30  # the largest number of a plot
COLOURS = tuple(f"var(--{name})" for name in ("accent", "warm", "green", "violet", "gold", "quiet"))
FAINT = "var(--grey3)"


class Line(NamedTuple):
    """Values (steps,) with NaN where nothing is, and how they are drawn."""

    values: np.ndarray
    colour: str
    width: float = 1.6
    shade: float = 1.0


class _Series(NamedTuple):
    """The first column of series in a run: (rows, steps, channels) by part in the data's own unit, and true targets."""

    finding: Finding
    column: str
    parts: Mapping[str, np.ndarray]
    truth: Mapping[str, np.ndarray]

    @property
    def task(self) -> Any:
        return self.finding.experiment.task

    def groups(self) -> dict[str, np.ndarray]:
        """Training rows by answer: the classes, or the lowest, middle and highest third of the numbers."""
        truth = self.truth["train"]
        if self.task.classes:
            return {name: np.flatnonzero(truth == code) for code, name in enumerate(self.task.classes)}
        order = [rows for rows in np.array_split(np.argsort(truth, kind="stable"), 3) if len(rows)]
        names = [f"{number(float(truth[rows[0]]))} to {number(float(truth[rows[-1]]))}" for rows in order]
        return dict(zip(names, order, strict=True))


def pieces(finding: Finding) -> tuple[Row, dict[str, str]]:
    """Facts for `report.json` and pieces of the page by name (`class_means`, `worst_series`); both are empty without
    series, or where rows have no single answer.
    """
    prep, task, evaluation = finding.session.prep, finding.experiment.task, finding.evaluation
    places = [place for place, column in enumerate(prep.columns) if column.kind == "series"]
    losses = task.losses(evaluation.answers, evaluation.target) if places else None
    if losses is None:
        return {}, {}
    place = places[0]
    state = prep.states[place].model_dump()
    mean, std = (np.clip(state[name], -HIGHEST, HIGHEST).astype(np.float32) for name in ("mean", "std"))
    arrays = {name: np.asarray(finding.examples[name].inputs[f"series{place}"]) for name in ("train", "test")}
    parts = {name: array * std + mean for name, array in arrays.items()}
    truth = {"train": task.truth(np.asarray(finding.examples["train"].target)), "test": evaluation.target}
    series = _Series(finding, prep.columns[place].name, parts, truth)
    worst, figures = _worst(series, losses)
    steps, channels = parts["train"].shape[1:]
    facts: Row = {"column": series.column, "steps": steps, "channels": channels, "losses": worst}
    html = {"class_means": _means(series), "worst_series": figures}
    return facts, {name: piece for name, piece in html.items() if piece}


def _means(series: _Series) -> str:
    """For each class the mean of its training series, with a few of them behind it."""
    train, groups = series.parts["train"], series.groups()
    rng = np.random.default_rng(0)
    several = train.shape[2] > 1
    groups = {name: rows for name, rows in list(groups.items())[:CLASSES] if len(rows)}
    means = {name: _mean(train[rows]) for name, rows in groups.items()}
    samples = {name: train[rng.permutation(rows)[:SAMPLES]] for name, rows in groups.items()}
    limits = value_limits(
        [*means.values()] if several else [*means.values(), *(p.reshape(-1) for p in samples.values())]
    )
    figures = []
    for name, rows in groups.items():
        lines = [] if several else [Line(one[:, 0], FAINT, 0.8, 0.7) for one in samples[name]]
        lines += [
            Line(means[name][:, c], COLOURS[c], 2.2 - several * 0.6) for c in range(min(CHANNELS, train.shape[2]))
        ]
        caption = f"<b>{words(name)}</b><br>{len(rows):,} training series"
        figures.append(figure([drawing(lines, limits, f"mean of the training series: {name}")], caption))
    of = "each class" if series.task.classes else "low, middle and high targets"
    lead = f"The mean of the training series of {of}, column {words(series.column)}, in the data’s own unit"
    if several:
        lead += f"; one line for each channel{f', the first {CHANNELS}' if train.shape[2] > CHANNELS else ''}."
    else:
        lead += f", and {SAMPLES} of them in grey."
    return under("What they look like", lead, grid(figures, "wide"))


def _worst(series: _Series, losses: np.ndarray) -> tuple[list[Row], str]:
    """The test series with the highest loss, beside the means of what they are and what they were taken for."""
    target, test, answers = series.truth["test"], series.parts["test"], series.finding.evaluation.answers
    groups = series.groups() if series.task.classes and test.shape[2] == 1 else {}
    means = {name: _mean(series.parts["train"][rows])[:, 0] for name, rows in groups.items() if len(rows)}
    worst, figures = list[Row](), list[str]()
    for row in np.argsort(-losses, kind="stable")[:WORST].tolist():
        value, chance = series.task.spoken(answers, row)
        actual, answer = text(series.task.label(target[row])), text(value)
        loss = float(losses[row])
        worst.append({"row": row, "actual": actual, "predicted": answer, "probability": chance, "loss": loss})
        lines = [Line(means[actual], COLOURS[0], 1.2, 0.55)] if actual in means else []
        lines += [Line(means[answer], COLOURS[1], 1.2, 0.55)] if answer in means and answer != actual else []
        if test.shape[2] > 1:
            lines += [Line(test[row, :, c], COLOURS[c], 1.1) for c in range(min(CHANNELS, test.shape[2]))]
        else:
            lines.append(Line(test[row, :, 0], "var(--ink)", 1.5))
        limits = value_limits([test[row], *(line.values for line in lines)])
        caption = _caption(row, actual, answer, chance, loss)
        figures.append(figure([drawing(lines, limits, f"test series {row + 1}")], caption))
    lead = f"The {len(worst)} test series with the highest loss, the worst first: look for wrong labels among them."
    if means:
        lead += " Blue is the mean of what they are, orange the mean of what they were taken for."
    return worst, under("Top losses", lead, grid(figures, "wide"))


def _caption(row: int, actual: str, answer: str, chance: float | None, loss: float) -> str:
    what = "off by" if chance is None else "loss"
    below = f'<br><span class="path">test row {row + 1:,}, {what} {number(loss)}</span>'
    if actual == answer:
        return f"<b>{words(actual)}</b>, right" + (f", {percent(chance)} sure" if chance is not None else "") + below
    sure = f", <b>{percent(chance)}</b> sure" if chance is not None else ""
    return f"<b>{words(actual)}</b> taken for {words(answer)}{sure}{below}"


def _mean(series: np.ndarray) -> np.ndarray:
    """(steps, channels) over series, each step over those that are that long."""
    there = ~np.isnan(series)
    count = there.sum(axis=0)
    total = np.where(there, series, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def value_limits(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """The lowest and the highest of all values, apart even where these are the same."""
    flat = np.concatenate([np.asarray(v).reshape(-1) for v in values])
    flat = flat[np.isfinite(flat)]
    low, high = (float(flat.min()), float(flat.max())) if len(flat) else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def drawing(lines: Sequence[Line], limits: tuple[float, float], label: str) -> str:
    """Lines over one another as SVG, with the highest and lowest value and the number of steps beside them."""
    low, high = limits
    steps = max(len(line.values) for line in lines)
    right, bottom = WIDTH - 4, HEIGHT - BELOW
    paths = []
    for line in lines:
        at = np.flatnonzero(np.isfinite(line.values))
        if len(at) > POINTS:  # the extremes of each piece, so that no peak is lost
            parts = np.array_split(at, POINTS // 2)
            at = np.unique([p[f(line.values[p])] for p in parts for f in (np.argmin, np.argmax)])
        x = LEFT + at / max(1, steps - 1) * (right - LEFT)
        y = 6 + (high - line.values[at]) / (high - low) * (bottom - 12)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
        paths.append(
            f'<polyline points="{points}" fill="none" style="stroke:{line.colour}" stroke-width="{line.width}" '
            f'opacity="{line.shade}" stroke-linejoin="round"/>'
        )
    axis = f'<path d="M{LEFT},2V{bottom}H{right}" fill="none" style="stroke:var(--axis)" stroke-width="0.8"/>'
    small = 'font-size="10" style="fill:var(--quiet)"'
    texts = (
        f'<text x="{LEFT - 4}" y="10" text-anchor="end" {small}>{_short(high)}</text>'
        f'<text x="{LEFT - 4}" y="{bottom - 2}" text-anchor="end" {small}>{_short(low)}</text>'
        f'<text x="{right}" y="{HEIGHT - 4}" text-anchor="end" {small}>{steps:,} steps</text>'
    )
    return (
        f'<svg class="line" viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" '
        f'aria-label="{html.escape(label, quote=True)}">{axis}{"".join(paths)}{texts}</svg>'
    )


def _short(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
