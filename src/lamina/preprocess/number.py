"""Numbers: median for the missing (with an indicator), robust scale, smooth clip.

A cell that is not a finite number is missing. A missing cell becomes the training median; columns that had
missing cells in training also carry a 0/1 indicator. Robust scale and smooth clip: Holzmueller et al. 2024
(RealMLP), `x / sqrt(1 + (x / 3)^2)` of `(x - median) / (q75 - q25)`, so outliers stay inside (-3, 3).
"""

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina import config
from lamina.preprocess._bins import edges
from lamina.schema import Input

PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
GROUPED = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
DRESS = r"^\s*([+-]?)[$€£]\s*|()\s*%$"  # what stays is in one group or the other
ENOUGH = 0.95
FEWEST_BINS, MOST_BINS = 16, 128


class Config(config.Config):
    kind: Literal["number"] = "number"
    bins: int | None = Field(
        default=None, ge=2, le=1024, description="pieces of the encoding; by the number of rows when unset"
    )


class State(config.Config):
    median: float
    scale: float = Field(gt=0)
    missing: bool
    edges: tuple[float, ...]


def detect(column: pa.Array) -> tuple[float, dict[str, Any]]:
    """Nearly all cells read as numbers, and none is a code with a leading zero such as 00501."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        return 0.9, {}
    if not pa.types.is_string(column.type):
        return 0.0, {}
    if pc.any(pc.match_substring_regex(column, r"^0\d+$")).as_py():
        return 0.0, {}
    share = 1 - parse(column, Config()).null_count / max(len(column), 1)
    return (0.9 if share >= ENOUGH else 0.0), {}


def parse(column: pa.Array, cfg: Config) -> pa.Array:
    """Cells to float64; text may have thousands commas, a currency sign in front or a percent sign behind."""
    if pa.types.is_string(column.type):
        column = _from_text(column)
    elif pa.types.is_boolean(column.type):
        column = column.cast(pa.int8()).cast(pa.float64())
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        column = column.cast(pa.float64(), safe=False)
    else:
        return pa.nulls(len(column), pa.float64())
    return pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))


def _from_text(column: pa.Array) -> pa.Array:
    plain = pc.match_substring_regex(column, PLAIN)
    if not pc.all(plain, min_count=0).as_py():
        column = pc.replace_substring_regex(column, DRESS, r"\1\2")
        grouped = pc.match_substring_regex(column, GROUPED)
        column = pc.if_else(grouped, pc.replace_substring(column, ",", ""), column)
        plain = pc.match_substring_regex(column, PLAIN)
    return pc.if_else(plain, column, pa.scalar(None, pa.string())).cast(pa.float64())


def fit(values: pa.Array, cfg: Config) -> State:
    known = values.drop_null().to_numpy(zero_copy_only=False).astype(np.float64)
    if not len(known):
        return State(median=0.0, scale=1.0, missing=True, edges=(-0.5, 0.5))
    low, median, high = np.quantile(known, [0.25, 0.5, 0.75])
    spread = high - low or 0.5 * (known.max() - known.min()) or 1.0
    state = State(median=float(median), scale=float(spread), missing=values.null_count > 0, edges=(-0.5, 0.5))
    return state.model_copy(update={"edges": edges(_scale(known, state), cfg.bins or _bins(len(known)))})


def _bins(rows: int) -> int:
    """About a hundred rows to a bin: finer than that is noise."""
    return min(MOST_BINS, max(FEWEST_BINS, rows // 100))


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, 1) float32, or (rows, 2) with the missing indicator last."""
    filled = pc.fill_null(values, state.median).to_numpy(zero_copy_only=False).astype(np.float64)
    scaled = _scale(filled, state).astype(np.float32)[:, None]
    if not state.missing:
        return scaled
    absent = pc.is_null(values).to_numpy(zero_copy_only=False).astype(np.float32)[:, None]
    return np.concatenate([scaled, absent], axis=1)  # (rows, 2)


def _scale(values: np.ndarray, state: State) -> np.ndarray:
    x = np.clip((values - state.median) / state.scale, -1e9, 1e9)
    return x / np.sqrt(1 + (x / 3) ** 2)


def feed(state: State) -> Input:
    own = (state.edges, (0.0, 1.0)) if state.missing else (state.edges,)
    return Input(kind="number", shape=(len(own),), dtype="float32", edges=own)
