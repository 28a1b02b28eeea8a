"""Every layer of a recipe by its name."""

import math
import re
from typing import Any

from pydantic import Field
from torch import nn

from lamina import config
from lamina.config import SeveralFaults, nearest, parse
from lamina.layers.basic import ActivationName, BatchNorm
from lamina.layers.images import (
    AveragePooling2D,
    Built,
    ChannelsLast,
    Conv2D,
    FlatImage,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
    Shape,
    activation_layers,
)
from lamina.layers.sequences import (
    GRU,
    LSTM,
    AveragePooling1D,
    Bidirectional,
    Channels,
    Conv1D,
    Each,
    FlatSteps,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
    SimpleRNN,
)


class Dense(config.Config):
    """Fully connected, of series at each step: the last dimension becomes `units`."""

    units: int = Field(ge=1, le=1 << 16)
    activation: ActivationName = "linear"
    use_bias: bool = True

    def build(self, shape: Shape) -> Built:
        if len(shape) == 3:
            raise ValueError(f"dense takes one vector per row (got {shape}). Put flatten before it")
        layer = nn.Linear(shape[-1], self.units, self.use_bias)
        nn.init.xavier_uniform_(layer.weight)  # Keras' own start: Glorot uniform and zero bias
        if self.use_bias:
            nn.init.zeros_(layer.bias)
        shape = (*shape[:-1], self.units)
        return _each([layer, *activation_layers(self.activation, shape)], shape), shape


class Dropout(config.Config):
    """In training, zeroes a share `rate` of the numbers."""

    rate: float = Field(ge=0, lt=1)

    def build(self, shape: Shape) -> Built:
        return _each([nn.Dropout(self.rate)], shape), shape


class BatchNormalization(config.Config):
    """Normalises each feature, of images and series each channel, over the batch."""

    momentum: float = Field(default=0.99, ge=0, lt=1)
    epsilon: float = Field(default=1e-3, gt=0)

    def build(self, shape: Shape) -> Built:
        channels = shape[-1] if len(shape) == 2 else shape[0]
        make = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
        norm = BatchNorm(make(channels, self.epsilon, 1 - self.momentum))
        return [Each(Channels(norm)) if len(shape) == 2 else norm], shape


class LayerNormalization(config.Config):
    """Normalises each row over its features, of images and series each pixel or step over its channels."""

    epsilon: float = Field(default=1e-3, gt=0)

    def build(self, shape: Shape) -> Built:
        norm = nn.LayerNorm(shape[0] if len(shape) == 3 else shape[-1], eps=self.epsilon)
        return [ChannelsLast(norm)] if len(shape) == 3 else _each([norm], shape), shape


class Activation(config.Config):
    """An activation on its own."""

    activation: ActivationName

    def build(self, shape: Shape) -> Built:
        return _each(activation_layers(self.activation, shape), shape), shape


class Flatten(config.Config):
    """All dimensions of a row in one."""

    def build(self, shape: Shape) -> Built:
        flat = {3: FlatImage, 2: FlatSteps}.get(len(shape), nn.Flatten)
        return [flat()], (math.prod(shape),)


def _each(layers: list[nn.Module], shape: Shape) -> list[nn.Module]:
    """Layers of vectors, on every step of a series."""
    return [Each(layer) for layer in layers] if len(shape) == 2 else layers


Layer = (
    Dense
    | Dropout
    | BatchNormalization
    | LayerNormalization
    | Activation
    | Flatten
    | Conv2D
    | MaxPooling2D
    | AveragePooling2D
    | GlobalMaxPooling2D
    | GlobalAveragePooling2D
    | SimpleRNN
    | LSTM
    | GRU
    | Bidirectional
    | Conv1D
    | MaxPooling1D
    | AveragePooling1D
    | GlobalMaxPooling1D
    | GlobalAveragePooling1D
)
LAYERS: dict[str, type[Layer]] = {
    "dense": Dense,
    "dropout": Dropout,
    "batch_normalization": BatchNormalization,
    "layer_normalization": LayerNormalization,
    "activation": Activation,
    "flatten": Flatten,
    "conv2d": Conv2D,
    "max_pooling2d": MaxPooling2D,
    "average_pooling2d": AveragePooling2D,
    "global_max_pooling2d": GlobalMaxPooling2D,
    "global_average_pooling2d": GlobalAveragePooling2D,
    "simple_rnn": SimpleRNN,
    "lstm": LSTM,
    "gru": GRU,
    "bidirectional": Bidirectional,
    "conv1d": Conv1D,
    "max_pooling1d": MaxPooling1D,
    "average_pooling1d": AveragePooling1D,
    "global_max_pooling1d": GlobalMaxPooling1D,
    "global_average_pooling1d": GlobalAveragePooling1D,
}
SHORT = {word.replace("_", ""): word for word in LAYERS} | {
    "batchnorm": "batch_normalization",
    "layernorm": "layer_normalization",
    "conv": "conv2d",
    "maxpool": "max_pooling2d",
    "maxpool2d": "max_pooling2d",
    "maxpool1d": "max_pooling1d",
    "avgpool": "average_pooling2d",
    "avgpool1d": "average_pooling1d",
    "globalmaxpool": "global_max_pooling2d",
    "globalmaxpool1d": "global_max_pooling1d",
    "globalavgpool": "global_average_pooling2d",
    "globalavgpool1d": "global_average_pooling1d",
}


def snake(name: str) -> str:
    """`BatchNormalization`, `batchnorm` and `batch_normalization` are one layer."""
    word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return SHORT.get(word.replace("_", ""), word)


def read(item: Any) -> tuple[str, Layer]:
    """One entry of `layers`: `flatten`, `dropout: 0.2`, or `dense: {units: 64, activation: relu}`."""
    name, value = (item, {}) if isinstance(item, str) else next(iter(item.items()))
    word = snake(name)
    if word not in LAYERS:
        raise ValueError(f"there is no layer '{name}'. {nearest(word, LAYERS)}")
    cls = LAYERS[word]
    if not isinstance(value, dict) and value is not None:
        value = {next(iter(cls.model_fields), "value"): value}
    faults: list[str] = []
    layer = parse(cls, value or {}, word, faults)
    if layer is None:
        raise SeveralFaults(dict(fault.split(": ", 1) for fault in faults))
    return word, layer
