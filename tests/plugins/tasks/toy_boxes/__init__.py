"""Where things are in an image: any number of boxes for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from lamina import config
from lamina.schema import Output
from lamina.tasks._supervised.task import SupervisedTask

SIDE = 24  # pixels of a side that answers are relative to


class Config(config.Config):
    kind: Literal["toy_boxes"] = "toy_boxes"


class State(config.Config):
    slots: int = Field(ge=1, le=100)


@dataclass(frozen=True)
class Task(SupervisedTask):
    cfg: Config
    state: State

    target_kind: ClassVar[str] = "toy_boxes"
    metrics: ClassVar[tuple[str, ...]] = ("toy_iou", "toy_count")

    @classmethod
    def suits(cls, values: pa.Array) -> float:
        return 0.0

    @classmethod
    def fit(cls, values: pa.Array, cfg: Config) -> State:
        return State(slots=max(1, *(len(boxes) for boxes in values.to_pylist())))

    def unknown(self, values: pa.Array) -> np.ndarray:
        return np.array([len(boxes or []) > self.state.slots for boxes in values.to_pylist()])

    def lengths(self, values: pa.Array) -> np.ndarray:
        """(rows,) how many boxes each image has."""
        return np.array([len(boxes) for boxes in values.to_pylist()], np.int64)

    def encode(self, values: pa.Array) -> np.ndarray:
        """(rows, slots, 4) float32 in parts of the image, -1 behind the last box."""
        boxes = np.full((len(values), self.state.slots, 4), -1, np.float32)
        for row, cell in enumerate(values.to_pylist()):
            for place, box in enumerate(sorted(cell)[: self.state.slots]):
                boxes[row, place] = np.array(box) / SIDE
        return boxes

    def truth(self, encoded: np.ndarray) -> np.ndarray:
        return encoded * SIDE

    def output(self) -> Output:
        return Output(head="boxes", size=self.state.slots * 5, loss="toy_boxes")

    def decode(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        slots = outputs["target"].reshape(-1, self.state.slots, 5).astype(np.float64)
        return {"boxes": np.clip(slots[..., :4], 0, 1) * SIDE, "scores": 0.5 * (1 + np.tanh(0.5 * slots[..., 4]))}

    def table(self, answers: Mapping[str, np.ndarray]) -> pa.Table:
        """A list of boxes for each image, as long as it has any."""
        rows = []
        for boxes, scores in zip(answers["boxes"], answers["scores"], strict=True):
            sure = [(b, float(s)) for b, s in zip(boxes.tolist(), scores, strict=True) if s >= 0.5]
            rows.append([{"box": [round(v, 4) for v in box], "score": round(score, 4)} for box, score in sure])
        kind = pa.list_(pa.struct({"box": pa.list_(pa.float64()), "score": pa.float64()}))
        return pa.table({"prediction": pa.array(rows, kind)})

    def label(self, value: np.ndarray) -> str:
        return f"{int((value[:, 0] >= 0).sum())} boxes"

    def validate(self, outputs: Mapping[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
        slots = outputs["target"].reshape(-1, self.state.slots, 5).astype(np.float64)
        present = target[..., 0] >= 0
        corners = float((np.abs(slots[..., :4] - target).mean(-1) * present).sum() / max(present.sum(), 1))
        signs = np.where(present, -1.0, 1.0)
        return {"loss": corners + float(np.logaddexp(0, signs * slots[..., 4]).mean()), "corners": corners}
