"""Mean quantile loss of several steps ahead (Koenker and Bassett 1978), in the shapes of `HorizonLoss`."""

import torch
from torch import Tensor

from lamina.losses._horizon import HorizonLoss


class Loss(HorizonLoss):
    @staticmethod
    def function(error: Tensor, quantiles: Tensor) -> Tensor:
        return torch.maximum(quantiles * error, (quantiles - 1) * error)
