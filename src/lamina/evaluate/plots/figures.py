"""Arrays in, SVG text out: the images of a report. The network is blue, what it is measured against is grey."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.evaluate import metrics
from lamina.evaluate.markup import number
from lamina.evaluate.plots.canvas import (
    ACCENT,
    AXIS,
    GREYS,
    INK,
    NETWORK,
    PAPER,
    QUIET,
    WARM,
    figure,
    legend,
    line_style,
    panel,
    style,
    svg,
    text,
)
from lamina.evaluate.plots.curves import Curve

MAX_CLASSES = 20  # more cells than this cannot hold a number that can be read
FEW_CLASSES = 14
MAX_POINTS = 5_000
MAX_RATIO = 100  # times the lowest of a line: beyond, its axis is logarithmic


def confusion(matrix: np.ndarray, names: Sequence[str]) -> str:
    """Rows are actual classes, columns predicted ones: counts, shaded by the share of the row.

    Hits are blue, mistakes orange. Above 20 classes only those of the most confused pairs are shown; shares
    stay those of the whole row.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    classes = np.arange(len(matrix)) if len(matrix) <= MAX_CLASSES else _most_confused(matrix)
    k = len(classes)
    cell = int(np.clip(440 / k, 30, 84))
    labels = [text(names[i], 18) for i in classes.tolist()]
    gutter = max(max(map(len, labels)) * 7 + 18, 60)
    slanted = max(map(len, labels)) * 7.5 > cell - 4
    bottom = (gutter * 0.72 if slanted else 24) + 22
    with style():
        fig = figure(gutter + cell * k + 16, int(cell * k + bottom + 34))
        axes = panel(fig, (gutter, 34, 16, bottom))
        axes.pcolormesh(_shades(shares[np.ix_(classes, classes)]), edgecolors=PAPER, linewidth=1.5)
        axes.set(
            xlim=(0, k), ylim=(k, 0), xticks=np.arange(k) + 0.5, yticks=np.arange(k) + 0.5, xlabel="predicted class"
        )
        axes.set_xticklabels(labels, rotation=45 if slanted else 0, ha="right" if slanted else "center", color=INK)
        axes.set_yticklabels(labels, color=INK)
        few = f" ({k} of {len(matrix)}, those most often confused)" if k < len(matrix) else ""
        axes.set_title(f"rows: actual class{few}", loc="left", fontsize=12, color=QUIET, pad=10)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        size = 12.5 if cell >= 56 else 10.5 if cell >= 40 else 9
        for i, j in np.argwhere(matrix[np.ix_(classes, classes)] > 0):
            share, count = shares[classes[i], classes[j]], int(matrix[classes[i], classes[j]])
            colour = PAPER if share > 0.5 else INK
            axes.text(j + 0.5, i + 0.5, _count(count, cell), ha="center", va="center", fontsize=size, color=colour)
        return svg(fig, "confusion", "Confusion matrix: actual classes by predicted classes")


def _most_confused(matrix: np.ndarray) -> np.ndarray:
    mistakes = matrix - np.diag(np.diag(matrix))
    pairs = np.stack(np.unravel_index(np.argsort(-mistakes, axis=None, kind="stable"), matrix.shape), axis=1)
    classes = list(dict.fromkeys(pairs.ravel().tolist()))[:FEW_CLASSES]
    return np.sort(np.array(classes))


def _shades(shares: np.ndarray) -> np.ndarray:
    """(k, k, 4) colours: blue on the diagonal, orange off it, the stronger the larger the share; a trace of none."""
    from matplotlib.colors import to_rgb

    full = np.where(np.eye(len(shares), dtype=bool)[..., None], to_rgb(ACCENT), to_rgb(WARM))
    full = np.where(shares[..., None] > 0, full, to_rgb(GREYS[1]))
    return np.append(full, np.where(shares > 0, 0.12 + 0.88 * shares, 0.07)[..., None], axis=2)


def _count(count: int, cell: int) -> str:
    return f"{count:,}" if len(f"{count:,}") * 7 < cell else f"{count / 1000:.0f}k"


def roc(curves: Mapping[str, Curve]) -> str:
    """Curves by label, each (false positive rate, true positive rate, area); the network's is labelled "network"."""
    with style():
        fig = figure(480, 420)
        axes = panel(fig, (58, 34, 14, 42), "ROC curve")
        axes.plot([0, 1], [0, 1], color=AXIS, linewidth=1)
        _lines(axes, curves, "lower right", "area under the curve")
        axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="false positive rate", ylabel="true positive rate")
        return svg(fig, "roc", "ROC curves of the network and the baselines")


def precision_recall(curves: Mapping[str, Curve]) -> str:
    """Curves by label, each (recall, precision, average precision); the network's is labelled "network"."""
    with style():
        fig = figure(480, 420)
        axes = panel(fig, (58, 34, 14, 42), "Precision-recall curve")
        _lines(axes, curves, "lower left", "average precision")
        axes.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="recall", ylabel="precision")
        return svg(fig, "precision_recall", "Precision by recall of the network and the baselines")


def _lines(axes: Any, curves: Mapping[str, Curve], place: Any, title: str) -> None:
    others = [label for label in curves if label != NETWORK]
    for label, (x, y, area) in sorted(curves.items(), key=lambda item: -item[1][2]):
        axes.plot(x, y, label=f"{area:.3f}  {text(label)}", **line_style(label, others))
    legend(axes, place, title=title)


def reliability(probabilities: np.ndarray, target: np.ndarray) -> str:
    """Share right by stated confidence in bins of equal size, with 95 % bars; on the diagonal, confidence is honest."""
    rows, confidence, right, _ = metrics.reliability(target, probabilities)
    low, high = _wilson(right, rows)
    start = max(min(confidence.min(), low.min()) - 0.02, 0)
    with style():
        fig = figure(480, 420)
        axes = panel(fig, (44, 32, 14, 104), "accuracy")
        axes.plot([start, 1], [start, 1], color=AXIS, linewidth=1.2)
        axes.vlines(confidence, low, high, color=ACCENT, linewidth=1.2, alpha=0.55)
        axes.plot(confidence, right, "o-", color=ACCENT, markersize=5, linewidth=1.6)
        axes.set(xlim=(start, 1.005), ylim=(start, 1.01))
        axes.tick_params(labelbottom=False)
        below = panel(fig, (44, 324, 14, 42))
        below.hist(probabilities.max(axis=1), bins=40, range=(start, 1), color=AXIS)
        below.set(xlim=(start, 1.005), yticks=[], xlabel="predicted probability (grey: how often)")
        below.spines["left"].set_visible(False)
        below.grid(visible=False)
        return svg(fig, "reliability", "Calibration: accuracy by predicted probability")


def _wilson(share: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a share (Wilson 1927): honest for few rows and for shares near 0 or 1."""
    z = 1.96
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    return centre - half, centre + half


def residuals(target: np.ndarray, prediction: np.ndarray) -> str:
    """Predicted by actual value, and how the errors are spread; at most 5,000 rows are drawn, always the same."""
    rows = np.flatnonzero(np.isfinite(target) & np.isfinite(prediction))
    if len(rows) > MAX_POINTS:
        rows = np.random.default_rng(0).choice(rows, MAX_POINTS, replace=False)
    actual, predicted = target[rows].astype(float), prediction[rows].astype(float)
    with style():
        fig = figure(740, 400)
        _agreement(panel(fig, (52, 32, 346, 44), "predicted value"), actual, predicted)
        _errors(panel(fig, (458, 32, 14, 44), "rows by error"), predicted - actual)
        return svg(fig, "residuals", "Predicted by actual values, and the distribution of the errors")


def _agreement(axes: Any, actual: np.ndarray, predicted: np.ndarray) -> None:
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    both = np.concatenate([actual, predicted]) if len(actual) else np.array([0.0, 1.0])
    low, high = both.min(), both.max()
    pad = (high - low) * 0.03 or 1.0
    box = (low - pad, high + pad)
    if len(actual) > 600:
        blues = LinearSegmentedColormap.from_list("quiet", [(*to_rgb(ACCENT), share) for share in (0.15, 1)])
        axes.hexbin(actual, predicted, gridsize=42, bins="log", cmap=blues, linewidths=0, extent=(*box, *box), mincnt=1)
    else:
        axes.plot(actual, predicted, "o", color=ACCENT, markersize=4, alpha=0.45, markeredgewidth=0)
    axes.plot(box, box, color=INK, linewidth=0.9)
    axes.set(xlim=box, ylim=box, xlabel="actual value")
    plain_numbers(axes.xaxis, 5)
    plain_numbers(axes.yaxis, 6)


def _errors(axes: Any, errors: np.ndarray) -> None:
    edge = (float(np.quantile(np.abs(errors), 0.99)) if len(errors) else 0.0) or 1.0
    axes.hist(np.clip(errors, -edge, edge), bins=41, range=(-edge, edge), color=ACCENT, alpha=0.8)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set(xlabel="predicted − actual", yticks=[], xlim=(-edge, edge))
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    plain_numbers(axes.xaxis, 4)


def plain_numbers(axis: Any, most: int) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(short_number))


def short_number(value: float, _: int | None = None) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.4g}{unit}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def learning(rows: Sequence[Mapping[str, Any]], best: int | None = None, score: str = "validation score") -> str:
    """Training and validation loss by epoch, and the score beside them; `best` is the epoch whose weights are kept.

    Rows without a number leave a gap. Without `best` the lowest validation loss is marked.
    """
    x, train, validation, points = (_series(rows, key) for key in ("epoch", "loss", "validation_loss", "score"))
    if best is None and np.isfinite(validation).any():
        best = int(x[np.nanargmin(validation)])
    both = np.isfinite(points).any()
    with style():
        fig = figure(740 if both else 480, 320)
        axes = panel(fig, (48, 34, 384 if both else 76, 42), "loss")
        _history(axes, x, {"training": (train, GREYS[1]), "validation": (validation, ACCENT)}, best)
        if both:
            _history(panel(fig, (460, 34, 20, 42), text(score)), x, {"": (points, ACCENT)}, best)
        return svg(fig, "learning", "Loss and score by epoch")


def _series(rows: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    values = np.array([np.nan if row.get(key) is None else row[key] for row in rows], dtype=float)
    return np.where(np.isfinite(values), values, np.nan)


def _history(axes: Any, x: np.ndarray, lines: Mapping[str, tuple[np.ndarray, str]], best: int | None) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    ends, marks = [], []
    for label, (values, colour) in lines.items():
        finite = np.isfinite(values)
        if not finite.any():
            continue
        axes.plot(x[finite], values[finite], color=colour, marker="o" if finite.sum() == 1 else None, markersize=5)
        ends.append([values[finite][-1], label, colour])
        at = np.flatnonzero(finite & (x == best))
        if colour == ACCENT and len(at):
            axes.plot(best, values[at[-1]], "o", color=ACCENT, markersize=7, markeredgecolor=PAPER, zorder=4)
            axes.axvline(best, color=QUIET, linewidth=0.8, linestyle=(0, (2, 2)))
            marks.append(values[at[-1]])
    every = np.concatenate([values[np.isfinite(values)] for values, _ in lines.values()])
    if len(every) and every.min() > 0 and every.max() > MAX_RATIO * every.min():
        axes.set_yscale("log")
    scale = np.log if axes.get_yscale() == "log" else np.asarray
    low, high = scale(axes.get_ylim())
    for value in marks:  # away from the end of the lines, and from the line that is marked
        late, low_down = x.max() < 2 * (best or 0), scale(value) < (low + high) / 2
        axes.annotate("best", (best, low_down), (-4 if late else 4, -5 if low_down else 5), color=QUIET, fontsize=11,
                      xycoords=("data", "axes fraction"), textcoords="offset points", ha="right" if late else "left",
                      va="top" if low_down else "bottom")  # fmt: skip
    ends = sorted([float((scale(end) - low) / (high - low)), *rest] for end, *rest in ends)
    if len(ends) == 2 and (gap := 0.07 - (ends[1][0] - ends[0][0])) > 0:
        ends[0][0], ends[1][0] = ends[0][0] - gap / 2, ends[1][0] + gap / 2
    for height, label, colour in ends:
        axes.annotate(label, (1, height), (6, 0), xycoords="axes fraction", textcoords="offset points",
                      color=colour, va="center", annotation_clip=False)  # fmt: skip
    if len(np.unique(x)) == 1 or axes.get_xlim()[1] - axes.get_xlim()[0] < 1:
        axes.set_xlim(x.min() - 1, x.max() + 1)
    axes.set(xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    if axes.get_yscale() == "linear":
        plain_numbers(axes.yaxis, 5)
        return
    axes.yaxis.set_major_formatter(FuncFormatter(short_number))
    axes.yaxis.set_minor_locator(NullLocator())


def class_balance(counts: Mapping[str, int], rows: int, classes: int) -> str:
    """A bar for each class with its share of `rows`; of more than there are counts, the others have one together."""
    bars = {text(name, 26): count for name, count in counts.items()}
    if classes > len(counts):
        bars[f"{classes - len(counts):,} others"] = max(rows - sum(counts.values()), 0)
    gutter = max(len(label) for label in [*bars, "12345678"]) * 7 + 12
    with style():
        fig = figure(480, 52 + 26 * len(bars))
        axes = panel(fig, (gutter, 34, 120, 14), "training rows by class")
        axes.barh(range(len(bars)), list(bars.values()), height=0.62, color=ACCENT, alpha=0.75)
        for i, count in enumerate(bars.values()):
            axes.annotate(f"{count:,}  ({count / max(rows, 1):.1%})", (count, i), (6, 0), va="center", color=INK,
                          textcoords="offset points", fontsize=11.5, annotation_clip=False)  # fmt: skip
        axes.set(ylim=(len(bars) - 0.5, -0.5), yticks=range(len(bars)), xticks=[], xlim=(0, max(bars.values()) or 1))
        axes.set_yticklabels(list(bars), color=INK, fontsize=12)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.grid(visible=False)
        return svg(fig, "class_balance", "Training rows by class")


def comparison(
    scores: Mapping[str, float | None], metric: str, higher_is_better: bool, interval: Sequence[float] | None = None
) -> str:
    """One dot per label, best on top, with the network's 95 % interval as a band behind them."""
    ranked = [(label, v) for label, v in scores.items() if v is not None and np.isfinite(v)]
    ranked.sort(key=lambda item: item[1], reverse=higher_is_better)
    labels = [text(label, 26) for label, _ in ranked]
    gutter = max([len(label) for label in labels] + [8]) * 7 + 12
    with style():
        fig = figure(480, 62 + 34 * len(ranked))
        heading = f"{text(metric)}: {'higher' if higher_is_better else 'lower'} is better"
        axes = panel(fig, (gutter, 34, 70, 28), heading)
        if interval is not None:
            axes.axvspan(interval[0], interval[1], color=ACCENT, alpha=0.13, linewidth=0)
        for i, (label, value) in enumerate(ranked):
            own = label == NETWORK
            axes.plot(value, i, "o", color=ACCENT if own else GREYS[1], markersize=10 if own else 8, zorder=3)
            axes.annotate(number(value), (1, i), (10, 0), xycoords=("axes fraction", "data"), va="center",
                          textcoords="offset points", color=ACCENT if own else INK, annotation_clip=False)  # fmt: skip
        axes.set(ylim=(len(ranked) - 0.5, -0.5), yticks=range(len(ranked)))
        axes.set_yticklabels(labels, color=INK, fontsize=12)
        axes.margins(x=0.06)
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False, axis="x")
        plain_numbers(axes.xaxis, 4)
        return svg(fig, "comparison", f"{metric} of the network and the baselines")
