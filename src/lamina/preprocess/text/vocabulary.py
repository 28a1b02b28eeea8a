"""The words and the characters of training texts, and how many rows have each."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from lamina.preprocess.text.characters import POINTS, characters, words
from lamina.preprocess.text.ragged import per_row


def word_vocabulary(pieces: Iterable[pa.Array], min_rows: int, size: int) -> tuple[str, ...]:
    """The words that at least `min_rows` texts hold, the most frequent first. `pieces`: normalised texts."""
    counts = []
    for texts in pieces:
        tokens, offsets = words(texts)
        coded = tokens.dictionary_encode()
        places, count = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), len(coded.dictionary)
        once = np.unique(per_row(offsets) * count + places) % max(count, 1)
        numbers = [np.bincount(numbers, minlength=count) for numbers in (once, places)]
        counts.append(pa.table([coded.dictionary, *numbers], names=["word", "rows", "times"]))
    table = pa.concat_tables(counts).group_by("word").aggregate([("rows", "sum"), ("times", "sum")])
    table = table.filter(pa.array(table["rows_sum"].to_numpy() >= min_rows))
    return tuple(table.sort_by([("times_sum", "descending"), ("word", "ascending")])["word"][:size].to_pylist())


def character_vocabulary(pieces: Iterable[pa.Array], min_rows: int) -> tuple[str, ...]:
    """The characters that at least `min_rows` texts hold, in the order of Unicode. `pieces`: normalised texts."""
    rows = np.zeros(POINTS, np.int64)
    for texts in pieces:
        points, offsets = characters(texts)
        if min_rows > 1:
            points = np.unique(per_row(offsets) * POINTS + points) % POINTS
        rows += np.bincount(points, minlength=POINTS)
    return tuple(map(chr, np.flatnonzero(rows >= min_rows).tolist()))
