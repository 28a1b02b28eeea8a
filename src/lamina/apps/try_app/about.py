"""What there is to know, to unfold: how programs ask the same; the bundle's columns, scores, and facts of its task."""

import streamlit as st

from lamina.apps.messages import plain
from lamina.apps.try_app.widgets import span
from lamina.deploy.predictor import Predictor
from lamina.evaluate import usage
from lamina.evaluate.markup import number
from lamina.evaluate.metrics import label
from lamina.preprocess import Domain
from lamina.task import Operation

FEW = 12  # values of a column, and classes, that are listed


LONG, HEIGHT = 1200, 260  # characters of a text from which on it scrolls, in so many pixels
LANGUAGES = {"shell": ("In a terminal", "bash"), "http": ("Over HTTP", "bash"), "python": ("In Python", "python")}


def show(predictor: Predictor, operation: Operation) -> None:
    """Two expanders: how programs ask the same, and what the bundle holds."""
    with st.expander("The same without this page"):
        key = f"usage {predictor.id} {operation.name}"
        if key not in st.session_state:
            st.session_state[key] = usage.of(predictor, operation, str(predictor.bundle.path))._asdict()
        for name, (title, language) in LANGUAGES.items():
            if text := st.session_state[key][name]:
                st.caption(title)
                st.code(text, language, wrap_lines=True, height="content" if len(text) < LONG else HEIGHT)
    with st.expander("About this bundle"):
        if scores := predictor.bundle.training.get("scores"):
            words = [f"{label(name)} {number(value)}" for name, value in scores.items() if value is not None]
            st.write(plain(f"On test rows: {', '.join(words)}."))
        if classes := predictor.task.classes:
            st.write(plain(f"Labels: {listed(classes)}."))
        prep = predictor.prep
        files = {column.name: prep.file_kind(column.name).formats for column in prep.files}
        columns = [
            {"column": c.name, "kind": c.kind, "in training": files.get(c.name) or _words(prep.domain(c.name))}
            for c in prep.columns
        ]
        st.dataframe(columns, hide_index=True, width="stretch")
        if facts := predictor.task.about(predictor):
            st.json(facts)


def _words(domain: Domain) -> str:
    """What cells of a column were, as far as the bundle says."""
    if domain.values:
        return listed(domain.values)
    if domain.low is not None:
        return span(domain)
    return {"boolean": "yes or no"}.get(domain.sort, "")


def listed(values: tuple[str, ...]) -> str:
    """The first of many, and how many more there are."""
    more = f" and {len(values) - FEW:,} more" if len(values) > FEW else ""
    return ", ".join(values[:FEW]) + more
