"""Tables with images: every column trains together, and what is missing is survived."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

import lamina
from lamina import models
from lamina.config import RecipeError, TrainingError, parse
from lamina.data import arrays
from lamina.deploy import onnx_export
from lamina.deploy.predictor import onnx_runtime
from lamina.models import combine
from lamina.plugins import plugin
from lamina.recipe import build
from lamina.run import Run
from lamina.schema import Batch, Input, Output, Spec
from lamina.train.fit import outputs

SIDE = 16
TINY = {
    "kind": "combine",
    "image": {"kind": "cnn", "width": 8},
    "table": {"width": 32, "depth": 1},
    "width": 16,
}
KNOWN = {
    "image0": Input(kind="image", shape=(SIDE, SIDE, 1), dtype="uint8", mean=(0.5,), std=(0.25,)),
    "image1": Input(kind="image", shape=(20, 12, 3), dtype="uint8", mean=(0.5,) * 3, std=(0.25,) * 3),
    "number": Input(kind="number", shape=(2,), dtype="float32", edges=((-1.0, 0.0, 1.0), (-1.0, 1.0))),
    "tokens3": Input(kind="tokens", shape=(4,), dtype="int64", sizes=(20,)),
}


def spec_of(*names: str, size: int = 3) -> Spec:
    return Spec(
        inputs={n: KNOWN[n] for n in names}, output=Output(head="logits", size=size, loss="cross_entropy"), rows=200
    )


def inputs_of(spec: Spec, rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    result = {
        "image": lambda shape: rng.integers(0, 256, (rows, *shape), dtype=np.uint8),
        "number": lambda shape: rng.normal(size=(rows, *shape)).astype(np.float32),
        "tokens": lambda shape: rng.integers(0, 20, (rows, *shape)),
    }
    return {name: result[feed.kind](feed.shape) for name, feed in spec.inputs.items()}


def settings(said: dict[str, Any]) -> Any:
    faults: list[str] = []
    cfg = parse(combine.Config, said, "model", faults)
    assert cfg is not None, faults
    return cfg


def tensors(inputs: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in inputs.items()}


def answers(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return outputs(model, Batch(tensors(inputs)))["target"]


def cells(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of an image that is bright on the left or on the right, and a number; both are needed for the answer."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        left, high = rng.random(2) < 0.5
        pixels = rng.integers(0, 90, (SIDE, SIDE), dtype=np.uint8)
        pixels[:, : SIDE // 2 if left else SIDE] += 120 if left else 0
        pixels[:, SIDE // 2 :] += 0 if left else 120
        number = float(rng.normal() + (3 if high else -3))
        body = cv2.imencode(".png", pixels)[1].tobytes()
        rows.append({"picture": body, "number": number, "answer": "yes" if left != high else "no"})
    return rows


# what is chosen, and with which settings


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("image0", "number"), "combine"),
        (("image0", "tokens3"), "combine"),
        (("image0", "image1"), "combine"),
        (("image0",), "cnn"),
        (("number", "tokens3"), "fnn"),
    ],
)
def test_tables_with_images_are_combined_and_others_are_not(names, kind):
    assert models.choice(None, spec_of(*names)).kind == kind


def test_settings_of_a_body_are_checked_with_their_place():
    for sentence, word in (
        ({"image": {"kind": "cnn", "widht": 8}}, "widht"),
        ({"image": "cnm"}, "Did you mean 'cnn'?"),
        ({"image": "linear"}, "linear lends no body. Use one of cnn, fnn"),
        ({"image": {"kind": "cnn", "views": "flips"}}, "views: unknown setting"),
        ({"table": {"members": 8}}, "model.table.members: unknown setting"),
        ({"image": 3}, "write kind: and settings"),
    ):
        faults: list[str] = []
        assert parse(combine.Config, {"kind": "combine", **sentence}, "model", faults) is None
        assert any(word in fault and fault.startswith("model.") for fault in faults), faults


def test_settings_survive_a_bundle():
    cfg = settings(TINY)
    assert settings(json.loads(json.dumps(cfg.model_dump(mode="json")))) == cfg
    recipe = build({"data": {"kind": "arrays"}, "target": "y", "model": TINY})
    assert recipe.model is not None
    assert recipe.model == cfg


# the network

MIXES = [("image0", "number"), ("image0", "image1"), ("image0", "image1", "number", "tokens3")]


@pytest.mark.parametrize("names", MIXES)
def test_every_parameter_receives_a_gradient(names):
    spec = spec_of(*names)
    model = models.build(settings(TINY), spec, 0)
    model.train()
    for i in range(4):  # in some rows of some batch each body is hidden
        batch = Batch(tensors(inputs_of(spec, 64, i)), torch.arange(64) % 3)
        for _, loss in model.losses(batch):
            loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


@pytest.mark.parametrize("names", MIXES)
def test_the_exported_graph_gives_the_answers_of_the_network(names):
    spec = spec_of(*names)
    model, inputs = models.build(settings(TINY), spec, 0), inputs_of(spec, 12)
    inputs["image0"][3] = 128
    graph, reason = onnx_export.onnx(model, inputs)
    assert graph is not None, reason
    np.testing.assert_allclose(onnx_runtime(graph)(inputs)["target"], answers(model, inputs), rtol=1e-5, atol=1e-5)


def test_an_even_image_counts_as_missing_whatever_its_grey():
    spec = spec_of("image0", "number")
    model, inputs = models.build(settings(TINY), spec, 0), inputs_of(spec, 3)
    inputs["number"][:] = inputs["number"][0]
    for i, grey in enumerate((0, 128, 200)):
        inputs["image0"][i] = grey
    result = answers(model, inputs)
    np.testing.assert_allclose(result, result[[0, 0, 0]], rtol=1e-6)
    inputs["image0"][1, 4, 4] += 9  # something is on it
    assert not np.allclose(answers(model, inputs)[1], result[1], rtol=1e-3)


def test_no_more_than_one_body_is_hidden_in_a_row_and_as_often_as_said():
    spec = spec_of("image0", "image1", "number")
    model = models.build(settings({**TINY, "hide": 0.3}), spec, 0)
    inputs = tensors(inputs_of(spec, 6000))
    hidden = torch.stack(model.train()._hidden(inputs))
    assert hidden.sum(0).max() == 1
    assert hidden.any(0).float().mean() == pytest.approx(0.3, abs=0.03)
    assert (hidden.float().mean(1) - 0.1).abs().max() < 0.02
    assert not torch.stack(model.eval()._hidden(inputs)).any()


def test_images_are_mixed_with_one_another_only_where_there_is_nothing_else(tmp_path):
    rows = cells(60)
    recipe = {"model": TINY, "train": {"epochs": 1, "batch_size": 16, "augment": ["mixup"]}}
    with pytest.raises(TrainingError, match="mixup and cutmix need a table of one image column alone"):
        lamina.fit(rows, "answer", recipe=recipe, out=tmp_path / "run")


def test_every_image_column_is_augmented():
    from lamina.train import augmentation as augment
    from lamina.train import image_augmentation

    spec = spec_of("image0", "image1", "number")
    batch = Batch(tensors(inputs_of(spec, 8)), torch.zeros(8))
    result = image_augmentation.augment(batch, [augment.Shift(pixels=3), augment.Rotate()], (0, 0, 0)).inputs
    for name in ("image0", "image1"):
        assert result[name].shape == batch.inputs[name].shape
        assert not torch.equal(result[name], batch.inputs[name].float())
    assert torch.equal(result["number"], batch.inputs["number"])


# the whole story


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> lamina.Estimator:
    recipe = {"model": TINY, "train": {"epochs": 12, "batch_size": 32, "augment": []}}
    return lamina.fit(cells(300), "answer", recipe=recipe, out=tmp_path_factory.mktemp("both") / "run")


def test_what_neither_image_nor_number_tells_alone_both_tell_together(both):
    assert both.result["scores"]["accuracy"] > 0.9
    rivals = both.result["baselines"]
    assert max(scores["accuracy"] for scores in rivals.values()) < 0.75
    model = json.loads((Path(both.result["bundle"]) / "model.json").read_text())
    assert (model["kind"], model["runtime"]) == ("combine", "onnx")


def test_rows_without_their_image_are_answered_with_doubt(both):
    rows = cells(40, seed=1)
    sure, doubtful = (
        np.mean([max(answer["probabilities"].values()) for answer in both.predict(asked)])
        for asked in (rows, [{**row, "picture": None} for row in rows])
    )
    assert sure > 0.9
    assert doubtful < 0.8


def test_a_file_of_images_with_numbers_trains_as_it_is(tmp_path):
    rows = [{**row, "picture": {"bytes": row["picture"], "path": None}} for row in cells(80)]
    rows[5]["picture"] = None
    pa.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "cells.parquet")
    recipe = build(
        {
            "data": str(tmp_path / "cells.parquet"),
            "target": "answer",
            "train": {"epochs": 1, "batch_size": 32},
            "model": TINY,
        }
    )
    from lamina import pipeline

    stages = list(pipeline.run(recipe, Run.create(tmp_path / "run")))
    schema = next(row["schema"] for row in stages if row["at"] == "collect")
    assert [(c.name, c.kind) for c in schema.columns] == [("picture", "image"), ("number", "number")]
    assert stages[-1]["skipped"] == 0
    assert next(row for row in stages if row["at"] == "design")["kind"] == "combine"


def test_other_structs_still_become_columns():
    table = pa.table({"a": [{"b": 1, "c": {"bytes": b"x", "path": "y"}}, {"b": 2, "c": None}]})
    assert arrays.table(table).column_names == ["a.b", "a.c"]


def test_a_class_weight_for_a_label_that_is_not_there_is_a_sentence():
    module = plugin("tasks", "classification")
    with pytest.raises(RecipeError, match=r"task.class_weight: there is no class 'Yes'. Did you mean 'yes'\?"):
        module.Task.fit(pa.array(["yes", "no"] * 5), module.Config(class_weight={"Yes": 2.0}))
