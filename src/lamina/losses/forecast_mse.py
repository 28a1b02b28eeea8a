"""Mean squared error of several steps ahead, in the shapes of `HorizonLoss`."""

from torch import Tensor

from lamina.losses._horizon import HorizonLoss


class Loss(HorizonLoss):
    @staticmethod
    def function(error: Tensor, quantiles: Tensor) -> Tensor:
        return error.square()
