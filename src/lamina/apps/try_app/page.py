"""The page: what the bundle is, what it can be asked, and a place to ask it."""

import html
from pathlib import Path
from typing import Any

import pyarrow as pa
import streamlit as st

from lamina.apps import theme
from lamina.apps.messages import notes, plain, sentences
from lamina.apps.try_app import about, answers, explanations, rows, settings
from lamina.apps.try_app.look import STYLE
from lamina.apps.try_app.model import offered, opened, raw
from lamina.data.arrays import json_rows
from lamina.deploy import batch
from lamina.deploy.predictor import Predictor, summary, whole
from lamina.schema import Row
from lamina.task import EVENTS, JSON, Answers, Operation

ROW, FILES = "One row", "Files"
MOST_BROKEN = 5  # rows that are named


def show(path: str) -> None:
    """Everything, from top to bottom; Streamlit runs it again for each touch."""
    predictor = opened(path)
    target = f" · target {predictor.target}" if predictor.target else ""
    kind = predictor.task.kind.replace("_", " ")
    theme.page(_name(Path(path)), f"{kind}{target} · bundle {predictor.id[:12]}")
    ask(predictor)


def ask(predictor: Predictor) -> None:
    """Everything but the heading: what can be asked, a place to ask it, and what the bundle holds."""
    st.html(STYLE)
    operations = {operation.name: operation for operation in offered(predictor)}
    name = next(iter(operations))
    if len(operations) > 1:
        name = st.segmented_control(
            "What to ask", list(operations), default=name, required=True, format_func=_title, key="operation"
        )
    operation = operations[name]
    st.caption(plain(summary(operation, predictor)))
    with sentences():
        ASK[operation.rows](operation, predictor)
    about.show(predictor, operation)


def _name(path: Path) -> str:
    """What people call a bundle: the file, or the run that it lies in."""
    return path.parent.name if path.name == "bundle" and path.parent.name else path.stem


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _example(operation: Operation, predictor: Predictor) -> Any:
    """What to send that works, once for a page."""
    key = f"example {predictor.id} {operation.name}"
    if key not in st.session_state:
        st.session_state[key] = operation.example(predictor).payload
    return st.session_state[key]


def _ask_each(operation: Operation, predictor: Predictor) -> None:
    """One row from widgets, answered at every touch; or the rows of files."""
    how = st.segmented_control("Rows", [ROW, FILES], default=ROW, required=True, key=f"how {operation.name}")
    if how == FILES:
        rows.files(operation, predictor, settings.request(operation, predictor))
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        request = settings.request(operation, predictor)
        row = rows.one(operation, predictor, _example(operation, predictor)[0])
    with right, st.container(key="answer"), sentences():
        if row is None:
            st.info("The prediction comes here as soon as there is a file.")
        else:
            _answer_row(operation, predictor, row, request)


def _answer_row(operation: Operation, predictor: Predictor, row: Row, request: Any) -> None:
    table = raw([row], operation, predictor)
    answer = _one_piece(operation, predictor, table, request)
    answers.one(answer.table, operation, predictor, row)
    notes([*batch.notes_on(predictor, table, operation), *answer.notes])
    if operation is predictor.operations[0]:
        explanations.offer(predictor, row)


def _ask_together(operation: Operation, predictor: Predictor) -> None:
    """Rows that are one thing, answered at every touch."""
    request = settings.request(operation, predictor)
    if operation.prep(predictor).files:
        row = rows.one(operation, predictor, _example(operation, predictor)[0])
        table = None if row is None else raw([row], operation, predictor)
    else:
        table = rows.together(operation, predictor, _example(operation, predictor))
    if table is None:
        return
    answer = _one_piece(operation, predictor, table, request)
    broken = [f"row {cell.row + 1:,} left out: {cell.column} {cell.reason}." for cell in answer.broken]
    rows.show_skipped(
        broken[:MOST_BROKEN] + ([f"and {len(broken) - MOST_BROKEN:,} more."] if broken[MOST_BROKEN:] else [])
    )
    if answer.amount:
        st.caption(plain(answer.amount))
    answers.chart_lines(answer.table, operation.chart(predictor) if operation.chart else None, table, predictor)
    notes([*batch.notes_on(predictor, table, operation), *answer.notes])
    answers.many(answer.table, operation.name, operation.name)


def _ask_request(operation: Operation, predictor: Predictor) -> None:
    """A request of settings alone, answered when its button is pressed; what streams is shown as it comes."""
    key = f"answer {operation.name}"
    request = settings.request(operation, predictor)
    if st.button(_title(operation.name), type="primary", key=f"ask {operation.name}"):
        if operation.gives == EVENTS:
            st.session_state[key] = _stream(operation, predictor, request)
            return
        with st.spinner("Working"):
            st.session_state[key] = _one_piece(operation, predictor, None, request)
    answer: Answers | str | None = st.session_state.get(key)
    if isinstance(answer, Answers):
        answers.many(answer.table, operation.name, operation.name)
        notes(answer.notes)
    elif answer:
        st.html(answer)


def _stream(operation: Operation, predictor: Predictor, request: Any) -> str:
    """Pieces as they come: a text goes on where the last one ended, other answers stand below one another. All of it
    as HTML.
    """
    place, text, lines, body = st.empty(), "", list[str](), ""
    for piece in predictor.pieces(operation, None, request):
        notes(piece.notes)
        for row in json_rows(piece.table):
            if len(row) == 1 and isinstance(words := next(iter(row.values())), str):
                text += words
            else:
                lines.append(" ".join(answers.words(value) for value in row.values()))
        paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in (lines or [text]))
        body = f'<div class="lamina-text" dir="auto">{paragraphs}</div>'
        place.html(body)
    return body


def _one_piece(operation: Operation, predictor: Predictor, table: pa.Table | None, request: Any) -> Answers:
    """All pieces of an answer in one; an image that is the whole answer as a table of one. Errors: DataError where a
    cell cannot be used.
    """
    pieces = list(predictor.pieces(operation, table, request))
    joined = pa.concat_tables([piece.table for piece in pieces])
    amount = ", ".join(piece.amount for piece in pieces if piece.amount)
    answer = Answers(joined, sum((p.notes for p in pieces), ()), sum((p.broken for p in pieces), ()), amount)
    return whole(answer) if operation.rows == "each" or operation.gives != JSON else answer


ASK = {"none": _ask_request, "each": _ask_each, "together": _ask_together}
