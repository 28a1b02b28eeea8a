"""Plots of forecasts, arrays in and SVG text out: fans, errors and coverage by step ahead, correlated errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lamina.evaluate.plots.canvas import (
    ACCENT,
    GREYS,
    INK,
    NETWORK,
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
from lamina.evaluate.plots.figures import plain_numbers
from lamina.evaluate.plots.timeline import date_axis

WIDTH, HEIGHT = 480, 270


@dataclass(frozen=True)
class Fan:
    """One forecast. `times`: of history and steps ahead, dates or numbers; `measured`: values there, NaN for none;
    the other arrays are of the steps ahead. `bands`: from the widest to the narrowest, (low, high).
    """

    title: str
    times: np.ndarray
    measured: np.ndarray
    prediction: np.ndarray
    bands: Sequence[tuple[np.ndarray, np.ndarray]]


def plot_fan(fan: Fan) -> str:
    """History and truth in black, the forecast in blue, its bands behind it."""
    horizon = len(fan.prediction)
    times = fan.times[-horizon:]
    marker = "o" if horizon <= 3 else None
    with style():
        fig = figure(WIDTH, HEIGHT)
        axes = panel(fig, (52, 34, 14, 30), text(fan.title, 62))
        for low, high in fan.bands:
            if horizon > 1:
                axes.fill_between(times, low, high, color=ACCENT, alpha=0.15, linewidth=0)
            else:
                axes.vlines(times, low, high, color=ACCENT, alpha=0.3, linewidth=5)
        finite = np.isfinite(fan.measured)
        axes.plot(fan.times[finite], fan.measured[finite], color=GREYS[3], linewidth=1.0)  # over what was not measured
        axes.plot(fan.times, fan.measured, color=INK, linewidth=1.3)
        truth = finite[-horizon:]
        if marker:
            axes.plot(times[truth], fan.measured[-horizon:][truth], marker, color=INK, markersize=4)
        axes.plot(times, fan.prediction, color=ACCENT, linewidth=1.9, marker=marker, markersize=5, zorder=3)
        axes.axvline(fan.times[-horizon - 1], color=QUIET, linewidth=0.8, linestyle=(0, (2, 2)))
        date_axis(axes, fan.times, 7)
        plain_numbers(axes.yaxis, 5)
        axes.margins(x=0.02)
        return svg(fig, "fan", f"Forecast beside what was measured: {fan.title}")


def plot_errors(errors: Mapping[str, Sequence[float | None]], heading: str) -> str:
    """A line per method over the steps ahead; the network's is labelled "network"."""
    with style():
        fig = figure(WIDTH, 320)
        axes = panel(fig, (48, 34, 14, 42), heading)
        others = [name for name in errors if name != NETWORK]
        for name, values in errors.items():
            heights = _numbers(values)
            marker = "o" if len(heights) <= 3 else None
            steps = np.arange(1, len(heights) + 1)
            axes.plot(steps, heights, label=text(name), marker=marker, **line_style(name, others))
        legend(axes, "best")
        axes.set(xlabel="step ahead")
        axes.set_ylim(bottom=0)
        _whole_steps(axes)
        plain_numbers(axes.yaxis, 5)
        return svg(fig, "by_step", f"{heading} of the network and the baselines")


def plot_coverage(values: Sequence[float | None], promise: float = 0.9) -> str:
    """The share of truths inside the interval for each step ahead, beside what it should be."""
    shares = _numbers(values)
    with style():
        fig = figure(WIDTH, 320)
        axes = panel(fig, (48, 34, 14, 42), "share of truths inside the interval")
        axes.axhline(promise, color=QUIET, linewidth=1, linestyle=(0, (3, 3)))
        above = bool(np.nanmean(shares[: max(1, len(shares) // 4)]) < promise) if np.isfinite(shares).any() else True
        axes.annotate("wanted", (0, promise), (4, 4 if above else -13), color=QUIET, fontsize=11,
                      xycoords=("axes fraction", "data"), textcoords="offset points")  # fmt: skip
        marker = "o" if len(shares) <= 3 else None
        axes.plot(np.arange(1, len(shares) + 1), shares, color=ACCENT, linewidth=2.2, marker=marker)
        axes.set(xlabel="step ahead", ylim=(min(0.5, float(np.nanmin(shares, initial=1.0))) - 0.02, 1.02))
        _whole_steps(axes)
        return svg(fig, "coverage_by_step", "Coverage of the interval by step ahead")


def plot_autocorrelation(lags: Sequence[float], bound: float) -> str:
    """Autocorrelation of errors one step ahead by lag; bars beyond the bounds are orange."""
    heights = np.array(lags)
    with style():
        fig = figure(WIDTH, 290)
        axes = panel(fig, (48, 34, 14, 42), "correlation of an error with those after it")
        axes.axhspan(-bound, bound, color=ACCENT, alpha=0.13, linewidth=0)
        colours = np.where(np.abs(heights) > bound, WARM, GREYS[1])
        axes.bar(np.arange(1, len(heights) + 1), heights, width=0.7, color=colours, zorder=2)
        axes.axhline(0, color=INK, linewidth=0.8)
        most = max(float(np.abs(heights).max()), 2 * bound) * 1.1
        axes.set(xlabel="steps later", xlim=(0.2, len(heights) + 0.8), ylim=(max(-1.0, -most), min(1.0, most)))
        _whole_steps(axes)
        return svg(fig, "residuals", "Autocorrelation of errors one step ahead")


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values], float)


def _whole_steps(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 4, 5, 6, 8, 10]))
