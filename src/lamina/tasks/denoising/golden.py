"""Golden requests of a bundle, made up, and numbers of what the network answers to them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.config import DataError
from lamina.preprocess import Preprocessor
from lamina.schema import Row
from lamina.task import Session, alike
from lamina.tasks.denoising import image_files, recordings, tiling
from lamina.tasks.denoising.state import State

COUNT, STEPS, NUMBERS = 4, 24, 16  # requests, rows of a table, numbers of an answer
SIDES = {1: (72,), 2: (40, 48)}  # of what graphs are compared by
RELATIVE, ABSOLUTE = 2e-3, 2e-3  # between machines


def requests(prep: Preprocessor, state: State) -> list[Row]:
    """Images of soft spots, or random walks."""
    rng = np.random.default_rng(0)
    if state.form != "table":
        (name,) = state.columns
        return [{name: cell} for cell in prep.golden(name, rng, COUNT) or ()]
    walk = rng.normal(size=(STEPS, state.channels)).cumsum(axis=0) / 5
    values = np.array(state.mean) + np.array(state.std) * walk
    return [{name: float(f"{v:.6g}") for name, v in zip(state.columns, row, strict=True)} for row in values.tolist()]


def inputs(state: State) -> dict[str, dict[str, np.ndarray]]:
    """What the graph is fed when it is compared with its network."""
    rng, name = np.random.default_rng(0), "image" if state.form == "image" else "series"
    shape = (2, *SIDES[2 if state.form == "image" else 1], state.channels)
    return {"model": {name: rng.random(shape).astype(np.float32)}}


def answers(session: Session, rows: Sequence[Row]) -> list[Row]:
    """A few numbers of each answer. Errors: DataError for a request of no use."""
    state, table = session.task.state, session.rows(rows)
    if state.form == "table":
        recording = recordings.table(session.schema, table, state.columns)
        if isinstance(recording, str):
            raise DataError(f"rows: the table {recording}.")
        return [_some(step) for step in tiling.restore(session, recordings.scaled(recording.values, state))]
    if state.form == "series":
        values = list(recordings.cells(session.schema, table, state.columns[0], state.channels))
        return [_some(tiling.restore(session, recordings.scaled(_sound(one, i).values, state)))
                for i, one in enumerate(values)]  # fmt: skip
    column, most = image_files.column(session.schema, table, state.columns[0]), image_files.most(session.prep)
    images = [_sound(image_files.read(column, i, most), i) for i in range(len(rows))]
    return [_some(image_files.restored(session, one.pixels / np.float32(one.white))) for one in images]


def _sound(value: Any, row: int) -> Any:
    if isinstance(value, str):
        raise DataError(f"rows[{row}]: {value}.")
    return value


def _some(values: np.ndarray) -> Row:
    flat = values.reshape(-1).astype(np.float64)
    places = np.linspace(0, len(flat) - 1, min(NUMBERS, len(flat))).astype(int)
    return {"excerpt": [round(float(v), 4) for v in flat[places]]}


def agree(mine: Any, theirs: Any) -> bool:
    """Whether answers are the same up to what arithmetic of another machine does to numbers."""
    return alike(mine, theirs, RELATIVE, ABSOLUTE)
