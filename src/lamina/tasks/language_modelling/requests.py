"""What can be total of a language model, and how it is answered piece by piece."""

from collections.abc import Iterator
from itertools import chain
from time import monotonic

from pydantic import Field

from lamina.task import Request, RequestLimits, Session, TooMuch
from lamina.tasks.language_modelling import sampling
from lamina.tasks.language_modelling.sampling import Decoder, Prompt, Settings, Text

LARGEST = 1 << 63  # of seeds
MOST_TEXTS, MOST_TOKENS = 4096, 1 << 20
LONGEST_STOP = 1000
PROMPT = 1 << 14  # tokens of a prompt that are read; where strangers ask, the limit of their request
TOGETHER = 0.02  # seconds of tokens that are given out as one piece, after the first
AT_ONCE = 64  # texts that are written side by side


class GenerateRequest(Request):
    """What to go on from, how far, and how tokens are chosen. The same seed makes the same text."""

    prompt: str = Field(default="", description="the text to go on from; from the start of a text when empty")
    length: int = Field(default=200, ge=1, le=MOST_TOKENS, description="tokens to write at most")
    temperature: float = Field(
        default=1.0, ge=0, le=100, description="below 1 likely tokens come more often; 0 is always the most likely one"
    )
    top_k: int | None = Field(default=None, ge=1, description="choose among so many of the most likely tokens")
    top_p: float | None = Field(
        default=None, gt=0, le=1, description="choose among the most likely tokens that together are so likely"
    )
    seed: int = Field(default=0, ge=0, lt=LARGEST, description="the same seed makes the same")
    stop: str | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_STOP,
        description="a text that ends what is written; it is left out",
    )
    count: int = Field(
        default=1, ge=1, le=MOST_TEXTS, description="how many texts, each of its own", json_schema_extra={"short": "n"}
    )


class Continuation:
    """What a request asks of a bundle: pieces of text as they come. Errors: TooMuch beyond limits."""

    def __init__(self, session: Session, request: GenerateRequest):
        self.session, self.request = session, request
        limits = session.limits
        if limits:
            _check(request, limits)
        self.prompt: Prompt = sampling.prompt(request.prompt, session.task.state, limits.tokens if limits else PROMPT)

    def pieces(self) -> Iterator[str]:
        """The only text, or the first of several, in pieces that are ready at about the same time."""
        ready, due = "", 0.0
        for piece in self.steps():
            ready += "".join(text for _, text in piece)
            if ready and monotonic() >= due:
                yield ready
                ready, due = "", monotonic() + TOGETHER
        if ready:
            yield ready

    def steps(self) -> Iterator[list[tuple[int, str]]]:
        """The only text, or the first of several, a token at a time."""
        return self._write(0, 1)

    def texts(self) -> Iterator[str]:
        """All texts, each as a whole, in their order."""
        for first in range(0, self.request.count, AT_ONCE):
            count = min(AT_ONCE, self.request.count - first)
            parts: list[list[str]] = [[] for _ in range(count)]
            for row, text in chain.from_iterable(self._write(first, count)):
                parts[row].append(text)
            yield from map("".join, parts)

    def _write(self, first: int, count: int) -> Iterator[list[tuple[int, str]]]:
        request, tokenizer = self.request, self.session.task.state.tokenizer
        before = int(self.prompt.ids[-1])
        texts = [
            Text(Decoder(tokenizer, before), request.stop or "", (request.seed, row))
            for row in range(first, first + count)
        ]
        settings = Settings(request.temperature, request.top_k, request.top_p)
        return sampling.write(self.session, self.prompt, settings, texts, request.length)


def _check(request: GenerateRequest, limits: RequestLimits) -> None:
    total = request.length * request.count
    if total > limits.tokens:
        raise TooMuch(
            f"length: at most {limits.tokens:,} tokens are written for one request, all texts together "
            f"(got {total:,}). Send several requests with other seeds."
        )
