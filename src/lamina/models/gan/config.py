"""Settings of `gan`."""

from typing import Literal

from pydantic import Field

from lamina import config


class Config(config.Config):
    kind: Literal["gan"] = "gan"
    latent: int = Field(default=64, ge=1, le=4096, description="numbers that something new is made of")
    width: int = Field(default=32, ge=4, le=1024, description="of images: channels of a map of 16 pixels a side")
    hidden: int = Field(default=256, ge=4, le=1 << 14, description="of rows: width of the layers")
    preset: Literal["relativistic", "dcgan", "wgan_gp"] = Field(
        default="relativistic", description="relativistic, dcgan or wgan_gp: what discriminator and generator minimise"
    )
    penalty: float = Field(default=1.0, ge=0, description="weight of the discriminator's steepness (relativistic)")
    penalty_every: int = Field(default=4, ge=1, description="steps between two penalties (relativistic)")
    diffaugment: bool | None = Field(
        default=None, description="the discriminator sees changed images; by default below 20,000 of them"
    )
