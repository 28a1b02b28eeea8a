"""`GET /drift`: whether the rows that come are still those of training; for a browser, a page."""

import html
from pathlib import Path
from string import Template
from typing import Any

from fastapi import FastAPI, Request, Response

from lamina.deploy.drift import DriftMonitor
from lamina.deploy.server.pages import HTML, page_headers

MOST = 12  # pieces of a column that are drawn


def add(api: FastAPI, drift: DriftMonitor) -> None:
    """The path; `drift` is looked at whenever somebody asks."""

    @api.get("/drift", summary="Whether the rows that come are still those of training")
    async def report(request: Request) -> Any:
        if "text/html" not in request.headers.get("accept", ""):
            return drift.report()
        page = drift_page(api.title, drift.report())
        return Response(page, media_type=HTML, headers=page_headers(page))


def drift_page(title: str, report: dict[str, Any]) -> str:
    """The whole page; everything that comes from the bundle is escaped."""
    columns = sorted(report["columns"], key=lambda column: (not column["alarm"], -column["score"]))
    others = ", ".join(map(html.escape, report["not_watched"]))
    template = Template(Path(__file__).with_name("drift.html").read_text("utf-8"))
    return template.substitute(
        title=html.escape(title),
        state="alarm" if report["alarm"] else "calm",
        note=html.escape(report["note"]),
        windows=f"{report['windows']:,}",
        alarms=f"{report['alarms']:,}",
        window=f"{report['window']:,}",
        columns="".join(map(_column, columns)) if report["windows"] else "",
        others=f"<p>Not watched: {others}.</p>" if others else "",
    )


def _column(column: dict[str, Any]) -> str:
    pieces = column["pieces"]
    largest = sorted(pieces, key=lambda piece: -max(piece["training"], piece["requests"]))[:MOST]
    rows = "".join(_piece(piece) for piece in pieces if piece in largest and (piece["training"] or piece["requests"]))
    word = "unlike training" if column["alarm"] else "like training"
    return f"""<details{" open" if column["alarm"] else ""}>
<summary><b>{html.escape(column["column"])}</b> <span class="{"alarm" if column["alarm"] else "calm"}">{word}</span>
<span>score {column["score"]:.3f}</span></summary>
<table><tr><th scope="col">value<th scope="col">training<th scope="col">requests<th scope="col"></tr>{rows}</table>
</details>"""


def _piece(piece: dict[str, Any]) -> str:
    training, requests = piece["training"], piece["requests"]
    bars = "".join(
        f'<rect class="{name}" y="{y}" width="{100 * share:.1f}" height="5"/>'
        for name, y, share in (("training", 1, training), ("requests", 8, requests))
    )
    drawing = f'<svg viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true">{bars}</svg>'
    return f"<tr><td>{html.escape(piece['name'])}<td>{training:.1%}<td>{requests:.1%}<td>{drawing}</tr>"
