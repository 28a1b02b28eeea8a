"""What there is to see of series: what those of one answer look like on average, and those with the worst answers."""

import html
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina.deploy.predictor import Predictor
from lamina.evaluate.images.thumbnails import figure, grid, percent, under, words
from lamina.evaluate.markup import number
from lamina.experiment import Case
from lamina.schema import Row
from lamina.train.settings import Data

WORST, CLASSES, SAMPLES, CHANNELS = 12, 12, 5, 6
WIDTH, HEIGHT, LEFT, BELOW, POINTS = 280, 120, 40, 16, 280  # pixels; points drawn of one line at most
COLOURS = ("var(--accent)", "#c8501e", "#2a7d4f", "#7a4fb5", "#8a6d1f", "#5c6672")
FAINT = "#9aa3ad"


class Line(NamedTuple):
    """Values (steps,) with NaN where nothing is, and how they are drawn."""

    values: np.ndarray
    colour: str
    width: float = 1.6
    shade: float = 1.0


class _Seen(NamedTuple):
    """The first column of series in a run: (rows, steps, channels) by part in the data's own unit, and the labels."""

    column: str
    parts: Mapping[str, np.ndarray]
    truth: Mapping[str, np.ndarray]
    classes: tuple[str, ...]
    answers: Mapping[str, np.ndarray]

    def groups(self) -> dict[str, np.ndarray]:
        """Training rows by answer: the classes, or the lowest, middle and highest third of the numbers."""
        truth = self.truth["train"]
        if self.classes:
            return {name: np.flatnonzero(truth == code) for code, name in enumerate(self.classes)}
        order = np.array_split(np.argsort(truth, kind="stable"), 3)
        told = [f"{number(float(truth[o[0]]))} to {number(float(truth[o[-1]]))}" for o in order if len(o)]
        return dict(zip(told, (o for o in order if len(o)), strict=True))

    def label(self, value: float) -> str:
        return self.classes[int(value)] if self.classes else number(float(value))


def made(
    case: Case, predictor: Predictor, score: Mapping[str, Any], arrays: Mapping[str, Data]
) -> tuple[Row, dict[str, str]]:
    """Facts for `report.json` and pieces of the page by name; both empty without series, or with several labels."""
    prep = predictor.bundle.prep
    found = [(i, column) for i, column in enumerate(prep.used) if column.kind == "series"]
    if not found or np.ndim(score["target"]) != 1:
        return {}, {}
    place, column = found[0]
    state = prep.states[place].model_dump()
    mean, std = (np.array(state[name], np.float32) for name in ("mean", "std"))
    parts = {name: np.asarray(arrays[name].inputs[f"series{place}"]) * std + mean for name in ("train", "test")}
    truth = {"train": case.task.truth(arrays["train"].target, case.state), "test": score["target"]}
    classes = tuple(case.state.model_dump().get("classes", ()))
    seen = _Seen(column.name, parts, truth, classes, score["answers"])
    worst, shown = _worst(seen)
    steps, channels = parts["train"].shape[1:]
    facts: Row = {"column": column.name, "steps": steps, "channels": channels, "losses": worst}
    return facts, {name: piece for name, piece in {"class_means": _means(seen), "worst_series": shown}.items() if piece}


def _means(seen: _Seen) -> str:
    """For each class the mean of its training series, with a few of them behind it."""
    train, groups = seen.parts["train"], seen.groups()
    rng = np.random.default_rng(0)
    figures = []
    several = train.shape[2] > 1
    shown = {name: rows for name, rows in list(groups.items())[:CLASSES] if len(rows)}
    means = {name: _mean(train[rows]) for name, rows in shown.items()}
    picked = {name: train[rng.permutation(rows)[:SAMPLES]] for name, rows in shown.items()}
    limits = _limits([*means.values()] if several else [*means.values(), *(p.reshape(-1) for p in picked.values())])
    for name, rows in shown.items():
        lines = [] if several else [Line(one[:, 0], FAINT, 0.8, 0.7) for one in picked[name]]
        lines += [
            Line(means[name][:, c], COLOURS[c], 2.2 - several * 0.6) for c in range(min(CHANNELS, train.shape[2]))
        ]
        told = f"<b>{words(name)}</b><br>{len(rows):,} training series"
        figures.append(figure([_drawn(lines, limits, f"mean of the training series: {name}")], told))
    of = "each class" if seen.classes else "low, middle and high targets"
    lead = f"The mean of the training series of {of}, column {words(seen.column)}, in the data’s own unit"
    if several:
        lead += f"; one line for each channel{f', the first {CHANNELS}' if train.shape[2] > CHANNELS else ''}."
    else:
        lead += f", and {SAMPLES} of them in grey."
    return under("What they look like", lead, grid(figures, "wide"))


def _worst(seen: _Seen) -> tuple[list[Row], str]:
    """The test series with the highest loss, beside the means of what they are and what they were taken for."""
    target, test = seen.truth["test"], seen.parts["test"]
    if "probabilities" in seen.answers:
        chances = seen.answers["probabilities"]
        loss = -np.log(np.maximum(chances[np.arange(len(target)), target.astype(int)], 1e-15))
        predicted, sure = chances.argmax(axis=1), chances.max(axis=1)
    else:
        predicted, sure = seen.answers["prediction"], None
        loss = np.abs(predicted - target)
    groups = seen.groups() if seen.classes and test.shape[2] == 1 else {}
    means = {name: _mean(seen.parts["train"][rows])[:, 0] for name, rows in groups.items() if len(rows)}
    found, figures = [], []
    for row in np.argsort(-loss, kind="stable")[:WORST].tolist():
        actual, guess = seen.label(float(target[row])), seen.label(float(predicted[row]))
        chance = None if sure is None else float(sure[row])
        found.append(
            {"row": row, "actual": actual, "predicted": guess, "probability": chance, "loss": float(loss[row])}
        )
        lines = [Line(means[actual], COLOURS[0], 1.2, 0.55)] if actual in means else []
        lines += [Line(means[guess], COLOURS[1], 1.2, 0.55)] if guess in means and guess != actual else []
        if test.shape[2] > 1:
            lines += [Line(test[row, :, c], COLOURS[c], 1.1) for c in range(min(CHANNELS, test.shape[2]))]
        else:
            lines.append(Line(test[row, :, 0], "var(--ink)", 1.5))
        limits = _limits([test[row], *(line.values for line in lines)])
        told = _told(row, actual, guess, chance, float(loss[row]))
        figures.append(figure([_drawn(lines, limits, f"test series {row + 1}")], told))
    lead = f"The {len(found)} test series with the highest loss, the worst first: look for wrong labels among them."
    if means:
        lead += " Blue is the mean of what they are, orange the mean of what they were taken for."
    return found, under("The worst answers", lead, grid(figures, "wide"))


def _told(row: int, actual: str, guess: str, chance: float | None, loss: float) -> str:
    what = "off by" if chance is None else "loss"
    below = f'<br><span class="path">test row {row + 1:,}, {what} {number(loss)}</span>'
    if actual == guess:
        return f"<b>{words(actual)}</b>, right" + (f", {percent(chance)} sure" if chance is not None else "") + below
    sure = f", <b>{percent(chance)}</b> sure" if chance is not None else ""
    return f"<b>{words(actual)}</b> taken for {words(guess)}{sure}{below}"


def _mean(series: np.ndarray) -> np.ndarray:
    """(steps, channels) over series, each step over those that are that long."""
    there = ~np.isnan(series)
    count = there.sum(axis=0)
    total = np.where(there, series, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _limits(values: Sequence[np.ndarray]) -> tuple[float, float]:
    flat = np.concatenate([np.asarray(v).reshape(-1) for v in values])
    flat = flat[np.isfinite(flat)]
    low, high = (float(flat.min()), float(flat.max())) if len(flat) else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _drawn(lines: Sequence[Line], limits: tuple[float, float], label: str) -> str:
    """Lines over one another as SVG, with the highest and lowest value and the number of steps beside them."""
    low, high = limits
    steps = max(len(line.values) for line in lines)
    right, bottom = WIDTH - 4, HEIGHT - BELOW
    paths = []
    for line in lines:
        keep = np.flatnonzero(np.isfinite(line.values))
        if len(keep) > POINTS:  # the extremes of each piece, so that no peak is lost
            pieces = np.array_split(keep, POINTS // 2)
            keep = np.unique([p[f(line.values[p])] for p in pieces for f in (np.argmin, np.argmax)])
        x = LEFT + keep / max(1, steps - 1) * (right - LEFT)
        y = 6 + (high - line.values[keep]) / (high - low) * (bottom - 12)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
        paths.append(
            f'<polyline points="{points}" fill="none" style="stroke:{line.colour}" stroke-width="{line.width}" '
            f'opacity="{line.shade}" stroke-linejoin="round"/>'
        )
    axis = f'<path d="M{LEFT},2V{bottom}H{right}" fill="none" stroke="#aeb5bd" stroke-width="0.8"/>'
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
