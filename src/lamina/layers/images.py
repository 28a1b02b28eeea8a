"""Layers of a recipe that work on images: shapes are (channels, height, width), memory holds the channels last."""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.layers.basic import ActivationName, activation
from lamina.schema import Spec

Shape = tuple[int, ...]  # of one row
Built = tuple[list[nn.Module], Shape]
Pair = int | tuple[int, int]
Padding = Literal["valid", "same"]
LARGEST = 1 << 12


def activation_layers(name: ActivationName, shape: Shape) -> list[nn.Module]:
    """The activation behind a layer; a softmax of images is over the channels."""
    if name == "linear":
        return []
    return [nn.Softmax(dim=1)] if name == "softmax" and len(shape) == 3 else [activation(name)]


class Conv2D(config.Config):
    """Convolution: `filters` learned patterns of `kernel_size` pixels."""

    filters: int = Field(ge=1, le=LARGEST)
    kernel_size: Pair = 3
    strides: Pair = 1
    padding: Padding = "valid"
    activation: ActivationName = "linear"
    use_bias: bool = True

    def build(self, shape: Shape) -> Built:
        channels, height, width = image(shape, "conv2d")
        around, after = window((height, width), pair(self.kernel_size), pair(self.strides), self.padding, "conv2d")
        conv = nn.Conv2d(channels, self.filters, pair(self.kernel_size), pair(self.strides), bias=self.use_bias)
        nn.init.xavier_uniform_(conv.weight)  # Keras' own start: Glorot uniform and zero bias
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        even = around[0] == around[1] and around[2] == around[3]
        if even:
            conv.padding = (around[2], around[0])
        shape = (self.filters, *after)
        return [*([] if even else [nn.ZeroPad2d(around)]), conv, *activation_layers(self.activation, shape)], shape


class _Pool(config.Config):
    """Settings of every pooling."""

    pool_size: Pair = 2
    strides: Pair | None = Field(default=None, description="as `pool_size` when unset")
    padding: Padding = "valid"

    def build_pool(self, shape: Shape, name: str, make: Callable[..., nn.Module], empty: float) -> Built:
        channels, height, width = image(shape, name)
        kernel, strides = pair(self.pool_size), pair(self.strides or self.pool_size)
        around, after = window((height, width), kernel, strides, self.padding, name)
        pad = [nn.ConstantPad2d(around, empty)] if any(around) else []
        return [*pad, make(kernel, strides)], (channels, *after)


class MaxPooling2D(_Pool):
    """The largest of each `pool_size` of pixels."""

    def build(self, shape: Shape) -> Built:
        return self.build_pool(shape, "max_pooling2d", nn.MaxPool2d, float("-inf"))


class AveragePooling2D(_Pool):
    """The mean of each `pool_size` of pixels."""

    def build(self, shape: Shape) -> Built:
        return self.build_pool(shape, "average_pooling2d", nn.AvgPool2d, 0.0)


class Global(nn.Module):
    """One number per channel: (rows, channels, height, width) to (rows, channels)."""

    def __init__(self, largest: bool):
        super().__init__()
        self.largest = largest

    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3)) if self.largest else x.mean((2, 3))


class GlobalMaxPooling2D(config.Config):
    """The largest number of each channel."""

    def build(self, shape: Shape) -> Built:
        return [Global(True)], image(shape, "global_max_pooling2d")[:1]


class GlobalAveragePooling2D(config.Config):
    """The mean of each channel."""

    def build(self, shape: Shape) -> Built:
        return [Global(False)], image(shape, "global_average_pooling2d")[:1]


class FlatImage(nn.Module):
    """(rows, channels, height, width) to one vector each, pixel after pixel as Keras does."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class ChannelsLast(nn.Module):
    """A layer of the last dimension, over the channels of images."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def image(shape: Shape, name: str) -> tuple[int, int, int]:
    """The shape of images, or a sentence: this layer takes nothing else."""
    if len(shape) == 2:
        raise ValueError(f"{name} takes images (got series {shape}). Use the layers for series, such as conv1d")
    if len(shape) != 3:
        raise ValueError(f"{name} takes images (got {shape}). Put it before flatten, and give it one image column")
    return shape[0], shape[1], shape[2]


def pair(value: Pair) -> tuple[int, int]:
    """Height and width of one number or two, 1 to 4096."""
    both = (value, value) if isinstance(value, int) else value
    if not all(1 <= n <= LARGEST for n in both):
        raise ValueError(f"sizes must be 1 to {LARGEST} (got {value})")
    return both


def window(
    size: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int], padding: Padding, name: str
) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """Padding (left, right, top, bottom) and the size behind; `same` gives size / strides, rounded up."""
    before, after = [], []
    for n, k, s in zip(size, kernel, strides, strict=True):
        if padding == "valid" and n < k:
            raise ValueError(f"{name}: a window of {k} pixels does not fit the {n} that are left. Use fewer layers")
        count = -(-n // s) if padding == "same" else (n - k) // s + 1
        more = max(0, (count - 1) * s + k - n) if padding == "same" else 0
        before.append((more // 2, more - more // 2))
        after.append(count)
    (top, bottom), (left, right) = before
    return (left, right, top, bottom), (after[0], after[1])


def single_image(spec: Spec) -> str | None:
    """The name of the one input when it is of images."""
    (name, feed), *others = spec.inputs.items()
    return name if feed.kind == "image" and not others else None


def channels_last(module: nn.Module) -> nn.Module:
    """The module with filters laid out as images are in memory."""
    return module.to(memory_format=torch.channels_last)  # pyrefly: ignore[no-matching-overload]
