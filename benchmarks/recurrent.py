"""Steps per second in training of the classic recurrent networks: `fit`, bare PyTorch loops and Keras, in one run.

    python benchmarks/recurrent.py [rounds] [--keras FOLDER]

SimpleRNN 50 (tanh), LSTM 50 (tanh) and LSTM 50 (relu), each with one dense unit behind it, on 30 steps of 8 channels in
batches of 32: mean squared error, Adam. Everyone visits the same windows in a new random order each epoch, all cores
allowed. The rate is that of the fastest epoch but the first, which neighbours on the machine disturb least. `fit`
watches for steps that are not finite, keeps the loss, and evaluates validation rows. The bare loop uses PyTorch's own
layers and its fused Adam; for relu, which those do not know, a loop over steps. Keras runs on TensorFlow and on JAX in
an environment of its own, made in FOLDER when it is not there (about 2 GB); it is fed NumPy arrays by `model.fit`,
compiled as it wants.
"""

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from images import environment

ROWS, STEPS, CHANNELS, UNITS, BATCH, EPOCHS = 3200, 30, 8, 50, 32, 12
LEARNING_RATE = 1e-3
NETWORKS = {"SimpleRNN tanh": ("rnn", "tanh"), "LSTM tanh": ("lstm", "tanh"), "LSTM relu": ("lstm", "relu")}


def fastest(marks: list[float]) -> float:
    """Steps per second of the fastest epoch, by the times at which epochs ended."""
    return ROWS / BATCH / min(after - before for before, after in itertools.pairwise(marks))


def made_up() -> tuple[np.ndarray, np.ndarray]:
    """Windows (rows, steps, channels) and what they answer, (rows,)."""
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(ROWS, STEPS, CHANNELS)).astype(np.float32)
    return windows, windows[:, -5:].mean((1, 2))


def bare(kind: str, activation: str) -> float:
    """The loop anyone would write, on one thread: with two it is slower."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    torch.set_num_threads(1)
    x, y = (torch.from_numpy(values) for values in made_up())
    layer = {"rnn": nn.RNN, "lstm": nn.LSTM}[kind](CHANNELS, UNITS, batch_first=True)
    head = nn.Linear(UNITS, 1)

    def last(series: torch.Tensor) -> torch.Tensor:
        if activation == "tanh":
            return layer(series)[0][:, -1]
        h = c = series.new_zeros(len(series), UNITS)
        inputs = nn.functional.linear(series, layer.weight_ih_l0, layer.bias_ih_l0)
        for now in inputs.unbind(1):
            i, f, g, o = (now + nn.functional.linear(h, layer.weight_hh_l0, layer.bias_hh_l0)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.relu()
            h = o.sigmoid() * c.relu()
        return h

    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=LEARNING_RATE, fused=True)
    marks: list[float] = []
    for _ in range(EPOCHS + 1):
        order = torch.randperm(ROWS)
        for i in range(0, ROWS, BATCH):
            choice = order[i : i + BATCH]
            optimizer.zero_grad()
            nn.functional.mse_loss(head(last(x[choice])).squeeze(1), y[choice]).backward()
            optimizer.step()
        marks.append(time.perf_counter())
    return fastest(marks)


def ours(kind: str, activation: str) -> float:
    """`fit` on the recipe's layers, its own bookkeeping included."""
    from lamina import models
    from lamina.config import parse
    from lamina.models import sequential
    from lamina.schema import Input, Output, Spec
    from lamina.train.device import decide
    from lamina.train.fit import Hooks, fit
    from lamina.train.settings import Examples

    x, y = made_up()
    layer = {"simple_rnn" if kind == "rnn" else kind: {"units": UNITS, "activation": activation}}
    faults: list[str] = []
    design = parse(sequential.Config, {"layers": [layer, {"dense": 1}]}, "model", faults)
    assert design is not None, faults
    history = Input(kind="series", shape=(STEPS, CHANNELS), dtype="float32", targets=1)
    output = Output(head="horizon", size=1, loss="forecast_mse", settings={"horizon": 1, "targets": 1, "quantiles": []})
    model = models.build(design, Spec(inputs={"history": history}, output=output), 0)
    data, held_out = Examples({"history": x}, y[:, None, None]), Examples({"history": x[:512]}, y[:512, None, None])
    epochs = {"epochs": EPOCHS + 1, "batch_size": BATCH}
    cfg = decide({**epochs, "lr": LEARNING_RATE, "optimizer": "adam", "schedule": "constant"}, {}, model, data)
    folder = Hooks(lambda raw, target: {"loss": float(np.abs(raw["target"]).mean()), "score": 0.0})
    marks = [time.perf_counter() for row in fit(model, data, held_out, cfg, folder) if row["at"] == "epoch"]
    return fastest(marks)


def keras(kind: str, activation: str) -> float:
    """Keras' own `fit`, on the back end that $KERAS_BACKEND names."""
    import keras as k  # in an environment of its own

    k.utils.set_random_seed(0)
    x, y = made_up()
    layer = {"rnn": k.layers.SimpleRNN, "lstm": k.layers.LSTM}[kind](UNITS, activation=activation)
    net = k.Sequential([k.Input((STEPS, CHANNELS)), layer, k.layers.Dense(1)])
    net.compile(k.optimizers.Adam(LEARNING_RATE), "mse")
    marks: list[float] = []
    ended = k.callbacks.LambdaCallback(on_epoch_end=lambda _epoch, _logs: marks.append(time.perf_counter()))
    net.fit(x, y, batch_size=BATCH, epochs=EPOCHS + 1, verbose=0, callbacks=[ended])
    return fastest(marks)


WORKERS = {"lamina fit": ours, "bare PyTorch": bare, "Keras on TensorFlow": keras, "Keras on JAX": keras}


def measured(name: str, network: str, python: Path) -> float:
    """One worker in a process of its own."""
    backend = {"Keras on TensorFlow": "tensorflow", "Keras on JAX": "jax"}.get(name)
    call = [str(python) if backend else sys.executable, __file__, "--worker", name, "--network", network]
    env = os.environ | {"KERAS_BACKEND": backend or "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(call, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def main(rounds: int, folder: Path) -> None:
    python = environment(folder)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, batch {BATCH}, {rounds} rounds")
    for network in NETWORKS:
        result: dict[str, list[float]] = {name: [] for name in WORKERS}
        for _ in range(rounds):
            for name, rates in result.items():
                rates.append(measured(name, network, python))
        for name, rates in result.items():
            print(f"{network:16s} {name:22s} {max(rates):7,.0f} steps/s  (slowest round {min(rates):,.0f})")
        mine, best = max(result.pop("lamina fit")), max(max(rates) for rates in result.values())
        ratios = ", ".join(f"{mine / max(rates):.2f} to {name}" for name, rates in result.items())
        print(f"{network:16s} ratio {ratios}; {mine / best:.2f} to the best of them")


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("rounds", nargs="?", type=int, default=3)
    options.add_argument("--keras", type=Path, default=Path(tempfile.gettempdir()) / "lamina-keras")
    options.add_argument("--worker")
    options.add_argument("--network")
    said = options.parse_args()
    if said.worker:
        print(json.dumps(WORKERS[said.worker](*NETWORKS[said.network])))
    else:
        main(said.rounds, said.keras)
