"""Cells of real and of made rows as numbers that can be compared, and what they may be."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import category, typed
from lamina.schema import Column
from lamina.tasks import classification


class Plain(NamedTuple):
    """Rows as numbers: codes where `texts`, NaN where missing; and the class of each row, or nothing."""

    cells: np.ndarray
    texts: np.ndarray
    classes: np.ndarray


class Reader:
    """Cells of the training rows as numbers, and what they may be."""

    def __init__(self, train: pa.Table, columns: Sequence[Column], target: Column | None, classes: Sequence[str]):
        self.columns, self.target, self.classes = columns, target, tuple(classes)
        self.words = {c.name: _words(train, c) for c in columns if not _numeric(c)}
        self.texts = np.array([not _numeric(c) for c in columns])
        self.train = self.plain(train)
        known = [self.train.cells[:, i] for i in range(len(columns))]
        self.limits = [(np.nanmin(v), np.nanmax(v)) if np.isfinite(v).any() else (0, 0) for v in known]
        self.whole = np.array([bool((np.floor(v) == v)[~np.isnan(v)].all()) for v in known])
        self.missing = np.array([bool(np.isnan(v).any()) for v in known])

    def plain(self, table: pa.Table) -> Plain:
        """Rows of any table with these columns."""
        cells = np.stack([self._cells(table, c) for c in self.columns], axis=1)
        classes = np.zeros(table.num_rows, np.int64)
        if self.target:
            said = typed(table, (self.target,))[self.target.name].combine_chunks()
            classes = np.maximum(classification.codes(said, self.classes), 0)
        return Plain(cells, self.texts, classes)

    def _cells(self, table: pa.Table, column: Column) -> np.ndarray:
        if column.name in self.words:
            found = pc.index_in(_text(table, column), self.words[column.name]).cast(pa.float64())
        else:
            found = typed(table, (column,))[column.name].combine_chunks()
            found = found.cast(pa.int64()).cast(pa.float64(), safe=False) if column.kind == "time" else found
        return pc.fill_null(found, np.nan).to_numpy(zero_copy_only=False).astype(np.float64)

    def invalid(self, table: pa.Table, plain: Plain) -> float:
        """Share of cells that are of another type, unknown, out of range or missing where none may be."""
        bad = np.zeros(plain.cells.shape, bool)
        for i, column in enumerate(self.columns):
            values, nulls = plain.cells[:, i], pc.is_null(table[column.name]).to_numpy()
            bad[:, i] = np.isnan(values) & (~nulls | ~self.missing[i])
            with np.errstate(invalid="ignore"):
                low, high = self.limits[i]
                part = self.whole[i] & ~np.isnan(values) & (np.floor(values) != values)
                bad[:, i] |= (values < low) | (values > high) | part
        return float(bad.mean()) if bad.size else 0.0


def _numeric(column: Column) -> bool:
    return column.kind in ("number", "time")


def _text(table: pa.Table, column: Column) -> pa.Array:
    return category.parse(table[column.name].combine_chunks(), category.Config())


def _words(train: pa.Table, column: Column) -> pa.Array:
    return pc.unique(_text(train, column).drop_null())
