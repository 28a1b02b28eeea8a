"""Networks of images of Hugging Face transformers: a folder of config.json and safetensors, or a name on the hub."""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lamina.config import RecipeError
from lamina.models.pretrained import hub
from lamina.models.pretrained.onnx_graph import fault, first_line

Pooling = Literal["auto", "cls", "mean"]
SIDE = 224  # where nothing says another
UNUSED = ("pooler", "classifier", "embeddings.mask_token")  # weights that features can do without


class HuggingFace(nn.Module):
    """Pixels (rows, channels, height, width) to features (rows, width)."""

    whole = True  # one row in the table of layers
    rows_at_once = 32

    def __init__(self, network: Any, pooling: Pooling, images: dict[str, Any]):
        super().__init__()
        self.network, self.pooling = network, pooling
        self.size: tuple[int, int] = images["size"]
        self.mean, self.std = images["mean"], images["std"]
        self.flip: bool = images["flip"]
        self.channels: int = images["channels"]
        self.token = any("cls_token" in name for name, _ in network.named_parameters())
        self.others = 1 + images["registers"] if self.token else 0  # tokens in front of those of the image

    def forward(self, pixels: Tensor) -> Tensor:
        output = self.network(pixel_values=pixels)
        last = output.last_hidden_state
        if last.ndim == 4:  # (rows, channels, height, width)
            pooler = output.pooler_output if "pooler_output" in output else None
            return last.mean((2, 3)) if pooler is None else pooler.flatten(1)
        if self.pooling == "cls" or (self.pooling == "auto" and self.token):
            return last[:, 0]
        return last[:, self.others :].mean(1)  # of (rows, tokens, width)

    def identity(self) -> bytes:
        """What decides the features beside the weights."""
        return repr((self.network.config.to_json_string(use_diff=False), self.pooling)).encode()


def load(name: str, side: int | None, pooling: Pooling) -> HuggingFace:
    """The network of a folder or a name, checked by a first pass; every fault is a `RecipeError` that says the cure."""
    hub.import_transformers()
    folder = hub.find(name)
    config = hub.settings(folder / "config.json", name)
    images = _image_settings(folder, name, side)
    network = hub.network(folder, name, "AutoModel", UNUSED)
    if network.main_input_name != "pixel_values":
        kind = config.get("model_type", "this model")
        raise fault(name, f"{kind} takes {network.main_input_name}, not images alone", "Name a network of images")
    backbone = HuggingFace(network, pooling, images)
    if pooling == "cls" and not backbone.token:
        raise RecipeError([f"model.pooling: {name} has no class token. Use mean or auto."])
    try:
        with torch.no_grad():
            backbone(torch.zeros(1, backbone.channels, *backbone.size))
    except Exception as error:
        where, cure = ("model.side", "Leave it out") if side else ("model.name", "Name another network")
        raise RecipeError(
            [f"{where}: {name} cannot take {backbone.size[0]} pixels a side ({first_line(error)}). {cure}."]
        ) from None
    return backbone


def image_size(name: str, side: int | None) -> tuple[int, int]:
    """Height and width of the images that a network takes, by the files beside its weights."""
    return _image_settings(hub.find(name), name, side)["size"]


def image_settings(name: str) -> dict[str, Any]:
    """How images of a network are fed to it, by the files beside its weights."""
    return _image_settings(hub.find(name), name, None)


def _image_settings(folder: Path, name: str, side: int | None) -> dict[str, Any]:
    """Size, mean and std of the images, by the files beside the weights; the numbers of an image are from 0 to 1."""
    config, file = hub.settings(folder / "config.json", name), folder / "preprocessor_config.json"
    own = hub.settings(file, str(folder)) if file.is_file() else {}
    processor = _with_defaults(folder, own) if own else {}
    timm = config.get("pretrained_cfg", {})
    sizes = [
        own.get("crop_size") if processor.get("do_center_crop") else None,
        own.get("size"),
        config.get("image_size"),
        timm.get("input_size", [])[1:],
        processor.get("size"),
    ]
    mean, std = _normalization(processor) if processor else (timm.get("mean"), timm.get("std"))
    return {
        "size": next((pair for pair in map(_pair, [side, *sizes]) if pair), (SIDE, SIDE)),
        "mean": tuple(mean or ()) or None,
        "std": tuple(std or ()) or None,
        "channels": int(config.get("num_channels", 3)),
        "registers": int(config.get("num_register_tokens", 0)),
        "flip": bool(processor.get("do_flip_channel_order")),
    }


def _with_defaults(folder: Path, own: dict[str, Any]) -> dict[str, Any]:
    """The settings of an image processor with what its class says where its file says nothing."""
    transformers = hub.import_transformers()
    try:
        with hub.quietly(transformers):
            processor = transformers.AutoImageProcessor.from_pretrained(
                folder, backend="pil", local_files_only=True, trust_remote_code=False
            )
        return {**processor.to_dict(), **own}
    except Exception:  # a class it does not know, or Pillow is not installed: the file is all there is
        return {"do_normalize": "image_mean" in own, **own}


def _normalization(processor: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Mean and std of numbers from 0 to 1 that do what a processor does: rescale, shift and normalise 0 to 255."""
    factor = float(processor.get("rescale_factor") or 1 / 255) if processor.get("do_rescale", True) else 1.0
    offset = 1.0 if processor.get("rescale_offset") and processor.get("do_rescale", True) else 0.0
    normalized = processor.get("do_normalize") and processor.get("image_mean") and processor.get("image_std")
    mean, std = (_each(processor[key]) for key in ("image_mean", "image_std")) if normalized else ([0.0], [1.0])
    return [(value + offset) / (255 * factor) for value in mean], [value / (255 * factor) for value in std]


def _each(value: Any) -> list[float]:
    return [float(one) for one in (value if isinstance(value, list | tuple) else [value])]


def _pair(value: Any) -> tuple[int, int] | None:
    """Height and width, of a number, a pair, or the names that image processors use."""
    if isinstance(value, dict):
        edge = value.get("shortest_edge")
        value = [value.get("height", edge), value.get("width", edge)]
    if isinstance(value, int):
        return value, value
    if isinstance(value, list) and len(value) == 2 and all(isinstance(n, int) for n in value):
        return value[0], value[1]
    return None
