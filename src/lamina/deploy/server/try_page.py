"""The page of `/` for a browser: a form for each operation, made of what the bundle takes, and answers as a person
reads them. One file, nothing from elsewhere.
"""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from lamina.deploy.predictor import Predictor, summary
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.form import form, is_table
from lamina.task import EVENTS

FOLDER = Path(__file__).parent


def try_page(predictor: Predictor, endpoints: Sequence[Endpoint], token: bool) -> str:
    """The whole page; `token`: whether the server asks for one."""
    facts = {"token": token, "operations": {one.operation.name: _facts(one) for one in endpoints}}
    names = [one.operation.name for one in endpoints]
    tabs = "".join(
        f'<button role="tab" id="tab-{name}" aria-controls="{name}" aria-selected="{str(name == names[0]).lower()}"'
        f' tabindex="{0 if name == names[0] else -1}">{_word(name)}</button>'
        for name in names
    )
    template = Template((FOLDER / "try.html").read_text("utf-8"))
    return template.substitute(
        title=escape(_title(predictor, endpoints)),
        about=escape(f"Bundle {predictor.id[:12]}"),
        tabs=f'<div role="tablist" aria-label="What to ask">{tabs}</div>' if len(names) > 1 else "",
        operations="".join(_operation(one, one is endpoints[0]) for one in endpoints),
        token="" if token else " hidden",
        facts=json.dumps(facts).replace("<", "\\u003c"),
        script=(FOLDER / "try.js").read_text("utf-8"),
    )


def _title(predictor: Predictor, endpoints: Sequence[Endpoint]) -> str:
    """What is answered, and the task."""
    charts = [one.operation.chart(predictor) for one in endpoints if one.operation.chart]
    sources = [line.source for chart in charts for line in chart.lines if line.source]
    about = ", ".join(sources[:5]) or predictor.target
    kind = _word(predictor.task.kind)
    return f"{about}: {kind.lower()}" if about else kind


def _word(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _operation(endpoint: Endpoint, is_first: bool) -> str:
    operation = endpoint.operation
    name = escape(operation.name)
    return f"""<section id="{name}" role="tabpanel" aria-label="{_word(name)}"{"" if is_first else " hidden"}>
<p>{escape(summary(operation, endpoint.predictor))}</p>
<div class="beside">
<form novalidate>{form(endpoint)}<div class="row"><button>{_word(name)}</button><span role="status"></span></div></form>
<div class="result"><h2>Answer</h2><p class="fault" role="alert"></p><div class="answer" aria-live="polite"></div>
<ul class="notes"></ul>
<details class="curl"><summary>The same request with curl</summary><pre tabindex="0"></pre>
<button type="button">Copy</button></details></div></div></section>"""


def _facts(endpoint: Endpoint) -> dict[str, Any]:
    """What the script has to know of an operation."""
    operation, prep = endpoint.operation, endpoint.prep
    chart = operation.chart(endpoint.predictor) if operation.chart else None
    domains = {column.name: prep.domain(column.name) for column in prep.columns if column not in prep.files}
    return {
        "rows": operation.rows,
        "table": is_table(endpoint),
        "stream": operation.gives == EVENTS,
        "items": operation.items,
        "columns": [column.name for column in (*prep.columns, *endpoint.predictor.prep.columns)],
        "series": {name: domain.channels_first for name, domain in domains.items() if domain.sort == "series"},
        "chart": {"x": chart.x, "group": chart.group, "lines": [line._asdict() for line in chart.lines]}
        if chart
        else None,
        "example": {
            "rows": [] if operation.rows == "none" else endpoint.example.payload,
            "answers": endpoint.example.answers,
        },
    }
