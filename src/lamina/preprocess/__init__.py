"""Stage 2: raw columns become the arrays a network is fed; the same code in training and in serving.

A column kind is one file here, named by the kind, with

- `Config`: its settings, with `kind: Literal["<name>"]`;
- `State`: what was learned from the training rows, plain JSON values only;
- `detect(column) -> (score, settings)`: how well raw cells fit this kind, 0 to 1, and settings found on the way;
- `parse(column, cfg) -> pa.Array`: raw cells to one Arrow type; a malformed cell becomes null;
- `fit(values, cfg) -> State`: sees parsed training rows only;
- `encode(values, state) -> np.ndarray`: (rows, width), never fails on a new value;
- `feed(state) -> Input`: what the network must be ready for;
- where cells can be broken, `faults(values, state) -> reasons`: rows to set aside in training, None for a sound one;
- where encoding is long, `kept(values, state)`: as `encode`, from a file on disk when there is one;
- where there is more to say of cells than their values, `about(column, cfg) -> note`: a few words;
- where cells must not leave with a bundle, `golden(values, state, rng) -> cells`: as many made-up ones, plain JSON;
- where JSON has no plain value for cells, `wire(cells) -> pa.Array`: what `parse` takes, out of JSON;
- where cells can be broken when asked too, `checked(values, state) -> (array, reasons)`: as `encode`, and why not;
- where cells are files, `bounded(state, most)`: refuses what is larger; `area(body)`: pixels of one.

Arrays of kind `number` and of kind `category` are laid side by side into one input each; others stay apart.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.config import Config, LaminaError, nearest, parse
from lamina.plugins import plugin
from lamina.preprocess._file_kind import FileKind
from lamina.preprocess._inference import column as infer_column
from lamina.preprocess._inference import columns as infer_columns
from lamina.preprocess.image import survey as _survey
from lamina.schema import MISSING, Column, Input, Schema

JOINED = ("number", "category")
UNUSED = ("constant", "identifier", "ignore")


def infer(table: pa.Table, target: str | None, given: Mapping[str, Config], missing: tuple[str, ...]) -> Schema:
    """Decide the kind of every column from the training rows; `given` kinds win over what is seen."""
    absent = [name for name in (*given, target) if name is not None and name not in table.column_names]
    if absent:
        raise LaminaError(f"columns: the data has no column '{absent[0]}'. {nearest(absent[0], table.column_names)}")
    found = infer_columns(table.drop_columns([target] if target else []), given)
    aim = infer_column(table[target], target, given.get(target)) if target else None
    return Schema(columns=found, target=aim, missing=missing)


def look(values: pa.Array, kind: str) -> dict[str, Any]:
    """The settings that a kind finds out by looking at some cells, such as how times are written."""
    return plugin("preprocess", kind).detect(values)[1]


def suits(values: pa.Array, kind: str) -> float:
    """How well raw cells fit a kind, 0 to 1."""
    return plugin("preprocess", kind).detect(values)[0] if len(values) else 0.0


def typed(table: pa.Table, columns: tuple[Column, ...]) -> pa.Table:
    """The columns asked for, each parsed by its kind; a column that is absent counts as missing in every row."""
    return pa.table({c.name: _parse(table, c) for c in columns}) if columns else table.select([])


def can_be_broken(column: Column) -> bool:
    """Whether cells of this kind can be there and yet be of no use, such as pictures that do not decode."""
    return column.kind not in UNUSED and "faults" in vars(_plugin(column))


def is_file(column: Column) -> bool:
    """Whether cells of this kind are files, such as pictures."""
    return column.kind not in UNUSED and "FILE" in vars(_plugin(column))


def faults(tables: Iterable[pa.Table], column: Column) -> Iterator[list[str | None]]:
    """Why each cell of a column cannot be used, table by table; what is needed to tell comes from the first."""
    module, state = _plugin(column), None
    for table in tables:
        values = _parse(table, column)
        state = state or module.fit(values, settings(column))
        yield module.faults(values, state)


def surveyed(table: pa.Table, columns: tuple[Column, ...], labels: list[Any], parts: list[Any]) -> list[dict[str, Any]]:
    """What each column of pictures holds: counts by class, sizes, colours, broken ones, the same one twice."""
    most = {c.name: settings(c).model_dump()["max_pixels"] for c in columns if c.kind == "image"}
    return [
        {"column": c.name, **_survey.survey(_parse(table, c), most[c.name], labels, parts)}
        for c in columns
        if c.name in most
    ]


def wired(columns: tuple[Column, ...], cells: Mapping[str, list[Any]]) -> dict[str, pa.Array]:
    """What `typed` takes for the cells of those columns whose kind JSON writes in its own way: base64, lists."""
    found = {c.name: vars(_plugin(c)) for c in columns if c.kind not in UNUSED and c.name in cells}
    return {name: module["wire"](cells[name]) for name, module in found.items() if "wire" in module}


def _parse(table: pa.Table, column: Column) -> pa.Array:
    if column.name not in table.column_names:
        return _plugin(column).parse(pa.nulls(table.num_rows, pa.string()), settings(column))
    values = table[column.name].combine_chunks()
    return _plugin(column).parse(
        values if not pa.types.is_null(values.type) else values.cast(pa.string()), settings(column)
    )


def _plugin(column: Column) -> Any:
    return plugin("preprocess", column.kind, f"columns.{column.name}")


def settings(column: Column) -> Config:
    """The checked settings of a column: its kind's defaults and what the schema says."""
    faults: list[str] = []
    cfg = parse(_plugin(column).Config, {"kind": column.kind, **column.settings}, f"columns.{column.name}", faults)
    if cfg is None:
        raise LaminaError("\n".join(faults))
    return cfg


class Broken(NamedTuple):
    """A cell that is there but cannot be used, and why."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True)
class Preprocessor:
    """Fitted preprocessing: `encode` turns raw rows into network inputs. Built by `fit` or `restore`."""

    schema: Schema
    states: tuple[Config, ...]

    @property
    def used(self) -> tuple[Column, ...]:
        return tuple(c for c in self.schema.columns if c.kind not in UNUSED)

    @property
    def pictures(self) -> dict[str, str]:
        """Name of each column of pictures, to the name of the input it becomes."""
        return {c.name: f"image{i}" for i, c in enumerate(self.used) if c.kind == "image"}

    @property
    def inputs(self) -> dict[str, Input]:
        """Name to `Input`, as a network's `Spec` wants them; in the order of the names, whatever the file's order."""
        groups: dict[str, list[Input]] = {}
        for i, (column, state) in enumerate(zip(self.used, self.states, strict=True)):
            feed = _plugin(column).feed(state)
            groups.setdefault(feed.kind if feed.kind in JOINED else f"{feed.kind}{i}", []).append(feed)
        return {name: _join(groups[name]) for name in sorted(groups)}

    @property
    def files(self) -> tuple[Column, ...]:
        """The columns whose cells are files, such as pictures: they come as paths, or over a wire as bytes."""
        return tuple(c for c in self.used if "area" in vars(_plugin(c)))

    def file_kind(self, name: str) -> FileKind:
        """What is to be known of the files of a column."""
        return _plugin(next(c for c in self.files if c.name == name)).FILE

    def area(self, name: str, bodies: Iterable[bytes | None]) -> int:
        """Pixels of all these cells of a column of files, by their headers."""
        column = next(c for c in self.files if c.name == name)
        return sum(_plugin(column).area(body) for body in bodies if body)

    def bounded(self, most: int) -> "Preprocessor":
        """The same, refusing pictures of more pixels than that."""
        pairs = zip(self.used, self.states, strict=True)
        return Preprocessor(
            self.schema, tuple(_plugin(c).bounded(s, most) if "bounded" in vars(_plugin(c)) else s for c, s in pairs)
        )

    def encode(self, table: pa.Table, keep: bool = False, broken: list[Broken] | None = None) -> dict[str, np.ndarray]:
        """Raw rows (cleaned by `schema.clean`) to arrays by input name; the first dimension is the row.

        `keep`: what takes long may be kept on disk, and be a memory map of it. To `broken` are added the cells that
        are there but cannot be used, such as pictures that are cut short.
        """
        parsed = typed(table, self.used)
        groups: dict[str, list[np.ndarray]] = {}
        for i, (column, state) in enumerate(zip(self.used, self.states, strict=True)):
            module = _plugin(column)
            values = parsed[column.name].combine_chunks()
            kind = module.feed(state).kind
            if broken is not None and "checked" in vars(module):
                array, reasons = module.checked(values, state)
                broken += [Broken(row, column.name, why) for row, why in enumerate(reasons) if why]
            else:
                encode = module.kept if keep and "kept" in vars(module) else module.encode
                array = encode(values, state)
            groups.setdefault(kind if kind in JOINED else f"{kind}{i}", []).append(array)
        return {name: np.concatenate(g, axis=1) if len(g) > 1 else g[0] for name, g in groups.items()}

    def feed(self, name: str) -> Input:
        """What one column by itself is to a network."""
        column, state = self._of(name)
        return _plugin(column).feed(state)

    def alone(self, name: str, values: pa.Array) -> np.ndarray:
        """Typed values of one column as its kind encodes them, (rows, width)."""
        column, state = self._of(name)
        return _plugin(column).encode(values, state)

    def _of(self, name: str) -> tuple[Column, Config]:
        return next((c, s) for c, s in zip(self.used, self.states, strict=True) if c.name == name)

    def golden(self, name: str, values: pa.Array, rng: np.random.Generator) -> list[Any] | None:
        """Made-up cells for a column whose kind makes some; None where any training value will do."""
        column, state = self._of(name)
        if "golden" not in vars(_plugin(column)):
            return None
        return _plugin(column).golden(_plugin(column).parse(values, settings(column)), state, rng)

    def dump(self) -> list[dict[str, Any]]:
        """Plain JSON values, enough for `restore` beside the schema."""
        return [
            {"column": c.name, "kind": c.kind, "state": s.model_dump(mode="json")}
            for c, s in zip(self.used, self.states, strict=True)
        ]


def fit(train: pa.Table, schema: Schema) -> Preprocessor:
    """Learn every column's state from training rows only (cleaned, not yet parsed)."""
    used = tuple(c for c in schema.columns if c.kind not in UNUSED)
    if not used:
        raise LaminaError("columns: no column is left to learn from (all are constant, identifiers or ignored).")
    parsed = typed(train, used)
    states = tuple(_plugin(c).fit(parsed[c.name].combine_chunks(), settings(c)) for c in used)
    return Preprocessor(schema, states)


def restore(schema: Schema, dumped: list[Any]) -> Preprocessor:
    """The preprocessor that `dump` wrote; faults are raised as one `LaminaError`."""
    faults: list[str] = []
    used = [c for c in schema.columns if c.kind not in UNUSED]
    if [c.name for c in used] != [d.get("column") for d in dumped] or [c.kind for c in used] != [
        d.get("kind") for d in dumped
    ]:
        raise LaminaError("the fitted columns are not the columns of the schema.")
    states = [
        parse(_plugin(c).State, d.get("state"), f"{c.name}.state", faults) for c, d in zip(used, dumped, strict=True)
    ]
    if faults:
        raise LaminaError("\n".join(faults))
    return Preprocessor(schema, tuple(s for s in states if s is not None))


def _join(feeds: list[Input]) -> Input:
    if len(feeds) == 1:
        return feeds[0]
    width = sum(f.shape[0] or 0 for f in feeds)
    return Input(
        kind=feeds[0].kind,
        shape=(width,),
        dtype=feeds[0].dtype,
        sizes=sum((f.sizes for f in feeds), ()),
        edges=sum((f.edges for f in feeds), ()),
    )


__all__ = [
    "MISSING",
    "UNUSED",
    "Broken",
    "Preprocessor",
    "can_be_broken",
    "faults",
    "fit",
    "infer",
    "is_file",
    "look",
    "restore",
    "settings",
    "suits",
    "typed",
    "wired",
]
