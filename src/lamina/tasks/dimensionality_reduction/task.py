"""The serving half of dimensionality reduction: what a network is built for, and what can be asked of a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import pyarrow as pa

from lamina import task
from lamina.data import arrays
from lamina.deploy.bundle.strict_json import rejection
from lamina.preprocess import Preprocessor
from lamina.schema import Input, Output, Row
from lamina.task import Asset, Session
from lamina.tasks._unlabelled import row_layout
from lamina.tasks.dimensionality_reduction import coordinates, golden, operation
from lamina.tasks.dimensionality_reduction.coordinates import DECODER
from lamina.tasks.dimensionality_reduction.operation import IMAGE, INVERSE_TRANSFORM, PREDICT
from lamina.tasks.dimensionality_reduction.state import Config, State

HEAD = "reconstruction"
MAPPED, NEIGHBORS = 3, 15  # dimensions that are drawn, in which so many nearest rows are to stay together


@dataclass(frozen=True)
class Task(task.Task):
    cfg: Config
    state: State

    operations = (PREDICT, INVERSE_TRANSFORM)
    assets = {f"{DECODER}.onnx": Asset("decoder of what is given back", graph=True)}

    def output(self) -> Output:
        """As many numbers as each row becomes; of two or three a map, which keeps neighbours together."""
        dimensions = self.cfg.dimensions
        settings: dict[str, float | list[float]] = {"neighbors": float(NEIGHBORS)} if 1 < dimensions <= MAPPED else {}
        return Output(head=HEAD, size=dimensions, loss=HEAD, settings=settings)

    def inputs(self, prep: Preprocessor) -> dict[str, Input]:
        return row_layout.inputs(prep, self.state.layout)

    def about(self, session: Session) -> Row:
        """What coordinates are called, and between which numbers those of held-out rows are."""
        ends = zip(coordinates.names(session), self.state.low, self.state.high, strict=True)
        return {"coordinates": {name: [low, high] for name, low, high in ends}, "decodes": coordinates.sort(session)}

    def like(self, answers: pa.Table, rows: Any) -> Any:
        """Images come as one array of uint8, whatever rows came in."""
        return operation.pixels(answers) if answers.column_names == [IMAGE] else arrays.like(answers, rows)

    # safety

    def check(self, session: Session) -> None:
        state = self.state
        for name, values in {"low": state.low, "centre": state.centre, "high": state.high}.items():
            if len(values) != self.cfg.dimensions or not all(map(isfinite, values)):
                raise rejection("task.json", f"state.{name}", "must be one finite number for each coordinate")

    def replay(self, session: Session, requests: Sequence[Row]) -> list[Row]:
        return golden.answers(session, requests)

    def agrees(self, mine: Any, theirs: Any) -> bool:
        return golden.agree(mine, theirs)
