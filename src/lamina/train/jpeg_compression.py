"""What JPEG does to whole batches of images at once: all that is lost in it, and nothing that is only written.

Wallace 1991: luminance and two colours, the colours at half the size, blocks of 8 x 8 as cosines, each divided by the
number of a table that the quality scales, and rounded. Codes and files, which lose nothing, are left out.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 8
LIGHT = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
COLOUR = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *((99,) * 8,) * 4,
)  # fmt: skip
YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def compress(images: Tensor, quality: Tensor) -> Tensor:
    """Images (rows, 1 or 3, height, width), 0 to 255, as they come back from JPEG of a quality (rows,), 1 to 100."""
    if images.shape[1] == 1:
        return _channel(images[:, 0], LIGHT, quality)[:, None].round().clamp(0, 255)
    mix = torch.tensor(YCC, device=images.device)
    height, width = images.shape[2:]
    ycc = torch.einsum("ij,rjhw->rihw", mix, images)
    light = _channel(ycc[:, 0], LIGHT, quality)
    ycc = F.pad(ycc, (0, width % 2, 0, height % 2), "replicate")
    half = F.avg_pool2d(ycc[:, 1:] + 128, 2)  # (rows, 2, height / 2, width / 2)
    colours = [_channel(half[:, i], COLOUR, quality) - 128 for i in range(2)]
    colour = F.interpolate(torch.stack(colours, 1), scale_factor=2, mode="bilinear", align_corners=False)
    ycc = torch.cat([light[:, None], colour[:, :, :height, :width]], 1)
    return torch.einsum("ij,rjhw->rihw", torch.linalg.inv(mix), ycc).round().clamp(0, 255)


def _channel(values: Tensor, table: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """One channel (rows, height, width) of 0 to 255, block by block to steps of the table and back."""
    height, width = values.shape[1:]
    canvas = F.pad(values[:, None] - 128, (0, -width % SIDE, 0, -height % SIDE), "replicate")[:, 0]
    blocks = canvas.unflatten(2, (-1, SIDE)).unflatten(1, (-1, SIDE)).transpose(2, 3)  # (rows, down, across, 8, 8)
    cosines, steps = _cosines(values.device), _steps(table, quality)[:, None, None]
    spectrum = cosines @ blocks @ cosines.T
    pixels = cosines.T @ ((spectrum / steps).round() * steps) @ cosines
    return pixels.transpose(2, 3).flatten(3).flatten(1, 2)[:, :height, :width] + 128


def _steps(table: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """The table of each row (rows, 8, 8), as libjpeg scales it."""
    quality = quality.clamp(1, 100).round()
    scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    own = torch.tensor(table, dtype=torch.float32, device=quality.device)
    return ((own * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)


def _cosines(device: torch.device) -> Tensor:
    """The 8 x 8 cosine transform, orthonormal."""
    at = torch.arange(SIDE, dtype=torch.float32, device=device)
    matrix = torch.cos((2 * at[None] + 1) * at[:, None] * math.pi / (2 * SIDE)) * math.sqrt(2 / SIDE)
    matrix[0] /= math.sqrt(2)
    return matrix
