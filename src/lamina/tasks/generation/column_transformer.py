"""How each column of a table is encoded and generated, fitted on training rows: its choices, its modes, its limits.

What few rows have may name a person, and is not stored: a text that fewer than five rows have counts as a frequent one
(which, its hash says), a number that fewer have is rounded first, and numbers stay between the fifth smallest and the
fifth largest.
"""

import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import privacy
from lamina.config import DataError
from lamina.preprocess import UNUSED, category, parse_columns
from lamina.schema import LARGEST, Column, Schema
from lamina.tasks.generation.state import NUMERIC, ColumnModes

EXACT = float(1 << 53)  # up to which whole numbers are whole
MODES = 10
FEW = 20  # distinct numbers that are each a choice
CHOICES = 500  # texts of a column, the most frequent
SPIKE, ABOVE, NEAR = 0.005, 4, 5  # share of the rows, times its neighbours, how many of those
SAMPLE = 5_000
COVERED = 0.98  # of the rows, for a grid
WRITABLE = ("number", "category", "boolean", "time", "constant")
UNITS = (86_400, 3_600, 60, 1)
ISO = {86_400: "%Y-%m-%d", 3_600: "%Y-%m-%dT%H:%M", 60: "%Y-%m-%dT%H:%M", 1: "%Y-%m-%dT%H:%M:%S"}


def fit(table: pa.Table, schema: Schema) -> tuple[tuple[ColumnModes, ...], tuple[str, ...]]:
    """How to encode each column, from training rows (cleaned), and a note on those that are left out."""
    columns, omitted = list[ColumnModes](), list[str]()
    for column in schema.columns:
        modes = _modes_of(table, column) if column.kind in WRITABLE else None
        if modes is not None:
            columns.append(modes)
        elif column.kind != "ignore":
            omitted.append(column.name)
    if not any(modes.blocks for modes in columns):
        raise DataError("columns: no column is left whose cells could be made. Numbers, categories and times can.")
    why = "identifiers, free text and columns of rare values only are not made"
    return tuple(columns), (f"Not in the rows that are made: {', '.join(omitted)} ({why}).",) if omitted else ()


def _modes_of(table: pa.Table, column: Column) -> ColumnModes | None:
    """The modes of one column; None where no value is frequent enough."""
    raw = table[column.name].combine_chunks()
    if column.kind in NUMERIC:
        numbers, settings = _numbers(table, column, raw)
        return ColumnModes(**settings, **_number(numbers, settings["decimals"])) if len(numbers) else None
    cells = texts(table, column)
    counts = cells.drop_null().value_counts().to_pylist()
    ranked = sorted(((c["counts"], c["values"]) for c in counts), key=lambda c: (-c[0], c[1]))
    frequent = [(count, text) for count, text in ranked if count >= privacy.MIN_ROWS][:CHOICES]
    if not frequent and column.kind != "constant":
        return None
    total = sum(count for count, _ in frequent)
    return ColumnModes(
        name=column.name,
        kind=column.kind,
        form=_form(raw.type),
        missing=cells.null_count > 0,
        values=tuple(text for _, text in frequent),
        shares=tuple(count / total for count, _ in frequent),
    )


def _form(kind: pa.DataType) -> str:
    tests = {"boolean": pa.types.is_boolean, "whole": pa.types.is_integer, "number": pa.types.is_floating}
    tests |= {"date": pa.types.is_date, "moment": pa.types.is_timestamp}
    return next((name for name, test in tests.items() if test(kind)), "text")


def texts(table: pa.Table, column: Column) -> pa.Array:
    """Cells as they are spelled; what its kind cannot read is missing."""
    if column.name not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    cells = category.parse(table[column.name].combine_chunks(), category.Config())
    if column.kind in UNUSED:
        return cells
    valid = pc.is_valid(parse_columns(table, (column,))[column.name].combine_chunks())
    return pc.if_else(valid, cells, pa.scalar(None, pa.string()))


def _numbers(table: pa.Table, column: Column, raw: pa.Array) -> tuple[np.ndarray, dict[str, Any]]:
    """Present cells of a number or a time, and how they are spelled."""
    cells = parse_columns(table, (column,))[column.name].combine_chunks()
    present, unit, form = cells.drop_null(), 1, "number"
    if column.kind == "time":
        seconds = present.cast(pa.int64()).to_numpy(zero_copy_only=False)
        unit = next(u for u in UNITS if not (seconds % u).any())
        present, form = pa.array(seconds // unit), _form(raw.type)
        if form not in ("date", "moment"):
            form = column.settings.get("unit") or column.settings.get("format") or ISO[unit]
    numbers = present.to_numpy(zero_copy_only=False).astype(np.float64)
    if np.abs(numbers).max(initial=0) > LARGEST:
        raise DataError(
            f"columns: '{column.name}' has numbers beyond {LARGEST:g}, too large to be made (got {numbers.min():g} to "
            f"{numbers.max():g}). Give another unit, or leave the column out: --set columns.{column.name}=ignore"
        )
    places = range(7 if np.abs(numbers).max(initial=0) < EXACT / 4 else 0)  # of limits, too, all digits must be exact
    decimals = next((d for d in places if np.allclose(np.round(numbers, d), numbers, rtol=1e-12, atol=1e-12)), -1)
    form = "whole" if form == "number" and decimals == 0 else form
    settings = {"name": column.name, "kind": column.kind, "form": form, "missing": cells.null_count > 0}
    return numbers, settings | {"unit": unit, "decimals": decimals}


def _number(numbers: np.ndarray, decimals: int) -> dict[str, Any]:
    """The choices of a column of numbers, and their limits."""
    exact, numbers, few = numbers, privacy.coarse(numbers), privacy.MIN_ROWS
    distinct, counts = np.unique(numbers, return_counts=True)
    inside = numbers[(numbers >= exact.min()) & (numbers <= exact.max())]  # rounding may have led out
    ordered = np.sort(inside if len(inside) else numbers)
    low, high = ordered[min(few, len(ordered)) - 1], ordered[-min(few, len(ordered))]
    if low > high:
        low, high = high, low
    limits = {"low": float(low), "high": float(high)}
    frequent = distinct[counts >= few]
    if len(distinct) <= FEW:
        return limits | {"spikes": tuple((frequent if len(frequent) else distinct).tolist())}
    spikes = distinct[_is_spike(counts, len(numbers)) & (counts >= few)]
    rest, exact_rest = (np.clip(v[~np.isin(v, spikes)], low, high) for v in (numbers, exact))
    if len(rest) < few:
        return limits | {"spikes": tuple(frequent.tolist())}
    centres, spreads = _mixture(rest)
    used = np.bincount(assign(rest, centres, spreads)[0], minlength=len(centres)) > 0
    covers = decimals >= 0 and len(frequent) <= 1000 and counts[counts >= few].sum() >= COVERED * len(numbers)
    return limits | {
        "spikes": tuple(spikes.tolist()),
        "centres": tuple(centres[used].tolist()),
        "spreads": tuple(spreads[used].tolist()),
        "reaches": tuple(map(privacy.upward, _reaches(exact_rest, centres[used], spreads[used]).tolist())),
        "grid": tuple(frequent.tolist()) if covers else (),
    }


def _reaches(numbers: np.ndarray, centres: np.ndarray, spreads: np.ndarray) -> np.ndarray:
    """How far numbers lie from the centre they belong to, at most."""
    mode, offsets = assign(numbers, centres, spreads)
    return np.array([np.abs(offsets[mode == m]).max(initial=1e-9 * spread) for m, spread in enumerate(spreads)])


def _is_spike(counts: np.ndarray, rows: int) -> np.ndarray:
    """A mask of the numbers that far more rows have than the numbers next to them."""
    around = np.lib.stride_tricks.sliding_window_view(np.pad(counts, NEAR, mode="reflect"), 2 * NEAR + 1)
    return (counts >= SPIKE * rows) & (counts >= ABOVE * np.median(around, axis=1))


def _mixture(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres and spreads of the components of a mixture of normals."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    sample = np.random.default_rng(0).permutation(numbers)[:SAMPLE]
    scale = sample.std() or 1.0
    model = BayesianGaussianMixture(
        n_components=min(MODES, len(np.unique(sample))), weight_concentration_prior=1e-3, max_iter=60, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # any mixture will do: it is an encoding
        model.fit(((sample - sample.mean()) / scale)[:, None])
    large = model.weights_ > min(0.005, model.weights_.max() / 2)
    centres = model.means_[large, 0] * scale + sample.mean()
    return centres, np.maximum(np.sqrt(model.covariances_[large, 0, 0]) * scale, 1e-9 * scale)


def assign(numbers: np.ndarray, centres: np.ndarray, spreads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each number the likeliest centre, and the offset from there."""
    offsets = numbers[:, None] - centres
    mode = (-0.5 * (offsets / spreads) ** 2 - np.log(spreads)).argmax(axis=1)
    return mode, offsets[np.arange(len(mode)), mode]
