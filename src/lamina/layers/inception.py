"""Convolutional network for series: a few small Inception networks trained at once, which answer by their mean.

Each member looks at the series through kernels of three lengths and a pooled branch (Ismail Fawaz et al. 2020,
InceptionTime, with three modules and one shortcut in place of six and two), then takes the mean of each channel
over the steps that are there. What stands behind the end of a series is held at zero after each module,
so that an answer does not depend on how far a series is padded. Several members, because one network trained on fifty
series is a matter of luck.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.layers.basic import ActivationName, Flat, activation, mean_of_members
from lamina.layers.horizon import fill_absent, has_horizon
from lamina.schema import OutputActivation, Spec

LONGEST, SHORTEST = 39, 3  # kernels, in steps
MODULES = 3
MOST_STEPS = 512  # that the modules see: longer series are halved, quartered ... by the first convolution
FEW = 1000  # rows, a seventh of which cannot tell one epoch from another
FLAT_WIDTH = 64  # numbers that come from the columns beside the series


def takes(spec: Spec) -> bool:
    """One or several series, perhaps with numbers, categories and words beside them, and no forecast asked for."""
    kinds = {feed.kind for feed in spec.inputs.values()}
    return "series" in kinds and "image" not in kinds and not has_horizon(spec)


def training(spec: Spec) -> dict[str, Any]:
    """About 400 steps for a few series, up to 2,000 for many; the last weights are kept where rows are few."""
    rows = max(spec.rows, 1)
    size = max(8, min(16 if rows <= FEW else 128, 2 ** round(math.log2(max(rows / 3, 1)))))
    steps = max(400, min(2000, 40 * math.ceil(rows / size)))
    return {
        "epochs": max(2, min(400, math.ceil(steps / math.ceil(rows / size)))),
        "batch_size": size,
        "lr": 2e-3,
        "optimizer": {"kind": "adamw", "weight_decay": 1e-2},
        "schedule": {"kind": "cosine", "warmup": 0.05},
        "clip": 1.0,
        "keep": "last" if rows <= FEW else "best",
    }


class Norm(nn.BatchNorm1d):
    """Batch normalization over the steps that are there: `x` (rows, channels, steps), `there` (rows, 1, steps)."""

    def forward(self, x: Tensor, there: Tensor) -> Tensor:  # pyrefly: ignore[bad-override]
        if not self.training:
            return super().forward(x)
        count = there.sum()
        if count <= 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        if count == there.numel():
            return super().forward(x)
        mean = (x * there).sum((0, 2)) / count
        deviation = x - mean[:, None]
        var = (deviation.square() * there).sum((0, 2)) / count
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None
            share = self.momentum or 0.1
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(var * count / (count - 1), share)
        return deviation * ((var + self.eps).rsqrt() * self.weight)[:, None] + self.bias[:, None]


class Module(nn.Module):
    """Convolutions of several lengths beside a pooled branch: (rows, before, steps) to (rows, 4 * width, steps)."""

    def __init__(self, before: int, width: int, kernels: tuple[int, ...], name: ActivationName):
        super().__init__()
        self.narrow = nn.Conv1d(before, width, 1, bias=False) if before > 1 else nn.Identity()
        inner = width if before > 1 else before
        self.kernels = nn.ModuleList(nn.Conv1d(inner, width, k, padding=k // 2, bias=False) for k in kernels)
        self.pooled = nn.Conv1d(before, width, 1, bias=False)
        self.norm = Norm((len(kernels) + 1) * width)
        self.activation = activation(name)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        narrow = self.narrow(x)
        largest = F.max_pool1d(F.pad(x, (1, 1)), 3, 1)  # zeros at both ends, as behind the end of a short series
        maps = torch.cat([*(kernel(narrow) for kernel in self.kernels), self.pooled(largest)], 1)
        return self.activation(self.norm(maps, there)) * there


class Member(nn.Module):
    """One network: series (rows, channels, steps) to (rows, `width`)."""

    def __init__(self, channels: int, steps: int, width: int, name: ActivationName):
        super().__init__()
        self.stride = math.ceil(steps / MOST_STEPS)
        size = 2 * self.stride + 1
        self.stem = nn.Conv1d(channels, width, size, self.stride, self.stride) if self.stride > 1 else nn.Identity()
        before, kernels = (width if self.stride > 1 else channels), lengths(math.ceil(steps / self.stride))
        wide = (len(kernels) + 1) * width
        self.entrance = nn.Conv1d(before, wide, 1, bias=False)
        self.entrance_norm = Norm(wide)
        self.layers = nn.ModuleList(Module(before if i == 0 else wide, width, kernels, name) for i in range(MODULES))
        self.activation = activation(name)
        self.width = wide

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        there = there[:, :, :: self.stride]
        x = self.stem(x) * there if self.stride > 1 else x
        shortcut = self.entrance_norm(self.entrance(x), there)
        for layer in self.layers:
            x = layer(x, there)
        x = self.activation(x + shortcut) * there
        return x.sum(2) / there.sum(2).clamp(min=1)  # (rows, width)


def lengths(steps: int) -> tuple[int, ...]:
    """Three odd kernel lengths, each half the one before; none is longer than a third of the series."""
    longest = min(LONGEST, steps // 3)
    return tuple(max(SHORTEST, (longest // 2**i) | 1) for i in range(3))


class Branch(nn.Module):
    """One network of the ensemble: every series through convolutions of its own, what stands beside through a layer."""

    def __init__(self, spec: Spec, width: int, name: ActivationName, flat: int):
        super().__init__()
        series = {key: feed.shape for key, feed in spec.inputs.items() if feed.kind == "series"}
        self.series = nn.ModuleDict(
            {key: Member(c or 1, steps or 1, width, name) for key, (steps, c) in series.items()}
        )
        self.beside = nn.Sequential(nn.Linear(flat, FLAT_WIDTH), activation(name)) if flat else None
        features = sum(member.width for member in self.series.values() if isinstance(member, Member))
        self.head = nn.Linear(features + FLAT_WIDTH * bool(flat), spec.output.size)

    def forward(self, series: Mapping[str, tuple[Tensor, Tensor]], flat: Tensor | None) -> Tensor:
        features = [member(*series[key]) for key, member in self.series.items()]
        if self.beside is not None:
            features.append(self.beside(flat))
        return self.head(torch.cat(features, 1) if len(features) > 1 else features[0]).float()  # (rows, size)


class Network(nn.Module):
    """All inputs of a spec to raw answers of each member, (members, rows, size)."""

    def __init__(self, spec: Spec, width: int, members: int, name: ActivationName):
        super().__init__()
        others = {key: feed for key, feed in spec.inputs.items() if feed.kind != "series"}
        self.flat = Flat(spec.model_copy(update={"inputs": others})) if others else None
        flat = self.flat.width if self.flat is not None else 0
        self.members = nn.ModuleList(Branch(spec, width, name, flat) for _ in range(members))
        self.names = tuple(key for key in spec.inputs if key not in others)
        self.output_activation: OutputActivation = spec.output.activation

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        series = {}
        for key in self.names:
            values, there = fill_absent(inputs[key])
            series[key] = values.transpose(1, 2), there.unsqueeze(1)  # (rows, channels, steps), (rows, 1, steps)
        flat = self.flat(inputs) if self.flat is not None else None
        return torch.stack([member(series, flat) for member in self.members])

    def answer(self, members: Tensor) -> Tensor:
        """The mean of the members' probabilities, as logits, or of their numbers: (rows, size)."""
        return mean_of_members(members, self.output_activation)
