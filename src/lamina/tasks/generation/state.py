"""What a generator is set to and what it has learned: classes, how each column is encoded, what its critic's scores
mean.
"""

from typing import Literal

from pydantic import AliasChoices, Field

from lamina import config

MOST = 10_000  # classes, and values of a column
POINTS = 101  # quantiles of a critic's scores
NUMERIC = ("number", "time")  # kinds of columns


class Config(config.Config):
    kind: Literal["generation"] = "generation"


class ColumnModes(config.Config):
    """How one column of a table is encoded in numbers, and what its cells may be.

    Text is one of `values`, which had `shares` of the training rows. A number is one of `spikes`, which many rows
    share, or near one of `centres`: then it is its offset from there in parts of `reaches`. A `missing` cell is one
    more choice. Numbers stay between `low` and `high`, have at most `decimals` (any where it is -1) and, where there is
    a `grid`, are on it; times are counted in `unit` seconds. `form` is the type of a cell. A column with one choice has
    no numbers.
    """

    name: str = Field(max_length=10_000)
    kind: str
    form: str = Field(default="text", max_length=40)
    missing: bool = False
    values: tuple[str, ...] = Field(default=(), max_length=MOST)
    shares: tuple[float, ...] = Field(default=(), max_length=MOST)
    spikes: tuple[float, ...] = Field(default=(), max_length=MOST)
    centres: tuple[float, ...] = Field(default=(), max_length=1000)
    spreads: tuple[float, ...] = Field(default=(), max_length=1000)
    reaches: tuple[float, ...] = Field(default=(), max_length=1000)
    grid: tuple[float, ...] = Field(default=(), max_length=MOST)
    low: float = 0.0
    high: float = 0.0
    decimals: int = Field(default=-1, ge=-1, le=12)
    unit: int = Field(default=1, ge=1, le=86_400)

    @property
    def choices(self) -> int:
        return len(self.values) + len(self.centres) + len(self.spikes) + self.missing

    @property
    def blocks(self) -> tuple[int, ...]:
        """Widths of the numbers of a cell: 1 for an offset, more for a choice."""
        choice = (self.choices,) if self.choices > 1 else ()
        return (1, *choice) if self.centres else choice

    @property
    def numeric(self) -> bool:
        """Whether its cells are numbers or times."""
        return self.kind in NUMERIC


class CriticCalibration(config.Config):
    """What a critic's scores mean, by real rows held out from training: the median of each class, and 101 quantiles
    about it, the lowest first: `conditional` where the class of a row is known or there is none, `unconditional` where
    it is not.
    """

    medians: tuple[float, ...] = Field(
        min_length=1, max_length=MOST, validation_alias=AliasChoices("medians", "middles")
    )
    conditional: tuple[float, ...] = Field(
        min_length=POINTS, max_length=POINTS, validation_alias=AliasChoices("conditional", "told")
    )
    unconditional: tuple[float, ...] = Field(
        min_length=POINTS, max_length=POINTS, validation_alias=AliasChoices("unconditional", "untold")
    )


class State(config.Config):
    """The classes that can be asked for, none where the data has no label, and how many training rows each has; of a
    table, how its columns are encoded; where a bundle has a critic, what its scores mean.
    """

    classes: tuple[str, ...] = Field(default=(), max_length=MOST)
    counts: tuple[int, ...] = Field(default=(), max_length=MOST)
    columns: tuple[ColumnModes, ...] = Field(default=(), max_length=MOST)
    critic: CriticCalibration | None = None

    @property
    def samples(self) -> Literal["rows", "pictures"]:
        """What is generated."""
        return "rows" if self.columns else "pictures"
