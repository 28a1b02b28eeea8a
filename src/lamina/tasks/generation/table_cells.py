"""Cells of real and of generated rows as numbers that can be compared, and what they may be."""

import re
from collections.abc import Collection, Sequence
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

    def __init__(
        self,
        train: pa.Table,
        columns: Sequence[Column],
        target: Column | None,
        classes: Sequence[str],
        patterned: Collection[str] = (),
        computed: Collection[str] = (),
    ):
        self.patterned, self.computed = frozenset(patterned), frozenset(computed)
        self.columns, self.target, self.classes = columns, target, tuple(classes)
        self.words = {c.name: _words(train, c) for c in columns if c.kind not in NUMERIC}
        self.texts = np.array([c.kind not in NUMERIC for c in columns])
        self.shapes = {
            c.name: _shapes(train[c.name], c) if pa.types.is_string(train[c.name].type) else None for c in columns
        }
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
        """Share of cells that are unknown, out of range, written as no training cell is, of another type, or missing
        where none may be. What formulas compute may be out of range, and texts of a pattern new.
        """
        bad = np.zeros(cells.numbers.shape, bool)
        for i, column in enumerate(self.columns):
            values, nulls = cells.numbers[:, i], pc.is_null(table[column.name]).to_numpy()
            patterned = column.name in self.patterned
            bad[:, i] = nulls & (not self.missing[i]) if patterned else np.isnan(values) & (~nulls | ~self.missing[i])
            bad[:, i] |= ~self._has_format(table, column) & ~nulls
            if patterned or column.name in self.computed:
                continue
            with np.errstate(invalid="ignore"):
                low, high = self.limits[i]
                fraction = self.whole[i] & ~np.isnan(values) & (np.floor(values) != values)
                bad[:, i] |= (values < low) | (values > high) | fraction
        return float(bad.mean()) if bad.size else 0.0

    def _has_format(self, table: pa.Table, column: Column) -> np.ndarray:
        """(rows,) whether cells have the shape of some training cell: their type, or of text its signs and digits."""
        shapes = self.shapes[column.name]
        if shapes is None:
            return np.ones(table.num_rows, bool)
        if not pa.types.is_string(table[column.name].type):
            texts = category.as_text(table[column.name].combine_chunks()).to_pylist()
        else:
            texts = table[column.name].to_pylist()
        return np.array([text is None or _shape(text, column.kind) in shapes for text in texts], bool)


DIGIT, LETTERS, NUMBER = re.compile(r"\d"), re.compile(r"[^\W\d_]+"), re.compile(r"\d+")
WHOLE = re.compile(r"\d{1,3}(?:(?P<mark>[,.' \xa0\u202f])\d{3})+(?!\d)|\d+")


def _shape(text: str, kind: str) -> str:
    """A text with 9 for digits: of times each, of other texts each number; of numbers only marks and decimals."""
    if kind == "time":
        return LETTERS.sub("a", DIGIT.sub("9", text))
    if kind != "number":
        return LETTERS.sub("a", NUMBER.sub("9", text))
    first = WHOLE.search(text)
    if first is None:
        return text
    grouped = first["mark"] or ("?" if len(first[0]) < 4 else "")
    return f"{text[: first.start()]}9{grouped}{DIGIT.sub('9', text[first.end() :])}"


def _shapes(cells: pa.ChunkedArray, column: Column) -> set[str]:
    """The shapes of text cells."""
    return {_shape(text, column.kind) for text in pc.unique(cells).to_pylist() if text is not None}


def _text(table: pa.Table, column: Column) -> pa.Array:
    return category.parse(table[column.name].combine_chunks(), category.Config())


def _words(train: pa.Table, column: Column) -> pa.Array:
    return pc.unique(_text(train, column).drop_null())
