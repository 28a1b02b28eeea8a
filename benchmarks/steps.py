"""Steps per second of `fit` on the classic design against bare PyTorch loops over tensors, paired in one run.

    python benchmarks/steps.py [pairs]

The classic design: Dense 64 relu, Dense 32 relu, Dense 1 sigmoid on 30 numbers, Adam, binary cross-entropy, batch 32.
Both loops visit every row once per epoch in a new random order. `fit` also watches for steps that are not finite,
keeps the loss, and evaluates the validation rows after each epoch, which the bare loops do not.
"""

import platform
import statistics
import sys
import time

import numpy as np
import torch
from torch import nn

from lamina import models
from lamina.config import parse
from lamina.models import sequential
from lamina.schema import Input, Output, Spec
from lamina.train.fit import Hooks, fit
from lamina.train.settings import Config, Examples

ROWS, FEATURES, BATCH, EPOCHS = 32 * 500, 30, 32, 3
LAYERS = [
    {"dense": {"units": 64, "activation": "relu"}},
    {"dense": {"units": 32, "activation": "relu"}},
    {"dense": {"units": 1, "activation": "sigmoid"}},
]


def made_up() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    return x, (x[:, 0] + rng.normal(size=ROWS) > 0).astype(np.float32)


def bare(x: np.ndarray, y: np.ndarray, fused: bool) -> float:
    """Steps per second of the loop anyone would write."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)
    loss_of = nn.BCEWithLogitsLoss()
    inputs, target = torch.from_numpy(x), torch.from_numpy(y)[:, None]
    start, steps = time.perf_counter(), 0
    for _ in range(EPOCHS):
        order = torch.randperm(ROWS)
        for i in range(0, ROWS, BATCH):
            choice = order[i : i + BATCH]
            optimizer.zero_grad()
            loss_of(net(inputs[choice]), target[choice]).backward()
            optimizer.step()
            steps += 1
    return steps / (time.perf_counter() - start)


def ours(x: np.ndarray, y: np.ndarray) -> float:
    """Steps per second of `fit`, its own bookkeeping and validation included."""
    faults: list[str] = []
    design = parse(sequential.Config, {"layers": LAYERS}, "model", faults)
    train = {"epochs": EPOCHS, "batch_size": BATCH, "lr": 1e-3, "optimizer": "adam", "schedule": "constant"}
    cfg = parse(Config, {**train, "precision": "fp32", "threads": 1}, "train", faults)
    assert design is not None and cfg is not None, faults
    inputs = {"number": Input(kind="number", shape=(FEATURES,), dtype="float32")}
    output = Output(head="logits", size=1, loss="binary_cross_entropy")
    model = models.build(design, Spec(inputs=inputs, output=output), 0)
    held_out = Examples({"number": x[:1000]}, y[:1000])
    folder = Hooks(lambda raw, target: {"loss": float(np.abs(raw["target"]).mean()), "score": 0.0})
    start = time.perf_counter()
    *_, last = fit(model, Examples({"number": x}, y), held_out, cfg, folder)
    return last["step"] / (time.perf_counter() - start)


def main(pairs: int) -> None:
    x, y = made_up()
    bare(x, y, True), ours(x, y)  # warm up
    result = [(bare(x, y, True), bare(x, y, False), ours(x, y)) for _ in range(pairs)]
    print(f"torch {torch.__version__}, {platform.processor() or platform.machine()}, one thread, {pairs} pairs")
    for name, column in zip(
        ("bare, fused Adam", "bare, default Adam", "lamina fit"), zip(*result, strict=True), strict=True
    ):
        print(f"{name:20s} {statistics.median(column):8,.0f} steps/s  ({min(column):,.0f} to {max(column):,.0f})")
    fused = [mine / theirs for theirs, _, mine in result]
    default = [mine / theirs for _, theirs, mine in result]
    print(f"ratio to fused Adam   {statistics.median(fused):.2f}  ({min(fused):.2f} to {max(fused):.2f})")
    print(f"ratio to default Adam {statistics.median(default):.2f}  ({min(default):.2f} to {max(default):.2f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
