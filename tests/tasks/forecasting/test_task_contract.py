"""The contract of tasks, held by one whose rows are steps of series: what it learns comes from a table of them."""

import functools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lamina import experiment, losses, preprocess
from lamina.data import Sources, arrays
from lamina.recipe import Recipe, build
from lamina.schema import Collected
from lamina.tasks.forecasting.decoding import decode, to_table
from lamina.tasks.forecasting.state import State

TABLES = {
    "one target": {"target": "y"},
    "several targets": {"target": "y", "task": {"targets": ["y", "z"]}},
    "several series": {"target": "y", "task": {"series": "shop"}},
    "quantiles": {"target": "y", "task": {"loss": "pinball"}},
    "prices": {"target": "y", "task": {"transform": "log_return", "series": "shop"}},
}
each = pytest.mark.parametrize("name", TABLES)


def raw(output: Any, count: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    return {"target": (scale * np.random.default_rng(1).normal(size=(count, output.size))).astype(np.float32)}


@functools.cache
def in_time(name: str) -> tuple[Any, np.ndarray]:
    """A small table as a case of the task, and the encoded targets of its validation steps."""
    rng, several = np.random.default_rng(0), "series" in str(TABLES[name])
    rows = [
        {"day": f"2024-{1 + i // 28:02}-{1 + i % 28:02}", "shop": shop, "y": 9 + rng.random(), "z": rng.normal()}
        for shop in ("a", "b")[: 1 + several]
        for i in range(120)
    ]
    task = {"kind": "forecasting", "horizon": 4, "context": 12, "step": "row", **TABLES[name].get("task", {})}
    case = collect(build({"data": {"kind": "arrays"}, "target": TABLES[name]["target"], "task": task}), rows)
    return case, np.asarray(case.examples(preprocess.fit(case.splits.train, case.schema))["validation"].target)


def collect(recipe: Recipe, rows: Any) -> Any:
    return experiment.collect(recipe, Sources(Collected(arrays.table(rows)), recipe.data))


@each
def test_a_state_learned_from_series_survives_json(name):
    case, _ = in_time(name)
    state = json.dumps(json.loads(case.task.state.model_dump_json()), allow_nan=False)
    copy = replace(case.task, state=State.model_validate_json(state))
    assert copy == case.task
    assert copy.output() == case.task.output()


@each
def test_targets_of_series_have_a_loss_that_exists_and_gaps_do_not_count(name):
    import torch

    case, encoded = in_time(name)
    output = case.task.output()
    guess = torch.from_numpy(raw(output, len(encoded))["target"])
    holed = encoded.copy()
    holed[0] = np.nan
    loss = losses.loss(output)
    assert torch.isfinite(loss(guess, torch.from_numpy(encoded)))
    torch.testing.assert_close(loss(guess, torch.from_numpy(holed)), loss(guess[1:], torch.from_numpy(encoded[1:])))


@each
def test_any_finite_output_becomes_answers_for_each_series_and_step(name):
    case, _ = in_time(name)
    output, targets = case.task.output(), case.task.state.names
    for count, scale in ((0, 1), (1, 1), (30, 1), (5, 1e4), (5, 1e30)):
        state = case.task.state
        answers = decode(raw(output, count, scale), 1.0, np.ones((count, len(state.targets))), state)
        assert all(np.isfinite(values).all() for values in answers.values())
        assert (answers["low"] <= answers["prediction"]).all()
        assert (answers["prediction"] <= answers["high"]).all()
        table = to_table(answers, state, pa.nulls(count, pa.string()), None)
        assert table.num_rows == count * case.task.state.horizon
        assert set(targets if len(targets) > 1 else ["prediction", "low", "high"]) < set(table.column_names)


@each
def test_the_cheap_scores_of_series_are_a_loss_to_minimise_and_one_to_show(name):
    case, encoded = in_time(name)
    output = case.task.output()
    for scale in (1, 1e5):
        answers = case.validate(raw(output, len(encoded), scale), encoded)
        assert len(answers) == 2
        assert next(iter(answers)) == "loss"
        assert all(isinstance(value, float) and np.isfinite(value) for value in answers.values())


@each
def test_changing_later_rows_changes_nothing_that_is_learned(name):
    case, _ = in_time(name)
    rows = case.table.to_pandas()
    late = rows.groupby("shop").cumcount() >= 90
    rows.loc[late, ["y", "z"]] = rows.loc[late, ["y", "z"]] * 3 + 1
    other = collect(case.recipe, rows)
    assert other.task.state == case.task.state
    assert (
        preprocess.fit(other.splits.train, other.schema).dump() == preprocess.fit(case.splits.train, case.schema).dump()
    )
