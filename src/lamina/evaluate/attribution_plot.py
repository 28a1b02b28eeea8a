"""What the columns of single rows add to their answers, drawn as bars."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from lamina.evaluate.markup import number
from lamina.evaluate.plots import canvas

MOST = 7  # columns of a row, beside one bar for the others
WIDTH, LINE = 760, 22
LEGEND = (
    "Orange adds to the prediction, blue takes from it. The bars add up to it, less the number it is compared with."
)


class RowAttributions(NamedTuple):
    """A row: its name, the label that is explained ("" of a number), its probability or the number, what that is
    compared with (the mean answer to synthetic rows, unless `reference` says otherwise), and what each column adds,
    with what the bar is called.
    """

    name: str
    label: str
    value: float
    base: float
    bars: tuple[tuple[str, float], ...]
    reference: str = "on average"


def largest(bars: Sequence[tuple[str, float]], most: int = MOST) -> list[tuple[str, float]]:
    """The columns that add or take most, then all others together, so that the sum stays what it is."""
    order = sorted(bars, key=lambda bar: -abs(bar[1]))
    rest = order[most:]
    if len(rest) < 2:
        return order
    return [*order[:most], (f"{len(rest)} others", sum(value for _, value in rest))]


def amount(value: float, label: str, signed: bool = False) -> str:
    """A probability with three digits, or a number with four."""
    text = f"{abs(value):.3f}" if label else number(abs(value))
    sign = "−" if value < 0 else "+" if signed else ""
    return f"{sign}{text}"


def heading(row: RowAttributions) -> str:
    """The row, its answer and what it is compared with: `row 1: No 0.912, on average 0.735`."""
    answer = " ".join(filter(None, (canvas.text(row.label, 30) if row.label else "", amount(row.value, row.label))))
    return f"{canvas.text(row.name, 40)}: {answer}, {row.reference} {amount(row.base, row.label)}"


def draw(rows: Sequence[RowAttributions], output: Path | IO[bytes]) -> None:
    """Write one PNG: for each row its answer and its bars."""
    with canvas.style():
        fig = _figure(rows)
        fig.savefig(output, format="png", dpi=144, facecolor="white", metadata={"Software": None})


def _figure(rows: Sequence[RowAttributions]) -> Any:
    groups = [largest(row.bars) for row in rows]
    heights = [56 + LINE * len(bars) for bars in groups]
    height, above = sum(heights) + 30, 0
    fig = canvas.figure(WIDTH, height)
    for row, bars, own in zip(rows, groups, heights, strict=True):
        axes = canvas.panel(fig, (250, above + 38, 90, height - above - own + 8))
        fig.text(12 / WIDTH, 1 - (above + 22) / height, heading(row), fontsize=12.5, color=canvas.INK)
        _bars(axes, bars, row.label)
        above += own
    fig.text(0.5, 10 / height, LEGEND, ha="center", fontsize=11, color=canvas.QUIET)
    return fig


def _bars(axes: Any, bars: Sequence[tuple[str, float]], label: str) -> None:
    values = [value for _, value in bars]
    axes.barh(
        range(len(bars)), values, color=[canvas.WARM if value > 0 else canvas.ACCENT for value in values], height=0.62
    )
    axes.set(ylim=(len(bars) - 0.5, -0.5), yticks=range(len(bars)), xticks=[])
    axes.set_yticklabels([canvas.text(name, 32) for name, _ in bars], color=canvas.INK)
    most = max(abs(value) for value in values) or 1.0
    axes.set_xlim(min(-0.25 * most, *values, 0), max(*values, 0.05 * most))
    for i, value in enumerate(values):
        axes.annotate(amount(value, label, signed=True), (max(value, 0), i), (6, 0), textcoords="offset points",
                      va="center", fontsize=11, annotation_clip=False)  # fmt: skip
    axes.axvline(0, color=canvas.GREYS[1], linewidth=0.8)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.grid(visible=False)
