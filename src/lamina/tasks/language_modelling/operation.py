"""What can be asked of a language model: `generate` (streamed), `stream_text` (so in Python too), and `perplexity`."""

import json
import math
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from lamina.deploy import writers
from lamina.preprocess.text.tokenizers import as_texts
from lamina.resources import disk
from lamina.schema import Row, clean
from lamina.task import EVENTS, Answers, Example, Operation, Session, Usage
from lamina.tasks.language_modelling import scoring, sequences
from lamina.tasks.language_modelling.requests import Continuation, GenerateRequest
from lamina.tasks.language_modelling.sampling import GRAPH

WORDS = ("the", "of", "and")  # of an example, where training texts share none
EXAMPLE = 16  # tokens of an example
MOST_NATS = 700.0  # beyond which a perplexity is no number


def generates(session: Session) -> bool:
    return GRAPH in session.graphs


# generate


def answer(session: Session, rows: pa.Table | None, request: GenerateRequest) -> Iterator[Answers]:
    """What follows the prompt, in pieces as they come; of several texts each as a whole. Errors: TooMuch."""
    continuation = Continuation(session, request)
    notes = (continuation.prompt.note,) if continuation.prompt.note else ()
    one = request.count == 1
    for number, text in enumerate(continuation.pieces() if one else continuation.texts()):
        yield Answers(pa.table({"text": [text]} if one else {"number": [number + 1], "text": [text]}), notes)
        notes = ()
    if notes or (one and not request.length):
        yield Answers(pa.table({"text": [""]}), notes)


def call(session: Session, request: GenerateRequest) -> str | list[str]:
    """The text that follows the prompt; a list where several are asked for."""
    texts = list(Continuation(session, request).texts())
    return texts[0] if request.count == 1 else texts


def stream(session: Session, request: GenerateRequest) -> Iterator[str]:
    """The text that follows the prompt, in pieces as they come."""
    return Continuation(session, request).pieces()


class GenerateOptions(GenerateRequest):
    """The same for a file."""

    overwrite: bool = Field(default=False, description="replace what is at the output already")


def write(session: Session, rows: pa.Table | None, options: GenerateOptions, output: Path) -> Row:
    """Write texts into a table, or as they are where the name is none of a table's, one behind the other."""
    disk.refuse_existing(output, options.overwrite)
    disk.check_folder(output)
    continuation = Continuation(session, options)
    texts = list(continuation.texts())
    if output.suffix in writers.FORMATS:
        with writers.writer(output, options.overwrite) as put:
            put(pa.table({"number": np.arange(1, len(texts) + 1), "text": texts}))
    else:
        disk.write_text(output, "".join(f"{text}\n" for text in texts), options.overwrite)
    notes = [continuation.prompt.note] if continuation.prompt.note else []
    return {"output": str(output), "rows": len(texts), "seed": options.seed, "bundle": session.id, "notes": notes}


def first_words(session: Session) -> str:
    """A prompt that tells nothing of a training text: a word that many of its rows share, or a usual one."""
    return next((word for word in session.task.state.tokenizer.words if word.isalpha()), WORDS[0])


def example(session: Session) -> Example:
    """A short text, and the pieces it comes in."""
    request = (
        GenerateRequest(length=EXAMPLE)
        if session.task.state.documents
        else GenerateRequest(prompt=first_words(session), length=EXAMPLE)
    )
    return Example(request.model_dump(exclude_defaults=True), [{"text": str(call(session, request))}])


def usage(session: Session, operation: Operation, path: str) -> Usage:
    """Commands and code that go on from a prompt, or write several texts of their own."""
    many = session.task.state.documents
    settings: Row = {"count": 10} if many else {"prompt": first_words(session), "length": 500, "temperature": 0.8}
    options = "".join(f" --{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in settings.items())
    keywords = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    body = shlex.quote(json.dumps(settings, ensure_ascii=False))
    return Usage(
        f"lamina generate {shlex.quote(path)}{options}",
        f"curl -sN http://127.0.0.1:8000/generate -H 'Content-Type: application/json' -d {body}",
        f"import lamina\n\nmodel = lamina.load({path!r})\nprint(model.generate({keywords}))",
    )


def stream_usage(session: Session, operation: Operation, path: str) -> Usage:
    code = f"for piece in model.stream_text(prompt={first_words(session)!r}):\n    print(piece, end='', flush=True)"
    return Usage("", "", f"import lamina\n\nmodel = lamina.load({path!r})\n{code}")


# perplexity


def perplexity(session: Session, rows: pa.Table | None, request: Any) -> Answers:
    """How likely each text is: nats of a token, bits of a byte, perplexity; null where a text has no token.

    A text counts without the blanks around it. Errors: TooMuch where that takes too long for strangers.
    """
    assert rows is not None
    texts = _texts(session, rows)
    encoded = sequences.encode(texts, session.task.state)
    likelihoods = scoring.likelihoods(session, encoded)
    tokens = np.diff(likelihoods.offsets)
    total = np.concatenate([[0.0], np.cumsum(likelihoods.nll, dtype=np.float64)])
    nats = np.diff(total[likelihoods.offsets])
    sizes = sequences.sizes(texts) + int(session.task.state.documents)
    means = [_share(n, t) for n, t in zip(nats.tolist(), tokens.tolist(), strict=True)]
    bits = [_share(n, b * math.log(2)) for n, b in zip(nats.tolist(), sizes.tolist(), strict=True)]
    columns = {
        "nats_per_token": pa.array(means, pa.float64()),
        "bits_per_byte": pa.array([b if t else None for b, t in zip(bits, tokens.tolist(), strict=True)], pa.float64()),
        "perplexity": pa.array([None if m is None else math.exp(min(m, MOST_NATS)) for m in means], pa.float64()),
        "tokens": pa.array(tokens, pa.int64()),
    }
    return Answers(pa.table(columns))


def _texts(session: Session, rows: pa.Table) -> pa.Array:
    """The column of texts, cleaned as everywhere; one that is absent is of texts without a token."""
    rows = clean(rows, session.schema.missing, session.schema.literal)
    name = session.prep.columns[0].name
    if name not in rows.column_names:
        return pa.nulls(rows.num_rows, pa.string())
    return as_texts(session.prep.parse(rows, [name])[name])


def _share(value: float, of: float) -> float | None:
    return value / of if of else None


def perplexity_example(session: Session) -> Example:
    """A text of words that many training rows share, or of usual ones."""
    words = session.task.state.tokenizer.words[:3] or WORDS
    row = {session.prep.columns[0].name: " ".join(words)}
    return Example(
        [row], perplexity(session, pa.table({name: [text] for name, text in row.items()}), None).table.to_pylist()
    )


GENERATE = Operation(
    name="generate",
    summary="Go on from a prompt, token by token.",
    answer=answer,
    example=example,
    request=GenerateRequest,
    rows="none",
    gives=EVENTS,
    items="pieces",
    call=call,
    write=write,
    options=GenerateOptions,
    usage=usage,
    available=generates,
)

STREAM = replace(
    GENERATE,
    name="stream_text",
    summary="Go on from a prompt, token by token, as an iterator of pieces of text.",
    call=stream,
    write=None,
    options=None,
    usage=stream_usage,
    faces=frozenset({"python"}),
)

PERPLEXITY = Operation(
    name="perplexity",
    summary="Say how likely each text is: perplexity, loss in nats per token, bits per byte.",
    answer=perplexity,
    example=perplexity_example,
)
