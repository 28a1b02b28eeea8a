"""What losses of labels share: settings of an output, label smoothing, the weight of easy rows."""

import torch
from torch import Tensor, nn

from lamina.schema import Output


class LabelLoss(nn.Module):
    """Settings `label_smoothing`, `focal` and `class_weight` of an output, each where it is there."""

    weights: Tensor | None

    def __init__(self, output: Output):
        super().__init__()
        self.smoothing, self.focal = number(output, "label_smoothing"), number(output, "focal")
        weights = output.settings.get("class_weight")
        self.register_buffer("weights", None if weights is None else torch.tensor(weights), persistent=False)

    def smooth(self, target: Tensor) -> Tensor:
        """Zeros and ones moved towards one half."""
        return target * (1 - self.smoothing) + 0.5 * self.smoothing if self.smoothing else target


def number(output: Output, name: str) -> float:
    value = output.settings.get(name, 0.0)
    assert isinstance(value, float | int)
    return float(value)


def focal_weight(error: Tensor, gamma: float) -> Tensor:
    """How much the right class lacks, to the power of gamma: easy rows count less. Lin et al. 2017, focal loss."""
    return error.clamp(min=1e-4) ** gamma
