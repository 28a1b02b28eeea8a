"""A column of texts of a run, as the report looks at it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from lamina import privacy
from lamina.evaluate.images.thumbnails import text
from lamina.experiment import Finding


@dataclass(frozen=True)
class TextColumn:
    """A column of texts of a run: the words in it that may be shown, and its texts by part."""

    finding: Finding
    column: str
    shared: frozenset[str]
    cells: Mapping[str, list[str | None]]

    @property
    def task(self) -> Any:
        return self.finding.experiment.task

    @property
    def seed(self) -> int:
        return self.finding.experiment.recipe.seed

    def rows(self, part: str) -> pa.Table:
        return self.finding.experiment.splits._asdict()[part]

    @cached_property
    def _truth(self) -> dict[str, np.ndarray]:
        """True targets by part; numbers that few rows share are rounded."""
        targets = {
            name: self.task.truth(np.asarray(examples.target)) for name, examples in self.finding.examples.items()
        }
        return targets if self.task.classes else {name: privacy.coarse(values) for name, values in targets.items()}

    @cached_property
    def losses(self) -> np.ndarray | None:
        """(test rows,) how bad each answer is, rounded where it is a number; None where rows have no single answer."""
        losses = self.task.losses(self.finding.evaluation.answers, self.finding.evaluation.target)
        return losses if losses is None or self.task.classes else privacy.coarse(losses)

    def label(self, part: str, row: int) -> str:
        """What a person calls the true answer."""
        return text(self.task.label(self._truth[part][row]))

    def answer(self, row: int) -> tuple[str, float | None]:
        """The answer to a test row as a person writes it, and how sure it is."""
        value, chance = self.task.spoken(self.finding.evaluation.answers, row)
        return text(value), chance
