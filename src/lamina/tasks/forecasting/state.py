"""What can be set for a forecast, and what is learned of its series. All of this folder stands on it."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from lamina import config

LONGEST, FARTHEST = 100_000, 10_000  # steps of history and ahead


Names = Annotated[tuple[str, ...], BeforeValidator(config.as_tuple)]
Quantile = Annotated[float, Field(gt=0, lt=1)]
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
    quantiles: tuple[Quantile, ...] = Field(
        default=(0.05, 0.25, 0.5, 0.75, 0.95), min_length=1, max_length=99, description="of the loss pinball"
    )


class Frequency(config.Config):
    """The time between two rows: `count` seconds, months or business days, or of times that are numbers, parts of one,
    of which there are `scale`; `phase` puts the grid in its place. A row belongs to the step nearest to its time, or
    with `bins` to the one that has begun. Of rows without time, or too uneven in time for a grid, each is a step.
    `local`: of times with a zone, steps lie on its clocks, and else on those of UTC.
    """

    unit: Literal["second", "month", "business", "number", "row"]
    count: int = Field(default=1, ge=1, le=1 << 40)
    phase: int = Field(default=0, ge=-(1 << 50), le=1 << 50)
    scale: int = Field(default=1, ge=1, le=1_000_000)
    bins: bool = False
    local: bool = False


class TargetColumn(config.Config):
    """A column to forecast: mean and deviation of what the network is fed; `naive` is the mean absolute error of the
    seasonal naive forecast on training rows, in the column's own unit.
    """

    name: str
    mean: float
    std: float = Field(gt=0)
    naive: float = Field(gt=0)


class State(config.Config):
    """`half_widths` (horizon, targets) are those of the interval, in deviations of the history that a forecast goes on
    from, before a log-return is turned back to a price. `effects`: that of
    known columns is taken out of the history. `last_half_widths`: those of a forecast that knows nothing but the last
    value, in units of `transform.magnitude`.
    """

    targets: tuple[TargetColumn, ...] = Field(min_length=1, max_length=10_000)
    time: tuple[str, ...] = ()
    series: str | None = None
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    step: Frequency = Frequency(unit="row")
    season: int = Field(default=1, ge=1, le=LONGEST)
    horizon: int = Field(ge=1, le=FARTHEST)
    context: int = Field(ge=1, le=LONGEST)
    transform: Transform = "none"
    calendar: bool = False
    quantiles: tuple[Quantile, ...] = Field(default=(), max_length=99)
    half_widths: tuple[tuple[float, ...], ...] = ()
    effects: bool = False
    last_half_widths: tuple[tuple[float, ...], ...] = ()

    @model_validator(mode="after")
    def _a_width_for_each_number(self) -> Self:
        for widths in filter(None, (self.half_widths, self.last_half_widths)):
            if len(widths) != self.horizon or any(len(row) != len(self.targets) for row in widths):
                raise ValueError("half_widths must be (horizon, targets)")
        return self

    @property
    def names(self) -> list[str]:
        return [target.name for target in self.targets]

    @property
    def time_column(self) -> str | None:
        """The only column of times, if there is one."""
        return self.time[0] if len(self.time) == 1 else None
