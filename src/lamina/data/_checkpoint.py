"""What a network of others does, by the files that hold it."""

from typing import Any, Literal, NamedTuple


class Checkpoint(NamedTuple):
    """A network that others trained to the end, by its files alone: what it reads and answers.

    `reads` is a kind of columns, and `settings` are those of one that it reads; `head` is one of `schema.Output`, and
    `labels` are in the order of what it answers; `length`: tokens of a text at most.
    """

    name: str
    architecture: str
    reads: Literal["text", "image"]
    head: str
    settings: dict[str, Any]
    labels: tuple[str, ...] = ()
    length: int = 0
