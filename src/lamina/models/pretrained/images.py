"""Images as a network of others takes them: at its size, normalised, its channels in order."""

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from lamina.config import RecipeError
from lamina.layers.basic import Pixels
from lamina.models.pretrained import huggingface, onnx_file
from lamina.models.pretrained.settings import Config
from lamina.schema import Input

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LONGEST = 4096  # pixels a side that images are read at


def column_settings(cfg: Config) -> dict[str, Any]:
    """Larger images are read at the size that the network takes."""
    if cfg.name.lower().endswith(".onnx"):
        size = onnx_file.image_size(Path(cfg.name).expanduser(), cfg.side)
    else:
        size = huggingface.image_size(cfg.name, cfg.side)
    return {"largest": [min(length, LONGEST) for length in size]}


def load(cfg: Config) -> Any:
    """The backbone of a name: a module of pixels with `size`, `channels`, `mean`, `std` and `identity()`."""
    if not cfg.name.lower().endswith(".onnx"):
        if cfg.layer:
            raise RecipeError(["model.layer: names a tensor of an .onnx file. Leave it out, or say model.pooling."])
        return huggingface.load(cfg.name, cfg.side, cfg.pooling)
    if not cfg.features_only:
        raise RecipeError(
            ["model.frozen: an .onnx file cannot be fine-tuned. Set it to true, or name the Hugging Face folder."]
        )
    return onnx_file.load(Path(cfg.name).expanduser(), cfg.side, cfg.pooling, cfg.layer)


class Front(nn.Module):
    """Images (rows, height, width, channels) uint8 to what a backbone takes: (rows, channels, *size), normalised."""

    def __init__(self, feed: Input, cfg: Config, backbone: Any):
        super().__init__()
        height, width, channels = (n or 1 for n in feed.shape)
        count = backbone.channels
        if channels not in (1, count):
            raise RecipeError(
                [
                    f"model.name: {cfg.name} takes images of {count} channel, and these have {channels}. "
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

    def forward(self, images: Tensor) -> Tensor:
        x = self.pixels(images)  # a grey image is spread over the channels here
        if self.flip:
            x = x[:, [2, 1, 0]]
        if self.by > 1:
            x = F.avg_pool2d(x, self.by)  # bilinear alone would skip pixels
        return x if self.same else F.interpolate(x, self.size, mode="bilinear", align_corners=False)


def _channels(
    setting: tuple[float, ...] | None, own: tuple[float, ...] | None, usual: tuple[float, ...], channels: int
) -> tuple[float, ...]:
    """One number per channel: what the recipe says, else the backbone's, else ImageNet's."""
    values = setting or own or (usual if channels == 3 else (sum(usual) / 3,))
    if len(values) not in (1, channels):
        raise RecipeError([f"model.mean, model.std: must be {channels} numbers (got {len(values)})."])
    return values * channels if len(values) == 1 else values
