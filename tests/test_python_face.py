"""The Python face as people of other libraries use it: X and y, one row, paths, options, what a model tells."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lamina
from conftest import customers, houses, write_csv
from lamina.cli.commands import app
from lamina.config import LaminaError
from lamina.estimator import Layers, LearningCurves, Report
from lamina.evaluate.python_words import in_python

QUICK = {"model": "linear", "epochs": 1, "batch_size": 64}
ROWS = houses(60)
FRAME = pd.DataFrame(ROWS)
X, Y = FRAME.drop(columns="price"), FRAME["price"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> lamina.Estimator:
    """What a house costs, its run in a directory."""
    return lamina.fit(FRAME, "price", out=tmp_path_factory.mktemp("runs") / "houses", **{**QUICK, "epochs": 4})


@pytest.fixture(scope="module")
def classifier() -> lamina.Estimator:
    rows = [{name: row[name] for name in ("months", "plan", "left")} for row in customers(60)]
    return lamina.fit(rows, "left", **QUICK)


# fit


def test_rows_and_targets_may_be_given_apart_in_any_type_and_the_model_is_the_same():
    whole = lamina.fit(FRAME, "price", **QUICK)
    apart = [
        (X, Y),
        (X, Y.tolist()),
        (X, Y.to_frame()),
        (pl.from_pandas(X), pl.from_pandas(FRAME[["price"]])),
        (X.to_dict("records"), Y),
        (X.to_dict("list"), Y.to_numpy()),
        (pa.Table.from_pandas(X), Y),
    ]
    for rows, values in apart:
        model = lamina.fit(rows, values, **QUICK)
        assert model.predict(ROWS[:3]) == whole.predict(ROWS[:3]) or model.predictor.target == "target"


def test_arrays_and_lists_of_numbers_need_no_names():
    numbers = X[["area", "rooms"]].to_numpy()
    model, same = lamina.fit(numbers, Y.to_numpy(), **QUICK), lamina.fit(numbers.tolist(), Y.tolist(), **QUICK)
    assert model.predictor.target == "target"
    answers = model.predict(numbers[:2])
    assert np.allclose(answers["prediction"], [row["prediction"] for row in same.predict(numbers[:2].tolist())])


def test_texts_by_themselves_are_rows_and_one_text_gets_one_answer():
    words = {"good": ["fine day", "lovely work", "good thing"], "bad": ["poor show", "awful mess", "bad thing"]}
    texts = [f"{words[label][i % 3]} {i % 7}" for i in range(30) for label in words]
    model = lamina.fit(texts, ["good", "bad"] * 30, columns={"text": "text"}, epochs=1, batch_size=16)
    one, two = model.predict("fine day"), model.predict(["fine day", "awful mess"])
    assert one["prediction"] == two[0]["prediction"]
    assert one["probabilities"] == pytest.approx(two[0]["probabilities"], abs=1e-6)


def test_series_in_one_array_are_a_column():
    signal = np.random.default_rng(0).normal(size=(40, 16, 1))
    model = lamina.fit(signal, ["up", "down"] * 20, model="fnn", epochs=1)
    assert len(model.predict(signal[:3])["prediction"]) == 3


@pytest.mark.parametrize(
    ("rows", "values", "sentence"),
    [
        (X, Y[:-1], "y: has 59 values where X has 60 rows"),
        (FRAME, ["price", "rooms"], "target: must be one column, or a value for each row (got ['price', 'rooms'])"),
        (FRAME, Y, "y: the rows have a column 'price' already"),
        (X, FRAME, "y: must be one column (got a frame of 4 columns)"),
        (X, 1.5, "target: must be the name of a column, or one value for each row (got 'float')"),
        ([[1, 2], [1]], [1, 2], "data: row 1 has 1 cells where row 0 has 2"),
        (np.zeros(3), [1, 2, 3], "a single row is a dict"),
        (np.array(3), [1], "data: a single number is no table"),
        ("", "price", "rows: must be a path (got '')"),
    ],
)
def test_rows_and_targets_that_do_not_fit_are_a_sentence(rows, values, sentence):
    with pytest.raises(LaminaError) as caught:
        lamina.fit(rows, values, **QUICK)
    assert sentence in str(caught.value)


def test_a_path_trains_as_the_command_line_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "houses.csv", ROWS)
    write_csv(tmp_path / "test.csv", houses(20, seed=1))
    ours = lamina.fit("houses.csv", "price", test="test.csv", out="ours", **QUICK)
    words = ["train", "houses.csv", "--target", "price", "--test", "test.csv", "--model", "linear", "--out", "theirs"]
    run(*words, "--set", "train.epochs=1", "--set", "train.batch_size=64")
    assert ours.predictor.bundle.id == lamina.load("theirs").predictor.bundle.id
    recipes = [(tmp_path / name / "recipe.yaml").read_text() for name in ("ours", "theirs")]
    assert recipes[0] == recipes[1]


def run(*words: str) -> None:
    from typer.testing import CliRunner

    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output


def test_a_recipe_may_be_a_path_and_options_stand_over_it(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: elsewhere.csv\ntarget: rooms\nmodel: linear\ntrain: {epochs: 1, lr: 0.5}\n")
    lamina.fit(FRAME, "price", recipe=recipe, seed=7, batch_size=np.int64(32), out=tmp_path / "run")
    text = (tmp_path / "run" / "recipe.yaml").read_text()
    assert all(line in text for line in ("target: price", "lr: 0.5", "batch_size: 32", "seed: 7", "kind: linear"))


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({"seed": object()}, "recipe.seed: must be a plain value, a list or a dict (got 'object')"),
        ({"missing": {"a"}}, "recipe.missing: must be a plain value, a list or a dict (got 'set')"),
        (["linear"], "recipe: must be settings by name"),
        ("absent.yaml", "absent.yaml: cannot be read"),
        ({"model": {"kind": "fnn", "width": "wide"}}, "model.width"),
    ],
)
def test_a_recipe_that_cannot_be_read_is_a_sentence(recipe, sentence):
    with pytest.raises(LaminaError) as caught:
        lamina.fit(FRAME, "price", recipe=recipe)
    assert sentence in str(caught.value)


def test_errors_name_what_to_give_in_python_and_not_options_of_a_command():
    with pytest.raises(LaminaError) as caught:
        lamina.fit(FRAME)
    assert "target='COLUMN'" in str(caught.value)
    assert "--" not in str(caught.value)


def test_progress_is_lines_where_they_are_asked_for_and_else_nothing(capsys):
    lamina.fit(FRAME, "price", verbose=True, **QUICK)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [line.split()[0] for line in printed.err.splitlines()] == ["60", "Epoch", "Best", "Best"]
    assert "Epoch 1/1: loss" in printed.err
    lamina.fit(FRAME, "price", verbose=False, **QUICK)
    assert capsys.readouterr() == ("", "")


# predict and evaluate


def test_one_row_gets_one_answer_of_its_kind(model):
    (first, *_), frame = model.predict(ROWS[:2]), model.predict(X[:2])
    assert model.predict(ROWS[0]) == first
    answer = model.predict(X.iloc[0])
    assert isinstance(answer, pd.Series)
    assert answer.tolist() == frame.iloc[0].tolist()
    assert model.predict({"area": 100.0}).keys() == first.keys()
    assert model.predict({"area": [100.0]})["prediction"] == [model.predict({"area": 100.0})["prediction"]]


def test_a_file_gets_a_frame_of_answers_and_its_scores(model, tmp_path):
    path = write_csv(tmp_path / "houses.csv", ROWS)
    pd.testing.assert_frame_equal(model.predict(path), model.predict(FRAME), rtol=1e-5)
    assert model.evaluate(str(path)) == pytest.approx(model.evaluate(FRAME), rel=1e-5)
    assert model.evaluate(X, Y) == model.evaluate(FRAME)


def test_rows_of_a_file_that_cannot_be_read_are_never_left_out_in_silence(model, tmp_path):
    path = write_csv(tmp_path / "houses.csv", ROWS)
    path.write_text(path.read_text() + "1,2,3,4,5,6\n")
    with pytest.raises(LaminaError, match=r"houses\.csv: 1 rows cannot be read \(line 62: .*lamina predict"):
        model.predict(path)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("score", "evaluate"),
        ("predict_proba", "probabilities"),
        ("classes_", "classes"),
        ("feature_names_in_", "columns"),
    ],
)
def test_what_scikit_learn_calls_otherwise_is_named(model, name, instead):
    with pytest.raises(AttributeError, match=instead):
        getattr(model, name)


def test_an_operation_says_which_values_it_takes(classifier):
    assert classifier.classes == ("no", "yes")
    assert classifier.columns == ("months", "plan")
    with pytest.raises(LaminaError, match="load: must be a path"):
        lamina.load(None)
    with pytest.raises(LaminaError, match="save: must be a path"):
        classifier.save(3)


# what a model tells of itself


def test_a_model_tells_its_history_its_layers_and_its_rivals_also_after_it_was_saved(model, tmp_path):
    saved = lamina.load(model.save(tmp_path / "houses.lamina"))
    for one in (model, lamina.load(model.result["run"]), saved):
        assert list(one.history.index) == [1, 2, 3, 4]
        assert {"loss", "validation_loss", "lr"} < set(one.history.columns)
        assert isinstance(one.summary(), Layers)
        assert one.summary().parameters > 0
        assert "total" in repr(one.summary())
        assert one.baselines.index[0] == "network"
        assert one.baselines.loc["network", "rmse"] == one.scores["rmse"] == model.result["scores"]["rmse"]
        assert isinstance(one.plot_history(), LearningCurves)
        assert one.result["verdict"] == model.result["verdict"]


def test_the_result_of_a_run_is_there_after_loading_wherever_the_run_lies_now(model, tmp_path):
    fresh = lamina.load(model.result["run"]).result
    assert fresh == json.loads(json.dumps(model.result))
    moved = Path(model.result["run"]).rename(tmp_path / "moved")
    try:
        there = lamina.load(moved)
        assert there.result["run"] == str(moved)
        assert isinstance(there.report, Report)
        assert there.report.path == moved / "report.html"
    finally:
        moved.rename(model.result["run"])


def test_a_bundle_away_from_its_run_says_where_its_report_is(model, tmp_path):
    with pytest.raises(LaminaError, match="report: this bundle is away from its run"):
        _ = lamina.load(model.save(tmp_path / "alone.lamina")).report


def test_a_graph_is_saved_as_it_is_exported(model, tmp_path):
    model.save(tmp_path / "ours.onnx")
    run("export", str(model.result["bundle"]), "-o", str(tmp_path / "theirs.onnx"))
    assert (tmp_path / "ours.onnx").read_bytes() == (tmp_path / "theirs.onnx").read_bytes()
    with pytest.raises(LaminaError, match="a bundle is a folder"):
        model.save(tmp_path / "houses.json")


def test_tables_are_of_arrow_where_pandas_is_not_installed(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert model.history.column_names[:2] == ["epoch", "loss"]
    assert model.baselines["method"][0].as_py() == "network"


def test_what_a_notebook_shows_takes_nothing_from_the_network(model):
    for value in (model.summary(), model.plot_history(), model.report):
        page = value._repr_html_()
        assert page
        assert not any(word in page for word in ('src="http', "src=&quot;http", "@import"))


def test_what_a_run_notes_is_said_in_the_words_of_python():
    words = {
        "Another: --task NAME": "Another: task='NAME'",
        "Read as text: --set columns.x.kind=number.": "Read as text: recipe={'columns': {'x': {'kind': 'number'}}}.",
        "Commas: --set data.decimal=,": "Commas: recipe={'data': {'decimal': ','}}",
        "More: --epochs 30, or --preset accurate": "More: epochs=30, or preset='accurate'",
        "--out: runs/a already holds a run.": "out: runs/a already holds a run.",
    }
    assert {sentence: in_python(sentence) for sentence in words} == words
