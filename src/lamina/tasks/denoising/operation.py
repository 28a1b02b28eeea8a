"""What can be asked of a bundle that denoises: `predict`, and over HTTP `denoise`, which gives an image as it is."""

import base64
import shlex
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.data.arrays import json_rows
from lamina.preprocess import Broken
from lamina.task import CSV, Answers, Chart, Example, Line, Operation, Request, Session, Usage
from lamina.tasks.denoising import files, image_files, recordings
from lamina.tasks.denoising.image_files import Image
from lamina.tasks.denoising.state import State

MEDIA = "image/png"
DEEP = 65535
ADDRESS = "http://127.0.0.1:8000"


def answer_images(session: Session, rows: pa.Table | None, request: Request) -> Answers:
    """Each image without its noise as a file in base64: PNG of the same depth, TIFF where pixels are floats."""
    bodies, broken = _images(session, rows)
    texts = [None if one is None else base64.b64encode(image_files.encode(one)).decode() for one in bodies]
    return Answers(pa.table({session.task.state.columns[0]: pa.array(texts, pa.string())}), broken=broken)


def answer_png(session: Session, rows: pa.Table | None, request: Request) -> Answers:
    """One image without its noise, as PNG; floats are cut off at black and white and have 16 bits."""
    images, broken = _images(session, rows)
    notes = dict[str, None]()
    bodies = list[bytes]()
    for image in images:
        if image is not None and image.pixels.dtype not in image_files.TOPS:
            notes["The pixels were floats: they are cut off at 0 and 1, and have 16 bits here."] = None
            deep = np.rint(np.clip(image.pixels, 0, 1) * DEEP).astype(np.uint16)
            image = Image(deep)
        bodies.append(b"" if image is None else image_files.encode(image))
    return Answers(pa.table({"image": pa.array(bodies, pa.binary())}), tuple(notes), broken)


def _images(session: Session, rows: pa.Table | None) -> tuple[list[Image | None], tuple[Broken, ...]]:
    assert rows is not None
    column, most = (
        image_files.column(session.schema, rows, session.task.state.columns[0]),
        image_files.most(session.prep),
    )
    images, broken = list[Image | None](), list[Broken]()
    for row in range(rows.num_rows):
        image = image_files.read(column, row, most)
        if isinstance(image, str):
            broken.append(Broken(row, session.task.state.columns[0], image))
            images.append(None)
        else:
            images.append(image_files.restore(session, image))
    return images, tuple(broken)


def answer_series(session: Session, rows: pa.Table | None, request: Request) -> Answers:
    """Each recording without its noise, a list as it came."""
    assert rows is not None
    state: State = session.task.state
    (name,) = state.columns
    values, broken, gaps = list[np.ndarray | None](), list[Broken](), 0
    for row, one in enumerate(recordings.cells(session.schema, rows, name, state.channels)):
        if isinstance(one, str):
            broken.append(Broken(row, name, one))
            values.append(None)
        else:
            gaps += one.gaps
            values.append(recordings.restore(session, one.values))
    layout = session.prep.columns[0].settings.get("layout", "steps_first")
    table = pa.table({name: recordings.column(values, state.channels, layout)})
    return Answers(table, recordings.gaps(gaps), tuple(broken))


def answer_table(session: Session, rows: pa.Table | None, request: Request) -> Answers:
    """The rows in their order, one recording: measurements without noise, other columns as they came."""
    assert rows is not None
    state: State = session.task.state
    recording = recordings.table(session.schema, rows, state.columns)
    if isinstance(recording, str):
        return Answers(rows.slice(0, 0), (f"The table {recording}.",))
    restored = recordings.restore(session, recording.values)
    own = {name: restored[:, i] for i, name in enumerate(state.columns)}
    others = {name: rows[name] for name in rows.column_names if name not in own}
    names = [*(name for name in rows.column_names if name in own or name in others)]
    names += [name for name in own if name not in names]
    return Answers(pa.table({name: own.get(name, others.get(name)) for name in names}), recordings.gaps(recording.gaps))


# examples and drawings


def chart(session: Session) -> Chart:
    """Each column that was cleaned, over what it was."""
    return Chart(tuple(Line(name, source=name) for name in session.task.state.columns))


def _example(session: Session, answer: Any) -> Example:
    row = session.example_row()
    payload = [dict(one) for one in session.golden] if session.task.state.form == "table" else [row]
    return Example(payload, json_rows(answer(session, session.rows(payload), Request()).table))


def example(session: Session) -> Example:
    """Something to send, and what comes back."""
    return _example(session, ANSWERS[session.task.state.form])


def usage_images(session: Session, operation: Operation, path: str) -> Usage:
    bundle, name = shlex.quote(path), session.task.state.columns[0]
    python = f"import lamina\n\nmodel = lamina.load({path!r})\nclean = model.predict(['noisy.png'])[0]  # an array"
    http = f"curl -s -F {name}=@noisy.png {ADDRESS}/predict"
    return Usage(f"lamina predict {bundle} noisy/ -o clean", http, python)


def usage_png(session: Session, operation: Operation, path: str) -> Usage:
    return Usage("", f"curl -s --data-binary @noisy.png -H 'Content-Type: image/png' {ADDRESS}/denoise -o clean.png")


ANSWERS = {"image": answer_images, "series": answer_series, "table": answer_table}


PREDICT = Operation(
    name="predict",
    summary="Take the noise off images, each by itself; files stay what they are in size, colours and depth.",
    answer=answer_images,
    example=example,
    write=files.write,
    options=files.DenoiseOptions,
    usage=usage_images,
)

PREDICT_OF = {
    "image": PREDICT,
    "series": Operation(
        name="predict",
        summary="Take the noise off recordings, each by itself.",
        answer=answer_series,
        example=example,
        takes=(CSV,),
    ),
    "table": Operation(
        name="predict",
        summary="Take the noise off the columns of a table, whose rows are in the order of time.",
        answer=answer_table,
        example=example,
        rows="together",
        takes=(CSV,),
        chart=chart,
    ),
}  # by the form of what came

DENOISE = Operation(
    name="denoise",
    summary="Take the noise off one image: an image in, a PNG out.",
    answer=answer_png,
    example=example,
    gives=MEDIA,
    usage=usage_png,
    faces=frozenset({"http"}),
)
