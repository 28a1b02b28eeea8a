"""Texts that a network writes for its report, and how fast it writes them."""

from time import perf_counter
from typing import NamedTuple

from lamina.schema import Row
from lamina.task import Session
from lamina.tasks.language_modelling.requests import Continuation, GenerateRequest

TEMPERATURES = (0.5, 0.8, 1.0)
TEXTS, TOKENS = 4, 500  # of one text, at each temperature
DOCUMENTS, LONGEST = 50, 500
TIMED = 200  # tokens


class Samples(NamedTuple):
    """Texts at a temperature."""

    temperature: float
    texts: list[str]


def write(session: Session) -> list[Samples]:
    """Some texts at each temperature, from the start of a text on."""
    documents = session.task.state.documents
    count, length = (DOCUMENTS, LONGEST) if documents else (TEXTS, TOKENS)
    return [
        Samples(t, list(Continuation(session, GenerateRequest(count=count, length=length, temperature=t)).texts()))
        for t in TEMPERATURES
    ]


def speed(session: Session) -> Row:
    """Tokens a second of one text, written by the bundle on this machine."""
    state, start, tokens = session.task.state, perf_counter(), 0
    for seed in range(TIMED):
        request = GenerateRequest(length=TIMED - tokens, seed=seed)
        texts = Continuation(session, request)
        tokens += sum(1 for _ in texts.steps())
        if tokens >= TIMED:
            break
    seconds = perf_counter() - start
    return {"tokens": tokens, "per_second": round(tokens / seconds, 1), "tokenizer": state.tokenizer.tokenizer}
