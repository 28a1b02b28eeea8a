"""Generative adversarial network: a generator against a critic that tells real from made. Goodfellow et al. 2014.

Both learn in turn, in the one training loop: `parts = ("critic", "generator")`. What is served is the generator alone,
its weights averaged over training.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.models import _diffaugment, _fixed, _gan_pictures
from lamina.models._residual import scaled
from lamina.schema import Batch, Spec

generates = True

SMALL = 20_000  # pictures, below which the critic would learn them by heart


class Config(config.Config):
    kind: Literal["gan"] = "gan"
    latent: int = Field(default=64, ge=1, le=4096, description="numbers that something new is made of")
    width: int = Field(default=32, ge=4, le=1024, description="channels of a map of 16 pixels a side")
    preset: Literal["relativistic", "dcgan", "wgan_gp"] = Field(
        default="relativistic", description="what critic and generator minimise, and how they are built"
    )
    penalty: float = Field(default=1.0, ge=0, description="weight of the critic's steepness (relativistic)")
    penalty_every: int = Field(default=8, ge=1, description="steps between two penalties (relativistic)")
    diffaugment: bool | None = Field(
        default=None, description="the critic sees changed pictures; by default below 20,000 of them"
    )


def suits(spec: Spec) -> float:
    """One column of pictures."""
    kinds = [feed.kind for name, feed in spec.inputs.items() if name != "condition"]
    return 0.7 if kinds == ["image"] else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 10,000 steps of 64."""
    rows, size = max(spec.rows, 1), max(1, min(64, max(spec.rows, 1) // 4))
    betas = {"relativistic": (0.0, 0.99), "dcgan": (0.5, 0.999), "wgan_gp": (0.0, 0.9)}[cfg.preset]
    size = size * (_gan_pictures.CRITIC_STEPS if cfg.preset == "wgan_gp" else 1)
    return {
        "epochs": max(2, min(2000, math.ceil(10_000 / math.ceil(rows / size)))),
        "batch_size": size,
        "lr": {"relativistic": 5e-4, "dcgan": 2e-4, "wgan_gp": 2e-4}[cfg.preset],
        "optimizer": {"kind": "adam", "betas": betas},
        "schedule": {"kind": "cosine", "warmup": 0.01},
        "ema": 0.999,
    }


class Model(nn.Module):
    parts = ("critic", "generator")

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        ((self.name, feed),) = ((name, feed) for name, feed in spec.inputs.items() if name != "condition")
        self.cfg = cfg
        self.generator = _gan_pictures.Generator(cfg, feed, spec.output.size)
        self.critic = _gan_pictures.Critic(cfg, feed, spec.output.size)
        self.filters = _fixed.Filters(feed.shape[-1] or 1)
        self.augmented = cfg.diffaugment if cfg.diffaugment is not None else spec.rows < SMALL
        self.turn: Tensor
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))  # steps so far: penalties come every few

    def changed(self, pictures: Tensor) -> Tensor:
        """Pictures as the critic sees them."""
        return _diffaugment.changed(pictures) if self.augmented else pictures

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features of the real pictures, and of one made for each of them."""
        real = inputs[self.name]
        made = self.generator.raw(_fixed.noise(real, self.cfg.latent), inputs.get("condition"))
        return {"real": self.filters(scaled(real)), "fake": self.filters(made)}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        return _gan_pictures.losses(self, batch)
