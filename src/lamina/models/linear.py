"""Linear and logistic regression as a network of one layer: the honest rival of everything deeper.

A forecast is NLinear (Zeng et al. 2023): relative to the last value of its window, each step of the future is a
weighted sum of the past, with the same weights for all series. It starts by repeating the last value.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.config import RecipeError
from lamina.layers.basic import Flat
from lamina.layers.horizon import KnownFuture, LinearForecast, ReversibleNorm, has_horizon, sizes
from lamina.models import _known_effect, _ridge_init
from lamina.models._single_part import SinglePart
from lamina.schema import TARGET_HEADS, Batch, Spec

HEADS = TARGET_HEADS

KERNEL = 25  # steps of the moving average, as in DLinear


class Config(config.Config):
    kind: Literal["linear"] = "linear"
    individual: bool = Field(default=False, description="forecasts: weights of its own for each target")
    decompose: bool = Field(default=False, description="forecasts: own weights for the trend and for what remains")
    covariates: bool = Field(default=False, description="forecasts: the past of what stands beside the targets too")


def suits(spec: Spec) -> float:
    """Forecasts first of all; anything else as well as others."""
    return 0.9 if has_horizon(spec) else 0.1


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 2,000 steps in 40 to 300 epochs; a forecast begins nearly right, and has about 1,000 in 5 to 50."""
    if has_horizon(spec):
        rows = max(spec.rows, 1)
        size = min(128, max(16, 2 ** round(math.log2(max(rows / 16, 1)))))
        epochs = max(5, min(50, math.ceil(1000 / math.ceil(rows / size))))
        steps = {"epochs": epochs, "batch_size": size, "lr": 2e-3, "optimizer": "adam", "schedule": "cosine"}
        return {**steps, "ema": 0.99, "patience": 5}
    size = 32 if spec.rows < 10_000 else 256
    epochs = max(40, min(300, math.ceil(2000 * size / max(spec.rows, 1))))
    return {"epochs": epochs, "batch_size": size, "lr": 1e-2, "optimizer": "adam", "schedule": "cosine", "patience": 20}


class Forecast(nn.Module):
    """Weighted sums of the history and of what is known of the future: (rows, size)."""

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        steps, channels = (n or 1 for n in spec.inputs["history"].shape)
        _, self.targets, _ = sizes(spec.output)
        self.level = ReversibleNorm(spec.output, spec.inputs.get("future"))
        self.past = LinearForecast(spec.output, steps, cfg.individual)
        self.trend = LinearForecast(spec.output, steps, cfg.individual) if cfg.decompose else None
        future, covariates = spec.inputs.get("future"), steps * (channels - self.targets)
        self.known = KnownFuture(future, spec.output) if future and self.level.effect is None else None
        self.beside = nn.Linear(covariates, spec.output.size, bias=False) if cfg.covariates and covariates else None
        if self.beside is not None:
            nn.init.zeros_(self.beside.weight)

    def initialize(self, train: Batch, validation: Batch) -> None:
        """The closed form as the first weights."""
        _known_effect.initialize(self.level, train, validation)
        _ridge_init.initialize(self.level, [self.past, self.trend] if self.trend else [self.past], train, validation)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        history, centre, scale = self.level(inputs["history"], inputs.get("future"))
        own = history[:, :, : self.targets]
        if self.trend is None:
            raw = self.past(own)
        else:
            smooth = moving_average(own)
            raw = self.past(own - smooth) + self.trend(smooth)
        if self.beside is not None:
            raw = raw + self.beside(history[:, :, self.targets :].flatten(1))
        forecast = self.level.restore(raw, centre, scale)
        return forecast if self.known is None else forecast + self.known(inputs["future"])


def moving_average(series: Tensor) -> Tensor:
    """The moving average over 25 steps of (rows, steps, n), the ends held on."""
    x = F.pad(series.transpose(1, 2), (KERNEL // 2, KERNEL // 2), mode="replicate")
    return F.avg_pool1d(x, KERNEL, 1).transpose(1, 2)


class Model(SinglePart):
    def __init__(self, cfg: Config, spec: Spec):
        super().__init__(spec.output)
        if has_horizon(spec):
            self.flat, self.head = None, Forecast(cfg, spec)
            return
        if names := [name for name in ("individual", "decompose", "covariates") if cfg.model_dump()[name]]:
            raise RecipeError([f"model.{names[0]}: is for forecasts (this task is none). Leave it out."])
        self.flat = Flat(spec)
        self.head = nn.Linear(self.flat.width, spec.output.size)

    def initialize(self, train: Batch, validation: Batch) -> None:
        if isinstance(self.head, Forecast):
            self.head.initialize(train, validation)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"target": self.head(inputs if self.flat is None else self.flat(inputs))}  # (rows, size)
