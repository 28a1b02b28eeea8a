"""The serving half of language modelling: what a network is built for, what can be asked, what a bundle must hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa

from lamina import task
from lamina.data._checkpoint import Checkpoint
from lamina.preprocess import Preprocessor
from lamina.preprocess.text import tokenizers
from lamina.schema import Input, Output, Row
from lamina.task import Asset, Session
from lamina.tasks.language_modelling import bounds, golden
from lamina.tasks.language_modelling.operation import GENERATE, PERPLEXITY, STREAM
from lamina.tasks.language_modelling.sampling import GRAPH
from lamina.tasks.language_modelling.state import Config, State

MOST_CONTEXT = 512  # tokens that an imported network looks back on
SEPARATORS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[EOS]")  # between two texts


@dataclass(frozen=True)
class Task(task.Task):
    cfg: Config
    state: State

    operations = (GENERATE, PERPLEXITY, STREAM)
    assets = {f"{GRAPH}.onnx": Asset("one token of a text, with the state before and after it", graph=True)}

    @classmethod
    def imported(cls, checkpoint: Checkpoint) -> Self | None:
        """By the network's own tokenizer; texts begin and end with the token that it has for that."""
        if checkpoint.head != "tokens":
            return None
        tokenizer = tokenizers.fit(pa.array([], pa.string()), tokenizers.Config(**checkpoint.settings))
        ids = map(tokenizer.backend.token_to_id, SEPARATORS)
        end = next((one for one in ids if one is not None), tokenizer.padding)
        state = State(tokenizer=tokenizer, context=min(checkpoint.length, MOST_CONTEXT), start=end, end=end)
        return cls(Config(tokenizer="pretrained", file=checkpoint.name), state)

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
