"""Plots of coordinates, arrays in and SVG text out."""

import numpy as np

from lamina.evaluate.plots.canvas import ACCENT, GREYS, PAPER, figure, panel, style, svg
from lamina.evaluate.plots.figures import plain_numbers

WIDTH, HEIGHT = 560, 300


def variance(curve: np.ndarray, dimensions: int, value: float) -> str:
    """Explained variance of test rows by the number of principal components, and that of the network."""
    count = np.arange(1, len(curve) + 1)
    with style():
        fig = figure(WIDTH, HEIGHT)
        axes = panel(fig, (52, 34, 20, 42), "explained variance of test rows")
        axes.plot(count, curve, color=GREYS[1], linewidth=1.8, marker="o" if len(curve) <= 12 else None, markersize=4)
        axes.annotate("PCA", (count[-1], curve[-1]), (-4, -14), textcoords="offset points", color=GREYS[1],
                      fontsize=12, ha="right")  # fmt: skip
        axes.plot(dimensions, value, "o", color=ACCENT, markersize=9, zorder=3)
        side = "left" if dimensions <= 0.6 * max(len(curve), dimensions) else "right"
        box = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
        axes.annotate("the network", (dimensions, value), (0 if side == "left" else -4, 10), bbox=box,
                      textcoords="offset points", color=ACCENT, fontsize=12, ha=side)  # fmt: skip
        axes.set(xlabel="numbers for each row", xlim=(0, 1.05 * max(len(curve), dimensions)))
        axes.set_ylim(min(0.0, value, float(curve.min())), 1.02)
        plain_numbers(axes.xaxis, 8)
        plain_numbers(axes.yaxis, 5)
        return svg(fig, "variance", "Explained variance of the network and of principal components")
