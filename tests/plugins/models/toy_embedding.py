"""Numbers to a point: rows of one class lie near one another."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from torch import Tensor, nn

from lamina import config
from lamina.layers.basic import Flat
from lamina.losses import loss
from lamina.schema import Batch, Spec

HEADS = frozenset({"embedding"})


class Config(config.Config):
    kind: Literal["toy_embedding"] = "toy_embedding"
    width: int = 32


def suits(spec: Spec) -> float:
    return 0.9


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    return {"epochs": 15, "batch_size": 32, "lr": 1e-2}


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
