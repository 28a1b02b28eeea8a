"""Layers that several architectures share."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.schema import Input, OutputActivation, Spec

ActivationName = Literal[
    "relu", "sigmoid", "tanh", "softmax", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "linear"
]

MOST_SIDE = 64  # pixels of an image that is flattened

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softmax": partial(nn.Softmax, dim=-1),
    "leaky_relu": partial(nn.LeakyReLU, 0.01),
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "linear": nn.Identity,
}


def activation(name: ActivationName) -> nn.Module:
    """The activation layer of a name; shapes are unchanged."""
    return ACTIVATIONS[name]()


class OneHot(nn.Module):
    """Codes (rows, columns) to zeros and ones (rows, sum of sizes - columns): code 0, missing, is all zeros."""

    def __init__(self, sizes: tuple[int, ...]):
        super().__init__()
        self.width = sum(sizes) - len(sizes)
        columns = [i for i, size in enumerate(sizes) for _ in range(1, size)]
        codes = [code for size in sizes for code in range(1, size)]
        self.columns: Tensor
        self.codes: Tensor
        self.register_buffer("columns", torch.tensor(columns, dtype=torch.int64), persistent=False)
        self.register_buffer("codes", torch.tensor(codes, dtype=torch.int64), persistent=False)

    def forward(self, codes: Tensor) -> Tensor:
        return (codes.index_select(1, self.columns) == self.codes).float()  # (rows, width)


class Dropout(nn.Module):
    """Dropout from eight random bits per number: four times as fast as PyTorch's on a CPU; `rate` in steps of 1/256."""

    def __init__(self, rate: float):
        super().__init__()
        self.of_256 = round(rate * 256)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.of_256:
            return x
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
        mask = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.of_256
        return x * mask.to(x.dtype).mul_(256 / (256 - self.of_256))


def token_table(feed: Input, width: int) -> nn.Embedding:
    """Embeddings of tokens; that of padding is 0, and stays so."""
    table = nn.Embedding(feed.sizes[0], width, padding_idx=feed.padding)
    nn.init.normal_(table.weight, std=0.1)
    with torch.no_grad():
        table.weight[feed.padding] = 0
    return table


class TokenMean(nn.Module):
    """Ids of tokens (rows, length) to the mean of their embeddings (rows, width), without those of padding."""

    def __init__(self, feed: Input, width: int):
        super().__init__()
        self.width, self.padding = width, feed.padding
        self.table = token_table(feed, width)

    def forward(self, codes: Tensor) -> Tensor:
        count = (codes != self.padding).sum(1, keepdim=True).clamp(min=1)
        return self.table(codes).sum(1) / count  # (rows, width)


class BatchNorm(nn.Module):
    """Batch normalization that takes one number per channel: having no spread, it is normalised by the running one."""

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d):
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.numel() > x.shape[1]:
            return self.norm(x)
        norm = self.norm
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


class Pixels(nn.Module):
    """Images (rows, height, width, channels), 0 to 255, to (rows, channels, height, width) of mean 0 and spread 1."""

    def __init__(self, feed: Input):
        super().__init__()
        channels = feed.shape[-1] or 1
        std = torch.tensor(feed.std or (0.25,) * channels)
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", (1 / (255 * std)).view(1, -1, 1, 1))
        self.register_buffer("shift", -(torch.tensor(feed.mean or (0.5,) * channels) / std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        x = images.permute(0, 3, 1, 2).float()  # (rows, channels, height, width), channels still last in memory
        return x * self.scale + self.shift


class FlatPixels(nn.Module):
    """Images to one vector each, averaged down to at most `MOST_SIDE` pixels a side on the way."""

    def __init__(self, feed: Input):
        super().__init__()
        height, width, channels = (n or 1 for n in feed.shape)
        self.pixels, self.by = Pixels(feed), math.ceil(max(height, width) / MOST_SIDE)
        self.width = channels * math.ceil(height / self.by) * math.ceil(width / self.by)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pixels(images)
        if self.by > 1:
            x = F.avg_pool2d(x, self.by, ceil_mode=True, count_include_pad=False)
        return x.flatten(1)  # (rows, width)


class FlatSeries(nn.Module):
    """Series to one vector each, zeros behind their ends."""

    def __init__(self, feed: Input):
        super().__init__()
        self.width = math.prod(n or 1 for n in feed.shape)

    def forward(self, series: Tensor) -> Tensor:
        return torch.where(series.isnan(), torch.zeros_like(series), series).flatten(1)  # (rows, width)


class Flat(nn.Module):
    """Every input side by side in one vector: numbers, one-hot categories, mean token embeddings, pixels, steps."""

    def __init__(self, spec: Spec, token_width: int = 32):
        super().__init__()
        self.order = tuple(spec.inputs)
        self.encoders = nn.ModuleDict()
        self.width: int = 0
        for name, feed in spec.inputs.items():
            if feed.kind == "number":
                self.encoders[name] = nn.Identity()
                self.width += feed.shape[0] or 0
            elif feed.kind == "category":
                self.encoders[name] = OneHot(feed.sizes)
                self.width += sum(feed.sizes) - len(feed.sizes)
            elif feed.kind in ("image", "series"):
                flat = self.encoders[name] = FlatPixels(feed) if feed.kind == "image" else FlatSeries(feed)
                self.width += flat.width
            else:
                self.encoders[name] = TokenMean(feed, token_width)
                self.width += token_width

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        parts = [self.encoders[name](inputs[name]) for name in self.order]
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]  # (rows, width)


def mean_of_members(members: Tensor, activation: OutputActivation) -> Tensor:
    """Raw answers of an ensemble (members, rows, size) to those of all, (rows, size): their mean, or of logits those
    whose probabilities, by softmax or sigmoid, are the mean of the members'.
    """
    if activation == "linear":
        return members.mean(0)
    if activation == "sigmoid":
        # softplus and not logsigmoid, which exporters write as log(sigmoid(x)) and lose digits
        return (-F.softplus(-members)).logsumexp(0) - (-F.softplus(members)).logsumexp(0)
    return members.log_softmax(-1).logsumexp(0)
