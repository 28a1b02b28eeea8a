"""The root of the squared error and a small number: the absolute error, smooth at zero. Charbonnier et al. 1994."""

import torch
from torch import Tensor, nn

from lamina.schema import Output

SMALL = 1e-3  # below which it is the squared error


class Loss(nn.Module):
    """Raw and target of one shape, (rows, ...): the mean over all numbers."""

    def __init__(self, output: Output):
        super().__init__()

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        return torch.sqrt((raw - target).square() + SMALL**2).mean()
