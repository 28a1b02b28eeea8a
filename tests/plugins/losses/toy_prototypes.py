"""Distance to a prototype of each class: the prototypes are learned with the network and are not part of it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.schema import Output


class Loss(nn.Module):
    """Raw (..., rows, size) embeddings; target (rows,) codes of classes. Weights of this loss are never served."""

    def __init__(self, output: Output):
        super().__init__()
        classes = output.settings["classes"]
        assert isinstance(classes, float | int)
        self.prototypes = nn.Parameter(torch.randn(int(classes), output.size))

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        alike = 8 * F.normalize(raw, dim=-1) @ F.normalize(self.prototypes).T  # (..., rows, classes)
        return F.cross_entropy(alike.flatten(0, -2), target.expand(raw.shape[:-1]).flatten())
