"""Seeds and classes in, new images or rows out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.config import DataError, nearest
from lamina.deploy.bundle.strict_json import rejection
from lamina.task import Session
from lamina.tasks.generation import bounds, table_transformer
from lamina.tasks.generation.state import State

BATCH = 256
LARGEST = 1 << 53  # of a seed: what a number of JSON holds exactly everywhere


class Samples(NamedTuple):
    """Images (rows, height, width, channels) uint8 or a table, with the seed of each and, where there are some, its
    class.
    """

    seeds: list[int]
    labels: list[str] | None
    values: Any


def noise(seeds: Sequence[int], latent: int) -> np.ndarray:
    """Normal numbers (seeds, latent), a function of each seed."""
    numbers = [np.random.Generator(np.random.PCG64(seed)).standard_normal(latent) for seed in seeds]
    return np.stack(numbers).astype(np.float32) if numbers else np.zeros((0, latent), np.float32)


def seeds(seed: int, count: int, start: int = 0) -> list[int]:
    """The seed of each image or row, from number `start` on, of those that one seed gives; the first stay the same
    however many are asked for. Errors: DataError for a seed or a count that is none.
    """
    if not (isinstance(seed, int | np.integer) and 0 <= seed < LARGEST):
        raise DataError(f"seed: must be a whole number from 0 to {LARGEST - 1} (got {seed!r}).")
    if not (isinstance(count, int | np.integer) and count >= 0):
        raise DataError(f"count: must be a whole number from 0 on (got {count!r}).")
    return (np.random.PCG64(int(seed)).advance(start).random_raw(int(count)) >> np.uint64(11)).tolist()


def labels(label: Any, count: int, state: State, start: int = 0) -> list[str] | None:
    """The class of each, from number `start` on: one for all, or several taken in turn; None for no wish.

    Errors: DataError for a class that there is not.
    """
    if label is None:
        return None
    names = [label] if isinstance(label, str) or not np.ndim(label) else list(label)
    if not state.classes:
        raise DataError("label: this bundle was trained without classes. Leave the label out.")
    for name in map(str, names):
        if name not in state.classes:
            raise DataError(f"label: there is no class '{name}'. {nearest(name, state.classes)}")
    if not names:
        raise DataError("label: the list is empty. Leave it out for classes as often as in training.")
    return [str(names[i % len(names)]) for i in range(start, start + count)]


def codes(labels: Sequence[Any], classes: Sequence[str], column: str) -> np.ndarray:
    """Classes by name as codes (rows, 1). Errors: DataError for a class that there is not."""
    by_name = {label: code for code, label in enumerate(classes)}
    numbers = []
    for row, label in enumerate(labels):
        name = str(label)
        if name not in by_name:
            raise DataError(f"rows[{row}].{column}: there is no class '{name}'. {nearest(name, classes)}")
        numbers.append(by_name[name])
    return np.array(numbers, np.int64)[:, None]


def sample_labels(seeds: Sequence[int], state: State) -> list[str]:
    """A class for each seed, as often as in training."""
    edges = np.cumsum(state.counts) / sum(state.counts)
    shares = [np.random.Generator(np.random.PCG64([seed, 1])).random() for seed in seeds]
    return [state.classes[min(int(np.searchsorted(edges, share)), len(edges) - 1)] for share in shares]


def sample_codes(count: int, state: State, rng: np.random.Generator) -> np.ndarray:
    """Codes of classes (count,), as often as in training; zeros where there are none."""
    if not state.classes:
        return np.zeros(count, np.int64)
    return rng.choice(len(state.classes), count, p=np.array(state.counts) / sum(state.counts))


def outputs(session: Session, seeds: Sequence[int], labels: Sequence[Any] | None) -> np.ndarray:
    """Images (rows, height, width, channels), 0 to 255, or rows (rows, width), as the network gives them.

    Errors: BundleError where that is of another shape, or not finite.
    """
    state, latent, shape = session.task.state, bounds.latent(session), _shape(session)
    if not len(seeds):
        return np.zeros((0, *shape), np.float32)
    conditions = dict[str, np.ndarray]()
    if state.classes:
        labels = sample_labels(seeds, state) if labels is None else labels
        conditions["condition"] = codes(labels, state.classes, session.target or "class")
    offsets = sum(modes.offsets for modes in state.columns)
    shapes = (shape, (shape[0] + offsets,)) if state.columns else (shape,)  # a row may say the spreads of its offsets
    parts = list[np.ndarray]()
    for start in range(0, len(seeds), BATCH):
        chunk = slice(start, start + BATCH)
        inputs = {"noise": noise(seeds[chunk], latent)} | {name: v[chunk] for name, v in conditions.items()}
        parts.append(next(iter(session.run(inputs).values())))
        rows, *rest = parts[-1].shape
        if rows != len(inputs["noise"]) or tuple(rest) not in shapes or not np.isfinite(parts[-1]).all():
            raise rejection("model.onnx", "", f"does not make finite numbers of the shape {shape}")
    return np.concatenate(parts)


def _shape(session: Session) -> tuple[int, ...]:
    """Of one image or row."""
    (shape,) = (entry.shape for name, entry in session.spec.inputs.items() if name != "condition")
    return tuple(n or 1 for n in shape)


def generate(session: Session, seeds: Sequence[int], labels: Sequence[Any] | None) -> np.ndarray | pa.Table:
    """Images (rows, height, width, channels) uint8, or rows with the class as one more column."""
    state, target = session.task.state, session.target
    names = labels if labels is not None or not state.classes else sample_labels(seeds, state)
    numbers = outputs(session, seeds, names)
    if not state.columns:
        return np.clip(np.rint(numbers), 0, 255).astype(np.uint8)
    table = table_transformer.decode(numbers, state.columns, seeds, state.relations)
    if target is None or names is None:
        return table
    return table.append_column(target, pa.array([str(name) for name in names]))


def samples(session: Session, seeds: Sequence[int], labels: Sequence[str] | None) -> Samples:
    """The same with the seed and the class of each."""
    state = session.task.state
    names = sample_labels(seeds, state) if labels is None and state.classes else labels
    return Samples(list(seeds), None if names is None else list(names), generate(session, seeds, names))
