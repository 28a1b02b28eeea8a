"""A page to try a forecast with: a history as CSV in, the steps ahead as a line and a table out."""

import html
import json
import re
from importlib.resources import files

from lamina.deploy.predictor import Predictor
from lamina.deploy.server import openapi as describe


def page(predictor: Predictor) -> str:
    """The page as HTML, with an example that works as it stands."""
    state = predictor.state
    time = state.time[0] if len(state.time) == 1 else ""
    told = json.dumps({"targets": state.names, "series": state.series, "time": time}).replace("<", "\\u003c")
    filled = {
        "TITLE": html.escape(f"Forecast of {', '.join(state.names[:5])}"),
        "ABOUT": html.escape(describe.summary(predictor)),
        "HISTORY": html.escape(describe.history(predictor)),
        "TOLD": told,
    }
    text = (files("lamina.tasks.forecasting") / "playground.html").read_text("utf-8")
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: filled[found[1]], text)
