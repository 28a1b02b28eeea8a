"""A recurrent network over characters. It is trained on windows of text and served one step at a time."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from lamina import config
from lamina.losses import loss
from lamina.schema import Batch, Input, Output, Spec

HEADS = frozenset({"letters"})


class Config(config.Config):
    kind: Literal["toy_language_model"] = "toy_language_model"
    width: int = 32


def suits(spec: Spec) -> float:
    return 0.9


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    return {"epochs": 8, "batch_size": 32, "lr": 1e-2}


def example_rows(count: int, seed: int) -> tuple[Spec, Batch]:
    """Windows of three letters that come in turn."""
    starts = np.random.default_rng(seed).integers(0, 3, count)
    windows = (starts[:, None] + np.arange(7)) % 3
    feed = Input(kind="tokens", shape=(6,), dtype="int64", sizes=(3,))
    spec = Spec(inputs={"tokens": feed}, output=Output(head="letters", size=3, loss="cross_entropy"), rows=count)
    return spec, Batch({"tokens": windows[:, :-1].copy()}, windows[:, 1:].copy())


class Step(nn.Module):
    """One character and the state so far to scores of the next character and the new state."""

    def __init__(self, model: "Model"):
        super().__init__()
        self.embedding, self.cell, self.head = model.embedding, model.cell, model.head

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        state = self.cell(self.embedding(inputs["token"][:, 0]), inputs["state"])
        return {"target": self.head(state), "state": state}


class Model(nn.Module):
    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        self.width = cfg.width
        self.embedding = nn.Embedding(spec.output.size, cfg.width)
        self.cell = nn.GRUCell(cfg.width, cfg.width)
        self.head = nn.Linear(cfg.width, spec.output.size)
        self.loss = loss(spec.output)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Windows of characters (rows, steps) to scores of each next one (rows, steps, characters)."""
        letters = self.embedding(inputs["tokens"])
        state, steps = letters.new_zeros(len(letters), self.width), []
        for step in letters.unbind(1):
            state = self.cell(step, state)
            steps.append(self.head(state))
        return {"target": torch.stack(steps, 1)}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        yield "", self.loss(self(batch.inputs)["target"].flatten(0, 1), batch.target.flatten())

    def served(self) -> dict[str, nn.Module]:
        return {"model": Step(self)}
