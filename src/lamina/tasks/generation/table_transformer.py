"""Rows of a table as the numbers that a generator learns and gives, and back; one code for training and serving.

A number is its offset, -1 to 1, from the mean of the nearest of a few normal distributions, and which of them that is
(Xu et al. 2019, CTGAN: mode-specific normalisation); a number that many rows share, such as 0, is a choice of its own,
and so comes back exactly. Anything else is which of its values it is. A missing cell is one more choice. What the
choices of a column are, `column_transformer` finds out; `table_decoder` is the way back.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import Preprocessor
from lamina.schema import Column, Input, Schema
from lamina.tasks.generation import column_values, text_templates, time_parts, time_spellings
from lamina.tasks.generation.number_modes import assign
from lamina.tasks.generation.row_layout import Leaf, Place, layout, uniform
from lamina.tasks.generation.state import ColumnModes, State
from lamina.tasks.generation.table_decoder import decode


def inputs(prep: Preprocessor, state: State) -> dict[str, Input]:
    """What a generator learns from: images as they are, or rows as blocks of numbers; and the class of each."""
    size = len(state.classes)
    condition = {"condition": Input(kind="category", shape=(1,), dtype="int64", sizes=(size,))} if size else {}
    if not state.columns:
        return condition | prep.inputs
    sizes = tuple(size for column in state.columns for size in column.blocks)
    return condition | {"row": Input(kind="row", shape=(sum(sizes),), dtype="float32", sizes=sizes)}


def encode(table: pa.Table, schema: Schema, columns: Sequence[ColumnModes]) -> np.ndarray:
    """Rows (cleaned) as blocks of numbers (rows, width) float32."""
    by_name = {column.name: column for column in schema.columns}
    matrix = np.zeros((table.num_rows, sum(sum(modes.blocks) for modes in columns)), np.float32)
    needed = {name for modes in columns for name in (modes.name, *modes.bases)}
    numeric = {m.name: column_values.numbers(table, by_name[m.name]) for m in columns if m.numeric and m.name in needed}
    for place in layout(columns)[0]:
        _encode_column(matrix, place, table, by_name[place.own.modes.name], numeric)
    return matrix


def offsets(columns: Sequence[ColumnModes]) -> Iterator[tuple[ColumnModes, int]]:
    """Columns that have numbers, with where those start."""
    return ((place.own.modes, place.own.start) for place in layout(columns)[0] if place.own.modes.blocks)


def _encode_column(
    matrix: np.ndarray, place: Place, table: pa.Table, column: Column, numeric: dict[str, np.ndarray]
) -> None:
    """Fill in the numbers (rows, width) of one column."""
    modes = place.own.modes
    if not modes.numeric:
        cells = column_values.texts(table, column)
        if modes.templates:
            _encode_templates(matrix, place, cells)
        else:
            _encode_texts(matrix, place.own, cells)
        return
    numbers = numeric[column.name]
    if not modes.parts:
        _encode_numbers(matrix, place.own, numbers / modes.unit)
        return
    _encode_choice(matrix, place.own, np.isnan(numbers).astype(int))
    leaves = [leaf for leaf in place.nested if leaf.modes.numeric]
    for leaf, values in zip(leaves, _parts(table, column, modes, numeric), strict=True):
        _encode_numbers(matrix, leaf, values)
    for leaf in place.nested[len(leaves) :]:
        zones = [time_spellings.zone_of(cell or "") for cell in column_values.raw(table, column).to_pylist()]
        _encode_texts(matrix, leaf, pa.array(zones, pa.string()))


def _parts(table: pa.Table, column: Column, modes: ColumnModes, numeric: dict[str, np.ndarray]) -> list[np.ndarray]:
    """What a column of numbers is the sum of."""
    if modes.relative:
        base = np.fmax.reduce([numeric[name] for name in modes.bases])
        return [np.round((numeric[column.name] - base) / modes.unit, 9)]
    own = tuple(part for part in modes.parts if part.numeric)
    if own[0].name == "rest":
        return [np.full(table.num_rows, own[0].low)]
    return time_parts.take_apart(column_values.clocks(table, column), own)


def _encode_choice(matrix: np.ndarray, leaf: Leaf, choice: np.ndarray) -> None:
    """One of the choices of a column or a part of it."""
    if leaf.modes.choices > 1:
        first = leaf.start + len(leaf.modes.own_blocks) - 1
        matrix[np.arange(len(matrix)), first + np.clip(choice, 0, leaf.modes.choices - 1)] = 1


def _encode_numbers(matrix: np.ndarray, leaf: Leaf, numbers: np.ndarray) -> None:
    """Numbers (rows,) by their modes; NaN is missing where it may be, and else the first choice."""
    absent = np.isnan(numbers)
    choice, offset = _number_choices(np.where(absent, 0, numbers), leaf.modes)
    if leaf.modes.centres:
        matrix[:, leaf.start] = np.where(absent, 0, offset)
    _encode_choice(matrix, leaf, np.where(absent, leaf.modes.choices - 1 if leaf.modes.missing else 0, choice))


def _encode_texts(matrix: np.ndarray, leaf: Leaf, cells: pa.Array) -> None:
    absent = pc.is_null(cells).to_numpy(zero_copy_only=False)
    missing = absent & leaf.modes.missing
    _encode_choice(matrix, leaf, np.where(missing, leaf.modes.choices - 1, _text_choices(cells, leaf.modes)))


def _encode_templates(matrix: np.ndarray, place: Place, cells: pa.Array) -> None:
    """Texts by how they are put together; those of no template count as of the first."""
    modes, texts = place.own.modes, cells.to_pylist()
    which, pieces = text_templates.take_apart(texts, modes.templates)
    absent = pc.is_null(cells).to_numpy(zero_copy_only=False)
    missing = absent & modes.missing
    _encode_choice(matrix, place.own, np.where(missing, modes.choices - 1, np.maximum(which, 0)))
    for leaf, words in zip(place.nested, pieces, strict=True):
        _encode_slot(matrix, leaf, words)


def _encode_slot(matrix: np.ndarray, leaf: Leaf, words: list[Any]) -> None:
    if leaf.modes.numeric:
        _encode_numbers(matrix, leaf, np.array([np.nan if word is None else float(word) for word in words]))
    elif leaf.modes.values:
        _encode_texts(matrix, leaf, pa.array(words, pa.string()))


def _number_choices(numbers: np.ndarray, modes: ColumnModes) -> tuple[np.ndarray, np.ndarray]:
    """Which choice each number is, centres first, and the offset from the centre."""
    spikes, centres = np.array(modes.spikes), np.array(modes.centres)
    above = np.clip(np.searchsorted(spikes, numbers), 1, len(spikes) - 1) if len(spikes) > 1 else None
    if above is None:
        nearest = np.zeros(len(numbers), np.int64)
    else:
        nearest = np.where(numbers - spikes[above - 1] <= spikes[above] - numbers, above - 1, above)
    if not len(centres):
        return nearest, np.zeros(len(numbers))
    mode, offset = assign(np.clip(numbers, modes.low, modes.high), centres, np.array(modes.spreads))
    offset = np.clip(offset / np.array(modes.reaches)[mode], -1, 1)
    exact = spikes[nearest] == numbers if len(spikes) else np.zeros(len(numbers), bool)
    return np.where(exact, len(centres) + nearest, mode), np.where(exact, 0, offset)


def _text_choices(cells: pa.Array, modes: ColumnModes) -> np.ndarray:
    """Which value each text is; one that is not stored is one of them all the same, as often as those occur."""
    places = pc.index_in(cells, value_set=pa.array(modes.values, pa.string()))
    codes = pc.fill_null(places, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    if modes.values and (other := codes < 0).any():
        words = cells.filter(pa.array(other)).fill_null("").dictionary_encode()
        hashes = np.array([zlib.crc32(word.encode()) / 2**32 for word in words.dictionary.to_pylist()])
        substitutes = np.searchsorted(np.cumsum(modes.shares), hashes).clip(0, len(modes.values) - 1)
        codes[other] = substitutes[words.indices.to_numpy(zero_copy_only=False)]
    return codes


__all__ = ["decode", "encode", "inputs", "offsets", "uniform"]
