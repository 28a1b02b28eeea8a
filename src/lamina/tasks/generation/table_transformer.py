"""Rows of a table as the numbers that a generator learns and makes, and back; one code for training and serving.

A number is its way, -1 to 1, from the middle of the nearest of a few normal distributions, and which of them that is
(Xu et al. 2019, CTGAN: mode-specific normalisation); a number that many rows share, such as 0, is a choice of its own,
and so comes back exactly. Anything else is which of its values it is. A missing cell is one more choice. What the
choices of a column are, `columns` finds out.
"""

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import Preprocessor, typed
from lamina.schema import Column, Input, Schema
from lamina.tasks.generation import Made, State
from lamina.tasks.generation.column_transformer import assigned, texts


def feeds(prep: Preprocessor, state: State) -> dict[str, Input]:
    """What a generator learns from: pictures as they are, or rows as blocks of numbers; and the class of each."""
    size = len(state.classes)
    condition = {"condition": Input(kind="category", shape=(1,), dtype="int64", sizes=(size,))} if size else {}
    if not state.columns:
        return condition | prep.inputs
    sizes = tuple(size for column in state.columns for size in column.blocks)
    return condition | {"row": Input(kind="row", shape=(sum(sizes),), dtype="float32", sizes=sizes)}


def encode(table: pa.Table, schema: Schema, columns: Sequence[Made]) -> np.ndarray:
    """Rows (cleaned) as blocks of numbers (rows, width) float32."""
    kinds = {column.name: column for column in schema.columns}
    found = np.zeros((table.num_rows, sum(sum(made.blocks) for made in columns)), np.float32)
    for made, at in placed(columns):
        _write(found[:, at : at + sum(made.blocks)], made, table, kinds[made.name])
    return found


def placed(columns: Sequence[Made]) -> Iterator[tuple[Made, int]]:
    """Columns that have numbers, with where those start."""
    at = 0
    for made in columns:
        if made.blocks:
            yield made, at
        at += sum(made.blocks)


def _write(block: np.ndarray, made: Made, table: pa.Table, column: Column) -> None:
    if made.kind in ("number", "time"):
        cells = typed(table, (column,))[made.name].combine_chunks()
        cells = cells.cast(pa.int64()) if made.kind == "time" else cells
        absent = pc.is_null(cells).to_numpy(zero_copy_only=False)
        numbers = pc.fill_null(cells, 0).to_numpy(zero_copy_only=False).astype(np.float64) / made.unit
        choice, way = _chosen(numbers, made)
        if made.centres:
            block[:, 0] = np.where(absent, 0, way)
    else:
        cells = texts(table, column)
        absent = pc.is_null(cells).to_numpy(zero_copy_only=False)
        choice = _codes(cells, made)
    if made.choices > 1:
        choice = np.where(absent & made.missing, made.choices - 1, choice)
        block[np.arange(len(block)), len(made.blocks) - 1 + choice] = 1


def _chosen(numbers: np.ndarray, made: Made) -> tuple[np.ndarray, np.ndarray]:
    """Which choice each number is, centres first, and the way from the centre."""
    spikes, centres = np.array(made.spikes), np.array(made.centres)
    above = np.clip(np.searchsorted(spikes, numbers), 1, len(spikes) - 1) if len(spikes) > 1 else None
    if above is None:
        nearest = np.zeros(len(numbers), np.int64)
    else:
        nearest = np.where(numbers - spikes[above - 1] <= spikes[above] - numbers, above - 1, above)
    if not len(centres):
        return nearest, np.zeros(len(numbers))
    mode, away = assigned(np.clip(numbers, made.low, made.high), centres, np.array(made.spreads))
    way = np.clip(away / np.array(made.reaches)[mode], -1, 1)
    exact = spikes[nearest] == numbers if len(spikes) else np.zeros(len(numbers), bool)
    return np.where(exact, len(centres) + nearest, mode), np.where(exact, 0, way)


def _codes(cells: pa.Array, made: Made) -> np.ndarray:
    """Which value each text is; one that is not kept is one of them all the same, as often as those occur."""
    found = pc.index_in(cells, value_set=pa.array(made.values, pa.string()))
    codes = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    if made.values and (other := codes < 0).any():
        words = cells.filter(pa.array(other)).fill_null("").dictionary_encode()
        drawn = np.array([zlib.crc32(word.encode()) / 2**32 for word in words.dictionary.to_pylist()])
        picked = np.searchsorted(np.cumsum(made.shares), drawn).clip(0, len(made.values) - 1)
        codes[other] = picked[words.indices.to_numpy(zero_copy_only=False)]
    return codes


def decode(matrix: np.ndarray, columns: Sequence[Made], seeds: Sequence[int] | None = None) -> pa.Table:
    """Blocks of numbers as rows: every cell is of its column's type and range.

    `matrix`: (rows, width); a choice is as many scores as choices, drawn by their softmax as each row's seed says, and
    the highest without `seeds`. As many columns more as there are ways are the logarithms of the ways' spreads.
    """
    width, ways = sum(sum(made.blocks) for made in columns), sum(bool(made.centres) for made in columns)
    spread = np.exp(matrix[:, width:].astype(np.float64)) if matrix.shape[1] == width + ways else None
    drawn = None if seeds is None else uniform(seeds, 3 * len(columns))
    found, at, way = {}, 0, 0
    for i, made in enumerate(columns):
        block = matrix[:, at : at + sum(made.blocks)].astype(np.float64)
        chance = None if drawn is None else drawn[:, 3 * i : 3 * i + 3]
        if made.centres and spread is not None and chance is not None:
            normal = np.sqrt(-2 * np.log(chance[:, 1])) * np.cos(2 * np.pi * chance[:, 2])
            block[:, 0] = np.clip(block[:, 0], -1, 1) + spread[:, way] * normal
        found[made.name] = _read(made, block, None if chance is None else chance[:, 0])
        at, way = at + sum(made.blocks), way + bool(made.centres)
    return pa.table(found)


def uniform(seeds: Sequence[int], count: int) -> np.ndarray:
    """Numbers between 0 and 1, (seeds, count), a function of each seed: SplitMix64, Steele et al. 2014."""
    start = _mixed(np.asarray(seeds, np.uint64) + np.uint64(0xA0761D6478BD642F))
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((_mixed(start[:, None] + steps) >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53


def _mixed(bits: np.ndarray) -> np.ndarray:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _read(made: Made, block: np.ndarray, chance: np.ndarray | None) -> pa.Array:
    choice = _picked(block[:, bool(made.centres) :], chance) if made.choices > 1 else np.zeros(len(block), np.int64)
    absent = (choice == made.choices - 1) & made.missing if made.choices else np.ones(len(block), bool)
    if made.kind not in ("number", "time"):
        cells = pa.array([*made.values, None], pa.string()).take(pa.array(np.where(absent, len(made.values), choice)))
        return _cast(cells, made.form)
    centres, spikes = np.array([*made.centres, 0.0]), np.array([*made.spikes, 0.0])
    mode, spike = np.minimum(choice, len(made.centres)), np.clip(choice - len(made.centres), 0, len(made.spikes))
    way = np.clip(block[:, 0], -1, 1) * np.array([*made.reaches, 0.0])[mode] if made.centres else 0.0
    numbers = np.clip(centres[mode] + way, made.low, made.high)
    numbers = _snapped(numbers, np.array(made.grid)) if made.grid else numbers
    numbers = np.where(choice < len(made.centres), numbers, spikes[spike])
    numbers = np.round(numbers, made.decimals) if made.decimals >= 0 else numbers
    return _numbered(numbers, absent, made)


def _picked(scores: np.ndarray, chance: np.ndarray | None) -> np.ndarray:
    """The highest choice, or one drawn by the softmax of the scores."""
    if chance is None:
        return scores.argmax(axis=1)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True)).cumsum(axis=1)
    return (chance[:, None] * shares[:, -1:] > shares[:, :-1]).sum(axis=1)


def _snapped(numbers: np.ndarray, grid: np.ndarray) -> np.ndarray:
    above = np.searchsorted(grid, numbers).clip(1, max(len(grid) - 1, 1))
    if len(grid) == 1:
        return np.full_like(numbers, grid[0])
    return np.where(numbers - grid[above - 1] <= grid[above] - numbers, grid[above - 1], grid[above])


def _cast(cells: pa.Array, form: str) -> pa.Array:
    kinds = {"boolean": pa.bool_(), "whole": pa.int64(), "number": pa.float64(), "date": pa.date32()}
    return cells.cast(kinds.get(form, pa.string()))


def _numbered(numbers: np.ndarray, absent: np.ndarray, made: Made) -> pa.Array:
    if made.kind == "number":
        return pa.array(numbers.astype(np.int64) if made.form == "whole" else numbers, mask=absent)
    stamps = pa.array((np.round(numbers) * made.unit).astype(np.int64), mask=absent).cast(pa.timestamp("s"))
    if made.form in ("date", "moment"):
        return stamps.cast(pa.date32()) if made.form == "date" else stamps
    return pc.strftime(stamps, format=made.form)
