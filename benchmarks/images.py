"""Images per second in training of the classic network: `fit`, bare PyTorch loops and Keras, in one run.

    python benchmarks/images.py [rounds] [--batch 128] [--keras FOLDER]

The classic network: Conv 32 3x3 relu, MaxPool 2, Flatten, Dense 128 relu, Dense 10 softmax, on 28 x 28 grey images,
Adam. Everyone visits the same images in a new random order each epoch, all cores allowed, and one epoch to warm up is
not counted. `fit` decides threads and precision by its own probe, watches for steps that are not finite, keeps the loss
and evaluates validation rows. Keras runs on TensorFlow and on JAX in an environment of its own, made in FOLDER when it
is not there (about 2 GB); it is fed NumPy arrays by `model.fit`, compiled as it wants.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np

ROWS, SIDE, EPOCHS = 12_800, 28, 2
LEARNING_RATE = 1e-3


def made_up() -> tuple[np.ndarray, np.ndarray]:
    """Images (rows, 28, 28, 1) uint8 and their labels."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (ROWS, SIDE, SIDE, 1), dtype=np.uint8), rng.integers(0, 10, ROWS)


def bare(batch: int, half: bool) -> float:
    """The loop anyone would write; `half` adds bf16 autocast, channels last and the fused Adam."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    x, y = made_up()
    inputs, target = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255, torch.from_numpy(y)
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(5408, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    if half:
        net, inputs = net.to(memory_format=torch.channels_last), inputs.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, fused=half)
    loss_of = nn.CrossEntropyLoss()
    start = 0.0
    for epoch in range(EPOCHS + 1):
        if epoch == 1:
            start = time.perf_counter()
        order = torch.randperm(ROWS)
        for i in range(0, ROWS, batch):
            choice = order[i : i + batch]
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                loss = loss_of(net(inputs[choice]), target[choice])
            loss.backward()
            optimizer.step()
    return EPOCHS * ROWS / (time.perf_counter() - start)


def ours(batch: int) -> float:
    """`fit` on the recipe's layers, its own bookkeeping included."""
    from lamina import models
    from lamina.config import parse
    from lamina.models import sequential
    from lamina.schema import Input, Output, Spec
    from lamina.train.device import decide
    from lamina.train.fit import Hooks, fit
    from lamina.train.settings import Examples

    x, y = made_up()
    layers = [
        {"conv2d": {"filters": 32, "kernel_size": 3, "activation": "relu"}},
        {"maxpool": 2},
        "flatten",
        {"dense": {"units": 128, "activation": "relu"}},
        {"dense": {"units": 10, "activation": "softmax"}},
    ]
    faults: list[str] = []
    design = parse(sequential.Config, {"layers": layers}, "model", faults)
    assert design is not None, faults
    inputs = {"image0": Input(kind="image", shape=(SIDE, SIDE, 1), dtype="uint8", mean=(0.5,), std=(0.3,))}
    model = models.build(design, Spec(inputs=inputs, output=Output(head="logits", size=10, loss="cross_entropy")), 0)
    data = Examples({"image0": x}, y)
    settings = {
        "epochs": EPOCHS + 1,
        "batch_size": batch,
        "lr": LEARNING_RATE,
        "optimizer": "adam",
        "schedule": "constant",
    }
    cfg = decide(settings, {}, model, data)
    print(f"fit decided on {cfg.precision}, {cfg.threads} threads", file=sys.stderr)
    folder = Hooks(lambda raw, target: {"loss": float(np.abs(raw["target"]).mean()), "score": 0.0})
    marks = [
        time.perf_counter()
        for row in fit(model, data, Examples({"image0": x[:512]}, y[:512]), cfg, folder)
        if row["at"] == "epoch"
    ]
    return EPOCHS * ROWS / (marks[-1] - marks[0])


def keras(batch: int) -> float:
    """Keras' own `fit`, on the back end that $KERAS_BACKEND names."""
    import keras as k  # in an environment of its own

    k.utils.set_random_seed(0)
    x, y = made_up()
    x = x.astype(np.float32) / 255
    net = k.Sequential(
        [
            k.Input((SIDE, SIDE, 1)),
            k.layers.Conv2D(32, 3, activation="relu"),
            k.layers.MaxPooling2D(2),
            k.layers.Flatten(),
            k.layers.Dense(128, activation="relu"),
            k.layers.Dense(10, activation="softmax"),
        ]
    )
    net.compile(k.optimizers.Adam(LEARNING_RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    net.fit(x, y, batch_size=batch, epochs=1, verbose=0)
    start = time.perf_counter()
    net.fit(x, y, batch_size=batch, epochs=EPOCHS, verbose=0)
    return EPOCHS * ROWS / (time.perf_counter() - start)


WORKERS = {
    "bare PyTorch": lambda batch: bare(batch, False),
    "bare, bf16 + channels last": lambda batch: bare(batch, True),
    "lamina fit": ours,
    "Keras on TensorFlow": keras,
    "Keras on JAX": keras,
}


def environment(folder: Path) -> Path:
    """The Python of an environment with Keras, TensorFlow and JAX."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    check = [str(python), "-c", "import keras, tensorflow, jax"]
    if subprocess.run(check, capture_output=True, check=False).returncode:
        subprocess.run([str(python), "-m", "pip", "install", "-q", "tensorflow-cpu", "keras", "jax"], check=True)
    return python


def measured(name: str, batch: int, python: Path) -> float:
    """One worker in a process of its own."""
    backend = {"Keras on TensorFlow": "tensorflow", "Keras on JAX": "jax"}.get(name)
    call = [str(python) if backend else sys.executable, __file__, "--worker", name, "--batch", str(batch)]
    env = os.environ | {"KERAS_BACKEND": backend or "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(call, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def main(rounds: int, batch: int, folder: Path) -> None:
    python = environment(folder)
    result: dict[str, list[float]] = {name: [] for name in WORKERS}
    for _ in range(rounds):
        for name, rates in result.items():
            rates.append(measured(name, batch, python))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, batch {batch}, {rounds} rounds")
    for name, rates in result.items():
        print(f"{name:28s} {statistics.median(rates):8,.0f} images/s  ({min(rates):,.0f} to {max(rates):,.0f})")
    mine = result.pop("lamina fit")
    for name, rates in result.items():
        ratios = [a / b for a, b in zip(mine, rates, strict=True)]
        print(f"ratio to {name:28s} {statistics.median(ratios):.2f}  ({min(ratios):.2f} to {max(ratios):.2f})")
    best = [max(column) for column in zip(*result.values(), strict=True)]
    ratios = [a / b for a, b in zip(mine, best, strict=True)]
    print(f"ratio to the best of them, round by round: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("rounds", nargs="?", type=int, default=3)
    options.add_argument("--batch", type=int, default=128)
    options.add_argument("--keras", type=Path, default=Path(tempfile.gettempdir()) / "lamina-keras")
    options.add_argument("--worker")
    said = options.parse_args()
    if said.worker:
        print(json.dumps(WORKERS[said.worker](said.batch)))
    else:
        main(said.rounds, said.batch, said.keras)
