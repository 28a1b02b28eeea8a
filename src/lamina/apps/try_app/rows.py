"""Rows to ask about: one from widgets, several that are one thing in a table to edit, or files."""

import base64
from typing import Any

import pandas as pd
import pyarrow as pa
import streamlit as st

from lamina.apps.messages import notes, plain
from lamina.apps.theme import in_pairs
from lamina.apps.try_app import answers, gallery, uploads, widgets
from lamina.apps.try_app.model import raw
from lamina.data._skipped_rows import reasons
from lamina.deploy import batch
from lamina.deploy.predictor import Predictor
from lamina.schema import Row
from lamina.task import Operation

MOST_WIDGETS = 60  # columns that have a widget each
EXAMPLE, UPLOAD, PASTE = "Example", "Files", "Paste"


def one(operation: Operation, predictor: Predictor, example: Row) -> Row | None:
    """A row of cells as plain JSON; None until a file is there that the answer is about."""
    prep = operation.prep(predictor)
    files = {column.name for column in prep.files}
    row: Row = {name: _file(operation, predictor, name) for name in files}
    if files and len(prep.columns) == len(files) and not any(row.values()):
        return None
    plain_columns = [column for column in prep.columns if column.name not in files]
    domains = {column.name: prep.domain(column.name) for column in plain_columns}
    if len(plain_columns) > MOST_WIDGETS:
        return row | _grid({column.name: example.get(column.name) for column in plain_columns})
    short = [column for column in plain_columns if domains[column.name].sort not in widgets.WIDE]
    for column, place in in_pairs(short):
        with place:
            row[column.name] = widgets.cell(column, domains[column.name], example.get(column.name))
    for column in plain_columns:
        if column not in short:
            row[column.name] = widgets.cell(column, domains[column.name], example.get(column.name))
    return row


def _file(operation: Operation, predictor: Predictor, name: str) -> str | None:
    """A file in base64, with an image of it."""
    kind = operation.prep(predictor).file_kind(name)
    types = [suffix.lstrip(".") for suffix in kind.suffixes]
    label = name if name == kind.noun else f"{name}: a {kind.noun}"
    file = st.file_uploader(plain(label), type=types, key=f"cell {operation.name} {name}")
    if file is None:
        st.caption(f"{kind.formats}. Nothing leaves this machine.")
        return None
    body = file.getvalue()
    gallery.show([(body, file.name)])
    return base64.b64encode(body).decode()


def _grid(values: Row) -> Row:
    """Many cells in a table of names and values."""
    frame = pd.DataFrame({"column": list(values), "value": ["" if v is None else str(v) for v in values.values()]})
    edited = st.data_editor(frame, disabled=["column"], hide_index=True, width="stretch", key="cells")
    return {name: value or None for name, value in zip(edited["column"], edited["value"], strict=True)}


def together(operation: Operation, predictor: Predictor, example: list[Row]) -> pa.Table | None:
    """Rows that are one thing: the example's in a table to edit, those of files, or pasted ones; None while there are
    none. Errors: LaminaError where they cannot be read.
    """
    how = st.segmented_control("Rows", [EXAMPLE, UPLOAD, PASTE], default=EXAMPLE, required=True, key="rows")
    if how == EXAMPLE:
        frame = raw(example, operation, predictor).to_pandas()
        with st.expander(f"{len(example):,} rows to change", expanded=False):
            edited = st.data_editor(frame, num_rows="dynamic", hide_index=True, width="stretch", key="example rows")
        return pa.Table.from_pandas(edited, preserve_index=False)
    files: list[Any] = []
    if how == UPLOAD:
        files = st.file_uploader("Files of rows", uploads.suffixes(operation, predictor), True, key="history files")
    elif text := st.text_area("Rows as CSV, names in the first line", key="history text", height=180):
        files = [uploads.Text("rows.csv", text)]
    if not files:
        return None
    with uploads.stored(files, operation, predictor) as place:
        whole = batch.read(predictor, place.source, operation)
    notes(list(map(place.bare, whole.notes)))
    show_skipped(uploads.sentences_on(reasons(whole.skipped_rows)))
    return whole.table


def show_skipped(lines: list[str]) -> None:
    """Why rows were left out, a sentence for each reason."""
    for line in lines:
        st.warning(plain(line))


def files(operation: Operation, predictor: Predictor, request: Any) -> None:
    """Every row of a file answered as on the command line, with the answers to take away."""
    types = uploads.suffixes(operation, predictor)
    listed = st.file_uploader("Files of rows", types, True, key=f"files {operation.name}")
    if not listed:
        st.caption("CSV, Parquet, JSON, Excel ...; of images also the images themselves or a zip of them.")
        return
    keep = st.toggle("Keep the columns of the rows beside the predictions", True, key=f"keep {operation.name}")
    key = (operation.name, request.model_dump_json(), keep, tuple(file.file_id for file in listed))
    if st.session_state.get("file key") != key:
        with st.spinner("Predicting"):
            st.session_state["file answers"] = uploads.answer(listed, operation, predictor, request, keep)
        st.session_state["file key"] = key
    outcome = st.session_state["file answers"]
    st.write(plain(outcome.sentence))
    notes(outcome.notes)
    show_skipped(outcome.reasons)
    if outcome.table is not None:
        answers.frame(outcome.table)
    name = f"predictions{outcome.suffix}"
    st.download_button(
        "Download the predictions", outcome.body, name, key=f"download {operation.name}", on_click="ignore"
    )
