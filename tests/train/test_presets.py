"""`--preset` says how long to try: fewer epochs, or for tables an ensemble whose networks leave rows out."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import lamina
from lamina import data, models
from lamina.cli.commands import app
from lamina.config import LaminaError, load_yaml
from lamina.experiment import collect
from lamina.recipe import build
from lamina.schema import Batch, Input, Output, Spec

ONE = Output(head="logits", size=1, loss="binary_cross_entropy")


def spec_of_one_number(rows=5000):
    feed = Input(kind="number", shape=(1,), dtype="float32", edges=((-1.0, 0.0, 1.0),))
    return Spec(inputs={"number": feed}, output=ONE, rows=rows)


def table(rows=300, seed=0):
    """Two columns, and a label that one of them decides in nine rows of ten."""
    rng = np.random.default_rng(seed)
    size, shade = rng.normal(size=rows), rng.choice(["light", "dark"], rows)
    label = np.where((size > 0) ^ (rng.random(rows) < 0.1), "yes", "no")
    return {"size": size.tolist(), "shade": shade.tolist(), "label": label.tolist()}


def csv(folder, rows):
    path = folder / "table.csv"
    lines = [",".join(rows), *(",".join(map(str, row)) for row in zip(*rows.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(folder, *options):
    """The result of `lamina train`, and the recipe that the run wrote."""
    words = ["train", str(csv(folder, table())), "--target", "label", "--json", "--out", str(folder / "run"), *options]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout), load_yaml((folder / "run" / "recipe.yaml").read_text("utf-8"), "recipe")


def test_accurate_takes_an_ensemble_for_a_table_and_the_run_says_so(tmp_path):
    result, recipe = run(tmp_path, "--preset", "accurate", "--set", "train.epochs=4")
    assert recipe["preset"] == "accurate"
    assert recipe["model"]["kind"] == "ensemble"
    assert result["scores"]["roc_auc"] > 0.8
    answers = lamina.load(result["bundle"]).predict([{"size": 1.5, "shade": "dark"}, {"size": -1.5}])
    assert [answer["prediction"] for answer in answers] == ["yes", "no"]


def test_a_recipe_of_an_accurate_run_gives_the_same_network_again(tmp_path):
    (tmp_path / "again").mkdir()
    first, _ = run(tmp_path, "--preset", "accurate", "--set", "train.epochs=2")
    words = ["train", str(tmp_path / "run" / "recipe.yaml"), "--json", "--out", str(tmp_path / "again" / "run")]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.output
    assert json.loads(outcome.stdout)["scores"] == first["scores"]


def test_fast_trains_fewer_epochs_and_accurate_more_of_a_network_with_a_name():
    spec = Spec(
        inputs={"number": Input(kind="number", shape=(1,), dtype="float32", edges=((0.0, 1.0),))}, output=ONE, rows=5000
    )
    cfg = models.choice(build({"data": "x.csv", "model": "fnn"}).model, spec, "accurate")
    epochs = [models.training(cfg, spec, preset)["epochs"] for preset in ("fast", "default", "accurate")]
    assert cfg.kind == "fnn"
    assert epochs[0] < epochs[1] < epochs[2]


def test_settings_that_an_ensemble_has_not_keep_the_network_that_has_them():
    spec = Spec(
        inputs={"number": Input(kind="number", shape=(1,), dtype="float32", edges=((0.0, 1.0),))}, output=ONE, rows=5000
    )
    recipe = build({"data": "x.csv", "model": {"width": 32}, "preset": "accurate"})
    assert models.choice(recipe.model, spec, recipe.preset).kind == "fnn"


def test_a_preset_that_is_none_is_a_sentence_with_those_that_are():
    with pytest.raises(LaminaError, match=r"preset.*fast.*default.*accurate"):
        build({"data": "x.csv", "preset": "best"})


def test_added_rows_and_an_ensemble_are_refused_in_a_sentence(tmp_path):
    recipe = {"preset": "accurate", "train": {"augment_with": str(csv(tmp_path, table(20)))}}
    with pytest.raises(LaminaError, match=r"augment_with.*model='fnn'"):
        lamina.fit(table(), "label", recipe=recipe)


def test_a_network_of_an_ensemble_never_learns_from_the_rows_that_it_is_evaluated_by():
    spec = Spec(
        inputs={"number": Input(kind="number", shape=(1,), dtype="float32", edges=((-1.0, 0.0, 1.0),))},
        output=ONE,
        rows=40,
    )
    cfg = build({"data": "x.csv", "model": {"kind": "ensemble", "folds": 3}}).model
    model = models.build(cfg, spec, 0)
    number, target = torch.randn(40, 1), torch.ones(40)
    for fold in range(3):
        model.zero_grad()
        (loss,) = (loss for _, loss in model.losses(Batch({"number": number, "fold": torch.full((40,), fold)}, target)))
        loss.backward()
        touched = [any(p.grad is not None and p.grad.any() for p in one.parameters()) for one in model.networks]
        assert touched == [place != fold for place in range(3)]
    model.eval()
    with torch.inference_mode():
        single = model({"number": number, "fold": torch.zeros(40, dtype=torch.int64)})["target"]
        assert torch.equal(single, model.networks[0]({"number": number})["target"])


@pytest.mark.parametrize(
    ("split", "stay_apart"), [({"kind": "group", "column": "shade"}, True), ("random", False), ("auto", False)]
)
def test_all_rows_are_learned_from_but_validation_rows_of_other_groups_stay_apart(tmp_path, split, stay_apart):
    rows = table(90) | {"shade": [f"s{i % 9}" for i in range(90)]}
    recipe = build({"data": str(csv(tmp_path, rows)), "target": "label", "split": split})
    experiment = collect(recipe, data.read(recipe.data))
    from lamina import preprocess

    examples = experiment.examples(preprocess.fit(experiment.splits.train, experiment.schema))
    parts = experiment.with_folds(examples, 5)
    total = len(examples["train"].target) + (0 if stay_apart else len(examples["validation"].target))
    assert len(parts["train"].target) == total
    assert ("validation" in parts) != stay_apart
    counts = np.bincount(parts["train"].inputs["fold"], weights=parts["train"].target)
    assert np.ptp(counts) <= 1  # about as many of each class in each fold
