"""Boxes as targets of varying number, which move with the image when it is changed for training."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lamina.evaluate.metrics import metric
from lamina.experiment import Baseline, Finding
from lamina.preprocess import Preprocessor, parse_columns
from lamina.tasks._supervised import experiment
from lamina.train.settings import Examples


@metric(True, "boxes", label="IoU")
def toy_iou(target: np.ndarray, answers: Mapping[str, np.ndarray]) -> float | None:
    """Mean intersection over union of the boxes that are there, slot by slot."""
    there, boxes = target[..., 0] >= 0, answers["boxes"]
    low, high = np.maximum(target[..., :2], boxes[..., :2]), np.minimum(target[..., 2:], boxes[..., 2:])
    inside = np.clip(high - low, 0, None).prod(-1)
    areas = [np.clip(b[..., 2:] - b[..., :2], 0, None).prod(-1) for b in (target, boxes)]
    union = areas[0] + areas[1] - inside
    return float((inside / np.maximum(union, 1e-9))[there].mean()) if there.any() else None


@metric(True, "scores", label="right number of boxes")
def toy_count(target: np.ndarray, answers: Mapping[str, np.ndarray]) -> float | None:
    """Share of images for which as many boxes are answered as there are."""
    return float(((target[..., 0] >= 0).sum(1) == (answers["scores"] >= 0.5).sum(1)).mean()) if len(target) else None


class Experiment(experiment.Experiment):
    """Images with any number of boxes."""

    def examples(self, prep: Preprocessor) -> dict[str, Examples]:
        assert self.target is not None
        examples = {}
        for name, table in self.splits._asdict().items():
            values = parse_columns(table, (self.target,))[self.target.name].combine_chunks()
            target = self.task.encode(values)
            examples[name] = Examples(prep.encode(table, cache=True), target, self.task.lengths(values))
        return examples

    def target_transform(self) -> Callable[..., Any]:
        return move

    def baselines(self, finding: Finding, notes: list[str]) -> dict[str, Baseline]:
        return {}


def move(target: Any, affine: Any, size: tuple[int, int]) -> Any:
    """Boxes (rows, slots, 4) in parts of the image after an affine map of its pixels (rows, 2, 3)."""
    height, width = size
    scale = target.new_tensor([width, height, width, height])
    left, top, right, bottom = (target * scale).unbind(-1)
    corners = target.new_zeros((*target.shape[:2], 4, 3))  # (rows, slots, corners, x y 1)
    corners[..., 2] = 1
    for i, (x, y) in enumerate(((left, top), (right, top), (left, bottom), (right, bottom))):
        corners[..., i, 0], corners[..., i, 1] = x, y
    points = corners @ affine[:, None].transpose(2, 3)  # (rows, slots, corners, x y)
    boxes = target.new_zeros(target.shape)
    boxes[..., :2], boxes[..., 2:] = points.amin(2), points.amax(2)
    return (boxes / scale).where(target[..., :1] >= 0, target)
