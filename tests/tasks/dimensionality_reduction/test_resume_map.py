"""A map that is stopped or killed while it is learned and gone on with is the map that was left alone, bit for bit."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lamina.deploy.bundle import open_bundle
from lamina.recipe import read
from resume_tools import alone_and_resumed

KILL = Path(__file__).parents[3] / "benchmarks" / "kill.py"
CLOCK = ("rate", "seconds", "left", "elapsed")
FILES = ("weights.safetensors", "model.onnx", "decoder.onnx", "task.json", "golden.json")


def recipe(folder: Path, epochs: int) -> Path:
    """A table of two hidden numbers, and how a map of it is learned."""
    with open(folder / "rows.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "c", "d"])
        for i in range(150):
            x, y = (i * 37 % 100) / 50 - 1, (i * 61 % 100) / 50 - 1
            writer.writerow([round(v, 4) for v in (x, y, x * y, x - y * y)])
    train = {"epochs": epochs, "batch_size": 16, "threads": 1, "precision": "fp32", "device": "cpu"}
    model = {"kind": "autoencoder", "hidden": [16], "noise": 0.1}
    choices = {"data": str(folder / "rows.csv"), "task": "dimensionality-reduction", "model": model}
    (folder / "recipe.yaml").write_text(json.dumps(choices | {"train": train | {"checkpoint_every": 1e-9}}))
    return folder / "recipe.yaml"


def test_a_map_that_is_dropped_and_gone_on_with_is_the_same(tmp_path):
    """Neighbours and noise are drawn by the state of chance that the checkpoint has."""
    runs = alone_and_resumed(read(recipe(tmp_path, 6)), tmp_path, 3)
    epochs = [[{k: v for k, v in row.items() if k not in CLOCK} for row in run.rows()] for run in runs]
    assert epochs[0] == epochs[1]
    one, other = (open_bundle(run.bundle).files for run in runs)
    assert [name for name in FILES if one[name] != other[name]] == []


@pytest.mark.slow
def test_a_map_killed_twenty_times_ends_in_the_same_bits(tmp_path):
    recipe(tmp_path, 1)
    words = ["--kills", "20", "--seed", "3", "--epochs", "60", "--network", "map", "--target", "d"]
    call = [sys.executable, KILL, *words, "--source", tmp_path / "rows.csv"]
    done = subprocess.run(call, check=False, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed 20 times" in done.stdout and "decoder.onnx" in done.stdout
