"""A regression whose target has a long tail learns it transformed, and answers in the target's own unit."""

import numpy as np
import pytest

import lamina
from lamina.tasks.regression import Config, Task


def tailed(rows=600, seed=0):
    """Columns `size` and `kind`, and a price that is a product with noise, spread over four decades."""
    rng = np.random.default_rng(seed)
    size = rng.lognormal(3, 1.2, rows)
    double = rng.integers(0, 2, rows)
    price = size * (1 + double) * rng.lognormal(0, 0.3, rows)
    return {"size": size.tolist(), "double": double.tolist(), "price": price.tolist()}


def fit(rows, **task):
    recipe = {"train": {"epochs": 15}, "task": {"kind": "regression", **task}}
    return lamina.fit(rows, "price", recipe=recipe)


def test_a_long_tail_is_learned_better_transformed_and_the_run_says_so():
    rows = tailed()
    transformed, plain = fit(rows), fit(rows, transform="none")
    notes = " ".join(transformed.result["notes"])
    assert "--set task.transform=none" in notes
    assert "transform" not in " ".join(plain.result["notes"])
    assert transformed.result["scores"]["rmse"] < plain.result["scores"]["rmse"]
    assert transformed.result["scores"]["coverage"] == pytest.approx(0.9, abs=0.08)


def test_an_interval_of_a_transformed_target_is_wider_where_numbers_are_larger_and_holds_the_answer():
    model = fit(tailed())
    small, large = model.predict([{"size": 5, "double": 0}, {"size": 300, "double": 1}])
    assert large["high"] - large["low"] > 5 * (small["high"] - small["low"])
    for answer in (small, large):
        assert answer["low"] <= answer["prediction"] <= answer["high"]


@pytest.mark.parametrize("numbers", [[0.0, 0, 0, 1, 2, 3, 1000], [-5.0, 3, 900], [1e-9, 1e-9, 5e8]])
def test_a_transformed_target_comes_back_whatever_its_sign(numbers):
    import pyarrow as pa

    values = pa.array(numbers)
    cfg = Config(transform="asinh")
    task = Task(cfg, Task.fit(values, cfg))
    assert task.truth(task.encode(values)) == pytest.approx(np.array(numbers), rel=1e-5, abs=1e-6)


def test_a_target_without_a_long_tail_and_one_with_losses_stay_as_they_are():
    import pyarrow as pa

    rng = np.random.default_rng(0)
    for numbers in (rng.normal(50, 5, 500), rng.uniform(0, 1, 500), rng.standard_t(2, 500)):
        assert Task.fit(pa.array(numbers), Config()).unit is None
