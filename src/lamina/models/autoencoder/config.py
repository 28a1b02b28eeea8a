"""Settings of `autoencoder`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lamina import config
from lamina.layers.basic import ActivationName
from lamina.models._reconstruction.layers import Network
from lamina.models._reconstruction.values import Values
from lamina.schema import Spec

NARROW = 4096  # numbers of an image or series, up to which a map is made by dense layers, which are quicker


class Config(config.Config):
    kind: Literal["autoencoder"] = "autoencoder"
    network: Network | None = Field(
        default=None,
        description="dense, convolutional or recurrent; when unset dense for rows and maps, else convolutional",
    )
    hidden: tuple[Annotated[int, Field(ge=1, le=1 << 14)], ...] = Field(
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


def neighbor_count(cfg: Config, spec: Spec) -> int:
    """How many nearest rows of each are to stay near it: as settings say, else the task; 0 where codes are no map."""
    own = spec.output.settings.get("neighbors", 0.0)
    return cfg.neighbors if cfg.neighbors is not None else int(own) if isinstance(own, float | int) else 0


def network(cfg: Config, spec: Spec) -> Network:
    """The layers that settings name, or that suit an input and what is asked of codes."""
    (feed,) = spec.inputs.values()
    narrow = feed.kind == "row" or (neighbor_count(cfg, spec) > 0 and Values(feed).size <= NARROW)
    return cfg.network or ("dense" if narrow else "convolutional")
