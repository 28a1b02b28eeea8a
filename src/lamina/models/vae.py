"""Variational autoencoder: pictures or rows to a few normal numbers and back. Kingma and Welling 2014.

The spread of what is decoded is the best one for each batch (Rybkin et al. 2021, sigma-VAE), so that no weight has to
be found between the two halves of the loss; `free_bits` per latent number are not pressed out (Kingma et al. 2016).
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.models._layers import Pixels
from lamina.schema import Batch, Input, Spec

generates = True


class Config(config.Config):
    kind: Literal["vae"] = "vae"
    latent: int = Field(default=32, ge=1, le=4096, description="numbers that something new is made of")
    width: int = Field(default=32, ge=4, le=1024, description="channels of the first layer for pictures")
    hidden: int = Field(default=256, ge=4, le=1 << 14, description="width of the layers for rows")
    beta: float = Field(default=1.0, gt=0, le=1000, description="weight of the distance to the normal distribution")
    free_bits: float = Field(default=0.1, ge=0, description="nats per latent number that cost nothing")


def suits(spec: Spec) -> float:
    """One column of pictures, or rows of a table."""
    kinds = [feed.kind for name, feed in spec.inputs.items() if name != "condition"]
    return 0.8 if kinds in (["image"], ["row"]) else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 4,000 steps of 128."""
    rows = max(spec.rows, 1)
    epochs = max(5, min(300, math.ceil(4000 * 128 / rows)))
    return {"epochs": epochs, "batch_size": 128, "lr": 1e-3, "ema": 0.999, "clip": 1.0, "patience": max(5, epochs // 5)}


def told(x: Tensor, condition: Tensor | None, classes: int) -> Tensor:
    """Numbers (rows, n) with the class of each row beside them, as zeros and a one."""
    return x if condition is None else torch.cat([x, F.one_hot(condition[:, 0], classes).to(x.dtype)], 1)


class Decoder(nn.Module):
    """Noise and a class to a picture (rows, height, width, channels), 0 to 255, or to a row."""

    def __init__(self, cfg: Config, feed: Input, classes: int):
        super().__init__()
        self.classes, self.kind = classes, feed.kind
        entrance = cfg.latent + classes
        if feed.kind == "row":
            width = feed.shape[0] or 1
            self.layers = nn.Sequential(
                nn.Linear(entrance, cfg.hidden), nn.ReLU(), nn.Linear(cfg.hidden, cfg.hidden), nn.ReLU(),
                nn.Linear(cfg.hidden, width),
            )  # fmt: skip
            return
        self.height, self.side, channels = (n or 1 for n in feed.shape)
        self.tall, self.wide = math.ceil(self.height / 4), math.ceil(self.side / 4)
        c = cfg.width
        self.first = nn.Linear(entrance, 4 * c * self.tall * self.wide)
        self.layers = nn.Sequential(
            nn.SiLU(), nn.ConvTranspose2d(4 * c, 2 * c, 4, 2, 1), nn.SiLU(), nn.Conv2d(2 * c, 2 * c, 3, 1, 1),
            nn.SiLU(), nn.ConvTranspose2d(2 * c, c, 4, 2, 1), nn.SiLU(), nn.Conv2d(c, channels, 3, 1, 1),
        )  # fmt: skip

    def raw(self, noise: Tensor, condition: Tensor | None) -> Tensor:
        """Logits of pixels (rows, channels, height, width), or a row as it leaves the last layer."""
        noise = told(noise, condition, self.classes)
        if self.kind == "row":
            return self.layers(noise)
        x = self.first(noise).unflatten(1, (-1, self.tall, self.wide))
        return self.layers(x)[:, :, : self.height, : self.side]

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raw = self.raw(inputs["noise"], inputs.get("condition"))
        return {"row": raw} if self.kind == "row" else {"image": torch.sigmoid(raw).permute(0, 2, 3, 1) * 255}


class Encoder(nn.Module):
    """Pictures or rows, and their classes, to mean and log-variance (rows, 2 * latent)."""

    def __init__(self, cfg: Config, feed: Input, classes: int):
        super().__init__()
        self.kind, self.classes, c = feed.kind, classes, cfg.width
        if feed.kind == "row":
            entrance = feed.shape[0] or 1
            self.layers = nn.Sequential(
                nn.Linear(entrance, cfg.hidden), nn.ReLU(), nn.Linear(cfg.hidden, cfg.hidden), nn.ReLU()
            )
            self.head = nn.Linear(cfg.hidden + classes, 2 * cfg.latent)
            return
        height, width, channels = (n or 1 for n in feed.shape)
        self.pixels = Pixels(feed)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, c, 4, 2, 1), nn.SiLU(), nn.Conv2d(c, 2 * c, 3, 1, 1), nn.SiLU(),
            nn.Conv2d(2 * c, 4 * c, 4, 2, 1), nn.SiLU(), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(4 * c * (height // 4) * (width // 4) + classes, 2 * cfg.latent)

    def forward(self, originals: Tensor, condition: Tensor | None) -> Tensor:
        x = self.layers(self.pixels(originals) if self.kind == "image" else originals)
        return self.head(told(x, condition, self.classes))


class Model(nn.Module):
    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        ((self.name, feed),) = ((name, feed) for name, feed in spec.inputs.items() if name != "condition")
        self.kind, self.sizes, self.cfg = feed.kind, feed.sizes, cfg
        self.encoder = Encoder(cfg, feed, spec.output.size)
        self.generator = Decoder(cfg, feed, spec.output.size)

    def both(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What each row costs: to be told again, and to be told at all, in nats (rows,)."""
        originals, condition = inputs[self.name], inputs.get("condition")
        mean, spread = self.encoder(originals, condition).chunk(2, 1)
        spread = spread.clamp(-8, 8)
        noise = mean + torch.randn_like(mean) * (0.5 * spread).exp() if self.training else mean
        raw = self.generator.raw(noise, condition)
        told = 0.5 * (mean.square() + spread.exp() - 1 - spread)
        return self._again(raw, originals), told.clamp(min=self.cfg.free_bits).sum(1) if self.training else told.sum(1)

    def _again(self, raw: Tensor, originals: Tensor) -> Tensor:
        if self.kind == "image":
            wanted = originals.permute(0, 3, 1, 2).float() / 255
            return _normal((torch.sigmoid(raw) - wanted).flatten(1))
        costs, at, ways = [], 0, []
        for size in self.sizes:
            block, wanted = raw[:, at : at + size], originals[:, at : at + size]
            if size == 1:
                ways.append(torch.tanh(block) - wanted)
            else:
                costs.append(-(wanted * block.log_softmax(1)).sum(1))
            at += size
        return sum(costs, torch.zeros_like(raw[:, 0])) + (_normal(torch.cat(ways, 1)) if ways else 0.0)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        again, told = self.both(inputs)
        return {"loss": (again + told)[:, None]}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        again, told = self.both(batch.inputs)
        yield "", again.mean() + self.cfg.beta * told.mean()


def _normal(error: Tensor) -> Tensor:
    """Nats per row of errors (rows, n) under a normal distribution of the spread that suits the batch best."""
    spread = error.square().mean().clamp(min=1e-6)
    return (0.5 * error.square() / spread + 0.5 * spread.log()).sum(1)
