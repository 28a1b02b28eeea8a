"""Whole series: one cell is one recording, of one channel or several.

A cell is a list of numbers, a list of steps that are lists of channels (`steps_first`), a list of channels that are
lists of steps (`channels_first`), or any of these as text: `1.0, 2.5, 3` or JSON. Gaps (null, NaN, infinities) are
filled along a straight line between their neighbours, and at the ends by the nearest number. The network sees `steps`
steps, the longest of the training rows unless a setting says less: of a longer series the first ones, and behind a
shorter one NaN in all channels. A missing cell is the training mean all along.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from lamina import config
from lamina.preprocess import _nested_lists as _lists
from lamina.preprocess._column_config import ColumnConfig
from lamina.preprocess._domain import Domain
from lamina.preprocess._number_text import Decimal
from lamina.schema import LARGEST, Input

Layout = Literal["steps_first", "channels_first"]

MOST_STEPS = 16_384  # that a network sees when nothing is said
MOST_NUMBERS = 1 << 22  # of one row, whatever is said
ENOUGH = 0.95
FEWEST, FEWEST_WHOLE = 4, 8  # numbers of a typical cell: fewer are coordinates, and whole ones codes
BLOCK = 1 << 21  # numbers encoded at once
MOST_APART = 1e6  # training deviations, beyond which a number is cut off
EXAMPLE_STEPS = 256  # steps of an example at most


class Config(ColumnConfig):
    kind: Literal["series"] = "series"
    layout: Layout = Field(default="steps_first", description="what the lists of a nested cell are, steps or channels")
    steps: int | None = Field(
        default=None, ge=1, le=1 << 20, description="steps at most; the longest training series when unset"
    )
    decimal: Decimal | None = Field(default=None, description="decimal mark of numbers in text; found out when unset")
    normalise: Literal["global", "each", "none"] = Field(
        default="global", description="to mean 0 and spread 1: of all training rows, of each series by itself, or not"
    )


class State(config.Config):
    steps: int = Field(ge=1, le=1 << 20)
    channels: int = Field(ge=1, le=1 << 20)
    layout: Layout
    normalise: Literal["global", "each", "none"]
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]

    @model_validator(mode="after")
    def _of_one_size(self) -> Self:
        if self.steps * self.channels > MOST_NUMBERS:
            raise ValueError(f"steps x channels must be at most {MOST_NUMBERS:,}")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError("mean and std must have one number for each channel")
        return self


class _Cells(NamedTuple):
    """Parsed cells: `flat` numbers, steps first, of which row i has `sizes[i]` from `starts[i]` on; 0 where missing."""

    flat: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    channels: np.ndarray
    reasons: list[str | None]
    missing: np.ndarray

    def whole(self, channels: int) -> np.ndarray:
        """The rows that can be used."""
        return ~self.missing & (self.channels == channels) & np.array([r is None for r in self.reasons], bool)


def detect(column: pa.Array, decimal: Decimal | None = None) -> tuple[float, dict[str, Any]]:
    """Lists of enough numbers, or text of which nearly every cell reads as such; nested lists say their layout.
    `decimal`: the mark of the table.
    """
    settings: dict[str, Any] = {}
    if pa.types.is_string(column.type):
        some = column.slice(0, 1000)
        if not len(some) or not _lists.looks_like_numbers(some, FEWEST_WHOLE):
            return 0.0, {}
        column = some
    elif not _lists.holds_numbers(column.type) and not _lists.holds_texts_of_numbers(column.slice(0, 1000)):
        return 0.0, {}
    if not _lists.holds_numbers(column.type) and _lists.decimal(column, decimal) == ",":
        settings["decimal"] = ","
    order = _lists.layout(column)
    cells = _read(parse(column, Config(layout=order, **settings)))
    good = np.array([reason is None for reason in cells.reasons], bool) & ~cells.missing
    if not good.any() or good.mean() < 0.5:
        return 0.0, {}
    whole = _lists.holds_whole_numbers(column.type)
    if np.median(cells.sizes[good]) < (FEWEST_WHOLE if whole else FEWEST):
        return 0.0, {}
    return 0.96, settings | ({"layout": order} if order != "steps_first" else {})


def parse(column: pa.Array, cfg: Config) -> pa.Array:
    """Cells as `{values, channels, reason}`: numbers with the channels of one step side by side, and what is wrong."""
    return _lists.parse(column, cfg.layout, cfg.decimal or ".")


def from_json(cells: list[Any]) -> pa.Array:
    """Lists out of JSON as JSON text, so that each cell is read by itself."""
    return _lists.texts(cells)


def _read(values: pa.Array) -> _Cells:
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    lists, channels, reasons = values.flatten()  # fields, null where the cell is
    sizes, flat = _lists.flat(lists)
    return _Cells(
        flat=flat,
        starts=np.cumsum(sizes) - sizes,
        sizes=sizes,
        channels=channels.fill_null(0).to_numpy(zero_copy_only=False),
        reasons=reasons.to_pylist(),
        missing=values.is_null().to_numpy(zero_copy_only=False),
    )


def fit(values: pa.Array, cfg: Config) -> State:
    cells = _read(values)
    sound = np.array([reason is None for reason in cells.reasons], bool) & ~cells.missing
    channels = min(MOST_NUMBERS, int(np.bincount(cells.channels[sound]).argmax())) if sound.any() else 1
    rows = np.flatnonzero(cells.whole(channels))
    longest = int(cells.sizes[rows].max(initial=channels)) // channels
    steps = max(1, min(longest, cfg.steps or MOST_STEPS, MOST_NUMBERS // channels))
    state = State(
        steps=steps, channels=channels, layout=cfg.layout, normalise=cfg.normalise, mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )  # fmt: skip
    return state.model_copy(update=_moments(cells, rows, state)) if cfg.normalise == "global" else state


def _moments(cells: _Cells, rows: np.ndarray, state: State) -> dict[str, Any]:
    """Mean and deviation of each channel; sums of rows are added exactly, so their order is of no account."""
    largest = float(np.abs(cells.flat).max(initial=0.0, where=np.isfinite(cells.flat))) or 1.0

    def mean_of(shift: np.ndarray, power: int) -> np.ndarray:
        sums: list[list[float]] = [[] for _ in range(state.channels)]
        count = np.zeros(state.channels)
        for _, block in _blocks(cells, rows, state):
            part = (block / largest - shift) ** power
            for channel in range(state.channels):
                own = part[:, :, channel]
                sums[channel] += np.nansum(own, axis=1).tolist()
                count[channel] += np.count_nonzero(~np.isnan(own))
        return np.array([math.fsum(one) for one in sums]) / np.maximum(count, 1)

    mean = mean_of(np.zeros(state.channels), 1)
    std = np.sqrt(mean_of(mean, 2)) * largest
    small = std < 1e-9 * largest  # a channel that never changes
    return {"mean": tuple((mean * largest).tolist()), "std": tuple(np.where(small, 1.0, std).tolist())}


def _blocks(cells: _Cells, rows: np.ndarray, state: State) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Some rows at a time, float64 (some, steps, channels), NaN where nothing is."""
    wide = state.steps * state.channels
    step = max(1, BLOCK // wide)
    for first in range(0, len(rows), step):
        some = rows[first : first + step]
        sizes, starts = np.minimum(cells.sizes[some], wide), cells.starts[some]
        if (sizes == wide).all() and (np.diff(starts) == wide).all():
            block = cells.flat[starts[0] : starts[0] + len(some) * wide].copy()
        else:
            there = np.arange(wide) < sizes[:, None]
            block = np.full((len(some), wide), np.nan)
            block[there] = cells.flat[(starts[:, None] + np.arange(wide))[there]]
        yield some, block.reshape(len(some), state.steps, state.channels)


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, steps, channels) float32 with NaN only behind the end of a short series."""
    cells = _read(values)
    rows = np.flatnonzero(cells.whole(state.channels))
    out = np.zeros((len(values), state.steps, state.channels), np.float32)
    for some, block in _blocks(cells, rows, state):
        length = np.minimum(cells.sizes[some] // state.channels, state.steps)
        _fill(block, length)
        with np.errstate(all="ignore"):
            mean, std = _each(block) if state.normalise == "each" else (np.array(state.mean), np.array(state.std))
            scaled = np.clip((block - mean) / std, -MOST_APART, MOST_APART)
        inside = np.arange(state.steps) < length[:, None]
        if np.isnan(scaled).any():
            scaled[inside[:, :, None] & np.isnan(scaled)] = 0.0  # a channel without any number is at the mean
        out[some] = scaled
    return out


def _each(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each series and channel, (rows, 1, channels)."""
    there = ~np.isnan(block)
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    mean = np.where(there, block, 0.0).sum(axis=1, keepdims=True) / count
    std = np.sqrt(np.where(there, (block - mean) ** 2, 0.0).sum(axis=1, keepdims=True) / count)
    return mean, np.where(std > 1e-9 * np.maximum(np.abs(mean), 1e-300), std, 1.0)


def _fill(block: np.ndarray, length: np.ndarray) -> None:
    """Gaps of a block (rows, steps, channels) in place: between neighbours in a line, at the ends by the nearest."""
    steps = np.arange(block.shape[1])
    gaps = np.isnan(block) & (steps < length[:, None])[:, :, None]
    touched = np.flatnonzero(gaps.any(axis=(1, 2)))
    if not len(touched):
        return
    part, gaps = block[touched], gaps[touched]
    there = ~np.isnan(part)
    where = steps[:, None]
    before = np.maximum.accumulate(np.where(there, where, -1), axis=1)
    after = np.minimum.accumulate(np.where(there, where, len(steps))[:, ::-1], axis=1)[:, ::-1]
    before, after = np.where(before < 0, after, before), np.where(after == len(steps), before, after)
    before, after = (np.clip(side, 0, len(steps) - 1) for side in (before, after))
    low, high = (np.take_along_axis(part, side, axis=1) for side in (before, after))
    share = (where - before) / np.maximum(after - before, 1)
    with np.errstate(all="ignore"):
        block[touched] = np.where(gaps, low * (1 - share) + high * share, part)


def faults(values: pa.Array, state: State) -> list[str | None]:
    """Why each cell cannot be used: no number, too many gaps, ragged, or another number of channels."""
    cells = _read(values)
    reasons = list(cells.reasons)
    for row in np.flatnonzero(~cells.missing & (cells.channels != state.channels)).tolist():
        if reasons[row] is None:
            reasons[row] = f"has {_count(int(cells.channels[row]), 'channel')}, the others have {state.channels}"
    return reasons


def encode_with_reasons(values: pa.Array, state: State) -> tuple[np.ndarray, list[str | None]]:
    """As `encode`, and why a cell is of no use."""
    return encode(values, state), faults(values, state)


def describe(column: pa.Array, cfg: Config) -> str:
    """Lengths and channels, such as `20 to 150 steps, 6 channels`."""
    cells = _read(parse(column, cfg))
    sound = np.flatnonzero(np.array([reason is None for reason in cells.reasons], bool) & ~cells.missing)
    if not len(sound):
        return "no series in it"
    channels = int(np.bincount(cells.channels[sound]).argmax())
    steps = cells.sizes[sound][cells.channels[sound] == channels] // channels
    low, high = int(steps.min()), int(steps.max())
    return f"{f'{low:,} to ' if low < high else ''}{_count(high, 'step')}, {_count(channels, 'channel')}"


def _count(number: int, of: str) -> str:
    return f"{number:,} {of}{'s' * (number != 1)}"


def golden(state: State, cfg: Config, rng: np.random.Generator, count: int) -> list[Any]:
    """Made-up series of several lengths, random walks around the training mean, one of them with a gap."""
    series: list[Any] = []
    longest = min(state.steps, EXAMPLE_STEPS)
    for i in range(count):
        steps = max(1, longest - (i % 4) * longest // 5)
        walk = rng.normal(size=(steps, state.channels)).cumsum(axis=0) / math.sqrt(steps)
        with np.errstate(over="ignore"):
            values = np.array(state.mean) + np.array(state.std) * walk
        cell = np.clip(values, -LARGEST, LARGEST).round(_digits(state)).tolist()
        if i == 1 and steps > 4:
            cell[2] = [None] * state.channels
        if state.channels > 1 and state.layout == "channels_first":
            cell = [list(channel) for channel in zip(*cell, strict=True)]
        series.append([step[0] for step in cell] if state.channels == 1 else cell)
    return series


def _digits(state: State) -> int:
    """Decimals that tell a thousandth of the spread."""
    return min(12, max(0, 3 - math.floor(math.log10(min(state.std)))))


def domain(state: State, cfg: Config) -> Domain:
    """A list of numbers, of so many channels."""
    return Domain("series", channels=state.channels, channels_first=state.layout == "channels_first")


def feed(state: State) -> Input:
    return Input(kind="series", shape=(state.steps, state.channels), dtype="float32")
