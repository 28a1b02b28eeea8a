"""Generative adversarial network: a generator against a critic that tells real from made. Goodfellow et al. 2014.

Both learn in turn, in the one training loop: `parts = ("critic", "generator")`. Both are served: the generator makes,
the critic scores what there is. Their weights are averaged over training.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.config import RecipeError
from lamina.layers import random_features as _fixed
from lamina.models.gan import images as _gan_pictures
from lamina.models.gan import tables as _gan_rows
from lamina.schema import Batch, Spec

generates = True

SMALL = 20_000  # pictures, below which the critic would learn them by heart


class Config(config.Config):
    kind: Literal["gan"] = "gan"
    latent: int = Field(default=64, ge=1, le=4096, description="numbers that something new is made of")
    width: int = Field(default=32, ge=4, le=1024, description="of pictures: channels of a map of 16 pixels a side")
    hidden: int = Field(default=256, ge=4, le=1 << 14, description="of rows: width of the layers")
    preset: Literal["relativistic", "dcgan", "wgan_gp"] = Field(
        default="relativistic", description="relativistic, dcgan or wgan_gp: what critic and generator minimise"
    )
    penalty: float = Field(default=1.0, ge=0, description="weight of the critic's steepness (relativistic)")
    penalty_every: int = Field(default=4, ge=1, description="steps between two penalties (relativistic)")
    diffaugment: bool | None = Field(
        default=None, description="the critic sees changed pictures; by default below 20,000 of them"
    )


def suits(spec: Spec) -> float:
    """One column of pictures, or rows of a table."""
    kinds = [feed.kind for name, feed in spec.inputs.items() if name != "condition"]
    return 0.7 if kinds in (["image"], ["row"]) else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 6,500 steps of 64 pictures, or 4,000 of up to 500 rows."""
    pictures = any(feed.kind == "image" for feed in spec.inputs.values())
    return (_gan_pictures if pictures else _gan_rows).training(cfg, spec)


class Model(nn.Module):
    parts = ("critic", "generator")

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        ((self.name, feed),) = ((name, feed) for name, feed in spec.inputs.items() if name != "condition")
        self.cfg, classes = cfg, spec.output.size
        self.turn: Tensor
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))  # steps so far: some things come every few
        self.augmented = cfg.diffaugment if cfg.diffaugment is not None else spec.rows < SMALL
        if feed.kind == "row" and cfg.preset == "dcgan":
            raise RecipeError(["model.preset: dcgan makes pictures. Use relativistic or wgan_gp for rows."])
        self.kind, of = feed.kind, _gan_pictures if feed.kind == "image" else _gan_rows
        self.generator, self.critic = of.Generator(cfg, feed, classes), of.Critic(cfg, feed, classes)
        self.loss_filters = _fixed.Filters(feed.shape[-1] or 1) if feed.kind == "image" else None

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return (_gan_pictures if self.kind == "image" else _gan_rows).features(self, inputs)

    def judge(self) -> nn.Module:
        """The critic as it is served."""
        return (_gan_pictures if self.kind == "image" else _gan_rows).Judge(self)

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        return (_gan_pictures if self.kind == "image" else _gan_rows).losses(self, batch)
