"""Tasks: targets become what a loss wants, raw outputs become answers, and labels keep their own type.

The contracts run over every task found in the folder, on every target column that suits it.
"""

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import lamina
from conftest import customers
from lamina import experiment, losses, preprocess
from lamina.config import DataError, parse
from lamina.data import Sources, arrays
from lamina.evaluate import baselines, metrics
from lamina.evaluate.plots import named
from lamina.plugins import available, plugin
from lamina.preprocess import parse_columns
from lamina.recipe import build
from lamina.schema import MISSING, Collected, Column, Mixed, clean
from lamina.task import Task
from lamina.tasks._supervised.task import PREDICT, SupervisedTask

TASKS = list(available("tasks"))
SUPERVISED = [name for name in TASKS if PREDICT in plugin("tasks", name).Task.operations]
BUILT_IN = [name for name in SUPERVISED if plugin("tasks", name).__file__.startswith(str(Path(lamina.__file__).parent))]
RNG = np.random.default_rng(0)
TARGETS: dict[str, pa.Array] = {
    "words": pa.array(["no", "yes", "no"] * 10),
    "colours": pa.array(["red", "green", "blue"] * 10),
    "codes": pa.array([0, 1, 2] * 10),
    "flags": pa.array([True, False, False] * 10),
    "amounts": pa.array(RNG.normal(50, 10, 30)),
    "counts": pa.array(RNG.integers(0, 1000, 30)),
    "tags": pa.array([["cat", "dog"], [], ["dog"]] * 10),
    "codes of tags": pa.array([[1, 2], [3], []] * 10),
    "tags as text": pa.array(["cat|dog", "cat", "dog|cat|bird"] * 10),
    "money": pa.array([f"${v:,.2f}" for v in RNG.normal(5000, 900, 30)]),
}


def parsed(values: pa.Array, task: str) -> pa.Array:
    """A raw target as the task gets it."""
    table = clean(arrays.table(pa.table({"y": values})), MISSING)
    column = Column(name="y", kind=plugin("tasks", task).Task.target_kind)
    return parse_columns(table, (column,))["y"].combine_chunks()


def fitted(task: str, values: pa.Array, settings: dict[str, Any] | None = None) -> SupervisedTask:
    """The task as it understands a raw target."""
    module, faults = plugin("tasks", task), list[str]()
    cfg = parse(module.Config, {"kind": task, **(settings or {})}, "task", faults)
    assert cfg is not None, faults
    return module.Task(cfg, module.Task.fit(parsed(values, task).drop_null(), cfg))


def again(task: Task) -> Task:
    """The task out of the JSON of a bundle."""
    module = plugin("tasks", task.kind)
    state = json.loads(task.state.model_dump_json())
    return module.Task(task.cfg, module.State.model_validate_json(json.dumps(state, allow_nan=False)))


def collect(recipe: dict[str, Any], rows: Any) -> Any:
    """What a recipe asks of rows in memory."""
    choices = build({"data": {"kind": "arrays"}, **recipe})
    return experiment.collect(choices, Sources(Collected(arrays.table(rows)), choices.data))


def suitable() -> list[tuple[str, str]]:
    """Each task that predicts one column, with the target columns that can be read as its kind."""
    pairs = []
    for task in SUPERVISED:
        for name, values in TARGETS.items():
            if _readable(task, values):
                pairs.append((task, name))
    return pairs


def predicts(task: str) -> bool:
    """Whether a task answers with the target itself."""
    return any(operation.name == "predict" for operation in plugin("tasks", task).Task.operations)


def _readable(task: str, values: pa.Array) -> bool:
    if preprocess.suits(values, plugin("tasks", task).Task.target_kind) == 0 and task not in BUILT_IN:
        return False  # a stranger's kind of target, which these columns are not
    return parsed(values, task).null_count < len(values)


each = pytest.mark.parametrize(("task", "name"), suitable())
each_task = pytest.mark.parametrize("task", TASKS)


def raw(output: Any, count: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    return {"target": (scale * np.random.default_rng(1).normal(size=(count, output.size))).astype(np.float32)}


# every task


@each_task
def test_a_task_is_named_by_its_file_and_says_what_belongs_to_it(task):
    module, half = plugin("tasks", task), experiment.of(task)
    assert module.Config().model_dump()["kind"] == task
    assert issubclass(module.Task, Task) and issubclass(half, experiment.Experiment)
    assert module.Task.operations and len({o.name for o in module.Task.operations}) == len(module.Task.operations)
    for operation in module.Task.operations:
        assert operation.summary.endswith(".") and operation.faces
        assert operation.rows == "none" or operation.call is None
    assert all(asset.largest > 0 and asset.role for asset in module.Task.assets.values())


@pytest.mark.parametrize("task", SUPERVISED)
def test_what_evaluates_a_task_that_predicts_a_column_is_there(task):
    cls, half = plugin("tasks", task).Task, experiment.of(task)
    assert issubclass(half, experiment.Experiment)
    assert cls.target_kind in available("preprocess")
    assert cls.metrics and all(name in metrics.HIGHER for name in cls.metrics)
    assert all(name in baselines.LABELS for name in cls.baselines)
    assert all(name in named.PLOTS for name in cls.plots)
    assert task not in BUILT_IN or any(name == task for name, _ in suitable()), "no target column suits it"


@each
def test_a_state_survives_json(task, name):
    subject = fitted(task, TARGETS[name])
    copy = again(subject)
    assert copy == subject
    values = parsed(TARGETS[name], task)
    assert np.array_equal(copy.encode(values), subject.encode(values))
    assert copy.output() == subject.output()


@each
def test_a_target_is_encoded_for_a_loss_that_exists(task, name):
    import torch

    subject = fitted(task, TARGETS[name])
    encoded = subject.encode(parsed(TARGETS[name], task))
    output = subject.output()
    assert len(encoded) == 30
    assert np.isfinite(encoded).all()
    guess, target, loss = torch.from_numpy(raw(output, 30)["target"]), torch.from_numpy(encoded), losses.loss(output)
    assert torch.isfinite(loss(guess, target))
    torch.testing.assert_close(loss(guess.expand(3, *guess.shape), target), loss(guess, target))


@each
def test_truth_is_the_target_that_went_in(task, name):
    subject = fitted(task, TARGETS[name])
    values = parsed(TARGETS[name], task)
    truth = subject.truth(subject.encode(values))
    if subject.target_kind == "number":
        np.testing.assert_allclose(truth, values.to_numpy(), rtol=1e-5, atol=1e-6 * subject.state.std)
    elif subject.target_kind == "labels":
        assert [[subject.state.classes[c] for c in np.flatnonzero(row)] for row in truth] == values.to_pylist()
    else:
        assert [subject.label(code) for code in truth] == values.to_pylist()


@each
def test_any_finite_output_becomes_one_answer_per_row(task, name):
    subject = fitted(task, TARGETS[name])
    output = subject.output()
    for count, scale in ((0, 1), (1, 1), (30, 1), (5, 1e4), (5, 1e30)):
        result = subject.decode(raw(output, count, scale))
        assert all(np.isfinite(values).all() for values in result.values())
        table = subject.table(result)
        assert table.num_rows == count
        assert table.column_names[0] == "prediction" or not predicts(task)
        assert table[table.column_names[0]].null_count == 0


@each
def test_the_cheap_scores_are_a_loss_to_minimise_and_one_to_show(task, name):
    subject = fitted(task, TARGETS[name])
    encoded = subject.encode(parsed(TARGETS[name], task))
    output = subject.output()
    result = subject.validate(raw(output, 30), encoded)
    assert len(result) == 2
    assert next(iter(result)) == "loss"
    assert all(isinstance(value, float) and np.isfinite(value) for value in result.values())
    assert np.isfinite(list(subject.validate(raw(output, 30, 1e5), encoded).values())).all()


@each
def test_targets_of_training_are_known_and_others_are_not(task, name):
    subject = fitted(task, TARGETS[name])
    assert not subject.unknown(parsed(TARGETS[name], task)).any()
    if not predicts(task):
        return  # what answers with something else than the target may take targets that training has not seen
    odd = parsed(pa.array(["never seen", None, "no such thing"]), task)
    assert subject.unknown(odd).tolist() == [True, True, True]


@each_task
def test_how_well_a_target_suits_is_between_0_and_1_for_columns_of_any_type(task):
    odd = [
        pa.array([[1], [2]]),
        pa.array([b"a", b"b"]),
        pa.array([datetime.date(2024, 1, 1)]),
        pa.array([{"a": 1}]),
        pa.nulls(3),
        pa.array([], pa.string()),
        pa.array([float("nan"), 1.0]),
        pa.array([2**63], pa.uint64()),
    ]
    for values in (*TARGETS.values(), *odd):
        recipe = build({"data": {"kind": "arrays"}, "target": "y"})
        sources = Sources(Collected(pa.table({"y": values})), recipe.data)
        assert 0 <= experiment.of(task).suits(task, recipe, sources).score <= 1


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("classification", ["yes", "no"] * 20),
        ("classification", ["a", "b", None, "c"] * 10),
        ("classification", [True, False] * 20),
        ("classification", [0, 1] * 20),
        ("classification", [1, 2, 3] * 10),
        ("classification", ["0", "1", "2"] * 10),
        ("classification", [5, 7] * 20),
        ("classification", [0.0, 1.0] * 20),
        ("multilabel", [["a", "b"], ["a"], []] * 10),
        ("multilabel", [[1, 2], [3], []] * 10),
        ("multilabel", ["a|b", "a", "b|c", "c|a", ""] * 10),
        ("multilabel", ["a; b", "a", "b; c", "c; a"] * 10),
        ("classification", ["a|b", "c|d"] * 10),
        ("classification", ["no, never", "yes, always", "no, seldom"] * 10),
        ("regression", [1.5, 2.5, 3.5] * 10),
        ("regression", [3, 7, 11, 250] * 10),
        ("regression", list(range(100))),
        ("regression", ["1.5", "2.5", "3.25"] * 10),
        ("regression", ["$1,250.00", "$980.50", "$3,100.00", "$45.10"] * 10),
        ("regression", [0, 10, 20, 30] * 10),
    ],
)
def test_the_task_is_seen_from_the_target(task, values):
    assert suggested(arrays.table({"y": values})) == task


def test_a_target_that_no_task_fits_is_a_sentence():
    with pytest.raises(DataError, match="target: no task fits"):
        suggested(pa.table({"y": [[1], [2]]}))


def suggested(table: pa.Table) -> str:
    """The task that is chosen for the column `y`."""
    recipe = build({"data": {"kind": "arrays"}, "target": "y"})
    _, recipe, _ = experiment.choose(recipe, Sources(Collected(table), recipe.data))
    assert recipe.task is not None
    return recipe.task.model_dump()["kind"]


# classification


def labels(values: list[Any]) -> list[Any]:
    """Train on some labels, answer with each class in turn."""
    subject = fitted("classification", pa.array(values))
    size = subject.output().size
    logits = np.array([[-5.0], [5.0]]) if size == 1 else 9.0 * np.eye(size)
    return subject.table(subject.decode({"target": logits.astype(np.float32)}))["prediction"].to_pylist()


def test_labels_come_back_in_their_own_type():
    assert labels([2, 1, 0] * 5) == [0, 1, 2]
    assert labels([True, False] * 5) == [False, True]
    assert labels(["b", "a"] * 5) == ["a", "b"]
    assert labels(["10", "9", "100"] * 5) == [9, 10, 100]
    assert labels([1.0, 0.0] * 5) == [0, 1]
    assert labels(["01", "02"] * 5) == ["01", "02"], "a leading zero is part of a label"
    assert labels([-1, 1] * 5) == [-1, 1]


def test_probabilities_have_the_names_of_the_classes_and_add_up():
    subject = fitted("classification", TARGETS["colours"])
    table = subject.table(subject.decode(raw(subject.output(), 20)))
    for row in table.to_pylist():
        assert list(row["probabilities"]) == ["blue", "green", "red"]
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["prediction"] == max(row["probabilities"], key=row["probabilities"].get)


@pytest.mark.parametrize("written", ["<=50K.", " <=50K", "<=50k", "<=50K. ", "<=50K"])
def test_a_label_that_differs_in_case_blanks_or_a_full_stop_is_the_class(written):
    subject = fitted("classification", pa.array(["<=50K", ">50K"] * 10))
    values = pa.array([written])
    assert not subject.unknown(values).any()
    assert subject.encode(values).tolist() == [0]


def test_a_loose_label_that_could_be_two_classes_is_unknown():
    subject = fitted("classification", pa.array(["ab", "AB", "c"] * 10))
    assert subject.unknown(pa.array(["aB", "ab", "AB", "C"])).tolist() == [True, False, False, False]


def test_one_class_only_is_a_sentence():
    with pytest.raises(DataError, match=r"target: classification needs at least two classes \(got \['x'\]\)"):
        fitted("classification", pa.array(["x"] * 20))


def test_label_smoothing_reaches_the_loss():
    import torch

    for name in ("words", "colours"):
        values = []
        for smoothing in (0.0, 0.2):
            subject = fitted("classification", TARGETS[name], {"label_smoothing": smoothing})
            output = subject.output()
            encoded = torch.from_numpy(subject.encode(parsed(TARGETS[name], "classification")))
            sure = torch.full((30, output.size), -20.0)
            if output.size == 1:
                sure = torch.where(encoded > 0, 20.0, -20.0)[:, None]
            else:
                sure[torch.arange(30), encoded] = 20.0
            values.append(float(losses.loss(output)(sure, encoded)))
        assert values[0] < 1e-6
        assert values[1] == pytest.approx(2.0 if name == "words" else 40 * 0.2 * 2 / 3, rel=1e-3)


def test_balanced_class_weights_make_a_rare_class_count_as_much():
    import torch

    for values in (["no"] * 27 + ["yes"] * 3, ["a"] * 20 + ["b"] * 7 + ["c"] * 3):
        subject = fitted("classification", pa.array(values), {"class_weight": "balanced"})
        output = subject.output()
        encoded = torch.from_numpy(subject.encode(pa.array(values)))
        guess = torch.zeros((30, output.size), requires_grad=True)
        losses.loss(output)(guess, encoded).backward()
        by_class = [guess.grad[encoded == code].abs().sum() for code in range(len(subject.state.classes))]
        assert all(torch.isclose(total, by_class[0], rtol=1e-5) for total in by_class)


def test_a_weight_said_for_a_label_is_its_weight_and_the_others_are_1():
    subject = fitted("classification", TARGETS["colours"], {"class_weight": {"red": 5}})
    assert subject.output().settings["class_weight"] == [1.0, 1.0, 5.0]


def test_weights_hold_for_the_labels_of_mixed_images_too():
    import torch

    subject = fitted("classification", TARGETS["colours"], {"class_weight": {"red": 5}})
    loss = losses.loss(subject.output())
    guess, blue, red = torch.randn(4, 3), torch.zeros(4, dtype=torch.int64), torch.full((4,), 2)
    mixed = loss(guess, Mixed(blue, red, 0.3))
    torch.testing.assert_close(mixed, 0.3 * loss(guess, blue) + 0.7 * loss(guess, red))


@pytest.mark.parametrize("name", ["words", "colours"])
def test_focal_loss_is_the_formula_of_its_paper(name):
    import torch

    subject = fitted("classification", TARGETS[name], {"focal": 2.0})
    output = subject.output()
    encoded = torch.from_numpy(subject.encode(parsed(TARGETS[name], "classification")))
    guess = torch.from_numpy(raw(output, 30)["target"])
    chances = torch.from_numpy(subject.decode({"target": guess.numpy()})["probabilities"])
    own = chances.gather(1, encoded.long()[:, None])[:, 0]
    expected = (-((1 - own) ** 2) * own.log()).mean()
    torch.testing.assert_close(losses.loss(output)(guess, encoded), expected.float())


def test_smoothing_and_weights_in_a_recipe_reach_the_network():
    task = {"kind": "classification", "label_smoothing": 0.1, "class_weight": "balanced"}
    settings = collect({"target": "left", "task": task}, customers(60)).task.output().settings
    assert settings["label_smoothing"] == 0.1
    assert len(settings["class_weight"]) == 2


def test_the_report_tells_of_a_rare_class_and_what_to_try(tmp_path):
    rng = np.random.default_rng(0)
    rows = [{"x": float(rng.normal()), "seen": "rare" if i % 40 == 0 else "usual"} for i in range(400)]
    for setting, told in (({}, True), ({"class_weight": "balanced"}, False)):
        recipe = {"model": "linear", "train": {"epochs": 1}, "task": {"kind": "classification", **setting}}
        run = lamina.fit(rows, "seen", recipe=recipe, out=tmp_path / str(told)).result["run"]
        notes = json.loads((Path(run) / "report.json").read_text())["data"]["notes"]
        (note,) = (note for note in notes if note.startswith("Rare classes: 'rare' (2."))
        assert ("Try --set task.focal=2" in note) == told


def test_a_temperature_changes_how_sure_answers_are_and_not_which():
    subject = fitted("classification", TARGETS["colours"])
    outputs = raw(subject.output(), 50, 4)
    plain = subject.decode(outputs)["probabilities"]
    mild = subject.with_state(temperature=3.0).decode(outputs)["probabilities"]
    assert (plain.argmax(1) == mild.argmax(1)).all()
    assert mild.max(1).mean() < plain.max(1).mean()


# regression


def test_answers_stay_inside_what_was_seen_and_intervals_around_them():
    subject = fitted("regression", pa.array([10.0, 20.0, 30.0])).with_state(half_width=2.0)
    result = subject.decode({"target": np.array([[-100.0], [0.0], [100.0]], np.float32)})
    assert result["prediction"].tolist() == [10, 20, 30]
    assert result["low"].tolist() == [8, 18, 28]
    assert result["high"].tolist() == [12, 22, 32]


def test_one_value_only_is_a_sentence():
    with pytest.raises(DataError, match="target: regression needs at least two different numbers"):
        fitted("regression", pa.array([5.0] * 20))


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_each_regression_loss_is_the_formula_of_its_name(loss):
    import torch

    subject = fitted("regression", TARGETS["amounts"], {"loss": loss})
    guess, truth = torch.tensor([[0.0], [0.5], [3.0]]), torch.tensor([0.0, 0.0, 0.0])
    by_hand = {"mse": (0.25 + 9) / 3, "mae": 3.5 / 3, "huber": (0.125 + 2.5) / 3}
    assert float(losses.loss(subject.output())(guess, truth)) == pytest.approx(by_hand[loss])


def test_a_target_written_as_money_is_a_number():
    state = fitted("regression", pa.array(["$1,000.00", "$3,000.00"])).state
    assert (state.low, state.high, state.mean) == (1000, 3000, 2000)
