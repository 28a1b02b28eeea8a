"""A network that others trained on millions of images or texts, with a new head: little data goes a long way.

`name` is a Hugging Face model (a folder, or a name on the hub) of images or of texts, or an `.onnx` file of any
network that takes images. Frozen, it turns each row into features once, which are kept on disk, and training is that
of a small head, in seconds. Fine-tuned, all weights move, slower the further they are from the head, or only low-rank
changes of them (`lora`).

The bundle holds backbone and head as one graph that takes uint8 images or ids of tokens; it needs neither the
original file nor the library that read it.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lamina import config
from lamina.config import RecipeError
from lamina.models.pretrained import causal, fine_tuning, hub, images, onnx_graph, texts, tiny
from lamina.models.pretrained.features import Extractor
from lamina.models.pretrained.head import MOST_ROWS, Head
from lamina.models.pretrained.settings import Config
from lamina.schema import ROW_HEADS, Batch, Input, Spec

HEADS = ROW_HEADS | {"tokens"}

GRAPH_ONLY = True  # what builds the network again is not in the bundle
OF_IMAGES, OF_TEXTS = ("layer", "side", "mean", "std"), ("length", "layers")  # settings of one sort alone
DECAY = {"image": 0.75, "tokens": 0.9}
FIRST_LOOK = 4096  # rows that a head begins from, where the network is fine-tuned


def suits(spec: Spec) -> float:
    """One column of images or of texts and nothing else; never the default, for it needs a name."""
    if spec.output.head == "tokens":
        return 0.05
    feeds = list(spec.inputs.values())
    return {"image": 0.2, "tokens": 0.05}.get(feeds[0].kind, 0.0) if len(feeds) == 1 else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """Frozen: cheap steps of the head. Fine-tuning: few epochs at a small learning rate; half the images mirrored."""
    rows, text = max(spec.rows, 1), any(feed.kind == "tokens" for feed in spec.inputs.values())
    if cfg.features_only and spec.output.head in ROW_HEADS:
        size = max(8, min(256, rows // 8))
        return {
            "epochs": max(10, min(60, math.ceil(1000 / math.ceil(rows / size)))),
            "batch_size": size,
            "lr": 1e-3,
            "optimizer": {"kind": "adamw", "weight_decay": 0.05},
            **({"patience": 5} if text else {}),  # it begins where it will nearly end
        }
    if text:
        return {
            "epochs": max(2, min(10, math.ceil(600 / math.ceil(rows / 32)))),
            "batch_size": 32,
            "lr": 5e-5 if cfg.lora is None else 5e-4,
            "clip": 1.0,
            "optimizer": {"kind": "adamw", "weight_decay": 0.01},
            "schedule": {"kind": "linear", "warmup": 0.06},
        }
    return {
        "epochs": max(3, min(15, math.ceil(500 / math.ceil(rows / 32)))),
        "batch_size": 32,
        "lr": 5e-4,
        "clip": 1.0,
        "optimizer": {"kind": "adamw", "weight_decay": 0.05},
        "schedule": {"kind": "cosine", "warmup": 0.1},
        "augment": ["flip"],
    }


def column_settings(cfg: Config) -> dict[str, dict[str, Any]]:
    """Images are read at the size that the network takes, texts cut into tokens by its own tokenizer."""
    if cfg.name.lower().endswith(".onnx") or not (folder := hub.find(cfg.name)).joinpath("tokenizer.json").is_file():
        return {"image": images.column_settings(cfg)}
    length = cfg.length or min(texts.length(folder, cfg.name), texts.USUAL)
    return {"text": {"tokenizer": "pretrained", "file": cfg.name, "length": length}}


def example(spec: Spec) -> dict[str, Any]:
    """A tiny network of random weights, written into the cache: to try the architecture with."""
    (feed, *_), folder = spec.inputs.values(), config.cache() / "examples"
    if feed.kind != "tokens":
        return {"name": str(onnx_graph.tiny_file(folder))}
    write = tiny.encoder if spec.output.head in ROW_HEADS else tiny.decoder
    return {"name": str(write(folder, feed.sizes[0]))}


def step_inputs(cfg: Config, spec: Spec) -> dict[str, tuple[int, ...]]:
    """What the graph of one token takes beside it."""
    return causal.state_shape(cfg.name, spec)


def Model(cfg: Config, spec: Spec) -> nn.Module:  # noqa: N802 - the name of the contract, whatever is built
    """A body with a head for one answer to a row, or a whole network for the next token."""
    if spec.output.head in ROW_HEADS:
        return RowModel(cfg, spec)
    _check_settings(cfg, next(iter(spec.inputs.values())))
    if cfg.frozen:
        raise RecipeError(["model.frozen: a network for the next token has nothing to learn then. Leave it out."])
    causal.check_context(cfg.name, spec)
    return causal.Causal(causal.load(cfg.name), spec, cfg)


class RowModel(nn.Module):
    """What others trained, and a head on its features."""

    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        (self.name, feed), *_ = spec.inputs.items()
        _check_settings(cfg, feed)
        self.frozen, self.text = cfg.features_only, feed.kind == "tokens"
        self.backbone = _backbone(cfg, feed)
        self.front = nn.Identity() if self.text else images.Front(feed, cfg, self.backbone)
        with torch.no_grad():
            example = torch.zeros((2, *(n or 8 for n in feed.shape)), dtype=torch.int64 if self.text else torch.uint8)
            width = self.features(example).shape[1]
        self.head = Head(cfg, width, spec.output)
        self.backbone.requires_grad_(not cfg.features_only)
        if cfg.lora is not None:
            self.backbone.network = fine_tuning.add_lora(self.backbone.network, cfg.lora)
        elif not cfg.features_only:
            fine_tuning.scale_lr(self.backbone, cfg.decay or DECAY[feed.kind])
        self.lora = cfg.lora is not None

    def train(self, mode: bool = True) -> "RowModel":
        """A frozen backbone answers in training as it does in service."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def features(self, rows: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.backbone(self.front(rows))  # (rows, width)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.head({"features": self.features(inputs[self.name])})

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        features = self.features(batch.inputs[self.name])
        yield from self.head.losses(Batch({"features": features}, batch.target, batch.lengths))

    def learner(self) -> nn.Module:
        """The head alone where the rest is frozen."""
        return self.head if self.frozen else self

    def precompute(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What `learner` takes: the features of the rows, from disk where they are known, or the rows."""
        return {"features": self._features_of(inputs[self.name])} if self.frozen else dict(inputs)

    def _features_of(self, rows: np.ndarray) -> np.ndarray:
        extractor = Extractor(self.front, self.backbone)
        settings = () if self.text else (self.front.size, self.front.flip)
        self.eval()
        return extractor.features(rows, extractor.key(settings), next(self.parameters()).device)

    def initialize(self, train: Batch, validation: Batch) -> None:
        """Begin with the best linear head on features of the network as it is (Kumar et al. 2022)."""
        if not self.frozen and not self.text:
            return
        most = MOST_ROWS if self.frozen else FIRST_LOOK
        self.head.initialize(*(self._first_look(batch, most) for batch in (train, validation)))

    def _first_look(self, batch: Batch, most: int) -> Batch:
        """Features and targets of at most as many rows, evenly spread."""
        every = max(1, -(-len(batch.target) // most))
        inputs = {name: values[::every] for name, values in batch.inputs.items()}
        features = inputs["features"] if self.frozen else self._features_of(inputs[self.name])
        target, lengths = (None if v is None else torch.from_numpy(v[::every]) for v in (batch.target, batch.lengths))
        return Batch({"features": torch.from_numpy(features)}, target, lengths)

    def finalize(self, inputs: Mapping[str, Tensor]) -> None:
        """Low-rank changes become part of the weights."""
        if self.lora:
            self.backbone.network, self.lora = fine_tuning.merge_lora(self.backbone.network), False


def _backbone(cfg: Config, feed: Input) -> Any:
    if feed.kind != "tokens":
        return images.load(cfg)
    if cfg.name.lower().endswith(".onnx"):
        raise RecipeError(["model.name: an .onnx file is for images. Name a Hugging Face model of texts."])
    layers = "all" if cfg.layers == "auto" and cfg.features_only else "last" if cfg.layers == "auto" else cfg.layers
    return texts.load(cfg.name, cfg.pooling, layers, feed)


def _check_settings(cfg: Config, feed: Input) -> None:
    """Errors: RecipeError for a setting that would be ignored."""
    own, other = (OF_IMAGES, "images") if feed.kind == "tokens" else (OF_TEXTS, "texts")
    usual = Config(name=cfg.name)
    if faults := [name for name in own if vars(cfg)[name] != vars(usual)[name]]:
        raise RecipeError([f"model.{name}: is for {other}. Leave it out." for name in faults])
