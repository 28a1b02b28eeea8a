"""Anomaly detection by every door: rows, images and recordings are scored, flagged and explained."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina.config import LaminaError
from service_tools import as_csv, ask, command, path

QUICK: dict[str, Any] = {"train": {"epochs": 3, "threads": 1}, "model": {"kind": "autoencoder", "hidden": [16]}}


def rows(count: int, seed: int = 0, share: float = 0.0) -> dict[str, list[Any]]:
    """Two numbers that go together, a third, a choice; of a `share` of rows the two do not go together."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=count)
    odd = rng.random(count) < share
    second = np.where(odd, -first + 4 * np.sign(rng.normal(size=count)), first + 0.1 * rng.normal(size=count))
    return {
        "first": first.round(4).tolist(),
        "second": second.round(4).tolist(),
        "third": rng.normal(size=count).round(4).tolist(),
        "sort": rng.choice(["a", "b", "c"], count).tolist(),
        "same": ["x"] * count,
        "fault": ["yes" if one else "no" for one in odd],
    }


def learned(table: Any, folder: Path, target: str | None = None, **task: Any) -> lamina.Estimator:
    recipe = {**QUICK, "task": {"kind": "anomaly_detection", **task}}
    return lamina.fit(table, target, recipe=recipe, out=folder)


@pytest.fixture(scope="module")
def labelled_detector(tmp_path_factory) -> lamina.Estimator:
    """Rows of which one in twenty is an anomaly, with labels."""
    return learned(rows(900, share=0.05), tmp_path_factory.mktemp("labelled") / "run", "fault")


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> lamina.Estimator:
    """Normal rows without labels."""
    table = {name: cells for name, cells in rows(900).items() if name != "fault"}
    return learned(table, tmp_path_factory.mktemp("clean") / "run", training="clean", false_alarm_rate=0.05)


def wave(count: int, seed: int = 0) -> dict[str, list[Any]]:
    """Two measurements an hour for some days, with a daily cycle."""
    rng, steps = np.random.default_rng(seed), np.arange(count)
    times = np.datetime64("2024-01-01T00:00:00") + steps * np.timedelta64(30, "m")
    load = np.sin(2 * np.pi * steps / 24) + 0.05 * rng.normal(size=count)
    return {"time": [str(time) for time in times], "load": load.round(4).tolist()}


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> lamina.Estimator:
    return learned(wave(800), tmp_path_factory.mktemp("recording") / "run", training="clean")


# what is learned


def test_labels_evaluate_and_are_not_learned_from(labelled_detector):
    scores, baselines = labelled_detector.result["scores"], labelled_detector.result["baselines"]
    assert scores["ranking_auc"] > 0.95 and scores["flag_recall"] > 0.5
    assert list(baselines) == ["nearest_neighbours", "principal_components", "isolation_forest"]
    assert all(set(one) == set(scores) for one in baselines.values())
    row = {"first": 0.1, "second": 0.1, "third": 0.0, "sort": "a"}
    answers = labelled_detector.predict([{**row, "fault": "yes"}, {**row, "fault": "no"}, row])
    assert answers[0] == answers[1] == answers[2]


def test_what_was_assumed_is_said_with_the_setting_that_changes_it(labelled_detector, clean):
    notes = " ".join(labelled_detector.result["notes"])
    assert "--set task.training=clean" in notes and "--set task.normal=LABEL" in notes and "same" in notes
    assert "task.training" not in " ".join(clean.result["notes"])


def test_without_labels_the_flagged_share_is_beside_the_promised_one(clean):
    scores = clean.result["scores"]
    assert scores["flag_rate"] == pytest.approx(0.05, abs=0.05)
    assert scores["rate_error"] == pytest.approx(abs(scores["flag_rate"] - 0.05))
    assert "about 5 % of normal ones was promised" in clean.result["verdict"]


def test_normal_training_rows_labelled_as_anomalies_are_told_of(tmp_path):
    model = learned(rows(300, share=0.1), tmp_path / "run", "fault", training="clean")
    assert any("labelled as anomalies, although training is clean" in note for note in model.result["notes"])


def test_no_training_row_is_in_a_bundle(clean):
    from lamina.tasks.anomaly_detection import detector

    means = detector.restore(clean.predictor.assets[detector.ASSET]).groups.means
    assert len(means) <= 900 // 5


# answers


def test_the_columns_that_do_not_go_together_explain_the_score(clean):
    usual, odd, absurd = clean.predict(
        [
            {"first": 1.0, "second": 1.0, "third": 0.2, "sort": "a"},
            {"first": 2.0, "second": -2.0, "third": 0.2, "sort": "a"},
            {"first": 0.0, "second": 0.0, "third": 1e300, "sort": "a"},
        ]
    )
    assert not usual["anomaly"] and odd["anomaly"] and absurd["anomaly"]
    assert {odd["feature_1"], odd["feature_2"]} == {"first", "second"}
    assert absurd["feature_1"] == "third" and absurd["attribution_1"] > 0.8
    assert usual["score"] < odd["score"] and odd["probability"] == pytest.approx(10 ** -odd["score"])


def test_missing_and_unseen_cells_have_a_documented_meaning(clean):
    row = {"first": 0.3, "second": 0.3, "third": 0.0, "sort": "b"}
    whole, gap, unseen, empty = clean.predict([row, {**row, "first": None}, {**row, "sort": "zzz"}, {}])
    assert gap["score"] != whole["score"]  # the median stands for a missing number
    assert unseen["feature_1"] == "sort" and unseen["anomaly"]
    assert all(np.isfinite(one["score"]) for one in (whole, gap, unseen, empty))


def test_rows_are_scored_alike_by_every_door(clean, tmp_path):
    table = {name: cells for name, cells in rows(50, 5, share=0.2).items() if name not in ("fault", "same")}
    one_by_one = [dict(zip(table, cells, strict=True)) for cells in zip(*table.values(), strict=True)]
    mine = clean.predict(one_by_one)
    theirs = ask(clean, "POST", "/predict", json={"rows": one_by_one}).json()["predictions"]
    body = ask(clean, "POST", "/predict", content=as_csv(one_by_one), headers={"content-type": "text/csv"}).json()
    (tmp_path / "rows.csv").write_text(as_csv(one_by_one))
    assert command("predict", path(clean), tmp_path / "rows.csv", "-o", tmp_path / "out.csv")[0] == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    single = [clean.predict([row])[0] for row in one_by_one[:5]]
    for others in (theirs, body["predictions"], lines, single):
        for one, other in zip(mine, others, strict=len(others) == len(mine)):
            assert float(other["score"]) == pytest.approx(one["score"], rel=1e-5, abs=1e-5)
            assert (
                str(other["anomaly"]).lower() == str(one["anomaly"]).lower() and other["feature_1"] == one["feature_1"]
            )


def test_the_predictor_reads_rows_of_a_source_and_evaluates_them(labelled_detector, tmp_path):
    (tmp_path / "more.csv").write_text(
        as_csv([dict(zip(t, c, strict=True)) for t in [rows(200, 9, 0.1)] for c in zip(*t.values(), strict=True)])
    )
    code, out, _ = command("evaluate", path(labelled_detector), tmp_path / "more.csv", "--json")
    assert code == 0 and json.loads(out.splitlines()[-1])["scores"]["ranking_auc"] > 0.9


# recordings


def test_a_table_in_order_of_time_is_a_recording_and_that_is_said(recording):
    notes = " ".join(recording.result["notes"])
    assert "one recording in order of 'time'" in notes and "--set task.time=none" in notes
    assert "Windows are of 24 steps" in notes


def test_steps_that_break_the_cycle_are_flagged(recording):
    series = wave(400, 3)
    series["load"][200:212] = [0.0] * 12
    answers = recording.predict(series)
    flags = np.array([bool(v) for v in answers["anomaly"]])
    assert flags[200:224].any() and flags[30:190].mean() < 0.1
    assert answers["time"] == series["time"] and answers["score"][0] is None and answers["score"][23] is not None
    assert set(answers["feature_1"][23:]) == {"load"}


def test_steps_are_scored_alike_by_every_door_and_in_any_order(recording, tmp_path):
    series = wave(90, 4)
    steps = [dict(zip(series, cells, strict=True)) for cells in zip(*series.values(), strict=True)]
    mine = recording.predict(steps)
    theirs = ask(recording, "POST", "/predict", json={"rows": steps}).json()["predictions"]
    backwards = recording.predict(steps[::-1])[::-1]
    (tmp_path / "rows.csv").write_text(as_csv(steps))
    assert command("predict", path(recording), tmp_path / "rows.csv", "-o", tmp_path / "out.csv")[0] == 0
    lines = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    for others in (theirs, backwards, lines):
        assert [other["score"] in (None, "") for other in others] == [True] * 23 + [False] * 67
        for one, other in zip(mine[23:], others[23:], strict=True):
            assert float(other["score"]) == pytest.approx(one["score"], rel=1e-5, abs=1e-5)


def test_a_recording_shorter_than_a_window_is_refused_with_a_sentence(recording):
    with pytest.raises(LaminaError, match="fewer than the 24 of a window"):
        recording.predict(wave(10))
    assert ask(recording, "POST", "/predict", json={"rows": [{"load": 1.0}]}).status_code in (400, 422)


# what cannot be


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        ({"training": "clean", "contamination": 0.1}, "clean training rows have no anomalies"),
        ({"time": "none", "window": 8}, "each scored by itself"),
        ({"time": "sort"}, "holds no times"),
        ({"time": "tiem"}, "there is no column 'tiem'|no column"),
    ],
)
def test_settings_that_contradict_one_another_are_refused_with_a_sentence(tmp_path, task, sentence):
    with pytest.raises(LaminaError, match=sentence):
        learned(rows(100), tmp_path / "run", **task)


def test_series_of_two_directions_alone_are_learned_and_a_spike_explains_the_score(tmp_path):
    phases = np.random.default_rng(0).uniform(0, 6, 60)
    series = [np.sin(np.arange(30) / 4 + phase) for phase in phases]
    model = learned({"signal": series}, tmp_path)
    odd = series[0] + 5 * (np.arange(30) == 20)
    answers = model.predict({"signal": [series[0].tolist(), odd.tolist()]})
    first, last = map(int, answers["feature_1"][1].removeprefix("steps ").split(" to "))
    assert answers["anomaly"] == [False, True] and first <= 21 <= last


def test_one_training_row_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(LaminaError, match=r"row"):
        learned({"first": [1.0], "second": [2.0]}, tmp_path / "run")


def test_few_rows_are_enough(tmp_path):
    model = learned({"first": [float(i % 7) for i in range(24)]}, tmp_path / "run")
    usual, odd = model.predict([{"first": 3.0}, {"first": 1e6}])
    assert odd["score"] > usual["score"] and odd["anomaly"]


# images


def test_a_patch_on_an_image_is_flagged_and_is_where_the_map_is_warm(tmp_path):
    rng = np.random.default_rng(0)
    base = np.clip(128 + 60 * np.sin(np.arange(16) / 3), 0, 255)
    images = np.clip(base + rng.normal(0, 6, (300, 16, 16)) + rng.normal(0, 15, (300, 1, 1)), 0, 255).astype(np.uint8)
    recipe = {
        "task": {"kind": "anomaly_detection", "training": "clean", "dimensions": 4},
        "model": {"kind": "autoencoder", "width": 4},
        "train": {"epochs": 2, "threads": 1},
    }
    model = lamina.fit(images, recipe=recipe, out=tmp_path / "run")
    unusual = images[:1].copy()
    unusual[0, 4:8, 10:14] = 255
    usual, odd = model.predict(images[:1]), model.predict(unusual)
    assert odd["anomaly"][0] and odd["score"][0] > usual["score"][0]
    (image,) = model.heatmap(unusual)
    assert image
