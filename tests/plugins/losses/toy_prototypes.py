"""Distance to a prototype of each class: the prototypes are learned with the network and are not part of it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.schema import Output


class Loss(nn.Module):
    """Raw (rows, size) embeddings; target (rows,) codes of classes. The weights of this loss are never served."""

    def __init__(self, output: Output):
        super().__init__()
        classes = output.settings["classes"]
        assert isinstance(classes, float | int)
        self.prototypes = nn.Parameter(torch.randn(int(classes), output.size))

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(8 * F.normalize(raw) @ F.normalize(self.prototypes).T, target)
