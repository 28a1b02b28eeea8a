"""Requests in, new pictures or rows out: what a bundle that generates is asked."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.config import DataError, nearest
from lamina.deploy.bundle import Bundle
from lamina.deploy.bundle.strict_json import fits, refused
from lamina.tasks.generation import bounds as _possible
from lamina.tasks.generation import provenance as _mark
from lamina.tasks.generation import table_transformer as rows

BATCH = 256
LARGEST = 1 << 53  # of a seed: what a number of JSON holds exactly everywhere
SHOWN = 16  # numbers of an answer that are kept to compare
AGREE, NEAR = 2e-3, 2e-2  # of a number, and of 255 or of a score, between machines


def noise(seeds: Sequence[int], latent: int) -> np.ndarray:
    """Normal numbers (seeds, latent), a function of each seed."""
    drawn = [np.random.Generator(np.random.PCG64(seed)).standard_normal(latent) for seed in seeds]
    return np.stack(drawn).astype(np.float32) if drawn else np.zeros((0, latent), np.float32)


def seeds(seed: int, count: int, start: int = 0) -> list[int]:
    """The seed of each picture or row, from number `start` on, of those that one seed gives; the first stay the same
    however many are asked for. Errors: DataError for a seed or a count that is none.
    """
    if not (isinstance(seed, int | np.integer) and 0 <= seed < LARGEST):
        raise DataError(f"seed: must be a whole number from 0 to {LARGEST - 1} (got {seed!r}).")
    if not (isinstance(count, int | np.integer) and count >= 0):
        raise DataError(f"count: must be a whole number from 0 on (got {count!r}).")
    return (np.random.PCG64(int(seed)).advance(start).random_raw(int(count)) >> np.uint64(11)).tolist()


def classes(said: Any, count: int, bundle: Bundle, start: int = 0) -> list[str] | None:
    """The class of each, from number `start` on: one for all, or several taken in turn; None where nothing is said.

    Errors: DataError for a class that there is not.
    """
    if said is None:
        return None
    state, wanted = bundle.task_state, [said] if isinstance(said, str) or not np.ndim(said) else list(said)
    if not state.classes:
        raise DataError("label: this bundle was trained without classes. Leave the label out.")
    for label in map(str, wanted):
        if label not in state.classes:
            raise DataError(f"label: there is no class '{label}'. {nearest(label, state.classes)}")
    if not wanted:
        raise DataError("label: the list is empty. Leave it out for classes as often as in training.")
    return [str(wanted[i % len(wanted)]) for i in range(start, start + count)]


def codes(labels: Sequence[Any], classes: tuple[str, ...], name: str) -> np.ndarray:
    """Classes by name as codes (rows, 1). Errors: DataError for a class that there is not."""
    known = {label: code for code, label in enumerate(classes)}
    found = []
    for row, label in enumerate(labels):
        text = str(label)
        if text not in known:
            raise DataError(f"rows[{row}].{name}: there is no class '{text}'. {nearest(text, classes)}")
        found.append(known[text])
    return np.array(found, np.int64)[:, None]


def raw(run: Any, bundle: Bundle, seeds: Sequence[int], labels: Sequence[Any] | None) -> np.ndarray:
    """Pictures (rows, height, width, channels), 0 to 255, or rows (rows, width), as the network gives them."""
    latent, classes = _possible.check(bundle), bundle.task_state.classes
    if not len(seeds):
        return np.zeros((0, *_shape(bundle)), np.float32)
    inputs = dict[str, np.ndarray]()
    if classes:
        labels = drawn(seeds, bundle) if labels is None else labels
        inputs["condition"] = codes(labels, classes, bundle.schema.target.name if bundle.schema.target else "class")
    parts = []
    for at in range(0, len(seeds), BATCH):
        fed = {"noise": noise(seeds[at : at + BATCH], latent)} | {k: v[at : at + BATCH] for k, v in inputs.items()}
        parts.append(next(iter(run(fed).values())))
        count, *shape = parts[-1].shape
        if count != len(fed["noise"]) or tuple(shape) not in _shapes(bundle) or not np.isfinite(parts[-1]).all():
            raise refused("model.onnx", "", f"does not make finite numbers of the shape {_shape(bundle)}")
    return np.concatenate(parts)


def _shapes(bundle: Bundle) -> tuple[tuple[int, ...], ...]:
    """Those that one answer may have: a row's ways may come with their spreads."""
    shape, columns = _shape(bundle), bundle.task_state.columns
    return (shape, (shape[0] + sum(bool(made.centres) for made in columns),)) if columns else (shape,)


def _shape(bundle: Bundle) -> tuple[int, ...]:
    """Of one picture or row."""
    (shape,) = (feed.shape for name, feed in bundle.model.spec.inputs.items() if name != "condition")
    return tuple(n or 1 for n in shape)


def drawn(seeds: Sequence[int], bundle: Bundle) -> list[str]:
    """A class for each seed, as often as in training."""
    state = bundle.task_state
    edges = np.cumsum(state.counts) / sum(state.counts)
    shares = [np.random.Generator(np.random.PCG64([seed, 1])).random() for seed in seeds]
    return [state.classes[min(int(np.searchsorted(edges, share)), len(edges) - 1)] for share in shares]


def generated(run: Any, bundle: Bundle, seeds: Sequence[int], labels: Sequence[Any] | None) -> np.ndarray | pa.Table:
    """Pictures (rows, height, width, channels) uint8, or rows with the class as one more column."""
    named = labels if labels is not None or not bundle.task_state.classes else drawn(seeds, bundle)
    found = raw(run, bundle, seeds, named)
    if not bundle.task_state.columns:
        return np.clip(np.rint(found), 0, 255).astype(np.uint8)
    table = rows.decode(found, bundle.task_state.columns, seeds)
    aim = bundle.schema.target
    return table.append_column(aim.name, pa.array([str(v) for v in named])) if aim and named is not None else table


def requests(table: pa.Table, bundle: Bundle) -> tuple[list[int], list[Any] | None]:
    """Seeds and classes out of rows of requests; a row without a seed takes its number."""
    own = {"seed"} | ({bundle.schema.target.name} if bundle.schema.target else set())
    if strange := sorted(set(table.column_names) - own):
        raise DataError(
            f"rows: '{strange[0]}' is nothing to ask for. This bundle answers no rows, it makes new ones: "
            "lamina generate, or generate(count) in Python."
        )
    said = table["seed"].to_pylist() if "seed" in table.column_names else [None] * table.num_rows
    for row, seed in enumerate(said):
        if seed is not None and not (isinstance(seed, int) and 0 <= seed < LARGEST):
            raise DataError(f"rows[{row}].seed: must be a whole number from 0 to {LARGEST - 1} (got {seed!r}).")
    seeds = [row if seed is None else seed for row, seed in enumerate(said)]
    aim = bundle.schema.target
    labels = table[aim.name].to_pylist() if aim and aim.name in table.column_names else None
    return seeds, labels


def answers(run: Any, bundle: Bundle, table: pa.Table) -> pa.Table:
    """For each request a picture as PNG in the column `image`, which says that it was made, or a row."""
    seeds, labels = requests(table, bundle)
    found = generated(run, bundle, seeds, labels)
    if isinstance(found, pa.Table):
        return found
    marked = [_mark.png(picture, bundle.id, seed) for picture, seed in zip(found, seeds, strict=True)]
    return pa.table({"image": pa.array(marked, pa.binary())})


def excerpt(found: np.ndarray) -> list[dict[str, list[float]]]:
    """A few numbers of each answer, evenly spread."""
    flat = found.reshape(len(found), -1).astype(np.float64)
    picked = flat[:, np.linspace(0, flat.shape[1] - 1, min(SHOWN, flat.shape[1])).astype(int)]
    return [{"excerpt": [round(float(v), 4) for v in row]} for row in picked]


def golden(found: np.ndarray, columns: Sequence[Any], scores: Sequence[float] = ()) -> list[dict[str, Any]]:
    """What is kept of each answer to compare with later: a few numbers, of a table the row that is read from it, and
    what the critic says of it, where there is one.
    """
    few = excerpt(found)
    few = [{"critic": score} | told for score, told in zip(scores, few, strict=True)] if scores else few
    if not columns:
        return few
    read = rows.decode(found, columns)
    read = read.drop_columns([made.name for made in columns if made.kind == "time"])  # a second may be rounded away
    return [told | {"row": row} for told, row in zip(few, read.to_pylist(), strict=True)]


def self_test(run: Any, bundle: Bundle, scored: Callable[[np.ndarray, np.ndarray], list[float]] | None) -> None:
    """The golden requests must give their golden answers. `scored`: what the critic says of them, by their classes.

    Errors: BundleError.
    """
    _possible.check(bundle)
    asked = fits("golden.json", lambda: requests(pa.Table.from_pylist(list(bundle.golden.rows)), bundle))
    found = fits("golden.json", lambda: raw(run, bundle, *asked))
    scores = fits("critic.onnx", lambda: scored(found, _told(asked[1], bundle))) if scored else ()
    got = fits("task.json", lambda: golden(found, bundle.task_state.columns, scores))
    for i, (mine, theirs) in enumerate(zip(got, bundle.golden.answers, strict=True)):
        if not _agree(mine, theirs):
            raise refused("golden.json", f"answers.{i}", f"differ: got {mine}, expected {theirs}")


def _told(labels: Sequence[Any] | None, bundle: Bundle) -> np.ndarray:
    """Codes of the golden classes, (rows,)."""
    aim = bundle.schema.target
    if labels is None or aim is None:
        return np.full(len(bundle.golden.rows), -1)
    return codes(labels, bundle.task_state.classes, aim.name)[:, 0]


def _agree(mine: Any, theirs: Any) -> bool:
    """The same up to what arithmetic of another machine does to numbers."""
    if isinstance(mine, dict):
        return (
            isinstance(theirs, dict) and mine.keys() == theirs.keys() and all(_agree(mine[k], theirs[k]) for k in mine)
        )
    if isinstance(mine, list):
        alike = isinstance(theirs, list) and len(mine) == len(theirs)
        return alike and all(_agree(a, b) for a, b in zip(mine, theirs, strict=True))
    if isinstance(mine, int | float) and not isinstance(mine, bool):
        return type(theirs) in (int, float) and bool(np.isclose(mine, theirs, rtol=AGREE, atol=NEAR))
    return type(mine) is type(theirs) and mine == theirs
