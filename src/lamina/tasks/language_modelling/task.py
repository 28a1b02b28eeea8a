"""The serving half of language modelling: what a network is built for, what can be asked, what a bundle must hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lamina import task
from lamina.preprocess import Preprocessor
from lamina.schema import Input, Output, Row
from lamina.task import Asset, Session
from lamina.tasks.language_modelling import bounds, golden
from lamina.tasks.language_modelling.operation import GENERATE, SCORE, STREAM
from lamina.tasks.language_modelling.sampling import GRAPH
from lamina.tasks.language_modelling.state import Config, State


@dataclass(frozen=True)
class Task(task.Task):
    cfg: Config
    state: State

    operations = (GENERATE, SCORE, STREAM)
    assets = {f"{GRAPH}.onnx": Asset("one token of a text, with the state before and after it", graph=True)}

    def output(self) -> Output:
        """A score for each token that can come next."""
        return Output(head="tokens", size=self.state.size, loss="next_token")

    def inputs(self, prep: Preprocessor) -> dict[str, Input]:
        """Windows of ids, one more than the context."""
        state = self.state
        feed = Input(
            kind="tokens",
            shape=(state.context + 1,),
            dtype="int64",
            sizes=(state.size,),
            padding=state.tokenizer.padding,
        )
        return {"tokens": feed}

    def about(self, session: Session) -> Row:
        """What a token is, how many there are, and how many before one are looked at in training."""
        state = self.state
        return {
            "tokenizer": state.tokenizer.tokenizer,
            "vocabulary": state.size,
            "context": state.context,
            "texts": "documents" if state.documents else "one text",
        }

    def check(self, session: Session) -> None:
        bounds.check(session)

    def replay(self, session: Session, requests: Sequence[Row]) -> list[Row]:
        return golden.answers(session, requests)

    def agrees(self, mine: Any, theirs: Any) -> bool:
        return golden.agree(mine, theirs)
