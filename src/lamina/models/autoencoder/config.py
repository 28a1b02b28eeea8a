"""Settings of `autoencoder`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lamina import config
from lamina.layers.basic import ActivationName


class Config(config.Config):
    kind: Literal["autoencoder"] = "autoencoder"
    network: Literal["dense", "convolutional", "recurrent"] | None = Field(
        default=None,
        description="dense, convolutional or recurrent (series); when unset dense for rows, else convolutional",
    )
    hidden: tuple[int, ...] = Field(
        default=(256, 256),
        description="dense: widths of the encoder's layers; the decoder has them the other way round",
    )
    width: int = Field(
        default=32, ge=4, le=1024, description="convolutional: channels; recurrent: numbers of the state"
    )
    activation: ActivationName = Field(default="silu", description="of the dense layers between")
    latent_activation: ActivationName = Field(default="linear", description="of the code")
    output_activation: ActivationName = Field(default="linear", description="of what is given back")
    linear: bool = Field(
        default=True, description="a linear path beside the layers, which begins as principal component analysis"
    )
    noise: float = Field(
        default=0.0, ge=0, le=10, description="of what is fed in training: deviation of what is added, in spreads"
    )
    masking: float = Field(
        default=0.0, ge=0, lt=1, description="of what is fed in training: share of the numbers hidden"
    )
    sparsity: float = Field(default=0.0, ge=0, le=100, description="weight of the mean size of the numbers of a code")
    neighbors: int | None = Field(
        default=None,
        ge=0,
        le=200,
        description="nearest rows whose codes are drawn together, as in UMAP, 0 for none; as the task says when unset",
    )

    @model_validator(mode="after")
    def _straight(self) -> Self:
        bent = [n for n in ("latent_activation", "output_activation") if vars(self)[n] != "linear"]
        if self.linear and bent:
            raise ValueError(f"a linear path ends in no activation; with {bent[0]} set linear to false")
        return self
