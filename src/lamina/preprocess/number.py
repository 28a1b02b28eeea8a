"""Numbers: median for the missing (with an indicator), robust scale, smooth clip.

A cell that is not a finite number is missing; `_number_text` says what numbers are in text. A missing cell becomes the
training median; columns that had missing cells in training also carry a 0/1 indicator. Robust scale and smooth clip:
Holzmueller et al. 2024 (RealMLP), `x / sqrt(1 + (x / 3)^2)` of `(x - median) / (q75 - q25)`, so outliers stay inside
(-3, 3).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina import config, privacy
from lamina.preprocess import _decimal_mark, _number_notes
from lamina.preprocess import _number_text as text
from lamina.preprocess._column_config import ColumnConfig
from lamina.preprocess._domain import Domain
from lamina.preprocess._number_text import Decimal
from lamina.preprocess._reference import Histogram, Reference, histogram, inner_edges, stratified
from lamina.schema import Input

ALIASES = ("float", "int", "integer", "numeric", "numerical")

ENOUGH = 0.95
SAMPLED = 1000  # cells that tell most columns of words from numbers
FEWEST_BINS, MOST_BINS = 16, 128
NARROWEST = 1e-5  # bin of the whole range: narrower ones make steep, useless slopes
BLOCK = 1 << 18  # numbers scaled at once
USUAL, APART = (0.2, 0.8), 1.5  # of made-up numbers: between which shares of the edges, and how far they go, scaled
HUGE, HUGEST = 1e300, 1e308  # from where on differences may be beyond all numbers, and the widest spread
FAR = 1e6  # training spreads, of a made-up number beyond all others
LARGEST = 1e300  # of made-up numbers
WHOLE = 2.0**53  # below, floats have all whole numbers
MARGIN = 0.02  # about the outermost edges, which are rounded, in scaled numbers
FARTHEST_MARK = 2.999  # of scaled numbers, of which 3 would be infinitely far
PLAIN = {int, float, type(None)}  # types of cells of JSON that mean what they look like


class Config(ColumnConfig):
    kind: Literal["number"] = "number"
    bins: int | None = Field(
        default=None, ge=2, le=1024, description="pieces of the encoding; by the number of rows when unset"
    )
    decimal: Decimal | None = Field(default=None, description="decimal mark of numbers in text; found out when unset")
    units: dict[str, float] | None = Field(
        default=None, description="what may stand behind a number, and what one is worth; found out when unset"
    )


class State(config.Config):
    median: float
    scale: float = Field(gt=0)
    missing: bool
    edges: tuple[float, ...]
    histogram: Histogram | None = None


def detect(column: pa.Array, decimal: Decimal | None = None) -> tuple[float, dict[str, Any]]:
    """Nearly all cells but those that say there is none read as numbers, and none is a code with a leading zero such as
    00501. `decimal`: the mark of the table; what the column itself proves goes before it.
    """
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        return 0.9, {"decimal": ","} if decimal == "," else {}
    if not pa.types.is_string(column.type) or not _looks_like_numbers(column):
        return 0.0, {}
    if pc.any(pc.match_substring_regex(column, r"^0\d+$")).as_py():
        return 0.0, {}
    settings: dict[str, Any] = {"decimal": ","} if _decimal_mark.of_column(column, decimal) == "," else {}
    some = text.sample(column, 10 * SAMPLED)
    if units := text.units_of(text.writing(some), len(some)):
        settings["units"] = units
    values = parse(column, Config(**settings))
    present = len(column) - _number_notes.says_missing(column.filter(values.is_null())).true_count
    return (0.9 if len(column) - values.null_count >= ENOUGH * present > 0 else 0.0), settings


def _looks_like_numbers(column: pa.Array) -> bool:
    """Whether most cells of a sample are numbers, so that it is worth to look at all: most columns end here."""
    some = text.sample(column, SAMPLED)
    return text.share(some.filter(pc.invert(_number_notes.says_missing(some)))) >= 0.5


def parse(column: pa.Array, cfg: Config) -> pa.Array:
    """Cells to float64, null where there is no finite number; text as `_number_text` says."""
    if pa.types.is_string(column.type):
        column = text.to_floats(column, cfg.decimal or ".", cfg.units or {})
    elif pa.types.is_boolean(column.type):
        column = column.cast(pa.int8()).cast(pa.float64())
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        column = column.cast(pa.float64(), safe=False)
    else:
        return pa.nulls(len(column), pa.float64())
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))


def describe(column: pa.Array, cfg: Config) -> str:
    """How numbers were read out of text, and how many cells are none."""
    if not pa.types.is_string(column.type):
        return _number_notes.describe_unread(parse(column, cfg).null_count, {})
    return _number_notes.describe(column, parse(column, cfg), cfg.decimal or ".", cfg.units or {})


def fit(values: pa.Array, cfg: Config) -> State:
    numbers = values.drop_null().to_numpy(zero_copy_only=False).astype(np.float64)
    if not len(numbers):
        return State(median=0.0, scale=1.0, missing=True, edges=(-0.5, 0.5))
    share = 1 / 1024 if np.abs(numbers).max() > HUGE else 1.0  # so that no difference is beyond all numbers
    numbers = np.sort(privacy.coarse(numbers * share))
    low, median, high = _quantiles(numbers, np.array([0.25, 0.5, 0.75]))
    spread = high - low or 0.5 * (numbers[-1] - numbers[0]) or 1.0
    scaled = _scale(numbers, median, spread)
    bins = edges(scaled, cfg.bins or _bins(len(numbers)))
    median, spread = float(median / share), float(min(spread, HUGEST * share) / share)
    state = State(median=median, scale=spread, missing=values.null_count > 0, edges=bins)
    inner = inner_edges(scaled)
    own = _pieces(encode(values, state), state.missing, inner)
    return state.model_copy(update={"histogram": histogram(own, len(inner) + 2, inner)})


def statistics(values: pa.Array) -> dict[str, Any]:
    """Missing cells, extremes, median, mean and standard deviation; the median in whole units of the spread."""
    numbers = values.drop_null().to_numpy(zero_copy_only=False)
    if not len(numbers):
        return {"missing": values.null_count}
    low, high = float(numbers.min()), float(numbers.max())
    size = max(abs(low), abs(high)) or 1.0  # so that no sum is beyond all numbers
    scaled = numbers / size
    quarter, median, three = np.quantile(scaled, (0.25, 0.5, 0.75)).tolist()
    if (scaled == median).sum() < privacy.MIN_ROWS:
        median = privacy.rounded(median, three - quarter)
    ends = {"min": low, "median": median * size, "max": high}
    single = [name for name in ("min", "max") if (numbers == ends[name]).sum() < privacy.MIN_ROWS]
    if size < WHOLE and (numbers == np.floor(numbers)).all():
        ends = {name: round(value, 1) for name, value in ends.items()}
        ends = {name: int(value) if value.is_integer() else value for name, value in ends.items()}
    mean, std = float(scaled.mean() * size), float(scaled.std() * size)
    return {"missing": values.null_count, **ends, "mean": mean, "std": std, "single": single}


def _quantiles(ordered: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """As `np.quantile` of numbers in order; ten times as fast where these are few, as in tables of many columns."""
    place = shares * (len(ordered) - 1)
    first = place.astype(int)
    low, high = ordered[first], ordered[np.minimum(first + 1, len(ordered) - 1)]
    return low + (high - low) * (place - first)


def _bins(rows: int) -> int:
    """About a hundred rows to a bin: finer than that is noise."""
    return min(MOST_BINS, max(FEWEST_BINS, rows // 100))


def edges(values: np.ndarray, bins: int) -> tuple[float, ...]:
    """Increasing bin edges: quantiles of the rows together with quantiles of the *distinct* values (all, if few).

    Quantiles of rows alone waste every edge on a column that is nearly always zero. `values`: (rows,) finite; at
    most 2 x `bins` pieces. Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep Learning".
    """
    values = values.astype(np.float32)
    distinct, grid = np.unique(values), np.linspace(0, 1, bins + 1)
    if len(distinct) < 2:
        middle = float(distinct[0]) if len(distinct) else 0.0
        return (middle - 0.5, middle + 0.5)
    of_values = _quantiles(distinct, grid) if len(distinct) > bins else distinct
    candidates = np.unique(np.concatenate([_quantiles(np.sort(values), grid), of_values]).astype(np.float32))
    apart, gap = [candidates[0]], (candidates[-1] - candidates[0]) * NARROWEST
    for edge in candidates[1:]:
        if edge - apart[-1] > gap:
            apart.append(edge)
    return tuple(float(v) for v in apart)


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, 1) float32, or (rows, 2) with the missing indicator last."""
    return encode_columns([values], [state])


def encode_columns(columns: Sequence[pa.Array], states: Sequence[State]) -> np.ndarray:
    """(rows, width) float32: each column's number, and its indicator where it has one, side by side."""
    rows = len(columns[0])
    step = max(1, BLOCK // max(rows, 1))
    parts = list[np.ndarray]()
    for first in range(0, len(states), step):
        part = slice(first, first + step)
        numbers = np.empty((rows, len(states[part])))
        for i, column in enumerate(columns[part]):
            numbers[:, i] = column.to_numpy(zero_copy_only=False)  # NaN where there is none
        parts.append(encoder(states[part])(numbers))
    return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]


def encoder(states: Sequence[State]) -> Callable[[np.ndarray], np.ndarray]:
    """The same of numbers (rows, columns), NaN where one is missing: what does not hang on them is worked out once."""
    median, scale = np.array([(state.median, state.scale) for state in states]).T
    flags = np.array([state.missing for state in states])
    places = np.arange(len(states)) + np.cumsum(flags) - flags  # of the numbers; an indicator is one further
    width, indicators = len(states) + int(flags.sum()), places[flags] + 1

    def encode(numbers: np.ndarray) -> np.ndarray:
        absent = np.isnan(numbers)
        out = np.empty((len(numbers), width), np.float32)
        out[:, places] = _scale(np.where(absent, median, numbers), median, scale)
        out[:, indicators] = absent[:, flags]
        return out

    return encode


def plain(cells: list[Any], cfg: Config) -> np.ndarray | None:
    """(cells,) float64 of cells as JSON has them, NaN where one is missing; None where some are no plain numbers."""
    if not PLAIN.issuperset(map(type, cells)):
        return None
    numbers = np.array(cells, np.float64)
    return None if np.isinf(numbers).any() else numbers


def _scale(values: np.ndarray, median: Any, scale: Any) -> np.ndarray:
    with np.errstate(over="ignore"):  # what is beyond all numbers is clipped, too
        x = np.minimum(np.maximum((values - median) / scale, -1e9), 1e9)
    return x / np.sqrt(1 + (x / 3) ** 2)


def pieces(encoded: np.ndarray, state: State) -> np.ndarray:
    """(rows,) which piece of the histogram encoded numbers (rows, width) are in; 0 where one is missing."""
    assert state.histogram
    return _pieces(encoded, state.missing, state.histogram.edges)


def _pieces(encoded: np.ndarray, has_gaps: bool, edges: tuple[float, ...]) -> np.ndarray:
    places = np.searchsorted(np.array(edges, np.float32), encoded[:, 0]) + 1
    return np.where(encoded[:, 1] > 0, 0, places) if has_gaps else places


def reference(state: State) -> Reference | None:
    """How many training rows were missing, and between which numbers the others were."""
    own = state.histogram
    if own is None or len(own.shares) != len(own.edges) + 2:
        return None
    ends = [f"{n:.4g}" for n in inverse_scale(np.array(own.edges), state)]
    if not ends:
        return Reference(own.rows, own.shares, ("missing", "any"), 1)
    between = [f"{low} to {high}" for low, high in pairwise(ends)]
    return Reference(own.rows, own.shares, ("missing", f"up to {ends[0]}", *between, f"above {ends[-1]}"), 1)


def inverse_scale(marks: np.ndarray, state: State) -> np.ndarray:
    """Encoded numbers (...) in the column's own unit, those far out brought nearer."""
    marks = np.clip(marks, -FARTHEST_MARK, FARTHEST_MARK).astype(np.float64)
    return state.median + state.scale * marks / np.sqrt(1 - (marks / 3) ** 2)


def background(state: State, rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, width) float32: numbers on edges, and gaps, as often as training rows were in each piece."""
    marks = len(state.edges)
    cells = np.zeros((marks + int(state.missing), 1 + int(state.missing)), np.float32)
    cells[:marks, 0], cells[marks:, 1:] = state.edges, 1
    weights = (np.arange(len(cells)) < marks).astype(float)
    if training := reference(state):
        places = pieces(cells, state)
        weights = np.array(training.shares)[places] / np.bincount(places)[places]
    return cells[stratified(weights, rng, count)]


def outside(numbers: np.ndarray, state: State) -> np.ndarray:
    """Which parsed numbers (rows,), NaN where one is missing, are lower or higher than all of training, coarsely."""
    scaled = _scale(numbers, state.median, state.scale)
    return (scaled < state.edges[0] - MARGIN) | (scaled > state.edges[-1] + MARGIN)


def golden(state: State, cfg: Config, rng: np.random.Generator, count: int) -> list[Any]:
    """Made-up numbers: usual ones on edges, where many rows are, and others anywhere about the median; some as text,
    gaps where training rows had some, and one far away.
    """
    shares = np.append(0.5, rng.uniform(*USUAL, count - 1))
    marks = np.quantile(np.clip(state.edges, -APART, APART), shares, method="nearest")
    marks[1::2] = rng.uniform(-APART, APART, count // 2)
    spreads = np.append(marks / np.sqrt(1 - (marks / 3) ** 2), FAR)
    with np.errstate(over="ignore"):
        numbers = np.clip(state.median + state.scale * spreads, -LARGEST, LARGEST)
    cells: list[Any] = [_plain(privacy.rounded(number, state.scale)) for number in numbers.tolist()]
    cells[3::5] = [str(cell).replace(".", cfg.decimal or ".") for cell in cells[3::5]]
    if state.missing:
        cells[5::7] = [None] * len(cells[5::7])
    return cells[:-2] + cells[-1:]


def _plain(number: float) -> float:
    return int(number) if number.is_integer() and abs(number) < 1 << 53 else number


def domain(state: State, cfg: Config) -> Domain:
    """Between which numbers training rows were, by the outermost edges, and the median."""
    marks = np.clip([state.edges[0], state.edges[-1]], -FARTHEST_MARK, FARTHEST_MARK)
    with np.errstate(over="ignore"):
        ends = np.clip(state.median + state.scale * marks / np.sqrt(1 - (marks / 3) ** 2), -LARGEST, LARGEST)
    low, middle, high = (_plain(privacy.rounded(n, state.scale)) for n in (ends[0], state.median, ends[1]))
    return Domain("number", low, high, middle)


def feed(state: State) -> Input:
    own = (state.edges, (0.0, 1.0)) if state.missing else (state.edges,)
    return Input(kind="number", shape=(len(own),), dtype="float32", edges=own)
