"""Layers of a recipe that work on series: shapes are (steps, channels), names and defaults those of Keras.

A short series ends before the others; its length goes with it from layer to layer, so that what stands behind its end
changes no answer.
"""

from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from lamina import config
from lamina.layers.basic import ActivationName
from lamina.layers.horizon import fill_absent, has_horizon, single_series
from lamina.layers.images import LARGEST, Built, Padding, Shape, activation_layers, window
from lamina.layers.recurrent import Kind, Recurrence, last_step, padding_mask, reverse_steps, run_directions
from lamina.schema import Input, Spec


class Steps(NamedTuple):
    """Series (rows, steps, channels) and how many steps of each are there, (rows,); None where all are."""

    x: Tensor
    lengths: Tensor | None


class Entrance(nn.Module):
    """The one series of a spec, or the history of a forecast, which has no end before the last step."""

    def __init__(self, feed: Input, whole: bool):
        super().__init__()
        steps, channels = (n or 1 for n in feed.shape)
        self.whole, self.shape = whole, (steps, channels)

    def forward(self, series: Tensor) -> Steps:
        if self.whole:
            return Steps(series, None)
        x, there = fill_absent(series)
        return Steps(x, there.sum(1).long().clamp(min=1))


class Each(nn.Module):
    """A layer of vectors, on every step by itself."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, steps: Steps) -> Steps:
        return Steps(self.layer(steps.x), steps.lengths)


class Channels(nn.Module):
    """A layer of (rows, channels, steps)."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.transpose(1, 2)).transpose(1, 2)


class FlatSteps(nn.Module):
    """All steps of a row in one vector, zeros behind its end."""

    def forward(self, steps: Steps) -> Tensor:
        return _fill_padding(steps, 0.0).flatten(1)


def _fill_padding(steps: Steps, value: float) -> Tensor:
    """The series with a value behind its end."""
    return steps.x if steps.lengths is None else steps.x.masked_fill(padding_mask(steps.x, steps.lengths), value)


class _Recurrent(config.Config):
    """Settings of every recurrent layer."""

    units: int = Field(ge=1, le=LARGEST)
    activation: ActivationName = "tanh"
    return_sequences: bool = False
    go_backwards: bool = False

    def build_layer(self, shape: Shape, kind: Kind, ways: int = 1, merge: str = "concat") -> Built:
        steps, channels = series(shape, "simple_rnn" if kind == "rnn" else kind)
        layers = [Recurrence(kind, channels, self.units, self.activation) for _ in range(ways)]
        width = self.units * (ways if merge == "concat" else 1)
        layer = _Layer(layers, self.return_sequences, self.go_backwards, merge)
        return [layer], (steps, width) if self.return_sequences else (width,)


class SimpleRNN(_Recurrent):
    """Plain recurrent layer: the state after the last step, or after each."""

    def build(self, shape: Shape) -> Built:
        return self.build_layer(shape, "rnn")


class LSTM(_Recurrent):
    """Long short-term memory: the state after the last step, or after each."""

    def build(self, shape: Shape) -> Built:
        return self.build_layer(shape, "lstm")


class GRU(_Recurrent):
    """Gated recurrent units: the state after the last step, or after each."""

    def build(self, shape: Shape) -> Built:
        return self.build_layer(shape, "gru")


class Bidirectional(config.Config):
    """A recurrent layer in both directions: `bidirectional: {lstm: {units: 64}}`."""

    simple_rnn: SimpleRNN | None = None
    lstm: LSTM | None = None
    gru: GRU | None = None
    merge_mode: Literal["concat", "sum", "mul", "ave"] = "concat"

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        """`{LSTM: 64}` as `{lstm: {units: 64}}`."""
        if not isinstance(value, dict):
            return value
        short = {"simplernn": "simple_rnn", "simple_rnn": "simple_rnn", "lstm": "lstm", "gru": "gru"}
        layers = {short.get(str(key).lower(), key): layer for key, layer in value.items()}
        return {k: {"units": v} if k in short.values() and isinstance(v, int) else v for k, v in layers.items()}

    @model_validator(mode="after")
    def _one(self) -> "Bidirectional":
        if sum(layer is not None for layer in (self.simple_rnn, self.lstm, self.gru)) != 1:
            raise ValueError("takes one recurrent layer, such as {lstm: {units: 64}}")
        return self

    def build(self, shape: Shape) -> Built:
        kinds: list[tuple[Kind, _Recurrent | None]] = [("rnn", self.simple_rnn), ("lstm", self.lstm), ("gru", self.gru)]
        kind, layer = next(pair for pair in kinds if pair[1] is not None)
        assert layer is not None
        return layer.build_layer(shape, kind, 2, self.merge_mode)


class _Layer(nn.Module):
    """One recurrent layer, of one direction or two."""

    def __init__(self, layers: list[Recurrence], sequences: bool, backwards: bool, merge: str):
        super().__init__()
        self.directions = nn.ModuleList(layers)
        self.sequences, self.backwards, self.merge = sequences, backwards, merge

    def forward(self, steps: Steps) -> Steps | Tensor:
        x, lengths = steps
        x = reverse_steps(x, lengths) if self.backwards else x
        if len(self.directions) == 1:
            last = not self.sequences and lengths is None
            states = self.directions[0](x, last)
            return states if last else Steps(states, lengths) if self.sequences else last_step(states, lengths)
        forward, backward = run_directions(self.directions, x, lengths).chunk(2, 2)
        if not self.sequences:
            return merge_directions(last_step(forward, lengths), backward[:, 0], self.merge)
        return Steps(merge_directions(forward, backward, self.merge), lengths)


def merge_directions(forward: Tensor, backward: Tensor, mode: str) -> Tensor:
    if mode == "concat":
        return torch.cat([forward, backward], -1)
    return forward * backward if mode == "mul" else (forward + backward) * (0.5 if mode == "ave" else 1.0)


class Conv1D(config.Config):
    """Convolution over time: `filters` learned patterns of `kernel_size` steps; `causal` sees no later step."""

    filters: int = Field(ge=1, le=LARGEST)
    kernel_size: int = Field(default=3, ge=1, le=LARGEST)
    strides: int = Field(default=1, ge=1, le=LARGEST)
    padding: Literal["valid", "same", "causal"] = "valid"
    dilation_rate: int = Field(default=1, ge=1, le=LARGEST)
    activation: ActivationName = "linear"
    use_bias: bool = True

    def build(self, shape: Shape) -> Built:
        steps, channels = series(shape, "conv1d")
        reach = (self.kernel_size - 1) * self.dilation_rate + 1
        around, after = _window(steps, reach, self.strides, "valid" if self.padding == "valid" else "same", "conv1d")
        if self.padding == "causal":
            around, after = (reach - 1, 0), -(-steps // self.strides)
        conv = nn.Conv1d(
            channels, self.filters, self.kernel_size, self.strides, dilation=self.dilation_rate, bias=self.use_bias
        )
        nn.init.xavier_uniform_(conv.weight)  # Keras' own start: Glorot uniform and zero bias
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        padding = [nn.ConstantPad1d(around, 0.0)] if any(around) else []
        layer = _Window(nn.Sequential(*padding, conv), reach if self.padding == "valid" else 1, self.strides, 0.0)
        activations = [Each(layer) for layer in activation_layers(self.activation, (after, self.filters))]
        return [layer, *activations], (after, self.filters)


class _Window(nn.Module):
    """A window moved over the steps, with the lengths that are left."""

    def __init__(self, layer: nn.Module, reach: int, strides: int, empty: float):
        super().__init__()
        self.layer, self.reach, self.strides, self.empty = layer, reach, strides, empty

    def forward(self, steps: Steps) -> Steps:
        x = self.layer(_fill_padding(steps, self.empty).transpose(1, 2)).transpose(1, 2)
        if steps.lengths is None:
            return Steps(x, None)
        left = torch.div(steps.lengths - self.reach + self.strides, self.strides, rounding_mode="floor").clamp(min=1)
        return Steps(x.masked_fill(padding_mask(x, left), 0.0), left)


class _Pool(config.Config):
    """Settings of every pooling over time."""

    pool_size: int = Field(default=2, ge=1, le=LARGEST)
    strides: int | None = Field(default=None, ge=1, le=LARGEST, description="as `pool_size` when unset")
    padding: Padding = "valid"

    def build_pool(self, shape: Shape, name: str, largest: bool) -> Built:
        steps, channels = series(shape, name)
        strides = self.strides or self.pool_size
        around, after = _window(steps, self.pool_size, strides, self.padding, name)
        make = nn.MaxPool1d if largest else nn.AvgPool1d
        empty = float("-inf") if largest else 0.0
        padding = [nn.ConstantPad1d(around, empty)] if any(around) else []
        layer = nn.Sequential(*padding, make(self.pool_size, strides))
        return [_Window(layer, self.pool_size if self.padding == "valid" else 1, strides, empty)], (after, channels)


class MaxPooling1D(_Pool):
    """The largest of each `pool_size` of steps."""

    def build(self, shape: Shape) -> Built:
        return self.build_pool(shape, "max_pooling1d", True)


class AveragePooling1D(_Pool):
    """The mean of each `pool_size` of steps."""

    def build(self, shape: Shape) -> Built:
        return self.build_pool(shape, "average_pooling1d", False)


class _Global(nn.Module):
    """One number per channel, of the steps that are there: to (rows, channels)."""

    def __init__(self, largest: bool):
        super().__init__()
        self.largest = largest

    def forward(self, steps: Steps) -> Tensor:
        if self.largest:
            return _fill_padding(steps, float("-inf")).amax(1)
        count = steps.x.shape[1] if steps.lengths is None else steps.lengths.unsqueeze(1)
        return _fill_padding(steps, 0.0).sum(1) / count


class GlobalMaxPooling1D(config.Config):
    """The largest number of each channel over all steps."""

    def build(self, shape: Shape) -> Built:
        return [_Global(True)], series(shape, "global_max_pooling1d")[1:]


class GlobalAveragePooling1D(config.Config):
    """The mean of each channel over all steps."""

    def build(self, shape: Shape) -> Built:
        return [_Global(False)], series(shape, "global_average_pooling1d")[1:]


def _window(steps: int, reach: int, strides: int, padding: Padding, name: str) -> tuple[tuple[int, int], int]:
    """Padding before and after, and the steps left."""
    if padding == "valid" and steps < reach:
        raise ValueError(f"{name}: a window of {reach} steps does not fit the {steps} that are left. Use fewer layers")
    around, (_, after) = window((1, steps), (1, reach), (1, strides), padding, name)
    return around[:2], after


def series(shape: Shape, name: str) -> tuple[int, int]:
    """The shape of series, or a sentence: this layer takes nothing else."""
    if len(shape) == 2:
        return shape[0], shape[1]
    if len(shape) == 1:
        cure = "Put it before flatten, give it one series and nothing beside it, and return_sequences: true before it"
        raise ValueError(f"{name} takes series (got {shape}). {cure}")
    raise ValueError(f"{name} takes series (got images {shape}). Use the layers for images")


def entrance_input(spec: Spec) -> str:
    """The name of the input that layers for series can meet, or nothing."""
    return next(iter(spec.inputs)) if has_horizon(spec) and len(spec.inputs) == 1 else single_series(spec)
