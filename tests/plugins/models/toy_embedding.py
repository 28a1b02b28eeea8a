"""Numbers to a point: rows of one class lie near one another."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from lamina import config
from lamina.layers.basic import Flat
from lamina.losses import loss
from lamina.schema import Batch, Input, Output, Spec

HEADS = frozenset({"embedding"})


class Config(config.Config):
    kind: Literal["toy_embedding"] = "toy_embedding"
    width: int = 32


def suits(spec: Spec) -> float:
    return 0.9


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    return {"epochs": 15, "batch_size": 32, "lr": 1e-2}


def example_rows(count: int, seed: int) -> tuple[Spec, Batch]:
    """Points about three centres."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, count)
    points = (np.eye(3)[codes] * 3 + rng.normal(size=(count, 3))).astype(np.float32)
    feed = Input(kind="number", shape=(3,), dtype="float32", edges=((-1.0, 0.0, 1.0),) * 3)
    output = Output(head="embedding", size=4, loss="toy_prototypes", settings={"classes": 3.0})
    return Spec(inputs={"number": feed}, output=output, rows=count), Batch({"number": points}, codes)


class Model(nn.Module):
    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        self.flat = Flat(spec)
        self.net = nn.Sequential(
            nn.Linear(self.flat.width, cfg.width), nn.ReLU(), nn.Linear(cfg.width, spec.output.size)
        )
        self.loss = loss(spec.output)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"target": nn.functional.normalize(self.net(self.flat(inputs)))}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        yield "", self.loss(self(batch.inputs)["target"], batch.target)
