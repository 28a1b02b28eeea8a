"""Transformer: each step of a text looks at the others, or at those before it. Vaswani et al. 2017.

Small and trained from scratch: it says the next token of a text, or one answer for each text of a column.
"""

from typing import Any

import numpy as np

from lamina.models.transformer import decoder
from lamina.models.transformer.config import Config
from lamina.schema import Batch, Input, Output, Spec

HEADS = frozenset({"tokens"})


def suits(spec: Spec) -> float:
    """Texts, token by token."""
    return 0.8 if spec.output.head == "tokens" else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    return decoder.training(cfg, spec)


def example_rows(count: int, seed: int) -> tuple[Spec, Batch]:
    """Windows of four letters that come in turn."""
    starts = np.random.default_rng(seed).integers(0, 4, count)
    windows = 2 + (starts[:, None] + np.arange(9)) % 4
    feed = Input(kind="tokens", shape=(9,), dtype="int64", sizes=(6,))
    spec = Spec(inputs={"tokens": feed}, output=Output(head="tokens", size=6, loss="next_token"), rows=count)
    return spec, Batch({"tokens": windows}, np.zeros(count, np.int64))


def Model(cfg: Config, spec: Spec) -> decoder.Decoder:  # noqa: N802 - the name of the contract, whatever is built
    """A decoder for the next token, or an encoder for an answer."""
    return decoder.Decoder(cfg, spec)
