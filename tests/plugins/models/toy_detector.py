"""A small convolutional network that answers a fixed number of slots, each a box or none."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from torch import Tensor, nn

from lamina import config
from lamina.losses import loss
from lamina.schema import Batch, Input, Output, Spec

HEADS = frozenset({"boxes"})


class Config(config.Config):
    kind: Literal["toy_detector"] = "toy_detector"
    width: int = 16


def suits(spec: Spec) -> float:
    return 0.9 if [feed.kind for feed in spec.inputs.values()] == ["image"] else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    return {"epochs": 12, "batch_size": 32, "lr": 3e-3}


def example_rows(count: int, seed: int) -> tuple[Spec, Batch]:
    """Images with one bright square each, or none."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (count, 8, 8, 1), dtype=np.uint8)
    boxes, lengths = np.full((count, 1, 4), -1, np.float32), rng.integers(0, 2, count)
    for row, (x, y) in enumerate(rng.integers(0, 5, (count, 2))):
        if lengths[row]:
            images[row, y : y + 3, x : x + 3] = 220
            boxes[row, 0] = np.array([x, y, x + 3, y + 3]) / 8
    feed = Input(kind="image", shape=(8, 8, 1), dtype="uint8", mean=(0.2,), std=(0.2,))
    spec = Spec(inputs={"image0": feed}, output=Output(head="boxes", size=5, loss="toy_boxes"), rows=count)
    return spec, Batch({"image0": images}, boxes, lengths)


class Model(nn.Module):
    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        ((self.name, feed),) = spec.inputs.items()
        height, width, channels = (int(n or 1) for n in feed.shape)
        self.net = nn.Sequential(
            nn.Conv2d(channels, cfg.width, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(cfg.width, cfg.width, 3, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(cfg.width * -(-height // 4) * -(-width // 4), spec.output.size),
        )
        self.loss = loss(spec.output)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        images = inputs[self.name].float().permute(0, 3, 1, 2) / 255  # (rows, channels, height, width)
        return {"target": self.net(images)}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        yield "", self.loss(self(batch.inputs)["target"], batch.target, batch.lengths)
