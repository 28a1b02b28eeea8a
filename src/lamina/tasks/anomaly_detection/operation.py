"""What can be asked of a bundle: `predict`, of rows by themselves or of a recording, and `heatmap` of images."""

from typing import Any

import numpy as np
import pyarrow as pa

from lamina.config import DataError
from lamina.data.arrays import json_rows
from lamina.preprocess import Broken
from lamina.schema import Row
from lamina.task import CSV, Answers, Chart, Example, Line, Operation, Request, Session
from lamina.tasks._unlabelled import row_layout
from lamina.tasks.anomaly_detection import heat_map, scoring
from lamina.tasks.anomaly_detection.scoring import RowScores
from lamina.tasks.anomaly_detection.state import Config

TOP = 3  # owners in an answer, to which most of a score is attributed
PNG = "image/png"


def table(session: Session, row_scores: RowScores) -> pa.Table:
    """`score`, its `probability` and whether that is an `anomaly`, then its `feature_1` and `attribution_1` ..."""
    empty = np.isnan(row_scores.score)
    with np.errstate(under="ignore"):
        probability = np.power(10.0, -row_scores.score)
    columns: dict[str, Any] = {
        "score": pa.array(row_scores.score, mask=empty),
        "probability": pa.array(probability, mask=empty),
        "anomaly": pa.array(row_scores.flag, mask=empty),
    }
    names, _ = scoring.owners(session.task.state, next(iter(session.spec.inputs.values())))
    top = np.argsort(-row_scores.attributions, axis=1, kind="stable")[:, :TOP]
    for i in range(min(TOP, len(names))):
        columns[f"feature_{i + 1}"] = pa.array(names).take(pa.array(top[:, i], mask=empty))
        share = np.take_along_axis(row_scores.attributions, top[:, i : i + 1], axis=1)[:, 0].astype(np.float64)
        columns[f"attribution_{i + 1}"] = pa.array(share, mask=empty)
    return pa.table(columns)


def predict(session: Session, rows: pa.Table | None, request: Request) -> Answers:
    """One answer for each row, in order."""
    assert rows is not None
    broken = list[Broken]()
    return Answers(table(session, scoring.score_rows(session, rows, broken)), (), tuple(broken))


def predict_steps(session: Session, rows: pa.Table | None, request: Request) -> Answers:
    """One answer for each step of a recording, in the order of the rows, with its time beside it."""
    assert rows is not None
    recording = session.task.state.recording
    answers, time = table(session, scoring.score_rows(session, rows)), recording.time
    if time in rows.column_names and time not in answers.column_names:
        answers = answers.add_column(0, time, rows[time])
    first = min(recording.window - 1, rows.num_rows)
    note = f"The first {first:,} steps have no score: a window of {recording.window:,} is not full there."
    return Answers(answers, (note,) if first else ())


def example(session: Session) -> Example:
    """The golden row with the fewest gaps, and its answer."""
    row = session.example_row()
    return Example([row], json_rows(predict(session, session.rows([row]), Request()).table))


def example_steps(session: Session) -> Example:
    """A window of golden rows and a step more, and the answers."""
    rows = steps(session, session.task.state.recording.window + 1)
    return Example(rows, json_rows(predict_steps(session, session.rows(rows), Request()).table))


def steps(session: Session, count: int) -> list[Row]:
    """Golden rows, again and again; without times, which are made up one by one, they are in this order."""
    time = session.task.state.recording.time
    golden = [{name: cell for name, cell in row.items() if name != time} for row in session.golden]
    return [golden[i % len(golden)] for i in range(count)]


def promised(cfg: Config) -> str:
    """What share was to be flagged, in words."""
    if cfg.contamination is not None:
        return f"about {100 * cfg.contamination:g} % of all"
    return f"about {100 * cfg.false_alarm_rate:g} % of normal ones"


def describe(session: Session) -> str:
    state, promise = session.task.state, promised(session.task.cfg)
    if state.recording is not None:
        return (
            f"Send a recording, one row for each step in order of '{state.recording.time}', at least "
            f"{state.recording.window:,} steps. Each gets a score by the window that ends there; {promise} are flagged."
        )
    return f"Send raw rows, get a score for each; {promise} are flagged."


def heatmap(session: Session, rows: pa.Table | None, request: Request) -> Answers:
    """Images beside what is anomalous in each, as PNG. Errors: DataError for an image that cannot be read."""
    assert rows is not None
    broken = list[Broken]()
    inputs = row_layout.feed(session, None, rows, broken)
    if broken:
        raise DataError(f"rows[{broken[0].row}].{broken[0].column}: {broken[0].reason}.")
    if session.limits and rows.num_rows > 1:
        raise DataError(f"rows: one image at a time has a map (got {rows.num_rows:,}). Send one.")
    ((_, images),) = inputs.items()
    bodies = heat_map.pngs(images, session.run(inputs)["reconstruction"])
    return Answers(pa.table({"image": pa.array(bodies, pa.binary())}))


def example_heatmap(session: Session) -> Example:
    return Example([session.example_row()], [])


def chart(session: Session) -> Chart:
    """The score along the time of the recording."""
    return Chart((Line("score"),), session.task.state.recording.time)


def is_images(session: Session) -> bool:
    return next(iter(session.spec.inputs.values())).kind == "image"


SUMMARY = "Send raw rows, get for each a score, whether it is flagged, and which columns explain it."

PREDICT = Operation(name="predict", summary=SUMMARY, answer=predict, example=example, takes=(CSV,), describe=describe)

PREDICT_STEPS = Operation(
    name="predict",
    summary="Send a recording in order of time, get for each step a score, whether it is flagged, and why.",
    answer=predict_steps,
    example=example_steps,
    rows="together",
    takes=(CSV,),
    describe=describe,
    chart=chart,
)

HEATMAP = Operation(
    name="heatmap",
    summary="Send an image, get it beside a map of what the network cannot rebuild of it, as PNG.",
    answer=heatmap,
    example=example_heatmap,
    rows="together",
    gives=PNG,
    available=is_images,
)
