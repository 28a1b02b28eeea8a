"""Attention over the steps of a text, and the block it stands in.

After Vaswani et al. 2017, as small language models are built now: norms before each layer (Xiong et al. 2020), rotary
positions (Su et al. 2021), normalised queries and keys (Henry et al. 2020), squared ReLU (So et al. 2021), matrices
without biases, of which the last of each branch starts near zero. Norms are layer norms: one pass on a CPU.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.layers.basic import Dropout

BASE = 10_000.0  # steps of the slowest turn, over 2 pi
FAR = 1024


class Places(NamedTuple):
    """Cosines and sines of steps, (steps, 1, size / 2), by which queries and keys are turned; or (rows, 1, 1, size / 2)
    of a single step of each row.
    """

    cos: Tensor
    sin: Tensor

    def turn(self, x: Tensor, size: int) -> Tensor:
        """Queries or keys (..., steps, heads, size), so that their products say how far apart they are."""
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        one, other = x.split((size // 2, size // 2), -1)
        return torch.cat([one * cos - other * sin, other * cos + one * sin], -1)


class Rotary(nn.Module):
    """The places of steps for heads of some size."""

    def __init__(self, size: int):
        super().__init__()
        speeds = BASE ** -torch.linspace(0, 1, size // 2, dtype=torch.float64)
        self.speeds: Tensor
        self.far: Tensor
        self.register_buffer("speeds", speeds.float())
        self.register_buffer("far", (speeds * FAR % math.tau).float())  # of `FAR` steps at once, whole turns left out

    def forward(self, steps: int) -> Places:
        """Steps from the first on."""
        return self.at(torch.arange(steps, device=self.speeds.device))

    def at(self, places: Tensor) -> Places:
        """Places (n,) in a text of any length, with angles as exact as those of the first."""
        places = places[:, None, None]
        near, far = places % FAR, torch.div(places, FAR, rounding_mode="floor")
        angles = near.float() * self.speeds + far.float() * self.far
        return Places(angles.cos(), angles.sin())


class Attention(nn.Module):
    """Each step looks at those that `mask` lets it see: (rows, steps, width) to the same."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = small(nn.Linear(width, width, bias=False))
        self.norm = nn.LayerNorm(self.size)

    def forward(self, x: Tensor, places: Places, mask: Tensor) -> Tensor:
        """`mask`: what is added to scores, (steps, steps) or (rows, 1, 1, steps), -inf where nothing may be seen."""
        query_key, value = self._heads(x)
        query, key = (
            part.transpose(1, 2) for part in places.turn(query_key, self.size).split((self.heads, self.heads), 2)
        )  # (rows, heads, steps, size)
        scores = query @ key.transpose(2, 3) * self.size**-0.5 + mask.to(query.dtype)
        mixed = scores.softmax(3).to(value.dtype) @ value.transpose(1, 2)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def step(self, x: Tensor, places: Places, mask: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """One more step (rows, width) after those whose turned keys, and values, are there, (rows, heads, steps, size),
        the latest last: what it gives, and keys and values with its own behind and without the first.

        `mask`: (rows, 1, steps, 1).
        """
        query_key, value = self._heads(x.unsqueeze(1))
        query, key = places.turn(query_key, self.size).transpose(1, 2).split((self.heads, self.heads), 1)
        keys = torch.cat([keys[:, :, 1:], key], 2)  # (rows, heads, steps, size)
        values = torch.cat([values[:, :, 1:], value.transpose(1, 2)], 2)
        scores = keys @ query.transpose(2, 3) * self.size**-0.5 + mask  # (rows, heads, steps, 1)
        mixed = scores.softmax(2).transpose(2, 3) @ values
        return self.out(mixed.flatten(1)), keys, values

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys (rows, steps, 2 * heads, size), and values (rows, steps, heads, size)."""
        joined = self.qkv(x).unflatten(2, (3 * self.heads, self.size))
        query_key, value = joined.split((2 * self.heads, self.heads), 2)
        return self.norm(query_key), value


class Block(nn.Module):
    """Attention and two dense layers of each step, each added to what was there."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.dense_norm = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 4 * width, bias=False)
        self.narrow = small(nn.Linear(4 * width, width, bias=False))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, places: Places, mask: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm(x), places, mask))
        return x + self.dropout(self._dense(x))

    def step(self, x: Tensor, places: Places, mask: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        mixed, keys, values = self.attention.step(self.norm(x), places, mask, keys, values)
        x = x + mixed
        return x + self._dense(x), keys, values

    def _dense(self, x: Tensor) -> Tensor:
        return self.narrow(F.relu(self.wide(self.dense_norm(x))).square())


def small(layer: nn.Linear) -> nn.Linear:
    """A layer that gives nearly nothing at first."""
    with torch.no_grad():
        layer.weight.mul_(0.1)
    return layer


def causal_mask(steps: int) -> Tensor:
    """-inf for what comes later, (steps, steps)."""
    return torch.full((steps, steps), -math.inf).triu(1)
