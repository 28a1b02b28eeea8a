"""Settings of language modelling, and what it learns of its training text."""

from typing import Literal

from pydantic import Field

from lamina import config
from lamina.preprocess.text.tokenizers import TokenizerState

LONGEST = 1 << 15  # tokens of a window
Step = dict[str, tuple[int, ...]]


class Config(config.Config):
    """How a text is read."""

    kind: Literal["language_modelling"] = "language_modelling"
    tokenizer: Literal["auto", "character", "byte", "word", "bpe", "pretrained"] = Field(
        default="auto",
        description="what a token is; when auto that of a pretrained network, else characters, bytes where there are "
        "too many different ones, and parts of words above 5 MB",
    )
    vocabulary: int | None = Field(
        default=None,
        ge=1,
        le=1 << 20,
        description="word and bpe: entries of the vocabulary at most; when unset 20,000 words, 8,192 parts of words",
    )
    file: str | None = Field(
        default=None, min_length=1, description="pretrained: its tokenizer.json, or a folder that holds one"
    )
    context: int | None = Field(
        default=None,
        ge=2,
        le=LONGEST,
        description="tokens that are learned from at a time; when unset 128, and the longest of short documents",
    )
    documents: Literal["auto", "rows", "lines", "none"] = Field(
        default="auto",
        description="what is a text by itself: each row, each line, or none, where all rows are one text; by the rows "
        "when auto",
    )


class State(config.Config):
    """What the training text taught. `end`: the id between two documents, None where there is one text; `start`: the id
    before the first token of a text; `step`: the inputs of the graph `step` beside tokens, with their sizes behind the
    rows.
    """

    tokenizer: TokenizerState
    context: int = Field(ge=1, le=LONGEST)
    start: int = Field(ge=0)
    end: int | None = Field(default=None, ge=0)
    step: Step = Field(default={}, max_length=1024)

    @property
    def size(self) -> int:
        """How many ids there are."""
        return max(self.tokenizer.size, (self.end or 0) + 1)

    @property
    def documents(self) -> bool:
        """Whether the text is many that begin anew."""
        return self.end is not None
