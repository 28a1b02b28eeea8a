"""What of a moment comes again: the month, the day, the day of the week and the hour, as sine and cosine."""

import functools
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import number
from lamina.privacy import MIN_ROWS

DAY, HOUR, MINUTE = 86_400, 3_600, 60
THURSDAY = 3  # the first day of 1970


def cycles(seconds: np.ndarray, hours: bool) -> np.ndarray:
    """(..., 6 or 8) of seconds since 1970, int64: sine and cosine of each cycle, with `hours` of the hour, too."""
    days, months = seconds // DAY, seconds.astype("M8[s]").astype("M8[M]")
    parts = [
        (months.astype(np.int64) % 12 + 1, 12),
        (days - months.astype("M8[D]").astype(np.int64) + 1, 31),
        ((days + THURSDAY) % 7, 7),
    ]
    if hours:
        parts.append((seconds % DAY // HOUR + seconds % HOUR // MINUTE / 60, 24))
    return _circles(parts)


@functools.cache
def edges(hours: bool, bins: int) -> tuple[tuple[float, ...], ...]:
    """Bin edges of each of those columns: of all that a calendar holds, so they say nothing of the times there were."""
    periods = (12, 31, 7, *([24] if hours else []))
    columns = (column for period in periods for column in _circles([(np.arange(period), period)]).T)
    return tuple(number.edges(column, bins) for column in columns)


def statistics(values: pa.Array) -> dict[str, Any]:
    """Missing cells, and from when to when the others are."""
    ends = {"from": pc.min(values).as_py(), "to": pc.max(values).as_py()}
    single = [n for n, end in ends.items() if end and pc.sum(pc.equal(values, end)).as_py() < MIN_ROWS]
    return {"missing": values.null_count, **{name: _spell(end) for name, end in ends.items() if end}, "single": single}


def _spell(moment: datetime) -> str:
    """A day, and the time of it unless it is the beginning."""
    return str(moment).removesuffix(" 00:00:00")


def _circles(parts: Iterable[tuple[np.ndarray, int]]) -> np.ndarray:
    angles = np.stack([2 * np.pi * part / period for part, period in parts], axis=-1)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(*angles.shape[:-1], 2 * angles.shape[-1])
