"""The page of /docs: each operation with an example that can be sent. One file, nothing from elsewhere."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from lamina.deploy.server import protocols
from lamina.deploy.server.about import About
from lamina.deploy.server.content_types import file_kinds
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.openapi import request_body

LONGEST = 400  # characters of one cell of a table
OTHERS = {
    "/schema": "columns, classes, an example with its prediction, limits, versions",
    "/health": "the process is alive",
    "/ready": "the model is loaded and tested, and the server is not stopping",
    "/metrics": "counts and durations, for Prometheus",
    "/drift": "whether the rows that come are still those of training",
}


def docs_page(title: str, about: About, endpoints: tuple[Endpoint, ...]) -> str:
    """The whole page; everything that comes from the bundle is escaped."""
    rows = "".join(_row(c.name, c.kind, ", ".join(map(str, c.examples))) for c in about.columns)
    paths = OTHERS | protocols.summaries(endpoints)
    others = "".join(f'<tr><td><a href="{p[1:]}">{p}</a><td>{html.escape(words)}</tr>' for p, words in paths.items())
    template = Template(Path(__file__).with_name("docs.html").read_text("utf-8"))
    return template.substitute(
        title=html.escape(title),
        about=html.escape(f"Bundle {about.model}."),
        operations="".join(map(_operation, endpoints)),
        columns=rows,
        others=others,
    )


def _row(*cells: str) -> str:
    texts = (cell if len(cell) <= LONGEST else f"{cell[: LONGEST - 1]}…" for cell in cells)
    return f"<tr>{''.join(f'<td>{html.escape(text)}' for text in texts)}</tr>"


def _operation(endpoint: Endpoint) -> str:
    operation = endpoint.operation
    content: Mapping[str, Any] = request_body(endpoint)["content"]
    examples = {media: _example(value) for media, value in content.items()}
    options = "".join(
        f'<option value="{html.escape(media)}" data-example="{html.escape(text)}">{html.escape(media)}</option>'
        for media, text in examples.items()
    )
    column = next(iter(file_kinds(endpoint.prep)), "file")
    return f"""<section data-path="{html.escape(operation.name)}">
<h2>POST /{html.escape(operation.name)}</h2>
<p>{html.escape(operation.summary)}</p>
<textarea spellcheck="false" aria-label="body">{html.escape(next(iter(examples.values())))}</textarea>
<div class="row"><button>Send</button><label>as <select>{options}</select></label>
<label>or a file <input type="file" name="{html.escape(column)}" multiple></label></div>
<pre role="status"></pre>
</section>"""


def _example(media: Mapping[str, Any]) -> str:
    """A body that works as it stands, as text; none for files."""
    value = media.get("example", next(iter(media.get("examples", {}).values()), {}).get("value", ""))
    return value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)
