"""What a notebook shows of a model, of a result and of a run that goes on: plain HTML and SVG, without scripts.

Colours are those of the page around it, light or dark: text inherits its colour, and lines are half transparent. All
that comes from data is escaped.
"""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from lamina.deploy.session import Session
from lamina.evaluate.baselines import label as baseline_label
from lamina.evaluate.markup import escape, number
from lamina.evaluate.metrics import label
from lamina.evaluate.python_words import in_python
from lamina.schema import Row
from lamina.task import Operation

MOST_COLUMNS, MOST_NOTES, MOST_POINTS = 40, 6, 160
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 380, 170, 58, 12, 24, 22  # of a chart and its margins, in pixels
STYLE = """<style>
.lamina-card { max-width: 800px; font: 14px/1.5 system-ui, sans-serif; color: inherit; overflow-wrap: anywhere; }
.lamina-card p { margin: 6px 0; }
.lamina-card .quiet { opacity: .72; }
.lamina-card .scroll { overflow-x: auto; margin: 8px 0; }
.lamina-card.lamina-card table { border-collapse: collapse; font-size: 13px; margin: 0; border: 0; }
.lamina-card.lamina-card.lamina-card :is(tr, th, td) { background: transparent; color: inherit; border: 0; }
.lamina-card.lamina-card.lamina-card :is(th, td) { padding: 3px 14px 3px 0; text-align: right; vertical-align: bottom;
  border-bottom: 1px solid rgba(128, 128, 128, .35); font-variant-numeric: tabular-nums; }
.lamina-card.lamina-card.lamina-card :is(th, td):first-child { text-align: left; }
.lamina-card.lamina-card th { font-weight: 500; }
.lamina-card.lamina-card pre { margin: 8px 0; padding: 8px 12px; overflow-x: auto; font-size: 13px; line-height: 1.45;
  white-space: pre; border: 0; border-radius: 6px; color: inherit; background: rgba(128, 128, 128, .13); }
.lamina-card.lamina-card pre code { padding: 0; background: none; color: inherit; white-space: inherit; }
.lamina-card ul { margin: 6px 0; padding-left: 20px; }
.lamina-card summary { cursor: pointer; }
.lamina-card svg { max-width: 100%; height: auto; vertical-align: top; }
</style>"""


def model(session: Session, training: Mapping[str, Any], title: str, result: Row) -> str:
    """A model: what it is, its scores beside those of baselines, its columns, and how to put it to work."""
    name = PurePath(session.target or "model").name or "model"
    file = f"{''.join(c if c.isalnum() else '-' for c in name)[:40]}.lamina"
    columns = [f"<b>{escape(c.name, 60)}</b> <span class='quiet'>{escape(c.kind)}</span>" for c in session.prep.columns]
    more = f" and {len(columns) - MOST_COLUMNS:,} more" if len(columns) > MOST_COLUMNS else ""
    calls = [_call(session, one) for one in session.task.offered(session) if "python" in one.faces]
    code = "\n".join([*calls, f'model.save("{file}")', f"# in a terminal: lamina serve {file}"])
    return _card(
        f"<p><b>{escape(title, 200)}</b></p>",
        _verdict(result),
        _scores(result.get("scores") or training.get("scores"), result.get("baselines") or training.get("baselines")),
        f"<details><summary>{len(columns):,} columns</summary><p>{', '.join(columns[:MOST_COLUMNS])}{more}</p>"
        "</details>",
        f"<pre><code>{html.escape(code)}</code></pre>",
    )


def _call(session: Session, operation: Operation) -> str:
    """How an operation is asked in Python."""
    settings = operation.example(session).payload if operation.rows == "none" else None
    values = "rows" if settings is None else ", ".join(f"{name}={value!r}" for name, value in settings.items())
    return f"model.{operation.name}({values})  # {' '.join(operation.summary.split())}"


def result(row: Row) -> str:
    """What a run came to: the verdict, scores beside baselines, what was noted, and where the report is."""
    report = f"<p class='quiet'>Report: <code>{escape(row['report'], 400)}</code></p>" if row.get("report") else ""
    return _card(_verdict(row), _scores(row.get("scores"), row.get("baselines")), _notes(row.get("notes", ())), report)


def scores(values: Mapping[str, float | None]) -> str:
    """Scores by metric."""
    return _card(_scores(values, {}))


def layers(rows: Sequence[Row], parameters: int) -> str:
    """The layers of a network."""
    heads = "".join(f"<th scope='col'>{name}</th>" for name in ("layer", "output", "parameters"))
    cells = [(row["layer"], row["output"], f"{row['parameters']:,}") for row in rows]
    cells.append(("total", "", f"{parameters:,}"))
    lines = "".join(
        f"<tr><td>{escape(layer, 80)}</td><td>{html.escape(output)}</td><td>{number}</td></tr>"
        for layer, output, number in cells
    )
    return _card(f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>')


def curves(history: Mapping[str, Sequence[Any]]) -> str:
    """Losses and the score by epoch."""
    names = [name for name in history if name not in ("epoch", "loss", "validation_loss", "lr")]
    rows = [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)]
    scores = [{**row, "score": row[names[0]], "score_name": names[0]} if names else row for row in rows]
    return _card(_charts(scores) if names else "")


def page(text: str) -> str:
    """A whole page of its own, such as a report: it takes nothing from around it, and nothing from the network."""
    style = "width: 100%; height: 640px; border: 1px solid rgba(128, 128, 128, .35); border-radius: 6px"
    rules = "allow-scripts allow-popups allow-downloads"
    return f'<iframe style="{style}" sandbox="{rules}" title="report" srcdoc="{html.escape(text)}"></iframe>'


def progress(head: str, epochs: Sequence[Row], tail: str, notes: Sequence[str]) -> str:
    """A run that goes on, or is over: losses and the score by epoch, one sentence above and one below."""
    charts = _charts(epochs) if epochs else ""
    end = f"<p class='quiet'>{escape(tail, 300)}</p>" if tail else ""
    return _card(f"<p>{escape(head, 300)}</p>", charts, end, _notes(notes))


def _charts(epochs: Sequence[Row]) -> str:
    """The losses, and the score where it is not one of them."""
    name = label(epochs[-1]["score_name"])
    losses = {"training": _values(epochs, "loss"), "validation": _values(epochs, "validation_loss")}
    own = {"validation": _values(epochs, "score")} if name != "validation loss" else {}
    return f"<div>{_chart('loss', losses)} {_chart(name, own)}</div>"


def _card(*parts: str) -> str:
    return f'{STYLE}\n<div class="lamina-card">{"".join(parts)}</div>'


def _verdict(row: Row) -> str:
    return f"<p>{escape(row['verdict'], 600)}</p>" if row.get("verdict") else ""


def _scores(values: Mapping[str, Any] | None, baselines: Mapping[str, Mapping[str, Any]] | None) -> str:
    """A line for each metric that has a value."""
    own, others = values or {}, baselines or {}
    heads = ["score", *(["network", *map(baseline_label, others)] if others else ["value"])]
    head = "".join(f"<th scope='col'>{escape(name, 40)}</th>" for name in heads)
    lines = [
        f"<tr><td>{escape(label(name), 40)}</td><td><b>{number(value)}</b></td>"
        + "".join(f"<td>{number(scores.get(name))}</td>" for scores in others.values())
        + "</tr>"
        for name, value in own.items()
        if value is not None
    ]
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<div class="scroll">{table}</div>' if lines else ""


def _notes(notes: Iterable[Any]) -> str:
    sentences = list(notes)
    lines = "".join(f"<li>{escape(in_python(str(sentence)), 400)}</li>" for sentence in sentences[:MOST_NOTES])
    more = f"<li>and {len(sentences) - MOST_NOTES:,} more</li>" if len(sentences) > MOST_NOTES else ""
    return f"<ul class='quiet'>{lines}{more}</ul>" if lines else ""


def _values(epochs: Sequence[Row], name: str) -> list[tuple[int, float]]:
    """Points (epoch, value) that are numbers, thinned for drawing; the last one always."""
    points = [(row["epoch"], row[name]) for row in epochs if row.get(name) is not None and math.isfinite(row[name])]
    step = max(1, math.ceil(len(points) / MOST_POINTS))
    return points[::-1][::step][::-1]


def _chart(title: str, lines: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Lines by name over epochs, with three values at the side."""
    points = [point for line in lines.values() for point in line]
    if not points:
        return ""
    (first, last), (low, high) = ((min(axis), max(axis)) for axis in zip(*points, strict=True))
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(epoch: float, value: float) -> tuple[float, float]:
        across, up = (epoch - first) / max(last - first, 1), (value - low) / (high - low) if high > low else 0.5
        return round(LEFT + wide * across, 1), round(TOP + tall * (1 - up), 1)

    parts = [f'<text x="{LEFT}" y="14" font-weight="600">{escape(title, 30)}</text>']
    for value in dict.fromkeys((low, (low + high) / 2, high)):
        y = place(first, value)[1]
        parts.append(f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="currentColor" stroke-opacity=".18"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{number(value)}</text>')
    colours, x = (["#3b82c4", "#d97b29"] if len(lines) > 1 else ["#d97b29"]), WIDTH - RIGHT
    for (name, line), colour in reversed(list(zip(lines.items(), colours, strict=True))):
        path = " ".join(f"{x},{y}" for x, y in (place(*point) for point in line))
        end_x, end_y = place(*line[-1]) if line else (0.0, 0.0)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>' if line else "")
        parts.append(f'<circle cx="{end_x}" cy="{end_y}" r="2.5" fill="{colour}"/>' if line else "")
        parts.append(f'<text x="{x}" y="14" text-anchor="end" style="fill:{colour}">{escape(name)}</text>')
        x -= 7 * len(name) + 12
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">epoch {first:,}</text>')
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{last:,}</text>' if last > first else ""
    )
    body = "".join(parts)
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return (
        f'<svg {size} role="img" aria-label="{escape(title)} by epoch" font-size="11" fill="currentColor">{body}</svg>'
    )
