"""The next steps of one or several series, each a number with an interval that holds the truth nine times in ten.

Rows are steps of a series here, and no rows of their own: what is learned from are windows of them, `context` steps of
history before `horizon` steps to come. See `lamina.frames` for how rows become windows.
"""

from typing import Annotated, Any, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, Field, model_validator

from lamina import config
from lamina.config import DataError
from lamina.schema import Output
from lamina.tasks.forecasting import price_detection as _prices

target = "number"
framed = True
metrics = (
    "mase",
    "rmse",
    "mae",
    "smape",
    "scaled_mse",
    "scaled_mae",
    "directional_accuracy",
    "coverage",
    "interval_width",
)
baselines = ("last_value", "seasonal_naive", "linear_window")
plots = ("comparison", "learning")
calibration = "horizon"

LONGEST, FARTHEST = 100_000, 10_000  # steps of history and ahead
FLAT = 1e-9
ONE_STILL, MANY_STILL = 0.3, 1e-6  # training deviations that a history scatters by, at least: of one series, of many


def _names(value: Any) -> Any:
    """One name as a tuple of it; lists as tuples, because what a validator returns is checked as Python values."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Transform = Literal["none", "log_return"]


class Config(config.Config):
    kind: Literal["forecasting"] = "forecasting"
    targets: Names | None = Field(default=None, description="columns to forecast; `all` is every number")
    horizon: int | None = Field(default=None, ge=1, le=FARTHEST, description="steps ahead; a season when unset")
    context: int | None = Field(default=None, ge=1, le=LONGEST, description="steps of history the network sees")
    time: Names | None = Field(default=None, description="column of the time, or several: year, month, day, hour")
    series: str | None = Field(default=None, description="column that says which series a row belongs to")
    known: Names = Field(default=(), description="columns known beforehand, such as holidays and promotions")
    step: str | None = Field(default=None, description="time between rows, such as 15min, 1h, 1d, 1w, 1mo or row")
    season: int | None = Field(default=None, ge=1, le=LONGEST, description="steps of the strongest cycle")
    transform: Literal["auto", "none", "log_return"] = Field(
        default="auto", description="log_return for prices, which auto takes where a column looks like one"
    )
    calendar: bool = Field(default=False, description="month, day, weekday and hour as inputs, known beforehand")
    loss: Literal["mse", "mae", "huber", "pinball"] = Field(default="mse", description="pinball gives quantiles")
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.05, 0.25, 0.5, 0.75, 0.95), min_length=1, max_length=99, description="of the loss pinball"
    )


class Step(config.Config):
    """The time between two rows: `count` seconds, months or business days, or of times that are numbers, parts of one,
    of which there are `scale`; `phase` puts the grid in its place. A row belongs to the step nearest to its time, or
    with `bins` to the one that has begun. Of rows without time, or too uneven in time for a grid, each is a step.
    """

    unit: Literal["second", "month", "business", "number", "row"]
    count: int = Field(default=1, ge=1, le=1 << 40)
    phase: int = Field(default=0, ge=-(1 << 50), le=1 << 50)
    scale: int = Field(default=1, ge=1, le=1_000_000)
    bins: bool = False


class Target(config.Config):
    """A column to forecast: mean and deviation of what the network is fed; `naive` is the mean absolute error of the
    seasonal naive forecast on training rows, in the column's own unit.
    """

    name: str
    mean: float
    std: float = Field(gt=0)
    naive: float = Field(gt=0)


class State(config.Config):
    """`half_widths` (horizon, targets) are those of the interval, in spreads of the history that a forecast goes on
    from, before a log-return is turned back to a price.
    """

    targets: tuple[Target, ...] = Field(min_length=1, max_length=10_000)
    time: tuple[str, ...] = ()
    series: str | None = None
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    step: Step = Step(unit="row")
    season: int = Field(default=1, ge=1, le=LONGEST)
    horizon: int = Field(ge=1, le=FARTHEST)
    context: int = Field(ge=1, le=LONGEST)
    transform: Transform = "none"
    calendar: bool = False
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(default=(), max_length=99)
    half_widths: tuple[tuple[float, ...], ...] = ()

    @model_validator(mode="after")
    def _a_width_for_each_number(self) -> Self:
        wrong = any(len(row) != len(self.targets) for row in self.half_widths)
        if self.half_widths and (wrong or len(self.half_widths) != self.horizon):
            raise ValueError("half_widths must be (horizon, targets)")
        return self

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.targets]


def suits(values: pa.Array) -> float:
    """Never by the target alone: that rows are steps in time, only their order in time can tell."""
    return 0.0


def output(state: State, cfg: Config) -> Output:
    """One number, or one per quantile, for each step ahead and target."""
    size = state.horizon * len(state.targets) * max(1, len(state.quantiles))
    settings: dict[str, float | list[float]] = {
        "horizon": float(state.horizon),
        "targets": float(len(state.targets)),
        "quantiles": list(state.quantiles),
        **({"changes": 1.0} if state.transform == "log_return" else {}),
    }
    return Output(size=size, loss="pinball" if cfg.loss == "pinball" else f"forecast_{cfg.loss}", settings=settings)


def worked(values: np.ndarray, transform: Transform) -> np.ndarray:
    """What is forecast of a stretch (steps, targets) of one series: the values, or each step's log-return.

    NaN stays NaN, and so does what is not positive. A log-return is measured from the last value there was: what
    happened over a gap is the return of the first step after it. The first step, with nothing before it, has none.
    """
    if transform == "none":
        return values
    there = values > 0  # False for NaN
    logs = np.log(np.where(there, values, 1.0))
    before = np.maximum.accumulate(np.where(there, np.arange(len(values))[:, None], -1), axis=0)[:-1]
    known = there[1:] & (before >= 0)
    moved = logs[1:] - np.take_along_axis(logs, np.maximum(before, 0), axis=0)
    return np.concatenate([np.full((min(len(values), 1), values.shape[1]), np.nan), np.where(known, moved, np.nan)])


def still(state: State) -> np.ndarray:
    """What a network is fed (targets,) for a step at which a price was not measured: it has not moved."""
    return standard(np.zeros(len(state.targets)), state)


def standard(values: np.ndarray, state: State) -> np.ndarray:
    """Worked values (..., targets) in training deviations, float32."""
    mean, std = (np.array([getter(one) for one in state.targets]) for getter in (lambda t: t.mean, lambda t: t.std))
    return np.clip((values - mean) / std, -1e9, 1e9).astype(np.float32)


def spread(history: np.ndarray, state: State) -> np.ndarray:
    """How widely the targets of each history fed (rows, context, channels) scatter, (rows, 1, targets) in own units:
    what errors of a forecast from it are in proportion to, be it of a large series or of a small one.
    """
    own = history[:, :, : len(state.targets)].astype(np.float64)
    least = ONE_STILL if state.series is None else MANY_STILL
    return np.sqrt(own.var(axis=1, keepdims=True) + least**2) * np.array([one.std for one in state.targets])


def levels(standardised: np.ndarray, state: State) -> np.ndarray:
    """(rows, horizon, targets) in training deviations, to own units; of log-returns to their sums from the origin, of
    which a step that is NaN has none.
    """
    mean, std = (np.array([getter(one) for one in state.targets]) for getter in (lambda t: t.mean, lambda t: t.std))
    found = standardised.astype(np.float64) * std + mean
    if state.transform == "none":
        return found
    return np.where(np.isnan(found), np.nan, np.nancumsum(found, axis=1))


def _own(level: np.ndarray, last: np.ndarray, state: State) -> np.ndarray:
    """Levels as values: a sum of log-returns moves the last value seen."""
    if state.transform == "none":
        return level
    return last[:, None] * np.exp(np.clip(level, -700, 700))


def shaped(raw: np.ndarray, state: State) -> np.ndarray:
    """Raw outputs (rows, size) as (rows, horizon, targets, numbers), quantiles in rising order."""
    found = raw.reshape(-1, state.horizon, len(state.targets), max(1, len(state.quantiles)))
    return np.sort(found, axis=3) if state.quantiles else found


def point(raw: np.ndarray, state: State) -> np.ndarray:
    """The forecast (rows, horizon, targets) in training deviations: the only number, or the median."""
    found = shaped(raw, state)
    if not state.quantiles:
        return found[..., 0]
    return np.stack([_between(state.quantiles, found, 0.5)])[0]


def _between(quantiles: tuple[float, ...], values: np.ndarray, wanted: float) -> np.ndarray:
    """A quantile by the straight line between its neighbours, or the nearest."""
    order = np.sort(np.array(quantiles))
    right = int(np.clip(np.searchsorted(order, wanted), 0, len(order) - 1))
    left = max(right - 1, 0) if order[right] > wanted else right
    share = 0.0 if left == right else (wanted - order[left]) / (order[right] - order[left])
    return values[..., left] * (1 - share) + values[..., right] * share


def interval(raw: np.ndarray, state: State) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the interval as levels, before `half_widths`: the outermost quantiles, or the point itself."""
    if not state.quantiles or state.transform == "log_return":
        level = levels(point(raw, state), state)
        return level, level
    found = shaped(raw, state)
    return levels(found[..., 0], state), levels(found[..., -1], state)


def decode(raw: dict[str, np.ndarray], state: State) -> dict[str, np.ndarray]:
    """Raw `target` (rows, size), the `spread` of each history and for prices the `last` ones seen (rows, targets), to
    `prediction`, `low` and `high` (rows, horizon, targets), and with quantiles `quantiles` (rows, horizon, targets,
    quantiles).
    """
    target = raw["target"].astype(np.float64)
    last = raw.get("last", np.ones((len(target), len(state.targets))))
    half = np.array(state.half_widths) if state.half_widths else np.zeros((state.horizon, len(state.targets)))
    half = half * raw.get("spread", 1.0)
    low, high = interval(target, state)
    middle = _own(levels(point(target, state), state), last, state)
    found = {
        "prediction": middle,
        "low": np.minimum(_own(low - half, last, state), middle),
        "high": np.maximum(_own(high + half, last, state), middle),
    }
    if state.quantiles and state.transform == "none":
        each = shaped(target, state)
        found["quantiles"] = np.stack([levels(each[..., i], state) for i in range(each.shape[3])], axis=3)
    return found


def table(answers: dict[str, Any], state: State) -> pa.Table:
    """One row per series and step ahead: the series, the time or the step, then the forecast; several targets have each
    a column of their own name.
    """
    rows = len(answers["prediction"])
    columns: dict[str, Any] = {}
    if state.series is not None:
        ids = answers.get("ids", pa.nulls(rows, pa.string()))
        columns[state.series] = ids.take(pa.array(np.repeat(np.arange(rows), state.horizon)))
    when = answers.get("times")
    name = "step" if when is None else state.time[0] if len(state.time) == 1 else "time"
    name = _free(name, columns)
    columns[name] = pa.array(np.tile(np.arange(1, state.horizon + 1), rows) if when is None else when.ravel())
    parts = ("prediction", "low", "high")
    for i, one in enumerate(state.targets):
        found = {part: pa.array(answers[part][..., i].ravel()) for part in parts}
        if "quantiles" in answers:
            each = {f"q{100 * q:g}": pa.array(answers["quantiles"][..., i, k].ravel()) for k, q in _ranked(state)}
            found["quantiles"] = pa.StructArray.from_arrays(list(each.values()), list(each))
        if len(state.targets) == 1:
            columns |= {_free(part, columns): values for part, values in found.items()}
        else:
            columns[_free(one.name, columns)] = pa.StructArray.from_arrays(list(found.values()), list(found))
    return pa.table(columns)


def _ranked(state: State) -> list[tuple[int, float]]:
    return list(enumerate(sorted(state.quantiles)))


def _free(name: str, taken: dict[str, Any]) -> str:
    return name if name not in taken else _free(f"{name}_", taken)


def quick(raw: dict[str, np.ndarray], encoded: np.ndarray, state: State) -> dict[str, float]:
    """Mean squared error in training deviations, or the quantile loss, which decides what is best; and the mean
    absolute error. `encoded`: (rows, horizon, targets) with NaN where nothing was measured.
    """
    there = ~np.isnan(encoded)
    error = np.where(there, encoded - point(raw["target"], state), 0.0).astype(np.float64)
    count = max(int(there.sum()), 1)
    first = float((error**2).sum()) / count
    if state.quantiles:
        each = np.where(there, encoded, 0.0)[..., None] - shaped(raw["target"], state)
        by = np.sort(np.array(state.quantiles))
        first = float((np.maximum(by * each, (by - 1) * each) * there[..., None]).sum()) / (count * len(by))
    return {"loss": first, "scaled_mae": float(np.abs(error).sum()) / count}


def moves(series: list[np.ndarray], names: tuple[str, ...], cfg: Config) -> Transform:
    """What is done to the targets: log-returns where each looks like a price. Errors: DataError."""
    if cfg.transform == "auto":
        return "log_return" if _prices.like(series, names) else "none"
    if cfg.transform == "log_return" and any(np.nanmin(one, initial=np.inf) <= 0 for one in series):
        raise DataError("task.transform: log_return needs numbers above 0. Use none.")
    return cfg.transform


def understood(series: list[np.ndarray], names: tuple[str, ...], transform: Transform, season: int) -> dict[str, Any]:
    """What is learned of the targets from the training steps of each series, (steps, targets) with NaN for gaps: their
    mean, deviation and naive error.
    """
    found = np.concatenate([worked(one, transform) for one in series])
    targets = []
    for i, name in enumerate(names):
        known = found[:, i][np.isfinite(found[:, i])]
        if not len(known):
            raise DataError(f"target: column '{name}' has no number in the training rows.")
        naive = [np.abs(one[season:, i] - one[:-season, i]) for one in series if len(one) > season]
        errors = np.concatenate(naive) if naive else np.array([])
        errors = errors[np.isfinite(errors)]
        own = np.concatenate([one[:, i] for one in series])
        fallback = float(np.nanstd(own)) or 1.0
        error = float(errors.mean()) if len(errors) and errors.mean() > FLAT * fallback else fallback
        std = float(known.std())
        targets.append(Target(name=name, mean=float(known.mean()), std=std if std > FLAT else 1.0, naive=error))
    return {"targets": tuple(targets), "transform": transform}
