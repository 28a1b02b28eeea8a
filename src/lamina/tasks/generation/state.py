"""What a generator is set to and what it has learned: classes, how each column is encoded, what its discriminator's
scores mean.
"""

from typing import Literal

from pydantic import AliasChoices, Field

from lamina import config

MOST = 10_000  # classes, and values of a column
POINTS = 101  # quantiles of a discriminator's scores
NUMERIC = ("number", "time")  # kinds of columns


class Config(config.Config):
    kind: Literal["generation"] = "generation"


class NumberStyle(config.Config):
    """How numbers are written that are worth `worth` or more: in units of that, with `places` decimals at least and
    `digits` at most, a mark between `thousands`, and before and behind it what `positive` and `negative` say.
    """

    positive: tuple[str, str] = ("", "")
    negative: tuple[str, str] = ("-", "")
    decimal: Literal[".", ","] = "."
    thousands: str = Field(default="", max_length=1)
    places: int = Field(default=0, ge=0, le=12)
    digits: int = Field(default=0, ge=0, le=12)
    worth: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Slot(config.Config):
    """A changing piece of a text: a number of `width` digits at least, or one of several words, as `modes` say; or
    characters, each one of its alphabet at random.
    """

    modes: "ColumnModes | None" = None
    width: int = Field(default=0, ge=0, le=100)
    alphabets: tuple[str, ...] = Field(default=(), max_length=100)


class TextTemplate(config.Config):
    """How texts of a column are put together: `literals` with a slot between each two."""

    literals: tuple[str, ...] = Field(max_length=100)
    slots: tuple[Slot, ...] = Field(max_length=99)


class ColumnModes(config.Config):
    """How one column of a table is encoded in numbers, and what its cells may be.

    Text is one of `values`, which had `shares` of the training rows. A number is one of `spikes`, which many rows
    share, or near one of `centres`: then it is its offset from there in parts of `reaches`. A `missing` cell is one
    more choice. Numbers stay between `low` and `high`, have at most `decimals` (any where it is -1) and, where there is
    a `grid`, are on it, where there is a `step`, are so many from `origin`; times are counted in `unit` seconds. `form`
    is the type of a cell. A column with one choice has no numbers.

    `parts` are what a number or time is the sum of, each by itself, such as its week, its weekday and its clock, then
    the zone; to it comes the largest of `bases`, other columns, where it is `relative`, and it is never less than that
    and `gap`. Texts may be put together by `templates`. How cells are written: `dtype` is the type of Arrow where cells
    are no text, `styles` are those of numbers, `spelling` that of times, with `fraction` digits behind the seconds,
    `spellings` those of `values`.
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
    unit: int = Field(default=1, ge=1, le=604_800)
    step: float = Field(default=0.0, ge=0)
    origin: float = 0.0
    parts: tuple["ColumnModes", ...] = Field(default=(), max_length=10)
    bases: tuple[str, ...] = Field(default=(), max_length=100)
    relative: bool = False
    gap: float = 0.0
    templates: tuple[TextTemplate, ...] = Field(default=(), max_length=100)
    dtype: str = Field(default="", max_length=100)
    styles: tuple[NumberStyle, ...] = Field(default=(), max_length=20)
    spelling: str = Field(default="", max_length=100)
    fraction: int = Field(default=0, ge=0, le=9)
    spellings: tuple[str, ...] = Field(default=(), max_length=MOST)

    @property
    def choices(self) -> int:
        """Of the column itself: values, modes, templates, and to be missing."""
        if self.parts or self.templates:
            return max(1, len(self.templates)) + self.missing
        return len(self.values) + len(self.centres) + len(self.spikes) + self.missing

    @property
    def nested(self) -> tuple["ColumnModes", ...]:
        """What of it is encoded by itself."""
        slots = (slot.modes for template in self.templates for slot in template.slots)
        return (*self.parts, *(modes for modes in slots if modes is not None))

    @property
    def own_blocks(self) -> tuple[int, ...]:
        """Widths of the numbers of a cell without what is nested: 1 for an offset, more for a choice."""
        choice = (self.choices,) if self.choices > 1 else ()
        return (1, *choice) if self.centres else choice

    @property
    def blocks(self) -> tuple[int, ...]:
        """The same with what is nested."""
        return (*self.own_blocks, *(size for modes in self.nested for size in modes.blocks))

    @property
    def offsets(self) -> int:
        """How many of its numbers are offsets."""
        return bool(self.centres) + sum(modes.offsets for modes in self.nested)

    @property
    def numeric(self) -> bool:
        """Whether its cells are numbers or times."""
        return self.kind in NUMERIC


class Formula(config.Config):
    """A column that others say: of a `sum` each term times its factor, and of a `product` each to the power of its
    factor; `constant` is added or multiplied. A `calendar` column is a `part` of a time, `names` say how it is called.
    """

    target: str = Field(max_length=10_000)
    kind: Literal["sum", "product", "calendar"]
    terms: tuple[tuple[str, float], ...] = Field(min_length=1, max_length=100)
    constant: float = 0.0
    part: str = Field(default="", max_length=20)
    names: dict[str, str] = Field(default={}, max_length=MOST)


class Combination(config.Config):
    """Choices of a second column that go with each of a first one; any where none is named."""

    first: str = Field(max_length=10_000)
    second: str = Field(max_length=10_000)
    allowed: tuple[tuple[int, ...], ...] = Field(max_length=MOST)


class Relations(config.Config):
    """What holds between the columns of every row."""

    formulas: tuple[Formula, ...] = Field(default=(), max_length=MOST)
    choice_pairs: tuple[Combination, ...] = Field(default=(), max_length=MOST)


class DiscriminatorCalibration(config.Config):
    """What a discriminator's scores mean, by real rows held out from training: the median of each class, and 101
    quantiles about it, the lowest first: `conditional` where the class of a row is known or there is none,
    `unconditional` where it is not.
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
    table, how its columns are encoded; where a bundle has a discriminator, what its scores mean.
    """

    classes: tuple[str, ...] = Field(default=(), max_length=MOST)
    counts: tuple[int, ...] = Field(default=(), max_length=MOST)
    columns: tuple[ColumnModes, ...] = Field(default=(), max_length=MOST)
    discriminator_calibration: DiscriminatorCalibration | None = Field(
        default=None, validation_alias=AliasChoices("discriminator_calibration", "critic")
    )
    relations: Relations = Relations()

    @property
    def samples(self) -> Literal["rows", "images"]:
        """What is generated."""
        return "rows" if self.columns else "images"
