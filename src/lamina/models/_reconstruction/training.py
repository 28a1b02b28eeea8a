"""Train settings that suit networks that give back what they are fed, and rows to try them with."""

import math
from typing import Any

import numpy as np

from lamina.schema import Batch, Input, Output, Spec

STEPS = {"row": 4_000, "image": 2_500, "series": 2_500}


def training(spec: Spec, largest: int | None = None) -> dict[str, Any]:
    """About 4,000 steps of rows, 2,500 of images and series, in 3 to 300 epochs; larger batches of more rows."""
    rows = max(spec.rows, 1)
    (kind,) = (feed.kind for feed in spec.inputs.values())
    most = largest or (1024 if kind == "row" else 128)
    size = min(most, max(8, 2 ** round(math.log2(max(rows / 50, 1)))))
    epochs = max(3, min(300, math.ceil(STEPS[kind] / math.ceil(rows / size))))
    return {
        "epochs": epochs,
        "batch_size": size,
        "lr": 2e-3 if kind == "row" else 1e-3,
        "optimizer": {"kind": "adamw", "weight_decay": 1e-4},
        "schedule": {"kind": "cosine", "warmup": 0.05},
        "clip": 1.0,
        "ema": 0.99,
        "patience": max(10, epochs // 5),
    }


def example_rows(count: int, seed: int) -> tuple[Spec, Batch]:
    """Rows that two numbers say nearly all of, and a choice of three."""
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(count, 2))
    numbers = np.tanh(codes @ [[1, 0.5, -1, 0.3], [0, 1, 0.7, -0.9]]) + 0.05 * rng.normal(size=(count, 4))
    rows = np.concatenate([numbers, np.eye(3)[np.digitize(codes[:, 0], [-0.5, 0.5])]], axis=1).astype(np.float32)
    feed = Input(kind="row", shape=(7,), dtype="float32", sizes=(1, 1, 1, 1, 3))
    output = Output(head="reconstruction", size=2, loss="reconstruction")
    return Spec(inputs={"row": feed}, output=output, rows=count), Batch({"row": rows}, np.zeros(count, np.float32))
