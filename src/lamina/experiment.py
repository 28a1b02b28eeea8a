"""A recipe's data, split and understood: what every later stage asks of it."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.config import Config
from lamina.data._splits import Parts
from lamina.preprocess import Preprocessor, typed
from lamina.recipe import Recipe
from lamina.schema import Collected, Column, Quarantined, Row, Schema, Spec
from lamina.train.settings import Data, Sketch


class Other(NamedTuple):
    """Other data, read and looked at, that the finished network is to be judged by."""

    name: str
    source: Config
    collected: Collected


@dataclass(frozen=True)
class Case:
    """A recipe's data, split and understood. Everything learned (schema, task state) comes from training rows."""

    recipe: Recipe
    task: Any
    task_cfg: Any
    state: Any
    schema: Schema
    parts: Parts
    read: int
    quarantine: tuple[Quarantined, ...]
    notes: tuple[str, ...]
    also: tuple[Other, ...] = field(default=(), kw_only=True)

    @property
    def target(self) -> Column:
        assert self.schema.target is not None
        return self.schema.target

    @property
    def about(self) -> str:
        """What a run is about, in a word: the column it predicts, or the columns there are."""
        return self.schema.target.name if self.schema.target else ", ".join(c.name for c in self.schema.columns[:3])

    @property
    def judged(self) -> pa.Table:
        """The rows by which a network is judged."""
        return self.parts.test

    def encoded(self, table: pa.Table) -> np.ndarray:
        """The target of some rows as the loss wants it; zeros where there is none."""
        if self.schema.target is None:
            return np.zeros(table.num_rows, np.int64)
        return self.task.encode(typed(table, (self.target,))[self.target.name].combine_chunks(), self.state)

    def arrays(self, prep: Preprocessor) -> dict[str, Data]:
        """Inputs and target of each part, as the network is fed."""
        return {name: Data(prep.encode(t, keep=True), self.encoded(t)) for name, t in self.parts._asdict().items()}

    def spec(self, prep: Preprocessor) -> Spec:
        """What the network is built for."""
        output = self.task.output(self.state, self.task_cfg)
        return Spec(inputs=prep.inputs, output=output, rows=self.parts.train.num_rows)

    def designed(self, model: Config) -> "Case":
        """The same data for a recipe that names its model."""
        return replace(self, recipe=self.recipe.model_copy(update={"model": model}))

    def quick(self, raw: dict[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
        return self.task.quick(raw, target, self.state)

    def warning(self, found: dict[str, float], best: float, epoch: int) -> str:
        """What is wrong with a run by what `quick` found, where a task can tell."""
        return self.task.warning(found, best, epoch) if "warning" in vars(self.task) else ""

    def sketch(self, model: Config) -> Sketch | None:
        """What is drawn as the run goes on, if anything is."""
        return None

    def with_state(self, state: Any) -> "Case":
        return replace(self, state=state)

    def counts(self) -> Row:
        """Rows in = used + quarantined."""
        sizes = {name: table.num_rows for name, table in self.parts._asdict().items()}
        return {"read": self.read, "used": sum(sizes.values()), "quarantined": len(self.quarantine), **sizes}

    def fingerprint(self) -> str:
        """A hash of every training and validation cell, so that a resumed run can tell that its data changed."""
        digest = hashlib.sha256()
        for table in (self.parts.train, self.parts.validation):
            for name in table.column_names:
                digest.update(name.encode())
                for buffer in _solid(table[name]).buffers():
                    digest.update(buffer or b"-")
        return digest.hexdigest()


def _solid(column: pa.ChunkedArray) -> pa.Array:
    """One array without offset, so that equal values have equal bytes."""
    array = column.combine_chunks()
    return pa.concat_arrays([array.take(pa.array(np.arange(len(array))))])
