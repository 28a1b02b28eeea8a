"""Rows of a table as the numbers that a generator learns and makes, and back; one code for training and serving.

A number is its way, -1 to 1, from the middle of the nearest of a few normal distributions, and which of them that is
(Xu et al. 2019, CTGAN: mode-specific normalisation); a number that many rows share, such as 0, is a choice of its own,
and so comes back exactly. Anything else is which of its values it is. A missing cell is one more choice.

What few rows have may name a person, and is not kept: a text that fewer than five rows have counts as a frequent one
(which, its hash says), and numbers stay between the fifth smallest and the fifth largest.
"""

import warnings
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError
from lamina.preprocess import UNUSED, Preprocessor, category, time, typed
from lamina.schema import Column, Input, Schema
from lamina.tasks.generation import Made, State

MODES = 10
FEW = 20  # distinct numbers that are each a choice
CHOICES = 500  # texts of a column, the most frequent
RARE = 5  # rows that must share what is kept of them
SPIKE, ABOVE, NEAR = 0.005, 4, 5  # share of the rows, times its neighbours, how many of those
SAMPLED = 5_000
COVERED = 0.98  # of the rows, for a grid
WRITABLE = ("number", "category", "boolean", "time", "constant")
UNITS = (86_400, 3_600, 60, 1)
ISO = {86_400: "%Y-%m-%d", 3_600: "%Y-%m-%dT%H:%M", 60: "%Y-%m-%dT%H:%M", 1: "%Y-%m-%dT%H:%M:%S"}
TIMES = {*ISO.values(), *(form for _, form in time.FORMATS)}


def feeds(prep: Preprocessor, state: State) -> dict[str, Input]:
    """What a generator learns from: pictures as they are, or rows as blocks of numbers; and the class of each."""
    size = len(state.classes)
    condition = {"condition": Input(kind="category", shape=(1,), dtype="int64", sizes=(size,))} if size else {}
    if not state.columns:
        return condition | prep.inputs
    sizes = tuple(size for column in state.columns for size in column.blocks)
    return condition | {"row": Input(kind="row", shape=(sum(sizes),), dtype="float32", sizes=sizes)}


def fit(table: pa.Table, schema: Schema) -> tuple[tuple[Made, ...], tuple[str, ...]]:
    """How to write each column, from training rows (cleaned), and a note on those that are left out."""
    found, left = list[Made](), list[str]()
    for column in schema.columns:
        made = _made(table, column) if column.kind in WRITABLE else None
        if made is not None:
            found.append(made)
        elif column.kind != "ignore":
            left.append(column.name)
    if not any(made.blocks for made in found):
        raise DataError("columns: no column is left whose cells could be made. Numbers, categories and times can.")
    why = "identifiers, free text and columns of rare values only are not made"
    return tuple(found), (f"Not in the rows that are made: {', '.join(left)} ({why}).",) if left else ()


def _made(table: pa.Table, column: Column) -> Made | None:
    raw = table[column.name].combine_chunks()
    few = min(RARE, max(1, table.num_rows // 50))
    if column.kind in ("number", "time"):
        numbers, extra = _numbers(table, column, raw)
        return Made(**(extra | _number(numbers, few, extra["decimals"]))) if len(numbers) else None
    texts = _texts(table, column)
    counts = texts.drop_null().value_counts().to_pylist()
    ranked = sorted(((c["counts"], c["values"]) for c in counts), key=lambda c: (-c[0], c[1]))
    kept = [(count, text) for count, text in ranked if count >= few or column.kind == "constant"][:CHOICES]
    if not kept and column.kind != "constant":
        return None
    total = sum(count for count, _ in kept)
    return Made(
        name=column.name,
        kind=column.kind,
        form=_form(raw.type),
        missing=texts.null_count > 0,
        values=tuple(text for _, text in kept),
        shares=tuple(count / total for count, _ in kept),
    )


def _form(kind: pa.DataType) -> str:
    tests = {"boolean": pa.types.is_boolean, "whole": pa.types.is_integer, "number": pa.types.is_floating}
    tests |= {"date": pa.types.is_date, "moment": pa.types.is_timestamp}
    return next((name for name, test in tests.items() if test(kind)), "text")


def _texts(table: pa.Table, column: Column) -> pa.Array:
    """Cells as they are spelled; what its kind cannot read is missing."""
    if column.name not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    texts = category.parse(table[column.name].combine_chunks(), category.Config())
    if column.kind in UNUSED:
        return texts
    known = pc.is_valid(typed(table, (column,))[column.name].combine_chunks())
    return pc.if_else(known, texts, pa.scalar(None, pa.string()))


def _numbers(table: pa.Table, column: Column, raw: pa.Array) -> tuple[np.ndarray, dict]:
    """Known cells of a number or a time, and how they are written."""
    cells = typed(table, (column,))[column.name].combine_chunks()
    known, unit, form = cells.drop_null(), 1, "number"
    if column.kind == "time":
        seconds = known.cast(pa.int64()).to_numpy(zero_copy_only=False)
        unit = next(u for u in UNITS if not (seconds % u).any())
        known, form = pa.array(seconds // unit), _form(raw.type)
        said = str(column.settings.get("format"))
        form = (said if said in TIMES else ISO[unit]) if form == "text" else form
    numbers = known.to_numpy(zero_copy_only=False).astype(np.float64)
    decimals = next((d for d in range(7) if np.allclose(np.round(numbers, d), numbers, rtol=1e-12, atol=1e-12)), -1)
    form = "whole" if form == "number" and decimals == 0 else form
    made = {"name": column.name, "kind": column.kind, "form": form, "missing": cells.null_count > 0}
    return numbers, made | {"unit": unit, "decimals": decimals}


def _number(numbers: np.ndarray, few: int, decimals: int) -> dict:
    """The choices of a column of numbers, and their limits."""
    distinct, counts = np.unique(numbers, return_counts=True)
    ordered = np.sort(numbers)
    low, high = ordered[min(few, len(ordered)) - 1], ordered[-min(few, len(ordered))]
    if low > high:
        low, high = high, low
    limits = {"low": float(low), "high": float(high)}
    often = distinct[counts >= few]
    if len(distinct) <= FEW:
        return limits | {"spikes": tuple((often if len(often) else distinct).tolist())}
    spikes = distinct[_spiked(counts, len(numbers)) & (counts >= few)]
    rest = np.clip(numbers[~np.isin(numbers, spikes)], low, high)
    if len(rest) < few:
        return limits | {"spikes": tuple(often.tolist())}
    centres, spreads = _modes(rest)
    used = np.bincount(_nearest(rest, centres, spreads)[0], minlength=len(centres)) > 0
    covers = decimals >= 0 and len(often) <= 1000 and counts[counts >= few].sum() >= COVERED * len(numbers)
    return limits | {
        "spikes": tuple(spikes.tolist()),
        "centres": tuple(centres[used].tolist()),
        "spreads": tuple(spreads[used].tolist()),
        "reaches": tuple(_reaches(rest, centres[used], spreads[used]).tolist()),
        "grid": tuple(often.tolist()) if covers else (),
    }


def _reaches(numbers: np.ndarray, centres: np.ndarray, spreads: np.ndarray) -> np.ndarray:
    """How far numbers lie from the centre they belong to, at most."""
    mode, away = _nearest(numbers, centres, spreads)
    found = [np.abs(away[mode == m]).max(initial=1e-9 * spread) for m, spread in enumerate(spreads)]
    return np.array(found)


def _spiked(counts: np.ndarray, rows: int) -> np.ndarray:
    """A mask of the numbers that far more rows have than the numbers next to them."""
    around = np.lib.stride_tricks.sliding_window_view(np.pad(counts, NEAR, mode="reflect"), 2 * NEAR + 1)
    return (counts >= SPIKE * rows) & (counts >= ABOVE * np.median(around, axis=1))


def _modes(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres and spreads of the parts that a mixture of normals finds."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    sample = np.random.default_rng(0).permutation(numbers)[:SAMPLED]
    scale = sample.std() or 1.0
    model = BayesianGaussianMixture(
        n_components=min(MODES, len(np.unique(sample))), weight_concentration_prior=1e-3, max_iter=60, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # any mixture will do: it is a way of writing
        model.fit(((sample - sample.mean()) / scale)[:, None])
    kept = model.weights_ > min(0.005, model.weights_.max() / 2)
    centres = model.means_[kept, 0] * scale + sample.mean()
    return centres, np.maximum(np.sqrt(model.covariances_[kept, 0, 0]) * scale, 1e-9 * scale)


def _nearest(numbers: np.ndarray, centres: np.ndarray, spreads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each number the likeliest centre, and the way from there."""
    away = numbers[:, None] - centres
    mode = (-0.5 * (away / spreads) ** 2 - np.log(spreads)).argmax(axis=1)
    return mode, away[np.arange(len(mode)), mode]


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
        texts = _texts(table, column)
        absent = pc.is_null(texts).to_numpy(zero_copy_only=False)
        choice = _codes(texts, made)
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
    mode, away = _nearest(np.clip(numbers, made.low, made.high), centres, np.array(made.spreads))
    way = np.clip(away / np.array(made.reaches)[mode], -1, 1)
    exact = spikes[nearest] == numbers if len(spikes) else np.zeros(len(numbers), bool)
    return np.where(exact, len(centres) + nearest, mode), np.where(exact, 0, way)


def _codes(texts: pa.Array, made: Made) -> np.ndarray:
    """Which value each text is; one that is not kept is one of them all the same, as often as those occur."""
    found = pc.index_in(texts, value_set=pa.array(made.values, pa.string()))
    codes = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    if made.values and (other := codes < 0).any():
        words = texts.filter(pa.array(other)).fill_null("").dictionary_encode()
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
