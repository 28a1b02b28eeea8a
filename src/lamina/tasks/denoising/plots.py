"""Plots of denoising, arrays in and SVG text out."""

from collections.abc import Mapping, Sequence

import numpy as np

from lamina.evaluate.plots.canvas import ACCENT, GREYS, INK, WARM, figure, panel, style, svg
from lamina.evaluate.plots.figures import plain_numbers

WIDTH, HEIGHT = 560, 280
WIDE, STEPS = 900, 600  # pixels, and steps of a recording that are drawn


def by_level(levels: Sequence[float], means: Mapping[str, Sequence[float]], name: str) -> str:
    """A line for each method, by the deviation of the noise."""
    with style():
        fig = figure(WIDTH, HEIGHT)
        axes = panel(fig, (52, 34, 150, 42), f"{name} by the deviation of the noise")
        for i, (method, values) in enumerate(means.items()):
            own = i == 0
            colour = ACCENT if own else GREYS[(i - 1) % len(GREYS)]
            axes.plot(levels, values, color=colour, linewidth=2.4 if own else 1.4, marker="o", markersize=4,
                      label=method, linestyle="-" if own else (0, (4, 1 + i)))  # fmt: skip
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
