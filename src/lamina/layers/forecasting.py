"""What networks for series share: steps that are not there, the level of each window, the shape of a forecast."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.schema import Input, Output, Spec

Level = Literal["last", "mean", "none"]

FORECASTS = ("forecast_mse", "forecast_mae", "forecast_huber", "pinball")
SMALLEST = 1e-6  # spread of a window, in training deviations, below which it is flat


def forecasts(spec: Spec) -> bool:
    """Whether the answer is the future of a series."""
    return spec.output.loss in FORECASTS


def only(spec: Spec) -> str:
    """The one series of a spec without other inputs, or nothing; never where the future is asked for."""
    names = [name for name, feed in spec.inputs.items() if feed.kind == "series"]
    return names[0] if len(names) == len(spec.inputs) == 1 and not forecasts(spec) else ""


def present(series: Tensor) -> tuple[Tensor, Tensor]:
    """Series (rows, steps, channels) with zeros behind their ends, and 1 for each step that is there, (rows, steps)."""
    absent = series.isnan()
    return torch.where(absent, torch.zeros_like(series), series), 1.0 - absent[:, :, 0].to(series.dtype)


class Levelled(nn.Module):
    """Each window relative to its own level and spread, and forecasts back from it. Kim et al. 2022, RevIN, without its
    affine part; level `last` as in Zeng et al. 2023 (NLinear).

    Call it with a history (rows, steps, channels): the first `targets` channels are levelled, the others stay. Where
    the output says that its numbers are `changes`, such as log-returns, they have no level: the last is no forecast.
    """

    def __init__(self, output: Output, level: Level = "last", spread: bool = True):
        super().__init__()
        self.level: Level = "none" if output.settings.get("changes") else level  # the best guess of a change is none
        self.spread, self.horizon, self.targets, self.quantiles = spread, *sizes(output)

    def forward(self, history: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The levelled history, the levels and the spreads (rows, 1, targets)."""
        own = history[:, :, : self.targets]
        centre = own[:, -1:] if self.level == "last" else own.mean(1, keepdim=True)
        if self.level == "none":
            centre = torch.zeros_like(centre)
        scale = torch.ones_like(centre)
        if self.spread:
            mean = own.mean(1, keepdim=True)
            scale = ((own - mean).square().mean(1, keepdim=True) + SMALLEST**2).sqrt()
        levelled = (own - centre) / scale
        if history.shape[2] == self.targets:
            return levelled, centre, scale
        return torch.cat([levelled, history[:, :, self.targets :]], 2), centre, scale

    def restored(self, raw: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
        """Raw outputs (..., rows, size) relative to a level as outputs in the unit of the history."""
        shaped = raw.unflatten(-1, (self.horizon, self.targets, self.quantiles))
        return torch.addcmul(centre.unsqueeze(3), shaped, scale.unsqueeze(3)).flatten(-3)  # (..., rows, size)


class Straight(nn.Module):
    """The future of each target as a weighted sum of its own past, from zero on: beside the level `last` it starts by
    repeating the last value. Zeng et al. 2023, LTSF-Linear; one set of weights for all targets, or one `each`.
    """

    def __init__(self, output: Output, steps: int, each: bool = False):
        super().__init__()
        self.shape = horizon, targets, quantiles = sizes(output)
        self.quantiles = wanted(output)
        sets = targets if each else 1
        self.weight = nn.Parameter(torch.zeros(sets, steps, horizon * quantiles))
        self.bias = nn.Parameter(torch.zeros(sets, 1, horizon * quantiles))

    def forward(self, past: Tensor) -> Tensor:
        """Levelled targets (rows, steps, targets) to (rows, size)."""
        horizon, targets, quantiles = self.shape
        if len(self.weight) == 1:
            found = past.transpose(1, 2) @ self.weight[0] + self.bias[0]  # (rows, targets, horizon * quantiles)
        else:
            found = torch.baddbmm(self.bias, past.permute(2, 0, 1), self.weight).transpose(0, 1)
        return found.reshape(-1, targets, horizon, quantiles).transpose(1, 2).flatten(1)  # (rows, size)


class Beforehand(nn.Module):
    """What is known of each step to come, weighted the same at every step: (rows, horizon, n) to (rows, size)."""

    def __init__(self, feed: Input, output: Output):
        super().__init__()
        _, targets, quantiles = sizes(output)
        self.layer = nn.Linear(feed.shape[1] or 1, targets * quantiles)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, future: Tensor) -> Tensor:
        return self.layer(future).flatten(1)


def sizes(output: Output) -> tuple[int, int, int]:
    """Horizon, targets, and numbers per target and step."""
    said = output.settings
    assert isinstance(said["quantiles"], list)
    return int(_one(said["horizon"])), int(_one(said["targets"])), max(1, len(said["quantiles"]))


def wanted(output: Output) -> tuple[float, ...]:
    """The quantiles asked for; none for a point."""
    said = output.settings["quantiles"]
    assert isinstance(said, list)
    return tuple(said)


def _one(value: float | list[float]) -> float:
    assert not isinstance(value, list)
    return value


class Horizon(nn.Module):
    """Raw (..., rows, size), target (rows, horizon, targets) with NaN where nothing was measured.

    `pinball`: mean quantile loss (Koenker and Bassett 1978); the others are those of regression.
    """

    def __init__(self, output: Output):
        super().__init__()
        self.kind, self.shape = output.loss, sizes(output)
        quantiles = output.settings["quantiles"]
        self.quantiles: Tensor
        self.register_buffer("quantiles", torch.tensor(quantiles), persistent=False)

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        absent = target.isnan().unsqueeze(-1)
        error = target.unsqueeze(-1) - raw.unflatten(-1, self.shape)  # (..., rows, horizon, targets, quantiles)
        error = error.masked_fill(absent, 0.0)  # which costs nothing and has no gradient, whatever the loss
        if self.kind == "pinball":
            each = torch.maximum(self.quantiles * error, (self.quantiles - 1) * error)
        elif self.kind == "forecast_mse":
            each = error.square()
        elif self.kind == "forecast_mae":
            each = error.abs()
        else:
            each = F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")
        share = (~absent).sum().clamp(min=1) * (each.numel() // absent.numel())
        return each.sum() / share
