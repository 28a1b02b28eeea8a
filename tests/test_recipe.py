"""Recipes: YAML 1.2 in, one checked value out, every fault at once with its place, and back to the same YAML."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina import models
from lamina.config import RecipeError, as_override, load_yaml, split_override
from lamina.plugins import available, plugin
from lamina.recipe import Recipe, build, dump, json_schema, read
from lamina.run import Run
from lamina.schema import Input, Output, Spec
from lamina.train.settings import Config as Train

BASE = {"data": "churn.csv", "target": "left"}
FOLDERS = {"data": "data", "tasks": "task", "models": "model", "preprocess": "columns"}
PLUGINS = [(folder, name) for folder in FOLDERS for name in available(folder)]
NEEDED: dict[str, dict[str, Any]] = {
    "data.toy": {"name": "churn"},
    "data.long": {"series": "id"},
    "data.classes": {"classes": {"cat": "cats", "dog": ["dogs", "more.zip"]}},
}

each_plugin = pytest.mark.parametrize(("folder", "name"), PLUGINS)


def faults(raw: Any, overrides: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        build(raw, overrides)
    return list(caught.value.faults)


def chosen(folder: str, name: str) -> dict[str, Any]:
    """A recipe that uses a plug-in with nothing but what it needs."""
    path = plugin(folder, name).Config.model_fields.get("path") if folder == "data" else None
    said = {
        "kind": name,
        **({"path": "a.csv"} if path and path.is_required() else {}),
        **NEEDED.get(f"{folder}.{name}", {}),
    }
    if folder == "models" and "example" in vars(plugin(folder, name)):
        numbers = Input(kind="number", shape=(1,), dtype="float32", edges=((0.0, 1.0),))
        said |= plugin(folder, name).example(Spec(inputs={"number": numbers}, output=Output(size=1, loss="mse")))
    section = {"x": said} if folder == "preprocess" else said
    return {**BASE, FOLDERS[folder]: section}


# YAML


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("0.001", 0.001),
        ("10", 10),
        ("010", 10),
        ("0o17", 15),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01 10:00:00", "2024-01-01 10:00:00"),
        ("'5'", "5"),
        ("[1, two]", [1, "two"]),
    ],
)
def test_yaml_is_version_1_2(text, value):
    result = load_yaml(f"x: {text}", "recipe")["x"]
    assert (result, type(result)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("target: a\ndata: x.csv\ntarget: b\n", "r.yaml:3:1"),
        ("data: x.csv\ntrain:\n  lr: 1\n  lr: 2\n", "r.yaml:4:3"),
        ("data: x.csv\ntrain:\n\tlr: 1\n", "r.yaml:3:1"),
        ("data: [x.csv\n", "r.yaml:1:7"),
        ("data: 'x.csv\n", "r.yaml"),
        ("data: x.csv: y\n", "r.yaml:1:12"),
        ("data: !!python/object/apply:os.system [ls]\n", "r.yaml"),
        ("data: !Path x.csv\n", "r.yaml"),
        ("a: &a [x, x]\nb: *a\n", "r.yaml"),
        ("a: &a [x, x]\nb: [*a, *a]\n", "r.yaml"),
        ("a: &a {x: 1}\nb:\n  <<: *a\n", "r.yaml"),
        ("data: x.csv\n---\ndata: y.csv\n", "r.yaml"),
        ("data: \x01\n", "r.yaml"),
        ("- data\n- target\n", "r.yaml"),
        ("just text\n", "r.yaml"),
        ("3\n", "r.yaml"),
        ("", "r.yaml"),
        ("null\n", "r.yaml"),
    ],
)
def test_what_is_not_a_recipe_is_a_sentence_with_its_place(tmp_path, monkeypatch, text, place):
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(text, "utf-8")
    with pytest.raises(RecipeError) as caught:
        read(Path("r.yaml"))
    assert str(caught.value).startswith(place), caught.value
    assert len(str(caught.value)) < 500


def test_an_alias_bomb_is_refused_before_it_grows(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    for padding in ("", "# " + "long " * 300_000 + "\n"):
        (tmp_path / "bomb.yaml").write_text(padding + "\n".join(lines))
        with pytest.raises(RecipeError, match="alias"):
            read(tmp_path / "bomb.yaml")


def test_stars_in_text_are_not_aliases():
    assert load_yaml('data: "data/*.csv"\nname: a * b\ntarget: "*"', "r") == {
        "data": "data/*.csv",
        "name": "a * b",
        "target": "*",
    }
    assert load_yaml("data: x.csv  # see *note\n", "r") == {"data": "x.csv"}


def test_a_deep_recipe_is_a_sentence(tmp_path):
    (tmp_path / "deep.yaml").write_text("data: " + "[" * 5000 + "]" * 5000)
    with pytest.raises(RecipeError):
        read(tmp_path / "deep.yaml")


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path):
    with pytest.raises(RecipeError, match=r"none.yaml: cannot be read \(No such file or directory\)"):
        read(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("data: caf\xe9.csv".encode("latin-1"))
    with pytest.raises(RecipeError, match=r"latin.yaml: .*UTF-8"):
        read(tmp_path / "latin.yaml")


# short and long forms


def test_short_forms_are_the_long_ones():
    short = build(
        {"data": "a.csv", "task": "classification", "model": "linear", "split": "random", "columns": {"x": "text"}}
    )
    long = build(
        {
            "data": {"kind": "files", "path": "a.csv"},
            "task": {"kind": "classification"},
            "model": {"kind": "linear"},
            "split": {"kind": "random"},
            "columns": {"x": {"kind": "text"}},
        }
    )
    assert short == long
    assert build({"data": ["a.csv", "b.csv"]}).data.model_dump()["path"] == ("a.csv", "b.csv")
    assert build({"data": "toy:churn"}).data.model_dump()["name"] == "churn"
    assert build({"data": {"path": "a.csv"}}) == build({"data": "a.csv"})
    assert build({"data": "a.csv"}).model is None, "the data decides"


def test_settings_of_a_network_without_a_name_belong_to_the_one_that_the_data_decide_for():
    recipe = build({"data": "a.csv"}, ["model.width=8"])
    images, table = (
        Input(kind="image", shape=(8, 8, 3), dtype="uint8"),
        Input(kind="number", shape=(3,), dtype="float32"),
    )
    output = Output(head="logits", size=1, loss="binary_cross_entropy")
    choices = [models.choice(recipe.model, Spec(inputs={one.kind: one}, output=output)) for one in (images, table)]
    assert [(choice.kind, choice.width) for choice in choices] == [("cnn", 8), ("fnn", 8)]
    assert build(load_yaml(dump(recipe), "")) == recipe
    with pytest.raises(RecipeError, match=r"model.number_width: unknown setting.*network is cnn.*--model fnn"):
        models.choice(
            build({"data": "a.csv", "model": {"number_width": 8}}).model,
            Spec(inputs={"image": images}, output=output),
        )
    with pytest.raises(RecipeError, match=r"model.widht: unknown setting. Did you mean 'width'?"):
        build({"data": "a.csv", "model": {"widht": 8}})


def test_a_recipe_cannot_be_changed_once_made():
    recipe = build({**BASE, "model": "fnn"})
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3
    with pytest.raises(ValueError, match="frozen"):
        recipe.model.width = 3


# overrides


def test_overrides_are_laid_over_the_file():
    recipe = build(
        {**BASE, "model": {"kind": "fnn", "width": 64}, "train": {"epochs": 3}},
        ["train.lr=1e-3", "train.optimizer=adam", "model.width=32", "seed=7", "columns.zip=category", "target=other"],
    )
    assert recipe.train == {"epochs": 3, "lr": 1e-3, "optimizer": "adam"}
    assert recipe.model.model_dump()["width"] == 32
    assert (recipe.seed, recipe.target) == (7, "other")
    assert recipe.columns["zip"].model_dump()["kind"] == "category"


def test_an_override_reaches_into_a_short_form():
    recipe = build({**BASE, "model": "fnn"}, ["model.width=16", "data.delimiter=;", "train.optimizer.kind=sgd"])
    assert recipe.model.model_dump()["width"] == 16
    assert recipe.data.model_dump() | {"delimiter": ";"} == recipe.data.model_dump()
    assert recipe.train["optimizer"] == {"kind": "sgd"}
    assert build({**BASE, "train": {"optimizer": "sgd"}}, ["train.optimizer.momentum=0.5"]).train["optimizer"] == {
        "kind": "sgd",
        "momentum": 0.5,
    }
    assert build({**BASE, "split": "random"}, ["split.test=0.3"]).split.model_dump()["test"] == 0.3


def test_an_empty_override_takes_a_choice_back():
    assert build({**BASE, "name": "x"}, ["name="]).name is None


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("data.delimiter= ", ["data", "delimiter"], " "),
        ("data.delimiter=' '", ["data", "delimiter"], " "),
        ("data.delimiter=|", ["data", "delimiter"], "|"),
        ("data.decimal=,", ["data", "decimal"], ","),
        ("columns.date.format=%b %d, %Y", ["columns", "date", "format"], "%b %d, %Y"),
        ("columns.my day.format=%H: %M", ["columns", "my day", "format"], "%H: %M"),
        ('columns."sepal.length"=ignore', ["columns", "sepal.length"], "ignore"),
        ("data.comment=#", ["data", "comment"], "#"),
        ("missing=-", ["missing"], "-"),
        ("target=*", ["target"], "*"),
        ("target=007", ["target"], "007"),
        ("data.names=[a, b]", ["data", "names"], ["a", "b"]),
        ("train.lr=1e-3", ["train", "lr"], 1e-3),
        ("train.plan=", ["train", "plan"], None),
    ],
)
def test_the_value_of_an_override_is_what_was_typed(override, key, value):
    assert split_override(override) == (key, value)
    if isinstance(value, str):
        assert split_override(shlex.split(as_override(key, value))[1]) == (key, value)


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("train.lr", "write key.sub=value"),
        ("=3", "write key.sub=value"),
        ("seed.deep=3", "seed holds a value, not settings"),
        ("train.lr=[1", "train.lr"),
        ("train.lr=fast", "train.lr: "),
        ("train.learning_rate=1", "train.learning_rate: unknown setting"),
        ("modle=fnn", "modle: unknown section. Did you mean 'model'?"),
        ("train..lr=1", "--set train..lr"),
        ("data.path.x=1", "data.path: should be a valid string"),
        (
            "train.optimizer={kind: sgd, momentm: 1}",
            "train.optimizer.momentm: unknown setting. Did you mean 'momentum'?",
        ),
        (".=1", "--set"),
    ],
)
def test_a_wrong_override_is_a_sentence(override, word):
    result = faults({**BASE, "seed": 1}, (override,))
    assert any(word in fault for fault in result), result


# faults


def test_all_faults_are_told_at_once_with_path_and_nearest_name():
    result = faults(
        {
            "targt": "left",
            "model": {"kind": "fnn", "widht": 3, "dropout": 2},
            "train": {"lr": -1, "epochs": 0, "optimiser": "adam"},
            "task": "clasification",
            "columns": {"a": "categry", "b": {"kind": "number", "bins": 1}},
            "split": {"kind": "random", "test": 1.5},
            "seed": "one",
        }
    )
    messages = "\n".join(result)
    for sentence in (
        "targt: unknown section. Did you mean 'target'?",
        "model.widht: unknown setting. Did you mean 'width'?",
        "model.dropout: ",
        "train.lr: should be greater than 0 (got -1).",
        "train.epochs: ",
        "train.optimiser: unknown setting. Did you mean 'optimizer'?",
        "task: there is no 'clasification'. Did you mean 'classification'?",
        "columns.a: there is no 'categry'. Did you mean 'category'?",
        "columns.b.bins: ",
        "split.test: should be less than 1 (got 1.5).",
        "seed: ",
        "data: is required. Write data: FILE",
    ):
        assert sentence in messages, messages
    assert all(fault.endswith((".", "?", "FILE")) for fault in result)


@pytest.mark.parametrize(
    "raw",
    [
        {"data": 3},
        {"data": True},
        {"data": {}},
        {"data": {"kind": 3}},
        {"data": [1, 2]},
        {"data": "a.csv", "model": 3},
        {"data": "a.csv", "model": []},
        {"data": "a.csv", "columns": ["a"]},
        {"data": "a.csv", "columns": {"a": 3}},
        {"data": "a.csv", "columns": {"a": None}},
        {"data": "a.csv", "columns": {"a": ["number"]}},
        {"data": "a.csv", "train": 5},
        {"data": "a.csv", "train": {"optimizer": 3}},
        {"data": "a.csv", "train": {"optimizer": {"momentum": 3}}},
        {"data": "a.csv", "train": {"schedule": "cosin"}},
        {"data": "a.csv", "train": {"budget": "soon"}},
        {"data": "a.csv", "train": {"budget": -5}},
        {"data": "a.csv", "train": {"lr": float("nan")}},
        {"data": "a.csv", "split": 3},
        {"data": "a.csv", "split": {"kind": "column"}},
        {"data": "a.csv", "split": "sorted"},
        {"data": "a.csv", "split": {"test": 0.6, "validation": 0.6}},
        {"data": "a.csv", "missing": {"NA": 1}},
        {"data": "a.csv", "target": 3.5},
        {"data": "a.csv", "seed": 1.5},
        {"data": "a.csv", "seed": -1},
        {"data": "a.csv", "task": {"kind": "regression", "label_smoothing": 0.1}},
        {"data": "a.csv", "model": {"kind": "linear", "width": 3}},
        {"data": "a.csv", "model": {"kind": "sequential"}},
        {"data": "a.csv", "model": {"kind": "fnn", "width": 1 << 40}},
        {3: "a.csv"},
        {"data": "a.csv", None: 1},
        {"data": "a.csv", "model": {"kind": "fnn", 3: 4}},
        [],
        "a.csv",
        None,
    ],
    ids=str,
)
def test_any_wrong_value_is_a_sentence_and_never_a_traceback(raw):
    assert all(len(fault) < 400 for fault in faults(raw))


@settings(max_examples=150, deadline=None)
@given(
    raw=st.dictionaries(
        st.sampled_from([*Recipe.model_fields, "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("fnn"),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "path", "x"]), inner),
            max_leaves=6,
        ),
    )
)
def test_any_plain_value_is_a_recipe_or_sentences(raw):
    try:
        assert isinstance(build(raw), Recipe)
    except RecipeError as error:
        assert error.faults


@pytest.mark.parametrize("section", ["data", "task", "model"])
@pytest.mark.parametrize(
    "name",
    ["os.system", "torch.nn.Linear", "fnn.Model", "../fnn", "/etc/passwd", "_layers", "__init__", "lamina", "", "FNN "],
)
def test_only_a_name_in_the_folder_names_a_plug_in(section, name):
    value = {"kind": name}
    assert any(fault.startswith(f"{section}: there is no '{name}'") for fault in faults({**BASE, section: value}))
    assert faults({**BASE, "columns": {"x": name}})


def test_a_dash_in_a_name_is_an_underscore():
    with pytest.raises(RecipeError, match=r"there is no 'language-modeling'"):
        build({**BASE, "task": "language-modeling"})


# there and back


@each_plugin
def test_every_plug_in_is_written_and_read_back_the_same(tmp_path, folder, name):
    recipe = build(chosen(folder, name))
    (tmp_path / "r.yaml").write_text(dump(recipe), "utf-8")
    assert read(tmp_path / "r.yaml") == recipe
    assert dump(read(tmp_path / "r.yaml")) == dump(recipe)


def test_every_setting_is_written_and_read_back_the_same(tmp_path):
    recipe = build(
        {
            "data": {"path": ["b.csv", "a.csv"], "test": "t.csv", "delimiter": ";", "names": ["no", "1e3", "ü: x"]},
            "target": "no",
            "task": {"kind": "classification", "label_smoothing": 0.1, "class_weight": "balanced"},
            "columns": {
                "1": "ignore",
                "a: b": {"kind": "time", "format": "%d/%m/%Y"},
                "on": "boolean",
                "x": "identifier",
            },
            "missing": ["", "-", "null", "~"],
            "split": {"kind": "column", "name": "part", "train": "a", "validation": "b", "test": "c"},
            "model": {"kind": "sequential", "layers": [{"dense": {"units": 3}}, {"dropout": 0.2}, "flatten"]},
            "train": {
                "budget": "90s",
                "lr": 1e-05,
                "optimizer": {"kind": "muon"},
                "schedule": "one_cycle",
                "clip": None,
            },
            "seed": 12,
            "name": "2024-01-01",
        }
    )
    (tmp_path / "r.yaml").write_text(dump(recipe), "utf-8")
    assert read(tmp_path / "r.yaml") == recipe


@pytest.mark.parametrize(
    "name", ["no", "null", "1e3", "010", "*a", "&b", "a: b", "- x", "ü", "2024-01-01", "true", " x "]
)
def test_a_target_of_any_name_survives(tmp_path, name):
    recipe = build({"data": "a.csv", "target": name, "columns": {name: "number"}})
    (tmp_path / "r.yaml").write_text(dump(recipe), "utf-8")
    assert read(tmp_path / "r.yaml") == recipe


def test_a_recipe_says_only_what_is_not_the_default():
    text = dump(build({**BASE, "model": {"kind": "fnn", "width": 64}}))
    assert load_yaml(text, "r") == {
        "data": {"kind": "files", "path": "churn.csv"},
        "target": "left",
        "split": "auto",
        "model": {"kind": "fnn", "width": 64},
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("5m", 300), ("1.5h", 5400), (30, 30), (0.5, 0.5), ("45", 45), (" 2 m ", 120)]
)
def test_times_are_read_in_seconds_minutes_and_hours(text, seconds):
    assert Train.model_validate_json(json.dumps({"budget": text})).budget == seconds


# the JSON schema


def test_the_json_schema_accepts_what_the_reader_accepts_and_refuses_misspellings():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    valid = jsonschema.Draft202012Validator(schema)
    for folder, name in PLUGINS:
        raw = chosen(folder, name)
        build(raw)
        assert valid.is_valid(raw), next(valid.iter_errors(raw)).message
    for raw in (
        {**BASE, "train": {"optimizer": "adam", "budget": "60s", "schedule": {"kind": "linear", "warmup": 0.1}}},
        {**BASE, "split": "random"},
        {**BASE, "split": {"test": 0.3}},
        {**BASE, "columns": {"x": "ignore"}},
        {**BASE, "task": None},
        {"data": ["a.csv", "b.csv"]},
    ):
        build(raw)
        assert valid.is_valid(raw), raw
    for raw in ({**BASE, "modle": "fnn"}, {**BASE, "model": {"kind": "fnn", "widht": 3}}, {"target": "x"}):
        faults(raw)
        assert not valid.is_valid(raw), raw


@each_plugin
def test_the_json_schema_names_every_plug_in_and_its_settings(folder, name):
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    defined = schema["$defs"][f"{folder}.{name}"]
    assert set(defined["properties"]) == set(plugin(folder, name).Config.model_fields)
    text = json.dumps(schema["properties"][FOLDERS[folder]])
    assert f"#/$defs/{folder}.{name}" in text


def test_every_reference_in_the_json_schema_leads_somewhere():
    schema = json_schema()
    for reference in json.dumps(schema).split('"$ref": "')[1:]:
        name = reference.split('"')[0].removeprefix("#/$defs/")
        assert name in schema["$defs"]


def test_a_setting_that_is_switched_off_stays_off_in_the_recipe_of_the_run(tmp_path):
    recipe = build({"data": "rows.csv", "train": {"patience": None, "epochs": 3}})
    run = Run(tmp_path)
    run.write_recipe(recipe, Train(epochs=3, clip=1.0))
    train = run.recipe().train
    assert (train["patience"], train["clip"], train["epochs"]) == (None, 1.0, 3)
    assert "budget" not in train
