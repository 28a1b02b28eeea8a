"""Horizontal bars as SVG, written by hand: a report has many, and they follow the colours of the page."""

from collections.abc import Sequence
from typing import NamedTuple

from lamina.evaluate.markup import escape

WIDTH, LINE, LEFT, RIGHT, LONGEST = 640, 22, 236, 84, 30  # pixels, and characters of a name
ACCENT, WARM = "var(--accent)", "var(--warm)"  # of the page, which has them for light and for dark


class Bar(NamedTuple):
    """A name, a length above or below 0, its number as text, and half of the line across its end."""

    name: str
    value: float
    text: str
    spread: float = 0.0


def svg(bars: Sequence[Bar], label: str, signed: bool = False) -> str:
    """One below the other from a common 0; `signed`: orange above 0, blue below."""
    ends = [end for bar in bars for end in (bar.value - bar.spread, bar.value + bar.spread)]
    low, high = min(0.0, *ends), max(0.0, *ends)
    scale = (WIDTH - LEFT - RIGHT) / ((high - low) or 1.0)
    parts = [_bar(bar, i * LINE, low, scale, signed) for i, bar in enumerate(bars)]
    zero, height = LEFT - low * scale, len(bars) * LINE
    parts.append(f'<path d="M{zero:.1f},0V{height}" style="stroke:var(--axis)" stroke-width="0.8"/>')
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}" '
        f'style="width:{WIDTH}px;max-width:100%;min-width:{round(0.72 * WIDTH)}px;height:auto">{"".join(parts)}</svg>'
    )


def _bar(bar: Bar, top: int, low: float, scale: float, signed: bool) -> str:
    start, stop = (LEFT + (end - low) * scale for end in sorted((0.0, bar.value)))
    colour = WARM if signed and bar.value > 0 else ACCENT
    middle, edge = top + LINE / 2, LEFT + (bar.value - low) * scale
    spread, beyond = bar.spread * scale, max(stop, edge + bar.spread * scale)
    line = f'<path d="M{edge - spread:.1f},{middle}H{edge + spread:.1f}" style="stroke:var(--ink)" stroke-width="1.4"/>'
    return (
        f'<text x="{LEFT - 10}" y="{middle + 4}" text-anchor="end" font-size="12" style="fill:var(--ink)">'
        f"{escape(bar.name, LONGEST)}</text>"
        f'<rect x="{start:.1f}" y="{top + 4}" width="{max(stop - start, 0.5):.1f}" height="{LINE - 8}" '
        f'style="fill:{colour}"/>{line if bar.spread else ""}'
        f'<text x="{beyond + 8:.1f}" y="{middle + 4}" font-size="11" style="fill:var(--quiet)">'
        f"{escape(bar.text)}</text>"
    )
