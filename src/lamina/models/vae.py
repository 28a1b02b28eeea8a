"""Variational autoencoder: pictures or rows to a few normal numbers and back. Kingma and Welling 2014.

The spread of what is decoded is the best one for each batch (Rybkin et al. 2021, sigma-VAE), so that no weight has to
be found between the two halves of the loss; `free_bits` per latent number are not pressed out (Kingma et al. 2016).
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.models import _vae_rows
from lamina.models._layers import Pixels
from lamina.models._vae_rows import told
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


class Decoder(nn.Module):
    """Noise and a class to a picture (rows, height, width, channels), 0 to 255."""

    def __init__(self, cfg: Config, feed: Input, classes: int):
        super().__init__()
        self.classes = classes
        entrance = cfg.latent + classes
        self.height, self.side, channels = (n or 1 for n in feed.shape)
        self.tall, self.wide = math.ceil(self.height / 4), math.ceil(self.side / 4)
        c = cfg.width
        self.first = nn.Linear(entrance, 4 * c * self.tall * self.wide)
        self.layers = nn.Sequential(
            nn.SiLU(), nn.ConvTranspose2d(4 * c, 2 * c, 4, 2, 1), nn.SiLU(), nn.Conv2d(2 * c, 2 * c, 3, 1, 1),
            nn.SiLU(), nn.ConvTranspose2d(2 * c, c, 4, 2, 1), nn.SiLU(), nn.Conv2d(c, channels, 3, 1, 1),
        )  # fmt: skip

    def raw(self, noise: Tensor, condition: Tensor | None) -> Tensor:
        """Logits of pixels (rows, channels, height, width)."""
        noise = told(noise, condition, self.classes)
        x = self.first(noise).unflatten(1, (-1, self.tall, self.wide))
        return self.layers(x)[:, :, : self.height, : self.side]

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raw = self.raw(inputs["noise"], inputs.get("condition"))
        return {"image": torch.sigmoid(raw).permute(0, 2, 3, 1) * 255}


class Encoder(nn.Module):
    """Pictures and their classes to mean and log-variance (rows, 2 * latent)."""

    def __init__(self, cfg: Config, feed: Input, classes: int):
        super().__init__()
        self.classes, c = classes, cfg.width
        height, width, channels = (n or 1 for n in feed.shape)
        self.pixels = Pixels(feed)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, c, 4, 2, 1), nn.SiLU(), nn.Conv2d(c, 2 * c, 3, 1, 1), nn.SiLU(),
            nn.Conv2d(2 * c, 4 * c, 4, 2, 1), nn.SiLU(), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(4 * c * (height // 4) * (width // 4) + classes, 2 * cfg.latent)

    def forward(self, originals: Tensor, condition: Tensor | None) -> Tensor:
        x = self.layers(self.pixels(originals))
        return self.head(told(x, condition, self.classes))


class Model(nn.Module):
    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        ((self.name, feed),) = ((name, feed) for name, feed in spec.inputs.items() if name != "condition")
        self.kind, self.cfg = feed.kind, cfg
        size = spec.output.size
        if feed.kind == "row":
            self.encoder = _vae_rows.Encoder(cfg.latent, cfg.hidden, feed, size)
            self.generator = _vae_rows.Decoder(cfg.latent, cfg.hidden, feed, size)
        else:
            self.encoder, self.generator = Encoder(cfg, feed, size), Decoder(cfg, feed, size)

    def both(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What each row costs: to be told again, and to be told at all, in nats (rows,)."""
        originals, condition = inputs[self.name], inputs.get("condition")
        mean, spread = self.encoder(originals, condition).chunk(2, 1)
        spread = spread.clamp(-8, 8)
        noise = mean + self._drawn(mean) * (0.5 * spread).exp()
        raw = self.generator.raw(noise, condition)
        if isinstance(self.generator, _vae_rows.Decoder):
            told = self.generator.unlikely(noise, condition) - 0.5 * (1 + spread).sum(1)
            return self.generator.again(raw, originals), told
        told = 0.5 * (mean.square() + spread.exp() - 1 - spread)
        wanted = originals.permute(0, 3, 1, 2).float() / 255
        again = _normal((torch.sigmoid(raw) - wanted).flatten(1))
        return again, told.clamp(min=self.cfg.free_bits).sum(1) if self.training else told.sum(1)

    def _drawn(self, like: Tensor) -> Tensor:
        """Normal numbers; in evaluation always the same for rows, and none for pictures."""
        if self.training or self.kind == "image":
            return torch.randn_like(like) if self.training else torch.zeros_like(like)
        return torch.randn(like.shape, generator=torch.Generator().manual_seed(0)).to(like)

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
