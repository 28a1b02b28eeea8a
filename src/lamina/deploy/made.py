"""Requests in, new pictures or rows out: what a bundle that generates is asked."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lamina import rows
from lamina.config import DataError, nearest
from lamina.deploy._strict import refused
from lamina.deploy.bundle import Bundle

BATCH = 256
LARGEST = 1 << 63
SHOWN = 16  # numbers of an answer that are kept to compare
AGREE = 2e-2  # of 255, or of a score, between machines


def noise(seeds: Sequence[int], latent: int) -> np.ndarray:
    """Normal numbers (seeds, latent), a function of each seed."""
    drawn = [np.random.Generator(np.random.PCG64(seed)).standard_normal(latent) for seed in seeds]
    return np.stack(drawn).astype(np.float32) if drawn else np.zeros((0, latent), np.float32)


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
    latent = int(bundle.model.config["latent"])
    classes = bundle.task_state.classes
    inputs = {"noise": noise(seeds, latent)}
    if classes:
        labels = _drawn(seeds, bundle) if labels is None else labels
        inputs["condition"] = codes(labels, classes, bundle.schema.target.name if bundle.schema.target else "class")
    parts = [run({k: v[at : at + BATCH] for k, v in inputs.items()}) for at in range(0, len(seeds), BATCH)]
    return np.concatenate([next(iter(part.values())) for part in parts])


def _drawn(seeds: Sequence[int], bundle: Bundle) -> list[str]:
    """A class for each seed, as often as in training."""
    state = bundle.task_state
    edges = np.cumsum(state.counts) / sum(state.counts)
    shares = [np.random.Generator(np.random.PCG64([seed, 1])).random() for seed in seeds]
    return [state.classes[min(int(np.searchsorted(edges, share)), len(edges) - 1)] for share in shares]


def generated(run: Any, bundle: Bundle, seeds: Sequence[int], labels: Sequence[Any] | None) -> np.ndarray | pa.Table:
    """Pictures (rows, height, width, channels) uint8, or rows with the class as one more column."""
    named = labels if labels is not None or not bundle.task_state.classes else _drawn(seeds, bundle)
    found = raw(run, bundle, seeds, named)
    if not bundle.task_state.columns:
        return np.clip(np.rint(found), 0, 255).astype(np.uint8)
    table = rows.decode(found, bundle.task_state.columns, seeds)
    aim = bundle.schema.target
    return table.append_column(aim.name, pa.array([str(v) for v in named])) if aim and named is not None else table


def requests(table: pa.Table, bundle: Bundle) -> tuple[list[int], list[Any] | None]:
    """Seeds and classes out of rows of requests; a row without a seed takes its number."""
    said = table["seed"].to_pylist() if "seed" in table.column_names else [None] * table.num_rows
    for row, seed in enumerate(said):
        if seed is not None and not (isinstance(seed, int) and 0 <= seed < LARGEST):
            raise DataError(f"rows[{row}].seed: must be a whole number from 0 on (got {seed!r}).")
    seeds = [row if seed is None else seed for row, seed in enumerate(said)]
    aim = bundle.schema.target
    labels = table[aim.name].to_pylist() if aim and aim.name in table.column_names else None
    return seeds, labels


def answers(run: Any, bundle: Bundle, table: pa.Table) -> pa.Table:
    """For each request a picture as PNG in the column `image`, or a row."""
    from lamina.preprocess._decode import as_png

    seeds, labels = requests(table, bundle)
    found = generated(run, bundle, seeds, labels)
    if isinstance(found, pa.Table):
        return found
    return pa.table({"image": pa.array([as_png(picture) for picture in found], pa.binary())})


def excerpt(found: np.ndarray) -> list[dict[str, list[float]]]:
    """A few numbers of each answer, evenly spread."""
    flat = found.reshape(len(found), -1).astype(np.float64)
    picked = flat[:, np.linspace(0, flat.shape[1] - 1, min(SHOWN, flat.shape[1])).astype(int)]
    return [{"excerpt": [round(float(v), 4) for v in row]} for row in picked]


def self_test(run: Any, bundle: Bundle) -> None:
    """The golden requests must give their golden answers."""
    golden = bundle.golden
    seeds, labels = requests(pa.Table.from_pylist(list(golden.rows)), bundle)
    got = excerpt(raw(run, bundle, seeds, labels))
    for i, (mine, theirs) in enumerate(zip(got, golden.answers, strict=True)):
        there = np.array(theirs.get("excerpt", []), np.float64)
        if there.shape != (len(mine["excerpt"]),) or not np.allclose(mine["excerpt"], there, rtol=AGREE, atol=AGREE):
            raise refused("golden.json", f"answers.{i}", f"differ: got {mine}, expected {theirs}")
