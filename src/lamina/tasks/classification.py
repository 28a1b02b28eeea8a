"""One label out of two or more, with a probability for each."""

from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina import config
from lamina.config import DataError, RecipeError, nearest
from lamina.schema import Output, floats

target = "category"
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

MANY = 20  # whole numbers 0..k or 1..k are labels up to this many, measurements above


Weight = Annotated[float, Field(gt=0)]


class Config(config.Config):
    kind: Literal["classification"] = "classification"
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    class_weight: Literal["none", "balanced"] | dict[str, Weight] = "none"
    focal: float = Field(default=0.0, ge=0, le=10)


class State(config.Config):
    classes: tuple[str, ...] = Field(min_length=2, max_length=100_000)
    counts: tuple[int, ...]
    type: Literal["string", "integer", "boolean"]
    temperature: float = Field(default=1.0, gt=0)


def suits(values: pa.Array) -> float:
    """Text and booleans are labels; so are whole numbers that count up from 0 or 1, and any two values."""
    if pa.types.is_nested(values.type) or pa.types.is_temporal(values.type) or pa.types.is_binary(values.type):
        return 0.0
    distinct = pc.unique(values.drop_null())
    if pa.types.is_boolean(values.type):
        return 0.9
    numbers = floats(distinct)
    if numbers is None:
        return 0.9
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) <= 2:
        return 0.8 if len(numbers) == 2 else 0.0
    low, high = numbers.min(), numbers.max()
    whole = bool((numbers == np.floor(numbers)).all())
    return 0.8 if whole and low in (0, 1) and high - low + 1 == len(numbers) <= MANY else 0.0


def fit(values: pa.Array, cfg: Config) -> State:
    """`values`: training labels as text, nulls already gone. Classes are sorted, numbers by value."""
    found = {c["values"]: c["counts"] for c in values.value_counts().to_pylist()}
    if len(found) < 2:
        raise DataError(f"target: classification needs at least two classes (got {sorted(found)}).")
    whole = all(v.lstrip("-").isdigit() and str(int(v)) == v for v in found)
    kind = "integer" if whole else "boolean" if set(found) == {"false", "true"} else "string"
    classes = sorted(found, key=int) if whole else sorted(found)
    strange = [label for label in cfg.class_weight if label not in found] if isinstance(cfg.class_weight, dict) else []
    if strange:
        raise RecipeError([f"task.class_weight: there is no class '{strange[0]}'. {nearest(strange[0], classes)}"])
    return State(classes=tuple(classes), counts=tuple(found[c] for c in classes), type=kind)


def codes(values: pa.Array, classes: tuple[str, ...]) -> np.ndarray:
    """(rows,) class codes, -1 where the label is unknown.

    A label that differs from exactly one class only in case, blanks or closing punctuation is that class:
    Adult's official test file writes `<=50K.` for `<=50K`.
    """
    distinct = pc.unique(values).to_pylist()
    loose: dict[str, list[int]] = {}
    for code, name in enumerate(classes):
        loose.setdefault(_loose(name), []).append(code)
    exact = {name: code for code, name in enumerate(classes)}
    near = {v: loose.get(_loose(v), []) if v is not None else [] for v in distinct}
    found = [exact.get(v, near[v][0] if len(near[v]) == 1 else -1) for v in distinct]
    places = pc.index_in(values, value_set=pa.array(distinct, values.type)).to_numpy(zero_copy_only=False)
    return np.array(found, np.int64)[places] if distinct else np.zeros(0, np.int64)


def _loose(label: str) -> str:
    return label.casefold().strip().rstrip(".;,").strip()


def unknown(values: pa.Array, state: State) -> np.ndarray:
    """(rows,) bool: labels never seen in training."""
    return codes(values, state.classes) < 0


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows,) float32 zeros and ones for two classes, int64 codes for more."""
    found = codes(values, state.classes)
    return found.astype(np.float32) if len(state.classes) == 2 else found


def output(state: State, cfg: Config) -> Output:
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
        return Output(size=1, loss="binary_cross_entropy", settings=settings)
    return Output(size=len(state.classes), loss="cross_entropy", settings=settings)


def decode(raw: dict[str, np.ndarray], state: State) -> dict[str, np.ndarray]:
    """Raw `target` (rows, 1) or (rows, classes) logits to `probabilities` (rows, classes), float64."""
    logits = raw["target"].astype(np.float64) / state.temperature
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return {"probabilities": shifted / shifted.sum(axis=1, keepdims=True)}


def table(answers: dict[str, np.ndarray], state: State) -> pa.Table:
    """`prediction` in the label's own type, and `probabilities`, a struct with one field per class."""
    chances = answers["probabilities"]
    codes = chances.argmax(axis=1) if len(chances) else np.zeros(0, np.int64)
    labels = pa.array(_typed(state)).take(pa.array(codes))
    spread = pa.StructArray.from_arrays([pa.array(c) for c in chances.T], names=list(state.classes))
    return pa.table({"prediction": labels, "probabilities": spread})


def _typed(state: State) -> list[Any]:
    if state.type == "integer":
        return [int(c) for c in state.classes]
    return [c == "true" for c in state.classes] if state.type == "boolean" else list(state.classes)


def quick(raw: dict[str, np.ndarray], truth: np.ndarray, state: State) -> dict[str, float]:
    """Mean log-loss, which decides what is best, and accuracy."""
    logits = raw["target"].astype(np.float64)
    if logits.shape[1] == 1:
        z = logits[:, 0] * np.where(truth > 0.5, 1.0, -1.0)
        return {"loss": float(np.logaddexp(0, -z).mean()), "accuracy": float(((logits[:, 0] > 0) == truth).mean())}
    own = np.take_along_axis(logits, truth[:, None].astype(np.int64), axis=1)[:, 0]
    top = logits.max(axis=1)
    total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return {"loss": float((total - own).mean()), "accuracy": float((logits.argmax(axis=1) == truth).mean())}


def truth(encoded: np.ndarray, state: State) -> np.ndarray:
    """Encoded targets as class codes (rows,) int64."""
    return encoded.astype(np.int64)
