"""What can be asked of a generator: `generate`, and `predict` where it has a discriminator."""

import base64
import json
import shlex
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.data.arrays import json_rows
from lamina.task import Answers, Example, Operation, Session, Usage
from lamina.tasks.generation import conditions, discriminator_scores, files, provenance
from lamina.tasks.generation.requests import GenerateRequest, Sampler, json_schema, within_limits
from lamina.tasks.generation.sampling import Samples

LABELS = 10  # in an example
COMMAND = 64  # samples in an example of a command


def answer(session: Session, rows: pa.Table | None, request: GenerateRequest) -> Answers:
    """What is asked for, one row each: of images `image` (PNG in base64), `seed` and `label`; of a table its rows.

    Errors: DataError for a class that there is not or conditions that are not met, TooMuch beyond limits.
    """
    return Answers(_table(session, within_limits(session, request)))


def _table(session: Session, samples: Samples) -> pa.Table:
    if session.task.state.columns:
        return samples.values
    pngs = (provenance.png(image, session.id, seed) for image, seed in zip(samples.values, samples.seeds, strict=True))
    columns: dict[str, Any] = {"image": [base64.b64encode(body).decode() for body in pngs], "seed": samples.seeds}
    return pa.table(columns | ({"label": samples.labels} if samples.labels is not None else {}))


def call(session: Session, request: GenerateRequest) -> np.ndarray | pa.Table:
    """New images (count, height, width, channels) uint8, red first, or rows as an Arrow table."""
    return Sampler(session, request).whole().values


def example(session: Session) -> Example:
    """A request that works, and what it gives."""
    classes = session.task.classes
    request = GenerateRequest(count=1, seed=0, label=classes[0] if classes else None)
    samples = Sampler(session, request).whole()
    return Example(request.model_dump(exclude_none=True), json_rows(_table(session, samples)))


def schema(session: Session) -> dict[str, Any]:
    """The JSON schema of a request, with labels and conditions of this bundle."""
    classes, state = session.task.classes, session.task.state
    examples: dict[str, Any] = {"label": list(classes[:LABELS])} if classes else {}
    return json_schema(session, examples | ({"where": [conditions.examples(session)]} if state.columns else {}))


def describe(session: Session) -> str:
    """What to ask for and what comes back, in a sentence or two."""
    state = session.task.state
    more = ", and what they have to meet" if state.columns else ""
    sentence = (
        f"Ask for new {state.samples} by their number, a seed and a class{more}. What is generated says that it is."
    )
    if has_discriminator(session):
        return sentence
    return f"{sentence} It has no discriminator that would score images or rows; one trained anew with --model gan has."


def usage(session: Session, operation: Operation, path: str) -> Usage:
    """Commands and code that make more, of a class where there are some."""
    classes, rows = session.task.classes, bool(session.task.state.columns)
    label = classes[0] if classes else None
    option = f" --label {shlex.quote(label)}" if label else ""
    output = "generated.csv" if rows else "generated"
    shell = f"lamina generate {shlex.quote(path)} -n {COMMAND} -o {output}{option}"
    body = shlex.quote(json.dumps({"count": 4, "seed": 1, **({"label": label} if label else {})}, ensure_ascii=False))
    http = f"curl -s http://127.0.0.1:8000/generate -H 'Content-Type: application/json' -d {body}"
    keyword = f", label={label!r}" if label else ""
    return Usage(shell, http, f"import lamina\n\nlamina.load({path!r}).generate({COMMAND}, seed=1{keyword})")


def has_discriminator(session: Session) -> bool:
    return discriminator_scores.graph(session) is not None


def discriminator_example(session: Session) -> Example:
    """The first sample of a generator, and how real its discriminator finds that."""
    samples = Sampler(session, GenerateRequest()).whole()
    row = json_rows(_table(session, samples))[0]
    if not session.task.state.columns:
        row = {session.prep.files[0].name: row["image"]}
    return Example([row], json_rows(discriminator_scores.predict(session, session.rows([row]), None).table))


def discriminator_usage(session: Session, operation: Operation, path: str) -> Usage:
    """A command that scores what there is; no server does that."""
    rows = "rows.csv" if session.task.state.columns else "images/"
    row = session.prep.columns[0].name
    python = f"import lamina\n\nlamina.load({path!r}).predict([{{{row!r}: ...}}])"
    return Usage(f"lamina predict {shlex.quote(path)} {rows} -o scores.csv", python=python)


GENERATE = Operation(
    name="generate",
    summary="Generate new images or rows, of a class where one is asked for; each says that it is generated.",
    answer=answer,
    example=example,
    request=GenerateRequest,
    rows="none",
    items="samples",
    facts={"source": provenance.SOURCE_TYPE},
    call=call,
    write=files.write,
    options=files.GenerateOptions,
    usage=usage,
    describe=describe,
    schema=schema,
)

PREDICT = Operation(
    name="predict",
    summary="Score how real the discriminator finds images or rows: 0 is below all real ones held out, 1 above all.",
    answer=discriminator_scores.predict,
    example=discriminator_example,
    usage=discriminator_usage,
    available=has_discriminator,
    faces=frozenset({"cli", "python"}),
)
