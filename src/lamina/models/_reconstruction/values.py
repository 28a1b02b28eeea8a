"""Inputs as the numbers that are to be given back: the row itself, pixels from 0 to 1, the steps of a series."""

import math

import torch
from torch import Tensor, nn

from lamina.schema import Input


class Values(nn.Module):
    """One input to (rows, *shape) float32, and a mask of the same shape where some of it may not be there: the steps
    behind the end of a short series, which are zero.
    """

    def __init__(self, feed: Input):
        super().__init__()
        self.kind, self.shape = feed.kind, tuple(n or 1 for n in feed.shape)
        self.size: int = math.prod(self.shape)
        self.centre, self.spread = _moments(feed)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.kind == "image":
            return x.float() / 255, None
        if self.kind != "series":
            return x.float(), None
        there = ~x.isnan()
        return torch.where(there, x, torch.zeros_like(x)), there.float()

    def error(self, reconstruction: Tensor, values: Tensor, there: Tensor | None) -> Tensor:
        """The mean squared error of each row, (rows, 1)."""
        squares = (reconstruction - values).square().flatten(1)
        if there is None:
            return squares.mean(1, keepdim=True)
        mask = there.flatten(1)
        return (squares * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)


def _moments(feed: Input) -> tuple[float, float]:
    """About what numbers lie, and how far: 0 and 1 where they are standardised."""
    if feed.kind != "image":
        return 0.0, 1.0
    mean, std = feed.mean or (0.5,), feed.std or (0.25,)
    return sum(mean) / len(mean), max(sum(std) / len(std), 1e-3)
