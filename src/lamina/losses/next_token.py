"""Negative log likelihood of the next token, in nats: raw (..., vocabulary), target (...) of ids, 0 for none."""

import torch.nn.functional as F
from torch import Tensor, nn

from lamina.schema import Output

PADDING = 0


class Loss(nn.Module):
    """The mean over tokens that are there."""

    def __init__(self, output: Output):
        super().__init__()

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        raw, target = raw.flatten(0, -2).float(), target.flatten()
        total = F.cross_entropy(raw, target, ignore_index=PADDING, reduction="sum")
        return total / (target != PADDING).sum().clamp(min=1)
