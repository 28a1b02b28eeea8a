"""Settings of `vae`."""

from typing import Literal

from pydantic import Field

from lamina import config


class Config(config.Config):
    kind: Literal["vae"] = "vae"
    latent: int = Field(default=32, ge=1, le=4096, description="numbers that something new is made of")
    width: int = Field(default=32, ge=4, le=1024, description="of images: channels of a map of 16 pixels a side")
    hidden: int = Field(default=256, ge=4, le=1 << 14, description="of rows: width of the layers")
    beta: float = Field(default=1.0, gt=0, le=1000, description="weight of the distance to the normal distribution")
    free_bits: float = Field(default=0.1, ge=0, description="nats per latent number that cost nothing")
    warmup: int = Field(
        default=500, ge=0, description="steps over which `beta` grows from 0, but for rows to be generated"
    )
    likelihood: Literal["auto", "normal", "bernoulli"] = Field(
        default="auto", description="normal or bernoulli pixels; auto looks whether they are nearly black and white"
    )
