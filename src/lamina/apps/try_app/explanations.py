"""What an answer hangs on: parts of the image or words of the text, marked."""

import html

import streamlit as st

from lamina.apps.messages import sentences
from lamina.apps.try_app import gallery
from lamina.deploy.predictor import Predictor
from lamina.evaluate import explanation
from lamina.evaluate.images import occlusion
from lamina.evaluate.texts import explanation as texts
from lamina.evaluate.texts import marked
from lamina.preprocess.image import codec
from lamina.schema import Row

AUTOMATIC = "the most probable"


def offer(predictor: Predictor, row: Row) -> None:
    """A button that explains the answer to a row, where this bundle's answers can be explained."""
    column = explanation.column(predictor)
    if column is None or not row.get(column.name):
        return
    label = None
    if classes := predictor.task.classes:
        choice = st.selectbox("What speaks for", [AUTOMATIC, *classes], key="explain label")
        label = None if choice == AUTOMATIC else choice
    if not st.button("Explain the prediction", key="explain"):
        return
    with sentences(), st.spinner("Looking at its parts"):
        if column in predictor.prep.files:
            _image(predictor, row, column.name, label)
        else:
            _text(predictor, str(row[column.name]), label)


def _image(predictor: Predictor, row: Row, column: str, label: str | None) -> None:
    one = occlusion.explain_row(predictor, predictor.encode(predictor.rows([row])), column, label)
    heat = occlusion.overlay(one.image, one.heat)
    gallery.show([(codec.as_png(one.image), "what the network sees"), (codec.as_png(heat), one.label)])
    st.caption("Orange speaks for the prediction, blue against it: its odds fall, or rise, when the place is covered.")


def _text(predictor: Predictor, text: str, label: str | None) -> None:
    (one,) = texts.explain(predictor, [text], label)
    st.html(marked.marked(one.effects, one.effects.falls[:, 0], frozenset(one.effects.different)))
    st.html(f'<p class="lamina-quiet">For {html.escape(one.label)}. {texts.LEGEND}</p>')
