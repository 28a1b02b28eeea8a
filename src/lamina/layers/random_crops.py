"""Random windows of images and series, and noise on them, for whole batches: no Python for a row.

All is drawn from torch's own generator, whose state a checkpoint holds.
"""

import torch
from torch import Tensor


def crop(noisy: Tensor, clean: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The same window of `size` of both, another one in each row; (rows, *space, channels) each.

    Windows of images are also mirrored and turned by right angles, at random. One that is smaller than `size` along
    an axis stays whole there, and is not turned unless it is square.
    """
    rows, *space = noisy.shape[:-1]
    device = noisy.device
    places = [_places(rows, whole, min(size, whole), len(space) == 2, device) for whole in space]
    index = [torch.arange(rows, device=device).reshape(rows, *(1 for _ in space))]
    for axis, own in enumerate(places):
        shape = [rows, *(own.shape[1] if i == axis else 1 for i in range(len(space)))]
        index.append(own.reshape(shape))
    windows = [values[tuple(index)] for values in (noisy, clean)]
    if len(space) == 2 and windows[0].shape[1] == windows[0].shape[2]:
        turned = torch.rand(rows, device=device)[:, None, None, None] < 0.5
        windows = [torch.where(turned, one.transpose(1, 2), one) for one in windows]
    return windows[0], windows[1]


def _places(rows: int, whole: int, size: int, mirrored: bool, device: torch.device) -> Tensor:
    """(rows, size) places along an axis, from a start that is drawn, in either direction where it may be mirrored."""
    start = torch.randint(whole - size + 1, (rows, 1), device=device)
    along = torch.arange(size, device=device)[None]
    if mirrored:
        along = torch.where(torch.rand(rows, 1, device=device) < 0.5, along.flip(1), along)
    return start + along


def add_noise(clean: Tensor, sigma: tuple[float, float], quantized: float) -> Tensor:
    """Gaussian noise whose deviation is drawn for each row; a share of rows is `quantized` as files of 8 bits are."""
    rows = (len(clean), *(1 for _ in clean.shape[1:]))
    deviation = sigma[0] + (sigma[1] - sigma[0]) * torch.rand(rows, device=clean.device)
    noisy = clean + deviation * torch.randn(clean.shape, device=clean.device)
    if not quantized:
        return noisy
    rounds = torch.rand(rows, device=clean.device) < quantized
    return torch.where(rounds, (noisy.clamp(0, 1) * 255).round() / 255, noisy)
