"""The serving half of generation: what a network is built for, what can be asked of a bundle, and what it must hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lamina import task
from lamina.preprocess import Preprocessor
from lamina.schema import Input, Output, Row
from lamina.task import Asset, Session
from lamina.tasks._supervised import labels
from lamina.tasks.generation import bounds, discriminator_scores, golden, table_transformer
from lamina.tasks.generation.operation import GENERATE, PREDICT
from lamina.tasks.generation.state import MOST, Config, State

LOSS = "generation"  # in bundles; a generator says its own losses


@dataclass(frozen=True)
class Task(task.Task):
    cfg: Config
    state: State

    operations = (GENERATE, PREDICT)
    assets = {f"{name}.onnx": Asset("discriminator of a generator", graph=True) for name in discriminator_scores.GRAPHS}
    target_kind = "category"
    target_settings = {}

    @property
    def classes(self) -> tuple[str, ...]:
        return self.state.classes

    def output(self) -> Output:
        """As many numbers as classes: a condition on what a network gives, and not what it answers."""
        return Output(head="sample", size=len(self.state.classes), loss=LOSS)

    def inputs(self, prep: Preprocessor) -> dict[str, Input]:
        return table_transformer.inputs(prep, self.state)

    # classes

    @classmethod
    def fit(cls, values: pa.Array | None, cfg: Config) -> State:
        """`values`: training labels as text without nulls, or None where there is no label."""
        if values is None:
            return State()
        names, counts, _ = labels.classes(values, MOST)
        return State(classes=names, counts=counts)

    def unknown(self, values: pa.Array) -> np.ndarray:
        """(rows,) bool: labels that no training row had."""
        return self.encode(values) < 0

    def encode(self, values: pa.Array) -> np.ndarray:
        """(rows,) int64 codes of the classes."""
        return labels.codes(values, self.state.classes)

    # what a bundle says

    def about(self, session: Session) -> Row:
        return {"samples": self.state.samples, "discriminator": discriminator_scores.graph(session) is not None}

    # safety

    def check(self, session: Session) -> None:
        bounds.check(session)

    def replay(self, session: Session, requests: Sequence[Row]) -> list[Row]:
        return golden.answers(session, requests)

    def agrees(self, mine: Any, theirs: Any) -> bool:
        return golden.agree(mine, theirs)
