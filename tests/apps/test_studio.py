"""The pages of `lamina studio`, run without a browser: from data to a recipe, its faults, and runs that there are."""

import base64
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from conftest import customers, write_csv
from lamina import __version__, inspection, recipe
from lamina.apps import studio
from lamina.apps.studio import analysis, bring, command, ledger, processes, service
from lamina.config import LaminaError, RecipeError, load_yaml
from lamina.plugins import available

SCRIPT = Path(studio.__file__).with_name("main.py")
RUNS_PAGE = "from lamina.apps.studio import runs_page\nruns_page.show()"
REMARK = "columns:\n  remark: {kind: text, buckets: 128, length: 12}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder in which the studio works."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def page(folder) -> AppTest:
    return AppTest.from_file(str(SCRIPT), default_timeout=60).run()


def sound(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    return sound(next(button for button in app.button if button.label == label).click().run())


def widget(elements: Any, label: str) -> Any:
    return next(one for one in elements if one.label.split(" :")[0] == label)


def plain(element: Any) -> str:
    """What a person reads of a text in Markdown."""
    return element.value.replace("\\", "")


def look_at(app: AppTest, path: str) -> AppTest:
    app.button_group(key="where").set_value("On this machine").run()
    return sound(app.text_area(key="path").set_value(path).run())


def recipe_of(app: AppTest, path: str, target: str = "") -> AppTest:
    """The page of a recipe for data."""
    press(look_at(app, path), "Choose what to learn")
    if target:
        widget(app.selectbox, "Target: the column to predict").set_value(target).run()
    return sound(app)


def text(app: AppTest) -> str:
    return widget(app.text_area, "Recipe as YAML").value


def part(app: AppTest, name: str) -> AppTest:
    return sound(app.button_group(key="part").set_value(name).run())


# data


@pytest.fixture
def rows(folder) -> str:
    (folder / "data").mkdir()
    return str(write_csv(folder / "data" / "customers.csv", customers(80)).relative_to(folder))


def test_a_source_is_shown_as_lamina_inspect_says_it(page, rows):
    app = look_at(page, rows)
    result = inspection.inspect([rows], None, [])
    columns, first = (frame.value for frame in app.dataframe)
    assert list(columns["column"]) == [column["name"] for column in result["columns"]]
    assert list(columns["kind"]) == [column["kind"] for column in result["columns"]]
    assert list(first.columns) == list(columns["column"])
    (charges,) = columns["statistics"][columns["column"] == "charges"]
    assert charges.startswith("min ") and ", median " in charges
    assert [plain(note) for note in app.info] == result["notes"]
    assert f"{result['rows']} rows" in app.markdown[0].value


def test_a_source_that_cannot_be_read_is_a_sentence(page):
    app = look_at(page, "nowhere.csv")
    (error,) = app.error
    with pytest.raises(LaminaError) as refusal:
        inspection.inspect(["nowhere.csv"], None, [])
    assert plain(error) == str(refusal.value)


def test_an_uploaded_file_is_copied_and_replaces_nothing(folder):
    def file(name: str, body: bytes) -> Any:
        return type("Upload", (), {"name": name, "getvalue": lambda self: body})()

    assert bring.copy([file("a.csv", b"1")]) == "data/a.csv"
    assert bring.copy([file("a.csv", b"1")]) == "data/a.csv"
    assert bring.copy([file("a.csv", b"2")]) == bring.copy([file("a.csv", b"2")]) == "data/a-2.csv"
    assert bring.copy([file("../../b.csv", b"3")]) == "data/b.csv"
    assert bring.copy([file("x.csv", b"5"), file("y.csv", b"6")]) == "data/x/*.csv"
    assert bring.copy([file("x.csv", b"5"), file("z.csv", b"7")]) == "data/x-2/*.csv"
    with pytest.raises(LaminaError, match="two files have the same name"):
        bring.copy([file("x.csv", b"5"), file("x.csv", b"6")])
    images = [file("cats/tom.png", b"4"), file("dogs/rex.png", b"5")]
    assert bring.copy(images) == bring.copy(images)
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
        "data/a-2.csv", "data/a.csv", "data/b.csv", "data/tom/cats/tom.png", "data/tom/dogs/rex.png",
        "data/x-2/x.csv", "data/x-2/z.csv", "data/x/x.csv", "data/x/y.csv",
    ]  # fmt: skip


# a recipe


def test_the_target_leads_to_a_task_and_a_network_that_suit(page, rows):
    app = recipe_of(page, rows)
    assert widget(app.button, "Train").disabled
    assert "is required" in app.info[0].value
    widget(app.selectbox, "Target: the column to predict").set_value("left").run()
    assert load_yaml(text(app), "") == {"data": rows, "target": "left"}
    assert not widget(app.button, "Train").disabled
    tasks, networks = (widget(app.selectbox, name).options for name in ("Task", "Network"))
    assert {option.split(" ")[0] for option in tasks[1:]} == set(available("tasks"))
    assert "suits best" in tasks[1]
    assert networks[0] == "by the data: fnn"


def test_forms_show_what_suits_and_write_what_is_changed(page, rows):
    app = part(recipe_of(page, rows, "left"), "Training")
    suggested = analysis.analyse(recipe.build(load_yaml(text(app), ""))).training
    assert widget(app.number_input, "epochs").value == suggested["epochs"]
    widget(app.number_input, "epochs").set_value(3).run()
    widget(app.selectbox, "optimizer").set_value("sgd").run()
    widget(app.number_input, "momentum").set_value(0.5).run()
    widget(app.text_input, "budget").set_value("5s").run()
    train = {"epochs": 3, "optimizer": {"kind": "sgd", "momentum": 0.5}, "budget": "5s"}
    assert load_yaml(text(sound(app)), "")["train"] == train
    widget(app.number_input, "epochs").set_value(suggested["epochs"]).run()
    assert "epochs" not in load_yaml(text(sound(app)), "")["train"]


def test_a_field_that_is_emptied_switches_its_setting_off_or_brings_the_usual_value_back(page, rows):
    app = part(recipe_of(page, rows, "left"), "Training")
    usual = widget(app.number_input, "batch size").value
    widget(app.number_input, "patience").set_value(None).run()
    widget(app.number_input, "batch size").set_value(None).run()
    assert load_yaml(text(sound(app)), "")["train"] == {"patience": None}
    assert widget(app.number_input, "patience").value is None
    assert widget(app.number_input, "batch size").value == usual


def test_text_that_is_typed_is_shown_by_the_forms(page, rows):
    app = part(recipe_of(page, rows, "left"), "Network")
    widget(app.text_area, "Recipe as YAML").set_value(text(app) + "model: {kind: fnn, width: 32}\n" + REMARK).run()
    assert widget(sound(app).number_input, "width").value == 32
    assert widget(app.number_input, "width").max == 1 << 14


def test_a_network_that_cannot_take_these_data_is_refused_as_on_the_command_line(page, rows):
    app = recipe_of(page, rows, "left")
    widget(app.text_area, "Recipe as YAML").set_value(text(app) + "model: cnn\n").run()
    assert "cnn cannot take these inputs" in plain(sound(app).error[0])
    assert widget(app.button, "Train").disabled


def test_the_kind_of_a_column_is_chosen(page, rows):
    app = part(recipe_of(page, rows, "left"), "Columns")
    app.selectbox(key="column").set_value("plan").run()
    widget(app.selectbox, "Kind of plan").set_value("ignore").run()
    assert load_yaml(text(sound(app)), "")["columns"] == {"plan": "ignore"}


def test_faults_are_the_sentences_of_the_command_line(page, rows):
    app = recipe_of(page, rows, "left")
    wrong = f"data: {rows}\ntarget: left\nmodel: {{kind: fnn, widht: 3}}\ntrain: {{epochs: -1, lr: fast}}\nsede: 1\n"
    widget(app.text_area, "Recipe as YAML").set_value(wrong).run()
    with pytest.raises(RecipeError) as refusal:
        recipe.build(load_yaml(wrong, "recipe"))
    assert [plain(error) for error in sound(app).error] == list(refusal.value.faults)
    assert widget(app.button, "Train").disabled
    for name in ("Columns", "Network", "Training", "Data and split"):
        assert [plain(error) for error in part(app, name).error] == list(refusal.value.faults)
    widget(app.text_area, "Recipe as YAML").set_value("data: [").run()
    (error,) = sound(app).error
    assert plain(error) == "recipe:1:7: a bracket is opened and not closed. Put ] at its end.  \n  1 | data: ["


def test_every_task_can_be_chosen_and_has_its_form(page, rows):
    app = recipe_of(page, rows)
    for name in available("tasks"):
        widget(app.selectbox, "Task").set_value(name).run()
        assert load_yaml(text(sound(app)), "")["task"] == name
        assert f"Settings of {name}" in [plain(head) for head in app.subheader]


def test_a_reloaded_page_goes_on_with_the_recipe_in_its_address(page, rows):
    app = recipe_of(page, rows, "left")
    assert load_yaml(app.query_params["recipe"], "") == {"data": rows, "target": "left"}


# runs


@pytest.fixture
def runs(folder, churn_run) -> Path:
    """A folder with a finished run, and one that was stopped."""
    shutil.copytree(churn_run.result["run"], folder / "runs" / "churn-1")
    shutil.copytree(churn_run.result["run"], folder / "runs" / "churn-2", ignore=shutil.ignore_patterns("DONE", "b*"))
    return folder


def run_page(name: str) -> AppTest:
    """The page of a run, by its address."""
    script = "from lamina.apps.studio import run_page\nrun_page.show()"
    app = AppTest.from_string(script, default_timeout=60)
    app.query_params["name"] = name
    return sound(app.run())


def view(app: AppTest, name: str) -> AppTest:
    return sound(app.button_group[0].set_value(name).run())


def test_runs_stand_beside_one_another_with_their_baselines(runs, churn_run):
    rows = {row["run"]: row for row in ledger.comparison(ledger.entries())}
    assert {name: row["state"] for name, row in rows.items()} == {"churn-1": "finished", "churn-2": "stopped"}
    primary = rows["churn-1"]["score"]
    assert rows["churn-1"]["value"] == churn_run.result["scores"][primary]
    assert rows["churn-1"]["baseline"] == max(scores[primary] for scores in churn_run.result["baselines"].values())
    assert rows["churn-1"]["low"] <= rows["churn-1"]["value"] <= rows["churn-1"]["high"]
    listed = sound(AppTest.from_string(RUNS_PAGE).run())
    assert set(listed.dataframe[0].value["run"]) == {"churn-1", "churn-2"}


def test_a_finished_run_shows_its_report_and_answers(runs, churn_run):
    app = run_page("churn-1")
    assert [button.label for button in app.get("download_button")] == ["Download the report", "Download the bundle"]
    (frame,) = app.get("iframe")
    report = base64.b64decode(frame.proto.src.partition("base64,")[2])
    assert report == (runs / "runs" / "churn-1" / "report.html").read_bytes()
    trial = view(app, "Try it")
    assert trial.number_input(key="cell months").value is not None
    assert "Change it and train again" in [button.label for button in view(app, "Recipe").button]
    assert "Start the service" in [button.label for button in view(app, "Serve it").button]


def test_a_stopped_run_can_go_on(runs):
    app = run_page("churn-2")
    assert [button.label for button in app.button] == ["Go on"]
    assert app.button_group[0].options == ["Training", "Recipe"]


@pytest.mark.parametrize("name", ["nothing", "../runs/churn-1", "..", ""])
def test_a_run_that_is_not_there_is_a_sentence(runs, name):
    (runs / "recipe.yaml").write_text("data: rows.csv\n")
    assert "There is no run" in plain(run_page(name).markdown[0])


def test_a_command_goes_on_by_itself_and_is_known_by_the_file_it_holds(folder):
    lock, output = folder / ".process", folder / "output.log"
    assert processes.holder(lock) is None
    processes.start(["--version"], lock, output)
    assert processes.holder(lock) is not None
    with pytest.raises(LaminaError, match="is in use by another process"):
        processes.start(["doctor"], lock, output)
    end = time.monotonic() + 60
    while processes.holder(lock) is not None:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert processes.lines(output) == [f"lamina {__version__}"]
    lock.write_text(f"process {os.getpid()}")  # a number that another process has by now
    assert processes.holder(lock) is None


def test_a_file_is_no_folder_to_work_in(folder):
    (folder / "rows.csv").write_text("a,b\n")
    with pytest.raises(LaminaError, match=r"^rows\.csv: is no folder\. "):
        command.start(Path("rows.csv"), None)


def test_the_line_of_curl_sends_the_token_that_a_service_asks_for(folder, churn_run, monkeypatch):
    shutil.copytree(churn_run.result["run"], folder / "runs" / "churn-1")
    (one,) = ledger.entries()
    monkeypatch.delenv("LAMINA_TOKEN", raising=False)
    assert "Authorization" not in service.requests(churn_run.predictor, one, "http://127.0.0.1:1")["predict"]
    monkeypatch.setenv("LAMINA_TOKEN", "opensesame")
    line = service.requests(churn_run.predictor, one, "http://127.0.0.1:1")["predict"]
    assert line.startswith('curl -H "Authorization: Bearer $LAMINA_TOKEN" ') and "opensesame" not in line
