"""A page to try a forecast with: a history as CSV in, the steps ahead as a line and a table out."""

import html
import json
import re
from importlib.resources import files

from lamina.task import Session
from lamina.tasks.forecasting import operation
from lamina.tasks.forecasting.state import State


def page(session: Session) -> str:
    """The page as HTML, with an example that works as it stands."""
    state: State = session.task.state
    facts = {"targets": state.names, "series": state.series, "time": state.time_column or ""}
    values = {
        "TITLE": html.escape(f"Forecast of {', '.join(state.names[:5])}"),
        "ABOUT": html.escape(operation.describe(session)),
        "HISTORY": html.escape(operation.example_csv(session)),
        "FACTS": json.dumps(facts).replace("<", "\\u003c"),
    }
    text = (files("lamina.tasks.forecasting") / "playground.html").read_text("utf-8")
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda match: values[match[1]], text)
