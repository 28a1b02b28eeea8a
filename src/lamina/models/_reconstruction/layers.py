"""The layers between values and codes: dense for rows, convolutional for images and series, recurrent for series.

An encoder takes values (rows, *shape) and gives (rows, outputs); a decoder takes codes and gives values. `last` is the
layer that ends one: with its weights at zero, it gives nothing.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from lamina.layers.basic import ActivationName, activation
from lamina.layers.recurrent import Recurrence
from lamina.layers.residual import Grower, Plan, Reader
from lamina.models._reconstruction.values import Values
from lamina.schema import Input

Network = Literal["dense", "convolutional", "recurrent"]
COARSE = 8  # steps of the shortest map of a series, about


class Settings(Protocol):
    """What layers are made by."""

    @property
    def network(self) -> Network | None: ...  # None: dense for rows, else convolutional
    @property
    def hidden(self) -> Sequence[int]: ...
    @property
    def width(self) -> int: ...
    @property
    def activation(self) -> ActivationName: ...


def encoder(cfg: Settings, feed: Input, outputs: int) -> nn.Module:
    values, network = Values(feed), cfg.network or ("dense" if feed.kind == "row" else "convolutional")
    if network == "dense":
        return Dense(values, [values.size, *cfg.hidden, outputs], cfg.activation)
    if feed.kind == "image":
        return ImageEncoder(values, Plan(feed, cfg.width), outputs)
    return (SeriesEncoder if network == "convolutional" else RecurrentEncoder)(values, cfg.width, outputs)


def decoder(cfg: Settings, feed: Input, size: int) -> nn.Module:
    values, network = Values(feed), cfg.network or ("dense" if feed.kind == "row" else "convolutional")
    if network == "dense":
        return DenseDecoder(values, [size, *reversed(cfg.hidden), values.size], cfg.activation)
    if feed.kind == "image":
        return ImageDecoder(values, Plan(feed, cfg.width), size)
    return (SeriesDecoder if network == "convolutional" else RecurrentDecoder)(values, cfg.width, size)


# dense


def dense(sizes: Sequence[int], name: ActivationName) -> nn.Sequential:
    """Fully connected layers, each normalised but the last (Ba et al. 2016)."""
    layers = list[nn.Module]()
    for before, after in pairwise(sizes[:-1]):
        layers += [nn.Linear(before, after), nn.LayerNorm(after), activation(name)]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


class Dense(nn.Module):
    """Values, flat, to codes."""

    def __init__(self, values: Values, sizes: Sequence[int], name: ActivationName):
        super().__init__()
        self.centre, self.spread = values.centre, values.spread
        self.layers = dense(sizes, name)

    @property
    def last(self) -> nn.Module:
        return self.layers[-1]

    def forward(self, x: Tensor, there: Tensor | None) -> Tensor:
        return self.layers((x.flatten(1) - self.centre) / self.spread)


class DenseDecoder(nn.Module):
    """Codes to flat values."""

    def __init__(self, values: Values, sizes: Sequence[int], name: ActivationName):
        super().__init__()
        self.shape = values.shape
        self.layers = dense(sizes, name)

    @property
    def last(self) -> nn.Module:
        return self.layers[-1]

    def forward(self, codes: Tensor) -> Tensor:
        return self.layers(codes).unflatten(1, self.shape)


# images


class ImageEncoder(nn.Module):
    """Images (rows, height, width, channels), 0 to 1, to codes."""

    def __init__(self, values: Values, plan: Plan, outputs: int):
        super().__init__()
        self.centre, self.spread = values.centre, values.spread
        self.body, self.last = Reader(plan), nn.Linear(plan.flat, outputs)

    def forward(self, x: Tensor, there: Tensor | None) -> Tensor:
        return self.last(self.body(((x - self.centre) / self.spread).permute(0, 3, 1, 2)))


class ImageDecoder(nn.Module):
    """Codes to images."""

    def __init__(self, values: Values, plan: Plan, size: int):
        super().__init__()
        self.spread, self.body = values.spread, Grower(plan, size, 0)

    @property
    def last(self) -> nn.Module:
        return self.body.layers[-2]  # before pixels are put in their places

    def forward(self, codes: Tensor) -> Tensor:
        return self.body(codes, None).permute(0, 2, 3, 1) * self.spread


# series


class _Residual(nn.Module):
    """Two convolutions around which a map (rows, width, steps) passes unchanged."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.SiLU(), nn.Conv1d(width, width, 5, padding=2), nn.SiLU(), nn.Conv1d(width, width, 5, padding=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * self.layers(x)


def _halvings(steps: int) -> int:
    return max(0, round(math.log2(max(steps, 1) / COARSE)))


class SeriesEncoder(nn.Module):
    """Series (rows, steps, channels), and where they are, to codes; each convolution has half as many steps."""

    def __init__(self, values: Values, width: int, outputs: int):
        super().__init__()
        steps, channels = values.shape
        halvings = _halvings(steps)
        coarse = math.ceil(steps / 2**halvings)
        self.padding = coarse * 2**halvings - steps
        layers: list[nn.Module] = [nn.Conv1d(channels + 1, width, 5, padding=2)]
        for _ in range(halvings):
            layers += [_Residual(width), nn.Conv1d(width, width, 2, 2)]
        self.body = nn.Sequential(*layers, _Residual(width), nn.SiLU())
        self.last = nn.Linear(coarse * width, outputs)

    def forward(self, x: Tensor, there: Tensor | None) -> Tensor:
        x = torch.cat([x, _presence(x, there)], 2).transpose(1, 2)  # (rows, channels + 1, steps)
        return self.last(self.body(nn.functional.pad(x, (0, self.padding))).flatten(1))


class SeriesDecoder(nn.Module):
    """Codes to series; each convolution but the last has twice as many steps."""

    def __init__(self, values: Values, width: int, size: int):
        super().__init__()
        self.steps, channels = values.shape
        halvings = _halvings(self.steps)
        self.coarse = math.ceil(self.steps / 2**halvings)
        self.first = nn.Linear(size, self.coarse * width)
        layers: list[nn.Module] = [_Residual(width)]
        for _ in range(halvings):
            layers += [nn.Upsample(scale_factor=2), nn.Conv1d(width, width, 5, padding=2), _Residual(width)]
        self.body, self.last = nn.Sequential(*layers, nn.SiLU()), nn.Conv1d(width, channels, 5, padding=2)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.first(codes).unflatten(1, (-1, self.coarse))  # (rows, width, coarse)
        return self.last(self.body(x))[:, :, : self.steps].transpose(1, 2)


class RecurrentEncoder(nn.Module):
    """The state of a GRU after the last step of a series (Cho et al. 2014), to codes."""

    def __init__(self, values: Values, width: int, outputs: int):
        super().__init__()
        self.recurrence = Recurrence("gru", values.shape[1] + 1, width)
        self.last = nn.Linear(width, outputs)

    def forward(self, x: Tensor, there: Tensor | None) -> Tensor:
        return self.last(self.recurrence(torch.cat([x, _presence(x, there)], 2), True))


class RecurrentDecoder(nn.Module):
    """A GRU that is shown the code at each step, and which step it is."""

    def __init__(self, values: Values, width: int, size: int):
        super().__init__()
        steps, channels = values.shape
        self.first, self.position = nn.Linear(size, width), nn.Parameter(0.1 * torch.randn(steps, width))
        self.recurrence = Recurrence("gru", width, width)
        self.last = nn.Linear(width, channels)

    def forward(self, codes: Tensor) -> Tensor:
        return self.last(self.recurrence(self.first(codes)[:, None] + self.position))


def _presence(x: Tensor, there: Tensor | None) -> Tensor:
    return torch.ones_like(x[:, :, :1]) if there is None else there[:, :, :1]
