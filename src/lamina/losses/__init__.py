"""Losses by name: raw outputs and an encoded target to one number, the mean over rows.

Raw outputs may carry members of an ensemble in front, (members, rows, size); the loss is then the mean of the
members' losses, never the loss of their mean (Gorishniy et al. 2024, TabM).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.layers.forecasting import FORECASTS, Horizon
from lamina.schema import Mixed, Output

SMOOTHED = ("binary_cross_entropy", "cross_entropy")

Loss = Callable[[Tensor, Tensor], Tensor]


def loss(output: Output) -> nn.Module:
    """The loss module an output asks for: called with raw outputs and the encoded target, which may be `Mixed`."""
    return Shared(LOSSES[output.loss](output))


def smoothed(output: Output, share: float) -> Output:
    """The same output with labels smoothed, where it has classes and its task does not say otherwise."""
    smoothing = {"label_smoothing": share} if output.loss in SMOOTHED and share else {}
    return output.model_copy(update={"settings": {**smoothing, **output.settings}})


class Shared(nn.Module):
    """A loss that takes mixed targets too."""

    def __init__(self, one: nn.Module):
        super().__init__()
        self.one = one

    def forward(self, raw: Tensor, target: Tensor | Mixed) -> Tensor:
        if isinstance(target, Mixed):
            return target.share * self.one(raw, target.first) + (1 - target.share) * self.one(raw, target.second)
        return self.one(raw, target)


class Binary(nn.Module):
    """Raw (..., rows, 1), target (rows,) of zeros and ones."""

    def __init__(self, output: Output):
        super().__init__()
        self.smoothing, self.focal = _number(output, "label_smoothing"), _number(output, "focal")
        self.weights: Tensor | None
        self.register_buffer("weights", _weights(output), persistent=False)

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        raw, away = raw.squeeze(-1), None
        if self.focal:
            away = _away((target - torch.sigmoid(raw)).abs(), self.focal)
        if self.smoothing:
            target = target * (1 - self.smoothing) + 0.5 * self.smoothing
        weight = None if self.weights is None else torch.lerp(self.weights[0], self.weights[1], target).expand_as(raw)
        if away is None:
            return F.binary_cross_entropy_with_logits(raw, target.expand_as(raw), weight)
        each = F.binary_cross_entropy_with_logits(raw, target.expand_as(raw), weight, reduction="none")
        return (away * each).mean()


class Classes(nn.Module):
    """Raw (..., rows, classes), target (rows,) codes."""

    def __init__(self, output: Output):
        super().__init__()
        self.smoothing, self.focal = _number(output, "label_smoothing"), _number(output, "focal")
        self.weights: Tensor | None
        self.register_buffer("weights", _weights(output), persistent=False)

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        target, raw = target.expand(raw.shape[:-1]).reshape(-1), raw.flatten(0, -2)
        if not self.focal:
            return F.cross_entropy(raw, target, self.weights, label_smoothing=self.smoothing)
        each = F.cross_entropy(raw, target, self.weights, label_smoothing=self.smoothing, reduction="none")
        away = _away(1 - raw.softmax(-1).gather(1, target[:, None]).squeeze(1), self.focal)
        return (away * each).sum() / (len(target) if self.weights is None else self.weights[target].sum())


class Labels(nn.Module):
    """Raw (..., rows, classes), target (rows, classes) of zeros and ones; `class_weight` weighs the ones of a class."""

    def __init__(self, output: Output):
        super().__init__()
        self.smoothing = _number(output, "label_smoothing")
        self.weights: Tensor | None
        self.register_buffer("weights", _weights(output), persistent=False)

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        if self.smoothing:
            target = target * (1 - self.smoothing) + 0.5 * self.smoothing
        return F.binary_cross_entropy_with_logits(raw, target.expand_as(raw), pos_weight=self.weights)


class Squared(nn.Module):
    """Raw (..., rows, 1), target (rows,); mean squared error."""

    def __init__(self, output: Output):
        super().__init__()

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(raw.squeeze(-1), target.expand(raw.shape[:-1]))


class Absolute(nn.Module):
    """Raw (..., rows, 1), target (rows,); mean absolute error."""

    def __init__(self, output: Output):
        super().__init__()

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(raw.squeeze(-1), target.expand(raw.shape[:-1]))


class Huber(nn.Module):
    """Raw (..., rows, 1), target (rows,); squared near zero, absolute beyond one standard deviation."""

    def __init__(self, output: Output):
        super().__init__()

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(raw.squeeze(-1), target.expand(raw.shape[:-1]))


def _away(share: Tensor, gamma: float) -> Tensor:
    """How much the right class lacks, to the power of gamma: easy rows count less. Lin et al. 2017, focal loss."""
    return share.clamp(min=1e-4) ** gamma


def _number(output: Output, name: str) -> float:
    value = output.settings.get(name, 0.0)
    assert isinstance(value, float | int)
    return float(value)


def _weights(output: Output) -> Tensor | None:
    found = output.settings.get("class_weight")
    return torch.tensor(found) if found is not None else None


LOSSES: dict[str, Callable[[Output], nn.Module]] = {
    "binary_cross_entropy": Binary,
    "cross_entropy": Classes,
    "multilabel": Labels,
    "mse": Squared,
    "mae": Absolute,
    "huber": Huber,
    **dict.fromkeys(FORECASTS, Horizon),
}
