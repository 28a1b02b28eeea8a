"""Why an answer to a row: Shapley values over HTTP, in Python and on the command line, and permutation importance."""

import json
from copy import copy
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import lamina
from conftest import houses, write_csv
from lamina.deploy import attributions
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import app
from lamina.evaluate import permutation_importance, series_occlusion
from service_tools import command, send

SETTINGS = {"train": {"epochs": 12, "batch_size": 16, "lr": 0.01}, "model": {"kind": "fnn", "width": 32}}


@pytest.fixture(scope="module")
def report(churn_run):
    return json.loads((Path(churn_run.result["run"]) / "report.json").read_text("utf-8"))


def test_what_columns_add_is_the_answer_less_the_mean_answer(predictor, rows):
    answers, explanations = predictor.predict(rows), predictor.ask("explain", rows)
    for answer, one in zip(answers, explanations, strict=True):
        assert one["label"] == answer["prediction"]
        assert one["value"] == pytest.approx(answer["probabilities"][one["label"]], abs=1e-6)
        assert one["base_value"] + sum(one["contributions"].values()) == pytest.approx(one["value"], abs=1e-9)


def test_a_row_is_explained_alike_alone_and_among_others(predictor, rows):
    among, single = predictor.ask("explain", rows)[7], predictor.ask("explain", [rows[7]])[0]
    assert among["contributions"] == pytest.approx(single["contributions"], abs=1e-6)


def test_labels_of_two_speak_against_one_another(predictor, rows):
    yes, no = (predictor.ask("explain", rows[:3], label=label) for label in ("yes", "no"))
    for one, other in zip(yes, no, strict=True):
        assert {n: -v for n, v in other["contributions"].items()} == pytest.approx(one["contributions"], abs=1e-6)


def test_labels_are_offered_where_there_are_some(predictor, numbers_bundle):
    def offered(opened):
        document = send(app(opened), (("GET", "/openapi.json"), {}))[0].json()
        content = document["paths"]["/explain"]["post"]["requestBody"]["content"]["application/json"]
        return content["schema"]["oneOf"][0]["properties"].get("label")

    assert offered(predictor)["examples"] == ["no", "yes"]
    assert offered(Predictor(numbers_bundle)) is None


def test_a_linear_network_is_explained_by_its_weights(tmp_path):
    """Where columns add to a number each by itself, a column adds the same whatever stands in the others."""
    recipe = {"model": "linear", "train": {"epochs": 6, "batch_size": 32, "lr": 0.05}}
    model = lamina.fit(houses(200), "price", recipe=recipe, out=tmp_path / "run")
    rows = [{"area": area, "rooms": rooms, "town": "west"} for area, rooms in ((90, 2), (110, 2), (110, 5))]
    first, second, third = (one["contributions"] for one in model.explain(rows))
    prices = [one["prediction"] for one in model.predict(rows)]
    assert second["area"] - first["area"] == pytest.approx(prices[1] - prices[0], rel=1e-3)
    assert third["rooms"] - second["rooms"] == pytest.approx(prices[2] - prices[1], rel=1e-3)
    assert first["town"] == pytest.approx(third["town"], rel=1e-3) and first["town"] > 0


def test_generated_rows_are_as_training_was(predictor, churn_rows):
    own = attributions.background_of(predictor)
    plan = own.inputs["category"][:, predictor.prep.places["plan"][1]][:, 0]
    names = ["missing", "rare", *predictor.prep.states[2].model_dump()["values"]]
    truth = [sum(row["plan"] == name for row in churn_rows) / len(churn_rows) for name in names[2:]]
    samples = [float((plan == names.index(name)).mean()) for name in names[2:]]
    assert samples == pytest.approx(truth, abs=0.06)
    numbers = own.inputs["number"][:, predictor.prep.places["months"][1]]
    assert abs(np.median(numbers[:, 0])) < 0.2 and 0 <= numbers[:, 1].mean() < 0.15


def test_it_is_served(api, predictor, rows):
    def post(label):
        return send(api, (("POST", "/explain"), {"json": {"rows": rows[:2], "label": label}}))[0]

    first, own = post("yes").json()["explanations"][0], predictor.ask("explain", rows[:2], label="yes")[0]
    assert first["label"] == "yes" and first["contributions"] == pytest.approx(own["contributions"], abs=1e-6)
    refusal = post("Yes")
    assert refusal.status_code == 400 and "label: there is no label 'Yes'. Did you mean 'yes'?" in refusal.text


def test_generated_rows_are_not_counted_among_those_that_came(predictor, rows):
    watched, sizes = copy(predictor), list[int]()
    watched.watch = lambda inputs: sizes.append(len(inputs["number"]))
    watched.ask("explain", rows[:3])
    assert sizes == [3]


def test_the_command_shows_the_first_rows_in_80_columns(churn_bundle, rows, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    source = write_csv(tmp_path / "rows.csv", rows)
    code, text, _ = command("explain", churn_bundle, source)
    assert code == 0
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "row 1: " in text and "months = missing" in text and "45 more rows" in text


def test_the_command_writes_what_the_service_says(churn_bundle, predictor, rows, tmp_path):
    source = write_csv(tmp_path / "rows.csv", rows)
    assert command("explain", churn_bundle, source, "-o", tmp_path / "why.jsonl", "--keep", "plan")[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "why.jsonl").read_text("utf-8").splitlines()]
    assert [line.pop("plan") for line in lines] == [row["plan"] or "" for row in rows]
    assert lines[3]["contributions"] == pytest.approx(predictor.ask("explain", rows)[3]["contributions"], abs=1e-6)


def test_what_cannot_be_explained_is_a_sentence(churn_bundle, numbers_bundle, rows, tmp_path):
    source, table = write_csv(tmp_path / "rows.csv", rows), write_csv(tmp_path / "houses.csv", houses(30))
    for bundle, words, sentence in (
        (churn_bundle, (source, "--label", "Yes", "-o", tmp_path / "why.csv"), "there is no label 'Yes'. Did you mean"),
        (numbers_bundle, (table, "--label", "Yes"), "--label: this bundle predicts a number"),
        (numbers_bundle, (table, "-o", tmp_path / "why.txt"), "-o: must end in .png, or in .csv"),
        (numbers_bundle, (table, "-o", tmp_path / "why.png"), "30 rows are too many to draw. Give at most 20"),
    ):
        code, _, error = command("explain", bundle, *words)
        assert code == 1 and sentence in error


def test_the_report_tells_useful_columns_from_useless_ones(report, churn_run):
    own = report["permutation_importance"]
    means = {one["column"]: one["mean"] for one in own["columns"]}
    assert own["metric"] == report["primary"] and own["repeats"] == 5 and own["rows"] == report["data"]["rows"]["test"]
    assert next(iter(means)) == "months" and means["months"] > 0.1 > abs(means["paperless"])
    page = Path(churn_run.result["report"]).read_text("utf-8")
    assert "Permutation importance" in page and "correlated" in page


def test_the_report_explains_rows_without_their_cells(report):
    for one in report["attributions"]:
        assert one["base"] + sum(one["bars"].values()) == pytest.approx(one["value"], abs=1e-9)
        assert set(one["bars"]) == {"months", "charges", "plan", "paperless", "since", "remark"}


def test_many_columns_are_evaluated_by_fewer_rows(predictor, churn_rows, monkeypatch):
    monkeypatch.setattr(permutation_importance, "ANSWERS", 5 * 6 * 120)
    table = pa.Table.from_pylist(churn_rows)
    truth = np.array([row["left"] == "yes" for row in churn_rows]).astype(int)
    own = permutation_importance.importances(predictor, predictor.encode(table), truth, "accuracy")
    assert own is not None and (own.rows, own.of) == (120, 300)
    assert "120 of 300 test rows, drawn at random" in permutation_importance.html(own)


@pytest.fixture(scope="module")
def bumps(tmp_path_factory):
    """Series of two channels, of which the second says by steps 25 to 30 which label there is."""
    rng, rows = np.random.default_rng(0), []
    for i in range(160):
        series = rng.normal(size=(40, 2))
        series[24:30, 1] += 4 * (i % 2) - 2
        rows.append({"recording": series.round(3).tolist(), "kind": ["down", "up"][i % 2]})
    return rows, lamina.fit(rows, "kind", recipe=SETTINGS, out=tmp_path_factory.mktemp("runs") / "bumps")


def test_the_stretch_that_says_the_label_speaks_for_it(bumps):
    rows, model = bumps
    for one in series_occlusion.explain(model.predictor, pa.Table.from_pylist(rows[:4])):
        (name, fall), *_ = sorted(series_occlusion.stretches(one), key=lambda part: -part[1])
        assert name in {f"steps {n} to {n + 1}, channel 2" for n in (25, 27, 29)} and fall > 0.5


def test_series_are_drawn_and_listed(bumps, tmp_path):
    rows, model = bumps
    source, bundle = tmp_path / "rows.jsonl", model.result["bundle"]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows[:3]), "utf-8")
    assert command("explain", bundle, source, "-o", tmp_path / "why.png")[0] == 0
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    assert "channel 2" in command("explain", bundle, source)[1]


def test_stretches_of_a_series_add_up_in_python_over_http_and_in_a_file(bumps, tmp_path):
    rows, model = bumps
    own = model.explain(rows[:3], label="up")
    for row, one in zip(rows[:3], own, strict=True):
        parts = one["contributions"]
        assert one["label"] == "up" and one["base_value"] + sum(parts.values()) == pytest.approx(one["value"], abs=1e-6)
        of_label = {"60 to 65 %", "65 to 70 %", "70 to 75 %"}  # steps 25 to 30 of 40
        strongest = sorted(parts, key=lambda name: -abs(parts[name]))[:3]
        assert set(strongest) == of_label and np.sign(parts["65 to 70 %"]) == (1 if row["kind"] == "up" else -1)
    (reply,) = send(app(model.predictor), (("POST", "/explain"), {"json": {"rows": rows[:3], "label": "up"}}))
    assert reply.json()["explanations"][1]["contributions"] == pytest.approx(own[1]["contributions"], abs=1e-5)
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows[:3]), "utf-8")
    assert command("explain", model.result["bundle"], source, "-o", tmp_path / "why.csv", "--label", "up")[0] == 0
    assert "contributions.65 to 70 %" in (tmp_path / "why.csv").read_text("utf-8")
