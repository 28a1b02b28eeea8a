"""The nouns every stage shares: rows read, columns and their kinds, what a network is built for, a batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import Config

Row = dict[str, Any]

MISSING = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "#N/A", "<NA>")

PICTURES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif", ".jp2", ".hdr"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".pam"),
)

PICTURE_NAME = rf"(?i)({'|'.join(suffix.replace('.', '[.]') for suffix in PICTURES)})$"

PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}

DAYS = (-718_797, 2_932_532)  # since 1970: the years 2 to 9998, so that no zone leads out of the calendar


class Quarantined(NamedTuple):
    """One row that cannot be used. `line` counts from 1 and is None where a file has no lines."""

    file: str
    line: int | None
    column: str
    reason: str


@dataclass(frozen=True)
class Collected:
    """What a source gave: rows in = `table.num_rows` + len(`quarantine`).

    A source may know which column says the `part` of a row (train, validation, test), which is the `target`, which
    `task` it is for, and which columns are `metadata`: they say where a row comes from, and are not learned from unless
    a recipe gives their kind.
    """

    table: pa.Table
    quarantine: tuple[Quarantined, ...] = ()
    notes: tuple[str, ...] = ()
    part: str | None = None
    target: str | None = None
    metadata: tuple[str, ...] = ()
    task: str | None = None


class Column(Config):
    """One column as the run understood it."""

    name: str
    kind: str
    settings: dict[str, Any] = {}
    note: str = ""
    missing: int = 0
    distinct: int = 0
    examples: tuple[str, ...] = ()


class Schema(Config):
    """The columns used, in training order; the target is apart. `missing` are the texts read as missing."""

    columns: tuple[Column, ...]
    target: Column | None = None
    missing: tuple[str, ...] = MISSING


class Input(Config):
    """One tensor the network is fed, without its batch dimension.

    `sizes` are the number of codes of each category (or of the vocabulary); `edges` the bin edges of each
    number, as many lists as numbers, each increasing. `mean` and `std` are those of an image's channels, 0 to 1.

    A series has the shape (steps, channels). Series of one column are standardised; steps behind the end of a short
    one are NaN in all channels, and no other step is. For a forecast there are two: `history`, without NaN, whose first
    `targets` channels go on into the answer, and `future`, (horizon, channels), which is known beforehand.

    A row to be made is blocks of numbers, as wide as `sizes` say: 1 for a number in (-1, 1), more for one of several.
    """

    kind: Literal["number", "category", "tokens", "image", "series", "row"]
    shape: tuple[int | None, ...]
    dtype: Literal["float32", "int64", "uint8"]
    sizes: tuple[int, ...] = ()
    targets: int = 0
    edges: tuple[tuple[float, ...], ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


class Output(Config):
    """What the network must answer: its `head` says what sort of answer, `size` raw numbers per row, and the loss they
    are trained with. Heads: `value`, `logits`, `multilabel`, `horizon`, `sample`, or any other word that a task and an
    architecture share; "" in bundles that are older than heads.

    A forecast has the settings `horizon` (steps), `targets` and `quantiles` (empty for a point): its `size` numbers are
    (horizon, targets, quantiles or 1) laid flat, in the unit of the history, and its target is (horizon, targets) with
    NaN where nothing was measured; `changes` is 1 where the numbers are changes, which have no level.
    """

    head: str = ""
    size: int
    loss: str
    settings: dict[str, float | list[float]] = {}


class Spec(Config):
    """What a network is built for. Derived from data and task, never written in a recipe."""

    inputs: dict[str, Input]
    output: Output
    rows: int = 0


@dataclass(frozen=True)
class Windows:
    """Stretches of `length` steps of `values` (steps, channels), one per row, from `starts` (rows,) on.

    They overlap and are never copied as a whole: `windows[rows]` copies some, as (rows, length, channels).
    """

    values: np.ndarray
    starts: np.ndarray
    length: int

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.starts), self.length, self.values.shape[1]

    @property
    def ndim(self) -> int:
        return 3

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return self.values[self.starts[rows][:, None] + np.arange(self.length)]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self[:].astype(dtype or self.values.dtype, copy=False)


class Mixed(NamedTuple):
    """A target that is two: `share` of the loss goes to the first, the rest to the second."""

    first: Any
    second: Any
    share: float


@dataclass
class Batch:
    """Tensors by input name, and the target; their first dimension is the batch."""

    inputs: Mapping[str, Any]
    target: Any = None


def floats(cells: pa.Array) -> np.ndarray | None:
    """Cells as float64, NaN where missing; None where they are no numbers.

    Arrow cannot be asked beforehand whether a cast is there and holds for all cells: trying it is how to ask.
    """
    try:
        return cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def named(rows: pa.Table, names: Mapping[str, str]) -> pa.Table:
    """Columns under other names, where these are free: sources say `image` and `label`, whoever asks has its own."""
    found = set(rows.column_names)
    wanted = {old: new for old, new in names.items() if old in found and new not in found}
    return rows.rename_columns([wanted.get(name, name) for name in rows.column_names])


def clean(table: pa.Table, missing: tuple[str, ...]) -> pa.Table:
    """Text cells stripped of surrounding blanks, texts that mean 'missing' turned to null, durations to seconds,
    times outside the calendar to null.

    The same call serves training files, prediction files and server requests, so a cell means one thing.
    """
    tokens = pa.array(missing, pa.string())
    numbers = pa.array([float(t) for t in missing if t.lstrip("+-").replace(".", "", 1).isdigit()], pa.float64())
    for i, column in enumerate(table.columns):
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        if pa.types.is_duration(column.type):
            column = pc.divide(column.cast(pa.int64()).cast(pa.float64(), safe=False), PER_SECOND[column.type.unit])
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            column = _calendar(column)
        if pa.types.is_binary_view(column.type):
            column = column.cast(pa.binary())  # Arrow has few functions for views
        if pa.types.is_string(column.type):
            column = pc.utf8_trim_whitespace(column)
            column = pc.if_else(pc.is_in(column, value_set=tokens), pa.scalar(None, pa.string()), column)
        elif numbers and (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            column = pc.if_else(pc.is_in(column.cast(pa.float64(), safe=False), value_set=numbers), None, column)
        table = table.set_column(i, table.column_names[i], column)
    return table


def _calendar(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dates as days, times in microseconds; what is outside the calendar is missing."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        day, wanted = 86_400 * int(PER_SECOND[kind.unit]), pa.timestamp("us", kind.tz)
    else:
        day, wanted = 1, pa.date32()
        column = column.cast(wanted, safe=False)
    ticks = column.cast(pa.int32() if day == 1 else pa.int64())
    first, last = max(DAYS[0] * day, -(2**63)), min(DAYS[1] * day, 2**63 - 1)
    sound = pc.and_(pc.greater_equal(ticks, first), pc.less(ticks, last))
    return pc.if_else(sound, column, pa.scalar(None, column.type)).cast(wanted, safe=False)
