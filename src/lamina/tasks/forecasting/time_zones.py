"""The zone that times of a history are in: steps of days and months lie on its clocks, and answers are in it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import preprocess
from lamina.preprocess import time
from lamina.schema import Column
from lamina.tasks.forecasting.state import Frequency
from lamina.tasks.forecasting.time_index import DAY, Timestamps

LONG = 23 * 3600  # seconds between rows, from which on clocks count: a day may be so short


class Zone(NamedTuple):
    """The name of a zone, or its offset such as `+02:00`, and by how many seconds its clocks were ahead of UTC in each
    row of a table.
    """

    name: str
    utc_offsets: np.ndarray


def find(table: pa.Table, columns: Sequence[Column], names: tuple[str, ...]) -> Zone | None:
    """The zone of the only column of times, if it has one: of texts with several offsets, the last."""
    column = next((c for c in columns if names == (c.name,) and c.kind == "time"), None)
    if column is None or column.name not in table.column_names:
        return None
    cells, cfg = table[column.name].combine_chunks(), preprocess.settings(column)
    assert isinstance(cfg, time.Config)
    name = time.zone(cells, cfg)
    if name is None:
        return None
    offsets = pc.subtract(time.clock(cells, cfg).cast(pa.int64()), time.parse(cells, cfg).cast(pa.int64()))
    return Zone(name, pc.fill_null(offsets, 0).to_numpy(zero_copy_only=False))


def on_clocks(times: Timestamps, zone: Zone | None) -> Timestamps:
    """Times as the clocks of their zone showed them."""
    return times if zone is None else times._replace(values=times.values + zone.utc_offsets)


def begin_by_clocks(frequency: Frequency) -> bool:
    """Whether steps are days, weeks, months: what begins when clocks say so."""
    return frequency.unit in ("month", "business") or (frequency.unit == "second" and frequency.count % DAY == 0)


def restore(times: np.ndarray, frequency: Frequency, zone: str | None, utc_offsets: np.ndarray) -> pa.Array:
    """Times of steps ahead (series, horizon), in one column, in the zone that the history has; `utc_offsets`
    (series,): of the last row of each series.
    """
    column = pa.array(times.ravel())
    if zone is None or not pa.types.is_timestamp(column.type):
        return column
    aware = pa.timestamp(column.type.unit, zone)
    if not frequency.local:
        return column.cast(pa.timestamp(column.type.unit, "UTC")).cast(aware)
    if zone[0] in "+-":
        moments = times - utc_offsets[:, None].astype("m8[s]")
        return pa.array(moments.ravel()).cast(pa.timestamp(column.type.unit, "UTC")).cast(aware)
    return pc.assume_timezone(column, zone, ambiguous="earliest", nonexistent="earliest")
