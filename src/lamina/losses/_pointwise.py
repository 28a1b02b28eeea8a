"""What losses of one number share."""

from collections.abc import Callable

from torch import Tensor, nn

from lamina.schema import Output


class PointwiseLoss(nn.Module):
    """Raw (..., rows, 1), target (rows,): the mean of `function` over all of them."""

    function: Callable[[Tensor, Tensor], Tensor]

    def __init__(self, output: Output):
        super().__init__()

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        return self.function(raw.squeeze(-1), target.expand(raw.shape[:-1]))
