"""Plots of denoising, arrays in and SVG text out."""

from collections.abc import Mapping, Sequence

import numpy as np

from lamina.evaluate.plots.canvas import ACCENT, GREYS, INK, NETWORK, WARM, figure, line_style, panel, style, svg
from lamina.evaluate.plots.figures import plain_numbers

WIDTH, HEIGHT = 560, 280
WIDE, STEPS = 900, 600  # pixels, and steps of a recording that are drawn


def by_level(levels: Sequence[float], means: Mapping[str, Sequence[float]], name: str) -> str:
    """A line for each method, by the deviation of the noise."""
    with style():
        fig = figure(WIDTH, HEIGHT)
        axes = panel(fig, (52, 34, 150, 42), f"{name} by the deviation of the noise")
        others = [method for method in means if method != NETWORK]
        for method, values in means.items():
            axes.plot(levels, values, label=method, marker="o", markersize=4, **line_style(method, others))
        axes.set(xlabel="deviation", ylabel=name)
        axes.set_xticks(list(levels), [f"{level:g}" for level in levels])
        plain_numbers(axes.yaxis, 5)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        return svg(fig, "by_level", f"{name} by the deviation of the noise")


def before_after(clean: np.ndarray, noisy: np.ndarray, answer: np.ndarray, rival: np.ndarray) -> str:
    """The middle of the first channel of a recording: noisy, clean and two answers."""
    start = max(0, (len(clean) - STEPS) // 2)
    some = slice(start, start + STEPS)
    steps = np.arange(len(clean))[some]
    with style():
        fig = figure(WIDE, 240)
        axes = panel(fig, (46, 14, 14, 40))
        axes.plot(steps, noisy[some, 0], color=GREYS[3], linewidth=0.8)
        axes.plot(steps, clean[some, 0], color=INK, linewidth=1.2)
        axes.plot(steps, rival[some, 0], color=WARM, linewidth=1.2, linestyle=(0, (3, 2)))
        axes.plot(steps, answer[some, 0], color=ACCENT, linewidth=1.6)
        axes.set(xlabel="step")
        plain_numbers(axes.xaxis, 8)
        plain_numbers(axes.yaxis, 5)
        return svg(fig, "before_after", "A recording with noise, without, and what was answered")
