"""Residual networks without normalisation from images to numbers and back, frugal enough for a CPU.

Most work is done on 4 to 16 pixels a side; half as many pixels go with twice as many channels. A block begins as
nothing (its last filters are zero), so that no normalisation is needed: Zhang et al. 2019, Fixup.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.layers.images import channels_last
from lamina.schema import Input

SLOPE = 0.2
COARSE = 5.5  # pixels a side of the smallest map, about
FINEST = 20  # pixels a side of the largest map that has all of `width`


class Plan:
    """Sizes of the maps of a network for images: `coarse` (height, width), and channels, the smallest map first."""

    def __init__(self, feed: Input, width: int):
        self.height, self.width, self.channels = (n or 1 for n in feed.shape)
        side = max(self.height, self.width)
        halvings = max(1, round(math.log2(side / COARSE)))
        factor = 2**halvings
        self.coarse = math.ceil(self.height / factor), math.ceil(self.width / factor)
        self.padded = self.coarse[0] * factor, self.coarse[1] * factor
        finest = side // 2
        first = max(8, width // 2 ** max(0, math.ceil(math.log2(max(finest, 1) / FINEST))))
        self.widths = [min(4 * width, first * 2**i) for i in range(halvings)][::-1]

    @property
    def flat(self) -> int:
        """Numbers of the smallest map."""
        return self.widths[0] * self.coarse[0] * self.coarse[1]

    def pad(self, x: Tensor) -> Tensor:
        """Images (rows, channels, height, width) made a little larger, by their edge, so that they halve evenly."""
        tall, wide = self.padded[0] - self.height, self.padded[1] - self.width
        if not tall and not wide:
            return x
        return F.pad(x, (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2), "replicate")

    def crop(self, x: Tensor) -> Tensor:
        """What `pad` added, taken away."""
        top, left = (self.padded[0] - self.height) // 2, (self.padded[1] - self.width) // 2
        return x[:, :, top : top + self.height, left : left + self.width]


class Block(nn.Module):
    """Two 3 x 3 convolutions around which the map passes unchanged."""

    def __init__(self, width: int):
        super().__init__()
        self.first = _kaiming(nn.Conv2d(width, width, 3, padding=1))
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.leaky_relu_(self.first(F.leaky_relu(x, SLOPE)), SLOPE))


class Reader(nn.Module):
    """Images (rows, channels, height, width), -1 to 1, to the numbers of the smallest map (rows, `flat`)."""

    def __init__(self, plan: Plan, depth: int = 1):
        super().__init__()
        self.plan, widths = plan, plan.widths[::-1]
        layers: list[nn.Module] = [_kaiming(nn.Conv2d(plan.channels, widths[0], 4, 2, 1))]
        for before, after in zip(widths, [*widths[1:], 0], strict=True):
            layers += [Block(before) for _ in range(depth)]
            layers += [_kaiming(nn.Conv2d(before, after, 2, 2))] if after else []
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(SLOPE))
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.plan.pad(x)).flatten(1)


class Grower(nn.Module):
    """Numbers (rows, entrance), and the class of each row, to raw pixels (rows, channels, height, width)."""

    def __init__(self, plan: Plan, entrance: int, classes: int, depth: int = 1):
        super().__init__()
        self.plan, widths = plan, plan.widths
        self.first = nn.Linear(entrance, plan.flat)
        nn.init.normal_(self.first.weight, std=1 / math.sqrt(entrance))
        self.named = nn.Embedding(classes, plan.flat) if classes else None
        layers: list[nn.Module] = []
        for before, after in zip(widths, [*widths[1:], 0], strict=True):
            layers += [Block(before) for _ in range(depth)]
            layers += [_kaiming(nn.Conv2d(before, after, 1)), nn.Upsample(scale_factor=2)] if after else []
        final = nn.Conv2d(widths[-1], 4 * plan.channels, 3, padding=1)  # four pixels at a time
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(SLOPE), _kaiming(final), nn.PixelShuffle(2))
        channels_last(self)

    def forward(self, noise: Tensor, condition: Tensor | None) -> Tensor:
        x = self.first(noise)
        if self.named is not None and condition is not None:
            x = x + self.named(condition[:, 0])
        x = x.unflatten(1, (-1, *self.plan.coarse)).contiguous(memory_format=torch.channels_last)
        return self.plan.crop(self.layers(x))


def scale_pixels(images: Tensor) -> Tensor:
    """Images (rows, height, width, channels), 0 to 255, to (rows, channels, height, width), -1 to 1."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def _kaiming(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.kaiming_normal_(layer.weight, SLOPE)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
