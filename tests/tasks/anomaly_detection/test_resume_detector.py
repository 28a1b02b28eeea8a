"""A detector whose training is dropped and gone on with is the one that was left alone, bit for bit."""

import json

from lamina import pipeline
from lamina.deploy.bundle import open_bundle
from lamina.recipe import read
from lamina.run import Run

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
    recipe = read(tmp_path / "recipe.yaml")
    whole, dropped = Run.create(tmp_path / "whole"), Run.create(tmp_path / "dropped")
    list(pipeline.run(recipe, whole))
    rows = pipeline.run(recipe, dropped)
    while next(rows).get("epoch") != 2:
        pass
    rows.close()
    again = Run.resume(tmp_path / "dropped")
    assert 0 < len(again.rows()) < 4
    list(pipeline.run(again.recipe(), again))
    one, other = (open_bundle(run.bundle).files for run in (whole, again))
    assert [name for name in FILES if one[name] != other[name]] == []
