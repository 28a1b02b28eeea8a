"""What `rnn`, `lstm` and `gru` share: stacked layers over a series, and an answer from the states."""

import math
from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.layers.basic import ActivationName, Dropout, Flat
from lamina.layers.horizon import (
    KnownFuture,
    LinearForecast,
    ReversibleNorm,
    fill_absent,
    has_horizon,
    single_series,
    sizes,
)
from lamina.layers.recurrent import Kind, Recurrence, last_step, padding_mask, run_directions
from lamina.models import _known_effect, _recurrent_decoder, _ridge_init
from lamina.models._single_part import SinglePart
from lamina.plugins import kind
from lamina.schema import TARGET_HEADS, Batch, Input, Spec

WIDTH = 64
MOST_PATCHES = 32  # pieces of a history, by default

Pooling = Literal["last", "mean", "max", "attention"]

HEADS = TARGET_HEADS | {"tokens"}


class Settings(config.Config):
    """Settings of all three; each adds its `kind`."""

    width: int | None = Field(
        default=None,
        ge=1,
        le=1 << 13,
        description="numbers in the state of a layer; 64 when unset, and 512 for the next token of a text",
    )
    depth: int = Field(default=1, ge=1, le=16, description="layers, each on the states of the one before")
    bidirectional: bool = Field(default=False, description="also from the end to the start, beside it")
    pooling: Pooling | None = Field(
        default=None,
        description="one state of many: last, mean, max or attention; last for a forecast and max otherwise when unset",
    )
    activation: ActivationName = Field(
        default="tanh", description="of the state: any of the activations below; tanh is the fastest"
    )
    token_width: int | None = Field(
        default=None, ge=1, le=1 << 13, description="texts: length of a word's vector; as `width` when unset"
    )
    hide: float = Field(default=0.2, ge=0, lt=1, description="texts: share of the words hidden in training")
    layer_norm: bool = Field(default=True, description="normalise states between layers")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="share zeroed between layers and before the prediction")
    patch: int | None = Field(
        default=None,
        ge=1,
        le=1 << 13,
        description="forecasts: steps of history joined into one; when unset, as many as leave about 32",
    )
    skip: bool = Field(
        default=True,
        description="a forecast is a weighted sum of the past, as that of `linear`, and what is added to it",
    )

    @property
    def units(self) -> int:
        return self.width or WIDTH


def suits(spec: Spec) -> float:
    """Series, alone or beside numbers, categories and texts; a forecast; least, texts as sequences of words."""
    kinds = {feed.kind for feed in spec.inputs.values()}
    if spec.output.head == "tokens":
        return 0.7
    if has_horizon(spec):
        return 0.5
    if "image" in kinds or not kinds & {"series", "tokens"}:
        return 0.0
    return 0.05 if "series" not in kinds else 0.8 if single_series(spec) else 0.6


def training(cfg: Settings, spec: Spec) -> dict[str, Any]:
    """About 1,500 steps in 4 to 100 epochs; a forecast begins nearly right, and has about 1,000 in 4 to 50; AdamW with
    a gradient of norm 1 at most, moving average of weights.
    """
    if spec.output.head == "tokens":
        return _recurrent_decoder.training(cfg, spec)
    rows, horizon = max(spec.rows, 1), has_horizon(spec)
    texts = all(feed.kind == "tokens" for feed in spec.inputs.values())
    steps, most = (1000, 50) if horizon else (1500, 100)
    size = 128 if horizon else min(128, max(16, 2 ** round(math.log2(max(rows / 30, 1)))))
    return {
        "epochs": max(4, min(most, math.ceil(steps / math.ceil(rows / size)))),
        "batch_size": size,
        "lr": 2e-3 if horizon else 5e-3,
        "optimizer": {"kind": "adamw", "weight_decay": 1e-2},
        "schedule": {"kind": "cosine", "warmup": 0.05},
        "clip": 1.0,
        "ema": 0.99,
        "patience": 5 if horizon or texts else 25,
    }


def column_settings(cfg: Settings) -> dict[str, dict[str, Any]]:
    """Texts as words in their order."""
    return {"text": {"tokenizer": "word", "length": 256}}


def example(spec: Spec) -> dict[str, Any]:
    """Smaller than usual for the next token."""
    return {"width": 32} if spec.output.head == "tokens" else {}


def step_inputs(cfg: Settings, spec: Spec) -> dict[str, tuple[int, ...]]:
    return _recurrent_decoder.step_inputs(cfg)


class Stack(nn.Module):
    """Recurrent layers over series of some length: (rows, steps, n) to the states of the last, (rows, steps, width).

    The states of a layer are added to those of the layer before, from the second on.
    """

    def __init__(self, cfg: Settings, n_in: int):
        super().__init__()
        ways, cell = 2 if cfg.bidirectional else 1, cast(Kind, kind(cfg))
        self.width = ways * cfg.units
        self.layers = nn.ModuleList(
            nn.ModuleList(Recurrence(cell, n, cfg.units, cfg.activation) for _ in range(ways))
            for n in [n_in] + [self.width] * (cfg.depth - 1)
        )
        norm = nn.LayerNorm if cfg.layer_norm else nn.Identity
        self.between = nn.ModuleList(
            nn.Sequential(norm(self.width), Dropout(cfg.dropout)) for _ in range(cfg.depth - 1)
        )

    def forward(self, x: Tensor, lengths: Tensor | None, last: bool = False) -> Tensor:
        """`last`: of series that are all there, (rows, width) after the last step alone."""
        one_way = last and len(self.layers[0]) == 1  # pyrefly: ignore[bad-argument-type]
        for i, directions in enumerate(self.layers):
            ends = one_way and i == len(self.layers) - 1
            states = run_directions(directions, x if i == 0 else self.between[i - 1](x), lengths, ends)
            x = states if i == 0 else states + (x[:, -1] if ends else x)
        return x if one_way or not last else last_step(x, lengths)


class Pool(nn.Module):
    """States (rows, steps, width) to one (rows, width), of the steps that are there."""

    def __init__(self, name: Pooling, width: int, ways: int):
        super().__init__()
        self.name, self.ways = name, ways
        self.score = nn.Linear(width, 1, bias=False) if name == "attention" else None

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        if self.name == "last":
            forward, *backward = x.chunk(self.ways, 2)
            return torch.cat([last_step(forward, lengths), *(part[:, 0] for part in backward)], 1)
        absent = padding_mask(x, lengths) if lengths is not None else torch.zeros_like(x[:, :, :1], dtype=torch.bool)
        if self.name == "max":
            return x.masked_fill(absent, float("-inf")).amax(1)
        if self.score is None:
            there = (~absent).to(x.dtype)
            return (x * there).sum(1) / there.sum(1)
        weight = self.score(x).masked_fill(absent, float("-inf")).softmax(1)  # (rows, steps, 1)
        return (x * weight).sum(1)


class Sequence(nn.Module):
    """One series, or one text word by word, to (rows, `width`)."""

    def __init__(self, cfg: Settings, feed: Input):
        super().__init__()
        words, token_width = feed.kind == "tokens", cfg.token_width or cfg.units
        self.padding = feed.padding
        self.table = nn.Embedding(feed.sizes[0], token_width, padding_idx=self.padding) if words else None
        self.hide = Dropout(cfg.hide)
        self.stack = Stack(cfg, token_width if words else feed.shape[1] or 1)
        self.width = self.stack.width
        self.pool = Pool(cfg.pooling or "max", self.width, 2 if cfg.bidirectional else 1)

    def forward(self, series: Tensor) -> Tensor:
        if self.table is None:
            x, there = fill_absent(series)
        else:
            there = (series != self.padding).to(torch.float32)
            x = self.table(series) * self.hide(there).unsqueeze(2)
        step = torch.arange(1, x.shape[1] + 1, device=x.device)
        lengths = (there * step).amax(1).long().clamp(min=1)  # a word that is unknown may lie within a text
        return self.pool(self.stack(x, lengths), lengths)


class Whole(nn.Module):
    """Series and all else, side by side: inputs by name to (rows, size)."""

    def __init__(self, cfg: Settings, spec: Spec):
        super().__init__()
        kind = "series" if any(feed.kind == "series" for feed in spec.inputs.values()) else "tokens"
        self.series = nn.ModuleDict({n: Sequence(cfg, feed) for n, feed in spec.inputs.items() if feed.kind == kind})
        rest = {name: feed for name, feed in spec.inputs.items() if feed.kind != kind}
        self.rest = Flat(spec.model_copy(update={"inputs": rest})) if rest else None
        width = sum(one.width for one in self.series.values() if isinstance(one, Sequence))
        self.dropout = Dropout(cfg.dropout)
        self.head = nn.Linear(width + (self.rest.width if self.rest else 0), spec.output.size)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        features = [one(inputs[name]) for name, one in self.series.items()]
        if self.rest is not None:
            features.append(self.rest({name: inputs[name] for name in self.rest.order}))
        return self.head(self.dropout(torch.cat(features, 1)))


class Forecast(nn.Module):
    """A history, and what is known of the future, to all steps of the future at once: (rows, size).

    The state after the history gives each step its own answer; with a future, each step is told what is known of it.
    """

    def __init__(self, cfg: Settings, spec: Spec):
        super().__init__()
        steps, channels = (n or 1 for n in spec.inputs["history"].shape)
        self.horizon, self.targets, quantiles = sizes(spec.output)
        self.level = ReversibleNorm(spec.output, spec.inputs.get("future"))
        self.patch = min(cfg.patch or _patch(steps), steps)
        self.stack = Stack(cfg, channels * self.patch)
        ways, pooling = 2 if cfg.bidirectional else 1, cfg.pooling or "last"
        self.pool = Pool(pooling, self.stack.width, ways) if ways > 1 or pooling != "last" else None
        self.dropout = Dropout(cfg.dropout)
        self.head = _small(nn.Linear(self.stack.width, spec.output.size))
        self.skip = LinearForecast(spec.output, steps) if cfg.skip else None
        future = spec.inputs.get("future")
        self.told = self.known = self.after = None
        if future:
            self.known = KnownFuture(future, spec.output) if self.level.effect is None else None
            self.told = nn.Linear(self.stack.width + (future.shape[1] or 1), cfg.units)
            self.after = _small(nn.Linear(cfg.units, 2 * self.targets * quantiles, bias=False))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        history, centre, scale = self.level(inputs["history"], inputs.get("future"))
        states = self.stack(patches(history, self.patch), None, self.pool is None)
        state = self.dropout(states if self.pool is None else self.pool(states, None))  # (rows, width)
        raw = self.head(state)
        if self.skip is not None:
            raw = raw + self.skip(history[:, :, : self.targets])
        if self.told is None or self.after is None:
            return self.level.restore(raw, centre, scale)
        future = inputs["future"]
        each = torch.cat([state.unsqueeze(1).expand(-1, self.horizon, -1), future], 2)
        of_spread, of_unit = self.after(self.told(each).relu()).chunk(2, 2)  # effects grow with the series, or do not
        forecast = self.level.restore(raw + of_spread.flatten(1), centre, scale)
        forecast = forecast + of_unit.flatten(1)
        return forecast if self.known is None else forecast + self.known(future)


def _patch(steps: int) -> int:
    """The least number of steps that cuts a history into 32 pieces at most, whole ones if any such is near."""
    least = -(-steps // MOST_PATCHES)
    return next((n for n in range(least, 2 * least) if steps % n == 0), least)


def patches(series: Tensor, patch: int) -> Tensor:
    """Series (rows, steps, n) with `patch` steps side by side, (rows, pieces, patch * n); the first is filled up with
    zeros in front. Lin et al. 2023, SegRNN.
    """
    if patch == 1:
        return series
    full = F.pad(series, (0, 0, -series.shape[1] % patch, 0))
    return full.unflatten(1, (-1, patch)).flatten(2)


def _small(layer: nn.Linear) -> nn.Linear:
    """Of little weight at first, so that a forecast starts from the last value."""
    with torch.no_grad():
        layer.weight.mul_(0.1)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


def Model(cfg: Settings, spec: Spec) -> nn.Module:  # noqa: N802 - the name of the contract, whatever is built
    """A decoder for the next token of a text, or what answers each row."""
    return _recurrent_decoder.Decoder(cfg, spec) if spec.output.head == "tokens" else RowModel(cfg, spec)


class RowModel(SinglePart):
    def __init__(self, cfg: Settings, spec: Spec):
        super().__init__(spec.output)
        self.net = Forecast(cfg, spec) if has_horizon(spec) else Whole(cfg, spec)

    def initialize(self, train: Batch, validation: Batch) -> None:
        """Forecasts: the effects of what is known beforehand and the weighted sum of the past in closed form, which the
        recurrent layers then add to.
        """
        if not isinstance(self.net, Forecast):
            return
        _known_effect.initialize(self.net.level, train, validation)
        if self.net.skip is not None:
            _ridge_init.initialize(self.net.level, [self.net.skip], train, validation)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"target": self.net(inputs).float()}  # (rows, size)
