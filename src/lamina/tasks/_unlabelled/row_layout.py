"""How the columns of a table become one vector for each row, and back; one code for training and serving.

Numbers, times and booleans are standardised by the training rows, the median where one is missing; far from the mean
they grow with the logarithm, so that nothing overflows and the further is still the greater. A category is zeros and a
one: the values that at least five training rows share, then a place for all others, and one for missing cells.
"""

from collections.abc import Mapping
from time import monotonic
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina import privacy
from lamina.config import Config, DataError
from lamina.preprocess import UNUSED, Broken, Preprocessor, parse_columns
from lamina.resources import memory
from lamina.schema import Column, Input, Row, Schema, clean
from lamina.task import Session, TooMuch

LINEAR = 10.0  # deviations from the mean, from where on numbers grow with the logarithm
HUGEST = 1e300
FEW, EDGE = 20, 1000  # rows from which outer ones are held back, and of which one on each side is
VALUES = 50  # of a category, the most frequent
DIGITS = 6
OTHER, MISSING = 0, 1  # places behind the values of a category
BATCH, BATCH_NUMBERS = 4096, 1 << 22  # rows at a time, and numbers of theirs
KINDS = ("number", "time", "boolean", "category")


class Place(Config):
    """A column in the vector: a number takes one place, a category one for each value, others and missing ones."""

    name: str
    kind: Literal["number", "time", "boolean", "category"]
    mean: float = 0.0
    std: float = Field(default=1.0, gt=0)
    fill: float = 0.0  # where a number is missing, standardised
    decimals: int = 0
    values: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return len(self.values) + 2 if self.kind == "category" else 1


class Layout(Config):
    """The columns of a vector, in order."""

    columns: tuple[Place, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(place.width for place in self.columns)

    @property
    def width(self) -> int:
        return sum(self.sizes)


def fit(table: pa.Table, schema: Schema) -> tuple[Layout, tuple[str, ...]]:
    """From training rows (cleaned), with notes on what is left out. Errors: DataError where no column is left."""
    able = tuple(column for column in schema.columns if column.kind in KINDS)
    cells = parse_columns(table, able)
    places = {column.name: _place(column, cells[column.name].combine_chunks()) for column in able}
    columns = tuple(place for place in places.values() if place is not None)
    if not columns:
        raise DataError(
            "columns: none is left to learn from. Numbers, times, and categories of which at least five rows share a "
            "value can be learned, where they are not the same in every training row. Look at them: lamina inspect DATA"
        )
    return Layout(columns=columns), _notes(schema, places)


def _notes(schema: Schema, places: Mapping[str, Place | None]) -> tuple[str, ...]:
    constant = [c.name for c in schema.columns if c.kind == "constant" or (c.name in places and not places[c.name])]
    others = [c.name for c in schema.columns if c.kind not in (*KINDS, "constant", "ignore")]
    return tuple(
        f"Not learned from: {', '.join(names)} ({why})."
        for names, why in (
            (constant, "the same in every training row, or no value that five rows share"),
            (others, "texts and numbers of rows have no place in a vector; another kind: --set columns.NAME.kind=KIND"),
        )
        if names
    )


def _place(column: Column, cells: pa.Array) -> Place | None:
    """How one column is encoded; None where it is the same in every row."""
    if column.kind == "category":
        values = privacy.shared(cells)[:VALUES]
        same = len(values) == 1 and pc.all(pc.equal(cells, values[0]).fill_null(False)).as_py()
        return None if not values or same else Place(name=column.name, kind="category", values=tuple(values))
    numbers = _numbers(cells)
    present = numbers[~np.isnan(numbers)]
    if not len(present) or (present == present[0]).all():
        return None
    ordered = privacy.coarse(_winsorise(np.sort(present)))
    largest = float(np.abs(ordered).max()) or 1.0
    mean, std = float((ordered / largest).mean()) * largest, float((ordered / largest).std()) * largest
    if not std > 1e-12 * abs(mean):
        return None
    median = float(ordered[len(ordered) // 2])
    kind: Any = column.kind
    place = Place(name=column.name, kind=kind, mean=mean, std=std, decimals=_decimals(present, std))
    return place.model_copy(update={"fill": float(_standardise(np.array([median]), place)[0])})


def _winsorise(ordered: np.ndarray) -> np.ndarray:
    """Numbers in order, the outermost no further off than all others reach, so that one absurd number does not decide
    the scale.
    """
    count = len(ordered)
    if count < FEW:
        return ordered
    outer = max(1, count // EDGE)
    low, high = ordered[outer], ordered[count - 1 - outer]
    reach = min(high / 2 - low / 2, HUGEST / 4) * 2
    return np.clip(ordered, low - reach, high + reach) if low < high else ordered


def _decimals(numbers: np.ndarray, std: float) -> int:
    """Digits behind the point of numbers as they are written; where they have many, those that tell a thousandth."""
    some = numbers[np.abs(numbers) < 1e9]
    exact = (d for d in range(DIGITS) if np.allclose(np.round(some, d), some, rtol=0, atol=1e-9))
    return next(exact, int(np.clip(3 - np.floor(np.log10(std)), 0, 12)))


def _numbers(cells: pa.Array) -> np.ndarray:
    """(rows,) float64, NaN where missing; times in seconds since 1970, false and true as 0 and 1."""
    cells = cells.cast(pa.int64()) if pa.types.is_timestamp(cells.type) else cells
    cells = cells.cast(pa.int8()) if pa.types.is_boolean(cells.type) else cells
    return pc.fill_null(cells.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)


def _standardise(numbers: np.ndarray, place: Place) -> np.ndarray:
    with np.errstate(over="ignore"):
        x = np.clip((numbers - place.mean) / place.std, -HUGEST, HUGEST)
    far = np.maximum(np.abs(x), LINEAR)
    return np.where(np.abs(x) > LINEAR, np.sign(x) * LINEAR * (1 + np.log(far / LINEAR)), x)


def _original(values: np.ndarray, place: Place) -> np.ndarray:
    """What `_standardise` made of a number, as the number."""
    far = np.clip(np.abs(values) / LINEAR - 1, 0, 600)
    x = np.where(np.abs(values) > LINEAR, np.sign(values) * LINEAR * np.exp(far), values)
    with np.errstate(over="ignore"):
        return np.clip(place.mean + place.std * x, -HUGEST, HUGEST)


def encode(layout: Layout, prep: Preprocessor, table: pa.Table) -> np.ndarray:
    """Rows (cleaned by `schema.clean`) as vectors, (rows, width) float32."""
    out = np.zeros((table.num_rows, layout.width), np.float32)
    cells, at = prep.parse(table, [place.name for place in layout.columns]), 0
    for place in layout.columns:
        if place.kind == "category":
            out[np.arange(len(out)), at + _codes(cells[place.name], place)] = 1
        else:
            numbers = _numbers(cells[place.name])
            out[:, at] = np.where(np.isnan(numbers), place.fill, _standardise(numbers, place))
        at += place.width
    return out


def _codes(cells: pa.Array, place: Place) -> np.ndarray:
    """Which place of its own each cell of a category takes."""
    count = len(place.values)
    codes = pc.index_in(cells, value_set=pa.array(place.values, pa.string())).fill_null(count + OTHER)
    return pc.if_else(cells.is_null(), count + MISSING, codes).to_numpy(zero_copy_only=False).astype(np.int64)


def decode(layout: Layout, vectors: np.ndarray) -> pa.Table:
    """Vectors (rows, width) as cells that a person reads; a category of another value, or of none, is null."""
    columns, at = dict[str, pa.Array](), 0
    for place in layout.columns:
        block = vectors[:, at : at + place.width].astype(np.float64)
        columns[place.name] = _category(block, place) if place.kind == "category" else _number(block[:, 0], place)
        at += place.width
    return pa.table(columns)


def _category(block: np.ndarray, place: Place) -> pa.Array:
    best = block.argmax(axis=1)
    return pa.array((*place.values, None, None), pa.string()).take(pa.array(best))


def _number(values: np.ndarray, place: Place) -> pa.Array:
    numbers = _original(values, place)
    if place.kind == "boolean":
        return pa.array(numbers >= 0.5)
    if place.kind == "time":
        return pa.array(np.clip(np.rint(numbers), -6e10, 2.5e11).astype(np.int64)).cast(pa.timestamp("s"))
    whole = place.decimals == 0 and np.abs(numbers).max(initial=0) < 1 << 53
    return pa.array(np.rint(numbers).astype(np.int64) if whole else np.round(numbers, place.decimals))


def names(layout: Layout) -> list[str]:
    """The column of each place of a vector."""
    return [place.name for place in layout.columns for _ in range(place.width)]


def inputs(prep: Preprocessor, layout: Layout | None) -> dict[str, Input]:
    """What a network is fed: a vector for each row, or one column of images or series as it is."""
    if layout is None:
        return prep.inputs
    return {"row": Input(kind="row", shape=(layout.width,), dtype="float32", sizes=layout.sizes)}


def is_single(schema: Schema) -> bool:
    """Whether rows are images or series of one column, and no vectors. Errors: DataError for these beside others."""
    kinds = [column.kind for column in schema.columns if column.kind not in UNUSED]
    for kind, noun in (("image", "images"), ("series", "series")):
        if kind in kinds and len(kinds) > 1:
            raise DataError(
                f"columns: {noun} are learned by themselves, and there are {len(kinds) - 1} columns beside them. "
                "Set the kind of the other columns to ignore: --set columns.NAME=ignore"
            )
    return kinds in (["image"], ["series"])


def feed(
    session: Session, layout: Layout | None, rows: pa.Table, broken: list[Broken] | None = None
) -> dict[str, np.ndarray]:
    """Raw rows to what the network of a bundle is fed; cells of no use go to `broken`."""
    if layout is None:
        return session.encode(rows, broken)
    table = clean(rows, session.schema.missing, session.schema.literal)
    return {"row": encode(layout, session.prep, table)}


def outputs(
    session: Any, rows: pa.Table, broken: list[Broken] | None = None, graph: str = "model", keep: tuple[str, ...] = ()
) -> dict[str, np.ndarray]:
    """What a network gives for raw rows, by output name; so many rows at a time that memory is bounded, if only some
    outputs are to `keep` (none named: all), such as those that are small.
    """
    broken, layout = [] if broken is None else broken, session.task.state.layout
    rows = rows if rows.num_columns else pa.table({"": pa.nulls(0)})
    wide = sum(int(np.prod([n or 1 for n in one.shape])) for one in session.spec.inputs.values())
    size, began = max(1, min(BATCH, BATCH_NUMBERS // max(wide, 1))), monotonic()

    def answer(start: int, stop: int) -> dict[str, np.ndarray]:
        if session.limits and monotonic() - began > session.limits.seconds:
            done = f"{start:,} of {rows.num_rows:,} took {session.limits.seconds:g} seconds"
            raise TooMuch(f"rows: {done}. Send fewer at a time.")
        unusable = list[Broken]()
        part = session.run(feed(session, layout, rows.slice(start, stop - start), unusable), graph)
        broken.extend(cell._replace(row=start + cell.row) for cell in unusable)
        return {name: values for name, values in part.items() if not keep or name in keep}

    parts = list(memory.halving(rows.num_rows, size, answer))
    return parts[0] if len(parts) == 1 else {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def facts(layout: Layout) -> list[Row]:
    """The columns of a vector, as plain values for `lamina inspect`."""
    return [{"name": place.name, "kind": place.kind, "places": place.width} for place in layout.columns]
