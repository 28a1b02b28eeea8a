"""Real or generated: traces of how an image came to be, and not what it shows. For images alone, and named to be used.

Three views. Fixed high-pass filters leave the residual that neighbouring pixels do not explain (Fridrich and Kodovsky
2012, SRM); convolutions look at it beside the pixels, at full size, because the traces of upsampling are a pixel or two
wide and a strided stem would lose them (Wang et al. 2020). The strength of each frequency, as mean and spread over
rings of the spectrum, shows what generators repeat or lack (Durall et al. 2020).
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.layers.basic import ActivationName, BatchNorm, Pixels, activation
from lamina.layers.images import channels_last, single_image
from lamina.losses import smooth_labels
from lamina.models._single_part import SinglePart
from lamina.schema import ROW_HEADS, Input, Spec

HEADS = ROW_HEADS

ALIASES = ("detector",)  # its earlier name
EVALUATE_CORRUPTIONS = True  # the report says what is left of its accuracy when images are compressed, blurred, shrunk

UNLIKELY = 0.01  # far below every architecture that is made for what images show
FILTERS = (  # second order, third order across, and the square of Ker and Boehme 2008
    ((0, 0, 0, 0, 0), (0, -1, 2, -1, 0), (0, 2, -4, 2, 0), (0, -1, 2, -1, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 1, -3, 3, -1), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, -3, 0, 0), (0, 0, 3, 0, 0), (0, 0, -1, 0, 0)),
    ((-1, 2, -2, 2, -1), (2, -6, 8, -6, 2), (-2, 8, -12, 8, -2), (2, -6, 8, -6, 2), (-1, 2, -2, 2, -1)),
)
LARGEST = 3.0  # of a residual, in its own spread: the rest is edges
RINGS = 32
MOST_SIDE = 128  # of the middle of an image whose frequencies are looked at


class Config(config.Config):
    kind: Literal["generated_image_detector"] = "generated_image_detector"
    width: int = Field(
        default=16, ge=2, le=1024, description="channels of the first stage; each next has twice as many"
    )
    most: int = Field(default=64, ge=2, le=2048, description="channels at most")
    activation: ActivationName = Field(default="relu", description="any of the activations below")
    spectrum: bool = Field(default=True, description="whether the strength of each frequency is looked at too")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="share of the features left out while training")
    label_smoothing: float = Field(default=0.05, ge=0, lt=0.5, description="share of the label given to all classes")


def suits(spec: Spec) -> float:
    """One column of images, where it is asked for by name."""
    return UNLIKELY if single_image(spec) else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 1,500 steps; images are compressed, shrunk and blurred, so that only what survives this is relied on."""
    rows = max(spec.rows, 1)
    size = max(8, min(64, rows // 8))
    return {
        "epochs": max(3, min(60, math.ceil(1500 * size / rows))),
        "batch_size": size,
        "lr": 3e-3,
        "schedule": {"kind": "linear", "warmup": 0.1},
        "augment": [{"kind": "jpeg", "share": 0.4}, {"kind": "resize", "share": 0.15}, {"kind": "blur", "share": 0.15}],
    }


class Residual(nn.Module):
    """Images (rows, channels, height, width) to what neighbours do not explain, (rows, 4 channels, height, width)."""

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        filters = torch.tensor(FILTERS, dtype=torch.float32)
        filters = filters / filters.square().sum((1, 2), keepdim=True).sqrt()
        self.filters: Tensor
        self.register_buffer("filters", filters[:, None].repeat(channels, 1, 1, 1))
        self.norm = BatchNorm(nn.BatchNorm2d(len(FILTERS) * channels))

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (2, 2, 2, 2), "replicate")
        return self.norm(F.conv2d(padded, self.filters, groups=self.channels)).clamp(-LARGEST, LARGEST)


class Spectrum(nn.Module):
    """Images (rows, channels, height, width) to mean and spread of the log-magnitudes on rings of frequencies.

    The transform is written as matrices, which every exporter takes, and quick up to `MOST_SIDE` pixels.
    """

    def __init__(self, height: int, width: int):
        super().__init__()
        self.height, self.wide = min(height, MOST_SIDE), min(width, MOST_SIDE)
        self.rings = max(2, min(self.height, self.wide, 2 * RINGS) // 2)
        down, across = torch.arange(self.height), torch.arange(self.wide // 2 + 1)
        vertical, level = _angles(self.height, self.height), _angles(self.wide, self.wide // 2 + 1).T
        self.window: Tensor
        self.down_cos: Tensor  # (frequencies, height), each matrix stored as it is used, which exporters want
        self.down_sin: Tensor
        self.across_cos: Tensor  # (width, frequencies)
        self.across_sin: Tensor
        self.register_buffer("window", _hann(self.height)[:, None] * _hann(self.wide)[None])
        self.register_buffer("down_cos", vertical.cos())
        self.register_buffer("down_sin", vertical.sin())
        self.register_buffer("across_cos", level.cos().contiguous())
        self.register_buffer("across_sin", level.sin().contiguous())
        steep = torch.minimum(down, self.height - down) / self.height
        radius = (steep[:, None] ** 2 + (across[None] / self.wide) ** 2).sqrt() / 0.5  # 1 is every other pixel
        ring = (radius * (self.rings - 1)).round().clamp(max=self.rings - 1).long().flatten()
        share = F.one_hot(ring, self.rings).float()
        self.share: Tensor
        self.register_buffer("share", share / share.sum(0).clamp(min=1))  # (frequencies, rings)
        self.width = 2 * self.rings
        self.norm = BatchNorm(nn.BatchNorm1d(self.width))

    def forward(self, x: Tensor) -> Tensor:
        top, left = (x.shape[2] - self.height) // 2, (x.shape[3] - self.wide) // 2
        grey = x.float().mean(1)[:, top : top + self.height, left : left + self.wide]  # (rows, height, width)
        grey = (grey - grey.mean((1, 2), keepdim=True)) * self.window
        cosine, sine = grey @ self.across_cos, grey @ self.across_sin  # (rows, height, frequencies)
        real = self.down_cos @ cosine - self.down_sin @ sine
        imaginary = self.down_sin @ cosine + self.down_cos @ sine
        strength = (real.square() + imaginary.square() + 1e-4).log().flatten(1)  # (rows, frequencies)
        mean = strength @ self.share
        spread = (strength.square() @ self.share - mean.square()).clamp(min=0).add(1e-6).sqrt()
        return self.norm(torch.cat([mean, spread], 1))  # (rows, width)


def _angles(size: int, count: int) -> Tensor:
    """Angles (count, size) of the first frequencies of a transform of some size."""
    return 2 * math.pi / size * torch.outer(torch.arange(count), torch.arange(size)).float()


def _hann(size: int) -> Tensor:
    """A window that fades to the sides, where an image does not go on as it begins."""
    return (0.5 - 0.5 * torch.cos(2 * math.pi * (torch.arange(size) + 0.5) / size)).float()


class Model(SinglePart):
    def __init__(self, cfg: Config, spec: Spec):
        super().__init__(smooth_labels(spec.output, cfg.label_smoothing))
        (self.name, feed), *_ = spec.inputs.items()
        height, width, channels = (n or 1 for n in feed.shape)
        self.pixels, self.residual = Pixels(feed), Residual(channels)
        self.body, size = _body(cfg, feed)
        channels_last(self.body)
        self.spectrum = Spectrum(height, width) if cfg.spectrum else None
        size = 2 * size + (self.spectrum.width if self.spectrum else 0)
        self.head = nn.Sequential(
            nn.Linear(size, cfg.most), activation(cfg.activation), nn.Dropout(cfg.dropout),
            nn.Linear(cfg.most, spec.output.size),
        )  # fmt: skip

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        x = self.pixels(inputs[self.name])
        maps = self.body(torch.cat([x, self.residual(x)], 1))
        features = [maps.mean((2, 3)), maps.amax((2, 3))]
        if self.spectrum is not None:
            features.append(self.spectrum(x))
        return {"target": self.head(torch.cat(features, 1)).float()}  # (rows, size)


def _body(cfg: Config, feed: Input) -> tuple[nn.Sequential, int]:
    """Stages of two convolutions, the first at full size, until the map is about 8 pixels; and its channels."""
    height, width, channels = (n or 1 for n in feed.shape)
    before, after, side = channels * (1 + len(FILTERS)), cfg.width, min(height, width)
    layers: list[nn.Module] = []
    while True:
        for size in (before, after):
            layers += [nn.Conv2d(size, after, 3, padding=1, bias=False), BatchNorm(nn.BatchNorm2d(after))]
            layers.append(activation(cfg.activation))
        if side < 12:
            return nn.Sequential(*layers), after
        layers.append(nn.AvgPool2d(2))
        before, after, side = after, min(cfg.most, 2 * after), side // 2
