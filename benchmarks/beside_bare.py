"""The default network for images by `lamina train`, beside a bare PyTorch script of the same network.

    python benchmarks/beside_bare.py SOURCE [seeds]

SOURCE is anything that `lamina train` takes for images with train and test parts. The bare script is what one would
write in an evening: the very modules of the network, AdamW at 0.003 with one cycle, label smoothing, flips (for colour)
and shifts by slices, fp32, all cores, as many epochs and the same size of batch; it has all training images, of
which `lamina train` keeps some to validate. Both read images that are decoded already; seconds are of training alone.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lamina import data, experiment, models, pipeline, preprocess
from lamina.recipe import build
from lamina.run import Run


def ours(source: str, seed: int, folder: Path) -> tuple[float, float, int, int]:
    """Accuracy, seconds of training, epochs and batch size of the default."""
    rows = list(pipeline.run(build({"data": source, "model": "cnn", "seed": seed}), Run.create(folder)))
    cfg = next(row["train"] for row in rows if row["at"] == "design")
    end = next(row for row in rows if row["at"] == "end")
    return rows[-1]["scores"]["accuracy"], end["elapsed"], cfg.epochs, cfg.batch_size


def bare(source: str, seed: int, epochs: int, size: int) -> tuple[float, float]:
    """Accuracy and seconds of the script."""
    recipe = build({"data": source, "model": "cnn", "seed": seed})
    collected = experiment.collect(recipe, data.read(recipe.data))
    prep = preprocess.fit(collected.splits.train, collected.schema)
    arrays, spec = collected.examples(prep), collected.spec(prep)
    choice = models.choice(None, spec)
    net = models.build(choice, spec, seed)
    (name,) = spec.inputs
    parts = [arrays["train"], arrays["validation"]]
    x = torch.from_numpy(np.concatenate([part.inputs[name] for part in parts]))
    y = torch.from_numpy(np.concatenate([part.target for part in parts]))
    steps = epochs * (len(x) // size)
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    start = time.perf_counter()
    net.train()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for i in range(0, len(x) - size + 1, size):
            selection = order[i : i + size]
            images = moved(x[selection])
            loss = F.cross_entropy(net({name: images})["target"], y[selection], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    seconds = time.perf_counter() - start
    net.eval()
    test = arrays["test"]
    with torch.inference_mode():
        pieces = torch.from_numpy(test.inputs[name]).split(500)
        result = torch.cat([net({name: piece})["target"].argmax(1) for piece in pieces])
    return float((result.numpy() == test.target).mean()), seconds


def moved(images: torch.Tensor) -> torch.Tensor:
    """The batch mirrored by half when coloured, and shifted as a whole by up to 2 pixels."""
    if images.shape[3] == 3:
        half = torch.rand(len(images)) < 0.5
        images = torch.where(half[:, None, None, None], images.flip(2), images)
    top, left = (int(n) for n in torch.randint(5, (2,)))
    height, width = images.shape[1:3]
    padded = F.pad(images.permute(0, 3, 1, 2).float(), (2, 2, 2, 2), "reflect").permute(0, 2, 3, 1)
    return padded[:, top : top + height, left : left + width]


def told(name: str, values: list[float], unit: str) -> str:
    spread = f" ({min(values):.4g} to {max(values):.4g})" if len(values) > 1 else ""
    return f"{name:28s} {statistics.mean(values):.4g}{unit}{spread}"


def main(source: str, seeds: int) -> None:
    mine, theirs = [], []
    with tempfile.TemporaryDirectory() as temp:
        for seed in range(seeds):
            accuracy, seconds, epochs, size = ours(source, seed, Path(temp) / str(seed))
            mine.append((accuracy, seconds))
            theirs.append(bare(source, seed, epochs, size))
    print(f"{source}, {epochs} epochs of batches of {size}, {seeds} seeds")
    for who, result in (("lamina train", mine), ("bare PyTorch", theirs)):
        print(told(f"{who}, accuracy", [accuracy for accuracy, _ in result], ""))
        print(told(f"{who}, training", [seconds for _, seconds in result], " s"))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2)
