"""A network that others trained on millions of pictures, with a new head: little data goes a long way.

`name` is a Hugging Face model (a folder, or a name on the hub) that takes `pixel_values`, or an `.onnx` file of any
network that takes pictures. Frozen, it turns each picture into features once, which are kept on disk, and training is
that of a small head, in seconds. Fine-tuned, all weights move, slower the further they are from the head (Howard and
Ruder 2018; the decay per block after Bao et al. 2022, BEiT).

The bundle holds backbone and head as one graph that takes the uint8 pictures; it needs neither the original file nor
the library that read it.
"""

import contextlib
import hashlib
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.config import RecipeError
from lamina.layers.basic import ActivationName, Pixels, activation
from lamina.layers.images import single_image
from lamina.losses import smooth_labels
from lamina.models._single_part import SinglePart
from lamina.models.pretrained import huggingface, onnx_file, onnx_graph
from lamina.resources import disk
from lamina.resources.disk import StorageError
from lamina.schema import ROW_HEADS, Batch, Input, Output, Spec

HEADS = ROW_HEADS

GRAPH_ONLY = True  # what builds the network again is not in the bundle
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DEEPEST = 12  # blocks that the decay of learning rates is counted over
LONGEST = 4096  # pixels a side that pictures are read at
CHUNK, ROWS = 2048, 32  # pictures in one file of features, and at a time


class Config(config.Config):
    kind: Literal["pretrained"] = "pretrained"
    name: str = Field(min_length=1, description="Hugging Face model (a folder or a name), or an .onnx file")
    frozen: bool = Field(default=True, description="train the head on features; false fine-tunes everything")
    pooling: Literal["auto", "cls", "mean"] = Field(
        default="auto", description="one vector of many: the class token, the mean, or what the network is made for"
    )
    layer: str | None = Field(default=None, description="tensor of an .onnx file that is the features")
    side: int | None = Field(default=None, ge=8, le=2048, description="pixels a side; the network's own when unset")
    mean: tuple[float, ...] | None = Field(default=None, description="of each channel, 0 to 1; the network's own")
    std: tuple[float, ...] | None = Field(default=None, description="of each channel, 0 to 1; the network's own")
    hidden: int | None = Field(default=None, ge=1, description="numbers in a hidden layer of the head; none when unset")
    activation: ActivationName = "relu"
    dropout: float = Field(default=0.2, ge=0, lt=1, description="share of the features that is zeroed in training")
    decay: float = Field(
        default=0.75, gt=0, le=1, description="fine-tuning: factor on the learning rate per block, from the head down"
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5, description="share of the label given to all classes")


def suits(spec: Spec) -> float:
    """One column of pictures and nothing else; never the default, for it needs a name."""
    return 0.2 if single_image(spec) else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """Frozen: about 1,000 cheap steps. Fine-tuning: few epochs at a small learning rate, half the pictures mirrored."""
    rows = max(spec.rows, 1)
    if cfg.frozen:
        size = max(8, min(256, rows // 8))
        return {
            "epochs": max(10, min(60, math.ceil(1000 / math.ceil(rows / size)))),
            "batch_size": size,
            "lr": 1e-3,
            "optimizer": {"kind": "adamw", "weight_decay": 0.05},
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
    """Larger pictures are read at the size that the network takes."""
    if cfg.name.lower().endswith(".onnx"):
        size = onnx_file.picture_size(Path(cfg.name).expanduser(), cfg.side)
    else:
        size = huggingface.picture_size(cfg.name, cfg.side)
    return {"image": {"largest": [min(length, LONGEST) for length in size]}}


def example(spec: Spec) -> dict[str, Any]:
    """A tiny `.onnx` file of random filters, written into the cache: to try the architecture with."""
    return {"name": str(onnx_graph.tiny_file(config.cache() / "examples"))}


class Model(nn.Module):
    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        (self.name, feed), *_ = spec.inputs.items()
        self.frozen = cfg.frozen
        self.backbone = _backbone(cfg)
        self.front = Front(feed, cfg, self.backbone)
        with torch.no_grad():
            width = self.features(torch.zeros((2, *(n or 1 for n in feed.shape)), dtype=torch.uint8)).shape[1]
        self.head = Head(cfg, width, spec.output)
        self.backbone.requires_grad_(not cfg.frozen)
        if not cfg.frozen:
            scale_lr(self.backbone, cfg.decay)

    def train(self, mode: bool = True) -> "Model":
        """A frozen backbone answers in training as it does in service."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def features(self, pictures: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.backbone(self.front(pictures))  # (rows, width)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.head({"features": self.features(inputs[self.name])})

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        features = self.features(batch.inputs[self.name])
        yield from self.head.losses(Batch({"features": features}, batch.target, batch.lengths))

    def learner(self) -> nn.Module:
        """The head alone where the rest is frozen."""
        return self.head if self.frozen else self

    def precompute(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What `learner` takes: the features of the pictures, from disk where they are known, or the pictures."""
        if not self.frozen:
            return dict(inputs)
        pictures, key = inputs[self.name], self._key()
        where = next(self.parameters()).device
        self.eval()
        chunks = [pictures[i : i + CHUNK] for i in range(0, len(pictures), CHUNK)]
        return {"features": np.concatenate([self._features_of(chunk, key, where) for chunk in chunks])}

    def _key(self) -> bytes:
        """A digest of everything between pictures and features."""
        digest = hashlib.blake2b(self.backbone.identity(), digest_size=16)
        for module in (self.front, self.backbone):
            for name, value in module.state_dict().items():
                digest.update(name.encode())
                digest.update(value.contiguous().flatten().view(torch.uint8).cpu().numpy())
        return digest.digest()

    def _features_of(self, pictures: np.ndarray, key: bytes, where: torch.device) -> np.ndarray:
        """Features of some pictures, by way of a file named by the pictures' bytes and all that computes them."""
        digest = hashlib.blake2b(repr((key, self.front.size, self.front.flip, pictures.shape)).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(pictures).data)
        file = config.cache() / "features" / f"{digest.hexdigest()}.npy"
        try:
            return np.load(file, allow_pickle=False)
        except (OSError, ValueError):  # not there, or cut short
            pass
        with torch.inference_mode():
            batches = [torch.from_numpy(pictures[i : i + ROWS]).to(where) for i in range(0, len(pictures), ROWS)]
            features = torch.cat([self.features(batch).float().cpu() for batch in batches]).numpy()
        body = io.BytesIO()
        np.save(body, features)
        with contextlib.suppress(StorageError):  # they are computed again next time
            disk.write_bytes(file, body.getvalue())
        return features


class Front(nn.Module):
    """Pictures (rows, height, width, channels) uint8 to what a backbone takes: (rows, channels, *size), normalised."""

    def __init__(self, feed: Input, cfg: Config, backbone: Any):
        super().__init__()
        height, width, channels = (n or 1 for n in feed.shape)
        count = backbone.channels
        if channels not in (1, count):
            raise RecipeError(
                [
                    f"model.name: {cfg.name} takes pictures of {count} channel, and these have {channels}. "
                    f"Say columns: {{image: {{kind: image, channels: {count}}}}}."
                ]
            )
        mean, std = (_channels(setting, own, usual, count) for setting, own, usual in (
            (cfg.mean, backbone.mean, IMAGENET[0]), (cfg.std, backbone.std, IMAGENET[1])))  # fmt: skip
        if min(std) <= 0:
            raise RecipeError([f"model.std: must be above 0 (got {list(std)})."])
        self.pixels = Pixels(feed.model_copy(update={"mean": mean, "std": std}))
        self.size: tuple[int, int] = backbone.size
        self.flip = bool(backbone.flip and count == 3)  # blue first
        self.same = (height, width) == self.size
        self.by = max(1, min(height // self.size[0], width // self.size[1]))

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.pixels(pictures)  # a grey picture is spread over the channels here
        if self.flip:
            x = x[:, [2, 1, 0]]
        if self.by > 1:
            x = F.avg_pool2d(x, self.by)  # bilinear alone would skip pixels
        return x if self.same else F.interpolate(x, self.size, mode="bilinear", align_corners=False)


class Standard(nn.Module):
    """Each row brought to mean 0 and spread 1, by plain arithmetic: exporters give `nn.LayerNorm` weights."""

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(1, keepdim=True)
        return x / (x.square().mean(1, keepdim=True) + 1e-6).sqrt()  # (rows, width)


class Head(SinglePart):
    """Features to raw answers."""

    def __init__(self, cfg: Config, width: int, output: Output):
        super().__init__(smooth_labels(output, cfg.label_smoothing))
        layers: list[nn.Module] = [Standard(), nn.Dropout(cfg.dropout)]
        if cfg.hidden:
            layers += [nn.Linear(width, cfg.hidden), activation(cfg.activation), nn.Dropout(cfg.dropout)]
        last = nn.Linear(cfg.hidden or width, output.size)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"target": self.layers(inputs["features"]).float()}  # (rows, size)


def scale_lr(backbone: nn.Module, decay: float) -> None:
    """Give each weight its factor on the learning rate: `decay` to the power of the blocks above it, head included;
    more blocks than `DEEPEST` take smaller steps, so that the first of them still learns.
    """
    blocks = (_block(name) for name, _ in backbone.named_parameters())
    order = [name for name in dict.fromkeys(blocks) if name != "pooler"]  # which features do without
    step = min(1.0, DEEPEST / max(1, len(order)))
    for name, p in backbone.named_parameters():
        above = len(order) - order.index(_block(name)) if _block(name) in order else 0
        p.lr_scale = decay ** (above * step)  # pyright: ignore[reportAttributeAccessIssue] - read by train.optim


def _block(name: str) -> str:
    """The block a weight belongs to: its name up to the second number, such as a stage and a layer in it."""
    words = name.removeprefix("network.").split(".")
    numbers = [i for i, word in enumerate(words) if word.isdigit()][:2]
    return ".".join(words[: numbers[-1] + 1] if numbers else words[:1])


def _backbone(cfg: Config) -> Any:
    """The backbone of a name: a module of pixels with `size`, `channels`, `mean`, `std` and `identity()`."""
    if not cfg.name.lower().endswith(".onnx"):
        if cfg.layer:
            raise RecipeError(["model.layer: names a tensor of an .onnx file. Leave it out, or say model.pooling."])
        return huggingface.load(cfg.name, cfg.side, cfg.pooling)
    if not cfg.frozen:
        raise RecipeError(
            ["model.frozen: an .onnx file cannot be fine-tuned. Set it to true, or name the Hugging Face folder."]
        )
    return onnx_file.load(Path(cfg.name).expanduser(), cfg.side, cfg.pooling, cfg.layer)


def _channels(
    setting: tuple[float, ...] | None, own: tuple[float, ...] | None, usual: tuple[float, ...], channels: int
) -> tuple[float, ...]:
    """One number per channel: what the recipe says, else the backbone's, else ImageNet's."""
    values = setting or own or (usual if channels == 3 else (sum(usual) / 3,))
    if len(values) not in (1, channels):
        raise RecipeError([f"model.mean, model.std: must be {channels} numbers (got {len(values)})."])
    return values * channels if len(values) == 1 else values
