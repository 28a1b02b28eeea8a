"""Augmentation of whole batches of pictures as tensors; a function of (seed, epoch, position) alone.

Geometry (flip, shift, rotate, scale, crop) is one affine map per picture, applied in one pass. Pictures go in and come
out as (rows, height, width, channels), 0 to 255.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.config import TrainingError
from lamina.schema import Batch, Mixed
from lamina.train import augmentation as augment
from lamina.train import jpeg_compression as jpeg


def augmented(batch: Batch, steps: Sequence[Any], seed: tuple[int, int, int]) -> Batch:
    """The batch with its pictures augmented; `seed` is (seed, epoch, position)."""
    images = [name for name, values in batch.inputs.items() if values.ndim == 4]
    if not images:
        raise TrainingError("train.augment: the table has no pictures to change. Leave it out.")
    if len(batch.inputs) > 1 and any(isinstance(step, augment.Mixup | augment.CutMix) for step in steps):
        raise TrainingError(
            "train.augment: mixup and cutmix need a table of one picture column alone; other columns cannot be mixed. "
            "Leave them out."
        )
    rng = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
    inputs, target = dict(batch.inputs), batch.target
    for image in images:
        inputs[image], target = _changed(inputs[image], target, steps, rng)
    return Batch(inputs, target)


def _changed(pictures: Tensor, target: Any, steps: Sequence[Any], rng: torch.Generator) -> tuple[Tensor, Any]:
    """Pictures (rows, height, width, channels) with every step applied, and the target, mixed where they are."""
    found = pictures.permute(0, 3, 1, 2).float()  # (rows, channels, height, width)
    geometry = [step for step in steps if isinstance(step, augment.GEOMETRY)]
    if geometry:
        found = _moved(found, _affine(geometry, found, rng))
    for step in steps:
        if isinstance(step, augment.TrivialAugment):
            found = _trivial(found, rng)
        elif isinstance(step, augment.Colour):
            found = _coloured(found, step.by, rng)
        elif isinstance(step, augment.Blur):
            found = _where(
                _lot(found, step.share, rng), F.avg_pool2d(F.pad(found, (1, 1, 1, 1), "reflect"), 3, 1), found
            )
        elif isinstance(step, augment.Jpeg):
            quality = _draw(len(found), min(step.low, step.high), max(step.low, step.high), rng, found)
            found = _where(_lot(found, step.share, rng), jpeg.compressed(found, quality), found)
        elif isinstance(step, augment.Resize):
            found = _where(_lot(found, step.share, rng), _resized(found, step.smallest, rng), found)
        elif isinstance(step, augment.Erase):
            found = _erased(found, step, rng)
        elif isinstance(step, augment.Mixup | augment.CutMix):
            found, target = _mixed(found, target, step, rng)
    return found.permute(0, 2, 3, 1), target


def views(inputs: dict[str, np.ndarray], target: np.ndarray, steps: Sequence[Any], seed: int, count: int) -> np.ndarray:
    """(count, rows, height, width, channels) uint8: pictures as `count` epochs would show them to the network."""
    tensors = {name: torch.from_numpy(np.array(values)) for name, values in inputs.items()}
    image = next(name for name, values in tensors.items() if values.ndim == 4)
    batch = Batch(tensors, torch.from_numpy(np.array(target)))
    seen = [augmented(batch, steps, (seed, epoch, 0)).inputs[image] for epoch in range(count)]
    return torch.stack(seen).round().clamp(0, 255).to(torch.uint8).numpy()


def _draw(rows: int, low: float, high: float, rng: torch.Generator, like: Tensor) -> Tensor:
    return (torch.rand(rows, generator=rng) * (high - low) + low).to(like.device)


def _lot(found: Tensor, share: float, rng: torch.Generator) -> Tensor:
    return _draw(len(found), 0, 1, rng, found) < share


def _where(chosen: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return torch.where(chosen[:, None, None, None], yes, no)


def _affine(steps: Sequence[Any], found: Tensor, rng: torch.Generator) -> Tensor:
    """(rows, 2, 3) maps from places in the result to places in the picture, in the units of `affine_grid`."""
    rows, _, height, width = found.shape
    sx, sy, angle = (torch.ones(rows, device=found.device) for _ in range(3))
    dx, dy, angle = torch.zeros_like(sx), torch.zeros_like(sx), torch.zeros_like(sx)
    for step in steps:
        if isinstance(step, augment.Flip):
            sx = sx * torch.where(_lot(found, 0.5, rng), -1.0, 1.0)
        elif isinstance(step, augment.FlipVertical):
            sy = sy * torch.where(_lot(found, 0.5, rng), -1.0, 1.0)
        elif isinstance(step, augment.Shift):
            dx = dx + _draw(rows, -step.pixels, step.pixels, rng, found).round() * 2 / width
            dy = dy + _draw(rows, -step.pixels, step.pixels, rng, found).round() * 2 / height
        elif isinstance(step, augment.Rotate):
            angle = angle + _draw(rows, -step.degrees, step.degrees, rng, found) * math.pi / 180
        elif isinstance(step, augment.Scale):
            by = _draw(rows, 1 - step.by, 1 + step.by, rng, found)
            sx, sy = sx * by, sy * by
        elif isinstance(step, augment.Crop):
            side = _draw(rows, step.smallest, 1, rng, found).sqrt()
            sx, sy = sx * side, sy * side
            dx = dx + _draw(rows, -1, 1, rng, found) * (1 - side)
            dy = dy + _draw(rows, -1, 1, rng, found) * (1 - side)
    cos, sin, aspect = angle.cos(), angle.sin(), height / width
    return torch.stack(
        [torch.stack([sx * cos, -sy * sin * aspect, dx], 1), torch.stack([sx * sin / aspect, sy * cos, dy], 1)], 1
    )


def _moved(found: Tensor, affine: Tensor) -> Tensor:
    grid = F.affine_grid(affine, list(found.shape), align_corners=False)
    padding = "border" if found.shape[1] == 1 else "reflection"  # drawings stand on a ground, photographs go on
    return F.grid_sample(found, grid, "bilinear", padding, align_corners=False)


def _coloured(found: Tensor, by: float, rng: torch.Generator) -> Tensor:
    rows = len(found)
    light, contrast, colour = (_draw(rows, 1 - by, 1 + by, rng, found)[:, None, None, None] for _ in range(3))
    middle = found.mean((1, 2, 3), keepdim=True)
    found = (found - middle) * contrast + middle * light
    grey = found.mean(1, keepdim=True)
    return (grey + (found - grey) * colour).clamp(0, 255)


def _resized(found: Tensor, smallest: float, rng: torch.Generator) -> Tensor:
    """Shrunk, to one size for the whole batch, and back; whole numbers, as pictures from a file are."""
    by = float(_draw(1, smallest, 1, rng, found))
    small = [max(1, min(n - 1, round(n * by))) for n in found.shape[2:]]
    shrunk = F.interpolate(found, small, mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(shrunk, found.shape[2:], mode="bilinear", align_corners=False).round().clamp(0, 255)


def _erased(found: Tensor, step: augment.Erase, rng: torch.Generator) -> Tensor:
    rows, _, height, width = found.shape
    y, x = _draw(rows, 0, height, rng, found), _draw(rows, 0, width, rng, found)
    tall = (torch.arange(height, device=found.device)[None] - y[:, None]).abs() < step.size * height / 2
    wide = (torch.arange(width, device=found.device)[None] - x[:, None]).abs() < step.size * width / 2
    hole = tall[:, None, :, None] & wide[:, None, None, :] & _lot(found, step.share, rng)[:, None, None, None]
    return torch.where(hole, 128.0, found)


def _mixed(
    found: Tensor, target: Any, step: augment.Mixup | augment.CutMix, rng: torch.Generator
) -> tuple[Tensor, Mixed]:
    """One share for the whole batch, drawn from Beta(alpha, alpha)."""
    seed = int(torch.randint(1 << 62, (1,), generator=rng))
    share = float(np.random.default_rng(seed).beta(step.alpha, step.alpha))
    other = torch.randperm(len(found), generator=rng).to(found.device)
    if isinstance(step, augment.Mixup):
        return found * share + found[other] * (1 - share), Mixed(target, target[other], share)
    height, width = found.shape[2:]
    tall, wide = round(height * math.sqrt(1 - share)), round(width * math.sqrt(1 - share))
    top = int(torch.randint(height - tall + 1, (1,), generator=rng))
    left = int(torch.randint(width - wide + 1, (1,), generator=rng))
    found = found.clone()
    found[:, :, top : top + tall, left : left + wide] = found[other, :, top : top + tall, left : left + wide]
    return found, Mixed(target, target[other], 1 - tall * wide / (height * width))


def _trivial(found: Tensor, rng: torch.Generator) -> Tensor:
    """Geometry for most operations (in one affine map), brightness, contrast, posterise or solarise for the rest."""
    rows = len(found)
    operation = torch.randint(11, (rows,), generator=rng).to(found.device)
    force = _draw(rows, 0, 1, rng, found) * torch.where(_lot(found, 0.5, rng), -1.0, 1.0)

    def only(number: int, strength: float) -> Tensor:
        return torch.where(operation == number, force * strength, 0.0)

    one = torch.ones(rows, device=found.device)
    angle = only(1, math.pi * 0.75)
    maps = torch.stack(
        [
            torch.stack([angle.cos(), -angle.sin() + only(2, 0.99), only(4, 1.0)], 1),
            torch.stack([angle.sin() + only(3, 0.99), angle.cos() * one, only(5, 1.0)], 1),
        ],
        1,
    )
    found = _moved(found, maps)
    light = 1 + only(6, 0.95)[:, None, None, None]
    contrast = 1 + only(7, 0.95)[:, None, None, None]
    middle = found.mean((1, 2, 3), keepdim=True)
    found = (((found - middle) * contrast + middle) * light).clamp(0, 255)
    grey = found.mean(1, keepdim=True)
    found = (grey + (found - grey) * (1 + only(8, 0.95)[:, None, None, None])).clamp(0, 255)
    steps = 2.0 ** (6 * force.abs()).floor()[:, None, None, None]
    found = _where(operation == 9, (found / steps).floor() * steps, found)
    edge = (256 * (1 - force.abs()))[:, None, None, None]
    return torch.where((operation == 10)[:, None, None, None] & (found >= edge), 255 - found, found)
