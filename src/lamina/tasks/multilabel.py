"""Any number of labels per row, each with a probability and a threshold of its own (multi-label classification)."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from lamina import config
from lamina.config import DataError
from lamina.data._checkpoint import Checkpoint
from lamina.preprocess import labels as column_labels
from lamina.schema import Output
from lamina.tasks._supervised import labels
from lamina.tasks._supervised.task import Arrays, SupervisedTask

HALF = 0.5
MOST_WEIGHT = 100.0  # of a rare label under `balanced`


class Config(config.Config):
    kind: Literal["multilabel"] = "multilabel"
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    class_weight: Literal["none", "balanced"] = "none"


class State(config.Config):
    """`thresholds`: a label is answered from this probability on; one half each before calibration."""

    classes: tuple[str, ...] = Field(min_length=1, max_length=labels.MOST)
    counts: tuple[int, ...]
    rows: int = Field(ge=1)
    type: Literal["string", "integer"]
    thresholds: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        if len(self.counts) != len(self.classes) or len(self.thresholds) not in (0, len(self.classes)):
            raise ValueError("counts and thresholds must be as many as the classes")
        return self


@dataclass(frozen=True)
class Task(SupervisedTask):
    cfg: Config
    state: State

    target_kind = "labels"
    target_settings = {"blank": True}  # files cannot tell an empty text from a missing one: here, a row without labels
    metrics = (  # F1 of the labels that are answered comes first: it is what the user gets, thresholds and all
        "f1_micro",
        "f1_macro",
        "f1_samples",
        "precision_micro",
        "recall_micro",
        "mean_average_precision",
        "subset_accuracy",
        "hamming_loss",
    )
    baselines = ("frequent_labels", "logistic_labels")
    plots = ("comparison", "precision_recall", "reliability", "learning")
    calibration = "thresholds"
    class_table = "per_label"

    @property
    def classes(self) -> tuple[str, ...]:
        return self.state.classes

    @classmethod
    def imported(cls, checkpoint: Checkpoint) -> Self | None:
        """By the names of its labels, in the order of the network."""
        if checkpoint.head != "multilabel":
            return None
        names = checkpoint.labels
        return cls(Config(), State(classes=names, counts=(1,) * len(names), rows=len(names), type="string"))

    @classmethod
    def suits(cls, values: pa.Array) -> float:
        """Lists of texts, or of whole numbers where they are not all of one length, as vectors are; texts with `|`,
        `;`, commas or blanks between labels that come again in other company.
        """
        if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
            inner = values.type.value_type
            if pa.types.is_string(inner) or pa.types.is_large_string(inner):
                return 0.95
            ragged = len(pc.unique(pc.list_value_length(values.drop_null()))) > 1
            return 0.6 if ragged and _whole(pc.list_flatten(values)) else 0.0
        if not pa.types.is_string(values.type):
            return 0.0
        often = 0.0 if pc.any(pc.match_substring_regex(values, "[|;]")).as_py() else column_labels.OFTEN
        return 0.95 if column_labels.separator_of(values.drop_null(), often) else 0.0

    @classmethod
    def fit(cls, values: pa.Array, cfg: Config) -> State:
        """`values`: training cells as lists of text, nulls already gone. Classes are sorted, numbers by value."""
        names, counts, integers = labels.classes(values.flatten())
        if not names:
            raise DataError("target: multilabel needs at least one label (every list is empty).")
        return State(classes=names, counts=counts, rows=len(values), type="integer" if integers else "string")

    def _places(self, values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """The row and the class code of every label; -1 where it is unknown."""
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
        codes = pc.index_in(pc.list_flatten(values), value_set=pa.array(self.state.classes, pa.string()))
        return np.repeat(np.arange(len(values)), lengths), pc.fill_null(codes, -1).to_numpy(zero_copy_only=False)

    def unknown(self, values: pa.Array) -> np.ndarray:
        """(rows,) bool: cells that are missing, or hold a label never seen in training."""
        rows, codes = self._places(values)
        bad = pc.is_null(values).to_numpy(zero_copy_only=False).copy()
        bad[rows[codes < 0]] = True
        return bad

    def encode(self, values: pa.Array) -> np.ndarray:
        """(rows, classes) float32 zeros and ones."""
        rows, codes = self._places(values)
        out = np.zeros((len(values), len(self.state.classes)), np.float32)
        out[rows[codes >= 0], codes[codes >= 0]] = 1
        return out

    def truth(self, encoded: np.ndarray) -> np.ndarray:
        """Encoded targets as (rows, classes) bool."""
        return encoded > 0.5

    def output(self) -> Output:
        state, cfg = self.state, self.cfg
        settings: dict[str, float | list[float]] = {}
        if cfg.label_smoothing:
            settings["label_smoothing"] = cfg.label_smoothing
        if cfg.class_weight == "balanced":
            settings["class_weight"] = [min(MOST_WEIGHT, max(state.rows - c, 1) / c) for c in state.counts]
        return Output(head="multilabel", size=len(state.classes), loss="multilabel", settings=settings)

    def decode(self, outputs: Arrays) -> dict[str, np.ndarray]:
        """Raw `target` (rows, classes) logits to `probabilities` float64 and `chosen` bool, both (rows, classes)."""
        chances = 0.5 * (1 + np.tanh(0.5 * outputs["target"].astype(np.float64)))
        thresholds = self.state.thresholds or (HALF,) * len(self.state.classes)
        return {"probabilities": chances, "chosen": chances >= np.array(thresholds)}

    def table(self, answers: Arrays) -> pa.Table:
        """`prediction`, the list of labels in their own type, and `probabilities`, a struct with a field per class."""
        state = self.state
        own: list[Any] = [int(c) for c in state.classes] if state.type == "integer" else list(state.classes)
        rows, codes = np.nonzero(answers["chosen"])
        offsets = np.searchsorted(rows, np.arange(len(answers["chosen"]) + 1))
        predictions = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(own).take(pa.array(codes)))
        by_class = pa.StructArray.from_arrays(
            [pa.array(c) for c in answers["probabilities"].T], names=list(state.classes)
        )
        return pa.table({"prediction": predictions, "probabilities": by_class})

    def validate(self, outputs: Arrays, target: np.ndarray) -> dict[str, float]:
        """Mean log-loss over rows and labels, which decides what is best, and micro F1 at one half."""
        logits = outputs["target"].astype(np.float64)
        loss = float(np.logaddexp(0, np.where(target > 0.5, -logits, logits)).mean())
        hits, positives = ((logits > 0) & (target > 0.5)).sum(), (logits > 0).sum() + (target > 0.5).sum()
        return {"loss": loss, "f1_micro": float(2 * hits / positives) if positives else 1.0}

    def label(self, value: np.ndarray) -> str:
        return ", ".join(np.array(self.state.classes, object)[np.asarray(value) > 0]) or "none"


def _whole(numbers: pa.Array) -> bool:
    if not pa.types.is_floating(numbers.type):
        return pa.types.is_integer(numbers.type)
    return bool(pc.all(pc.equal(pc.floor(numbers), numbers), min_count=0).as_py())
