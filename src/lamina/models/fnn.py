"""Feed-forward network for tables: piecewise-linear numbers, embedded categories, a small ensemble in one body.

Each number is cut into pieces at the bin edges found in training and becomes a learned vector (Gorishniy et al.
2022); the joined vector is given to `members` networks that share every weight but their signs at the entrance and
their heads (TabM-mini, Gorishniy et al. 2024). They are trained on the mean of their losses and answer with the
mean of their probabilities or numbers.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.layers.basic import (
    ActivationName,
    Dropout,
    FlatPixels,
    FlatSeries,
    OneHot,
    TokenMean,
    activation,
    mean_of_members,
)
from lamina.layers.horizon import LinearForecast, ReversibleNorm, has_horizon
from lamina.models import _known_effect, _ridge_init
from lamina.models._single_part import SinglePart
from lamina.schema import TARGET_HEADS, Batch, Input, OutputActivation, Spec

HEADS = TARGET_HEADS
ALIASES = ("mlp",)

PRESETS = {"accurate": "ensemble"}

FEW = 10  # codes up to which a category is one-hot


class BodyConfig(config.Config):
    """What the body is made of, for another architecture that borrows it too."""

    kind: Literal["fnn"] = "fnn"
    width: int = Field(default=256, ge=1, le=1 << 14)
    depth: int = Field(default=2, ge=1, le=64, description="hidden layers")
    activation: ActivationName = "relu"
    dropout: float = Field(default=0.1, ge=0, lt=1)
    number_width: int = Field(default=16, ge=1, le=1024, description="length of a number's vector")
    category_width: int = Field(default=8, ge=1, le=1024, description="length of a category's vector")
    token_width: int = Field(default=32, ge=1, le=1024, description="length of a word's vector")


class Config(BodyConfig):
    members: int = Field(default=4, ge=1, le=256, description="networks in the ensemble")


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About a thousand steps, never fewer than 8 epochs or more than 60; batches of a fiftieth of the rows."""
    rows = max(spec.rows, 1)
    size = min(256, max(32, 2 ** round(math.log2(max(rows / 50, 1)))))
    epochs = max(8, min(60, math.ceil(1000 / math.ceil(rows / size))))
    return {
        "epochs": epochs,
        "batch_size": size,
        "lr": 5e-3,
        "optimizer": {"kind": "adamw", "weight_decay": 1e-2},
        "schedule": {"kind": "cosine", "warmup": 0.05},
        "clip": 1.0,
        "ema": 0.99,
        "patience": 12,
    }


class Numbers(nn.Module):
    """Numbers (rows, n) to their learned vectors beside the numbers themselves, (rows, n * (width + 1))."""

    def __init__(self, feed: Input, width: int):
        super().__init__()
        count, pieces = len(feed.edges), max(len(edges) - 1 for edges in feed.edges)
        left, slope = torch.zeros(count, 1, pieces), torch.zeros(count, 1, pieces)  # absent pieces stay 0
        for i, edges in enumerate(feed.edges):
            bounds = torch.tensor(edges)
            left[i, 0, : len(edges) - 1] = bounds[:-1]
            slope[i, 0, : len(edges) - 1] = 1 / bounds.diff()
        self.left: Tensor
        self.slope: Tensor
        self.register_buffer("left", left)
        self.register_buffer("slope", slope)
        self.weight = nn.Parameter(torch.randn(count, pieces, width) / math.sqrt(pieces))
        self.bias = nn.Parameter(torch.zeros(count, 1, width))
        self.width = count * (width + 1)

    def forward(self, numbers: Tensor) -> Tensor:
        pieces = ((numbers.t().unsqueeze(2) - self.left) * self.slope).clamp(0, 1)  # (n, rows, pieces)
        vectors = torch.baddbmm(self.bias, pieces, self.weight).relu()  # (n, rows, width)
        return torch.cat([vectors.transpose(0, 1).flatten(1), numbers], 1)


class Categories(nn.Module):
    """Codes (rows, n) to vectors side by side: one-hot where there are few, learned where there are many."""

    def __init__(self, feed: Input, width: int):
        super().__init__()
        few = [i for i, size in enumerate(feed.sizes) if size <= FEW]
        many = [i for i, size in enumerate(feed.sizes) if size > FEW]
        self.few: Tensor
        self.many: Tensor
        self.offsets: Tensor
        self.register_buffer("few", torch.tensor(few, dtype=torch.int64), persistent=False)
        self.register_buffer("many", torch.tensor(many, dtype=torch.int64), persistent=False)
        sizes = [feed.sizes[i] for i in many]
        offsets = [sum(sizes[:i]) for i in range(len(sizes))]
        self.register_buffer("offsets", torch.tensor(offsets, dtype=torch.int64), persistent=False)
        self.one_hot = OneHot(tuple(feed.sizes[i] for i in few)) if few else None
        self.table = nn.Embedding(sum(sizes), width) if many else None
        self.width = (self.one_hot.width if self.one_hot else 0) + width * len(many)
        if self.table is not None:
            nn.init.normal_(self.table.weight, std=0.5)
            with torch.no_grad():
                for offset in offsets:
                    self.table.weight[offset : offset + 2] = 0  # missing and unseen start, and may stay, neutral

    def forward(self, codes: Tensor) -> Tensor:
        vectors = [self.one_hot(codes.index_select(1, self.few))] if self.one_hot is not None else []
        if self.table is not None:
            vectors.append(self.table(codes.index_select(1, self.many) + self.offsets).flatten(1))
        return torch.cat(vectors, 1) if len(vectors) > 1 else vectors[0]  # (rows, width)


class Body(nn.Module):
    """The hidden layers of one network, without an ensemble: any inputs to (rows, `width`)."""

    def __init__(self, cfg: BodyConfig, spec: Spec):
        super().__init__()
        self.encoders = nn.ModuleDict({name: _encoder(cfg, feed) for name, feed in spec.inputs.items()})
        self.layers = _hidden(cfg, sum(_width(encoder) for encoder in self.encoders.values()))
        self.width = cfg.width

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.layers(_encode(self.encoders, inputs))


def body(cfg: BodyConfig, spec: Spec) -> Body:
    """The network without its head and its ensemble: what `combine` borrows."""
    return Body(cfg, spec)


class Model(SinglePart):
    def __init__(self, cfg: Config, spec: Spec):
        super().__init__(spec.output)
        self.encoders = nn.ModuleDict({name: _encoder(cfg, feed) for name, feed in spec.inputs.items()})
        width = sum(_width(encoder) for encoder in self.encoders.values())
        self.signs = nn.Parameter(torch.randint(0, 2, (cfg.members, 1, width)).float() * 2 - 1)
        self.body = _hidden(cfg, width)
        bound = 1 / math.sqrt(cfg.width)
        self.head = nn.Parameter(torch.empty(cfg.members, cfg.width, spec.output.size).uniform_(-bound, bound))
        self.head_bias = nn.Parameter(torch.zeros(cfg.members, 1, spec.output.size))
        self.activation: OutputActivation = spec.output.activation
        self.level = ReversibleNorm(spec.output, spec.inputs.get("future")) if has_horizon(spec) else None
        self.skip = LinearForecast(spec.output, spec.inputs["history"].shape[0] or 1) if has_horizon(spec) else None
        if self.skip is not None:
            with torch.no_grad():
                self.head.mul_(0.1)

    def initialize(self, train: Batch, validation: Batch) -> None:
        """Forecasts: effects of what is known ahead, and a weighted sum of the past, in closed form; more is added."""
        if self.level is not None and self.skip is not None:
            _known_effect.initialize(self.level, train, validation)
            _ridge_init.initialize(self.level, [self.skip], train, validation)

    def members(self, inputs: Mapping[str, Tensor]) -> Tensor:
        if self.level is None or self.skip is None:
            return self._raw(inputs)
        history, centre, scale = self.level(inputs["history"], inputs.get("future"))
        straight = self.skip(history[:, :, : self.skip.shape[1]])  # (rows, size), the same for all members
        return self.level.restore(self._raw({**inputs, "history": history}) + straight, centre, scale)

    def _raw(self, inputs: Mapping[str, Tensor]) -> Tensor:
        entrance = _encode(self.encoders, inputs).unsqueeze(0) * self.signs
        hidden = self.body(entrance)  # (members, rows, width)
        return torch.bmm(hidden, self.head.to(hidden.dtype)).float() + self.head_bias  # (members, rows, size)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"target": mean_of_members(self.members(inputs), self.activation)}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        yield "", self.loss(self.members(batch.inputs), batch.target, batch.lengths)


def _encode(encoders: nn.ModuleDict, inputs: Mapping[str, Tensor]) -> Tensor:
    vectors = [encoder(inputs[name]) for name, encoder in encoders.items()]
    return torch.cat(vectors, 1) if len(vectors) > 1 else vectors[0]  # (rows, sum of widths)


def _hidden(cfg: BodyConfig, entrance: int) -> nn.Sequential:
    sizes = pairwise([entrance] + [cfg.width] * cfg.depth)
    layers = ((nn.Linear(n_in, n_out), activation(cfg.activation), Dropout(cfg.dropout)) for n_in, n_out in sizes)
    return nn.Sequential(*(layer for group in layers for layer in group))


def _encoder(cfg: BodyConfig, feed: Input) -> nn.Module:
    if feed.kind == "number":
        return Numbers(feed, cfg.number_width)
    if feed.kind == "category":
        return Categories(feed, cfg.category_width)
    if feed.kind == "image":
        return FlatPixels(feed)
    if feed.kind == "series":
        return FlatSeries(feed)
    return TokenMean(feed, cfg.token_width)


def _width(encoder: nn.Module) -> int:
    assert isinstance(encoder, Numbers | Categories | TokenMean | FlatPixels | FlatSeries)
    return encoder.width
