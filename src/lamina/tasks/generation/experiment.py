"""The training half of generation: images of one column, or rows of a table, with the class of each where there is
one.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa

from lamina import experiment
from lamina.config import Config, DataError
from lamina.data import Sources
from lamina.experiment import Baseline, Conclusion, Evaluation, Finding, Golden, Section, Summary
from lamina.preprocess import UNUSED, Preprocessor, parse_columns
from lamina.preprocess.image.codec import as_png, downsample
from lamina.recipe import Recipe
from lamina.schema import Collected, Schema
from lamina.tasks._supervised import experiment as supervised
from lamina.tasks._supervised import external_data
from lamina.tasks._unlabelled import collection
from lamina.tasks.generation import (
    column_transformer,
    discriminator_scores,
    evaluation,
    golden,
    monitor,
    report,
    table_transformer,
    time_parts,
)
from lamina.tasks.generation.metrics import NAMES
from lamina.tasks.generation.state import Config as TaskConfig
from lamina.tasks.generation.task import Task
from lamina.train.settings import Examples, Preview

PREVIEWS, SIDE = 20, 48  # images of a preview, and pixels of theirs at most


@dataclass(frozen=True)
class Experiment(experiment.Experiment):
    """Images, or rows whose columns are understood as a generator encodes them."""

    task: Task

    # 1 collect

    @classmethod
    def collect(cls, recipe: Recipe, sources: Sources) -> Self:
        """Rows in three splits, with a usable class where a target is named; then how each column is encoded."""
        external_data.refuse(recipe)
        unlabelled = recipe.target is None and sources.train.target is None
        collected = cls._unlabelled(recipe, sources) if unlabelled else cls._labelled(recipe, sources)
        if _is_images(collected.schema):
            return collected
        schema, dates = time_parts.with_dates(collected.splits.train, collected.schema)
        fit = column_transformer.fit(collected.splits.train, schema)
        task = collected.task.with_state(columns=fit.columns, relations=fit.relations)
        return replace(collected, task=task, schema=schema, notes=(*collected.notes, *dates, *fit.notes))

    @classmethod
    def _labelled(cls, recipe: Recipe, sources: Sources) -> Self:
        """As for a task that predicts the class: rows without one are skipped."""
        collected = supervised.Experiment.collect(recipe, sources)
        fields = ("recipe", "task", "schema", "splits", "read", "skipped_rows", "notes")
        return cls(**{name: vars(collected)[name] for name in fields})

    @classmethod
    def _unlabelled(cls, recipe: Recipe, sources: Sources) -> Self:
        """Every row is usable whose cells are sound."""
        cfg = recipe.task
        assert isinstance(cfg, TaskConfig)
        recipe, rows = collection.with_split(recipe, sources.train), collection.collect(recipe, sources)
        return cls(recipe=recipe, task=Task(cfg, Task.fit(None, cfg)), **rows._asdict())

    # 2 preprocess, 3 design

    def examples(self, prep: Preprocessor) -> dict[str, Examples]:
        return {name: self._encode(table, prep) for name, table in self.splits._asdict().items()}

    def _encode(self, table: pa.Table, prep: Preprocessor) -> Examples:
        """Some rows as a network is fed."""
        columns = self.task.state.columns
        rows = {"row": table_transformer.encode(table, self.schema, columns)} if columns else None
        inputs: Any = prep.encode(table, cache=True) if rows is None else rows
        codes = np.zeros(table.num_rows, np.int64)
        if self.target is not None:
            codes = self.task.encode(parse_columns(table, (self.target,))[self.target.name].combine_chunks())
        return Examples(({"condition": codes[:, None]} if self.task.classes else {}) | inputs, codes)

    # 4 train

    def validate(self, outputs: Mapping[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
        return monitor.validate(outputs)

    def warning(self, scores: Mapping[str, float], best: float, epoch: int) -> str:
        return monitor.warning(scores, best, epoch)

    def preview(self, model: Config) -> Preview | None:
        """A few images, of one class after the other, always of the same noise."""
        if self.task.state.columns:
            return None
        latent, classes = int(model.model_dump()["latent"]), len(self.task.classes)
        noise = np.random.default_rng(0).standard_normal((PREVIEWS, latent)).astype(np.float32)
        inputs: dict[str, np.ndarray] = {"noise": noise}
        if classes:
            inputs["condition"] = np.arange(PREVIEWS)[:, None] % classes
        return Preview(inputs, _draw)

    # 5 evaluate

    @property
    def metrics(self) -> tuple[str, ...]:
        return NAMES

    @property
    def plots(self) -> tuple[str, ...]:
        return ("learning",)

    @classmethod
    def evaluate(cls, session: Any, rows: pa.Table) -> Evaluation:
        return evaluation.score(session, rows)

    @classmethod
    def evaluate_source(cls, session: Any, collected: Collected, source: Config) -> Evaluation:
        return evaluation.score_source(session, collected, source)

    def examine(self, finding: Finding) -> Evaluation:
        return report.examine(finding)

    def baselines(self, finding: Finding, notes: list[str]) -> dict[str, Baseline]:
        return report.baselines(finding, notes)

    def conclude(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
        return report.conclude(finding, baselines)

    def sections(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Iterable[Section]:
        return report.sections(finding)

    def summary(self, finding: Finding) -> Summary:
        return report.summary(finding)

    # 6 deploy

    def golden(self, prep: Preprocessor, model: Config) -> Golden:
        """Seeds and classes, and for the discriminator a few real rows by which graph and network are compared."""
        state, latent = self.task.state, int(model.model_dump()["latent"])
        requests = golden.requests(state, self.subject)
        name, values, codes = self._held_out(prep)
        some = slice(discriminator_scores.EXPORT)
        return Golden(
            requests,
            {
                "model": golden.inputs(requests, state, self.subject, latent),
                discriminator_scores.GRAPH: discriminator_scores.inputs(name, values[some], codes[some], state),
            },
        )

    def exported(self, prep: Preprocessor, graphs: Mapping[str, Any]) -> Self:
        """With what the scores of a discriminator mean, where there is a graph of one."""
        if discriminator_scores.GRAPH not in graphs:
            return self
        state = self.task.state
        calibration = discriminator_scores.calibrate(graphs[discriminator_scores.GRAPH], *self._held_out(prep), state)
        return self.with_task(self.task.with_state(discriminator_calibration=calibration))

    def _held_out(self, prep: Preprocessor) -> tuple[str, np.ndarray, np.ndarray]:
        """Real rows that no weight was learned from: the name of their input, the rows, and their classes."""
        rows = self._encode(self.splits.validation, prep)
        ((name, values),) = ((name, np.asarray(v)) for name, v in rows.inputs.items() if name != "condition")
        return name, values, np.asarray(rows.target)


def _is_images(schema: Schema) -> bool:
    """Whether images are learned, and not rows. Errors: DataError for images beside other columns."""
    kinds = [column.kind for column in schema.columns if column.kind not in UNUSED]
    if "image" in kinds and len(kinds) > 1:
        raise DataError("task: images are generated by themselves. Set the kind of the other columns to ignore.")
    return kinds == ["image"]


def _draw(outputs: dict[str, np.ndarray]) -> str:
    """Images side by side as a PNG in base64, large ones smaller."""
    images = downsample(outputs["image"], -(-max(outputs["image"].shape[1:3]) // SIDE))
    images = np.clip(np.rint(images), 0, 255).astype(np.uint8)
    return base64.b64encode(as_png(np.concatenate(images, axis=1))).decode()
