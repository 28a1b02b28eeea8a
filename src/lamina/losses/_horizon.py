"""What losses of several steps ahead share."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lamina.layers.horizon import quantiles, sizes
from lamina.schema import Output


class HorizonLoss(nn.Module, ABC):
    """Raw (..., rows, size), target (rows, horizon, targets) with NaN where nothing was measured: the mean of
    `function` over what was. Its arguments are errors (..., rows, horizon, targets, quantiles) and the quantiles.
    """

    quantiles: Tensor

    def __init__(self, output: Output):
        super().__init__()
        self.shape = sizes(output)
        self.register_buffer("quantiles", torch.tensor(quantiles(output)), persistent=False)

    @staticmethod
    @abstractmethod
    def function(error: Tensor, quantiles: Tensor) -> Tensor: ...

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        absent = target.isnan().unsqueeze(-1)
        error = target.unsqueeze(-1) - raw.unflatten(-1, self.shape)
        error = error.masked_fill(absent, 0.0)  # which costs nothing and has no gradient, whatever the loss
        each = self.function(error, self.quantiles)
        share = (~absent).sum().clamp(min=1) * (each.numel() // absent.numel())
        return each.sum() / share
