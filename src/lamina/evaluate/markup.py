"""Pieces of the page: numbers and texts, escaped; tables that scroll in their own box; facts."""

import html
import math
import re
from collections.abc import Sequence
from typing import Any

ABSENT = "–"


def number(value: Any) -> str:
    """4 significant digits, thousands apart, a true minus: 0.8560, 12.30, 46,359, −1,200."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return ABSENT
    if isinstance(value, int) or value == 0 or 1000 <= abs(value) < 1e15:
        return f"{value:,.0f}".replace("-", "−")
    sign = "−" if value < 0 else ""
    return sign + (f"{abs(value):#.4g}" if 1e-4 <= abs(value) < 1e15 else f"{abs(value):.3e}")


def cell(value: float | None) -> str:
    """The same in a table of the terminal, which leaves absent values empty."""
    return "" if value is None else number(value)


def escape(value: Any, longest: int = 200) -> str:
    """Any value as escaped text on one line, cut at `longest` characters; an absent value is a dash."""
    if value is None or value == "":
        return ABSENT
    if isinstance(value, str) and not value.strip():
        return "(blank)"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return html.escape(f"{value:,}" if isinstance(value, int) else f"{value:,.6g}")
    line = "".join(c if c.isprintable() else " " for c in str(value))
    return html.escape(line if len(line) <= longest else line[: longest - 1] + "…")


def seconds(value: float) -> str:
    """8.4 s, 3 min 20 s, 2 h 5 min."""
    if value < 60:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def section(title: str, anchor: str, *parts: str) -> str:
    """The parts that are not empty under one heading; nothing when all are."""
    body = "\n".join(part for part in parts if part)
    return f'<section id="{anchor}">\n<h2>{title}</h2>\n{body}\n</section>' if body else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] = (), own: int = -1) -> str:
    """Cells are HTML already. Columns `numeric` are set to the right; row `own` is the network's."""
    if not rows:
        return ""
    side = [' class="n"' if i in numeric else "" for i in range(len(heads))]
    head = "".join(f'<th scope="col"{s}>{h}</th>' for h, s in zip(heads, side, strict=True))
    lines = []
    for r, row in enumerate(rows):
        cells = "".join(f"<td{s}>{c}</td>" for c, s in zip(row, side, strict=True))
        lines.append(f'<tr class="own">{cells}</tr>' if r == own else f"<tr>{cells}</tr>")
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody></table></div>"
    )


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Name and value side by side, absent ones left out; both are HTML already."""
    items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs if value not in ("", ABSENT))
    return f'<dl class="facts">{items}</dl>' if items else ""


def bullets(lines: Sequence[Any]) -> str:
    """Plain sentences, one below the other."""
    return f'<ul class="notes">{"".join(f"<li>{escape(line, 400)}</li>" for line in lines)}</ul>' if lines else ""


def figure(svg: str, caption: str = "") -> str:
    """A plot in its card, as wide as it is drawn, with a line below it."""
    width = re.search(r'viewBox="0 0 (\d+)', svg)
    style = f' style="width:{int(width[1]) + 22}px"' if width else ""
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure{style}><div class="card">{svg}</div>{below}</figure>'


def code(text: str, title: str = "") -> str:
    """Text to copy, as it is, under a small heading."""
    head = f"<h3>{title}</h3>" if title else ""
    return f'{head}<pre tabindex="0"><code>{html.escape(text)}</code></pre>'
