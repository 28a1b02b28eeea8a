"""Categories: code 0 is missing, code 1 is rare or never seen in training, the rest are known values.

A value that fewer than `min_count` rows have is rare: it may name somebody, so it is not stored.
Values compare as text: 3, 3.0 and "3" are one category, so a table and a JSON request agree.
"""

from functools import cached_property
from itertools import islice
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina import config, privacy
from lamina.preprocess import _spellings
from lamina.preprocess._column_config import ColumnConfig
from lamina.preprocess._domain import Domain
from lamina.preprocess._reference import Histogram, Reference, histogram, stratified
from lamina.schema import Input

ALIASES = ("categorical",)

RARE, FIRST_KNOWN = 1, 2  # code of a rare value, and first code of a known one
FEW = 64  # rows
MOST_COUNTED = 20  # values, in statistics
CASTABLE = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_decimal,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
    pa.types.is_null,
)


class Config(ColumnConfig):
    kind: Literal["category"] = "category"
    min_count: int = Field(
        default=privacy.MIN_ROWS, ge=1, description="rows that must have a value; what fewer have is rare"
    )
    max_size: int = Field(default=5_000, ge=1)
    spellings: dict[str, str] | None = Field(
        default=None, description="other spellings of values, which count as these; found out when unset, none by {}"
    )


class State(config.Config):
    values: tuple[str, ...]
    histogram: Histogram | None = None

    @cached_property
    def codes(self) -> dict[str | None, int]:
        """The code of each value, and of one that is missing."""
        return {None: 0} | {value: code for code, value in enumerate(self.values, start=FIRST_KNOWN)}


def detect(column: pa.Array) -> tuple[float, dict[str, Any]]:
    """Anything that can be written as a short text; other kinds win when they fit better."""
    spellings = _spellings.of(column) if pa.types.is_string(column.type) else {}
    score = 0.1 if pa.types.is_nested(column.type) or pa.types.is_binary(column.type) else 0.5
    return score, {"spellings": spellings} if spellings else {}


def parse(column: pa.Array, cfg: config.Config) -> pa.Array:
    """Cells to text; whole numbers lose their `.0`, true and false are lower case, values have one spelling."""
    texts = pc.replace_substring_regex(as_text(column), r"^(-?\d+)\.0+$", r"\1")
    return _spellings.apply(texts, cfg.spellings) if isinstance(cfg, Config) and cfg.spellings else texts


def as_text(column: pa.Array) -> pa.Array:
    """Cells of any type as text; what is not finite is missing."""
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_floating(column.type):
        return _floats(column.cast(pa.float32()) if pa.types.is_float16(column.type) else column)
    if any(castable(column.type) for castable in CASTABLE):
        return column.cast(pa.string())
    return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())


def _floats(column: pa.Array) -> pa.Array:
    """Whole numbers with all their digits, as an integer column would have them, and not as 1e+16."""
    column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
    whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 2.0**63))
    digits = pc.if_else(whole, column, pa.scalar(None, column.type)).cast(pa.int64(), safe=False).cast(pa.string())
    return pc.if_else(whole, digits, column.cast(pa.string()))


def fit(values: pa.Array, cfg: Config) -> State:
    state = State(values=tuple(frequent(values, cfg.min_count)[: cfg.max_size]))
    codes = encode(values, state)[:, 0]
    counts = np.bincount(codes, minlength=len(state.values) + FIRST_KNOWN)
    scarce = np.flatnonzero(counts[FIRST_KNOWN:] <= cfg.min_count) + FIRST_KNOWN  # without a row of it one is rare,
    codes[np.isin(codes, scarce)] = RARE  # so this is how often rows are that training has not seen
    return state.model_copy(update={"histogram": histogram(codes, len(counts))})


def frequent(values: pa.Array, least: int) -> list[str]:
    """The values that at least so many rows have, the most frequent first, else in order of the alphabet."""
    return list(_counts(values.drop_null().value_counts(), least))


def _counts(counts: pa.Array, least: int) -> dict[str, int]:
    """Counted values that at least so many rows have, with how many, in the same order."""
    often = counts.take(np.flatnonzero(counts.field("counts").to_numpy() >= least)).to_pylist()
    return {c["values"]: c["counts"] for c in sorted(often, key=lambda c: (-c["counts"], c["values"]))}


def statistics(values: pa.Array) -> dict[str, Any]:
    """Missing cells, how many values there are, and how many rows have the most frequent ones."""
    counts = values.drop_null().value_counts()
    often = dict(islice(_counts(counts, privacy.MIN_ROWS).items(), MOST_COUNTED))
    return {"missing": values.null_count, "values": len(counts), "counts": often}


def describe(column: pa.Array, cfg: Config) -> str:
    """How many values are rare, which are spelled in several ways, and which settings say so."""
    spellings = _spellings.sentence("{name}", cfg.kind, cfg.spellings) if cfg.spellings else ""
    return "; ".join(filter(None, (rarity(parse(column, cfg), cfg.min_count, "value"), spellings)))


def rarity(values: pa.Array, least: int, noun: str) -> str:
    """A note on values or labels that fewer rows have, so that they count as one."""
    rare = len(pc.unique(values.drop_null())) - len(frequent(values, least))
    plural = "s" if rare > 1 else ""
    return f"{rare:,} {noun}{plural} of fewer than {least} rows count as rare (min_count)" if rare else ""


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, 1) int64 codes below `len(state.values) + 2`."""
    if len(values) <= FEW:  # no work for Arrow, which would index all the values anew
        return np.array([state.codes.get(value, RARE) for value in values.to_pylist()], np.int64)[:, None]
    places = pc.index_in(values, value_set=pa.array(state.values, pa.string()))
    codes = pc.if_else(pc.is_null(values), -FIRST_KNOWN, pc.fill_null(places, -1)).to_numpy(zero_copy_only=False)
    return (codes.astype(np.int64) + FIRST_KNOWN)[:, None]


def pieces(encoded: np.ndarray, state: State) -> np.ndarray:
    """(rows,) which piece of the histogram codes (rows, 1) are."""
    return encoded[:, 0]


def reference(state: State) -> Reference | None:
    """How many training rows were missing, rare, and of each value."""
    own, names = state.histogram, ("missing", "rare", *state.values)
    return Reference(own.rows, own.shares, names, FIRST_KNOWN) if own and len(own.shares) == len(names) else None


def background(state: State, rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 1) int64: codes, as often as training rows had each."""
    training = reference(state)
    weights = training.shares if training else (0.0, 0.0) + (1.0,) * len(state.values)
    return stratified(np.array(weights), rng, count)[:, None]


def rare(values: pa.Array, state: State) -> np.ndarray:
    """(rows,) whether a value is there and none of the known ones."""
    return encode(values, state)[:, 0] == RARE


def spellings(state: State, cfg: Config) -> list[Any]:
    """Cells that have a code of their own, in each spelling."""
    return [*state.values, *(cfg.spellings or ())]


def golden(state: State, cfg: Config, rng: np.random.Generator, count: int) -> list[Any]:
    """Values that are known, in turn, then a gap."""
    values = (*state.values, None)
    return [values[i % len(values)] for i in range(count)]


def domain(state: State, cfg: Config) -> Domain:
    """One of the values that enough training rows had."""
    return Domain("choice", values=state.values)


def feed(state: State) -> Input:
    return Input(kind="category", shape=(1,), dtype="int64", sizes=(len(state.values) + FIRST_KNOWN,))
