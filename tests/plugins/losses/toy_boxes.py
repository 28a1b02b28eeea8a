"""Distance of predicted corners to those of as many boxes as there are, and whether each slot holds one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.schema import Output


class Loss(nn.Module):
    """Raw (rows, slots * 5): four corners in parts of the image and a logit; target (rows, slots, 4), -1 for none."""

    def __init__(self, output: Output):
        super().__init__()

    def forward(self, raw: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
        slots = raw.reshape(len(raw), -1, 5)
        present = (torch.arange(slots.shape[1], device=raw.device) < lengths[:, None]).to(raw.dtype)  # (rows, slots)
        corners = (slots[..., :4] - target).abs().mean(-1) * present
        return corners.sum() / present.sum().clamp(min=1) + F.binary_cross_entropy_with_logits(slots[..., 4], present)
