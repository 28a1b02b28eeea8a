"""Texts as sequences of ids, each from the id before its first token on, and windows of them for a network."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess.text import tokenizers
from lamina.preprocess.text.ragged import Ragged
from lamina.tasks.language_modelling.state import State

PIECE_BYTES = 1 << 22  # of texts that are encoded at once
NEWLINE = "\n"


class Window(NamedTuple):
    """Stretches of ids from `starts` on; the tokens behind the first `skip` of each are those it has to say, and all
    before `stop` are there.
    """

    starts: np.ndarray
    skip: np.ndarray
    stop: np.ndarray


def smallest(size: int) -> np.dtype:
    """The type that holds ids below `size` in the fewest bytes."""
    return np.dtype(np.uint8 if size <= 1 << 8 else np.uint16 if size <= 1 << 16 else np.int32)


def pieces(column: pa.ChunkedArray | pa.Array) -> Iterator[pa.Array]:
    """A column of texts in slices of a few megabytes, as `pa.string()`."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    for chunk in chunks:
        ends, start = np.cumsum(sizes(chunk)), 0
        while start < len(chunk):
            before = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + PIECE_BYTES, side="right")))
            yield chunk.slice(start, stop - start).cast(pa.string())
            start = stop


def sizes(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """(texts,) bytes of each in UTF-8."""
    return pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False).astype(np.int64)


def joined(column: pa.ChunkedArray | pa.Array) -> str:
    """Rows that are one text; where they have no ends of lines, each is a line."""
    texts = [text or "" for text in column.to_pylist()]
    if len(texts) > 1 and not any(text.endswith(NEWLINE) for text in texts[:-1]):
        return NEWLINE.join(texts)
    return "".join(texts)


def encode(texts: pa.Array, state: State) -> Ragged:
    """Each text by itself: the id it starts from, its own, and of a document its end."""
    ids, offsets = tokenizers.encode(texts, state.tokenizer)
    lengths = np.diff(offsets)
    ends = int(state.documents)
    places = np.concatenate([[0], np.cumsum(lengths + 1 + ends)])
    out = np.full(int(places[-1]), state.start if state.end is None else state.end, np.int32)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    out[places[rows] + 1 + np.arange(len(ids)) - offsets[rows]] = ids
    return Ragged(out, places)


def windows(lengths: Iterable[int] | np.ndarray, context: int) -> Window:
    """Windows of `context` + 1 ids over sequences of these lengths, one behind the other, so that each token but the
    first of a sequence is said once, from half of the context at least where there is so much.
    """
    lengths = np.asarray(lengths, np.int64)
    firsts = np.cumsum(lengths) - lengths
    stride = max(1, context - context // 2)
    more = np.maximum(lengths - 1 - context, 0)  # tokens beyond the first window
    counts = np.where(lengths > 1, 1 + -(-more // stride), 0)
    owner = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = np.minimum(number * stride, more[owner])
    before = np.where(number > 0, context + (number - 1) * stride, 0)  # tokens that windows before it have said
    return Window(firsts[owner] + start, before - start, firsts[owner] + lengths[owner])
