"""Two classes: raw (..., rows, 1), target (rows,) of zeros and ones."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.losses._labels import LabelLoss, focal_weight


class Loss(LabelLoss):
    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        raw, focal = raw.squeeze(-1), None
        if self.focal:
            focal = focal_weight((target - torch.sigmoid(raw)).abs(), self.focal)
        target = self.smooth(target)
        weight = None if self.weights is None else torch.lerp(self.weights[0], self.weights[1], target).expand_as(raw)
        if focal is None:
            return F.binary_cross_entropy_with_logits(raw, target.expand_as(raw), weight)
        each = F.binary_cross_entropy_with_logits(raw, target.expand_as(raw), weight, reduction="none")
        return (focal * each).mean()
