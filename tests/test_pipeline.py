"""The six stages together: every row is accounted for, limits are kept, and what cannot be done is a sentence."""

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from conftest import QUICK, houses, write_csv
from conftest import customers as told
from lamina import pipeline
from lamina.config import DataError, Interrupted, LaminaError
from lamina.recipe import build
from lamina.run import Run
from lamina.schema import Row
from lamina.train import device

ABSENT = next(name for name in ("cuda", "mps") if name not in device.present())
LINEAR = {"model": "linear", "train": {"epochs": 3, "batch_size": 64}}


def customers(count: int, seed: int = 0) -> list[Row]:
    """Without their remarks, which take most of the time."""
    return [{name: value for name, value in row.items() if name != "remark"} for row in told(count, seed)]


def ran(folder: Path, recipe: dict[str, Any], name: str = "run", **settings: Any) -> list[Row]:
    """All rows of a run by a recipe."""
    return list(pipeline.run(build({**LINEAR, **recipe}), Run.create(folder / name), **settings))


def at(rows: list[Row], stage: str) -> list[Row]:
    return [row for row in rows if row["at"] == stage]


def messy(path: Path) -> Path:
    """200 good rows; six more that cannot be used."""
    rows = customers(200)
    write_csv(path, rows)
    lines = path.read_text("utf-8").splitlines()
    lines[5] += ",too,many"
    lines[9] = "1,2"
    lines[20] = lines[20].rsplit(",", 1)[0] + ","
    lines[21] = lines[21].rsplit(",", 1)[0] + ",?"
    lines.insert(30, "3.0,$1.00,pro,true,2020-01-01,NA")
    lines.append("3.0,$1.00,pro,true,2020-01-01,")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_rows_read_are_rows_used_and_rows_quarantined_each_with_its_reason(tmp_path):
    path = messy(tmp_path / "messy.csv")
    rows = ran(tmp_path, {"data": str(path), "target": "left"})
    (collected,) = at(rows, "collect")
    assert collected["read"] == 202
    assert collected["skipped"] == 6
    assert collected["used"] == 196 == collected["train"] + collected["validation"] + collected["test"]
    result = rows[-1]
    assert (result["rows"], result["skipped"]) == (196, 6)
    report = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))
    matches = {q["line"]: q for q in report["data"]["skipped_rows"]}
    assert sorted(matches) == [6, 10, 21, 22, 31, 203]
    assert all(q["file"] == str(path) and q["reason"] for q in matches.values())
    for line in (21, 22, 31, 203):
        assert (matches[line]["column"], matches[line]["reason"]) == ("left", "the target is missing")
    assert report["data"]["rows"] == {k: collected[k] for k in report["data"]["rows"]}


def test_a_target_that_is_no_number_is_quarantined_in_regression(tmp_path):
    rows = houses(60)
    rows[7] = {**rows[7], "price": "on request"}
    path = write_csv(tmp_path / "h.csv", rows)
    out = ran(tmp_path, {"data": str(path), "target": "price", "task": "regression"})
    assert (out[-1]["rows"], out[-1]["skipped"]) == (59, 1)
    (result,) = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))["data"]["skipped_rows"]
    assert (result["line"], result["reason"]) == (9, "the target is not a number: '…'")


def test_a_separate_test_file_is_all_of_the_test_rows_and_accounted_for(tmp_path):
    train = write_csv(tmp_path / "train.csv", customers(120))
    rows = customers(40, seed=1)
    rows[3]["left"] = None
    rows[4]["left"] = "perhaps"
    rows[5]["left"] = "Yes."
    test = write_csv(tmp_path / "test.csv", rows)
    out = ran(tmp_path, {"data": {"path": str(train), "test": str(test)}, "target": "left"})
    (collected,) = at(out, "collect")
    assert collected["read"] == 160
    assert (collected["test"], collected["train"] + collected["validation"]) == (38, 120)
    assert collected["skipped"] == 2
    result = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))["data"]["skipped_rows"]
    assert [(q["file"], q["line"], q["column"], q["reason"]) for q in result] == [
        (str(test), 5, "left", "the target is missing"),
        (str(test), 6, "left", "the label '…' was never seen in training"),
    ]
    assert any("Yes." in note for note in collected["notes"]), "a label read as the class it resembles is told"


def test_a_test_file_without_any_known_label_is_a_sentence(tmp_path):
    train = write_csv(tmp_path / "train.csv", customers(60))
    test = write_csv(tmp_path / "test.csv", [{**row, "left": "unheard of"} for row in customers(20)])
    with pytest.raises(DataError, match=r"test: no usable row is left. .*'unheard of' was never seen in training"):
        ran(tmp_path, {"data": {"path": str(train), "test": str(test)}, "target": "left"})


def test_a_test_file_without_the_target_is_a_sentence(tmp_path):
    train = write_csv(tmp_path / "train.csv", customers(60))
    test = write_csv(tmp_path / "test.csv", [{k: v for k, v in row.items() if k != "left"} for row in customers(20)])
    with pytest.raises(DataError, match="test: the test rows have no column 'left'"):
        ran(tmp_path, {"data": {"path": str(train), "test": str(test)}, "target": "left"})


def test_a_column_can_say_which_part_a_row_is_in(tmp_path):
    rows = [
        {**row, "part": ("train", "train", "Train", "validation", "test")[i % 5]}
        for i, row in enumerate(customers(100))
    ]
    path = write_csv(tmp_path / "parts.csv", rows)
    split = {"kind": "column", "name": "part"}
    out = ran(tmp_path, {"data": str(path), "target": "left", "split": split})
    assert out[-1]["parts"] == {"train": 60, "validation": 20, "test": 20}
    assert "part" not in [column.name for column in at(out, "collect")[0]["schema"].columns]


def test_a_label_that_only_test_rows_have_is_quarantined(tmp_path):
    rows = [{**row, "part": "test" if i >= 80 else "train"} for i, row in enumerate(customers(100))]
    rows[90]["left"] = "maybe"
    path = write_csv(tmp_path / "parts.csv", rows)
    out = ran(tmp_path, {"data": str(path), "target": "left", "split": {"kind": "column", "name": "part"}})
    assert (out[-1]["parts"]["test"], out[-1]["skipped"]) == (19, 1)


# limits


def test_a_time_budget_is_kept(tmp_path):
    recipe = build(
        {"data": "toy:churn", "target": "Churn", "model": "fnn", "train": {"budget": "2s", "epochs": 10_000}}
    )
    start = last = time.perf_counter()
    longest = 0.0
    for row in pipeline.run(recipe, Run.create(tmp_path / "run")):
        now = time.perf_counter()
        if row["at"] == "design":
            start = last = now
        if row["at"] == "epoch":
            longest, last = max(longest, now - last), now
        if row["at"] == "end":
            assert row["done"] == "time budget used"
            assert now - start < 2 + longest + 0.5
            break


def test_training_stops_when_validation_no_longer_gets_better(tmp_path):
    rng = np.random.default_rng(0)
    noise = [{"a": v, "b": w, "y": "no" if u < 0 else "yes"} for v, w, u in rng.normal(size=(80, 3))]
    train = {"epochs": 500, "patience": 3, "lr": 0.01, "batch_size": 16}
    path = write_csv(tmp_path / "noise.csv", noise)
    out = ran(tmp_path, {"data": str(path), "target": "y", "model": "fnn", "train": train})
    (end,) = at(out, "end")
    assert end["done"] == "no better validation loss for 3 epochs"
    assert end["epoch"] == end["best_epoch"] + 3 < 500


def test_the_best_weights_are_what_is_deployed(tmp_path):
    rows = houses(120)
    recipe = {
        "model": "linear",
        "train": {"epochs": 6, "lr": 0.3, "schedule": "constant", "batch_size": 16, "ema": 0.5},
    }
    out = tmp_path / "run"
    lamina.fit(rows, "price", recipe=recipe, out=out)
    epochs = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    losses = [row["validation_loss"] for row in epochs]
    best = int(np.argmin(losses)) + 1
    training = json.loads((out / "bundle" / "training.json").read_text())
    assert training["best"]["epoch"] == best
    assert [row["epoch"] for row in epochs if row["best"]][-1] == best
    again = tmp_path / "again"  # stopping at that epoch gives the same network: nothing later leaked in
    lamina.fit(rows, "price", recipe={**recipe, "train": {**recipe["train"], "epochs": best}}, out=again)
    weights = [(folder / "bundle" / "weights.safetensors").read_bytes() for folder in (out, again)]
    assert weights[0] == weights[1]


def test_the_same_recipe_gives_the_same_bundle_and_another_seed_another(tmp_path):
    path = write_csv(tmp_path / "c.csv", customers(80))
    answers = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        ran(tmp_path, {"data": str(path), "target": "left", "seed": seed}, name)
        answers[name] = (tmp_path / name / "bundle" / "weights.safetensors").read_bytes()
    assert answers["a"] == answers["b"] != answers["c"]


def test_whoever_stops_pulling_stops_the_run(tmp_path):
    path = write_csv(tmp_path / "c.csv", customers(60))
    rows = pipeline.run(build({**LINEAR, "data": str(path), "target": "left"}), Run.create(tmp_path / "run"))
    for row in rows:
        if row["at"] == "epoch":
            rows.close()
    assert not (tmp_path / "run" / "DONE").exists()


def test_a_run_that_is_asked_to_stop_goes_on_where_it_was(tmp_path):
    path = write_csv(tmp_path / "c.csv", customers(100))
    recipe = {"data": str(path), "target": "left", "train": {"epochs": 4, "batch_size": 8}}
    ran(tmp_path, recipe, "whole")
    stops = iter([False, True])
    run = Run.create(tmp_path / "stopped")
    with pytest.raises(Interrupted, match="stopped and saved"):
        list(pipeline.run(build({**LINEAR, **recipe}), run, stop=lambda: next(stops)))
    assert not run.bundle.exists()
    again = Run.resume(tmp_path / "stopped")
    list(pipeline.run(again.recipe(), again))
    for name in ("weights.safetensors", "model.onnx", "preprocess.json", "task.json", "golden.json"):
        assert (again.bundle / name).read_bytes() == (tmp_path / "whole" / "bundle" / name).read_bytes(), name
    whole, stopped = (Run(tmp_path / name).rows() for name in ("whole", "stopped"))
    assert [r["validation_loss"] for r in whole] == [r["validation_loss"] for r in stopped]


def test_other_data_than_a_run_began_with_is_refused(tmp_path):
    path = write_csv(tmp_path / "c.csv", customers(60))
    recipe = {"data": str(path), "target": "left"}
    stops = iter([True])
    with pytest.raises(Interrupted):
        ran(tmp_path, recipe, stop=lambda: next(stops, True))
    write_csv(path, customers(60, seed=5))
    run = Run.resume(tmp_path / "run")
    with pytest.raises(DataError, match="the rows are not those this run started with"):
        list(pipeline.run(run.recipe(), run))


def test_one_process_at_a_time_works_in_a_run(tmp_path):
    run = Run.create(tmp_path / "run")
    with run.locked(), pytest.raises(LaminaError, match="is in use by process"), Run(tmp_path / "run").locked():
        pass


# what a run leaves


def test_a_run_leaves_everything_in_its_directory(churn_run):
    folder = Path(churn_run.result["run"])
    assert {"recipe.yaml", "rows.jsonl", "bundle", "report.html", "report.json", "DONE"} <= {
        p.name for p in folder.iterdir()
    }
    page = (folder / "report.html").read_text("utf-8")
    assert "<svg" in page
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//|@import|url\(["']?http""", page), "it fetches nothing"
    report = json.loads((folder / "report.json").read_text("utf-8"))
    assert set(report["baselines"]) == {"majority", "logistic", "gradient_boosting"}
    assert report["scores"] == churn_run.result["scores"]
    assert (report["task"], report["target"], report["primary"]) == ("classification", "left", "accuracy")
    assert {"torch", "lamina", "onnxruntime"} <= set(report["versions"])
    assert (folder / "bundle" / "CARD.md").read_text("utf-8").startswith("# left")


def test_a_classification_beats_the_majority(churn_run):
    result = churn_run.result
    assert result["scores"]["accuracy"] > result["baselines"]["majority"]["accuracy"] + 0.15
    assert result["scores"]["roc_auc"] > 0.8


def test_a_regression_beats_the_mean_and_its_intervals_hold_most_of_the_truth(numbers_run):
    result = numbers_run.result
    assert result["scores"]["rmse"] < 0.5 * result["baselines"]["mean"]["rmse"]
    assert result["scores"]["coverage"] > 0.7
    report = json.loads((Path(result["run"]) / "report.json").read_text("utf-8"))
    assert (report["task"], report["primary"]) == ("regression", "rmse")


def test_scores_are_those_of_the_bundle_that_is_served(churn_run, churn_bundle):
    served = lamina.load(churn_bundle)
    report = json.loads((Path(churn_run.result["run"]) / "report.json").read_text("utf-8"))
    (answer,) = served.predict([report["example"]["row"]])
    assert answer["prediction"] == report["example"]["answer"]["prediction"]
    assert answer["probabilities"] == pytest.approx(report["example"]["answer"]["probabilities"], abs=1e-6)


def test_a_finished_estimator_scores_and_saves(churn_run, tmp_path):
    fresh = told(200, seed=9)
    result = churn_run.evaluate(fresh)
    assert next(iter(result)) == "accuracy"
    assert result["accuracy"] > 0.7
    for saved in (churn_run.save(tmp_path / "one.lamina"), churn_run.save(tmp_path / "folder")):
        assert lamina.load(saved).predict(fresh[:5]) == churn_run.predict(fresh[:5])


def test_the_golden_rows_are_nobodys_row(churn_rows, churn_bundle):
    golden = json.loads((churn_bundle / "golden.json").read_text("utf-8"))["rows"]
    people = [{k: v for k, v in row.items() if k != "left"} for row in churn_rows]
    assert not any(row in people for row in golden)
    assert all("left" not in row for row in golden)


def test_an_estimator_in_memory_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    estimator = lamina.fit(houses(40), "price", recipe=LINEAR)
    assert estimator.predict(houses(2))[0].keys() == {"prediction", "low", "high"}
    del estimator
    assert list(tmp_path.iterdir()) == []


# what cannot be done


def columns(count: int = 40, **values: Any) -> list[Row]:
    """Rows of the columns given by functions of the row number, with a target of two classes."""
    own = {"y": lambda i: "ab"[i % 2], **values}
    return [{name: of(i) for name, of in own.items()} for i in range(count)]


@pytest.mark.parametrize(
    ("rows", "target", "sentence"),
    [
        (columns(id=lambda i: f"key {i}", same=lambda i: 3), "y", "no column is left to learn from"),
        (columns(x=lambda i: None), "y", "no column is left to learn from"),
        (columns(), "y", "no column is left to learn from"),
        (columns(x=lambda i: i % 7, y=lambda i: "only"), "y", "classification needs at least two classes"),
        (columns(x=lambda i: i % 7, y=lambda i: 5), "y", "at least two different"),
        (columns(x=lambda i: i % 7, y=lambda i: None), "y", "target"),
        (columns(9, x=lambda i: i % 7), "y", "needs at least 10 rows (got 9)"),
        (columns(0), "y", "data"),
        (columns(x=lambda i: i % 7), "yy", "the data has no column 'yy'. Did you mean 'y'?"),
        (columns(x=lambda i: i % 7), "", "the data has no column ''"),
        (columns(x=lambda i: i % 7), "7", "the data has no column '7'"),
        (columns(x=lambda i: i % 7, y=lambda i: [i, 2]), "y", "no task fits column 'y'"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_data_that_cannot_be_learned_from_is_a_sentence(tmp_path, rows, target, sentence):
    with pytest.raises(LaminaError) as caught:
        lamina.fit(rows, target, recipe=LINEAR, out=tmp_path / "run")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({"columns": {"monts": "number"}}, "no column 'monts'. Did you mean 'months'?"),
        ({"columns": {"left": "number"}, "task": "classification"}, None),
        ({"columns": dict.fromkeys(customers(1)[0], "ignore")}, "no column is left to learn from"),
        ({"split": {"kind": "column", "name": "prt"}}, "split.name: there is no column 'prt'"),
        ({"task": "regression"}, "left"),
        ({"train": {"device": ABSENT}}, f"train.device: this machine has no {ABSENT}"),
        ({"train": {"device": "tpu"}}, "train.device: "),
        ({"model": {"kind": "sequential", "layers": [{"dense": 7}]}}, "model.layers: the last layer gives"),
        ({"missing": ["yes", "no"]}, "target"),
    ],
    ids=str,
)
def test_a_recipe_that_does_not_fit_its_data_is_a_sentence(tmp_path, recipe, sentence):
    if sentence is None:
        lamina.fit(customers(40), "left", recipe={**LINEAR, **recipe}, out=tmp_path / "run")
        return
    with pytest.raises(LaminaError) as caught:
        lamina.fit(customers(40), "left", recipe={**LINEAR, **recipe}, out=tmp_path / "run")
    assert sentence in str(caught.value)


def test_the_target_can_be_counted_from_the_end(tmp_path):
    path = write_csv(tmp_path / "c.csv", customers(40))
    assert ran(tmp_path, {"data": str(path), "target": "-1"})[-1]["bundle"]
    assert lamina.load(tmp_path / "run").predictor.target == "left"


def test_ten_rows_are_enough(tmp_path):
    out = lamina.fit(customers(10), "left", recipe={"train": {"epochs": 2}}, out=tmp_path / "run")
    assert out.predict(customers(1))[0]["prediction"] in ("yes", "no")


def test_a_column_of_null_or_constant_cells_is_skipped_and_told(tmp_path):
    rows = columns(x=lambda i: i % 7, none=lambda i: None, same=lambda i: "z", id=lambda i: f"k{i}")
    out = ran(tmp_path, {"data": str(write_csv(tmp_path / "c.csv", rows)), "target": "y"})
    (collected,) = at(out, "collect")
    assert {c.name: c.kind for c in collected["schema"].columns} == {
        "x": "number",
        "none": "constant",
        "same": "constant",
        "id": "identifier",
    }


def test_odd_column_names_are_names_like_others(tmp_path):
    odd = ["a b", "ünï ✓", "x.y", "number", "target", "0", "weird \"quote'", "prediction", "probabilities", "\u200b"]
    rows = [
        {**{name: float((i * 7 + k) % 13) for k, name in enumerate(odd)}, "label/x": "ab"[(i // 3) % 2]}
        for i in range(40)
    ]
    out = lamina.fit(
        rows, "label/x", recipe={"model": {"kind": "fnn", "width": 8}, "train": QUICK}, out=tmp_path / "run"
    )
    assert len(out.predict(rows[:3])) == 3
    assert lamina.load(tmp_path / "run").predict(rows[:3]) == out.predict(rows[:3])


def test_classes_of_any_name_are_classes(tmp_path):
    names = ["a.b", "", " ", "null", "1", "prediction", "ü"]
    rows = [{"x": float(i % 7), "w": float(i % 5), "y": names[i % 7] or "empty"} for i in range(140)]
    out = lamina.fit(rows, "y", recipe=LINEAR, out=tmp_path / "run")
    assert set(out.predict(rows[:1])[0]["probabilities"]) == {"a.b", "empty", "null", "1", "prediction", "ü"}
