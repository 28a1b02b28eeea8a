"""Variational autoencoder: pictures or rows to a few normal numbers and back. Kingma and Welling 2014.

The spread of what is decoded is the best one for each batch (Rybkin et al. 2021, sigma-VAE), so that no weight has to
be found between the two halves of the loss; pictures that are nearly black and white are yes or no at each pixel.
`free_bits` per latent number are not pressed out (Kingma et al. 2016), and the pressure grows over the first steps
(Sonderby et al. 2016).
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.layers import random_features as _fixed
from lamina.models.vae import images as _vae_pictures
from lamina.models.vae import tables as _vae_rows
from lamina.schema import Batch, Spec

generates = True

STEPS = 2_000


class Config(config.Config):
    kind: Literal["vae"] = "vae"
    latent: int = Field(default=32, ge=1, le=4096, description="numbers that something new is made of")
    width: int = Field(default=32, ge=4, le=1024, description="of pictures: channels of a map of 16 pixels a side")
    hidden: int = Field(default=256, ge=4, le=1 << 14, description="of rows: width of the layers")
    beta: float = Field(default=1.0, gt=0, le=1000, description="weight of the distance to the normal distribution")
    free_bits: float = Field(default=0.1, ge=0, description="nats per latent number that cost nothing")
    warmup: int = Field(default=500, ge=0, description="of pictures: steps over which `beta` grows from 0")
    likelihood: Literal["auto", "normal", "bernoulli"] = Field(
        default="auto", description="normal or bernoulli pixels; auto looks whether they are nearly black and white"
    )


def suits(spec: Spec) -> float:
    """One column of pictures, or rows of a table."""
    kinds = [feed.kind for name, feed in spec.inputs.items() if name != "condition"]
    return 0.8 if kinds in (["image"], ["row"]) else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 2,000 steps of 128 pictures, more where there are few; or as rows want it."""
    rows = max(spec.rows, 1)
    if "row" in spec.inputs:
        return _vae_rows.training(rows)
    size = max(1, min(128, rows // 4))
    epochs = max(3, min(300, math.ceil(STEPS / math.ceil(rows / size))))
    patience = max(5, epochs // 5)
    return {"epochs": epochs, "batch_size": size, "lr": 1e-3, "ema": 0.998, "clip": 10.0, "patience": patience}


class Model(nn.Module):
    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        ((self.name, feed),) = ((name, feed) for name, feed in spec.inputs.items() if name != "condition")
        self.cfg, size = cfg, spec.output.size
        if feed.kind == "image":
            self.encoder = _vae_pictures.Encoder(cfg, feed, size)
            self.generator = _vae_pictures.Decoder(cfg, feed, size)
        else:
            self.encoder = _vae_rows.Encoder(cfg.latent, cfg.hidden, feed, size)
            self.generator = _vae_rows.Decoder(cfg.latent, cfg.hidden, feed, size)
        self.turn: Tensor
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))  # steps so far

    def both(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What each row costs: to be told again, and to be told at all, in nats (rows,)."""
        originals, condition = inputs[self.name], inputs.get("condition")
        mean, spread = self.coded(inputs)
        drawn = torch.randn_like(mean) if self.training else _fixed.noise(originals, self.cfg.latent)
        codes = mean + drawn * (0.5 * spread).exp()
        raw = self.generator.raw(codes, condition)
        if isinstance(self.generator, _vae_rows.Decoder):
            cost = self.generator.unlikely(codes, condition) - 0.5 * (1 + spread).sum(1)
            return self.generator.again(raw, originals), cost
        cost = 0.5 * (mean.square() + spread.exp() - 1 - spread)
        free = self.cfg.free_bits if self.training else 0.0
        return self.generator.again(raw, originals), cost.clamp(min=free).sum(1)

    def coded(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Where the code of each row lies, and the logarithm of its variance, (rows, latent) each."""
        mean, spread = self.encoder(inputs[self.name], inputs.get("condition")).chunk(2, 1)
        return mean, spread.clamp(-8, 8)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        again, cost = self.both(inputs)
        return {"loss": (again + cost)[:, None], "reconstruction": again[:, None]}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        again, cost = self.both(batch.inputs)
        self.turn += 1
        early = isinstance(self.generator, _vae_pictures.Decoder) and int(self.turn) < self.cfg.warmup
        pressure = self.cfg.beta * (int(self.turn) / self.cfg.warmup if early else 1.0)
        yield "", again.mean() + pressure * cost.mean()

    @torch.no_grad()
    def settle(self, inputs: Mapping[str, Tensor]) -> None:
        """Learn where the codes of training pictures lie, so that new ones are drawn from there."""
        if not isinstance(self.generator, _vae_pictures.Decoder):
            return
        found = [self.coded({n: v[at : at + 512] for n, v in inputs.items()}) for at in range(0, _rows(inputs), 512)]
        mean, spread = (torch.cat(values) for values in zip(*found, strict=True))
        self.generator.settle(mean, spread, inputs.get("condition"))


def _rows(inputs: Mapping[str, Tensor]) -> int:
    return len(next(iter(inputs.values())))
