"""Images, numbers, categories and words of one table, each read by an encoder of its own, joined before one head.

Every image column has a body of its own, lent by another architecture, and the other columns share one. What each
body finds is brought to one width and scale, so that none drowns the others, and two layers answer from all of them.
In training a body is hidden in some rows (modality dropout: Neverova et al. 2016, ModDrop), so that a row without its
image is answered by the rest; an image that is even all over, as a missing one is, counts as hidden.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import AliasChoices, BeforeValidator, Field, SerializeAsAny
from torch import Tensor, nn

from lamina import config
from lamina.config import RecipeError, parse
from lamina.layers.basic import ActivationName, Dropout, activation
from lamina.losses import smooth_labels
from lamina.models import cnn, fnn
from lamina.models._single_part import SinglePart
from lamina.plugins import available, kind, plugin
from lamina.schema import ROW_HEADS, Input, Spec

HEADS = ROW_HEADS

EVEN = 1.0  # spread of an image, of 255, below which there is nothing on it
REST = 0.05  # of the learning rate of filters: what the other weights are trained with


def _body_settings(value: Any) -> Any:
    """Settings of a body: those of an architecture that has a function `body`, by its name."""
    if isinstance(value, config.Config):
        return value
    value = {"kind": value} if isinstance(value, str) else value
    if not isinstance(value, dict):
        raise ValueError("write kind: and settings, such as {kind: cnn, width: 32}")
    faults: list[str] = []
    try:
        module = vars(plugin("models", str(value.get("kind", "cnn")), "image"))
    except RecipeError as error:
        raise ValueError(str(error).rstrip(".")) from None
    if "body" not in module:
        able = [name for name in available("models") if "body" in vars(plugin("models", name))]
        raise ValueError(f"{value.get('kind')} lends no body. Use one of {', '.join(able)}")
    settings = parse(module.get("BodyConfig", module["Config"]), value, "", faults)
    if settings is None:
        raise ValueError("; ".join(fault.rstrip(".") for fault in faults))
    return settings


class Config(config.Config):
    kind: Literal["combine"] = "combine"
    image: Annotated[SerializeAsAny[config.Config], BeforeValidator(_body_settings)] = Field(
        default=cnn.BodyConfig(),
        description="the body for each image column: an architecture and its settings",
        validation_alias=AliasChoices("image", "picture"),  # its earlier name
    )
    table: fnn.BodyConfig = Field(default=fnn.BodyConfig(), description="the body for all other columns")
    width: int = Field(default=128, ge=1, le=1 << 14, description="numbers from each body, and in the layer behind")
    activation: ActivationName = "relu"
    dropout: float = Field(default=0.1, ge=0, lt=1)
    label_smoothing: float = Field(default=0.1, ge=0, lt=0.5, description="share of the label given to all classes")
    hide: float = Field(default=0.1, ge=0, lt=1, description="share of the rows in which a body is hidden in training")


def suits(spec: Spec) -> float:
    """An image beside anything else, or several images; tables alone as well, though others are made for those."""
    images = sum(feed.kind == "image" for feed in spec.inputs.values())
    return 0.9 if images and len(spec.inputs) > 1 else 0.05


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """With images what their body asks for, the other weights at the pace of tables; else as for tables."""
    images, _ = _by_kind(spec)
    if not images:
        return fnn.training(fnn.Config(), spec)
    module = plugin("models", kind(cfg.image))
    settings = module.training(cfg.image, _select(spec, images[:1]))
    if isinstance(cfg.image, cnn.BodyConfig):
        settings["optimizer"] = {**settings["optimizer"], "rest": REST / 2}
    return {**settings, "clip": None, "ema": 0.99}


class Model(SinglePart):
    def __init__(self, cfg: Config, spec: Spec):
        super().__init__(smooth_labels(spec.output, cfg.label_smoothing))
        images, others = _by_kind(spec)
        body_of = plugin("models", kind(cfg.image)).body
        bodies = [body_of(cfg.image, _select(spec, [name])) for name in images]
        bodies += [fnn.body(cfg.table, _select(spec, others))] if others else []
        self.images, self.hide = images, cfg.hide
        self.bodies = nn.ModuleList(bodies)
        self.entrances = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(body.width), nn.Linear(body.width, cfg.width)) for body in bodies
        )
        # what stands for a body that is hidden; one alone never is
        count = len(bodies) if len(bodies) > 1 else 0
        self.absent = nn.ParameterList(0.5 * torch.randn(cfg.width) for _ in range(count))
        self.joint = nn.Sequential(
            activation(cfg.activation),
            Dropout(cfg.dropout),
            nn.Linear(len(bodies) * cfg.width, cfg.width),
            activation(cfg.activation),
            nn.Linear(cfg.width, spec.output.size),
        )

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        features = [entrance(body(inputs)) for body, entrance in zip(self.bodies, self.entrances, strict=True)]
        if len(self.absent):
            triples = zip(self._hidden(inputs), self.absent, features, strict=True)
            features = [torch.where(hidden[:, None], absent, x) for hidden, absent, x in triples]
        return {"target": self.joint(torch.cat(features, 1)).float()}  # (rows, size)

    def _hidden(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """For each body, which rows (rows,) it is hidden in: those without an image, and in training one in some."""
        rows = len(next(iter(inputs.values())))
        blank = [_is_blank(inputs[name]) for name in self.images]
        blank += [torch.zeros_like(blank[0])] * (len(self.bodies) - len(blank))
        if not self.training or not self.hide:
            return blank
        lot = torch.rand(rows, device=blank[0].device)
        place = (lot / self.hide * len(self.bodies)).floor()  # at or above the number of bodies: nothing is hidden
        return [even | (place == i) for i, even in enumerate(blank)]


def _by_kind(spec: Spec) -> tuple[list[str], list[str]]:
    """Names of the image inputs, and of the others."""
    images = [name for name, feed in spec.inputs.items() if feed.kind == "image"]
    return images, [name for name in spec.inputs if name not in images]


def _select(spec: Spec, names: list[str]) -> Spec:
    inputs: dict[str, Input] = {name: spec.inputs[name] for name in names}
    return spec.model_copy(update={"inputs": inputs})


def _is_blank(images: Tensor) -> Tensor:
    """(rows,) bool: images (rows, height, width, channels) of one grey, whatever its brightness."""
    flat = images.flatten(1).float()
    return flat.amax(1) - flat.amin(1) < EVEN
