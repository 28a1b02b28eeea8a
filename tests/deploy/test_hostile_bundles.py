"""Bundles of a few kilobytes made to fill memory, not to end, or to be read in two ways are refused with a sentence."""

import json
import runpy
import time
from pathlib import Path
from typing import Any

import pytest

from bundle_tools import Files, changed, sealed, written
from lamina.config import BundleError
from lamina.deploy.bundle import open_bundle
from lamina.deploy.bundle.archive import members
from lamina.deploy.predictor import Predictor

ROOT = Path(__file__).parents[2]
GRAPHS = runpy.run_path(str(ROOT / "benchmarks" / "graph_bombs.py"))["GRAPHS"]
ZIPS = runpy.run_path(str(ROOT / "benchmarks" / "zip_oddities.py"))["ODDITIES"]
HONEST = ("honest zip", "UTF-8 flag")


@pytest.fixture(scope="module")
def files() -> Files:
    """The files of a small bundle."""
    with members(ROOT / "tests" / "bundles" / "regression_fnn.lamina") as (names, read):
        return {name: read(name, 1 << 20) for name in names if name != "manifest.json"}


@pytest.mark.parametrize("attack", GRAPHS)
def test_a_graph_that_would_fill_memory_or_time_is_refused_before_it_is_run(attack, files, tmp_path):
    attacked = sealed(files | {"model.onnx": GRAPHS[attack](files["model.onnx"])})
    began = time.process_time()
    with pytest.raises(BundleError) as caught:
        Predictor(written(tmp_path / "b", attacked), threads=1)
    assert caught.value.file == "model.onnx"
    assert "ONNXRuntimeError" not in caught.value.reason
    assert time.process_time() - began < 5


def test_the_graph_that_attacks_are_made_of_is_sound(files, tmp_path):
    assert Predictor(written(tmp_path / "b", sealed(files)), threads=1).predict([{"area": 100.0}])


@pytest.mark.parametrize("oddity", ZIPS)
def test_a_zip_is_as_it_is_written_here_or_is_refused(oddity, files, tmp_path):
    path = tmp_path / "b.lamina"
    path.write_bytes(ZIPS[oddity](sealed(files)))
    if oddity in HONEST:
        assert open_bundle(path).files == open_bundle(written(tmp_path / "b", sealed(files))).files
        return
    with pytest.raises(BundleError) as caught:
        open_bundle(path)
    assert str(caught.value).isprintable()


def row(**cells: Any) -> Any:
    return lambda golden: golden["rows"][0].update(cells)


def nested(depth: int) -> Any:
    return json.loads("[" * depth + "]" * depth)


JSONS: dict[str, tuple[str, Any, str]] = {
    "many rows": ("golden.json", lambda g: g.update(rows=g["rows"] * 200), "too many"),
    "many answers": ("golden.json", lambda g: g.update(answers=g["answers"] * 200), "too many"),
    "many names": ("golden.json", row(**{f"n{i}": 1 for i in range(1000)}), "names that no column has"),
    "names in a cell": ("golden.json", row(x={"y": {f"n{i}": 1 for i in range(1000)}}), "names that no column has"),
    "a deep cell": ("golden.json", row(area=nested(30)), "in one another"),
    "a long text": ("golden.json", row(town="x" * 9_000_000), "characters"),
    "many columns": (
        "schema.json",
        lambda s: s["columns"].extend([{"name": "c", "kind": "ignore"}] * 40_000),
        "columns: are too many",
    ),
    "many texts that mean missing": ("schema.json", lambda s: s.update(missing=["m"] * 2000), "are too many"),
    "many settings": ("model.json", lambda m: m["config"].update(a=[1] * 20_000), "more than 16,384 values"),
    "many values of training": ("training.json", lambda t: t.update(a=[1] * 300_000), "is too large"),
}


@pytest.mark.parametrize("attack", JSONS)
def test_json_without_bound_is_refused(attack, files, tmp_path):
    name, change, reason = JSONS[attack]

    def apply(value: Any) -> None:
        change(value)

    with pytest.raises(BundleError, match=reason):
        Predictor(written(tmp_path / "b", sealed(changed(files, name, apply))), threads=1)
