"""A whole series over time and the parts it is cut into, arrays in and SVG text out."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lamina.evaluate.plots.canvas import ACCENT, GREYS, INK, QUIET, figure, panel, style, svg, text
from lamina.evaluate.plots.figures import plain_numbers

PARTS = ("training", "validation", "test")
WIDTH, HEIGHT, PIECES = 900, 222, 420  # pixels, and pieces of a long series, of which the extremes are drawn


def timeline(title: str, times: np.ndarray, values: np.ndarray, parts: Mapping[str, tuple[int, int]]) -> str:
    """`values` (steps,) at `times`, dates or numbers, NaN where nothing was measured; `parts`: the first step of each
    by its name, and the step behind it, in order. The last part, by which a network is evaluated, has a blue ground.
    """
    some = extremes(values)
    with style():
        fig = figure(WIDTH, HEIGHT)
        axes = panel(fig, (56, 50, 14, 30), text(title, 80), 24)
        parts = {name: (start, stop) for name, (start, stop) in parts.items() if stop > start}
        for place, (name, (start, stop)) in enumerate(parts.items(), start=1):
            first, last = times[start], times[min(stop, len(times) - 1)]
            if place == len(parts) > 1:
                axes.axvspan(first, last, color=ACCENT, alpha=0.13, linewidth=0)
            if start:
                axes.axvline(first, color=GREYS[2], linewidth=0.8, linestyle=(0, (3, 3)))
            axes.annotate(name, (first, 1), (0, 4), xycoords=("data", "axes fraction"), textcoords="offset points",
                          color=QUIET, fontsize=11, va="bottom")  # fmt: skip
        axes.plot(times[some], values[some], color=INK, linewidth=0.9, marker="." if len(some) < 3 else None)
        axes.set_xlim(times[0], times[-1])
        date_axis(axes, times, 8)
        plain_numbers(axes.yaxis, 4)
        return svg(fig, "timeline", f"The whole series: {title}")


def extremes(values: np.ndarray) -> np.ndarray:
    """Places of the values that a line needs: all of a few, else the lowest and highest of each piece, and gaps."""
    places = np.arange(len(values))
    if len(values) <= 2 * PIECES:
        return places
    bounds = [0, len(values) - 1]
    for piece in np.array_split(places, PIECES):
        own = values[piece]
        finite = np.isfinite(own)
        if finite.any():
            bounds += [int(piece[finite][f(own[finite])]) for f in (np.argmin, np.argmax)]
        else:
            bounds.append(int(piece[0]))
    return np.unique(bounds)


def date_axis(axes: Any, times: np.ndarray, most: int) -> None:
    """A few dates or numbers below the axis, no date longer than it need be."""
    if times.dtype.kind != "M":
        plain_numbers(axes.xaxis, most - 1)
        return
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=most)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
