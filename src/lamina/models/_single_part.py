"""A network of one part, trained on one loss of its answer: most of them."""

from collections.abc import Iterator

from torch import Tensor, nn

from lamina import losses
from lamina.schema import Batch, Output


class SinglePart(nn.Module):
    """Gives `parts` and `losses` to a network whose `forward` answers with `target`, (rows, size)."""

    parts = ("",)

    def __init__(self, output: Output):
        super().__init__()
        self.loss = losses.loss(output)

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        yield "", self.loss(self(batch.inputs)["target"], batch.target, batch.lengths)
