"""Changes that a discriminator sees on real and fake images alike, so that few images are not learned by heart.

Zhao et al. 2020, DiffAugment: colour, translation and cutout, each differentiable, each drawn for every image.
Images are (rows, channels, height, width), -1 to 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT, HOLE = 0.125, 0.5  # of a side


def augment(x: Tensor) -> Tensor:
    """All of them, one after the other."""
    return _cutout(_translate(_colour(x)))


def _colour(x: Tensor) -> Tensor:
    light, colour, contrast = (torch.rand(len(x), 1, 1, 1, device=x.device) for _ in range(3))
    x = x + (light - 0.5)
    if x.shape[1] > 1:
        grey = x.mean(1, keepdim=True)
        x = (x - grey) * (2 * colour) + grey
    middle = x.mean((1, 2, 3), keepdim=True)
    return (x - middle) * (contrast + 0.5) + middle


def _translate(x: Tensor) -> Tensor:
    """By whole pixels; what comes in is black, as in the paper."""
    rows, _, height, width = x.shape
    tall, wide = max(1, round(SHIFT * height)), max(1, round(SHIFT * width))
    canvas = F.pad(x, (wide, wide, tall, tall), value=-1.0)
    down = torch.randint(2 * tall + 1, (rows, 1), device=x.device) + torch.arange(height, device=x.device)
    right = torch.randint(2 * wide + 1, (rows, 1), device=x.device) + torch.arange(width, device=x.device)
    row = torch.arange(rows, device=x.device)[:, None, None]
    window = canvas.permute(0, 2, 3, 1)[row, down[:, :, None], right[:, None, :]]
    return window.permute(0, 3, 1, 2)


def _cutout(x: Tensor) -> Tensor:
    """A square of half the side is taken out."""
    rows, _, height, width = x.shape
    y = torch.randint(height + 1, (rows, 1), device=x.device)
    z = torch.randint(width + 1, (rows, 1), device=x.device)
    tall = (torch.arange(height, device=x.device) - y).abs() < HOLE * height / 2
    wide = (torch.arange(width, device=x.device) - z).abs() < HOLE * width / 2
    return x * ~(tall[:, None, :, None] & wide[:, None, None, :])
