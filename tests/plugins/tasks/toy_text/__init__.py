"""Text that goes on from a prompt, one character after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from lamina import config
from lamina.config import DataError
from lamina.preprocess import Preprocessor
from lamina.schema import Input, Output, Row
from lamina.task import EVENTS, Answers, Example, Operation, Request, Session
from lamina.task import Task as BaseTask

LONGEST = 200


class Config(config.Config):
    kind: Literal["toy_text"] = "toy_text"
    steps: int = Field(default=12, ge=2, description="characters of a window")


class State(config.Config):
    characters: tuple[str, ...] = Field(min_length=2, max_length=10_000)


class Prompt(Request):
    """What to go on from, and how far."""

    prompt: str = Field(default="a", min_length=1, max_length=LONGEST, description="text to go on from")
    length: int = Field(default=8, ge=1, le=LONGEST, description="characters to write")


def compose(session: Session, rows: pa.Table | None, request: Prompt) -> Iterator[Answers]:
    """One character at a time, the most probable one; the network's state goes in and comes out."""
    characters = session.task.state.characters
    codes = {character: code for code, character in enumerate(characters)}
    if unknown := [character for character in request.prompt if character not in codes]:
        raise DataError(f"prompt: the character {unknown[0]!r} was never seen in training. Leave it out.")
    state = np.zeros((1, session.config["width"]), np.float32)
    letters = list(request.prompt)
    for place in range(len(request.prompt) + request.length - 1):
        token = np.array([[codes[letters[place]]]], np.int64)
        outputs = session.run({"token": token, "state": state})
        state = outputs["state"]
        if place >= len(request.prompt) - 1:
            letters.append(characters[int(outputs["target"][0].argmax())])
            yield Answers(pa.table({"text": [letters[-1]]}))


def example(session: Session) -> Example:
    request = Prompt(prompt=session.task.state.characters[-1], length=3)
    return Example(request.model_dump(), [{"text": row} for row in written(session, request)])


def written(session: Session, request: Prompt) -> list[str]:
    return [piece.table["text"][0].as_py() for piece in compose(session, None, request)]


@dataclass(frozen=True)
class Task(BaseTask):
    cfg: Config
    state: State

    operations: ClassVar[tuple[Operation, ...]] = (
        Operation(
            name="compose",
            summary="Go on from a prompt, one character after the other.",
            answer=compose,
            example=example,
            request=Prompt,
            rows="none",
            gives=EVENTS,
            items="pieces",
        ),
    )

    def output(self) -> Output:
        return Output(head="letters", size=len(self.state.characters), loss="cross_entropy")

    def inputs(self, prep: Preprocessor) -> dict[str, Input]:
        shape, sizes = (self.cfg.steps,), (len(self.state.characters),)
        return {"tokens": Input(kind="tokens", shape=shape, dtype="int64", sizes=sizes)}

    def replay(self, session: Session, requests: Sequence[Row]) -> list[Row]:
        return [{"text": "".join(written(session, Prompt(**row)))} for row in requests]

    def encode(self, text: str) -> np.ndarray:
        codes: dict[str, Any] = {character: code for code, character in enumerate(self.state.characters)}
        return np.array([codes[character] for character in text if character in codes], np.int64)
