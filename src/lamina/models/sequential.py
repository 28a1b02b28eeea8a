"""The network designed layer by layer, by the names Keras users know; shapes are inferred.

    model:
      kind: sequential
      layers:
        - dense: {units: 64, activation: relu}
        - dropout: 0.2
        - dense: {units: 1, activation: sigmoid}

One column of images may be met by layers for images, the classic being

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
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator
from torch import Tensor, nn

from lamina import config
from lamina.config import RecipeError, SeveralFaults
from lamina.layers.basic import Flat, Pixels
from lamina.layers.horizon import ReversibleNorm, has_horizon
from lamina.layers.images import Shape, channels_last, single_image
from lamina.layers.registry import Activation, Dense, Flatten, Layer, read
from lamina.layers.sequences import Entrance, entrance_input
from lamina.models import _known_effect
from lamina.models._single_part import SinglePart
from lamina.schema import TARGET_HEADS, Batch, Spec

HEADS = TARGET_HEADS


class Config(config.Config):
    kind: Literal["sequential"] = "sequential"
    layers: tuple[str | dict[str, Any], ...] = Field(min_length=1, max_length=1000)

    @field_validator("layers")
    @classmethod
    def _check(cls, layers: tuple[str | dict[str, Any], ...]) -> tuple[str | dict[str, Any], ...]:
        faults: dict[str, str] = {}
        for i, item in enumerate(layers):
            try:
                if isinstance(item, dict) and len(item) != 1:
                    raise ValueError("one layer per entry, such as dense: {units: 64}")
                read(item)
            except SeveralFaults as error:
                faults |= {f"{i}.{place}": text for place, text in error.faults.items()}
            except ValueError as error:
                faults[str(i)] = str(error)
        if faults:
            raise SeveralFaults(faults)
        return layers


def example(spec: Spec) -> dict[str, Any]:
    """One of each layer that fits."""
    if single_image(spec):
        first = [{"conv2d": {"filters": 16, "activation": "relu"}}, "batch_normalization", {"maxpool": 2}]
        more = [{"conv2d": {"filters": 16, "padding": "same", "strides": 2}}, "layer_normalization", {"avgpool": 2}]
        return {"layers": [*first, *more, {"activation": "relu"}, "flatten", {"dense": spec.output.size}]}
    if entrance_input(spec):
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


class Model(SinglePart):
    def __init__(self, cfg: Config, spec: Spec):
        super().__init__(spec.output)
        self.name = single_image(spec) or entrance_input(spec)
        self.level = ReversibleNorm(spec.output, spec.inputs.get("future")) if has_horizon(spec) else None
        self.entrance = _entrance(spec)
        self.layers, shape = _stack(cfg, _entrance_shape(self.entrance, spec), spec)
        self.size = spec.output.size
        if shape not in ((self.size,), (2,) if _is_binary(spec) else ()):
            cure = " Put flatten or a recurrent layer without return_sequences before it." if len(shape) == 2 else ""
            raise RecipeError(
                [f"model.layers: the last layer gives {shape} numbers per row, the task needs {self.size}.{cure}"]
            )

        channels_last(self.layers)

    def initialize(self, train: Batch, validation: Batch) -> None:
        """Forecasts: the effects of what is known beforehand in closed form."""
        if self.level is not None:
            _known_effect.initialize(self.level, train, validation)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.level is not None:
            history, centre, scale = self.level(inputs["history"], inputs.get("future"))
            return {"target": self.level.restore(self._raw({**inputs, "history": history}), centre, scale)}
        raw = self._raw(inputs)
        if raw.shape[-1] > self.size:
            raw = raw[:, 1:] - raw[:, :1]  # two softmax units are one logit
        return {"target": raw}  # (rows, size)

    def _raw(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.layers(self.entrance(inputs[self.name] if self.name else inputs))


def _entrance(spec: Spec) -> nn.Module:
    """One column of images or one series as it is, anything else side by side in a vector."""
    if image := single_image(spec):
        return Pixels(spec.inputs[image])
    if name := entrance_input(spec):
        return Entrance(spec.inputs[name], has_horizon(spec))
    return Flat(spec)


def _entrance_shape(entrance: nn.Module, spec: Spec) -> Shape:
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
    items = _without_activation([read(item) for item in cfg.layers], spec)
    modules: list[nn.Module] = []
    for i, (name, layer) in enumerate(items):
        try:
            if i == 0 and len(shape) > 1 and isinstance(layer, Dense):
                modules, shape = Flatten().build(shape)
            stack, shape = layer.build(shape)
        except ValueError as error:
            raise RecipeError([f"model.layers: entry {i}, {name}: {error}."]) from None
        modules += stack
    return nn.Sequential(*modules), shape


def _is_binary(spec: Spec) -> bool:
    """One logit for two classes, which may be written as two units with softmax."""
    return spec.output.head == "logits" and spec.output.size == 1


def _without_activation(items: list[tuple[str, Layer]], spec: Spec) -> list[tuple[str, Layer]]:
    """Without a closing sigmoid or softmax where the loss wants logits."""
    name, last = items[-1]
    logits = {spec.output.activation, *(["softmax"] if _is_binary(spec) else [])} - {"linear"}
    if isinstance(last, Dense) and last.activation in logits:
        return [*items[:-1], (name, last.model_copy(update={"activation": "linear"}))]
    if isinstance(last, Activation) and last.activation in logits:
        return items[:-1]
    return items
