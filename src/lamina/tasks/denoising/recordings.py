"""Series as cells or as the rows of a table, to numbers that a network is fed, and back."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lamina.data import _series_cells
from lamina.preprocess import parse_columns
from lamina.schema import Schema, clean
from lamina.task import Session
from lamina.tasks.denoising import tiling
from lamina.tasks.denoising.state import State

FARTHEST = 1e6  # training deviations, beyond which a number is cut off


class Recording(NamedTuple):
    """(steps, channels) float64 without gaps, and how many there were."""

    values: np.ndarray
    gaps: int = 0


def cells(schema: Schema, rows: pa.Table, name: str, channels: int) -> Iterator[Recording | str]:
    """The recording of each row of a column, or why there is none."""
    values = _parsed(schema, rows, (name,))[name]
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    lists, counts, reasons = values.flatten()
    for row in range(len(values)):
        numbers = lists[row].values
        if not values[row].is_valid or numbers is None:
            yield "is missing"
            continue
        own, reason = counts[row].as_py(), reasons[row].as_py()
        if reason or own != channels:
            yield reason or f"has {own} channels, and those it learned from have {channels}"
            continue
        yield _filled(numbers.to_numpy(zero_copy_only=False).reshape(-1, channels))


def table(schema: Schema, rows: pa.Table, names: tuple[str, ...]) -> Recording | str:
    """Some columns of a table in the order of its rows, as one recording."""
    if not rows.num_rows:
        return "has no row"
    parsed = _parsed(schema, rows, names)
    columns = [parsed[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in names]
    return _filled(np.stack(columns, axis=1))


def _parsed(schema: Schema, rows: pa.Table, names: Sequence[str]) -> dict[str, pa.ChunkedArray]:
    """Cells of some columns as their kinds read them; a column that is not there is missing in every row."""
    columns = {one.name: one for one in (*schema.columns, schema.target) if one}
    return parse_columns(clean(rows, schema.missing, schema.literal), tuple(columns[name] for name in names))


def _filled(values: np.ndarray) -> Recording | str:
    """Gaps of each channel along a straight line between their neighbours, at the ends by the nearest number."""
    values = np.array(values, np.float64)
    there = np.isfinite(values)
    if not len(values) or not there.any():
        return "holds no number"
    steps = np.arange(len(values))
    for channel in np.flatnonzero(~there.all(axis=0)):
        good = there[:, channel]
        values[:, channel] = np.interp(steps, steps[good], values[good, channel]) if good.any() else 0.0
    return Recording(values, int((~there).sum()))


def scaled(values: np.ndarray, state: State) -> np.ndarray:
    """A recording about its own mean, in training deviations: float32 (steps, channels)."""
    with np.errstate(over="ignore"):
        return np.clip((values - values.mean(axis=0)) / np.array(state.std), -FARTHEST, FARTHEST).astype(np.float32)


def restore(session: Session, values: np.ndarray) -> np.ndarray:
    """A recording without its noise, float64 (steps, channels)."""
    state: State = session.task.state
    own = scaled(values, state)
    noise = own.astype(np.float64) - tiling.restore(session, own)
    return values - noise * np.array(state.std)


def column(values: list[np.ndarray | None], channels: int, layout: str) -> pa.Array:
    """Recordings as a column of lists; of several channels, of lists of channels for each step, or the other way."""
    if layout == "channels_first" and channels > 1:
        lists = [None if one is None else one.T.tolist() for one in values]
        return pa.array(lists, pa.list_(pa.list_(pa.float64())))
    return _series_cells.from_arrays(
        "", [None if one is None else one if channels > 1 else one[:, 0] for one in values]
    )


def gaps(count: int) -> tuple[str, ...]:
    """A sentence on numbers that were not there."""
    if not count:
        return ()
    numbers = "A number that is missing was" if count == 1 else f"{count:,} numbers that are missing were"
    return (f"{numbers} filled in along a line between neighbours first.",)
