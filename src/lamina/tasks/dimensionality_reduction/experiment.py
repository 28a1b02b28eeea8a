"""The training half of dimensionality reduction: how coordinates are evaluated, and what a bundle knows of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from lamina import privacy
from lamina.config import Config
from lamina.data import Sources
from lamina.experiment import Baseline, Conclusion, Evaluation, Finding, Section, Summary
from lamina.preprocess import Preprocessor
from lamina.recipe import Recipe
from lamina.schema import Collected
from lamina.tasks._unlabelled import experiment
from lamina.tasks.dimensionality_reduction import evaluation, report
from lamina.tasks.dimensionality_reduction.metrics import NAMES
from lamina.tasks.dimensionality_reduction.task import Task

PREFIXES = ("z", "latent", "coordinate_")  # of the names of coordinates, the first that no column has
CHUNK, HELD_OUT = 512, 10_000  # rows at a time, and of which the range of coordinates is learned


@dataclass(frozen=True)
class Experiment(experiment.Experiment):
    task: Task

    @classmethod
    def collect(cls, recipe: Recipe, sources: Sources) -> Self:
        """Rows in three splits; coordinates are called as no column is."""
        own = super().collect(recipe, sources)
        names = set(own.splits.train.column_names)
        free = (prefix for prefix in PREFIXES if not any(f"{prefix}{i + 1}" in names for i in range(own.dimensions)))
        return own.with_task(own.task.with_state(prefix=next(free, "_")))

    @property
    def dimensions(self) -> int:
        return self.task.cfg.dimensions

    # 5 evaluate

    @property
    def metrics(self) -> tuple[str, ...]:
        return NAMES

    @classmethod
    def evaluate(cls, session: Any, rows: pa.Table) -> Evaluation:
        return evaluation.score(session, rows)

    @classmethod
    def evaluate_source(cls, session: Any, collected: Collected, source: Config) -> Evaluation:
        return evaluation.score_source(session, collected, source)

    def examine(self, finding: Finding) -> Evaluation:
        return report.examine(finding)

    def baselines(self, finding: Finding, notes: list[str]) -> dict[str, Baseline]:
        """As many principal components."""
        return {"pca": finding.evaluation.details.components.baseline}

    def conclude(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
        return report.conclude(finding, baselines)

    def sections(self, finding: Finding, baselines: Mapping[str, Baseline]) -> Iterable[Section]:
        return report.sections(finding)

    def summary(self, finding: Finding) -> Summary:
        return report.summary(finding)

    # 6 deploy

    def exported(self, prep: Preprocessor, graphs: Mapping[str, Any]) -> Self:
        """With where the coordinates of held-out rows are."""
        rows = self.splits.validation
        places = np.sort(np.random.default_rng(0).permutation(rows.num_rows)[:HELD_OUT])
        inputs = self.inputs(prep, rows.take(places))
        count = len(next(iter(inputs.values())))
        run = graphs["model"]
        parts = [
            run({name: np.asarray(values[at : at + CHUNK]) for name, values in inputs.items()})["latent"]
            for at in range(0, count, CHUNK)
        ]
        latent = np.concatenate(parts).astype(np.float64)
        ends = [privacy.limits(column) for column in latent.T]
        middles = [privacy.rounded(float(np.median(column)), float(np.ptp(column))) for column in latent.T]
        low, high = (tuple(end[i] for end in ends) for i in (0, 1))
        return self.with_task(self.task.with_state(low=low, centre=tuple(middles), high=high))
