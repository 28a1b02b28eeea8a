"""Rows of a table as the numbers that a generator learns and gives, and back; one code for training and serving.

A number is its offset, -1 to 1, from the mean of the nearest of a few normal distributions, and which of them that is
(Xu et al. 2019, CTGAN: mode-specific normalisation); a number that many rows share, such as 0, is a choice of its own,
and so comes back exactly. Anything else is which of its values it is. A missing cell is one more choice. What the
choices of a column are, `column_transformer` finds out.
"""

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import Preprocessor, parse_columns, time
from lamina.schema import Column, Input, Schema
from lamina.tasks.generation.column_transformer import assign, texts
from lamina.tasks.generation.state import ColumnModes, State


def inputs(prep: Preprocessor, state: State) -> dict[str, Input]:
    """What a generator learns from: pictures as they are, or rows as blocks of numbers; and the class of each."""
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
    for modes, start in offsets(columns):
        _encode_column(matrix[:, start : start + sum(modes.blocks)], modes, table, by_name[modes.name])
    return matrix


def offsets(columns: Sequence[ColumnModes]) -> Iterator[tuple[ColumnModes, int]]:
    """Columns that have numbers, with where those start."""
    start = 0
    for modes in columns:
        if modes.blocks:
            yield modes, start
        start += sum(modes.blocks)


def _encode_column(block: np.ndarray, modes: ColumnModes, table: pa.Table, column: Column) -> None:
    """Fill the block (rows, width) of one column."""
    if modes.numeric:
        cells = parse_columns(table, (column,))[modes.name].combine_chunks()
        cells = cells.cast(pa.int64()) if modes.kind == "time" else cells
        absent = pc.is_null(cells).to_numpy(zero_copy_only=False)
        numbers = pc.fill_null(cells, 0).to_numpy(zero_copy_only=False).astype(np.float64) / modes.unit
        choice, offset = _number_choices(numbers, modes)
        if modes.centres:
            block[:, 0] = np.where(absent, 0, offset)
    else:
        cells = texts(table, column)
        absent = pc.is_null(cells).to_numpy(zero_copy_only=False)
        choice = _text_choices(cells, modes)
    if modes.choices > 1:
        choice = np.where(absent & modes.missing, modes.choices - 1, choice)
        block[np.arange(len(block)), len(modes.blocks) - 1 + choice] = 1


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


def decode(matrix: np.ndarray, columns: Sequence[ColumnModes], seeds: Sequence[int] | None = None) -> pa.Table:
    """Blocks of numbers as rows: every cell is of its column's type and range.

    `matrix`: (rows, width); a choice is as many scores as choices, sampled by their softmax as each row's seed says,
    and the highest without `seeds`. As many columns more as there are offsets are the logarithms of their spreads.
    """
    width, count = sum(sum(modes.blocks) for modes in columns), sum(bool(modes.centres) for modes in columns)
    spread = np.exp(matrix[:, width:].astype(np.float64)) if matrix.shape[1] == width + count else None
    chances = None if seeds is None else uniform(seeds, 3 * len(columns))
    cells, start, offset = dict[str, pa.Array](), 0, 0
    for i, modes in enumerate(columns):
        block = matrix[:, start : start + sum(modes.blocks)].astype(np.float64)
        chance = None if chances is None else chances[:, 3 * i : 3 * i + 3]
        if modes.centres and spread is not None and chance is not None:
            normal = np.sqrt(-2 * np.log(chance[:, 1])) * np.cos(2 * np.pi * chance[:, 2])
            block[:, 0] = np.clip(block[:, 0], -1, 1) + spread[:, offset] * normal
        cells[modes.name] = _decode_column(modes, block, None if chance is None else chance[:, 0])
        start, offset = start + sum(modes.blocks), offset + bool(modes.centres)
    return pa.table(cells)


def uniform(seeds: Sequence[int], count: int) -> np.ndarray:
    """Numbers between 0 and 1, (seeds, count), a function of each seed: SplitMix64, Steele et al. 2014."""
    start = _mix(np.asarray(seeds, np.uint64) + np.uint64(0xA0761D6478BD642F))
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((_mix(start[:, None] + steps) >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53


def _mix(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _decode_column(modes: ColumnModes, block: np.ndarray, chance: np.ndarray | None) -> pa.Array:
    """Cells of one column out of its block (rows, width)."""
    scores = block[:, bool(modes.centres) :]
    choice = _choose(scores, chance) if modes.choices > 1 else np.zeros(len(block), np.int64)
    absent = (choice == modes.choices - 1) & modes.missing if modes.choices else np.ones(len(block), bool)
    if not modes.numeric:
        places = pa.array(np.where(absent, len(modes.values), choice))
        return _cast(pa.array([*modes.values, None], pa.string()).take(places), modes.form)
    centres, spikes = np.array([*modes.centres, 0.0]), np.array([*modes.spikes, 0.0])
    mode, spike = np.minimum(choice, len(modes.centres)), np.clip(choice - len(modes.centres), 0, len(modes.spikes))
    offset = np.clip(block[:, 0], -1, 1) * np.array([*modes.reaches, 0.0])[mode] if modes.centres else 0.0
    numbers = np.clip(centres[mode] + offset, modes.low, modes.high)
    numbers = _snap(numbers, np.array(modes.grid)) if modes.grid else numbers
    numbers = np.where(choice < len(modes.centres), numbers, spikes[spike])
    numbers = np.round(numbers, modes.decimals) if modes.decimals >= 0 else numbers
    return _number_cells(numbers, absent, modes)


def _choose(scores: np.ndarray, chance: np.ndarray | None) -> np.ndarray:
    """The highest choice, or one sampled by the softmax of the scores."""
    if chance is None:
        return scores.argmax(axis=1)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True)).cumsum(axis=1)
    return (chance[:, None] * shares[:, -1:] > shares[:, :-1]).sum(axis=1)


def _snap(numbers: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Each number as the nearest one of a grid."""
    above = np.searchsorted(grid, numbers).clip(1, max(len(grid) - 1, 1))
    if len(grid) == 1:
        return np.full_like(numbers, grid[0])
    return np.where(numbers - grid[above - 1] <= grid[above] - numbers, grid[above - 1], grid[above])


def _cast(cells: pa.Array, form: str) -> pa.Array:
    kinds = {"boolean": pa.bool_(), "whole": pa.int64(), "number": pa.float64(), "date": pa.date32()}
    return cells.cast(kinds.get(form, pa.string()))


def _number_cells(numbers: np.ndarray, absent: np.ndarray, modes: ColumnModes) -> pa.Array:
    """Numbers, or times in units of their column, as cells."""
    if modes.kind == "number":
        return pa.array(numbers.astype(np.int64) if modes.form == "whole" else numbers, mask=absent)
    stamps = pa.array((np.round(numbers) * modes.unit).astype(np.int64), mask=absent).cast(pa.timestamp("s"))
    if modes.form in ("date", "moment"):
        return stamps.cast(pa.date32()) if modes.form == "date" else stamps
    return time.texts(stamps, modes.form)
