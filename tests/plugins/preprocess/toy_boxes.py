"""Boxes in one cell: a list of [left, top, right, bottom] in pixels, or that as JSON text; an empty list is none."""

import json
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from lamina import config
from lamina.schema import Input

BOXES = pa.list_(pa.list_(pa.float64()))


class Config(config.Config):
    kind: Literal["toy_boxes"] = "toy_boxes"


class State(config.Config):
    largest: int = Field(ge=1)


def detect(column: pa.Array) -> tuple[float, dict[str, Any]]:
    """Never by itself: lists of numbers may be many things."""
    return 0.0, {}


def parse(column: pa.Array, cfg: Config) -> pa.Array:
    return pa.array([_boxes(cell) for cell in column.to_pylist()], BOXES)


def _boxes(cell: Any) -> list[list[float]] | None:
    """The boxes of a cell; None for a malformed one."""
    try:
        cell = json.loads(cell) if isinstance(cell, str) else cell
    except ValueError:
        return None
    if not isinstance(cell, list) or not all(isinstance(box, list) and len(box) == 4 for box in cell):
        return None
    return cell if all(isinstance(v, int | float) for box in cell for v in box) else None


def fit(values: pa.Array, cfg: Config) -> State:
    return State(largest=max(1, max((len(boxes) for boxes in values.to_pylist() if boxes), default=1)))


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, largest * 4) float32, -1 behind the last box."""
    boxes = np.full((len(values), state.largest, 4), -1, np.float32)
    for row, cell in enumerate(values.to_pylist()):
        for place, box in enumerate((cell or [])[: state.largest]):
            boxes[row, place] = box
    return boxes.reshape(len(values), state.largest * 4)


def feed(state: State) -> Input:
    return Input(kind="number", shape=(width := state.largest * 4,), dtype="float32", edges=((-1.0, 0.0, 1.0),) * width)
