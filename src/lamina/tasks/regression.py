"""A number, with an interval that holds the truth nine times in ten."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina import config, privacy
from lamina.config import DataError
from lamina.schema import Output, Row, floats
from lamina.task import Line
from lamina.tasks._supervised.task import Arrays, SupervisedTask

SMALLEST = 1e-100  # of a deviation: its square is a number, too
SKEWED, SYMMETRIC = 2.0, 0.6  # skewness from which on a target is transformed, where that leaves at most so much of it
SMALL_SHARE = 0.05  # of the targets, which are below the unit of the transform
MOST_SMEARING = 1.5
ANSWERS = ("prediction", "low", "high")


class Config(config.Config):
    kind: Literal["regression"] = "regression"
    loss: Literal["mse", "mae", "huber"] = "mse"
    transform: Literal["auto", "none", "asinh"] = Field(
        default="auto", description="of the target before training; auto takes asinh where a few numbers are far larger"
    )


class State(config.Config):
    """The network answers in standard deviations of the training targets, transformed; answers stay inside `low` to
    `high`, the ends of what was seen in training, or further out where few rows have these.

    `unit`: from where on asinh(target / unit) grows as a logarithm; None where targets are not transformed.
    `smearing`: what answers of a transformed target are multiplied with, so that their mean is that of the targets.
    `half_width`: of the interval, in the target's unit, or of a transformed target in deviations.
    """

    mean: float
    std: float = Field(gt=0)
    low: float
    high: float
    half_width: float | None = None
    unit: float | None = Field(default=None, gt=0)
    smearing: float = Field(default=1.0, gt=0)


@dataclass(frozen=True)
class Task(SupervisedTask):
    cfg: Config
    state: State

    target_kind = "number"
    metrics = ("rmse", "mae", "r2", "coverage", "interval_width")
    baselines = ("mean", "ridge", "gradient_boosting")
    plots = ("comparison", "residuals", "learning")
    calibration = "conformal"
    lines = (Line(*ANSWERS),)

    @classmethod
    def suits(cls, values: pa.Array) -> float:
        """Numbers; labels that happen to be numbers fit a task of labels better and say so there."""
        numbers = floats(values.drop_null())
        return 0.5 if numbers is not None and len(numbers) else 0.0

    @classmethod
    def fit(cls, values: pa.Array, cfg: Config) -> State:
        """`values`: training targets, float64, nulls already gone."""
        numbers = values.to_numpy(zero_copy_only=False)
        if not len(numbers) or numbers.min() == numbers.max():
            raise DataError("target: regression needs at least two different numbers.")
        if numbers.std() < SMALLEST:
            raise DataError(
                f"target: its numbers differ by too little to compute with (got {numbers.min():g} to "
                f"{numbers.max():g}). Give them in a smaller unit, or as logarithms."
            )
        low, high = privacy.limits(numbers)
        unit = _unit(numbers) if cfg.transform == "asinh" or (cfg.transform == "auto" and _is_skewed(numbers)) else None
        numbers = numbers if unit is None else np.arcsinh(numbers / unit)
        return State(mean=numbers.mean(), std=numbers.std(), low=low, high=high, unit=unit)

    def notes(self) -> list[str]:
        """That the target is transformed, where the data said so."""
        if self.state.unit is None or self.cfg.transform != "auto":
            return []
        return [
            "A few targets are far larger than the others, so the network learns them as asinh, a logarithm that also "
            "takes 0. As they are: --set task.transform=none"
        ]

    def unknown(self, values: pa.Array) -> np.ndarray:
        return pc.is_null(values).to_numpy(zero_copy_only=False)

    def encode(self, values: pa.Array) -> np.ndarray:
        """(rows,) float32, transformed and standardised by the training mean and deviation."""
        numbers, unit = values.to_numpy(zero_copy_only=False), self.state.unit
        numbers = numbers if unit is None else np.arcsinh(numbers / unit)
        return ((numbers - self.state.mean) / self.state.std).astype(np.float32)

    def truth(self, encoded: np.ndarray) -> np.ndarray:
        """Encoded targets back in their own unit."""
        numbers = encoded.astype(np.float64) * self.state.std + self.state.mean
        return numbers if self.state.unit is None else np.sinh(numbers) * self.state.unit

    def output(self) -> Output:
        return Output(head="value", size=1, loss=self.cfg.loss)

    def decode(self, outputs: Arrays) -> dict[str, np.ndarray]:
        """Raw `target` (rows, 1) to `prediction`, `low` and `high` (rows,) in the target's own unit."""
        state, raw = self.state, outputs["target"][:, 0]
        guess, half = np.clip(self.truth(raw) * state.smearing, state.low, state.high), state.half_width or 0.0
        if state.unit is None:
            return {"prediction": guess, "low": guess - half, "high": guess + half}
        low, high = self.truth(raw - half), self.truth(raw + half)
        return {"prediction": guess, "low": np.minimum(low, guess), "high": np.maximum(high, guess)}

    def residuals(self, outputs: Arrays, target: np.ndarray) -> np.ndarray:
        """(rows,) by how much answers miss encoded targets, in the target's unit or, transformed, in deviations."""
        if self.state.unit is None:
            return self.decode(outputs)["prediction"] - self.truth(target)
        return outputs["target"][:, 0].astype(np.float64) - target

    def smearing(self, outputs: Arrays, target: np.ndarray) -> float:
        """What answers are to be multiplied with, so that their mean is that of the encoded targets: the mean of a
        transformed target is not the transform of its mean. Duan 1983.
        """
        if self.state.unit is None or self.cfg.loss != "mse":
            return 1.0
        ratio = self.truth(target).mean() / self.truth(outputs["target"][:, 0]).mean()
        usual = MOST_SMEARING > ratio > 1 / MOST_SMEARING  # what is not a number is not usual
        return privacy.rounded(float(ratio), 1.0) if usual else 1.0

    def table(self, answers: Arrays) -> pa.Table:
        return pa.table({name: pa.array(answers[name]) for name in ANSWERS})

    def rows(self, answers: Arrays) -> list[Row]:
        numbers = np.stack([answers[name] for name in ANSWERS], axis=1)
        if not np.isfinite(numbers).all():
            return super().rows(answers)
        return [dict(zip(ANSWERS, row, strict=True)) for row in numbers.tolist()]

    def validate(self, outputs: Arrays, target: np.ndarray) -> dict[str, float]:
        """Mean squared error in training deviations, which decides what is best, and RMSE in the target's unit."""
        raw = outputs["target"][:, 0].astype(np.float64)
        mse = float(((raw - target) ** 2).mean())
        if self.state.unit is None:
            return {"loss": mse, "rmse": math.sqrt(mse) * self.state.std}
        error = np.clip(self.truth(raw), self.state.low, self.state.high) - self.truth(target)
        return {"loss": mse, "rmse": math.sqrt((error**2).mean())}

    def losses(self, answers: Arrays, target: np.ndarray) -> np.ndarray:
        """(rows,) absolute error."""
        return np.abs(answers["prediction"] - target)


def _unit(numbers: np.ndarray) -> float:
    """A small target, in whole: from there on asinh is nearly a logarithm."""
    sizes = np.abs(numbers[numbers != 0])
    return privacy.upward(float(np.quantile(sizes, SMALL_SHARE)))


def _is_skewed(numbers: np.ndarray) -> bool:
    """Whether targets, none below 0, have a long tail that a logarithm takes away."""
    if numbers.min() < 0:
        return False
    before, after = _skewness(numbers), _skewness(np.arcsinh(numbers / _unit(numbers)))
    return before > SKEWED and abs(after) < SYMMETRIC * before


def _skewness(numbers: np.ndarray) -> float:
    """The third standardised moment; 0 is symmetric."""
    return float((((numbers - numbers.mean()) / numbers.std()) ** 3).mean())
