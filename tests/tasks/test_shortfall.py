"""Where a baseline is clearly better than the network, a run says why; where it is not, it says nothing."""

import numpy as np
import pytest

import lamina

HASTY = {"train": {"epochs": 1, "lr": 1e-5}, "columns": {"depth": "number", "shade": "category"}}


def table(rows=400, seed=0):
    """A label that `depth` decides, beside a column of noise."""
    rng = np.random.default_rng(seed)
    depth = rng.normal(size=rows)
    return {
        "depth": depth.tolist(),
        "shade": rng.choice(["light", "dark"], rows).tolist(),
        "label": np.where(depth > 0, "deep", "flat").tolist(),
        "price": (3 * depth + rng.normal(0, 0.1, rows)).tolist(),
    }


def reasons(rows, target, **recipe):
    return [note for note in lamina.fit(rows, target, recipe=recipe).result["notes"] if note.startswith("Why ")]


@pytest.mark.parametrize(("target", "other"), [("label", "price"), ("price", "label")])
def test_the_column_that_a_baseline_makes_more_of_is_named(target, other):
    rows = {name: cells for name, cells in table().items() if name != other}
    (reason,) = reasons(rows, target, **HASTY)
    assert "'depth'" in reason
    assert "--preset accurate" in reason


def test_a_network_that_is_as_good_needs_no_reason():
    rows = {name: cells for name, cells in table().items() if name != "label"}
    assert reasons(rows | {"price": np.random.default_rng(1).normal(size=400).tolist()}, "price", **HASTY) == []


def test_where_no_column_says_why_the_number_of_rows_is_said():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(300, 65))
    rows = {f"x{i}": numbers[:, i].tolist() for i in range(65)} | {"y": numbers.sum(1).tolist()}
    (reason,) = reasons(rows, "y", train={"epochs": 1, "lr": 1e-5})
    assert "no single column says why" in reason
    assert "210" in reason
