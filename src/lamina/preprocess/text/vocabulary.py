"""The words, parts of words and characters of training texts, and how many rows have each."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from lamina.preprocess.text.characters import POINTS, characters
from lamina.preprocess.text.ragged import per_row

Tokens = tuple[pa.Array, np.ndarray]  # of some texts, one behind the other, and where those of each begin


def word_counts(pieces: Iterable[Tokens], min_rows: int) -> pa.Table:
    """Each `word` that at least `min_rows` texts hold, how many `rows` these are, and the `times` it comes, the most
    frequent first.
    """
    counts = []
    for tokens, offsets in pieces:
        coded = tokens.dictionary_encode()
        places, size = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), len(coded.dictionary)
        once = np.unique(per_row(offsets) * size + places) % max(size, 1)
        numbers = [np.bincount(numbers, minlength=size) for numbers in (once, places)]
        counts.append(pa.table([coded.dictionary, *numbers], names=["word", "rows", "times"]))
    table = pa.concat_tables(counts).group_by("word").aggregate([("rows", "sum"), ("times", "sum")])
    table = table.rename_columns(["word", "rows", "times"])
    table = table.filter(pa.array(table["rows"].to_numpy() >= min_rows))
    return table.sort_by([("times", "descending"), ("word", "ascending")])


def character_vocabulary(pieces: Iterable[pa.Array], min_rows: int) -> tuple[str, ...]:
    """The characters that at least `min_rows` texts hold, in the order of Unicode. `pieces`: normalised texts."""
    rows = np.zeros(POINTS, np.int64)
    for texts in pieces:
        points, offsets = characters(texts)
        if min_rows > 1:
            points = np.unique(per_row(offsets) * POINTS + points) % POINTS
        rows += np.bincount(points, minlength=POINTS)
    return tuple(map(chr, np.flatnonzero(rows >= min_rows).tolist()))
