"""Tables of which a row is a whole series, its steps as lists in cells, as tables of which a row is a step."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError
from lamina.schema import is_list

ID = "series"


def has_lists(table: pa.Table, names: tuple[str, ...]) -> bool:
    """Whether some of the columns named hold lists of numbers or times."""
    return any(name in table.column_names and is_list(table[name].type) for name in names)


def explode(table: pa.Table, series: str | None) -> tuple[pa.Table, str, np.ndarray]:
    """One row per step: lists are laid out, single cells repeated. Also the name of the column that says which series a
    step belongs to (added, as the row's number, where `series` is None or
    the name that it then has), and of each step the row it came from.

    Lists of one row must be equally long; a missing list is one of missing steps. Errors: DataError naming the row.
    """
    lists = [field.name for field in table.schema if is_list(field.type)]
    lengths = {name: pc.fill_null(pc.list_value_length(table[name]), -1).to_numpy() for name in lists}
    steps = np.maximum(np.max(list(lengths.values()), axis=0), 0).astype(np.int64)
    for name, length in lengths.items():
        if (wrong := np.flatnonzero((length != steps) & (length >= 0))).size:
            row = int(wrong[0])
            raise DataError(
                f"rows[{row}].{name}: has {length[row]:,} steps where another list of that row has {steps[row]:,}. "
                "Lists of one row must be equally long."
            )
    parent = np.repeat(np.arange(table.num_rows), steps)
    columns = {}
    for name in table.column_names:
        if name not in lists:
            columns[name] = table[name].take(pa.array(parent))
            continue
        present = np.repeat(lengths[name] >= 0, steps)
        place = np.cumsum(present) - 1
        columns[name] = pc.list_flatten(table[name]).take(pa.array(np.where(present, place, 0), mask=~present))
    added = next(n for n in (ID, *(f"{ID}_{i}" for i in range(table.num_columns + 1))) if n not in columns)
    if series in (None, added):
        columns[added] = pa.array(parent.astype(str))
    return pa.table(columns), series or added, parent
