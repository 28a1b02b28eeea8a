"""Categories: code 0 is missing, code 1 is rare or never seen in training, the rest are known values.

Values compare as text: 3, 3.0 and "3" are one category, so a table and a JSON request agree.
"""

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina import config
from lamina.schema import Input

KNOWN = 2  # first code of a known value


class Config(config.Config):
    kind: Literal["category"] = "category"
    min_count: int = Field(3, ge=1)
    max_size: int = Field(5_000, ge=1)


class State(config.Config):
    values: tuple[str, ...]


def detect(column: pa.Array) -> tuple[float, dict[str, Any]]:
    """Anything that can be written as a short text; other kinds win when they fit better."""
    return (0.1 if pa.types.is_nested(column.type) or pa.types.is_binary(column.type) else 0.5), {}


def parse(column: pa.Array, cfg: config.Config) -> pa.Array:
    """Cells to text; whole numbers lose their `.0`, true and false are lower case."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        column = pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
    text = column if pa.types.is_string(column.type) else column.cast(pa.string())
    return pc.replace_substring_regex(text, r"^(-?\d+)\.0+$", r"\1")


def fit(values: pa.Array, cfg: Config) -> State:
    counts = values.drop_null().value_counts().to_pylist()
    ranked = sorted(((c["counts"], c["values"]) for c in counts if c["counts"] >= cfg.min_count), key=lambda c: (-c[0], c[1]))
    return State(values=tuple(value for _, value in ranked[: cfg.max_size]))


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, 1) int64 codes below `len(state.values) + 2`."""
    found = pc.index_in(values, value_set=pa.array(state.values, pa.string()))
    codes = pc.if_else(pc.is_null(values), -KNOWN, pc.fill_null(found, -1)).to_numpy(zero_copy_only=False)
    return (codes.astype(np.int64) + KNOWN)[:, None]


def feed(state: State) -> Input:
    return Input(kind="category", shape=(1,), dtype="int64", sizes=(len(state.values) + KNOWN,))
