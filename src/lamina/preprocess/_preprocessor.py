"""Fitted preprocessing: what was learned of each column, and raw rows to network inputs by it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.config import Config, LaminaError, parse
from lamina.preprocess._cells import Cells, read
from lamina.preprocess._column_config import ColumnConfig, Policy
from lamina.preprocess._columns import UNUSED, Fitted, Parser, module_of, parse_cells, parsers
from lamina.preprocess._domain import Domain
from lamina.preprocess._file_kind import FileKind
from lamina.preprocess._reference import Reference
from lamina.preprocess._row_encoder import RowEncoder
from lamina.schema import Column, Input, Schema

JOINED = ("number", "category")  # inputs that several columns share

Coded = tuple[np.ndarray, np.ndarray | None]  # (rows, width ...), or of distinct cells, and the places of all in these


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

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns a network is shown, in order."""
        return tuple(c for c in self.schema.columns if c.kind not in UNUSED)

    @cached_property
    def _parsers(self) -> dict[str, Parser]:
        return {parser.column.name: parser for parser in parsers(self.columns)}

    @cached_property
    def _fitted(self) -> dict[str, Fitted]:
        """By column, everything about it looked up once."""
        fitted = {}
        for i, (parser, state) in enumerate(zip(self._parsers.values(), self.states, strict=True)):
            feed = parser.module.feed(state)
            input_name = feed.kind if feed.kind in JOINED else f"{feed.kind}{i}"
            fitted[parser.column.name] = Fitted(*parser, state, feed, input_name)
        return fitted

    @cached_property
    def _groups(self) -> dict[str, list[tuple[Fitted, ...]]]:
        """By input, its columns; neighbours of one kind that are encoded together stand in one tuple."""
        groups: dict[str, list[Fitted]] = {}
        for one in self._fitted.values():
            groups.setdefault(one.input_name, []).append(one)
        return {name: list(_runs(columns)) for name, columns in groups.items()}

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """Name to `Input`, as a network's `Spec` wants them; in the order of the names, whatever the file's order."""
        groups: dict[str, list[Input]] = {}
        for one in self._fitted.values():
            groups.setdefault(one.input_name, []).append(one.feed)
        return {name: _join(groups[name]) for name in sorted(groups)}

    @cached_property
    def padding(self) -> dict[str, int]:
        """By input whose rows have as many steps as a text has tokens, the id behind the end of a short one."""
        return {name: feed.padding for name, feed in self.inputs.items() if None in feed.shape}

    @cached_property
    def files(self) -> tuple[Column, ...]:
        """The columns whose cells are files, such as images: they come as paths, or over a wire as bytes."""
        return tuple(p.column for p in self._parsers.values() if "FILE" in vars(p.module))

    @cached_property
    def file_inputs(self) -> dict[str, str]:
        """Name of each column of files, to the name of the input it becomes."""
        return {column.name: self._fitted[column.name].input_name for column in self.files}

    def file_kind(self, name: str) -> FileKind:
        """What the files of a column are."""
        return self._parsers[name].module.FILE

    def measure(self, name: str, bodies: Iterable[bytes | None]) -> int:
        """The units (pixels, seconds ...) of all these cells of a column of files, by their headers."""
        units = self.file_kind(name).measure
        return sum(units(body) for body in bodies if body)

    def bounded(self, largest: int) -> "Preprocessor":
        """The same, refusing files of more units than that before they are decoded."""
        states = [
            one.module.bounded(one.state, largest) if "bounded" in vars(one.module) else one.state
            for one in self._fitted.values()
        ]
        return replace(self, states=tuple(states))

    def parse(self, table: pa.Table, names: Iterable[str] | None = None) -> dict[str, pa.Array]:
        """Cleaned cells of these columns (of all), each parsed by its kind; absent ones are missing in every row."""
        columns = list(self._parsers if names is None else names)
        return dict(zip(columns, parse_cells(table, [self._parsers[name] for name in columns]), strict=True))

    def read(self, rows: pa.Table, names: Iterable[str] | None = None) -> dict[str, Cells]:
        """Raw cells of these columns (of all), cleaned and parsed; absent ones are missing in every row."""
        own = self._parsers if names is None else {name: self._parsers[name] for name in names}
        return read(rows, self.schema, own)

    def encode(
        self, rows: pa.Table | Mapping[str, Cells], cache: bool = False, broken: list[Broken] | None = None
    ) -> dict[str, np.ndarray]:
        """Rows (cleaned by `schema.clean`, or as `read` gives them) to arrays by input name; the first dimension is the
        row.

        `cache`: what takes long may be kept on disk, and be a memory map of it. To `broken` are added the cells that
        are there but cannot be used, such as images that are cut short.
        """
        cells = _uncoded(self.parse(rows)) if isinstance(rows, pa.Table) else rows
        reasons = dict[str, list[str | None]]()
        encoded = {}
        for name, runs in self._groups.items():
            arrays = [_encode(run, cells, cache, None if broken is None else reasons) for run in runs]
            encoded[name] = _side_by_side(arrays)
        if broken is not None and reasons:
            rows = (
                (column.name, row, why)
                for column in self.columns
                for row, why in enumerate(reasons.get(column.name, ()))
            )
            broken += [Broken(row, column, why) for column, row, why in rows if why]
        return encoded

    @cached_property
    def _row_encoder(self) -> RowEncoder | None:
        fits = RowEncoder.suits(one.module for one in self._fitted.values())
        return RowEncoder(self.schema, self._groups) if fits else None

    def encode_cells(self, values: Mapping[str, list[Any]], count: int) -> dict[str, np.ndarray] | None:
        """What `encode` gives for a few rows of JSON, by column; None where a cell does not mean what it looks like, or
        a kind has no short way.
        """
        return self._row_encoder.encode(values, count) if self._row_encoder else None

    def input_name(self, name: str) -> str:
        """The input that the numbers of a column go to."""
        return self._fitted[name].input_name

    def feed(self, name: str) -> Input:
        """What one column by itself is to a network."""
        return self._fitted[name].feed

    def encode_column(self, name: str, values: pa.Array) -> np.ndarray:
        """Parsed values of one column as its kind encodes them, (rows, width)."""
        return self._fitted[name].module.encode(values, self._fitted[name].state)

    @cached_property
    def _classical(self) -> list[tuple[Fitted, Config]]:
        """Columns that classical methods read in another way than the network, with the state for these."""
        able = [one for one in self._fitted.values() if "classical" in vars(one.module)]
        states = [one.module.classical(one.state) for one in able]
        return [(one, state) for one, state in zip(able, states, strict=True) if state is not one.state]

    def classical_inputs(self) -> dict[str, Input]:
        """Inputs that classical methods are fed otherwise than the network, such as texts: by their words."""
        return {one.input_name: one.module.feed(state) for one, state in self._classical}

    def encode_classical(self, table: pa.Table) -> dict[str, np.ndarray]:
        """The arrays of `classical_inputs` for raw rows."""
        cells = self.parse(table, [one.column.name for one, _ in self._classical])
        return {one.input_name: one.module.encode(cells[one.column.name], state) for one, state in self._classical}

    def rare(self, name: str, values: pa.Array) -> np.ndarray | None:
        """Which parsed values of a column training did not have, or too rarely; None where its kind has no such."""
        one = self._fitted[name]
        return one.module.rare(values, one.state) if "rare" in vars(one.module) else None

    @cached_property
    def policies(self) -> dict[str, Policy]:
        """By column that has one, what becomes of cells that training had none of."""
        settings = {name: parser.settings for name, parser in self._parsers.items()}
        return {n: cfg.policy for n, cfg in settings.items() if isinstance(cfg, ColumnConfig) and cfg.policy}

    def with_policies(self, policies: Mapping[str, Policy]) -> "Preprocessor":
        """The same with other policies of some columns."""
        columns = tuple(
            c.model_copy(update={"settings": {**c.settings, "policy": policies[c.name]}}) if c.name in policies else c
            for c in self.schema.columns
        )
        return replace(self, schema=self.schema.model_copy(update={"columns": columns}))

    def references(self) -> dict[str, Reference]:
        """By column, how often training had what, where its kind and the bundle can tell."""
        able = [one for one in self._fitted.values() if "reference" in vars(one.module)]
        references = {one.column.name: one.module.reference(one.state) for one in able}
        return {name: reference for name, reference in references.items() if reference is not None}

    @cached_property
    def places(self) -> dict[str, tuple[str, slice]]:
        """By column, the input it goes to, and which of the numbers of that are its own."""
        places = dict[str, tuple[str, slice]]()
        for name, runs in self._groups.items():
            start = 0
            for one in (one for run in runs for one in run):
                stop = start + (one.feed.shape[0] or 0 if one.feed.kind in JOINED else 0)
                places[one.column.name] = name, slice(start, stop)
                start = stop
        return places

    def pieces(self, name: str, encoded: np.ndarray) -> np.ndarray:
        """In which pieces of its reference encoded cells (rows, width) of a column are, (rows,)."""
        return self._fitted[name].module.pieces(encoded, self._fitted[name].state)

    def has_bounds(self, name: str) -> bool:
        """Whether the kind of a column knows what is outside of all that training had."""
        return "outside" in vars(self._parsers[name].module)

    def outside(self, name: str, numbers: np.ndarray) -> np.ndarray:
        """Which parsed cells (rows,) of a column, as numbers, are beyond all that training had."""
        return self._fitted[name].module.outside(numbers, self._fitted[name].state)

    def has_zones(self, name: str) -> bool:
        """Whether raw cells of a column may have a zone, which parsed ones have not."""
        return "zone" in vars(self._parsers[name].module)

    def notes(self, table: pa.Table) -> list[str]:
        """What to say of training rows as they are encoded, such as of texts that are cut."""
        tellers = [one for one in self._fitted.values() if "notes" in vars(one.module)]
        cells = self.parse(table, [one.column.name for one in tellers])
        return [
            note for one in tellers for note in one.module.notes(cells[one.column.name], one.state, one.column.name)
        ]

    def hint(self, name: str, cells: pa.Array | pa.ChunkedArray) -> str:
        """How raw cells of a column look to be written, of which some cannot be read; "" where none can tell."""
        parser = self._parsers[name]
        cells = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
        return parser.module.hint(cells, parser.settings) if "hint" in vars(parser.module) else ""

    def golden(self, name: str, rng: np.random.Generator, count: int) -> list[Any] | None:
        """Made-up cells for a column whose kind makes some, of its state alone; None where it makes none."""
        one = self._fitted[name]
        return one.module.golden(one.state, one.settings, rng, count) if "golden" in vars(one.module) else None

    def background(self, name: str, rng: np.random.Generator, count: int) -> np.ndarray | None:
        """(count, width) encoded cells as training had them, by the state alone; None where a kind cannot tell."""
        one = self._fitted[name]
        return one.module.background(one.state, rng, count) if "background" in vars(one.module) else None

    def domain(self, name: str) -> Domain:
        """What a form asks for where a cell of a column is wanted; a text where its kind does not say."""
        one = self._fitted[name]
        return one.module.domain(one.state, one.settings) if "domain" in vars(one.module) else Domain()

    def dump(self) -> list[dict[str, Any]]:
        """Plain JSON values, enough for `restore` beside the schema."""
        return [
            {"column": c.name, "kind": c.kind, "state": s.model_dump(mode="json")}
            for c, s in zip(self.columns, self.states, strict=True)
        ]


def fit(train: pa.Table, schema: Schema) -> Preprocessor:
    """Learn every column's state from training rows only (cleaned, not yet parsed)."""
    columns = tuple(c for c in schema.columns if c.kind not in UNUSED)
    if not columns:
        raise LaminaError("columns: no column is left to learn from (all are constant, identifiers or ignored).")
    parts = parsers(columns)
    cells = parse_cells(train, parts)
    states = tuple(p.module.fit(values, p.settings) for p, values in zip(parts, cells, strict=True))
    return Preprocessor(schema, states)


def restore(schema: Schema, dump: list[Any]) -> Preprocessor:
    """The preprocessor that `dump` wrote; faults are raised as one `LaminaError`."""
    faults: list[str] = []
    columns = [c for c in schema.columns if c.kind not in UNUSED]
    if [(c.name, c.kind) for c in columns] != [(d.get("column"), d.get("kind")) for d in dump]:
        raise LaminaError("the fitted columns are not the columns of the schema.")
    states = [
        parse(module_of(c).State, d.get("state"), f"{c.name}.state", faults) for c, d in zip(columns, dump, strict=True)
    ]
    if faults:
        raise LaminaError("\n".join(faults))
    return Preprocessor(schema, tuple(s for s in states if s is not None))


def _runs(columns: list[Fitted]) -> Iterable[tuple[Fitted, ...]]:
    """Neighbours whose kind encodes several columns at once; each other column by itself."""
    for module, run in groupby(columns, key=lambda one: one.module):
        if "encode_columns" in vars(module):
            yield tuple(run)
        else:
            yield from ((one,) for one in run)


def _encode(
    run: tuple[Fitted, ...], cells: Mapping[str, Cells], cache: bool, reasons: dict[str, list[str | None]] | None
) -> Coded:
    """Columns side by side; why cells are of no use goes to `reasons`, by column."""
    one, module = run[0], vars(run[0].module)
    if len(run) > 1:
        columns = [cells[own.column.name] for own in run]
        return module["encode_columns"]([c.of_each(c.values) for c in columns], [own.state for own in run]), None
    _, values, places = cells[one.column.name]
    if reasons is not None and "encode_with_reasons" in module:
        array, reasons[one.column.name] = module["encode_with_reasons"](values, one.state)
        return array, places
    return module["encode_memmap" if cache and "encode_memmap" in module else "encode"](values, one.state), places


def _uncoded(values: Mapping[str, pa.Array]) -> dict[str, Cells]:
    return {name: Cells(array, array) for name, array in values.items()}


def _side_by_side(blocks: Sequence[Coded]) -> np.ndarray:
    """(rows, sum of widths ...)"""
    if len(blocks) == 1:
        array, places = blocks[0]
        return array if places is None else array[places]
    rows = max(len(array if places is None else places) for array, places in blocks)
    joined = np.empty((rows, sum(array.shape[1] for array, _ in blocks)), blocks[0][0].dtype)
    at = 0
    for array, places in blocks:
        joined[:, at : at + array.shape[1]] = array if places is None else array[places]
        at += array.shape[1]
    return joined


def _join(feeds: list[Input]) -> Input:
    if len(feeds) == 1:
        return feeds[0]
    return Input(
        kind=feeds[0].kind,
        shape=(sum(f.shape[0] or 0 for f in feeds),),
        dtype=feeds[0].dtype,
        sizes=sum((f.sizes for f in feeds), ()),
        edges=sum((f.edges for f in feeds), ()),
    )
