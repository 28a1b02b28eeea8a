"""A few rows of JSON to network inputs without Arrow, whose every call costs more than it works on one row.

Only cells that mean what they look like take this way: numbers that are numbers, values of which the kind's own
functions said the code beforehand, times by their column's format. Where one cell is anything else there is no answer,
and the rows go the way of all others; so a cell has one meaning.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.preprocess._columns import Fitted, Parser, parse_cells
from lamina.schema import Schema, clean

WHOLE = re.compile(r"-?\d{1,15}")
NUMBER = {"plain", "encoder"}  # functions of kinds whose cells become a number
CODE = "spellings"  # function of kinds whose cells become a code
FILE, FILES = "encode_bytes", 64  # function of kinds whose cells are files, and how many rows of these are few


class Numbers(NamedTuple):
    """Columns whose cells are read together: their names, their places among all such columns, and how."""

    names: tuple[str, ...]
    places: np.ndarray
    plain: Callable[[list[Any], Any], np.ndarray | None]
    settings: Any


class Block(NamedTuple):
    """Neighbours of one input: their places among columns of numbers and how they are encoded; or of codes."""

    places: np.ndarray
    encode: Callable[[np.ndarray], np.ndarray] | None = None


class RowEncoder:
    """Rows of JSON to inputs of a network; `groups` are the columns of each input, neighbours of a kind together."""

    def __init__(self, schema: Schema, groups: Mapping[str, Sequence[tuple[Fitted, ...]]]):
        files = {name: runs[0][0] for name, runs in groups.items() if FILE in vars(runs[0][0].module)}
        groups = {name: runs for name, runs in groups.items() if name not in files}
        self._files = list(files.items())
        columns = [one for runs in groups.values() for run in runs for one in run]
        numeric = [one for one in columns if _is_numeric(one.module)]
        coded = [one for one in columns if not _is_numeric(one.module)]
        self._numbers = list(_numbers(numeric))
        self._codes = {one.column.name: _codes(schema, one) for one in coded}
        self._missing = frozenset(chain(*(_spellings(token) for token in schema.missing if re.search(r"\d", token))))
        places = {one.column.name: i for some in (numeric, coded) for i, one in enumerate(some)}
        self._blocks = {
            name: [_block(tuple(run), places) for _, run in groupby(chain(*runs), key=lambda one: one.module)]
            for name, runs in groups.items()
        }

    @staticmethod
    def suits(kinds: Iterable[Any]) -> bool:
        """Whether the modules of all these kinds have what it takes."""
        return all(_is_numeric(module) or vars(module).keys() & {CODE, FILE} for module in kinds)

    def encode(self, values: Mapping[str, list[Any]], count: int) -> dict[str, np.ndarray] | None:
        """The arrays by input of `count` rows by column, of which some may be absent; None where a cell is not plain.

        Cells are plain values of JSON, no lists and no objects.
        """
        absent = [None] * count
        files = self._encode_files(values, count) if self._files else {}
        if files is None:
            return None
        numbers = np.empty((sum(len(one.names) for one in self._numbers), count))
        for names, places, plain, settings in self._numbers:
            cells = list(chain.from_iterable(values.get(name, absent) for name in names))
            read = None if self._missing and not self._missing.isdisjoint(cells) else plain(cells, settings)
            if read is None:
                return None
            numbers[places] = read.reshape(len(names), count)
        try:
            codes = [[own[type(cell)][cell] for cell in values.get(name, absent)] for name, own in self._codes.items()]
        except KeyError:
            return None
        coded = np.array(codes, np.int64).reshape(len(codes), count)
        arrays = {
            name: [encode(numbers[places].T) if encode else coded[places].T for places, encode in blocks]
            for name, blocks in self._blocks.items()
        }
        joint = {
            name: np.ascontiguousarray(parts[0]) if len(parts) == 1 else np.concatenate(parts, axis=1)
            for name, parts in arrays.items()
        }
        return joint | files

    def _encode_files(self, values: Mapping[str, list[Any]], count: int) -> dict[str, np.ndarray] | None:
        arrays = dict[str, np.ndarray]()
        for name, one in self._files:
            bodies = values.get(one.column.name, ())
            if len(bodies) != count or count > FILES or set(map(type, bodies)) != {bytes}:
                return None
            array = one.module.encode_bytes(bodies, one.state)
            if array is None:
                return None
            arrays[name] = array
        return arrays


def _is_numeric(module: Any) -> bool:
    return vars(module).keys() >= NUMBER


def _numbers(columns: Sequence[Fitted]) -> Iterable[Numbers]:
    """Columns of one kind and settings together."""
    alike: dict[int, list[int]] = {}
    for place, one in enumerate(columns):
        alike.setdefault(id(one.settings), []).append(place)
    for places in alike.values():
        first = columns[places[0]]
        names = tuple(columns[place].column.name for place in places)
        yield Numbers(names, np.array(places), first.module.plain, first.settings)


def _codes(schema: Schema, one: Fitted) -> dict[type, dict[Any, int]]:
    """The code of each plain cell of a column, by its type in JSON; as the column's kind itself gives it."""
    texts = one.module.spellings(one.state, one.settings)
    whole = [int(text) for text in texts if WHOLE.fullmatch(text)]
    codes: dict[type, dict[Any, int]] = {
        type(None): {None: int(_encode(schema, one, pa.array([None], pa.string()))[0])}
    }
    for cells in (texts, whole, [float(number) for number in whole], [False, True]):
        if not cells:
            continue
        array = pa.array(cells)
        own, values = _encode(schema, one, array), _parse(schema, one, array)
        sound = values.is_valid().to_numpy(zero_copy_only=False)
        if "rare" in vars(one.module):
            sound &= ~one.module.rare(values, one.state)
        codes[type(cells[0])] = {cell: int(code) for cell, code, ok in zip(cells, own, sound, strict=True) if ok}
    return codes


def _parse(schema: Schema, one: Fitted, cells: pa.Array) -> pa.Array:
    raw = clean(pa.table({one.column.name: cells}), schema.missing, schema.literal)
    return parse_cells(raw, [Parser(one.column, one.module, one.settings)])[0]


def _encode(schema: Schema, one: Fitted, cells: pa.Array) -> np.ndarray:
    return one.module.encode(_parse(schema, one, cells), one.state)[:, 0]


def _spellings(token: str) -> Iterable[Any]:
    """A text that means missing, and the number that it is."""
    yield token
    if token.lstrip("+-").replace(".", "", 1).isdigit():
        yield float(token)


def _block(run: tuple[Fitted, ...], places: Mapping[str, int]) -> Block:
    own = np.array([places[one.column.name] for one in run])
    if _is_numeric(run[0].module):
        return Block(own, run[0].module.encoder([one.state for one in run]))
    return Block(own)
