"""The serving half of denoising: what a network is built for, and what can be asked of a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lamina import task
from lamina.data import arrays
from lamina.deploy.bundle.strict_json import rejection
from lamina.preprocess import Preprocessor
from lamina.schema import Input, Output, Row
from lamina.task import Operation, Session
from lamina.tasks.denoising import golden, memory_images
from lamina.tasks.denoising.operation import DENOISE, PREDICT, PREDICT_OF
from lamina.tasks.denoising.state import WHITE, Config, State

QUANTIZED = {"gaussian": 0.0, "both": 0.5, "quantized": 1.0}


@dataclass(frozen=True)
class Task(task.Task):
    cfg: Config
    state: State

    operations = (PREDICT, DENOISE)

    def output(self) -> Output:
        """An answer as large as what came; the noise to learn from in units of the network's input, where it is added
        to clean rows.
        """
        settings: dict[str, float | list[float]] = {}
        if self.state.sigma is not None:
            image = self.state.form == "image"
            settings["sigma"] = [value / WHITE if image else value for value in self.state.sigma]
            settings["quantized"] = QUANTIZED[self.cfg.noise] if image else 0.0
        return Output(head="restoration", size=self.state.channels, loss="charbonnier", settings=settings)

    def inputs(self, prep: Preprocessor) -> dict[str, Input]:
        channels = self.state.channels
        if self.state.form == "image":
            return {"image": Input(kind="image", shape=(None, None, channels), dtype="float32")}
        return {"series": Input(kind="series", shape=(None, channels), dtype="float32")}

    def offered(self, session: Session) -> tuple[Operation, ...]:
        """Rows of a table are answered together, and only images are given back as files."""
        first = PREDICT_OF[self.state.form]
        return (first, DENOISE) if self.state.form == "image" else (first,)

    def about(self, session: Session) -> Row:
        state = self.state
        noise = {"noise": f"deviation {state.sigma[0]:g} to {state.sigma[1]:g}"} if state.sigma else {}
        return {"form": state.form, "channels": state.channels, **noise}

    # the caller's own types

    def read(self, rows: Any, files: Sequence[str]) -> pa.Table:
        """Images may be floats, too, whose numbers stay what they are."""
        return arrays.table(memory_images.with_floats(rows, files) if files else rows, files)

    def like(self, answers: pa.Table, rows: Any) -> Any:
        """Images as arrays, red first, (height, width) where they are grey; else as other tasks answer."""
        if self.state.form != "image" or self.state.columns[0] not in answers.column_names:
            return arrays.like(answers, rows)
        return memory_images.like(answers, self.state.columns[0], rows)

    # safety

    def check(self, session: Session) -> None:
        used = tuple(column.name for column in session.prep.columns)
        kinds = {column.kind for column in session.prep.columns}
        kind = {"image": "image", "series": "series", "table": "number"}[self.state.form]
        if used != self.state.columns or kinds != {kind}:
            raise rejection("task.json", "state.columns", "are not those of the schema")

    def replay(self, session: Session, requests: Sequence[Row]) -> list[Row]:
        return golden.answers(session, requests)

    def agrees(self, mine: Any, theirs: Any) -> bool:
        return golden.agree(mine, theirs)
