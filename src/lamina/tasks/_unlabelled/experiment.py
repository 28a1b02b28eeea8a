"""The training half of tasks on rows without a target: vectors of a table, or images or series of one column."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from lamina import experiment
from lamina.config import Config
from lamina.data import Sources
from lamina.deploy.golden import golden_rows
from lamina.deploy.session import from_json
from lamina.experiment import Golden
from lamina.plugins import kind, plugin
from lamina.preprocess import Preprocessor, category
from lamina.recipe import Recipe
from lamina.schema import clean
from lamina.tasks._supervised import external_data
from lamina.tasks._unlabelled import collection, row_layout
from lamina.train.settings import Examples


@dataclass(frozen=True)
class Experiment(experiment.Experiment):
    """Rows to be learned as they are. A target that a recipe or a source names is a label: kept out of the inputs, and
    used for evaluation alone.

    The plug-in's `State` has a field `layout`, that of the vectors; None for images and series. Its `Task` gives
    `row_layout.inputs(prep, state.layout)` as inputs, and the head `reconstruction`.
    """

    # 1 collect

    @classmethod
    def collect(cls, recipe: Recipe, sources: Sources) -> Self:
        """Rows in three splits; then how each column is encoded."""
        external_data.refuse(recipe)
        cfg = recipe.task
        assert isinstance(cfg, Config)
        module = plugin("tasks", kind(cfg))
        label = sources.train.target if recipe.target is None else recipe.target
        rows = collection.collect(recipe, sources, label)
        layout, notes = None, ()
        if not row_layout.is_single(rows.schema):
            layout, notes = row_layout.fit(rows.splits.train, rows.schema)
        recipe = collection.with_split(recipe, sources.train)
        own = cls(recipe=recipe, task=module.Task(cfg, module.State(layout=layout)), **rows._asdict())
        return replace(own, notes=(*own.notes, *notes))

    def labels(self, table: pa.Table) -> pa.Array | None:
        """The labels of some rows as texts, null where there is none; None where no column has labels."""
        if self.target is None:
            return None
        if self.target.name not in table.column_names:
            return pa.nulls(table.num_rows, pa.string())
        return category.parse(table[self.target.name].combine_chunks(), category.Config())

    # 2 preprocess, 3 design

    def examples(self, prep: Preprocessor) -> dict[str, Examples]:
        """What a network is fed; the target is zeros, since rows are their own."""
        return {
            name: Examples(self.inputs(prep, table, cache=True), np.zeros(table.num_rows, np.float32))
            for name, table in self.splits._asdict().items()
        }

    def inputs(self, prep: Preprocessor, table: pa.Table, cache: bool = False) -> dict[str, np.ndarray]:
        """Rows (cleaned) as a network is fed."""
        layout = self.task.state.layout
        return prep.encode(table, cache=cache) if layout is None else {"row": row_layout.encode(layout, prep, table)}

    # 4 train

    def validate(self, outputs: Mapping[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
        """The mean squared error of reconstruction; of a network with a likelihood, minus its bound in nats first."""
        error = float(outputs["error"].mean(dtype=np.float64))
        bound = {"loss": -float(outputs["elbo"].mean(dtype=np.float64))} if "elbo" in outputs else {"loss": error}
        return {**bound, "rmse": error**0.5}

    # 6 deploy

    def golden(self, prep: Preprocessor, model: Config) -> Golden:
        """Rows that are made up, and codes by which the decoder is compared."""
        rows, schema = golden_rows(self.splits.train, prep), prep.schema
        table = clean(from_json(rows, prep), schema.missing, schema.literal)
        codes = np.random.default_rng(0).standard_normal((len(rows), self.task.output().size)).astype(np.float32)
        return Golden(rows, {"model": self.inputs(prep, table), "decoder": {"latent": codes}})
