"""Linear and logistic regression as a network of one layer: the honest rival of everything deeper."""

import math
from collections.abc import Iterator
from typing import Any, Literal

from torch import Tensor, nn

from lamina import config
from lamina.models._layers import Flat
from lamina.models._losses import loss
from lamina.schema import Batch, Spec


class Config(config.Config):
    kind: Literal["linear"] = "linear"


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About two thousand steps, never fewer than 40 epochs or more than 300."""
    size = 32 if spec.rows < 10_000 else 256
    epochs = max(40, min(300, math.ceil(2000 * size / max(spec.rows, 1))))
    return {"epochs": epochs, "batch_size": size, "lr": 1e-2, "optimizer": "adam", "schedule": "cosine", "patience": 20}


class Model(nn.Module):
    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        self.flat = Flat(spec)
        self.head = nn.Linear(self.flat.width, spec.output.size)
        self.loss = loss(spec.output)

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"target": self.head(self.flat(inputs))}  # (rows, size)

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        yield "", self.loss(self(batch.inputs)["target"], batch.target)
