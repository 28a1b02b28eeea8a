"""The nouns every stage shares: rows read, columns and their kinds, what a network is built for, a batch."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import privacy
from lamina.config import Config

Row = dict[str, Any]

Preset = Literal["fast", "default", "accurate"]  # how much time training may take

FOLD = "fold"  # the input (rows,) that says which part of an ensemble must not learn from a row; only in training

MISSING = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "#N/A", "<NA>")

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif", ".jp2", ".hdr"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".pfm"),
)

IMAGE_FILE_NAME = rf"(?i)({'|'.join(suffix.replace('.', '[.]') for suffix in IMAGE_SUFFIXES)})$"

FILE_CELL = pa.struct([("path", pa.string()), ("bytes", pa.large_binary())])  # a cell that is a file

NUMBER_TEXT = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"

TEXT = pa.string().id
ODD = {  # ids of types that are brought to others
    *(pa.large_string().id, pa.string_view().id, pa.binary_view().id, pa.date32().id, pa.date64().id),
    *(pa.dictionary(pa.int8(), pa.string()).id, pa.duration("s").id, pa.timestamp("s").id),
}
TOGETHER = 1 << 14  # text cells of all columns: fewer are worked on as one array

PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}

LARGEST = 1e100  # of numbers that are to be predicted or made: squares of errors and sums of these are numbers, too

DAYS = (-718_797, 2_932_532)  # since 1970: the years 2 to 9998, so that no zone leads out of the calendar


class SkippedRow(NamedTuple):
    """One row that cannot be used. `line` counts from 1 and is None where a file has no lines."""

    file: str
    line: int | None
    column: str
    reason: str

    def masked(self) -> "SkippedRow":
        """The same without the cell that the reason quotes, to be stored."""
        return self._replace(reason=privacy.masked(self.reason, self.column))


@dataclass(frozen=True)
class Collected:
    """What a source gave: rows in = `table.num_rows` + len(`skipped_rows`).

    A source may know which column says the `part` of a row (train, validation, test), which is the `target`, which
    `task` it is for, and which columns are `metadata`: they say where a row comes from, and are not learned from unless
    a recipe gives their kind. Texts of the columns in `literal` are values, also where they could mean missing.
    `decimal` is the mark of numbers in text where it is known, and `delimiter` what stood between the cells of a text
    file.
    """

    table: pa.Table
    skipped_rows: tuple[SkippedRow, ...] = ()
    notes: tuple[str, ...] = ()
    part: str | None = None
    target: str | None = None
    metadata: tuple[str, ...] = ()
    task: str | None = None
    literal: tuple[str, ...] = ()
    decimal: Literal[".", ","] | None = None
    delimiter: str = ""


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
    """The columns used, in training order; the target is apart. `missing` are the texts read as missing, `literal` the
    columns in which `NA`, `none` and the like are values.
    """

    columns: tuple[Column, ...]
    target: Column | None = None
    missing: tuple[str, ...] = MISSING
    literal: tuple[str, ...] = ()


class Input(Config):
    """One tensor the network is fed, without its batch dimension.

    `sizes` are the number of codes of each category (or of the vocabulary); `edges` the bin edges of each
    number, as many lists as numbers, each increasing. `mean` and `std` are those of an image's channels, 0 to 1.

    A series has the shape (steps, channels). Series of one column are standardised; steps behind the end of a short
    one are NaN in all channels, and no other step is. For a forecast there are two: `history`, without NaN, whose first
    `targets` channels go on into the answer, and `future`, (horizon, channels), which is known beforehand.

    Tokens are (steps,) ids, `padding` behind the end of a short text; of any number of steps, at most `max_length`.

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
    padding: int = 0
    max_length: int = 0


OutputActivation = Literal["softmax", "sigmoid", "linear"]

ROW_HEADS = frozenset({"value", "logits", "multilabel"})  # one answer of `size` raw numbers for each row
TARGET_HEADS = ROW_HEADS | {"horizon"}  # all that a network of plain layers can give as `target`, (rows, size)


class Output(Config):
    """What the network must answer: a `head`, the `size` of it, and the loss it is trained with, a file of `losses/`.

    Heads, each of raw numbers, (rows, `size`) unless said otherwise:

    - `value`: a standardised number;
    - `logits`: of two classes (`size` 1), or one for each of several, which exclude one another;
    - `multilabel`: a logit for each class, each by itself;
    - `horizon`: (horizon, targets, quantiles or 1) laid flat, in the unit of the history, by the settings `horizon`
      (steps), `targets` and `quantiles` (empty for a point). The target is (horizon, targets) with NaN where nothing
      was measured; `changes` is 1 where the numbers are changes, which have no level;
    - `sample`: a new image or row, made of noise; `size` is the number of classes it can be made of.

    A task and a network may agree on any other, such as `tokens`, `frames`, `boxes`, `embedding`, `reconstruction`.
    """

    size: int
    loss: str
    settings: dict[str, float | list[float]] = {}
    head: str = ""

    @property
    def activation(self) -> OutputActivation:
        """What turns raw numbers into answers: `softmax` over classes, `sigmoid` of each by itself, or nothing."""
        if self.head == "logits" and self.size > 1:
            return "softmax"
        return "sigmoid" if self.head in ("logits", "multilabel") else "linear"


class Spec(Config):
    """What a network is built for. Derived from data and task, never written in a recipe."""

    inputs: dict[str, Input]
    output: Output
    rows: int = 0


@dataclass(frozen=True)
class Windows:
    """Stretches of `length` steps of `values` (steps, channels), one per row, from `starts` (rows,) on.

    They overlap and are never copied as a whole: `windows[rows]` copies some, as (rows, length, channels). Of ids of
    tokens (steps,), small whole numbers that may be a memory map, it is (rows, length) int64.

    `shift`: in training, all begin as many steps later as is drawn for each epoch, from 0 to `shift`.
    """

    values: np.ndarray
    starts: np.ndarray
    length: int
    shift: int = 0

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.starts), self.length, *self.values.shape[1:]

    @property
    def ndim(self) -> int:
        return 1 + self.values.ndim

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        steps = self.values[self.starts[rows][:, None] + np.arange(self.length)]
        return steps if self.values.ndim > 1 else steps.astype(np.int64)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        steps = self[:]
        return steps.astype(dtype or steps.dtype, copy=False)


class Mixed(NamedTuple):
    """A target that is two: `share` of the loss goes to the first, the rest to the second."""

    first: Any
    second: Any
    share: float


@dataclass
class Batch:
    """Tensors by input name, and the target; their first dimension is the batch.

    A target of another length in each row is padded with -1, and `lengths` (rows,) tells how much of it is there.
    `continues`: each row goes on where the same row of the batch before ended.
    """

    inputs: Mapping[str, Any]
    target: Any = None
    lengths: Any = None
    continues: bool = False


def floats(cells: pa.Array) -> np.ndarray | None:
    """Cells as float64, NaN where missing; None where they are no numbers.

    Arrow cannot be asked beforehand whether a cast is there and holds for all cells: trying it is how to ask.
    """
    try:
        return cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # how Arrow says it has no conversion
        return None


def is_list(kind: pa.DataType) -> bool:
    """Whether cells are lists, of any width of offsets."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def text_columns(table: pa.Table) -> tuple[str, ...]:
    """The names of columns of texts."""
    return tuple(field.name for field in table.schema if pa.types.is_string(field.type))


def rename_columns(rows: pa.Table, names: Mapping[str, str]) -> pa.Table:
    """Columns under other names, where these are free: sources say `image` and `label`, a bundle has its own."""
    present = set(rows.column_names)
    new = {old: new for old, new in names.items() if old in present and new not in present}
    return rows.rename_columns([new.get(name, name) for name in rows.column_names])


def clean(table: pa.Table, missing: tuple[str, ...], literal: tuple[str, ...] = ()) -> pa.Table:
    """Text cells stripped of surrounding blanks, texts that mean 'missing' turned to null, durations to seconds,
    times outside the calendar to null. In `literal` columns the usual texts, such as NA and none, are values.

    The same call serves training files, prediction files and server requests, so a cell means one thing.
    """
    tokens, numbers = _missing_cells(missing)
    columns = [_plain(column) if column.type.id in ODD else column for column in table.columns]
    texts = [i for i, column in enumerate(columns) if column.type.id == TEXT]
    if literal and (own := {i for i, name in enumerate(table.column_names) if name in _names(literal)} & set(texts)):
        _strip(columns, sorted(own), _missing_cells(_beyond_usual(missing))[0])
        texts = [i for i in texts if i not in own]
    _strip(columns, texts, tokens)
    if len(numbers):
        for i, column in enumerate(columns):
            if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
                where = pc.is_in(column.cast(pa.float64(), safe=False), value_set=numbers)
                columns[i] = pc.if_else(where, None, column)
    if not columns:
        return table
    return pa.table(columns, names=table.column_names, metadata=table.schema.metadata)


def _strip(columns: list[Any], texts: Sequence[int], tokens: pa.Array) -> None:
    """The text columns at these places without blanks around cells, and null where they mean missing, in place."""
    rows = len(columns[texts[0]]) if texts else 0
    if 0 < len(texts) * rows <= TOGETHER:  # a call into Arrow costs more than it works on one row
        joint = null_if_missing(pa.concat_arrays([chunk for i in texts for chunk in columns[i].chunks]), tokens)
        for k, i in enumerate(texts):
            columns[i] = joint.slice(k * rows, rows)
    else:
        for i in texts:
            columns[i] = null_if_missing(columns[i], tokens)


@functools.lru_cache(maxsize=64)
def _names(literal: tuple[str, ...]) -> frozenset[str]:
    return frozenset(literal)


@functools.lru_cache(maxsize=64)
def _beyond_usual(missing: tuple[str, ...]) -> tuple[str, ...]:
    """The texts that mean missing in a literal column: nothing at all, and what a recipe names itself."""
    return ("", *(text for text in missing if text not in MISSING))


@functools.lru_cache(maxsize=64)
def _missing_cells(missing: tuple[str, ...]) -> tuple[pa.Array, pa.Array]:
    """The texts that mean missing, and the numbers among them."""
    numbers = [float(t) for t in missing if t.lstrip("+-").replace(".", "", 1).isdigit()]
    return pa.array(missing, pa.string()), pa.array(numbers, pa.float64())


def null_if_missing(texts: Any, tokens: pa.Array | None = None) -> Any:
    """Text without the blanks around it, and null where it means missing; `tokens` are the texts that do."""
    tokens = _missing_cells(MISSING)[0] if tokens is None else tokens
    texts = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.is_in(texts, value_set=tokens), pa.scalar(None, pa.string()), texts)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of the few types that later stages know."""
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
    return column


def _calendar(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dates as days, times in microseconds; what is outside the calendar is missing."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        day, target = 86_400 * int(PER_SECOND[kind.unit]), pa.timestamp("us", kind.tz)
    else:
        day, target = 1, pa.date32()
        column = column.cast(target, safe=False)
    ticks = column.cast(pa.int32() if day == 1 else pa.int64())
    first, last = max(DAYS[0] * day, -(2**63)), min(DAYS[1] * day, 2**63 - 1)
    sound = pc.and_(pc.greater_equal(ticks, first), pc.less(ticks, last))
    return pc.if_else(sound, column, pa.scalar(None, column.type)).cast(target, safe=False)
