"""Settings of a network that others trained."""

from typing import Literal

from pydantic import Field, model_validator

from lamina import config
from lamina.layers.basic import ActivationName


class Lora(config.Config):
    """Low-rank changes of the linear layers, added to their weights when training ends (Hu et al. 2022)."""

    rank: int = Field(default=8, ge=1, le=512, description="numbers that each change goes through")
    alpha: float = Field(default=16, gt=0, description="the change counts alpha / rank times")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="share of what goes into a change that is zeroed")


class Config(config.Config):
    kind: Literal["pretrained"] = "pretrained"
    name: str = Field(min_length=1, description="Hugging Face model (a folder or a name), or an .onnx file")
    frozen: bool | None = Field(
        default=None,
        description="train the head on features; false fine-tunes everything; true when unset, but for lora",
    )
    lora: Lora | None = Field(default=None, description="fine-tune low-rank changes of the weights, with its settings")
    pooling: Literal["auto", "cls", "mean"] = Field(
        default="auto", description="one vector of many: the class token, the mean, or what the network is made for"
    )
    layers: Literal["auto", "last", "all"] = Field(
        default="auto", description="texts: layers that features are of; auto is all of a frozen network, else the last"
    )
    length: int | None = Field(
        default=None, ge=2, le=1 << 16, description="texts: tokens at most; the network's own when unset, up to 512"
    )
    layer: str | None = Field(default=None, description="tensor of an .onnx file that is the features")
    side: int | None = Field(default=None, ge=8, le=2048, description="pixels a side; the network's own when unset")
    mean: tuple[float, ...] | None = Field(default=None, description="of each channel, 0 to 1; the network's own")
    std: tuple[float, ...] | None = Field(default=None, description="of each channel, 0 to 1; the network's own")
    hidden: int | None = Field(default=None, ge=1, description="numbers in a hidden layer of the head; none when unset")
    activation: ActivationName = "relu"
    dropout: float = Field(default=0.2, ge=0, lt=1, description="share of the features that is zeroed in training")
    decay: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="fine-tuning: factor on the learning rate per block, from the head down; 0.75, of texts 0.9",
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5, description="share of the label given to all classes")

    @model_validator(mode="after")
    def _not_frozen(self) -> "Config":
        if self.lora is not None and self.frozen:
            raise ValueError("a frozen network stays as it is, and lora would be ignored. Leave one of them out")
        return self

    @property
    def features_only(self) -> bool:
        """Whether the network stays as it is, and only a head is trained."""
        return self.lora is None and self.frozen is not False
