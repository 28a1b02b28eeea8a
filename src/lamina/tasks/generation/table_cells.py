"""Cells of real and of generated rows as numbers that can be compared, and what they may be."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import category, parse_columns
from lamina.schema import Column
from lamina.tasks._supervised import labels
from lamina.tasks.generation.state import NUMERIC


class Cells(NamedTuple):
    """Rows as numbers (rows, columns): codes where `texts`, NaN where missing; and the class of each row (rows,)."""

    numbers: np.ndarray
    texts: np.ndarray
    classes: np.ndarray

    def sample(self, count: int, rng: np.random.Generator) -> "Cells":
        """Some of the rows."""
        rows = rng.permutation(len(self.numbers))[:count]
        return Cells(self.numbers[rows], self.texts, self.classes[rows])


class CellEncoder:
    """Cells as numbers by the training rows, and what they may be."""

    def __init__(self, train: pa.Table, columns: Sequence[Column], target: Column | None, classes: Sequence[str]):
        self.columns, self.target, self.classes = columns, target, tuple(classes)
        self.words = {c.name: _words(train, c) for c in columns if c.kind not in NUMERIC}
        self.texts = np.array([c.kind not in NUMERIC for c in columns])
        self.train = self.encode(train)
        numbers = [self.train.numbers[:, i] for i in range(len(columns))]
        self.limits = [(np.nanmin(v), np.nanmax(v)) if np.isfinite(v).any() else (0, 0) for v in numbers]
        self.whole = np.array([bool((np.floor(v) == v)[~np.isnan(v)].all()) for v in numbers])
        self.missing = np.array([bool(np.isnan(v).any()) for v in numbers])

    def encode(self, table: pa.Table) -> Cells:
        """Rows of any table with these columns."""
        numbers = np.stack([self._numbers(table, c) for c in self.columns], axis=1)
        classes = np.zeros(table.num_rows, np.int64)
        if self.target:
            values = parse_columns(table, (self.target,))[self.target.name].combine_chunks()
            classes = np.maximum(labels.codes(values, self.classes), 0)
        return Cells(numbers, self.texts, classes)

    def _numbers(self, table: pa.Table, column: Column) -> np.ndarray:
        if column.name in self.words:
            values = pc.index_in(_text(table, column), self.words[column.name]).cast(pa.float64())
        else:
            values = parse_columns(table, (column,))[column.name].combine_chunks()
            values = values.cast(pa.int64()).cast(pa.float64(), safe=False) if column.kind == "time" else values
        return pc.fill_null(values, np.nan).to_numpy(zero_copy_only=False).astype(np.float64)

    def invalid(self, table: pa.Table, cells: Cells) -> float:
        """Share of cells that are of another type, unknown, out of range or missing where none may be."""
        bad = np.zeros(cells.numbers.shape, bool)
        for i, column in enumerate(self.columns):
            values, nulls = cells.numbers[:, i], pc.is_null(table[column.name]).to_numpy()
            bad[:, i] = np.isnan(values) & (~nulls | ~self.missing[i])
            with np.errstate(invalid="ignore"):
                low, high = self.limits[i]
                fraction = self.whole[i] & ~np.isnan(values) & (np.floor(values) != values)
                bad[:, i] |= (values < low) | (values > high) | fraction
        return float(bad.mean()) if bad.size else 0.0


def _text(table: pa.Table, column: Column) -> pa.Array:
    return category.parse(table[column.name].combine_chunks(), category.Config())


def _words(train: pa.Table, column: Column) -> pa.Array:
    return pc.unique(_text(train, column).drop_null())
