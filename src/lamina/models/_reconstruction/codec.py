"""An encoder and a decoder, each with a linear path beside its layers that begins as principal component analysis."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lamina.layers.basic import ActivationName, activation
from lamina.models._reconstruction import layers, principal_components
from lamina.models._reconstruction.layers import Settings
from lamina.models._reconstruction.principal_components import Components
from lamina.models._reconstruction.values import Values
from lamina.schema import Input, Windows

WIDEST = 1 << 16  # numbers of a row, up to which there is a linear path
NARROWEST = 1e-2  # of the first deviation
PACE = 0.1  # of the learning rate, for weights that are nearly right from the start


class Rebuilding(nn.Module):
    """A network that gives back what it is fed, `reconstruction` (rows, *shape), beside what it tells of each row."""

    @abstractmethod
    def rebuild(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]: ...

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `rebuild` gives, but for the reconstruction."""
        return {name: value for name, value in self.rebuild(inputs).items() if name != "reconstruction"}


class Encoder(nn.Module):
    """Values to (rows, size + extra); the linear path leads to the first `size`."""

    def __init__(self, cfg: Settings, feed: Input, size: int, linear: bool, extra: int = 0):
        super().__init__()
        values = Values(feed)
        self.layers, self.extra = layers.encoder(cfg, feed, size + extra), extra
        self.linear = nn.Linear(values.size, size) if linear and values.size <= WIDEST else None

    def forward(self, values: Tensor, there: Tensor | None) -> Tensor:
        codes = self.layers(values, there)
        if self.linear is None:
            return codes
        return codes + nn.functional.pad(self.linear(values.flatten(1)), (0, self.extra))


class Decoder(nn.Module):
    """Codes to values, (rows, *shape): what is served by itself as `decoder`."""

    def __init__(self, cfg: Settings, feed: Input, size: int, linear: bool, end: ActivationName = "linear"):
        super().__init__()
        values = Values(feed)
        self.end = activation(end)
        self.layers, self.shape = layers.decoder(cfg, feed, size), values.shape
        self.linear = nn.Linear(size, values.size) if linear and values.size <= WIDEST else None
        self.scale: Tensor  # deviations of the codes at first, so that layers see them all alike
        self.register_buffer("scale", torch.ones(size))

    def raw(self, codes: Tensor) -> Tensor:
        """Values before the last activation."""
        values = self.layers(codes / self.scale)
        return values if self.linear is None else values + self.linear(codes).unflatten(1, self.shape)

    def values(self, codes: Tensor) -> Tensor:
        return self.end(self.raw(codes))

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"reconstruction": self.values(inputs["latent"])}


class Served(nn.Module):
    """A network as a bundle has it: it gives what `rebuild` does. In training it is asked for less, which takes little
    memory for many images.
    """

    def __init__(self, model: Rebuilding):
        super().__init__()
        self.model = model

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.model.rebuild(inputs)


class Start(NamedTuple):
    """Weights of the linear paths at first."""

    into: Tensor  # (size, width)
    outof: Tensor  # (width, size)
    mean: Tensor  # (width,)
    scale: Tensor  # (size,)


def components(values: Values, inputs: np.ndarray | Windows, size: int) -> Components:
    """Principal components of the numbers that inputs are."""

    def rows(places: np.ndarray) -> np.ndarray:
        block, _ = values(torch.from_numpy(np.ascontiguousarray(inputs[places])))
        return block.flatten(1).numpy()

    return principal_components.fit(rows, len(inputs), values.size, size)


def start(of: Components, size: int, whiten: bool = False) -> Start:
    """Codes are the first principal components, in units of the deviation of the first, or each of its own."""
    unit = float(of.deviations[0]) or 1.0
    axes, scale, many = np.zeros((size, len(of.mean))), np.ones(size), min(size, len(of.axes))
    axes[:many] = of.axes[:many]
    scale[:many] = np.maximum(of.deviations[:many] / unit, NARROWEST)
    units = unit * (scale if whiten else np.ones(size))[:, None]
    scale = np.ones(size) if whiten else scale
    into, outof, mean, scale = (torch.from_numpy(x).float() for x in (axes / units, (axes * units).T, of.mean, scale))
    return Start(into, outof, mean, scale)


@torch.no_grad()
def restore(encoder: Encoder, decoder: Decoder, at: Start) -> None:
    """Linear paths as at the start, and layers that add nothing."""
    decoder.scale.copy_(at.scale)
    if encoder.linear is None or decoder.linear is None:
        return
    encoder.linear.weight.copy_(at.into)
    encoder.linear.bias.copy_(-(at.into @ at.mean))
    decoder.linear.weight.copy_(at.outof)
    decoder.linear.bias.copy_(at.mean)
    for part in (encoder.layers, decoder.layers):
        last = part.last
        assert isinstance(last, nn.Linear | nn.Conv1d | nn.Conv2d)
        last.weight.zero_()
        if last.bias is not None:
            last.bias.zero_()
    for weight in (encoder.linear.weight, decoder.linear.weight):
        weight.lr_scale = PACE  # pyrefly: ignore[missing-attribute] - read by train.optim
