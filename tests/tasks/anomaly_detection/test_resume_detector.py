"""A detector whose training is dropped and gone on with is the one that was left alone, bit for bit."""

import json

from lamina.deploy.bundle import open_bundle
from lamina.recipe import read
from resume_tools import alone_and_resumed

FILES = ("weights.safetensors", "model.onnx", "detector.safetensors", "task.json", "golden.json")


def test_a_detector_that_is_dropped_and_gone_on_with_is_the_same(tmp_path):
    """What is fitted of the trained network is a function of its weights and the rows."""
    lines = ["a,b,c", *(f"{i * 37 % 100},{i * 61 % 100},{(i * 37 % 100) * 2 + i % 3}" for i in range(120))]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    exact = {"epochs": 4, "batch_size": 16, "threads": 1, "precision": "fp32", "device": "cpu"}
    choices = {
        "data": str(tmp_path / "rows.csv"),
        "task": "anomaly-detection",
        "model": {"kind": "autoencoder", "hidden": [16], "noise": 0.1},
        "train": {**exact, "checkpoint_every": 1e-9},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(choices))
    runs = alone_and_resumed(read(tmp_path / "recipe.yaml"), tmp_path, 2)
    one, other = (open_bundle(run.bundle).files for run in runs)
    assert [name for name in FILES if one[name] != other[name]] == []
