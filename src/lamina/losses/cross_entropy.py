"""Several classes: raw (..., rows, classes), target (rows,) codes."""

import torch.nn.functional as F
from torch import Tensor

from lamina.losses._labels import LabelLoss, focal_weight


class Loss(LabelLoss):
    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        target, raw = target.expand(raw.shape[:-1]).reshape(-1), raw.flatten(0, -2)
        if not self.focal:
            return F.cross_entropy(raw, target, self.weights, label_smoothing=self.smoothing)
        each = F.cross_entropy(raw, target, self.weights, label_smoothing=self.smoothing, reduction="none")
        focal = focal_weight(1 - raw.softmax(-1).gather(1, target[:, None]).squeeze(1), self.focal)
        return (focal * each).sum() / (len(target) if self.weights is None else self.weights[target].sum())
