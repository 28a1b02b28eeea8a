"""Measures that no training has shaped: fixed random filters for images, and noise that a row's content decides.

What a generator makes in evaluation must not touch the random state of training, nor depend on a row's neighbours.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FILTERS, SCALES = 24, 3
_MIX = (-7046029254386353131, -4658895280553007687, -7723592293110705685)  # of splitmix64


class Filters(nn.Module):
    """Means and spreads of what fixed filters answer on three scales, (rows, features), and means by quarter."""

    def __init__(self, channels: int):
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        for i in range(SCALES):
            before = FILTERS if i else channels
            weights = torch.randn(FILTERS, before, 4, 4, generator=rng) / (16 * before) ** 0.5
            self.register_buffer(f"filters{i}", weights, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """`x`: (rows, channels, height, width), -1 to 1."""
        features, x = [], x.float()
        for filters in self.buffers():
            if min(x.shape[2:]) < 4:
                break
            x = F.relu(F.conv2d(x, filters, stride=2))
            features += [x.mean((2, 3)), x.std((2, 3), correction=0)]
            if min(x.shape[2:]) > 1:
                features += [x[:, :, i::2, j::2].mean((2, 3)) for i in (0, 1) for j in (0, 1)]
        return torch.cat(features, 1)


def content_noise(rows: Tensor, latent: int) -> Tensor:
    """Normal numbers (rows, latent), a function of each row's content alone; `rows`: (rows, ...) of any type."""
    flat = rows.flatten(1)
    codes = flat.float().contiguous().view(torch.int32).long() if flat.is_floating_point() else flat.long()
    places = torch.arange(1, codes.shape[1] + 1, device=rows.device)
    seed = _mix((codes + 1) * _mix(places)).sum(1, keepdim=True)
    bits = _mix(_mix(seed) + _mix(torch.arange(2 * latent, device=rows.device)))  # (rows, 2 * latent)
    uniform = ((bits >> 11) & ((1 << 52) - 1)).double() / (1 << 52)
    radius, turn = uniform.chunk(2, 1)
    return ((-2 * (1 - radius).log()).sqrt() * (2 * torch.pi * turn).cos()).float()  # Box and Muller 1958


def _mix(x: Tensor) -> Tensor:
    """Whole numbers whose bits look random (Steele et al. 2014, splitmix64); products wrap around."""
    x = x * _MIX[0]
    x = (x ^ ((x >> 30) & ((1 << 34) - 1))) * _MIX[1]
    x = (x ^ ((x >> 27) & ((1 << 37) - 1))) * _MIX[2]
    return x ^ ((x >> 31) & ((1 << 33) - 1))
