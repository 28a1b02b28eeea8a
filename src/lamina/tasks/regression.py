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
from lamina.schema import Output, floats
from lamina.tasks._supervised.task import Arrays, SupervisedTask

SMALLEST = 1e-100  # of a deviation: its square is a number, too


class Config(config.Config):
    kind: Literal["regression"] = "regression"
    loss: Literal["mse", "mae", "huber"] = "mse"


class State(config.Config):
    """The network answers in training standard deviations; answers stay inside `low` to `high`, the ends of what was
    seen in training, or further out where few rows have these.
    """

    mean: float
    std: float = Field(gt=0)
    low: float
    high: float
    half_width: float | None = None


@dataclass(frozen=True)
class Task(SupervisedTask):
    cfg: Config
    state: State

    target_kind = "number"
    metrics = ("rmse", "mae", "r2", "coverage", "interval_width")
    baselines = ("mean", "ridge", "gradient_boosting")
    plots = ("comparison", "residuals", "learning")
    calibration = "conformal"

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
        return State(mean=numbers.mean(), std=numbers.std(), low=low, high=high)

    def unknown(self, values: pa.Array) -> np.ndarray:
        return pc.is_null(values).to_numpy(zero_copy_only=False)

    def encode(self, values: pa.Array) -> np.ndarray:
        """(rows,) float32, standardised by the training mean and deviation."""
        return ((values.to_numpy(zero_copy_only=False) - self.state.mean) / self.state.std).astype(np.float32)

    def truth(self, encoded: np.ndarray) -> np.ndarray:
        """Encoded targets back in their own unit."""
        return encoded.astype(np.float64) * self.state.std + self.state.mean

    def output(self) -> Output:
        return Output(head="value", size=1, loss=self.cfg.loss)

    def decode(self, outputs: Arrays) -> dict[str, np.ndarray]:
        """Raw `target` (rows, 1) to `prediction`, `low` and `high` (rows,) in the target's own unit."""
        state = self.state
        guess = outputs["target"][:, 0].astype(np.float64) * state.std + state.mean
        guess = np.clip(guess, state.low, state.high)
        half = state.half_width or 0.0
        return {"prediction": guess, "low": guess - half, "high": guess + half}

    def table(self, answers: Arrays) -> pa.Table:
        return pa.table({name: pa.array(answers[name]) for name in ("prediction", "low", "high")})

    def validate(self, outputs: Arrays, target: np.ndarray) -> dict[str, float]:
        """Mean squared error in training deviations, which decides what is best, and RMSE in the target's unit."""
        error = outputs["target"][:, 0].astype(np.float64) - target
        mse = float((error**2).mean())
        return {"loss": mse, "rmse": math.sqrt(mse) * self.state.std}

    def losses(self, answers: Arrays, target: np.ndarray) -> np.ndarray:
        """(rows,) absolute error."""
        return np.abs(answers["prediction"] - target)
