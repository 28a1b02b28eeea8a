"""Classes named by folder, and other data that the finished network is evaluated by, from command line to report."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import lamina
from conftest import customers, experiment_of, write_csv
from lamina import data, pipeline
from lamina.config import DataError, Interrupted, LaminaError, RecipeError, load_yaml
from lamina.data import classes, folders
from lamina.recipe import build, dump, from_words, read
from lamina.run import Run
from lamina.tasks.generation import provenance
from service_tools import command

cv2 = pytest.importorskip("cv2", reason="needs lamina[images]")

SMALL = [
    "model.width=4",
    "train.epochs=6",
    "train.threads=1",
    "train.augment=[]",
    "columns.image={kind: image, size: 8}",
]
LOW, HIGH = 60, 180  # mean grey of real images, and of those of the first generator


def written(folder: Path, count: int, grey: int, seed: int, suffix: str = ".png") -> Path:
    """Small images of noise about a grey."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i:03}{suffix}"), rng.normal(grey, 20, (8, 8)).clip(0, 255).astype(np.uint8))
    return folder


def loaded(**places: Any) -> Any:
    settings = {name: [*map(str, p)] if isinstance(p, list) else str(p) for name, p in places.items()}
    return data.load(build({"data": {"classes": settings}}, trains=False).data)


def counted(found: Any) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in found.table["label"].value_counts().to_pylist()}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Real images, two of a generator that is told at once, and one whose images are like the real ones."""
    home = tmp_path_factory.mktemp("home")
    written(home / "mixed" / "real", 60, LOW, 0)
    written(home / "mixed" / "made", 60, HIGH, 1)
    written(home / "near" / "deeper", 20, HIGH, 2)
    written(home / "like_real", 30, LOW, 3)
    return home


@pytest.fixture(scope="module")
def run(home, tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    """A detector trained by one command, and what it said of itself."""
    out = tmp_path_factory.mktemp("runs") / "run"
    sets = [word for setting in SMALL for word in ("--set", setting)]
    both = f"real={home}/mixed/real made={home}/near"
    other = ["--also", f"made={home}/near", "--also", f"made={home}/like_real", "--also", both]
    named = [f"real={home}/mixed/real", f"made={home}/mixed/made"]
    code, output, reply = command("train", *named, *other, "--model", "cnn", *sets, "--out", out, "--json")
    assert code == 0, reply
    return out, json.loads(output)


# Classes by name


def test_named_folders_are_what_a_folder_of_them_is(home):
    mixed = data.load(build({"data": str(home / "mixed")}).data)
    apart = loaded(made=home / "mixed" / "made", real=home / "mixed" / "real")
    assert apart.table.equals(mixed.table) and apart.target == mixed.target == "label"
    assert [w for w in ("real", "made") if w in apart.table["label"].to_pylist()] == ["real", "made"]


def test_whatever_folders_stand_inside_a_class_is_of_the_class(home, tmp_path):
    written(tmp_path / "real", 2, LOW, 0)
    written(tmp_path / "real" / "cat" / "black", 3, LOW, 0)
    assert counted(loaded(real=tmp_path / "real", made=home / "near")) == {"real": 5, "made": 20}


def test_a_class_may_have_several_places_of_several_sorts(home, tmp_path):
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        for file in (home / "near" / "deeper").iterdir():
            archive.write(file, file.name)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "more.npz", x=rng.integers(0, 255, (7, 8, 8), dtype=np.uint8), y=np.arange(7))
    places = [tmp_path / "made.zip", tmp_path / "more.npz", home / "like_real" / "00*.png"]
    result = loaded(real=home / "mixed" / "real", made=places)
    assert counted(result) == {"real": 60, "made": 20 + 7 + 10}
    experiment = experiment_of(
        build({"data": {"classes": {"real": str(home / "mixed" / "real"), "made": [*map(str, places)]}}})
    )
    assert experiment.counts()["used"] == 97 and not experiment.skipped_rows


def test_rows_of_tables_have_the_class_of_their_file(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "left"} for row in customers(40)]
    result = loaded(gone=write_csv(tmp_path / "a.csv", rows[:25]), stayed=write_csv(tmp_path / "b.csv", rows[25:]))
    assert counted(result) == {"gone": 25, "stayed": 15} and "months" in result.table.column_names


def test_parts_count_where_every_class_has_them(home, tmp_path):
    for part in ("train", "test"):
        written(tmp_path / "a" / part, 6, LOW, 0)
        written(tmp_path / "b" / part, 4, HIGH, 1)
    both = loaded(a=tmp_path / "a", b=tmp_path / "b")
    assert both.part == "part" and both.table["part"].to_pylist().count("test") == 10
    one = loaded(a=tmp_path / "a", b=home / "near")
    assert one.part is None and "part" not in one.table.column_names
    assert any("are not used, since 'b' has none" in note for note in one.notes)


def test_a_broken_image_of_a_class_is_named(home, tmp_path):
    shutil.copytree(home / "near", tmp_path / "made")
    (tmp_path / "made" / "deeper" / "007.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    settings = {"real": str(home / "mixed" / "real"), "made": str(tmp_path / "made")}
    experiment = experiment_of(build({"data": {"classes": settings}}))
    assert [Path(skipped.file).name for skipped in experiment.skipped_rows] == ["007.png"]
    assert experiment.counts()["used"] == 79


def test_classes_that_compression_tells_apart_are_told_of(home, tmp_path):
    written(tmp_path / "jpeg", 5, LOW, 0, ".jpg")
    (note,) = (n for n in loaded(real=tmp_path / "jpeg", made=home / "near").notes if "loss" in n)
    assert "'real'" in note and "'made'" in note
    assert not [n for n in loaded(real=home / "like_real", made=home / "near").notes if "loss" in n]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ({"real": "{0}/mixed/real", "made": "{0}/mixed/real"}, "is of two classes, 'real'"),
        ({"real": "{0}/mixed", "made": "{0}/mixed/made"}, "Name folders that share nothing"),
        ({"real": ["{0}/near", "{0}/near/deeper"], "made": "{0}/mixed/made"}, "is there twice"),
        ({"real": "{0}/mixed/real", "made": "{0}/nowhere"}, "data.classes.made: {0}/nowhere: there is no such"),
        ({"real": "{0}/mixed/real", "made": "{0}/empty"}, "data.classes.made: {0}/empty holds no usable image"),
        ({"real": "{0}/mixed/real", "made": "toy:churn"}, "have no column in common"),
        ({"real": "{0}/mixed/real"}, "at least two classes (got ['real'])"),
    ],
)
def test_what_cannot_be_two_classes_is_a_sentence(home, message, sentence):
    (home / "empty").mkdir(exist_ok=True)
    places = {n: [p.format(home) for p in v] if isinstance(v, list) else v.format(home) for n, v in message.items()}
    with pytest.raises(DataError) as told:
        experiment_of(build({"data": {"classes": places}}))
    assert sentence.format(home) in str(told.value)


def test_words_of_a_command_line_name_classes():
    assert from_words(["a=x", "b=y"]).data == classes.Config(classes={"a": "x", "b": "y"})
    assert from_words(["a=x", "b=y", "b=z"]).data == classes.Config(classes={"a": "x", "b": ("y", "z")})
    changed = from_words(["a=x", "b=y"], ["data.classes.b=z"]).data
    assert changed == classes.Config(classes={"a": "x", "b": "z"})


@pytest.mark.parametrize("words", [["a.csv", "b.csv"], ["a=x", "b"], ["=x", "b=y"]])
def test_other_words_are_refused(words):
    with pytest.raises(RecipeError, match="give one source, or NAME=PATH for every class"):
        from_words(words)


def test_a_file_with_an_equals_sign_in_its_name_stays_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_csv(tmp_path / "year=2020.csv", customers(5))
    assert from_words([path.name]).data.model_dump()["path"] == path.name
    assert from_words(["year=*.csv"]).data.model_dump()["path"] == "year=*.csv"


def test_a_contact_sheet_is_skipped_and_an_image_of_that_name_is_not(home, tmp_path):
    result = tmp_path / "made"
    shutil.copytree(home / "near" / "deeper", result)
    (result / "sheet.png").write_bytes(provenance.png(np.zeros((40, 40, 1), np.uint8), "abc", 1))
    shutil.copy(home / "like_real" / "000.png", home / "like_real" / "sheet.png")
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        for file in result.iterdir():
            archive.write(file, file.name)
    for place in (result, tmp_path / "made.zip", result / "*.png"):
        collected = folders.load(folders.Config(path=str(place)))
        assert collected.table.num_rows == 20
        assert [(Path(q.file).name, "contact sheet" in q.reason) for q in collected.skipped_rows] == [
            ("sheet.png", True)
        ]
    remaining = folders.load(folders.Config(path=str(home / "like_real")))
    (home / "like_real" / "sheet.png").unlink()
    assert remaining.table.num_rows == 31 and not remaining.skipped_rows


# Other data


def test_one_command_trains_and_tests_on_what_the_network_has_not_seen(run):
    out, result = run
    assert result["scores"]["accuracy"] > 0.9
    near, like, both = result["also"]
    assert [row["name"] for row in result["also"]] == ["near", "like_real", "real and near"]
    assert near["carries"] == "yes" and near["scores"]["accuracy"] > 0.9
    assert like["carries"] == "no" and like["right"] < 0.2
    assert like["verdict"].startswith("It does not carry over to like_real: ")
    assert result["verdict"].endswith("It does not carry over to like_real.")
    assert "with" not in both
    report = json.loads((out / "report.json").read_text())
    assert report["also"] == result["also"]
    page = (out / "report.html").read_text("utf-8")
    assert "On other data" in page and "It does not carry over to like_real" in page


def test_a_class_that_other_data_lack_is_taken_from_the_test_rows(run, home):
    out, result = run
    like = next(row for row in result["also"] if row["name"] == "like_real")
    test = result["parts"]["test"]
    per_class = json.loads((out / "report.json").read_text())["per_class"]
    real = next(row for row in per_class if row["class"] == "real")
    assert like["class"] == "made" and like["rows"] == 30 and like["with"] == {"real": real["support"]}
    assert real["support"] < test
    single = lamina.load(out).predictor.predict([str(path) for path in sorted((home / "like_real").iterdir())])
    right = sum(row["prediction"] == "made" for row in single)
    assert like["right"] == pytest.approx(right / 30)
    matches = round(real["recall"] * real["support"])
    assert like["scores"]["accuracy"] == pytest.approx((right + matches) / (30 + real["support"]))
    assert like["scores"]["roc_auc"] is not None
    assert f"all 'made', with the {real['support']} 'real' of the test rows" in like["description"]


def test_other_data_with_all_classes_are_evaluated_as_evaluate_evaluates_them(run, home):
    out, result = run
    both = next(row for row in result["also"] if row["name"] == "real and near")
    code, output, _ = command("evaluate", out, f"real={home}/mixed/real", f"made={home}/near", "--json")
    assert code == 0 and json.loads(output)["scores"] == pytest.approx(both["scores"])
    expected = {name: both["scores"][name] - value for name, value in result["scores"].items() if value is not None}
    assert both["difference"] == pytest.approx(expected)


def test_named_classes_are_answered_and_looked_at(run, home, tmp_path):
    out, _ = run
    named = [f"real={home}/mixed/real", f"made={home}/near"]
    code, output, _ = command("predict", out, *named, "-o", tmp_path / "told.jsonl", "--json")
    assert code == 0 and json.loads(output)["rows"] == 80
    first = json.loads((tmp_path / "told.jsonl").read_text().splitlines()[0])
    assert first["image"].endswith("real/000.png") and first["prediction"] == "real"
    code, output, _ = command("inspect", *named, "--json")
    assert code == 0 and {c["class"]: c["all"] for c in json.loads(output)["surveys"][0]["classes"]} == {
        "real": 60,
        "made": 20,
    }
    code, _, told = command("init", *named, "-o", tmp_path / "recipe.yaml")
    assert code == 0, told
    assert read(tmp_path / "recipe.yaml").data == build({"data": {"classes": dict(n.split("=") for n in named)}}).data


def test_what_a_run_that_was_stopped_evaluates_also_is_evaluated_when_it_goes_on(home, tmp_path):
    places = {"real": str(home / "mixed" / "real"), "made": str(home / "mixed" / "made")}
    other = {"later": {"classes": {"made": str(home / "like_real")}}}
    recipe = build({"data": {"classes": places}, "model": "cnn", "also": other}, SMALL)
    stopped = Run.create(tmp_path / "run")
    rows = pipeline.run(recipe, stopped, stop=stopped.rows_file.exists)
    with pytest.raises(Interrupted):
        list(rows)
    again = Run.resume(tmp_path / "run")
    *_, whole = pipeline.run(recipe, Run.create(tmp_path / "whole"))
    *_, last = pipeline.run(again.recipe(), again)
    assert last["also"] == whole["also"] and last["also"][0]["name"] == "later"


@pytest.mark.parametrize(
    ("also", "sentence"),
    [
        ("nowhere", "also.nowhere: nowhere: there is no such file"),
        ({"classes": {"mode": "{0}/near"}}, "also.near: there is no class 'mode' to evaluate. Did you mean 'made'?"),
        ("toy:wine", "also.toy:wine: there is no column 'label'"),
        ("{0}/broken", "also.broken: no row can be evaluated; the first is {0}/broken/made/000.png"),
        ("{0}/strange", "also.strange: no row can be evaluated; the first was skipped because the label 'cat'"),
        ("{0}/like_real", "also.like_real: its images have no class. Say which one: CLASS={0}/like_real"),
    ],
)
def test_faults_of_other_data_are_told_before_training(home, tmp_path, also, sentence):
    written(home / "strange" / "cat", 3, LOW, 0)
    written(home / "strange" / "dog", 3, LOW, 0)
    (home / "broken" / "made").mkdir(parents=True, exist_ok=True)
    (home / "broken" / "real").mkdir(exist_ok=True)
    for label in ("made", "real"):
        (home / "broken" / label / "000.png").write_bytes(b"no image")
    other = json.loads(json.dumps(also).replace("{0}", str(home)))
    recipe = build({"data": str(home / "mixed"), "model": "cnn", "also": [other]}, SMALL)
    with pytest.raises(LaminaError) as told:
        next(pipeline.run(recipe, Run.create(tmp_path / "run")))
    assert sentence.format(home) in str(told.value)


def test_a_regression_that_does_not_hold_elsewhere_says_so(tmp_path):
    rng = np.random.default_rng(0)
    rows = [{"size": float(x), "price": float(3 * x + rng.normal() / 9)} for x in rng.normal(size=200)]
    write_csv(tmp_path / "here.csv", rows)
    write_csv(tmp_path / "there.csv", [{**row, "price": -row["price"]} for row in rows[:50]])
    recipe = {"model": "linear", "train": {"threads": 1}, "also": {"there": str(tmp_path / "there.csv")}}
    result = lamina.fit(rows, "price", recipe=recipe).result["also"][0]
    assert result["carries"] == "no" and result["scores"]["r2"] < 0
    assert result["rows"] == 50 and result["verdict"].startswith("It does not carry over to there: R2 −")


def test_a_generator_has_nothing_to_evaluate_elsewhere(home):
    recipe = build({"data": str(home / "mixed"), "task": "generation", "also": str(home / "near")})
    with pytest.raises(DataError, match="also: this run predicts no column"):
        experiment_of(recipe)


@pytest.mark.parametrize(
    ("also", "names"),
    [
        ("a.csv", ["a.csv"]),
        (["x/a.csv", "y/a.csv"], ["a.csv", "y/a.csv"]),
        ({"classes": {"made": "x/other"}}, ["other"]),
        ([{"classes": {"made": ["x/a", "x/b"]}}, {"path": "c.csv"}], ["a and b", "c.csv"]),
        ({"later": "a.csv", "classes": {"path": "b.csv"}}, ["later", "classes"]),
    ],
)
def test_other_data_are_written_into_the_recipe_with_their_names(also, names):
    recipe = build({"data": "x.csv", "target": "y", "also": also})
    assert list(recipe.also) == names
    assert build(load_yaml(dump(recipe), "here")) == recipe


def test_parquet_may_be_evaluated_also(tmp_path):
    rows = customers(120)
    pq.write_table(
        data.load(build({"data": str(write_csv(tmp_path / "b.csv", rows))}).data).table, tmp_path / "b.parquet"
    )
    recipe = {"model": "linear", "train": {"epochs": 1, "threads": 1}, "also": [str(tmp_path / "b.parquet")]}
    (result,) = lamina.fit(rows, "left", recipe=recipe).result["also"]
    assert result["name"] == "b.parquet" and result["rows"] == 120 and "class" not in result
