"""Tasks: targets become what a loss wants, raw outputs become answers, and labels keep their own type.

The contracts run over every task found in the folder, on every target column that suits it.
"""

import datetime
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import lamina
from conftest import customers
from lamina import evaluate, preprocess, tasks
from lamina import losses as _losses
from lamina.config import DataError, parse
from lamina.data import arrays
from lamina.evaluate import baselines, metrics
from lamina.plugins import available, plugin
from lamina.preprocess import parse_columns
from lamina.recipe import build
from lamina.schema import MISSING, Collected, Column, Mixed, clean
from lamina.tasks._supervised import experiment as cases

TASKS = [name for name in available("tasks") if "generative" not in vars(plugin("tasks", name))]
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
    return parse_columns(table, (Column(name="y", kind=plugin("tasks", task).target),))["y"].combine_chunks()


def fitted(task: str, values: pa.Array, said: dict[str, Any] | None = None) -> tuple[Any, Any, Any]:
    module, faults = plugin("tasks", task), list[str]()
    cfg = parse(module.Config, {"kind": task, **(said or {})}, "task", faults)
    assert cfg is not None, faults
    return module, cfg, module.fit(parsed(values, task).drop_null(), cfg)


def framed(task: str) -> bool:
    """Whether rows are steps of series, which a task sees no target column of."""
    return bool(vars(plugin("tasks", task)).get("framed"))


def suited() -> list[tuple[str, str]]:
    """Each task with the target columns that can be read as its kind."""
    found = []
    for task in TASKS:
        if framed(task):
            continue
        for name, values in TARGETS.items():
            if parsed(values, task).null_count < len(values):
                found.append((task, name))
    return found


each = pytest.mark.parametrize(("task", "name"), suited())
each_task = pytest.mark.parametrize("task", TASKS)


def raw(output: Any, count: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    return {"target": (scale * np.random.default_rng(1).normal(size=(count, output.size))).astype(np.float32)}


# every task


@each_task
def test_a_task_is_named_by_its_file_and_says_what_belongs_to_it(task):
    module = plugin("tasks", task)
    assert module.Config().model_dump()["kind"] == task
    assert module.target in available("preprocess")
    assert module.metrics and all(name in metrics.HIGHER for name in module.metrics)
    assert all(name in baselines.LABELS for name in module.baselines)
    assert all(name in evaluate._DRAWN for name in module.plots)
    assert framed(task) or any(name == task for name, _ in suited()), "no target column suits it"


@each
def test_a_state_survives_json(task, name):
    module, cfg, state = fitted(task, TARGETS[name])
    again = module.State.model_validate_json(json.dumps(json.loads(state.model_dump_json()), allow_nan=False))
    assert again == state
    values = parsed(TARGETS[name], task)
    assert np.array_equal(module.encode(values, again), module.encode(values, state))
    assert module.output(again, cfg) == module.output(state, cfg)


@each
def test_a_target_is_encoded_for_a_loss_that_exists(task, name):
    import torch

    module, cfg, state = fitted(task, TARGETS[name])
    encoded = module.encode(parsed(TARGETS[name], task), state)
    output = module.output(state, cfg)
    assert len(encoded) == 30
    assert np.isfinite(encoded).all()
    guess = torch.from_numpy(raw(output, 30)["target"])
    assert torch.isfinite(_losses.loss(output)(guess, torch.from_numpy(encoded)))
    members = guess.expand(3, *guess.shape)
    torch.testing.assert_close(
        _losses.loss(output)(members, torch.from_numpy(encoded)), _losses.loss(output)(guess, torch.from_numpy(encoded))
    )


@each
def test_truth_is_the_target_that_went_in(task, name):
    module, _, state = fitted(task, TARGETS[name])
    values = parsed(TARGETS[name], task)
    truth = module.truth(module.encode(values, state), state)
    if module.target == "number":
        np.testing.assert_allclose(truth, values.to_numpy(), rtol=1e-5, atol=1e-6 * state.std)
    elif module.target == "labels":
        assert [[state.classes[c] for c in np.flatnonzero(row)] for row in truth] == values.to_pylist()
    else:
        assert [state.classes[code] for code in truth] == values.to_pylist()


@each
def test_any_finite_output_becomes_one_answer_per_row(task, name):
    module, cfg, state = fitted(task, TARGETS[name])
    output = module.output(state, cfg)
    for count, scale in ((0, 1), (1, 1), (30, 1), (5, 1e4), (5, 1e30)):
        found = module.decode(raw(output, count, scale), state)
        assert all(np.isfinite(values).all() for values in found.values())
        table = module.table(found, state)
        assert table.num_rows == count
        assert table.column_names[0] == "prediction"
        assert table["prediction"].null_count == 0


@each
def test_the_cheap_scores_are_a_loss_to_minimise_and_one_to_show(task, name):
    module, cfg, state = fitted(task, TARGETS[name])
    encoded = module.encode(parsed(TARGETS[name], task), state)
    output = module.output(state, cfg)
    found = module.quick(raw(output, 30), encoded, state)
    assert len(found) == 2
    assert next(iter(found)) == "loss"
    assert all(isinstance(value, float) and np.isfinite(value) for value in found.values())
    assert np.isfinite(list(module.quick(raw(output, 30, 1e5), encoded, state).values())).all()


@each
def test_targets_of_training_are_known_and_others_are_not(task, name):
    module, _, state = fitted(task, TARGETS[name])
    assert not module.unknown(parsed(TARGETS[name], task), state).any()
    strange = parsed(pa.array(["never seen", None, "no such thing"]), task)
    assert module.unknown(strange, state).tolist() == [True, True, True]


# every task whose rows are steps of series: what it learns comes from a table of them, by the way that training goes

MADE = {
    "one target": {"target": "y"},
    "several targets": {"target": "y", "task": {"targets": ["y", "z"]}},
    "several series": {"target": "y", "task": {"series": "shop"}},
    "quantiles": {"target": "y", "task": {"loss": "pinball"}},
    "prices": {"target": "y", "task": {"transform": "log_return", "series": "shop"}},
}
each_framed = pytest.mark.parametrize(
    ("task", "name"), [(task, name) for task in TASKS if framed(task) for name in MADE], scope="module"
)


@functools.cache
def in_time(task: str, name: str) -> tuple[Any, np.ndarray]:
    """A small table as a case of the task, and the encoded targets of its validation steps."""
    rng, several = np.random.default_rng(0), "series" in str(MADE[name])
    rows = [
        {"day": f"2024-{1 + i // 28:02}-{1 + i % 28:02}", "shop": shop, "y": 9 + rng.random(), "z": rng.normal()}
        for shop in ("a", "b")[: 1 + several]
        for i in range(120)
    ]
    said = {"kind": task, "horizon": 4, "context": 12, "step": "row", **MADE[name].get("task", {})}
    recipe = build({"data": {"kind": "arrays"}, "target": MADE[name]["target"], "task": said})
    case = cases.collect(recipe, Collected(arrays.table(rows)))
    return case, np.asarray(case.arrays(preprocess.fit(case.parts.train, case.schema))["validation"].target)


@each_framed
def test_a_state_learned_from_series_survives_json(task, name):
    case, _ = in_time(task, name)
    again = case.task.State.model_validate_json(json.dumps(json.loads(case.state.model_dump_json()), allow_nan=False))
    assert again == case.state
    assert case.task.output(again, case.task_cfg) == case.task.output(case.state, case.task_cfg)


@each_framed
def test_targets_of_series_have_a_loss_that_exists_and_gaps_do_not_count(task, name):
    import torch

    case, encoded = in_time(task, name)
    output = case.task.output(case.state, case.task_cfg)
    guess = torch.from_numpy(raw(output, len(encoded))["target"])
    holed = encoded.copy()
    holed[0] = np.nan
    loss = _losses.loss(output)
    assert torch.isfinite(loss(guess, torch.from_numpy(encoded)))
    torch.testing.assert_close(loss(guess, torch.from_numpy(holed)), loss(guess[1:], torch.from_numpy(encoded[1:])))


@each_framed
def test_any_finite_output_becomes_answers_for_each_series_and_step(task, name):
    case, _ = in_time(task, name)
    output, targets = case.task.output(case.state, case.task_cfg), case.state.names
    for count, scale in ((0, 1), (1, 1), (30, 1), (5, 1e4), (5, 1e30)):
        found = case.task.decode(raw(output, count, scale), case.state)
        assert all(np.isfinite(values).all() for values in found.values())
        assert (found["low"] <= found["prediction"]).all()
        assert (found["prediction"] <= found["high"]).all()
        table = case.task.table(found, case.state)
        assert table.num_rows == count * case.state.horizon
        assert set(targets if len(targets) > 1 else ["prediction", "low", "high"]) < set(table.column_names)


@each_framed
def test_the_cheap_scores_of_series_are_a_loss_to_minimise_and_one_to_show(task, name):
    case, encoded = in_time(task, name)
    output = case.task.output(case.state, case.task_cfg)
    for scale in (1, 1e5):
        found = case.task.quick(raw(output, len(encoded), scale), encoded, case.state)
        assert len(found) == 2
        assert next(iter(found)) == "loss"
        assert all(isinstance(value, float) and np.isfinite(value) for value in found.values())


@each_framed
def test_changing_later_rows_changes_nothing_that_is_learned(task, name):
    case, _ = in_time(task, name)
    rows = case.table.to_pandas()
    late = rows.groupby("shop").cumcount() >= 90
    rows.loc[late, ["y", "z"]] = rows.loc[late, ["y", "z"]] * 3 + 1
    other = cases.collect(case.recipe, Collected(arrays.table(rows)))
    assert other.state == case.state
    assert (
        preprocess.fit(other.parts.train, other.schema).dump() == preprocess.fit(case.parts.train, case.schema).dump()
    )


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
        assert 0 <= plugin("tasks", task).suits(values) <= 1


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
    assert tasks.suggest(clean(arrays.table({"y": values}), MISSING)["y"].combine_chunks(), "y") == task


def test_a_target_that_no_task_fits_is_a_sentence():
    with pytest.raises(DataError, match=r"target: no task fits column 'y'"):
        tasks.suggest(pa.array([[1], [2]]), "y")


# classification


def labels(values: list[Any], asked: list[Any] | None = None) -> list[Any]:
    """Train on some labels, answer with each class in turn."""
    module, cfg, state = fitted("classification", pa.array(values))
    size = module.output(state, cfg).size
    logits = np.array([[-5.0], [5.0]]) if size == 1 else 9.0 * np.eye(size)
    return module.table(module.decode({"target": logits.astype(np.float32)}, state), state)["prediction"].to_pylist()


def test_labels_come_back_in_their_own_type():
    assert labels([2, 1, 0] * 5) == [0, 1, 2]
    assert labels([True, False] * 5) == [False, True]
    assert labels(["b", "a"] * 5) == ["a", "b"]
    assert labels(["10", "9", "100"] * 5) == [9, 10, 100]
    assert labels([1.0, 0.0] * 5) == [0, 1]
    assert labels(["01", "02"] * 5) == ["01", "02"], "a leading zero is part of a label"
    assert labels([-1, 1] * 5) == [-1, 1]


def test_probabilities_have_the_names_of_the_classes_and_add_up():
    module, cfg, state = fitted("classification", TARGETS["colours"])
    table = module.table(module.decode(raw(module.output(state, cfg), 20), state), state)
    for row in table.to_pylist():
        assert list(row["probabilities"]) == ["blue", "green", "red"]
        assert sum(row["probabilities"].values()) == pytest.approx(1)
        assert row["prediction"] == max(row["probabilities"], key=row["probabilities"].get)


@pytest.mark.parametrize("written", ["<=50K.", " <=50K", "<=50k", "<=50K. ", "<=50K"])
def test_a_label_that_differs_in_case_blanks_or_a_full_stop_is_the_class(written):
    module, _, state = fitted("classification", pa.array(["<=50K", ">50K"] * 10))
    values = pa.array([written])
    assert not module.unknown(values, state).any()
    assert module.encode(values, state).tolist() == [0]


def test_a_loose_label_that_could_be_two_classes_is_unknown():
    module, _, state = fitted("classification", pa.array(["ab", "AB", "c"] * 10))
    assert module.unknown(pa.array(["aB", "ab", "AB", "C"]), state).tolist() == [True, False, False, False]


def test_one_class_only_is_a_sentence():
    with pytest.raises(DataError, match=r"target: classification needs at least two classes \(got \['x'\]\)"):
        fitted("classification", pa.array(["x"] * 20))


def test_label_smoothing_reaches_the_loss():
    import torch

    for name in ("words", "colours"):
        losses = []
        for smoothing in (0.0, 0.2):
            module, cfg, state = fitted("classification", TARGETS[name], {"label_smoothing": smoothing})
            output = module.output(state, cfg)
            encoded = torch.from_numpy(module.encode(parsed(TARGETS[name], "classification"), state))
            sure = torch.full((30, output.size), -20.0)
            if output.size == 1:
                sure = torch.where(encoded > 0, 20.0, -20.0)[:, None]
            else:
                sure[torch.arange(30), encoded] = 20.0
            losses.append(float(_losses.loss(output)(sure, encoded)))
        assert losses[0] < 1e-6
        assert losses[1] == pytest.approx(2.0 if name == "words" else 40 * 0.2 * 2 / 3, rel=1e-3)


def test_balanced_class_weights_make_a_rare_class_count_as_much():
    import torch

    for values in (["no"] * 27 + ["yes"] * 3, ["a"] * 20 + ["b"] * 7 + ["c"] * 3):
        module, cfg, state = fitted("classification", pa.array(values), {"class_weight": "balanced"})
        output = module.output(state, cfg)
        encoded = torch.from_numpy(module.encode(pa.array(values), state))
        guess = torch.zeros((30, output.size), requires_grad=True)
        _losses.loss(output)(guess, encoded).backward()
        by_class = [guess.grad[encoded == code].abs().sum() for code in range(len(state.classes))]
        assert all(torch.isclose(total, by_class[0], rtol=1e-5) for total in by_class)


def test_a_weight_said_for_a_label_is_its_weight_and_the_others_are_1():
    module, cfg, state = fitted("classification", TARGETS["colours"], {"class_weight": {"red": 5}})
    assert module.output(state, cfg).settings["class_weight"] == [1.0, 1.0, 5.0]


def test_weights_hold_for_the_labels_of_mixed_pictures_too():
    import torch

    module, cfg, state = fitted("classification", TARGETS["colours"], {"class_weight": {"red": 5}})
    loss = _losses.loss(module.output(state, cfg))
    guess, blue, red = torch.randn(4, 3), torch.zeros(4, dtype=torch.int64), torch.full((4,), 2)
    mixed = loss(guess, Mixed(blue, red, 0.3))
    torch.testing.assert_close(mixed, 0.3 * loss(guess, blue) + 0.7 * loss(guess, red))


@pytest.mark.parametrize("name", ["words", "colours"])
def test_focal_loss_is_the_formula_of_its_paper(name):
    import torch

    module, cfg, state = fitted("classification", TARGETS[name], {"focal": 2.0})
    output = module.output(state, cfg)
    encoded = torch.from_numpy(module.encode(parsed(TARGETS[name], "classification"), state))
    guess = torch.from_numpy(raw(output, 30)["target"])
    chances = torch.from_numpy(module.decode({"target": guess.numpy()}, state)["probabilities"])
    own = chances.gather(1, encoded.long()[:, None])[:, 0]
    wanted = (-((1 - own) ** 2) * own.log()).mean()
    torch.testing.assert_close(_losses.loss(output)(guess, encoded), wanted.float())


def test_smoothing_and_weights_in_a_recipe_reach_the_network():
    rows = Collected(arrays.table(customers(60)))
    task = {"kind": "classification", "label_smoothing": 0.1, "class_weight": "balanced"}
    case = cases.collect(build({"data": {"kind": "arrays"}, "target": "left", "task": task}), rows)
    found = case.task.output(case.state, case.task_cfg).settings
    assert found["label_smoothing"] == 0.1
    assert len(found["class_weight"]) == 2


def test_the_report_tells_of_a_rare_class_and_what_to_try(tmp_path):
    rng = np.random.default_rng(0)
    rows = [{"x": float(rng.normal()), "seen": "rare" if i % 40 == 0 else "usual"} for i in range(400)]
    for said, told in (({}, True), ({"class_weight": "balanced"}, False)):
        recipe = {"model": "linear", "train": {"epochs": 1}, "task": {"kind": "classification", **said}}
        run = lamina.fit(rows, "seen", recipe=recipe, out=tmp_path / str(told)).result["run"]
        notes = json.loads((Path(run) / "report.json").read_text())["data"]["notes"]
        (note,) = (note for note in notes if note.startswith("Rare classes: 'rare' (2."))
        assert ("Try --set task.focal=2" in note) == told


def test_a_temperature_changes_how_sure_answers_are_and_not_which():
    module, cfg, state = fitted("classification", TARGETS["colours"])
    outputs = raw(module.output(state, cfg), 50, 4)
    plain = module.decode(outputs, state)["probabilities"]
    mild = module.decode(outputs, state.model_copy(update={"temperature": 3.0}))["probabilities"]
    assert (plain.argmax(1) == mild.argmax(1)).all()
    assert mild.max(1).mean() < plain.max(1).mean()


# regression


def test_answers_stay_inside_what_was_seen_and_intervals_around_them():
    module, _, state = fitted("regression", pa.array([10.0, 20.0, 30.0]))
    state = state.model_copy(update={"half_width": 2.0})
    found = module.decode({"target": np.array([[-100.0], [0.0], [100.0]], np.float32)}, state)
    assert found["prediction"].tolist() == [10, 20, 30]
    assert found["low"].tolist() == [8, 18, 28]
    assert found["high"].tolist() == [12, 22, 32]


def test_one_value_only_is_a_sentence():
    with pytest.raises(DataError, match="target: regression needs at least two different numbers"):
        fitted("regression", pa.array([5.0] * 20))


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_each_regression_loss_is_the_formula_of_its_name(loss):
    import torch

    module, cfg, state = fitted("regression", TARGETS["amounts"], {"loss": loss})
    guess, truth = torch.tensor([[0.0], [0.5], [3.0]]), torch.tensor([0.0, 0.0, 0.0])
    by_hand = {"mse": (0.25 + 9) / 3, "mae": 3.5 / 3, "huber": (0.125 + 2.5) / 3}
    assert float(_losses.loss(module.output(state, cfg))(guess, truth)) == pytest.approx(by_hand[loss])


def test_a_target_written_as_money_is_a_number():
    _, _, state = fitted("regression", pa.array(["$1,000.00", "$3,000.00"]))
    assert (state.low, state.high, state.mean) == (1000, 3000, 2000)
