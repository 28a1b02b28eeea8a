"""Transformer: each step of a text looks at the others, or at those before it. Vaswani et al. 2017.

Small and trained from scratch: it says the next token of a text, or one answer for each text of a column.
"""

from typing import Any

import numpy as np
from torch import nn

from lamina.models.transformer import decoder, encoder
from lamina.models.transformer.config import Config
from lamina.schema import ROW_HEADS, Batch, Input, Output, Spec

HEADS = ROW_HEADS | {"tokens"}


def suits(spec: Spec) -> float:
    """The next token of a text; texts, alone or beside numbers and categories."""
    if spec.output.head == "tokens":
        return 0.8
    kinds = {feed.kind for feed in spec.inputs.values()}
    return 0.04 if "tokens" in kinds and not kinds & {"image", "series"} else 0.0


def column_settings(cfg: Config) -> dict[str, dict[str, Any]]:
    return {"text": {"tokenizer": "word", "length": 256}}


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    return (decoder if spec.output.head == "tokens" else encoder).training(cfg, spec)


def example(spec: Spec) -> dict[str, Any]:
    """Smaller than usual."""
    return {"width": 32, "depth": 1, "heads": 2}


def step_inputs(cfg: Config, spec: Spec) -> dict[str, tuple[int, ...]]:
    return decoder.step_inputs(cfg, spec)


def example_rows(count: int, seed: int) -> tuple[Spec, Batch]:
    """Windows of four letters that come in turn."""
    starts = np.random.default_rng(seed).integers(0, 4, count)
    windows = 2 + (starts[:, None] + np.arange(9)) % 4
    feed = Input(kind="tokens", shape=(9,), dtype="int64", sizes=(6,))
    spec = Spec(inputs={"tokens": feed}, output=Output(head="tokens", size=6, loss="next_token"), rows=count)
    return spec, Batch({"tokens": windows}, np.zeros(count, np.int64))


def Model(cfg: Config, spec: Spec) -> nn.Module:  # noqa: N802 - the name of the contract, whatever is built
    """A decoder for the next token, or an encoder for an answer."""
    return decoder.Decoder(cfg, spec) if spec.output.head == "tokens" else encoder.Encoder(cfg, spec)
