"""What a task sees of a bundle: preprocessing, the networks to run, and the task's own files. No torch."""

import base64
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property
from time import monotonic
from typing import Any, Self

import numpy as np
import pyarrow as pa

from lamina.data.arrays import flatten, table
from lamina.deploy.onnx_runtime import Run
from lamina.preprocess import Broken, Cells, Policy, Preprocessor, cells_from_json
from lamina.resources import memory
from lamina.schema import Row, Schema, Spec, rename_columns
from lamina.task import RequestLimits, Task, TooMuch

BATCH = 4096  # rows that are run at a time
ROWS, NUMBERS = 1 << 16, 1 << 23  # that are encoded at a time, and numbers of their inputs
FEWER = "Send fewer at a time."
LONG, STEPS = 200, 12  # characters of an example cell, and steps of one that is a list


class Session:
    """A task with fitted preprocessing and the networks to run, by name; "model" is always there."""

    def __init__(
        self, task: Task, prep: Preprocessor, spec: Spec, config: Mapping[str, Any], runs: Mapping[str, Run]
    ) -> None:
        self.task, self.prep, self.spec, self.config = task, prep, spec, config
        self.id, self.golden, self.limits = "", (), None
        self.assets: Mapping[str, bytes] = {}
        self.watch: Callable[[Mapping[str, np.ndarray]], None] | None = None  # sees what the main network is fed
        self._runs = runs
        self._cells: tuple[pa.Table, Mapping[str, Cells]] | None = None

    id: str
    golden: Sequence[Row]
    limits: RequestLimits | None

    @property
    def graphs(self) -> frozenset[str]:
        return frozenset(self._runs)

    @property
    def schema(self) -> Schema:
        return self.prep.schema

    @property
    def state(self) -> Any:
        """What the task learned from training rows."""
        return self.task.state

    @property
    def target(self) -> str | None:
        column = self.schema.target
        return column.name if column else None

    @property
    def files(self) -> list[str]:
        """Names of the columns whose cells are files, such as images."""
        return [column.name for column in self.prep.files]

    def run(self, inputs: Mapping[str, np.ndarray], graph: str = "model") -> dict[str, np.ndarray]:
        """What a network gives for inputs that are encoded already, all in one batch; of no rows, no answers."""
        if self.watch is not None and graph == "model":
            self.watch(inputs)
        if not any(len(values) for values in inputs.values()):  # recurrent graphs end the process of ONNX Runtime
            one = {name: np.zeros((1, *(n or 1 for n in v.shape[1:])), v.dtype) for name, v in inputs.items()}
            return {name: values[:0] for name, values in self._runs[graph](one).items()}
        return self._runs[graph](inputs)

    @property
    def names(self) -> frozenset[str]:
        """The columns of rows that are of any use."""
        return self._names

    @cached_property
    def _names(self) -> frozenset[str]:
        columns = (*self.schema.columns, *([self.schema.target] if self.schema.target else []))
        return self.task.required | {column.name for column in columns}

    def rows(self, rows: Sequence[Row]) -> pa.Table:
        return from_json(rows, self.prep, self.names)

    def knowing(self, rows: pa.Table, cells: Mapping[str, Cells]) -> Self:
        """The same, where raw rows that it is to answer are read already."""
        other = copy(self)
        other._cells = (rows, cells)
        return other

    def encode(self, rows: pa.Table, broken: list[Broken] | None = None) -> dict[str, np.ndarray]:
        """Raw rows to network inputs; cells of no use go to `broken`."""
        own, cells = self._cells or (None, {})
        return self.prep.encode(cells if own is rows else self.prep.read(rows), broken=broken)

    def raw(self, rows: pa.Table, broken: list[Broken] | None = None) -> dict[str, np.ndarray]:
        """What the network itself gives, (rows, size) float32 by output name; memory is bounded."""
        broken = [] if broken is None else broken
        rows = rows if rows.num_columns else pa.table({"": pa.nulls(0)})
        wide = sum(math.prod(n or max(feed.max_length, 1) for n in feed.shape) for feed in self.spec.inputs.values())
        size = max(1, min(BATCH if self.limits else ROWS, NUMBERS // max(wide, 1)))
        began = monotonic()

        def answer(start: int, stop: int) -> dict[str, np.ndarray]:
            unusable = list[Broken]()
            inputs = self.encode(rows if stop - start == rows.num_rows else rows.slice(start, stop - start), unusable)

            def run(first: int, last: int) -> dict[str, np.ndarray]:
                place = start + first
                if place and self.limits and monotonic() - began > self.limits.seconds:
                    raise TooMuch(f"rows: {place:,} of {rows.num_rows:,} took {self.limits.seconds:g} seconds. {FEWER}")
                return self.run({name: values[first:last] for name, values in inputs.items()})

            part = _joined(memory.halving(stop - start, BATCH, run))
            broken.extend(cell._replace(row=start + cell.row) for cell in unusable)
            return part

        return _joined(memory.halving(rows.num_rows, size, answer))

    def with_bundle_names(self, rows: pa.Table, target: str | None = None) -> pa.Table:
        """Rows of a folder of files, whose columns are always `image` and `label`, under this bundle's names."""
        names = {"image": self.files[0]} if len(self.files) == 1 else {}
        return rename_columns(rows, names | ({target: self.target} if target and self.target else {}))

    def __copy__(self) -> Self:
        """Another object with the same networks."""
        other = type(self).__new__(type(self))
        vars(other).update(vars(self))
        return other

    def bounded(self, limits: RequestLimits, largest: int | None = None) -> Self:
        """The same where strangers ask: within limits, and refusing files of more units than `largest`."""
        other = copy(self)
        other.limits = limits
        other.prep = self.prep if largest is None else self.prep.bounded(largest)
        return other

    def with_policies(self, policies: Mapping[str, Policy]) -> Self:
        """The same with other input policies of some columns."""
        other = copy(self)
        other.prep = self.prep.with_policies(policies)
        return other

    def example_row(self) -> Row:
        """The golden row with the fewest gaps, long cells cut short, and a tiny file for each file, in base64."""
        gaps = [sum(value is None for value in row.values()) for row in self.golden]
        kinds = {column.name: column.kind for column in self.prep.columns}
        row = {name: example_cell(v, kinds.get(name)) for name, v in self.golden[gaps.index(min(gaps))].items()}
        return row | {name: base64.b64encode(self.prep.file_kind(name).sample()).decode() for name in self.files}


def _joined(pieces: Iterable[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    parts = list(pieces)
    return parts[0] if len(parts) == 1 else {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def example_cell(value: Any, kind: str | None) -> Any:
    """A cell as a client would write it: numbers as numbers, texts and lists not too long."""
    if isinstance(value, list):
        return [_short(step) for step in value[:STEPS]]
    if not isinstance(value, str):
        return value
    try:
        number = float(value) if kind == "number" else math.nan
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return int(number) if number.is_integer() else number
    return value[:LONG]


def _short(value: Any) -> Any:
    """A step of a list: numbers rounded, inner lists cut short."""
    if isinstance(value, list):
        return [_short(inner) for inner in value[:STEPS]]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def from_json(rows: Sequence[Mapping[str, Any]], prep: Preprocessor, names: Collection[str] | None = None) -> pa.Table:
    """Rows out of JSON as a table of raw cells, of `names` alone: a file is its bytes there, and never a path."""
    rows = [flatten(row, names) for row in rows]
    cells = table(rows)
    values = {name: [row.get(name) for row in rows] for name in cells.column_names}
    special = cells_from_json(prep.columns, values)
    return pa.table({name: special.get(name, cells[name]) for name in cells.column_names}) if special else cells
