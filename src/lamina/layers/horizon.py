"""What networks for series share: steps that are not there, the level of each window, the shape of a forecast."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.schema import Input, Output, Spec

Level = Literal["last", "mean", "none"]

SMALLEST = 1e-6  # spread of a window, in training deviations, below which it is flat
LAGS = 8  # steps that a known value tells of: its own and those after it


def has_horizon(spec: Spec) -> bool:
    """Whether the answer is the future of a series."""
    return spec.output.head == "horizon"


def single_series(spec: Spec) -> str:
    """The one series of a spec without other inputs, or nothing; never where the future is asked for."""
    names = [name for name, feed in spec.inputs.items() if feed.kind == "series"]
    return names[0] if len(names) == len(spec.inputs) == 1 and not has_horizon(spec) else ""


def fill_absent(series: Tensor) -> tuple[Tensor, Tensor]:
    """Series (rows, steps, channels) with zeros behind their ends, and 1 for each step that is there, (rows, steps)."""
    absent = series.isnan()
    return torch.where(absent, torch.zeros_like(series), series), 1.0 - absent[:, :, 0].to(series.dtype)


class KnownEffect(nn.Module):
    """What known columns add to each target at a step, by their values there and at a few steps before: in the unit of
    the target, and in spreads of its window. Taken out of a history and put back ahead, it leaves to a network what
    goes on by itself, as in Cochrane and Orcutt 1949.
    """

    def __init__(self, feed: Input, output: Output):
        super().__init__()
        self.channels = feed.shape[1] or 1
        self.weight = nn.Parameter(torch.zeros(2, sizes(output)[1], self.channels, LAGS))

    def forward(self, history: Tensor, future: Tensor, scale: Tensor) -> Tensor:
        """(rows, steps + horizon, targets); `scale` (rows, 1, targets): the spread of each history."""
        columns = torch.cat([history[:, :, history.shape[2] - self.channels :], future], 1).transpose(1, 2)
        columns = torch.cat([columns[:, :, :1].expand(-1, -1, LAGS - 1), columns], 2)
        own, relative = F.conv1d(columns, self.weight.flatten(0, 1)).transpose(1, 2).chunk(2, 2)
        return torch.addcmul(own, relative, scale)


class ReversibleNorm(nn.Module):
    """Each window relative to its own level and spread, and forecasts back from it. Kim et al. 2022, RevIN, without its
    affine part; level `last` as in Zeng et al. 2023 (NLinear).

    Call it with a history (rows, steps, channels): the first `targets` channels are normalised, the others stay. Where
    the output says that its numbers are `changes`, such as log-returns, they have no level: the last is no forecast.
    Where it has a `known_effect`, that of known columns is taken out of the history and added to the level ahead.
    """

    def __init__(self, output: Output, future: Input | None = None, level: Level = "last", spread: bool = True):
        super().__init__()
        self.level: Level = "none" if output.settings.get("changes") else level  # the best guess of a change is none
        self.spread, self.horizon, self.targets, self.quantiles = spread, *sizes(output)
        self.effect = KnownEffect(future, output) if future and output.settings.get("known_effect") else None

    def forward(self, history: Tensor, future: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The normalised history, the levels (rows, 1 or horizon, targets) and the spreads (rows, 1, targets)."""
        own, added = history[:, :, : self.targets], None
        if self.effect is not None and future is not None:
            effect = self.effect(history, future, spread_of(own))
            own, added = own - effect[:, : -self.horizon], effect[:, -self.horizon :]
        centre = own[:, -1:] if self.level == "last" else own.mean(1, keepdim=True)
        if self.level == "none":
            centre = torch.zeros_like(centre)
        scale = spread_of(own) if self.spread else torch.ones_like(centre)
        relative = (own - centre) / scale
        centre = centre if added is None else centre + added
        if history.shape[2] == self.targets:
            return relative, centre, scale
        return torch.cat([relative, history[:, :, self.targets :]], 2), centre, scale

    def restore(self, raw: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
        """Raw outputs (..., rows, size) relative to a level as outputs in the unit of the history."""
        shaped = raw.unflatten(-1, (self.horizon, self.targets, self.quantiles))
        return torch.addcmul(centre.unsqueeze(3), shaped, scale.unsqueeze(3)).flatten(-3)  # (..., rows, size)


def spread_of(own: Tensor) -> Tensor:
    """The deviation of each window (rows, steps, targets) from its mean, (rows, 1, targets)."""
    return ((own - own.mean(1, keepdim=True)).square().mean(1, keepdim=True) + SMALLEST**2).sqrt()


class LinearForecast(nn.Module):
    """The future of each target as a weighted sum of its own past, from zero on: beside the level `last` it starts by
    repeating the last value. Zeng et al. 2023, LTSF-Linear; one set of weights for all targets, or one `each`.
    """

    def __init__(self, output: Output, steps: int, each: bool = False):
        super().__init__()
        self.shape = horizon, targets, count = sizes(output)
        self.quantiles = quantiles(output)
        sets = targets if each else 1
        self.weight = nn.Parameter(torch.zeros(sets, steps, horizon * count))
        self.bias = nn.Parameter(torch.zeros(sets, 1, horizon * count))

    def forward(self, past: Tensor) -> Tensor:
        """ReversibleNorm targets (rows, steps, targets) to (rows, size)."""
        horizon, targets, quantiles = self.shape
        if len(self.weight) == 1:
            steps = past.transpose(1, 2) @ self.weight[0] + self.bias[0]  # (rows, targets, horizon * quantiles)
        else:
            steps = torch.baddbmm(self.bias, past.permute(2, 0, 1), self.weight).transpose(0, 1)
        return steps.reshape(-1, targets, horizon, quantiles).transpose(1, 2).flatten(1)  # (rows, size)


class KnownFuture(nn.Module):
    """What is known of each step to come, weighted the same at every step: (rows, horizon, n) to (rows, size)."""

    def __init__(self, feed: Input, output: Output):
        super().__init__()
        _, targets, count = sizes(output)
        self.layer = nn.Linear(feed.shape[1] or 1, targets * count)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, future: Tensor) -> Tensor:
        return self.layer(future).flatten(1)


def sizes(output: Output) -> tuple[int, int, int]:
    """Horizon, targets, and numbers per target and step."""
    return _whole(output, "horizon"), _whole(output, "targets"), max(1, len(quantiles(output)))


def quantiles(output: Output) -> tuple[float, ...]:
    """The quantiles of each step; none for a point."""
    values = output.settings["quantiles"]
    assert isinstance(values, list)
    return tuple(values)


def _whole(output: Output, name: str) -> int:
    value = output.settings[name]
    assert not isinstance(value, list)
    return int(value)
