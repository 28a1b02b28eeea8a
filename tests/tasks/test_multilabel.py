"""Several labels per row: read from lists and from texts, learned, answered with thresholds of their own, evaluated."""

import asyncio
import csv
import json
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pyarrow as pa
import pytest
import torch

import lamina
from conftest import experiment_of, write_csv
from lamina import losses, preprocess
from lamina.config import DataError
from lamina.data import arrays
from lamina.deploy import batch, server
from lamina.evaluate import metrics
from lamina.evaluate.calibration import best_threshold, thresholds
from lamina.experiment import Experiment
from lamina.layers.basic import mean_of_members
from lamina.preprocess import labels
from lamina.recipe import build
from lamina.schema import MISSING, Collected, Mixed, Output, clean
from lamina.tasks import multilabel

NAMES = ("bird", "cat", "dog")


def animals(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with a number for each animal that says whether it is there, and one that says nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        heard = rng.normal(size=3)
        there = [name for name, loud in zip(NAMES, heard + 0.2 * rng.normal(size=3), strict=True) if loud > 0.3]
        sounds = {f"sound {i}": round(float(loud), 3) for i, loud in enumerate(heard)}
        rows.append({**sounds, "noise": float(rng.normal()), "tags": there})
    return rows


SMALL = {"model": {"kind": "fnn", "width": 32, "depth": 1, "members": 2}, "train": {"epochs": 12, "batch_size": 32}}


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> lamina.Estimator:
    return lamina.fit(animals(300), "tags", recipe=SMALL, out=tmp_path_factory.mktemp("animals") / "run")


# reading


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("cat|dog", ["cat", "dog"]),
        ("dog ; cat", ["cat", "dog"]),
        ("dog,cat,", ["cat", "dog"]),
        ("New York, NY|Boston, MA", ["Boston, MA", "New York, NY"]),
        ("cat|cat", ["cat"]),
        ('["b", "a", 3, null]', ["3", "a", "b"]),
        ("[draft]", ["[draft]"]),
        ("cat", ["cat"]),
    ],
)
def test_a_text_with_separators_is_a_list_of_labels(cell, expected):
    assert labels.parse(pa.array([cell]), labels.Config()).to_pylist() == [expected]


def test_a_separator_said_is_the_only_one():
    assert labels.parse(pa.array(["a/b|c"]), labels.Config(separator="/")).to_pylist() == [["a", "b|c"]]


def test_lists_and_numbers_are_read_as_texts():
    assert labels.parse(pa.array([[2, 1], [], None]), labels.Config()).to_pylist() == [["1", "2"], [], None]
    assert labels.parse(pa.array([[2.0, None]]), labels.Config()).to_pylist() == [["2"]]
    assert labels.parse(pa.array([7]), labels.Config()).to_pylist() == [["7"]]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([["a", "b"], ["a"]] * 20, "labels"),
        (["a|b", "b|c", "a|c", "c", "a"] * 8, "labels"),
        (["red", "green"] * 20, "category"),
        (["Smith, John", "Miller, Ann", "Jones, Eve"] * 10, "category"),
    ],
)
def test_the_kind_is_seen_from_the_cells(cells, kind):
    table = clean(arrays.table({"x": cells}), MISSING)
    assert preprocess.infer(table, None, {}, MISSING).columns[0].kind == kind


def test_labels_of_an_input_are_zeros_and_ones_and_rare_ones_are_told_apart():
    state = labels.fit(pa.array([["a", "b"], ["a"], ["b"], ["a", "b"], ["rare"]]), labels.Config(min_count=3))
    assert state.values == ("a", "b")
    cells = pa.array([["b"], ["a", "never seen"], [], None], labels.LISTED)
    assert labels.encode(cells, state).tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 0], [0, 0, 0]]


def labelled(rows: dict[str, list[Any]], settings: dict[str, Any] | None = None) -> Experiment:
    recipe = build({"data": {"kind": "arrays"}, "target": "tags", **(settings or {})})
    return experiment_of(recipe, Collected(arrays.table(rows)))


def test_an_empty_text_is_a_row_without_labels_and_a_null_in_a_list_column_is_skipped():
    texts = ["cat; dog", "", "dog; bird", "cat", "bird; cat; dog"] * 10
    experiment = labelled({"x": list(range(50)), "tags": texts})
    assert experiment.task.kind == "multilabel"
    assert experiment.counts()["skipped"] == 0
    assert not experiment.encoded(experiment.splits.train).all(axis=1).all()
    assert (experiment.encoded(experiment.splits.train).sum(axis=1) == 0).any()
    lists = labelled({"x": list(range(50)), "tags": [["cat"], None, ["dog", "cat"], [], ["cat"]] * 10})
    assert lists.counts()["skipped"] == 10
    assert {q.reason for q in lists.skipped_rows} == {"the target is missing"}


def test_the_separator_of_the_column_is_found_and_can_be_said():
    rows = {"x": list(range(40)), "tags": ["a,1;b,2", "b,2;c,3", "c,3", "a,1;c,3"] * 10}
    assert labelled(rows).task.state.classes == ("a,1", "b,2", "c,3")
    settings = {"task": "multilabel", "columns": {"tags": {"kind": "labels", "separator": ","}}}
    assert labelled(rows, settings).task.state.classes == ("1;b", "1;c", "2", "2;c", "3", "a", "b", "c")


def test_test_rows_with_a_label_never_seen_are_skipped_with_the_reason():
    train = Collected(arrays.table({"x": list(range(40)), "tags": [["a"], ["a", "b"], [], ["b"]] * 10}))
    test = Collected(arrays.table({"x": [1, 2], "tags": [["a"], ["b", "new"]]}))
    experiment = experiment_of(build({"data": {"kind": "arrays"}, "target": "tags"}), train, test)
    assert [q.reason for q in experiment.skipped_rows] == ["the label '['b', 'new']' was never seen in training"]


def test_no_label_at_all_is_a_sentence():
    with pytest.raises(DataError, match="multilabel needs at least one label"):
        labelled({"x": list(range(40)), "tags": [""] * 40}, {"task": "multilabel"})


# the network's side


def test_the_loss_is_the_mean_over_rows_and_labels_and_rare_labels_weigh_more_when_asked():
    raw, target = torch.tensor([[0.5, -1.0], [2.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    chance = torch.sigmoid(raw)
    ones, zeros = -target * chance.log(), -(1 - target) * (1 - chance).log()
    plain = losses.loss(Output(size=2, loss="multilabel"))
    torch.testing.assert_close(plain(raw, target), (ones + zeros).mean())
    torch.testing.assert_close(plain(raw.expand(3, 2, 2), target), (ones + zeros).mean())
    weighed = losses.loss(Output(size=2, loss="multilabel", settings={"class_weight": [3.0, 1.0]}))
    torch.testing.assert_close(weighed(raw, target), (ones * torch.tensor([3.0, 1.0]) + zeros).mean())
    mixed = plain(raw, Mixed(target, 1 - target, 0.25))
    torch.testing.assert_close(mixed, 0.25 * plain(raw, target) + 0.75 * plain(raw, 1 - target))


def test_members_answer_with_the_mean_of_their_probabilities_label_by_label():
    members = torch.randn(4, 5, 3)
    together = torch.sigmoid(mean_of_members(members, "sigmoid"))
    torch.testing.assert_close(together, torch.sigmoid(members).mean(0))


def test_balanced_weights_are_the_rows_without_a_label_over_those_with_it():
    cfg = multilabel.Config(class_weight="balanced")
    state = multilabel.Task.fit(pa.array([["a"], ["a", "b"], ["a"], []]), cfg)
    assert multilabel.Task(cfg, state).output().settings["class_weight"] == [1 / 3, 3.0]


# thresholds


def test_the_threshold_of_a_label_has_the_best_f1_there_is():
    rng = np.random.default_rng(0)
    for _ in range(20):
        chances = rng.random(30).round(1)  # many are equal
        hits = rng.random(30) < chances
        hits[0] = True

        def f1(limit: float, chances=chances, hits=hits) -> float:
            choice = chances >= limit
            return 2 * (hits & choice).sum() / (hits.sum() + choice.sum())

        assert f1(best_threshold(chances, hits)) == max(f1(limit) for limit in np.linspace(0, 1, 201))


def test_a_label_with_few_rows_gets_the_threshold_of_all_labels_together():
    rng = np.random.default_rng(1)
    chances = rng.random((200, 2))
    target = np.stack([chances[:, 0] > 0.7, np.arange(200) < 4], axis=1)
    own, shared = thresholds(chances, target)
    assert own == pytest.approx(0.7, abs=0.03)
    assert shared == best_threshold(chances.ravel(), target.ravel())
    assert best_threshold(np.array([0.1, 0.9]), np.array([False, False])) == 0.5


# scores


def test_scores_are_those_of_scikit_learn():
    from sklearn import metrics as theirs

    rng = np.random.default_rng(0)
    target, chances = rng.random((60, 4)) < 0.4, rng.random((60, 4))
    target[0] = False
    choice = chances > 0.5
    answers = {"probabilities": chances, "chosen": choice}
    expected = {
        "f1_micro": theirs.f1_score(target, choice, average="micro"),
        "f1_macro": theirs.f1_score(target, choice, average="macro"),
        "f1_samples": theirs.f1_score(target, choice, average="samples", zero_division=1.0),
        "precision_micro": theirs.precision_score(target, choice, average="micro"),
        "recall_micro": theirs.recall_score(target, choice, average="micro"),
        "mean_average_precision": theirs.average_precision_score(target, chances),
        "hamming_loss": theirs.hamming_loss(target, choice),
        "subset_accuracy": theirs.accuracy_score(target, choice),
    }
    assert metrics.scores(multilabel.Task.metrics, target, answers) == pytest.approx(expected)


# the whole story


def test_labels_are_learned_better_than_the_most_frequent_ones(found):
    scores, rivals = found.result["scores"], found.result["baselines"]
    assert next(iter(scores)) == "f1_micro"
    assert scores["f1_micro"] > rivals["frequent_labels"]["f1_micro"] + 0.15
    assert scores["mean_average_precision"] > 0.8
    assert rivals["logistic_labels"]["f1_micro"] > 0.8


def test_answers_are_lists_by_the_thresholds_of_the_bundle(found):
    predictor = lamina.load(found.result["bundle"]).predictor
    limits = predictor.task.state.thresholds
    assert len(limits) == 3
    rows = animals(50, seed=1)
    for answer in predictor.predict(rows):
        chances = answer["probabilities"]
        assert answer["prediction"] == [n for n, limit in zip(NAMES, limits, strict=True) if chances[n] >= limit]


def test_the_report_tells_of_each_label(found):
    report = json.loads((Path(found.result["run"]) / "report.json").read_text())
    assert [c["class"] for c in report["per_class"]] == list(NAMES)
    assert report["primary"] == "f1_micro"


def test_a_file_of_answers_reads_back_as_labels(found, tmp_path):
    rows = [{k: v for k, v in row.items() if k != "tags"} for row in animals(20, seed=2)]
    source = build({"data": str(write_csv(tmp_path / "rows.csv", rows))}, trains=False).data
    predictor = found.predictor
    batch.run(predictor, "predict", source, None, tmp_path / "answers.csv", [])
    with open(tmp_path / "answers.csv", encoding="utf-8", newline="") as file:
        written = [row["prediction"] for row in csv.DictReader(file)]
    assert [sorted(filter(None, cell.split("|"))) for cell in written] == [
        answer["prediction"] for answer in predictor.predict(rows)
    ]


def reply_of(model: lamina.Estimator, method: str, path: str, body: Any = None) -> Any:
    """What a server of the model answers to one request."""

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(app=server.app(model.predictor))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            return await client.request(method, path, json=body)

    return asyncio.run(answer()).json()


def test_a_server_answers_with_lists(found):
    (row,) = animals(1, seed=3)
    reply = reply_of(found, "POST", "/predict", {"rows": [{k: v for k, v in row.items() if k != "tags"}]})
    assert reply["predictions"][0]["prediction"] == found.predict([row])[0]["prediction"]
    assert reply_of(found, "GET", "/schema")["classes"] == list(NAMES)


def test_images_have_several_labels_too(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(200):
        left, right = rng.random(2) < 0.4
        pixels = rng.integers(0, 60, (12, 12), dtype=np.uint8)
        pixels[:, :6] += np.uint8(150 * left)
        pixels[6:] += np.uint8(40 * right)
        tags = [name for name, there in (("left", left), ("below", right)) if there]
        rows.append({"picture": cv2.imencode(".png", pixels)[1].tobytes(), "tags": "; ".join(tags)})
    recipe = {"model": {"kind": "cnn", "width": 4}, "task": "multilabel", "train": {"epochs": 10, "augment": []}}
    result = lamina.fit(rows, "tags", recipe=recipe, out=tmp_path / "run").result
    assert result["skipped"] == 0
    assert result["scores"]["f1_micro"] > 0.9 > result["baselines"]["frequent_labels"]["f1_micro"]


@pytest.mark.parametrize("model", ["linear", {"kind": "sequential", "layers": [{"dense": 8}, {"dense": 3}]}, "combine"])
def test_every_architecture_answers_with_several_labels(model, tmp_path):
    recipe = {"model": model, "train": {"epochs": 1}}
    result = lamina.fit(animals(60), "tags", recipe=recipe, out=tmp_path / "run").result
    assert 0 <= result["scores"]["f1_micro"] <= 1


def test_labels_may_also_be_an_input(tmp_path):
    rng = np.random.default_rng(0)
    rows = [{"tags": [n for n in NAMES if rng.random() < 0.5], "x": float(rng.normal())} for _ in range(200)]
    rows = [{**row, "loud": "yes" if "dog" in row["tags"] else "no"} for row in rows]
    recipe = SMALL | {"train": {"epochs": 30, "batch_size": 32}}
    model = lamina.fit(rows, "loud", recipe=recipe, out=tmp_path / "run")
    assert model.result["scores"]["accuracy"] > 0.9
    rows = [{"tags": ["dog", "cat"]}, {"tags": ["cat"]}]
    assert [answer["prediction"] for answer in model.predict(rows)] == ["yes", "no"]
    reply = reply_of(model, "POST", "/predict", {"columns": {"tags": ["dog|cat", "cat", 3]}})["predictions"]
    assert [answer["prediction"] for answer in reply] == ["yes", "no", "no"]
