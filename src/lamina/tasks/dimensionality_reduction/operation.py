"""What can be asked: `predict`, from rows to coordinates, and `inverse_transform`, back to rows, images or series."""

import base64
import json
import shlex

import numpy as np
import pyarrow as pa

from lamina.data.arrays import json_rows
from lamina.preprocess import Broken
from lamina.preprocess.image import codec
from lamina.task import CSV, Answers, Example, Operation, Request, Session, TooMuch, Usage
from lamina.tasks.dimensionality_reduction import coordinates, files, point_table
from lamina.tasks.dimensionality_reduction.coordinates import DECODER

IMAGE = "image"  # the column of an image in an answer


# rows to coordinates


def predict(session: Session, rows: pa.Table | None, request: Request) -> Answers:
    """The coordinates of each row, in order."""
    assert rows is not None
    broken = list[Broken]()
    return Answers(_table(session, coordinates.project(session, rows, broken).latent), (), tuple(broken))


def _table(session: Session, latent: np.ndarray) -> pa.Table:
    columns = zip(coordinates.names(session), latent.T.astype(np.float64), strict=True)
    return pa.table({name: pa.array(values) for name, values in columns})


def predict_example(session: Session) -> Example:
    """The golden row with the fewest gaps, and its coordinates."""
    row = session.example_row()
    return Example([row], json_rows(predict(session, session.rows([row]), Request()).table))


def predict_summary(session: Session) -> str:
    """How many numbers come back, and what they are called."""
    names = coordinates.names(session)
    return f"Send raw rows, get {point_table.listed(names)} for each. Columns may be missing, extra or in any order."


# coordinates to rows


def inverse_transform(session: Session, rows: pa.Table | None, request: Request) -> Answers:
    """What each point stands for, in order: cells of a row, a series, or an image as PNG in base64.

    Errors: DataError for a coordinate that is missing or no number, TooMuch beyond limits.
    """
    assert rows is not None
    limits, sort = session.limits, coordinates.sort(session)
    if limits and sort == "images" and rows.num_rows > limits.samples:
        raise TooMuch(
            f"rows: at most {limits.samples:,} images are generated for one request (got {rows.num_rows:,}). "
            "Send several requests."
        )
    values = coordinates.decode(session, point_table.parse(session, rows))
    if sort != "images":
        return Answers(coordinates.cells(session, values))
    pngs = [base64.b64encode(codec.as_png(image)).decode() for image in coordinates.images(values)]
    return Answers(pa.table({IMAGE: pa.array(pngs, pa.string())}))


def inverse_example(session: Session) -> Example:
    """The middle of all coordinates, and what is there."""
    names, state = coordinates.names(session), session.task.state
    row = {name: float(f"{value:.4g}") for name, value in zip(names, state.centre, strict=True)}
    answers = inverse_transform(session, pa.table({name: [value] for name, value in row.items()}), Request())
    return Example([row], json_rows(answers.table))


def inverse_summary(session: Session) -> str:
    """What coordinates become."""
    what = {"rows": "the row", "images": "the image (PNG in base64)", "series": "the series"}
    listed = point_table.listed(coordinates.names(session))
    return f"Send {listed}, get {what[coordinates.sort(session)]} that stands there."


def inverse_usage(session: Session, operation: Operation, path: str) -> Usage:
    """Commands and code that turn coordinates back."""
    images = coordinates.sort(session) == "images"
    example = operation.example(session)
    shell = f"lamina inverse_transform {shlex.quote(path)} coordinates.csv -o {'images' if images else 'rows.csv'}"
    body = shlex.quote(json.dumps({"rows": example.payload}))
    http = f"curl -s http://127.0.0.1:8000/inverse_transform -H 'Content-Type: application/json' -d {body}"
    python = f"import lamina\n\nmodel = lamina.load({path!r})\nmodel.inverse_transform({example.payload!r})"
    answer = "" if images else json.dumps(example.answers[0], ensure_ascii=False, indent=2)
    return Usage(shell, http, python, answer)


def has_decoder(session: Session) -> bool:
    return DECODER in session.graphs


def pixels(answers: pa.Table) -> np.ndarray:
    """Images of an answer as an array (rows, height, width, channels) uint8, red first."""
    bodies = (base64.b64decode(text) for text in answers[IMAGE].to_pylist())
    decoded = [codec.pixels(body, codec.MOST_PIXELS)[0] for body in bodies]
    return np.stack([image[:, :, ::-1] for image in decoded if image is not None])


PREDICT = Operation(
    name="predict",
    summary="Send raw rows, get their coordinates: z1, z2 and so on for each.",
    answer=predict,
    example=predict_example,
    takes=(CSV,),
    describe=predict_summary,
)

INVERSE_TRANSFORM = Operation(
    name="inverse_transform",
    summary="Send coordinates, get the rows, images or series that stand there.",
    answer=inverse_transform,
    example=inverse_example,
    takes=(CSV,),
    items="rows",
    write=files.write,
    options=files.WriteOptions,
    usage=inverse_usage,
    describe=inverse_summary,
    available=has_decoder,
    preprocessor=point_table.reader,
)
