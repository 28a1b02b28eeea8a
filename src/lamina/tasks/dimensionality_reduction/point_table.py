"""Points as their sender wrote them: a column for each coordinate, in any order."""

import numpy as np
import pyarrow as pa

from lamina import preprocess
from lamina.config import DataError
from lamina.preprocess import Preprocessor
from lamina.schema import Column, Schema
from lamina.task import Session
from lamina.tasks.dimensionality_reduction import coordinates

LARGEST = 1e30  # of a coordinate, whose squares are numbers, too


def parse(session: Session, rows: pa.Table) -> np.ndarray:
    """Coordinates (rows, dimensions) out of columns of these names, or of an array of as many.

    Errors: DataError naming the row and the column.
    """
    names = coordinates.names(session)
    if rows.column_names == [f"column{i + 1}" for i in range(len(names))]:  # of an array, which has no names
        rows = rows.rename_columns(list(names))
    if absent := [name for name in names if name not in rows.column_names]:
        got = ", ".join(filter(None, rows.column_names[: coordinates.NAMED])) or "no column"
        cure = f"Give {listed(names)}, as lamina predict writes them."
        raise DataError(f"rows: there is no column '{absent[0]}' (got {got}). {cure}")
    values = preprocess.parse_columns(rows.select(list(names)), columns(session))
    whole = np.stack([values[name].to_numpy() for name in names], axis=1)
    if len(bad := np.argwhere(~(np.abs(whole) <= LARGEST))):
        row, place = bad[0].tolist()
        value = rows[names[place]][row].as_py()
        got = "nothing" if value is None else repr(value)
        raise DataError(
            f"rows[{row}].{names[place]}: must be a number up to {LARGEST:g} (got {got}). Give all of them."
        )
    return whole


def columns(session: Session) -> tuple[Column, ...]:
    """A column of numbers for each coordinate."""
    return tuple(Column(name=name, kind="number") for name in coordinates.names(session))


def reader(session: Session) -> Preprocessor:
    """How rows of coordinates are read."""
    low, high = session.task.state.low, session.task.state.high
    rows = pa.table({name: [a, b] for name, a, b in zip(coordinates.names(session), low, high, strict=True)})
    return preprocess.fit(rows, Schema(columns=columns(session)))


def listed(names: tuple[str, ...]) -> str:
    """Names of coordinates in a sentence."""
    if len(names) <= coordinates.NAMED:
        return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"{', '.join(names[:2])} ... {names[-1]}"
