"""Rows to coordinates, and coordinates to rows, images or series: arrays, some at a time, by the bundle's graphs."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.config import MissingColumn
from lamina.deploy.bundle.strict_json import rejection
from lamina.preprocess import Broken
from lamina.resources import memory
from lamina.schema import Input
from lamina.task import Session
from lamina.tasks._unlabelled import row_layout

DECODER = "decoder"  # the graph from coordinates back to rows
SMALL = ("latent", "error", "elbo")  # what a network gives beside rows that are as large as these were
BATCH, NUMBERS = 2048, 1 << 22  # points decoded at a time, and numbers of what they become
NAMED = 5  # columns in a sentence
Sort = Literal["rows", "images", "series"]


class Projection(NamedTuple):
    """Coordinates of rows, (rows, dimensions), and the error of each, (rows,); `elbo` of variational networks."""

    latent: np.ndarray
    error: np.ndarray
    elbo: np.ndarray | None = None


def feed(session: Session) -> Input:
    """What a network is fed."""
    (one,) = session.spec.inputs.values()
    return one


def sort(session: Session) -> Sort:
    """What coordinates become when they are decoded."""
    kind = feed(session).kind
    return "images" if kind == "image" else "series" if kind == "series" else "rows"


def names(session: Session) -> tuple[str, ...]:
    """What coordinates are called: z1, z2 ..."""
    task = session.task
    return tuple(f"{task.state.prefix}{i + 1}" for i in range(task.cfg.dimensions))


def project(session: Session, rows: pa.Table, broken: list[Broken] | None = None) -> Projection:
    """Raw rows as coordinates; cells of no use go to `broken`. Errors: DataError where no column is of the bundle."""
    if rows.num_columns and not set(rows.column_names) & {column.name for column in session.prep.columns}:
        expected = ", ".join(column.name for column in session.prep.columns[:NAMED])
        got = ", ".join(filter(None, rows.column_names[:NAMED])) or "none"
        cure = f"This bundle was trained on {expected} ..."
        raise MissingColumn(f"rows: not one of the columns is known (got {got}). {cure}")
    outputs = row_layout.outputs(session, rows, broken, keep=SMALL)
    elbo = outputs["elbo"][:, 0] if "elbo" in outputs else None
    return Projection(outputs["latent"], outputs["error"][:, 0], elbo)


def decode(session: Session, points: np.ndarray) -> np.ndarray:
    """Coordinates (rows, dimensions) as a network gives them back: (rows, ...) in units of its input.

    Errors: BundleError where that is of another shape, or not finite.
    """
    shape = tuple(n or 1 for n in feed(session).shape)
    size = max(1, min(BATCH, NUMBERS // max(1, int(np.prod(shape)))))

    def answer(start: int, stop: int) -> np.ndarray:
        values = session.run({"latent": points[start:stop].astype(np.float32)}, DECODER)["reconstruction"]
        if values.shape[1:] != shape or not np.isfinite(values).all():
            raise rejection(f"{DECODER}.onnx", "", f"does not make finite numbers of the shape {shape}")
        return values

    return np.concatenate(list(memory.halving(len(points), size, answer)) or [np.zeros((0, *shape), np.float32)])


def images(values: np.ndarray) -> np.ndarray:
    """Decoded images, 0 to 1, as uint8."""
    return np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)


def cells(session: Session, values: np.ndarray) -> pa.Table:
    """Decoded rows or series as a person reads them, under the names of their columns."""
    if sort(session) == "rows":
        return row_layout.decode(session.task.state.layout, values)
    state = session.prep.states[0].model_dump()
    series = values * np.array(state["std"]) + np.array(state["mean"])  # (rows, steps, channels)
    plain: Sequence[Any] = series[:, :, 0].tolist() if series.shape[2] == 1 else series.tolist()
    return pa.table({session.prep.columns[0].name: plain})


def flat(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """What a network is fed as rows of numbers (rows, numbers) float32, images from 0 to 1."""
    (values,) = inputs.values()
    values = np.asarray(values)
    scaled = values.astype(np.float32) / 255 if values.dtype == np.uint8 else values.astype(np.float32)
    return scaled.reshape(len(values), -1)
