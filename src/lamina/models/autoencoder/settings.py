"""Train settings that suit an autoencoder and a number of rows."""

import math
from typing import Any

from lamina.models.autoencoder.config import Config
from lamina.schema import Spec

STEPS = {"row": 4_000, "image": 2_500, "series": 2_500}


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 4,000 steps of rows, 2,500 of pictures and series, in 3 to 300 epochs; larger batches of more rows."""
    rows = max(spec.rows, 1)
    (kind,) = (feed.kind for feed in spec.inputs.values())
    most = 1024 if kind == "row" else 256
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
