"""U-Net without any bias, for removing noise: images or series of any size in, of the same size out.

The network tells the noise, which is taken off what came in (Zhang et al. 2017, DnCNN). Without a bias, and with ReLU
alone, an answer to twice the numbers is twice the answer: what it learned at some levels of noise holds at others, too
(Mohan et al. 2020). Residual blocks on several scales, joined by sums (Ronneberger et al. 2015; Zhang et al. 2021,
DRUNet), the finest of them at half the size, which is most of the work (Zhang et al. 2018, FFDNet).
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from lamina import config, losses
from lamina.layers.random_crops import add_noise, crop
from lamina.schema import Batch, Input, Output, Spec

HEADS = frozenset({"restoration"})
WHITE = 255.0
STEPS = 8_000  # of a usual run
EPOCH = 50  # steps between two looks at validation rows, which cost as much as two or three
PATCH = {"image": 64, "series": 512}


class Config(config.Config):
    kind: Literal["unet"] = "unet"
    widths: tuple[Annotated[int, Field(ge=2, le=1024)], ...] = Field(
        default=(64, 96, 128), min_length=1, max_length=6, description="channels of each scale, the finest first"
    )
    blocks: int = Field(default=1, ge=1, le=16, description="residual blocks of a scale, down and again up")
    patch: int | None = Field(
        default=None, ge=8, le=4096, description="side of the random windows it learns from; 64 pixels or 512 steps"
    )


def suits(spec: Spec) -> float:
    """One column of images or of series, to be answered by what it is without noise."""
    kinds = [feed.kind for feed in spec.inputs.values()]
    return 0.9 if spec.output.head in HEADS and kinds in (["image"], ["series"]) else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """8,000 steps, however many rows there are: noise is drawn anew each time."""
    return {
        "epochs": STEPS // EPOCH,
        "steps_per_epoch": EPOCH,
        "batch_size": 32,
        "lr": 1e-3,
        "optimizer": {"kind": "adamw", "weight_decay": 1e-4},
        "schedule": {"kind": "cosine", "warmup": 0.02},
        "ema": 0.999,
        "clip": 1.0,
        "keep": "last",
    }


def example(spec: Spec) -> dict[str, Any]:
    return {"widths": [4, 6], "patch": 8}


def example_rows(count: int, seed: int) -> tuple[Spec, Batch]:
    """Soft stripes, uint8, to which noise is added."""
    rng = np.random.default_rng(seed)
    phase, along = rng.uniform(0, 6, (count, 1, 1, 1)), np.arange(20)[:, None, None] / 3
    clean = np.broadcast_to(128 + 90 * np.sin(along + phase), (count, 20, 20, 1)).astype(np.uint8)
    output = Output(head="restoration", size=1, loss="charbonnier", settings={"sigma": [0.0, 0.2], "quantized": 0.5})
    feed = Input(kind="image", shape=(None, None, 1), dtype="float32")
    return Spec(inputs={"image": feed}, output=output), Batch({"image": clean / np.float32(WHITE)}, clean)


class Block(nn.Module):
    """What is added to what comes in: two convolutions of 3 with a ReLU between."""

    def __init__(self, convolution: type[nn.Conv1d | nn.Conv2d], width: int):
        super().__init__()
        self.first, self.second = (convolution(width, width, 3, padding=1, bias=False) for _ in range(2))
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.kaiming_normal_(self.second.weight, nonlinearity="linear")
        with torch.no_grad():
            self.second.weight *= 0.2

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x).relu())


class Model(nn.Module):
    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        ((self.name, feed),) = spec.inputs.items()
        image, channels, widths = feed.kind == "image", feed.shape[-1] or 1, cfg.widths
        down, up = (nn.Conv2d, nn.ConvTranspose2d) if image else (nn.Conv1d, nn.ConvTranspose1d)
        self.multiple = 2 ** len(widths)
        self.patch = max(cfg.patch or PATCH[feed.kind], self.multiple)
        self.stem = down(channels, widths[0], 4, 2, 1, bias=False)
        pairs = [*itertools.pairwise(widths)]
        self.down = nn.ModuleList(down(one, other, 2, 2, bias=False) for one, other in pairs)
        self.up = nn.ModuleList(up(other, one, 2, 2, bias=False) for one, other in pairs)
        self.before = nn.ModuleList(_blocks(down, width, cfg.blocks) for width in widths)
        self.after = nn.ModuleList(_blocks(down, width, cfg.blocks) for width in widths[:-1])
        self.head = up(widths[0], channels, 4, 2, 1, bias=False)
        with torch.no_grad():
            self.head.weight *= 0.1  # nearly nothing is taken off at first
        settings = spec.output.settings
        sigma, share = settings.get("sigma"), settings.get("quantized", 0.0)
        self.sigma = (sigma[0], sigma[-1]) if isinstance(sigma, list) else None
        self.quantized = 0.0 if isinstance(share, list) else float(share)
        self.loss = losses.loss(spec.output)
        if image:
            self.to(memory_format=torch.channels_last)  # pyrefly: ignore[no-matching-overload]

    def noise(self, x: Tensor) -> Tensor:
        """What is to be taken off: (rows, channels, *space), each side a multiple of `multiple`."""
        x = first = self.stem(x)
        skips = list[Tensor]()
        for blocks, down in zip(self.before, self.down, strict=False):
            x = blocks(x)
            skips.append(x)
            x = down(x)
        x = self.before[-1](x)
        for blocks, up, skip in reversed([*zip(self.after, self.up, skips, strict=True)]):
            x = blocks(up(x) + skip)
        return self.head(x + first)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """(rows, *space, channels), uint8 or floats of 0 to 1, to `restoration`, floats of the same shape."""
        return {"restoration": self.restore(unit(inputs[self.name]))}

    def restore(self, x: Tensor) -> Tensor:
        """The same with noise taken off; sizes that are no multiple are filled up with the last row and column."""
        space, places = x.shape[1:-1], [*range(1, x.ndim - 1)]
        wide = x.permute(0, x.ndim - 1, *places)  # (rows, channels, *space)
        for axis, n in enumerate(space, 2):
            missing = (self.multiple - n % self.multiple) % self.multiple
            last = wide.narrow(axis, wide.shape[axis] - 1, 1)
            filled = [*wide.shape[:axis], missing, *wide.shape[axis + 1 :]]
            wide = torch.cat([wide, last.expand(filled)], axis)
        noise = self.noise(wide).float()
        for axis, n in enumerate(space, 2):
            noise = noise.narrow(axis, 0, n)
        return x - noise.permute(0, *(place + 1 for place in places), 1)

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Random windows of the rows; where no noisy ones are given, noise is added to the clean ones."""
        noisy, clean = map(unit, crop(batch.inputs[self.name], batch.target, self.patch))
        if self.sigma is not None:
            noisy = add_noise(clean, self.sigma, self.quantized)
        yield "", self.loss(self.restore(noisy), clean)


def unit(x: Tensor) -> Tensor:
    """Pixels of 8 bits as 0 to 1; floats as they are."""
    return x.float() / WHITE if x.dtype == torch.uint8 else x.float()


def _blocks(convolution: Any, width: int, count: int) -> nn.Module:
    return nn.Sequential(*(Block(convolution, width) for _ in range(count)))
