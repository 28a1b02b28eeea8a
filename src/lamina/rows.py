"""Rows of a table as the numbers that a generator learns and makes, and back; one code for training and serving.

A number is what it lacks to the middle of the nearest of a few values, in (-1, 1), and which of them that is (Xu et al.
2019, CTGAN: mode-specific normalisation); anything else is which of its values it is. A missing cell is one more value.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import UNUSED, Preprocessor, typed
from lamina.schema import Column, Input, Schema
from lamina.tasks.generation import Made, State

MODES = 10
WIDE = 4.0  # deviations that (-1, 1) stands for


def feeds(prep: Preprocessor, state: State) -> dict[str, Input]:
    """What a generator learns from: pictures as they are, or rows as blocks of numbers; and the class of each."""
    size = len(state.classes)
    condition = {"condition": Input(kind="category", shape=(1,), dtype="int64", sizes=(size,))} if size else {}
    if not state.columns:
        return condition | prep.inputs
    sizes = tuple(size for column in state.columns for size in column.blocks)
    return condition | {"row": Input(kind="row", shape=(sum(sizes),), dtype="float32", sizes=sizes)}


def fit(table: pa.Table, schema: Schema) -> tuple[Made, ...]:
    """How to write each used column, from training rows (cleaned)."""
    used = tuple(column for column in schema.columns if column.kind not in UNUSED)
    cells = typed(table, used)
    return tuple(_made(column, cells[column.name].combine_chunks()) for column in used)


def _made(column: Column, values: pa.Array) -> Made:
    missing = values.null_count > 0
    known = values.drop_null()
    if column.kind != "number" or len(pc.unique(known)) <= MODES:
        counts = sorted(known.cast(pa.string()).value_counts().to_pylist(), key=lambda c: -c["counts"])
        return Made(name=column.name, kind=column.kind, missing=missing, values=tuple(c["values"] for c in counts))
    numbers = known.to_numpy(zero_copy_only=False).astype(np.float64)
    centres, spreads = _modes(numbers)
    whole = bool((numbers == np.floor(numbers)).all())
    return Made(
        name=column.name,
        kind="number",
        missing=missing,
        centres=tuple(centres.tolist()),
        spreads=tuple(spreads.tolist()),
        low=float(numbers.min()),
        high=float(numbers.max()),
        whole=whole,
    )


def _modes(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres and spreads of the parts that a mixture of normals finds."""
    from sklearn.mixture import BayesianGaussianMixture

    sample = np.random.default_rng(0).permutation(numbers)[:10_000]
    scale = sample.std() or 1.0
    model = BayesianGaussianMixture(
        n_components=MODES, weight_concentration_prior=1e-3, max_iter=100, n_init=1, random_state=0
    )
    model.fit(((sample - sample.mean()) / scale)[:, None])
    kept = model.weights_ > 0.005
    centres = model.means_[kept, 0] * scale + sample.mean()
    return centres, np.maximum(np.sqrt(model.covariances_[kept, 0, 0]) * scale, 1e-9 * scale)


def encode(table: pa.Table, schema: Schema, columns: Sequence[Made]) -> np.ndarray:
    """Rows (cleaned) as blocks of numbers (rows, width) float32."""
    used = {column.name: column for column in schema.columns}
    cells = typed(table, tuple(used[made.name] for made in columns))
    blocks = [_written(made, cells[made.name].combine_chunks()) for made in columns]
    return np.concatenate(blocks, axis=1).astype(np.float32)


def _written(made: Made, values: pa.Array) -> np.ndarray:
    absent = pc.is_null(values).to_numpy(zero_copy_only=False)
    if made.values:
        codes = pc.index_in(values.cast(pa.string()), value_set=pa.array(made.values, pa.string()))
        codes = pc.fill_null(codes, 0).to_numpy(zero_copy_only=False)
        codes = np.where(absent & made.missing, len(made.values), codes)
        return np.eye(made.blocks[0], dtype=np.float32)[codes]
    numbers = pc.fill_null(values, made.centres[0]).to_numpy(zero_copy_only=False).astype(np.float64)
    centres, spreads = np.array(made.centres), np.array(made.spreads)
    away = (numbers[:, None] - centres) / spreads
    mode = (-0.5 * away**2 - np.log(spreads)).argmax(axis=1)
    share = np.clip(away[np.arange(len(mode)), mode] / WIDE, -1, 1)
    mode = np.where(absent & made.missing, len(centres), mode)
    share = np.where(absent, 0, share)
    return np.concatenate([share[:, None], np.eye(made.blocks[1], dtype=np.float32)[mode]], axis=1)


def decode(matrix: np.ndarray, columns: Sequence[Made]) -> pa.Table:
    """Blocks of numbers, those of a choice as scores, as rows: every cell is of its column's type and range."""
    found, at = {}, 0
    for made in columns:
        widths = made.blocks
        found[made.name] = _read(made, matrix[:, at : at + sum(widths)])
        at += sum(widths)
    return pa.table(found)


def _read(made: Made, block: np.ndarray) -> pa.Array:
    if made.values:
        code = block.argmax(axis=1)
        cells = pa.array([*made.values, None], pa.string()).take(pa.array(np.minimum(code, len(made.values))))
        return cells.cast({"number": pa.float64(), "boolean": pa.bool_()}.get(made.kind, pa.string()))
    mode = block[:, 1:].argmax(axis=1)
    absent = mode >= len(made.centres)
    mode = np.minimum(mode, len(made.centres) - 1)
    numbers = np.array(made.centres)[mode] + WIDE * np.clip(block[:, 0], -1, 1) * np.array(made.spreads)[mode]
    numbers = np.clip(numbers, made.low, made.high)
    numbers = np.round(numbers) if made.whole else numbers
    return pa.array(numbers.astype(np.int64) if made.whole else numbers, mask=absent)
