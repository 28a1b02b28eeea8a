"""Yes or no, in the usual spellings: a category with codes 0 missing, 1 false, 2 true."""

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import config
from lamina.preprocess import category
from lamina.preprocess._column_config import ColumnConfig
from lamina.preprocess._domain import Domain
from lamina.preprocess._reference import Histogram, Reference, histogram, stratified
from lamina.schema import Input

ALIASES = ("bool",)

FALSE = ("false", "no", "0", "f", "n", "off", "0.0")
TRUE = ("true", "yes", "1", "t", "y", "on", "1.0")
CODES = ("missing", "false", "true")
MOST_SPELLINGS = 16  # of two words, small and large letters in any order


class Config(ColumnConfig):
    kind: Literal["boolean"] = "boolean"


class State(config.Config):
    histogram: Histogram | None = None


def detect(column: pa.Array) -> tuple[float, dict[str, Any]]:
    """Two values, one from each list, at the same place: yes/no fits, yes/false does not."""
    if pa.types.is_boolean(column.type):
        return 1.0, {}
    if not (pa.types.is_string(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return 0.0, {}
    words = pc.unique(column)
    if len(words) > MOST_SPELLINGS:
        return 0.0, {}
    words = {str(w).lower() for w in words.to_pylist()}
    return (0.95 if words in ({no, yes} for no, yes in zip(FALSE, TRUE, strict=True)) else 0.0), {}


def parse(column: pa.Array, cfg: Config) -> pa.Array:
    if pa.types.is_boolean(column.type):
        return column
    words = pc.utf8_lower(category.parse(column, cfg))
    yes = pc.is_in(words, value_set=pa.array(TRUE))
    valid = pc.or_(yes, pc.is_in(words, value_set=pa.array(FALSE)))
    return pc.if_else(valid, yes, pa.scalar(None, pa.bool_()))


def fit(values: pa.Array, cfg: Config) -> State:
    return State(histogram=histogram(encode(values, State())[:, 0], len(CODES)))


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, 1) int64: 0 missing, 1 false, 2 true."""
    if len(values) <= category.FEW:
        return np.array([0 if value is None else 1 + value for value in values.to_pylist()], np.int64)[:, None]
    codes = pc.fill_null(pc.add(values.cast(pa.int64()), 1), 0)
    return codes.to_numpy(zero_copy_only=False).astype(np.int64)[:, None]


def statistics(values: pa.Array) -> dict[str, Any]:
    """As of categories: how many rows are true, and false."""
    return category.statistics(values.cast(pa.string()))


def pieces(encoded: np.ndarray, state: State) -> np.ndarray:
    """(rows,) which piece of the histogram codes (rows, 1) are."""
    return encoded[:, 0]


def reference(state: State) -> Reference | None:
    """How many training rows were missing, false and true."""
    own = state.histogram
    return Reference(own.rows, own.shares, CODES, 1) if own and len(own.shares) == len(CODES) else None


def background(state: State, rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 1) int64: codes, as often as training rows had each."""
    training = reference(state)
    return stratified(np.array(training.shares if training else (0.0, 1.0, 1.0)), rng, count)[:, None]


def spellings(state: State, cfg: Config) -> list[Any]:
    """Words for true and false, as they are usually written."""
    return [spelling for word in (*TRUE, *FALSE) for spelling in (word, word.capitalize(), word.upper())]


def golden(state: State, cfg: Config, rng: np.random.Generator, count: int) -> list[Any]:
    """Both answers in turn, and now and then none."""
    return [(True, False, True, False, None)[i % 5] for i in range(count)]


def domain(state: State, cfg: Config) -> Domain:
    """Yes or no."""
    return Domain("boolean")


def feed(state: State) -> Input:
    return Input(kind="category", shape=(1,), dtype="int64", sizes=(3,))
