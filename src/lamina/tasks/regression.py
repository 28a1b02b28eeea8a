"""A number, with an interval that holds the truth nine times in ten."""

import math
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina import config
from lamina.config import DataError
from lamina.schema import Output, floats

target = "number"
metrics = ("rmse", "mae", "r2", "coverage", "interval_width")
baselines = ("mean", "ridge", "gradient_boosting")
plots = ("comparison", "residuals", "learning")
calibration = "conformal"


class Config(config.Config):
    kind: Literal["regression"] = "regression"
    loss: Literal["mse", "mae", "huber"] = "mse"


class State(config.Config):
    """The network answers in training standard deviations; answers stay inside `low` to `high`, as seen in training."""

    mean: float
    std: float = Field(gt=0)
    low: float
    high: float
    half_width: float | None = None


def suits(values: pa.Array) -> float:
    """Numbers; labels that happen to be numbers fit classification better and say so there."""
    numbers = floats(values.drop_null())
    return 0.5 if numbers is not None and len(numbers) else 0.0


def fit(values: pa.Array, cfg: Config) -> State:
    """`values`: training targets, float64, nulls already gone."""
    numbers = values.to_numpy(zero_copy_only=False)
    if not len(numbers) or numbers.min() == numbers.max():
        raise DataError("target: regression needs at least two different numbers.")
    return State(mean=numbers.mean(), std=numbers.std(), low=numbers.min(), high=numbers.max())


def unknown(values: pa.Array, state: State) -> np.ndarray:
    return pc.is_null(values).to_numpy(zero_copy_only=False)


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows,) float32, standardised by the training mean and deviation."""
    return ((values.to_numpy(zero_copy_only=False) - state.mean) / state.std).astype(np.float32)


def output(state: State, cfg: Config) -> Output:
    return Output(size=1, loss=cfg.loss)


def decode(raw: dict[str, np.ndarray], state: State) -> dict[str, np.ndarray]:
    """Raw `target` (rows, 1) to `prediction`, `low` and `high` (rows,) in the target's own unit."""
    guess = raw["target"][:, 0].astype(np.float64) * state.std + state.mean
    guess = np.clip(guess, state.low, state.high)
    half = state.half_width or 0.0
    return {"prediction": guess, "low": guess - half, "high": guess + half}


def table(answers: dict[str, np.ndarray], state: State) -> pa.Table:
    return pa.table({name: pa.array(answers[name]) for name in ("prediction", "low", "high")})


def truth(encoded: np.ndarray, state: State) -> np.ndarray:
    """Encoded targets back in their own unit."""
    return encoded.astype(np.float64) * state.std + state.mean


def quick(raw: dict[str, np.ndarray], encoded: np.ndarray, state: State) -> dict[str, float]:
    """Mean squared error in training deviations, which decides what is best, and RMSE in the target's unit."""
    error = raw["target"][:, 0].astype(np.float64) - encoded
    mse = float((error**2).mean())
    return {"loss": mse, "rmse": math.sqrt(mse) * state.std}
