"""Plots of a language model, arrays in and SVG text out."""

import numpy as np

from lamina.evaluate.plots.canvas import ACCENT, QUIET, figure, panel, style, svg
from lamina.evaluate.plots.figures import plain_numbers

WIDTH, HEIGHT = 560, 300


def by_position(nats: np.ndarray, mean: float) -> str:
    """The loss of a token by how many were before it, and that of all."""
    with style():
        fig = figure(WIDTH, HEIGHT)
        axes = panel(fig, (52, 34, 14, 42), "loss by the number of tokens before")
        axes.axhline(mean, color=QUIET, linewidth=1, linestyle=(0, (3, 3)))
        axes.annotate("all", (1, mean), (-4, 4), color=QUIET, fontsize=11, ha="right",
                      xycoords=("axes fraction", "data"), textcoords="offset points")  # fmt: skip
        marker = "o" if len(nats) <= 20 else None
        axes.plot(np.arange(1, len(nats) + 1), nats, color=ACCENT, linewidth=1.8, marker=marker, markersize=4)
        axes.set(xlabel="tokens before", ylabel="nats")
        axes.set_ylim(bottom=0)
        plain_numbers(axes.xaxis, 7)
        plain_numbers(axes.yaxis, 5)
        return svg(fig, "by_position", "Loss of a token by the number of tokens before it")
