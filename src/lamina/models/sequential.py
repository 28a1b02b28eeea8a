"""The network designed layer by layer, by the names Keras users know; shapes are inferred.

    model:
      kind: sequential
      layers:
        - dense: {units: 64, activation: relu}
        - dropout: 0.2
        - dense: {units: 1, activation: sigmoid}

One column of pictures may be met by layers for pictures, the classic being

    layers:
      - conv2d: {filters: 32, kernel_size: 3, activation: relu}
      - maxpool: 2
      - flatten
      - dense: {units: 128, activation: relu}
      - dense: {units: 10, activation: softmax}

and one series (a column of recordings, or the history of a forecast) by layers for series:

    layers:
      - lstm: {units: 50, activation: relu}
      - dense: 1

The last layer must give as many numbers as the task needs (two classes: 1, or 2 with softmax). A closing sigmoid
or softmax is folded into the loss, which computes it from logits: the same function, without overflow.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, field_validator
from torch import Tensor, nn

from lamina import config
from lamina.config import RecipeError, nearest, parse
from lamina.layers.basic import ActivationName, Flat, Normalized, Pixels
from lamina.layers.forecasting import Levelled, forecasts
from lamina.layers.images import (
    AveragePooling2D,
    Built,
    ChannelsLast,
    Conv2D,
    FlatPicture,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
    Shape,
    activated,
    last,
    only,
)
from lamina.layers.sequences import (
    GRU,
    LSTM,
    AveragePooling1D,
    Bidirectional,
    Channels,
    Conv1D,
    Each,
    Entrance,
    FlatSteps,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
    SimpleRNN,
    entered,
)
from lamina.losses import loss
from lamina.schema import Batch, Spec


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
        return _each([layer, *activated(self.activation, shape)], shape), shape


class Dropout(config.Config):
    """In training, zeroes a share `rate` of the numbers."""

    rate: float = Field(ge=0, lt=1)

    def build(self, shape: Shape) -> Built:
        return _each([nn.Dropout(self.rate)], shape), shape


class BatchNormalization(config.Config):
    """Normalises each feature, of pictures and series each channel, over the batch."""

    momentum: float = Field(default=0.99, ge=0, lt=1)
    epsilon: float = Field(default=1e-3, gt=0)

    def build(self, shape: Shape) -> Built:
        channels = shape[-1] if len(shape) == 2 else shape[0]
        make = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
        norm = Normalized(make(channels, self.epsilon, 1 - self.momentum))
        return [Each(Channels(norm)) if len(shape) == 2 else norm], shape


class LayerNormalization(config.Config):
    """Normalises each row over its features, of pictures and series each pixel or step over its channels."""

    epsilon: float = Field(default=1e-3, gt=0)

    def build(self, shape: Shape) -> Built:
        norm = nn.LayerNorm(shape[0] if len(shape) == 3 else shape[-1], eps=self.epsilon)
        return [ChannelsLast(norm)] if len(shape) == 3 else _each([norm], shape), shape


class Activation(config.Config):
    """An activation on its own."""

    activation: ActivationName

    def build(self, shape: Shape) -> Built:
        return _each(activated(self.activation, shape), shape), shape


class Flatten(config.Config):
    """All dimensions of a row in one."""

    def build(self, shape: Shape) -> Built:
        flat = {3: FlatPicture, 2: FlatSteps}.get(len(shape), nn.Flatten)
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
        raise ValueError("; ".join(fault.rstrip(".") for fault in faults))
    return word, layer


class Config(config.Config):
    kind: Literal["sequential"] = "sequential"
    layers: tuple[str | dict[str, Any], ...] = Field(min_length=1, max_length=1000)

    @field_validator("layers")
    @classmethod
    def _known(cls, layers: tuple[str | dict[str, Any], ...]) -> tuple[str | dict[str, Any], ...]:
        faults = []
        for i, item in enumerate(layers):
            try:
                if isinstance(item, dict) and len(item) != 1:
                    raise ValueError("one layer per entry, such as dense: {units: 64}")
                read(item)
            except ValueError as error:
                faults.append(f"entry {i}: {error}")
        if faults:
            raise ValueError("; ".join(faults))
        return layers


def example(spec: Spec) -> dict[str, Any]:
    """One of each layer that fits."""
    if only(spec):
        first = [{"conv2d": {"filters": 16, "activation": "relu"}}, "batch_normalization", {"maxpool": 2}]
        more = [{"conv2d": {"filters": 16, "padding": "same", "strides": 2}}, "layer_normalization", {"avgpool": 2}]
        return {"layers": [*first, *more, {"activation": "relu"}, "flatten", {"dense": spec.output.size}]}
    if entered(spec):
        first = [{"conv1d": {"filters": 8, "activation": "relu"}}, "layer_normalization", {"max_pooling1d": 2}]
        more = [{"bidirectional": {"gru": {"units": 8, "return_sequences": True}}}, {"dense": 12}]
        return {"layers": [*first, *more, {"lstm": 12}, {"dense": spec.output.size}]}
    first = {"dense": {"units": 32, "activation": "relu"}}
    rest = ["batch_normalization", {"dropout": 0.1}, "layer_normalization", {"activation": "tanh"}, "flatten"]
    return {"layers": [first, *rest, {"dense": spec.output.size}]}


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """Batches of 32 as in Keras; at least 30 epochs, and up to 300 while that makes no more than 1,500 steps."""
    epochs = max(30, min(300, math.ceil(1500 * 32 / max(spec.rows, 1))))
    return {"epochs": epochs, "batch_size": 32, "lr": 1e-3, "optimizer": "adam", "schedule": "constant", "patience": 20}


class Model(nn.Module):
    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        self.alone, self.loss = only(spec) or entered(spec), loss(spec.output)
        self.level = Levelled(spec.output) if forecasts(spec) else None
        self.entrance = _entrance(spec)
        self.layers, shape = _stack(cfg, _entering(self.entrance, spec), spec)
        self.size = spec.output.size
        if shape not in ((self.size,), (2,) if self.size == 1 and spec.output.loss == "binary_cross_entropy" else ()):
            cure = " Put flatten or a recurrent layer without return_sequences before it." if len(shape) == 2 else ""
            raise RecipeError(
                [f"model.layers: the last layer gives {shape} numbers per row, the task needs {self.size}.{cure}"]
            )

        last(self.layers)

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.level is not None:
            history, centre, scale = self.level(inputs["history"])
            return {"target": self.level.restored(self._raw({**inputs, "history": history}), centre, scale)}
        raw = self._raw(inputs)
        if raw.shape[-1] > self.size:
            raw = raw[:, 1:] - raw[:, :1]  # two softmax units are one logit
        return {"target": raw}  # (rows, size)

    def _raw(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.layers(self.entrance(inputs[self.alone] if self.alone else inputs))

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        yield "", self.loss(self(batch.inputs)["target"], batch.target)


def _entrance(spec: Spec) -> nn.Module:
    """One column of pictures or one series as it is, anything else side by side in a vector."""
    if picture := only(spec):
        return Pixels(spec.inputs[picture])
    if name := entered(spec):
        return Entrance(spec.inputs[name], forecasts(spec))
    return Flat(spec)


def _entering(entrance: nn.Module, spec: Spec) -> Shape:
    """The shape of one row for the first layer."""
    if isinstance(entrance, Flat):
        return (int(entrance.width),)
    if isinstance(entrance, Entrance):
        return entrance.shape
    (feed,) = spec.inputs.values()
    height, width, channels = (n or 1 for n in feed.shape)
    return channels, height, width


def _stack(cfg: Config, shape: Shape, spec: Spec) -> tuple[nn.Sequential, Shape]:
    """The layers in order; each gets the shape the one before gave."""
    items = _folded([read(item) for item in cfg.layers], spec)
    modules: list[nn.Module] = []
    for i, (name, layer) in enumerate(items):
        try:
            if i == 0 and len(shape) > 1 and isinstance(layer, Dense):
                modules, shape = Flatten().build(shape)
            built, shape = layer.build(shape)
        except ValueError as error:
            raise RecipeError([f"model.layers: entry {i}, {name}: {error}."]) from None
        modules += built
    return nn.Sequential(*modules), shape


def _folded(items: list[tuple[str, Layer]], spec: Spec) -> list[tuple[str, Layer]]:
    """Without a closing sigmoid or softmax where the loss wants logits."""
    name, last = items[-1]
    known = {"binary_cross_entropy": ("sigmoid", "softmax"), "cross_entropy": ("softmax",), "multilabel": ("sigmoid",)}
    links = known.get(spec.output.loss, ())
    if isinstance(last, Dense) and last.activation in links:
        return [*items[:-1], (name, last.model_copy(update={"activation": "linear"}))]
    if isinstance(last, Activation) and last.activation in links:
        return items[:-1]
    return items
