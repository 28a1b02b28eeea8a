"""Plots of scores, arrays in and SVG text out: how they are spread, curves by labels, a recording with its flags."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lamina.evaluate.plots import figures
from lamina.evaluate.plots.canvas import ACCENT, GREYS, INK, QUIET, WARM, figure, legend, panel, style, svg, text
from lamina.evaluate.plots.timeline import date_axis

BINS = 40
STEPS = 3_000  # of a recording that are drawn


class Track(NamedTuple):
    """A recording: its `times`, dates or numbers; `values` (steps, columns) and their `names`; `score`, NaN where there
    is none; `flag`; `truth`, 1 where a label calls a step an anomaly.
    """

    times: np.ndarray
    values: np.ndarray
    names: list[str]
    score: np.ndarray
    flag: np.ndarray
    truth: np.ndarray


def histogram(score: np.ndarray, target: np.ndarray, threshold: float) -> str:
    """How many rows have which score: of anomalies by label, where there are some, in orange."""
    top = max(float(score.max(initial=0)), threshold * 1.2)
    edges = np.linspace(0, min(top, 6 * threshold), BINS + 1)
    inside = np.minimum(score, edges[-1])
    with style():
        fig = figure(620, 300)
        axes = panel(fig, (56, 34, 14, 44), "rows by score, on a scale of powers of ten")
        rest = inside[target != 1]
        name = "normal rows" if (target == 0).any() else "rows"
        axes.hist(rest, edges, color=ACCENT, alpha=0.75, label=name)
        if (target == 1).any():
            axes.hist(inside[target == 1], edges, color=WARM, alpha=0.75, label="anomalies, by label")
            legend(axes, "upper right")
        axes.axvline(threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.annotate("flagged", (threshold, 1), (5, -14), color=QUIET, fontsize=11,
                      xycoords=("data", "axes fraction"), textcoords="offset points")  # fmt: skip
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_minor_formatter(lambda value, _: "")
        more = " (higher ones at the end)" if score.max(initial=0) > edges[-1] else ""
        axes.set(xlabel=f"score: minus the logarithm of the tail probability{more}", xlim=(0, edges[-1]))
        figures.plain_numbers(axes.xaxis, 8)
        return svg(fig, "scores", "Histogram of scores with the threshold of flags")


def curves(target: np.ndarray, scores: Mapping[str, np.ndarray], areas: Mapping[str, tuple[float, float]]) -> list[str]:
    """ROC and precision-recall curves, by method; `areas`: both areas of each."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    labelled = target >= 0
    truth = target[labelled] == 1
    roc, precision = {}, {}
    for name, values in scores.items():
        false, true, _ = roc_curve(truth, values[labelled])
        roc[name] = (false, true, areas[name][0])
        share, recall, _ = precision_recall_curve(truth, values[labelled])
        precision[name] = (recall[:-1][::-1], share[:-1][::-1], areas[name][1])
    return [figures.roc(roc), figures.precision_recall(precision)]


def track(one: Track, threshold: float) -> str:
    """Numbers of a recording above, the score below; flagged steps are orange, labelled stretches shaded."""
    count = len(one.score)
    some = np.arange(count) if count <= STEPS else np.unique(np.linspace(0, count - 1, STEPS).astype(int))
    columns = one.values.shape[1]
    with style():
        fig = figure(900, 130 * columns + 190)
        for i, name in enumerate(one.names):
            axes = panel(fig, (56, 34 + 130 * i, 14, 180 + 130 * (columns - 1 - i)), text(name, 62))
            axes.plot(one.times[some], one.values[some, i], color=ACCENT, linewidth=0.9)
            _shade(axes, one)
            axes.scatter(one.times[one.flag], one.values[one.flag, i], s=9, color=WARM, zorder=3)
            axes.tick_params(labelbottom=False)
            figures.plain_numbers(axes.yaxis, 4)
        axes = panel(fig, (56, 50 + 130 * columns, 14, 40), "score")
        axes.plot(one.times[some], np.minimum(one.score[some], 6 * threshold), color=GREYS[0], linewidth=0.9)
        _shade(axes, one)
        axes.axhline(threshold, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
        date_axis(axes, one.times, 8)
        axes.set_ylim(bottom=0)
        return svg(fig, "track", "The test part of the recording with flagged steps, and its score")


def _shade(axes: Any, one: Track) -> None:
    """Stretches that labels call anomalies."""
    inside = np.diff(np.concatenate([[0], one.truth == 1, [0]]).astype(int))
    last = len(one.times) - 1
    for start, stop in zip(np.flatnonzero(inside == 1), np.flatnonzero(inside == -1), strict=True):
        axes.axvspan(one.times[start], one.times[min(stop, last)], color=WARM, alpha=0.15, linewidth=0)
    axes.margins(x=0.01)
