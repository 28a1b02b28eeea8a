"""Generative adversarial network: a generator against a critic that tells real from made. Goodfellow et al. 2014."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.models import _gan_rows
from lamina.schema import Batch, Spec

generates = True


class Config(config.Config):
    kind: Literal["gan"] = "gan"
    latent: int = Field(default=64, ge=1, le=4096, description="numbers that something new is made of")
    hidden: int = Field(default=256, ge=4, le=1 << 14, description="width of the layers for rows")
    preset: Literal["relativistic", "wgan_gp"] = Field(
        default="relativistic", description="what critic and generator minimise"
    )
    penalty: float = Field(default=0.1, ge=0, description="weight of the critic's steepness (relativistic)")
    moments: float = Field(default=10.0, ge=0, description="weight of means and covariances, for rows")


def suits(spec: Spec) -> float:
    """Rows of a table."""
    kinds = [feed.kind for name, feed in spec.inputs.items() if name != "condition"]
    return 0.7 if kinds == ["row"] else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 6,000 steps of up to 500."""
    return _gan_rows.training(cfg, spec)


class Model(nn.Module):
    parts = ("critic", "generator")

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        ((self.name, feed),) = ((name, feed) for name, feed in spec.inputs.items() if name != "condition")
        self.cfg = cfg
        self.generator = _gan_rows.Generator(cfg, feed, spec.output.size)
        self.critic = _gan_rows.Critic(cfg, feed, spec.output.size)
        self.turn: Tensor
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))  # steps so far: penalties come every few

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return _gan_rows.features(self, inputs)

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        return _gan_rows.losses(self, batch)
