"""Any number of labels per row: raw (..., rows, classes), target (rows, classes) of zeros and ones.

`class_weight` weighs the ones of a class.
"""

import torch.nn.functional as F
from torch import Tensor

from lamina.losses._labels import LabelLoss


class Loss(LabelLoss):
    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        target = self.smooth(target)
        return F.binary_cross_entropy_with_logits(raw, target.expand_as(raw), pos_weight=self.weights)
