"""Augmentation of whole batches of images as tensors; a function of (seed, epoch, position) alone.

Geometry (flip, shift, rotate, scale, crop) is one affine map per image, applied in one pass; a target that says
where things are, such as boxes, is moved by the same map. Images go in and come out as (rows, height, width,
channels), 0 to 255.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.config import RecipeError, TrainingError
from lamina.schema import Batch, Mixed
from lamina.train import augmentation, jpeg_compression
from lamina.train.settings import Examples

TargetTransform = Callable[[Any, Tensor, tuple[int, int]], Any]


def check(examples: Examples, steps: Sequence[Any], moves: bool) -> None:
    """Refuse steps that a target cannot follow: one that `moves` with its image, or is of another length in each."""
    images = sum(values.ndim == 4 for values in examples.inputs.values())
    if (moves or examples.lengths is not None) and any(isinstance(s, augmentation.MIXING) for s in steps):
        raise RecipeError(
            ["train.augment: mixup and cutmix lay one target over another, and this one cannot be. Leave them out."]
        )
    if moves and steps and images > 1:
        raise RecipeError(["train.augment: it is open which of several images moves the target. Use one column."])


def augment(
    batch: Batch, steps: Sequence[Any], seed: tuple[int, int, int], target_transform: TargetTransform | None = None
) -> Batch:
    """The batch with its images augmented; `seed` is (seed, epoch, position).

    `target_transform(target, affine, size)` is called where images were moved: `affine` (rows, 2, 3) maps a place
    (x, y) in pixels to where it is now, `size` is (height, width).
    """
    images = [name for name, values in batch.inputs.items() if values.ndim == 4]
    if not images:
        raise TrainingError("train.augment: the table has no images to change. Leave it out.")
    if len(batch.inputs) > 1 and any(isinstance(step, augmentation.MIXING) for step in steps):
        raise TrainingError(
            "train.augment: mixup and cutmix need a table of one image column alone; other columns cannot be mixed. "
            "Leave them out."
        )
    rng = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
    inputs, target = dict(batch.inputs), batch.target
    for image in images:
        inputs[image], target = _apply(inputs[image], target, steps, rng, target_transform)
    return Batch(inputs, target, batch.lengths)


def _apply(
    images: Tensor, target: Any, steps: Sequence[Any], rng: torch.Generator, move: TargetTransform | None
) -> tuple[Tensor, Any]:
    """Images (rows, height, width, channels) with every step applied, and the target, mixed or moved as they are."""
    x = images.permute(0, 3, 1, 2).float()  # (rows, channels, height, width)
    geometry = [step for step in steps if isinstance(step, augmentation.GEOMETRY)]
    maps = []
    if geometry:
        maps.append(_affine(geometry, x, rng))
        x = _warp(x, maps[-1])
    for step in steps:
        if isinstance(step, augmentation.TrivialAugment):
            x, affine = _trivial(x, rng)
            maps.append(affine)
        elif isinstance(step, augmentation.Colour):
            x = _colour(x, step.by, rng)
        elif isinstance(step, augmentation.Blur):
            x = _where(_lot(x, step.share, rng), F.avg_pool2d(F.pad(x, (1, 1, 1, 1), "reflect"), 3, 1), x)
        elif isinstance(step, augmentation.Jpeg):
            quality = _draw(len(x), min(step.low, step.high), max(step.low, step.high), rng, x)
            x = _where(_lot(x, step.share, rng), jpeg_compression.compress(x, quality), x)
        elif isinstance(step, augmentation.Resize):
            x = _where(_lot(x, step.share, rng), _resize(x, step.smallest, rng), x)
        elif isinstance(step, augmentation.Erase):
            x = _erase(x, step, rng)
        elif isinstance(step, augmentation.MIXING):
            x, target = _mix(x, target, step, rng)
    height, width = x.shape[2:]
    if move is not None:
        for affine in maps:
            target = move(target, _forward(affine, height, width), (height, width))
    return x.permute(0, 2, 3, 1), target


def views(inputs: dict[str, np.ndarray], target: np.ndarray, steps: Sequence[Any], seed: int, count: int) -> np.ndarray:
    """(count, rows, height, width, channels) uint8: images as `count` epochs would show them to the network."""
    tensors = {name: torch.from_numpy(np.array(values)) for name, values in inputs.items()}
    image = next(name for name, values in tensors.items() if values.ndim == 4)
    batch = Batch(tensors, torch.from_numpy(np.array(target)))
    epochs = [augment(batch, steps, (seed, epoch, 0)).inputs[image] for epoch in range(count)]
    return torch.stack(epochs).round().clamp(0, 255).to(torch.uint8).numpy()


def _draw(rows: int, low: float, high: float, rng: torch.Generator, like: Tensor) -> Tensor:
    return (torch.rand(rows, generator=rng) * (high - low) + low).to(like.device)


def _lot(x: Tensor, share: float, rng: torch.Generator) -> Tensor:
    return _draw(len(x), 0, 1, rng, x) < share


def _where(mask: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return torch.where(mask[:, None, None, None], yes, no)


def _affine(steps: Sequence[Any], x: Tensor, rng: torch.Generator) -> Tensor:
    """(rows, 2, 3) maps from places in the result to places in the image, in the units of `affine_grid`."""
    rows, _, height, width = x.shape
    sx, sy, angle = (torch.ones(rows, device=x.device) for _ in range(3))
    dx, dy, angle = torch.zeros_like(sx), torch.zeros_like(sx), torch.zeros_like(sx)
    for step in steps:
        if isinstance(step, augmentation.Flip):
            sx = sx * torch.where(_lot(x, 0.5, rng), -1.0, 1.0)
        elif isinstance(step, augmentation.FlipVertical):
            sy = sy * torch.where(_lot(x, 0.5, rng), -1.0, 1.0)
        elif isinstance(step, augmentation.Shift):
            dx = dx + _draw(rows, -step.pixels, step.pixels, rng, x).round() * 2 / width
            dy = dy + _draw(rows, -step.pixels, step.pixels, rng, x).round() * 2 / height
        elif isinstance(step, augmentation.Rotate):
            angle = angle + _draw(rows, -step.degrees, step.degrees, rng, x) * math.pi / 180
        elif isinstance(step, augmentation.Scale):
            by = _draw(rows, 1 - step.by, 1 + step.by, rng, x)
            sx, sy = sx * by, sy * by
        elif isinstance(step, augmentation.Crop):
            side = _draw(rows, step.smallest, 1, rng, x).sqrt()
            sx, sy = sx * side, sy * side
            dx = dx + _draw(rows, -1, 1, rng, x) * (1 - side)
            dy = dy + _draw(rows, -1, 1, rng, x) * (1 - side)
    cos, sin, aspect = angle.cos(), angle.sin(), height / width
    return torch.stack(
        [torch.stack([sx * cos, -sy * sin * aspect, dx], 1), torch.stack([sx * sin / aspect, sy * cos, dy], 1)], 1
    )


def _forward(affine: Tensor, height: int, width: int) -> Tensor:
    """A map of `affine_grid`, from the result back and in halves of a side, as one from the image and in pixels."""
    half = affine.new_tensor([width / 2, height / 2])
    matrix = torch.linalg.inv(affine[:, :, :2] * half[:, None] / half)
    shift = half - (matrix @ (half + affine[:, :, 2] * half)[:, :, None])[:, :, 0]
    return torch.cat([matrix, shift[:, :, None]], 2)


def _warp(x: Tensor, affine: Tensor) -> Tensor:
    grid = F.affine_grid(affine, list(x.shape), align_corners=False)
    padding = "border" if x.shape[1] == 1 else "reflection"  # drawings stand on a ground, photographs go on
    return F.grid_sample(x, grid, "bilinear", padding, align_corners=False)


def _colour(x: Tensor, by: float, rng: torch.Generator) -> Tensor:
    rows = len(x)
    light, contrast, colour = (_draw(rows, 1 - by, 1 + by, rng, x)[:, None, None, None] for _ in range(3))
    middle = x.mean((1, 2, 3), keepdim=True)
    x = (x - middle) * contrast + middle * light
    grey = x.mean(1, keepdim=True)
    return (grey + (x - grey) * colour).clamp(0, 255)


def _resize(x: Tensor, smallest: float, rng: torch.Generator) -> Tensor:
    """Shrunk, to one size for the whole batch, and back; whole numbers, as images from a file are."""
    by = float(_draw(1, smallest, 1, rng, x))
    small = [max(1, min(n - 1, round(n * by))) for n in x.shape[2:]]
    shrunk = F.interpolate(x, small, mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(shrunk, x.shape[2:], mode="bilinear", align_corners=False).round().clamp(0, 255)


def _erase(x: Tensor, step: augmentation.Erase, rng: torch.Generator) -> Tensor:
    rows, _, height, width = x.shape
    row, column = _draw(rows, 0, height, rng, x), _draw(rows, 0, width, rng, x)
    tall = (torch.arange(height, device=x.device)[None] - row[:, None]).abs() < step.size * height / 2
    wide = (torch.arange(width, device=x.device)[None] - column[:, None]).abs() < step.size * width / 2
    hole = tall[:, None, :, None] & wide[:, None, None, :] & _lot(x, step.share, rng)[:, None, None, None]
    return torch.where(hole, 128.0, x)


def _mix(
    x: Tensor, target: Any, step: augmentation.Mixup | augmentation.CutMix, rng: torch.Generator
) -> tuple[Tensor, Mixed]:
    """One share for the whole batch, drawn from Beta(alpha, alpha)."""
    seed = int(torch.randint(1 << 62, (1,), generator=rng))
    share = float(np.random.default_rng(seed).beta(step.alpha, step.alpha))
    other = torch.randperm(len(x), generator=rng).to(x.device)
    if isinstance(step, augmentation.Mixup):
        return x * share + x[other] * (1 - share), Mixed(target, target[other], share)
    height, width = x.shape[2:]
    tall, wide = round(height * math.sqrt(1 - share)), round(width * math.sqrt(1 - share))
    top = int(torch.randint(height - tall + 1, (1,), generator=rng))
    left = int(torch.randint(width - wide + 1, (1,), generator=rng))
    x = x.clone()
    x[:, :, top : top + tall, left : left + wide] = x[other, :, top : top + tall, left : left + wide]
    return x, Mixed(target, target[other], 1 - tall * wide / (height * width))


def _trivial(x: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Geometry for most operations (in one affine map, given back), brightness, contrast, posterise or solarise for the
    rest.
    """
    rows = len(x)
    operation = torch.randint(11, (rows,), generator=rng).to(x.device)
    force = _draw(rows, 0, 1, rng, x) * torch.where(_lot(x, 0.5, rng), -1.0, 1.0)

    def only(number: int, strength: float) -> Tensor:
        return torch.where(operation == number, force * strength, 0.0)

    one = torch.ones(rows, device=x.device)
    angle = only(1, math.pi * 0.75)
    maps = torch.stack(
        [
            torch.stack([angle.cos(), -angle.sin() + only(2, 0.99), only(4, 1.0)], 1),
            torch.stack([angle.sin() + only(3, 0.99), angle.cos() * one, only(5, 1.0)], 1),
        ],
        1,
    )
    x = _warp(x, maps)
    light = 1 + only(6, 0.95)[:, None, None, None]
    contrast = 1 + only(7, 0.95)[:, None, None, None]
    middle = x.mean((1, 2, 3), keepdim=True)
    x = (((x - middle) * contrast + middle) * light).clamp(0, 255)
    grey = x.mean(1, keepdim=True)
    x = (grey + (x - grey) * (1 + only(8, 0.95)[:, None, None, None])).clamp(0, 255)
    steps = 2.0 ** (6 * force.abs()).floor()[:, None, None, None]
    x = _where(operation == 9, (x / steps).floor() * steps, x)
    edge = (256 * (1 - force.abs()))[:, None, None, None]
    return torch.where((operation == 10)[:, None, None, None] & (x >= edge), 255 - x, x), maps
