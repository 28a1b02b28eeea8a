"""Lists of ids of many texts in two arrays, cut and pad to a matrix; and the bytes of texts as Arrow holds them."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

HEAD = 4  # a text that is too long keeps a quarter of its tokens from the start, and the rest from the end


class Ragged(NamedTuple):
    """`ids` (total,) int32 of all texts one behind the other; those of text `i` lie between `offsets[i]` and
    `offsets[i + 1]`, (texts + 1,) int64.
    """

    ids: np.ndarray
    offsets: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """(texts,) int64 ids of each text."""
        return np.diff(self.offsets)


def concat(parts: list[Ragged]) -> Ragged:
    """Parts of one column as one."""
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([np.zeros(1, np.int64), *(part.lengths for part in parts)])
    return Ragged(np.concatenate([np.zeros(0, np.int32), *(part.ids for part in parts)]), np.cumsum(lengths))


def pad(ragged: Ragged, width: int, padding: int, both_ends: bool) -> np.ndarray:
    """(texts, width) int64. Of a text that is longer, the first ids stay; with `both_ends` a quarter from its start and
    three quarters from its end, where an opinion often stands.

    Sun et al. 2019 (arXiv 1905.05583) found both ends better than either.
    """
    lengths = ragged.lengths
    here = np.minimum(lengths, width)
    rows = np.repeat(np.arange(len(lengths)), here)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(here) - here, here)
    source = np.repeat(ragged.offsets[:-1], here) + place
    if both_ends:
        source += np.where(place >= width // HEAD, np.repeat(lengths - here, here), 0)
    out = np.full((len(lengths), width), padding, np.int64)
    out[rows, place] = ragged.ids[source]
    return out


def raw(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of texts without null (bytes,) uint8 and where each begins (texts + 1,) int64; no copy of the bytes."""
    _, places, body = values.buffers()
    offsets = np.zeros(1, np.int64)
    if len(values):
        offsets = np.frombuffer(places, np.int32)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    data = np.zeros(0, np.uint8) if body is None else np.frombuffer(body, np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0]


def strings(data: np.ndarray, offsets: np.ndarray) -> pa.Array:
    """The reverse of `raw`."""
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


def per_row(offsets: np.ndarray) -> np.ndarray:
    """Which row each of the parts belongs to that offsets (rows + 1,) count."""
    lengths = np.diff(offsets)
    return np.repeat(np.arange(len(lengths)), lengths)
