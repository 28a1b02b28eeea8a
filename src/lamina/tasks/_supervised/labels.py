"""Class labels: the classes of training rows, and rows as codes of them."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError

MOST = 100_000  # different labels
INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")  # as it is written when read as a whole number


class Classes(NamedTuple):
    """Labels in order (numbers by value), how many rows have each, and whether all are whole numbers as they stand."""

    names: tuple[str, ...]
    counts: tuple[int, ...]
    integers: bool


def classes(values: pa.Array, most: int = MOST) -> Classes:
    """The different labels of a text array without nulls, sorted. Errors: DataError where there are too many."""
    counts = {c["values"]: c["counts"] for c in values.value_counts().to_pylist()}
    if len(counts) > most:
        raise DataError(
            f"target: has {len(counts):,} different labels, and a network can tell {most:,} apart at most. Give rare "
            "labels one name, leave their rows out, or check that this is the column to be predicted."
        )
    integers = all(INTEGER.fullmatch(v) and abs(int(v)) < 1 << 63 for v in counts)
    names = tuple(sorted(counts, key=int) if integers else sorted(counts))
    return Classes(names, tuple(counts[name] for name in names), integers)


def codes(values: pa.Array, classes: Sequence[str]) -> np.ndarray:
    """(rows,) class codes, -1 where the label is unknown.

    A label that differs from exactly one class only in case, blanks or closing punctuation is that class:
    Adult's official test file writes `<=50K.` for `<=50K`.
    """
    distinct = pc.unique(values).to_pylist()
    loose: dict[str, list[int]] = {}
    for code, name in enumerate(classes):
        loose.setdefault(_loose(name), []).append(code)
    exact = {name: code for code, name in enumerate(classes)}
    near = {v: loose.get(_loose(v), []) if v is not None else [] for v in distinct}
    matches = [exact.get(v, near[v][0] if len(near[v]) == 1 else -1) for v in distinct]
    places = pc.index_in(values, value_set=pa.array(distinct, values.type)).to_numpy(zero_copy_only=False)
    return np.array(matches, np.int64)[places] if distinct else np.zeros(0, np.int64)


def _loose(label: str) -> str:
    return label.casefold().strip().rstrip(".;,").strip()
