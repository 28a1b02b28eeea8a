"""Convolutional network for images, for series or for texts, frugal enough for a CPU.

Images: a strided stem, then stages of two 3 x 3 convolutions.
A stem that halves the image at once makes several epochs affordable; each stage is conv, max-pool, batch norm, conv,
batch norm, and doubles the width up to `most`; the largest answer of each channel goes to a linear head. Filters behind
the stem are trained by orthogonalised momentum and kept at a fixed norm (Jordan et al. 2024, Muon), which batch norm
makes harmless. Series: a few Inception networks of one dimension, trained at once (`inception`). Texts: filters over
3, 4 and 5 words (`text_convolution`).
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from pydantic import AliasChoices, Field
from torch import Tensor, nn

from lamina import config
from lamina.config import RecipeError
from lamina.layers import inception
from lamina.layers.basic import ActivationName, BatchNorm, Dropout, Pixels, activation
from lamina.layers.images import channels_last, single_image
from lamina.layers.text_convolution import TextConvolution
from lamina.losses import smooth_labels
from lamina.models._single_part import SinglePart
from lamina.schema import ROW_HEADS, Batch, Input, Spec

HEADS = ROW_HEADS

MEMBERS = 3  # for series
TEXT_DROPOUT = 0.5  # before the answer for a text, as in Kim 2014
ONLY_FOR = {  # what a setting is read with
    "most": ("images",),
    "test_time_augmentation": ("images",),
    "members": ("series",),
    "activation": ("images", "series"),
    "token_width": ("texts",),
    "hide": ("texts",),
}


class BodyConfig(config.Config):
    """What the body is made of, for another architecture that borrows it too."""

    kind: Literal["cnn"] = "cnn"
    width: int = Field(
        default=64,
        ge=2,
        le=2048,
        description="channels of the first stage; each next has twice as many",
    )
    most: int = Field(default=256, ge=2, le=4096, description="channels at most")
    activation: ActivationName = Field(default="relu", description="any of the activations below")
    token_width: int = Field(default=128, ge=1, le=1024, description="texts: length of a word's vector")
    hide: float = Field(default=0.2, ge=0, lt=1, description="texts: share of the words hidden in training")


class Config(BodyConfig):
    label_smoothing: float = Field(default=0.1, ge=0, lt=0.5, description="share of the label given to all classes")
    test_time_augmentation: Literal["one", "flips", "shifts"] = Field(
        default="one",
        validation_alias=AliasChoices("test_time_augmentation", "views"),  # its earlier name
        description="predictions averaged over: flips, or 1 px shifts",
    )
    members: int | None = Field(
        default=None, ge=1, le=64, description="networks that answer a series together; 3 when unset"
    )


def suits(spec: Spec) -> float:
    """One column of images and nothing else, or series, alone better than with others beside them; texts alone."""
    if reads_texts(spec):
        return 0.06
    if inception.takes(spec):
        return 0.9 if all(feed.kind == "series" for feed in spec.inputs.values()) else 0.6
    return 0.9 if single_image(spec) else 0.0


def column_settings(cfg: BodyConfig) -> dict[str, dict[str, Any]]:
    """Texts as words in their order."""
    return {"text": {"tokenizer": "word", "length": 256}}


def reads_texts(spec: Spec) -> bool:
    """Whether there are texts and nothing else."""
    return all(feed.kind == "tokens" for feed in spec.inputs.values())


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """1,000 to 3,200 steps in 2 to 60 epochs; grey images are turned, scaled and moved, others mirrored and moved.
    Texts: 800 steps in 4 to 20 epochs.
    """
    if reads_texts(spec):
        return _training_for_texts(max(spec.rows, 1))
    if inception.takes(spec):
        return inception.training(spec)
    rows, (feed, *_) = max(spec.rows, 1), spec.inputs.values()
    height, _, channels = (n or 1 for n in feed.shape)
    size = max(8, min(256 if rows >= 20_000 else 128, rows // 8))
    steps = max(1000, min(3200, rows * 40 // size))
    grey = [{"kind": "rotate", "degrees": 12.0}, {"kind": "scale", "by": 0.1}]
    shift = {"kind": "shift", "pixels": max(1, round(height / (11 if channels == 1 else 16)))}
    return {
        "epochs": max(2, min(60, math.ceil(steps / math.ceil(rows / size)))),
        "batch_size": size,
        "lr": 0.2,
        "optimizer": {"kind": "muon", "momentum": 0.6, "weight_decay": 0.05, "rest": 0.05},
        "schedule": {"kind": "linear", "warmup": 0.15},
        "augment": [*(grey if channels == 1 else ["flip"]), shift],
    }


def _training_for_texts(rows: int) -> dict[str, Any]:
    size = min(64, max(16, 2 ** round(math.log2(max(rows / 60, 1)))))
    return {
        "epochs": max(4, min(20, math.ceil(800 / math.ceil(rows / size)))),
        "batch_size": size,
        "lr": 2e-3,
        "optimizer": {"kind": "adamw", "weight_decay": 5e-2},
        "schedule": {"kind": "cosine", "warmup": 0.05},
        "ema": 0.99,
        "patience": 4,
    }


class Body(nn.Module):
    """Images of one column (rows, height, width, channels) to (rows, `width`): the largest answer of each channel."""

    def __init__(self, feed: Input, name: str, cfg: BodyConfig):
        super().__init__()
        height, width, channels = (n or 1 for n in feed.shape)
        self.name, self.pixels = name, Pixels(feed)
        kernel, stride = _stem(min(height, width))
        first = max(1, cfg.width // 2)
        layers: list[nn.Module] = [nn.Conv2d(channels, first, kernel, stride, kernel // 2, bias=False), _norm(first)]
        layers.append(activation(cfg.activation))
        side = (min(height, width) + 2 * (kernel // 2) - kernel) // stride + 1
        before = first
        for i in range(_stages(side)):
            after = min(cfg.most, cfg.width * 2**i)
            layers += [_filters(before, after), *([nn.MaxPool2d(2)] if side >= 2 else []), _norm(after)]
            layers += [activation(cfg.activation), _filters(after, after), _norm(after), activation(cfg.activation)]
            before, side = after, max(1, side // 2)
        self.layers = nn.Sequential(*layers)
        self.width = before
        channels_last(self)

    def features(self, x: Tensor) -> Tensor:
        """`x`: pixels of mean 0 and spread 1, (rows, channels, height, width)."""
        return self.layers(x).amax((2, 3))  # (rows, width)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.features(self.pixels(inputs[self.name]))


class TextBody(nn.Module):
    """Texts of some columns to (rows, `width`)."""

    def __init__(self, cfg: BodyConfig, spec: Spec):
        super().__init__()
        self.texts = nn.ModuleDict(
            {n: TextConvolution(f, cfg.token_width, cfg.width, cfg.hide) for n, f in spec.inputs.items()}
        )
        self.width = 3 * cfg.width * len(self.texts)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([text(inputs[name]) for name, text in self.texts.items()], 1)


def body(cfg: BodyConfig, spec: Spec) -> Body | TextBody:
    """The network without its head, for a spec of one image column or of texts: what `combine` borrows."""
    if reads_texts(spec):
        return TextBody(cfg, spec)
    (name, feed), *_ = spec.inputs.items()
    return Body(feed, name, cfg)


class Model(SinglePart):
    def __init__(self, cfg: Config, spec: Spec):
        super().__init__(smooth_labels(spec.output, cfg.label_smoothing))
        self.views, self.body, self.texts = cfg.test_time_augmentation, None, None
        self.series = inception.takes(spec)
        _refuse_unused(cfg, "texts" if reads_texts(spec) else "series" if self.series else "images")
        if self.series:
            self.network = inception.Network(spec, max(1, cfg.width // 4), cfg.members or MEMBERS, cfg.activation)
            return
        network = body(cfg, spec)
        if isinstance(network, TextBody):
            self.texts = network
        else:
            self.body = network
        self.dropout = Dropout(TEXT_DROPOUT)
        self.head = nn.Linear(network.width, spec.output.size)

    def answer(self, x: Tensor) -> Tensor:
        assert self.body is not None
        return self.head(self.body.features(x)).float()  # (rows, size)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.series:
            return {"target": self.network.answer(self.network(inputs))}
        if self.texts is not None:
            return {"target": self.head(self.dropout(self.texts(inputs))).float()}
        assert self.body is not None
        x = self.body.pixels(inputs[self.body.name])
        if self.training or self.views == "one":
            return {"target": self.answer(x)}
        views = [x, x.flip(3)] if self.views == "flips" else _neighbours(x)
        return {"target": torch.stack([self.answer(view) for view in views]).mean(0)}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        raw = self.network(batch.inputs) if self.series else self(batch.inputs)["target"]
        yield "", self.loss(raw, batch.target, batch.lengths)


def _refuse_unused(cfg: Config, sort: str) -> None:
    """A setting that would be ignored is an error."""
    settings, plain = cfg.model_dump(), Config().model_dump()
    if faults := [
        f"model.{name}: is for {' or '.join(sorts)}, and there are none here. Leave it out."
        for name, sorts in ONLY_FOR.items()
        if sort not in sorts and settings[name] != plain[name]
    ]:
        raise RecipeError(faults)


def _stem(side: int) -> tuple[int, int]:
    """Kernel and stride by the shorter side in pixels."""
    return (3, 1) if side < 16 else (5, 2) if side < 56 else (7, 4)


def _stages(side: int) -> int:
    """Two to four, until the map is 4 pixels or less."""
    count = 0
    while count < 2 or (side > 4 and count < 4):
        side, count = max(1, side // 2), count + 1
    return count


def _norm(width: int) -> nn.Module:
    return BatchNorm(nn.BatchNorm2d(width, momentum=0.3))


def _filters(before: int, after: int) -> nn.Conv2d:
    layer = nn.Conv2d(before, after, 3, padding=1, bias=False)
    layer.weight.orthogonal = True  # pyrefly: ignore[missing-attribute] - read by train.optim
    return layer


def _neighbours(x: Tensor) -> list[Tensor]:
    """The image and its four diagonal neighbours, one pixel away."""
    height, width = x.shape[2:]
    wide = nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
    return [x, *(wide[:, :, y : y + height, z : z + width] for y in (0, 2) for z in (0, 2))]
