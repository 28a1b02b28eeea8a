"""The page on which a generator is tried in a browser: one file, nothing from elsewhere."""

import html as escaping
import json
from pathlib import Path
from string import Template

from lamina.task import RequestLimits, Session
from lamina.tasks.generation import conditions

FIRST, ROWS = 24, 10  # pictures that the page shows at once; of rows fewer
CLASSES = 1000  # to choose from


def html(session: Session) -> str:
    """The whole page; everything that comes from the bundle is escaped."""
    state, limits = session.task.state, session.limits or RequestLimits()
    rows = bool(state.columns)
    most = limits.rows if rows else limits.samples
    options = "".join(
        f'<option value="{escaping.escape(json.dumps(name))}">{escaping.escape(name)}</option>'
        for name in state.classes[:CLASSES]
    )
    label = f'<label>class<select name="label"><option value="">as in training</option>{options}</select></label>'
    hint = escaping.escape(conditions.examples(session)[0]) if rows else ""
    where = f'<label>where, one in a line<textarea name="where" rows="1" placeholder="{hint}"></textarea></label>'
    template = Template(Path(__file__).with_name("playground.html").read_text("utf-8"))
    return template.substitute(
        bundle=escaping.escape(f"bundle {session.id}"),
        samples=state.samples,
        most=most,
        count=min(most, ROWS if rows else FIRST),
        label=label if options else "",
        where=where if rows else "",
        source="the answer says so in its field <code>source</code>"
        if rows
        else "each picture says so in its metadata",
    )
