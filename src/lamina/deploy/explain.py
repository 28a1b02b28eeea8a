"""What is asked of a bundle that answers each row by itself: `explain`, what columns or stretches of a series add."""

from typing import Any

import pyarrow as pa

from lamina.data.arrays import json_rows
from lamina.deploy import attributions, series_attributions
from lamina.deploy.attributions import Explain
from lamina.task import CSV, Answers, Example, Operation, Session

ROWS = "Send raw rows, get what each column adds to the prediction: Shapley values, in all value less base_value."
LABELS = 20  # to choose from, in the schema of a request
SERIES = "Send series, get what each twentieth adds to the prediction: Shapley values, in all value less base_value."


def available(session: Session) -> bool:
    """Whether each row has an answer of its own, which hangs on several columns or on a series."""
    return attributions.available(session) or series_attributions.available(session)


def answer(session: Session, rows: pa.Table | None, request: Explain) -> Answers:
    """For each row the label (where there are some), its probability or the number, and what each part adds to it."""
    return (series_attributions if series_attributions.available(session) else attributions).explain(
        session, rows, request
    )


def describe(session: Session) -> str:
    """What to send and what comes back."""
    return SERIES if series_attributions.available(session) else ROWS


def schema(session: Session) -> dict[str, Any]:
    """The JSON schema of a request to this bundle: the labels to choose from, where there are some."""
    own, classes = Explain.model_json_schema(), session.task.classes
    if classes:
        own["properties"]["label"]["examples"] = list(classes[:LABELS])
    else:
        del own["properties"]["label"]
    return own


def example(session: Session) -> Example:
    """The golden row with the fewest gaps, and what its parts add."""
    row = session.example_row()
    return Example([row], json_rows(answer(session, session.rows([row]), Explain()).table))


EXPLAIN = Operation(
    name="explain",
    summary=ROWS,
    answer=answer,
    example=example,
    request=Explain,
    takes=(CSV,),
    items="explanations",
    describe=describe,
    schema=schema,
    available=available,
    faces=frozenset({"http", "python"}),
)
