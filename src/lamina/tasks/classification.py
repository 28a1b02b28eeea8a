"""One label out of two or more, with a probability for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina import config
from lamina.config import DataError, RecipeError, nearest
from lamina.data._checkpoint import Checkpoint
from lamina.schema import Output, Row, floats
from lamina.tasks._supervised import labels
from lamina.tasks._supervised.task import Arrays, SupervisedTask

ALIASES = ("binary", "classifier", "multiclass")

MANY = 20  # whole numbers 0..k, 1..k or -k..k are labels up to this many, measurements above
MANY_EVEN, EVEN, EVEN_EACH = 1000, 1.25, 5  # or this many, where each has as many rows as others, and a few
APART = 10  # whole numbers with gaps between them are labels up to this many,
ROWS_EACH, ROWS_EACH_LARGE = 10, 25  # with so many rows each, on average: small ones, such as 3, 5, 7, 9, and others
RARE = 0.05  # of the training rows, below which a class is easily overlooked

Weight = Annotated[float, Field(gt=0)]


class Config(config.Config):
    kind: Literal["classification"] = "classification"
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    class_weight: Literal["none", "balanced"] | dict[str, Weight] = "none"
    focal: float = Field(default=0.0, ge=0, le=10)


class State(config.Config):
    classes: tuple[str, ...] = Field(min_length=2, max_length=labels.MOST)
    counts: tuple[int, ...]
    type: Literal["string", "integer", "boolean"]
    temperature: float = Field(default=1.0, gt=0)


@dataclass(frozen=True)
class Task(SupervisedTask):
    cfg: Config
    state: State

    target_kind = "category"
    metrics = (
        "accuracy",
        "balanced_accuracy",
        "precision",
        "recall",
        "f1",
        "f1_weighted",
        "roc_auc",
        "pr_auc",
        "log_loss",
        "ece",
    )
    baselines = ("majority", "logistic", "gradient_boosting", "nearest_neighbour")
    plots = ("comparison", "confusion", "roc", "precision_recall", "reliability", "learning")
    calibration = "temperature"
    class_table = "per_class"

    @property
    def classes(self) -> tuple[str, ...]:
        return self.state.classes

    @classmethod
    def suits(cls, values: pa.Array) -> float:
        """Text and booleans are labels; so are whole numbers that count up from 0 or 1 or about 0, few ones with gaps
        between them that come again and again, and any two values.
        """
        if pa.types.is_nested(values.type) or pa.types.is_temporal(values.type) or pa.types.is_binary(values.type):
            return 0.0
        distinct = pc.unique(values.drop_null())
        if pa.types.is_boolean(values.type) or pa.types.is_string(values.type):
            return 0.9
        numbers = floats(distinct)
        if numbers is None:
            return 0.9
        numbers = numbers[np.isfinite(numbers)]
        if len(numbers) <= 2:
            return 0.8 if len(numbers) == 2 else 0.0
        low, high = numbers.min(), numbers.max()
        if not (numbers == np.floor(numbers)).all():
            return 0.0
        if high - low + 1 == len(numbers):
            few = len(numbers) <= MANY or (len(numbers) <= MANY_EVEN and _are_even(values))
            return 0.8 if low in (0, 1, -high) and few else 0.0
        each = ROWS_EACH if low >= 0 and high <= MANY else ROWS_EACH_LARGE
        return 0.8 if len(numbers) <= APART and len(values) - values.null_count >= each * len(numbers) else 0.0

    @classmethod
    def fit(cls, values: pa.Array, cfg: Config) -> State:
        """`values`: training labels as text, nulls already gone. Classes are sorted, numbers by value."""
        names, counts, integers = labels.classes(values)
        if len(names) < 2:
            raise DataError(f"target: classification needs at least two classes (got {list(names)}).")
        kind = "integer" if integers else "boolean" if set(names) == {"false", "true"} else "string"
        weights = cfg.class_weight if isinstance(cfg.class_weight, dict) else {}
        if unknown := [label for label in weights if label not in names]:
            raise RecipeError([f"task.class_weight: there is no class '{unknown[0]}'. {nearest(unknown[0], names)}"])
        return State(classes=names, counts=counts, type=kind)

    @classmethod
    def imported(cls, checkpoint: Checkpoint) -> Self | None:
        """By the names of its labels, in the order of the network."""
        if checkpoint.head != "logits" or len(set(checkpoint.labels)) < 2:
            return None
        return cls(Config(), State(classes=checkpoint.labels, counts=(1,) * len(checkpoint.labels), type="string"))

    def unknown(self, values: pa.Array) -> np.ndarray:
        """(rows,) bool: labels never seen in training."""
        return labels.codes(values, self.state.classes) < 0

    def encode(self, values: pa.Array) -> np.ndarray:
        """(rows,) float32 zeros and ones for two classes, int64 codes for more."""
        codes = labels.codes(values, self.state.classes)
        return codes.astype(np.float32) if len(self.state.classes) == 2 else codes

    def truth(self, encoded: np.ndarray) -> np.ndarray:
        """Encoded targets as class codes (rows,) int64."""
        return encoded.astype(np.int64)

    def output(self) -> Output:
        state, cfg = self.state, self.cfg
        settings: dict[str, float | list[float]] = {}
        if cfg.label_smoothing:
            settings["label_smoothing"] = cfg.label_smoothing
        if cfg.class_weight == "balanced":
            total = sum(state.counts)
            settings["class_weight"] = [total / (len(state.counts) * c) for c in state.counts]
        elif isinstance(cfg.class_weight, dict):
            settings["class_weight"] = [cfg.class_weight.get(c, 1.0) for c in state.classes]
        if cfg.focal:
            settings["focal"] = cfg.focal
        if len(state.classes) == 2:
            return Output(head="logits", size=1, loss="binary_cross_entropy", settings=settings)
        return Output(head="logits", size=len(state.classes), loss="cross_entropy", settings=settings)

    def decode(self, outputs: Arrays) -> dict[str, np.ndarray]:
        """Raw `target` (rows, 1) or (rows, classes) logits to `probabilities` (rows, classes), float64."""
        logits = outputs["target"].astype(np.float64) / self.state.temperature
        if logits.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return {"probabilities": shifted / shifted.sum(axis=1, keepdims=True)}

    def table(self, answers: Arrays) -> pa.Table:
        """`prediction` in the label's own type, and `probabilities`, a struct with one field per class."""
        chances = answers["probabilities"]
        codes = chances.argmax(axis=1) if len(chances) else np.zeros(0, np.int64)
        predictions = pa.array(self._labels()).take(pa.array(codes))
        by_class = pa.StructArray.from_arrays([pa.array(c) for c in chances.T], names=list(self.state.classes))
        return pa.table({"prediction": predictions, "probabilities": by_class})

    def rows(self, answers: Arrays) -> list[Row]:
        chances, names, own = answers["probabilities"], self.state.classes, self._labels()
        if not np.isfinite(chances).all():
            return super().rows(answers)
        return [
            {"prediction": own[code], "probabilities": dict(zip(names, row, strict=True))}
            for code, row in zip(chances.argmax(axis=1).tolist(), chances.tolist(), strict=True)
        ]

    def _labels(self) -> list[Any]:
        """The classes in their own type."""
        state = self.state
        if state.type == "integer":
            return [int(c) for c in state.classes]
        return [c == "true" for c in state.classes] if state.type == "boolean" else list(state.classes)

    def validate(self, outputs: Arrays, target: np.ndarray) -> dict[str, float]:
        """Mean log-loss, which decides what is best, and accuracy."""
        logits = outputs["target"].astype(np.float64)
        if logits.shape[1] == 1:
            z = logits[:, 0] * np.where(target > 0.5, 1.0, -1.0)
            return {"loss": float(np.logaddexp(0, -z).mean()), "accuracy": float(((logits[:, 0] > 0) == target).mean())}
        own = np.take_along_axis(logits, target[:, None].astype(np.int64), axis=1)[:, 0]
        top = logits.max(axis=1)
        total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        return {"loss": float((total - own).mean()), "accuracy": float((logits.argmax(axis=1) == target).mean())}

    def losses(self, answers: Arrays, target: np.ndarray) -> np.ndarray:
        """(rows,) log loss."""
        own = answers["probabilities"][np.arange(len(target)), target.astype(int)]
        return -np.log(np.maximum(own, 1e-15))

    def label(self, value: Any) -> str:
        return self.state.classes[int(value)]

    def spoken(self, answers: Arrays, row: int) -> tuple[str, float]:
        chances = answers["probabilities"][row]
        return self.state.classes[int(chances.argmax())], float(chances.max())

    def chances(self, answers: Arrays) -> np.ndarray:
        return answers["probabilities"]

    def remarks(self, scores: Mapping[str, float | None]) -> list[str]:
        """A sentence where accuracy misleads because a class is rare."""
        state, cfg, balanced = self.state, self.cfg, scores.get("balanced_accuracy")
        if balanced is None or scores.get("accuracy") is None:
            return []
        shares = {name: c / sum(state.counts) for name, c in zip(state.classes, state.counts, strict=True)}
        rare = sorted((name for name in shares if shares[name] < RARE), key=lambda name: shares[name])
        if not rare or len(shares) > 1 / RARE:  # of many classes all are rare
            return []
        names = ", ".join(f"'{name}' ({shares[name]:.1%})" for name in rare[:5]) + (" ..." if len(rare) > 5 else "")
        weighs = cfg.class_weight != "none" or cfg.focal != 0
        cure = "" if weighs else " Try --set task.focal=2, or --set task.class_weight=balanced."
        return [
            f"Rare classes: {names} of the training rows. Accuracy {scores['accuracy']:.3f} says little of them; "
            f"balanced accuracy is {balanced:.3f}.{cure}"
        ]


def _are_even(values: pa.Array) -> bool:
    """Whether each value has nearly as many rows as each other, as classes that somebody collected have."""
    counts = values.drop_null().value_counts().field("counts").to_numpy()
    return counts.min() >= EVEN_EACH and counts.max() <= EVEN * counts.min()
