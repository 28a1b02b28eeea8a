"""Numbers at the ends of what a computer can hold: columns are learned from, targets are answered or refused."""

import datetime
import json
import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import lamina
from lamina import preprocess
from lamina.config import LaminaError
from lamina.preprocess import number
from lamina.schema import MISSING, clean
from service_tools import command

ROWS = 60
TINY = {"train": {"epochs": 1}, "model": {"kind": "linear"}}
RNG = np.random.default_rng(0)
PLAIN = RNG.normal(size=ROWS)
ENDS = RNG.choice([-1, 1], ROWS)
LABELS = np.where(PLAIN > 0, "yes", "no").tolist()
FIRST, LAST = datetime.date(1, 1, 1), datetime.date(9999, 12, 31)

COLUMNS: dict[str, Any] = {
    "ends": pa.array(ENDS * 1e308),
    "wide": pa.array(RNG.uniform(-1, 1, ROWS) * 1.79e308),
    "one far": pa.array(np.append(np.zeros(ROWS - 1), 1.79e308)),
    "subnormal": pa.array(RNG.integers(0, 9, ROWS) * 5e-324),
    "infinite": pa.array(np.where(ENDS > 0, np.inf, 1.0)),
    "zeros": pa.array(np.where(ENDS > 0, -0.0, 0.0)),
    "nothing": pa.array(np.full(ROWS, np.nan)),
    "uint64": pa.array(np.where(ENDS > 0, 2**64 - 1, 1).astype(np.uint64)),
    "int64": pa.array(np.where(ENDS > 0, 2**63 - 1, -(2**63))),
    "decimal": pa.array([Decimal(("-" if end < 0 else "") + "9" * 38) for end in ENDS], pa.decimal128(38, 0)),
    "text": [f"{end}e308" for end in ENDS],
    "too large text": [f"{end}e400" for end in ENDS],
    "dates": pa.array([LAST if end > 0 else FIRST for end in ENDS]),
    "nanoseconds": pa.array(np.where(ENDS > 0, 2**63 - 1, -(2**63) + 1), pa.timestamp("ns")),
    "duration": pa.array(np.where(ENDS > 0, 2**63 - 1, -(2**63) + 1), pa.duration("s")),
    "series": [[end * 1e308] * 6 for end in ENDS],
}

TARGETS: dict[str, tuple[Any, str, str]] = {  # numbers, task, what is said
    "1e308": (ENDS * 1e308, "regression", "no row of column 'y' can be used: the target is beyond 1e.100"),
    "1e154": (PLAIN * 1e154, "regression", "no row of column 'y' can be used: the target is beyond 1e.100"),
    "1e-320": (RNG.integers(1, 9, ROWS) * 1e-320, "regression", "differ by too little .* smaller unit"),
    "constant": (np.ones(ROWS), "regression", "at least two different numbers"),
    "infinite": (np.full(ROWS, np.inf), "regression", "the target is not a number: 'inf'"),
    "series of 1e308": (ENDS * 1e308, "forecasting", "column 'y' has no number in the training rows"),
    "made 1e308": (ENDS * 1e308, "generation", "'y' has numbers beyond 1e.100.* recipe=.*'y': 'ignore'"),
}


def train(target: Any, task: str) -> lamina.Estimator:
    name = None if task == "generation" else "y"
    days = (
        {"day": [f"2024-{1 + i // 28:02}-{1 + i % 28:02}" for i in range(len(target))]} if task == "forecasting" else {}
    )
    model = {"generation": "vae", "forecasting": "linear"}.get(task, "linear")
    return lamina.fit({**days, "x": PLAIN, "y": target}, name, recipe={**TINY, "task": task, "model": model})


def test_columns_at_the_ends_of_numbers_and_times_are_learned_from_and_answered():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = lamina.fit(pa.table({"x": PLAIN, **COLUMNS, "y": LABELS}), "y", recipe=TINY)
        rows = [{"x": 1e308, "ends": -1e308, "text": "1e999"}, {"x": 10**400, "wide": 5e-324}, {"series": [1e308] * 6}]
        assert all(np.isfinite(list(answer["probabilities"].values())).all() for answer in model.predict(rows))


@pytest.mark.parametrize("name", ["ends", "wide", "one far", "subnormal", "text", "uint64", "decimal"])
def test_a_column_of_any_numbers_is_encoded_as_finite_ones_by_a_finite_state(name):
    table = clean(pa.table({name: COLUMNS[name], "x": PLAIN}), MISSING)
    prep = preprocess.fit(table, preprocess.infer(table, None, {}, MISSING))
    state = json.dumps(prep.dump(), allow_nan=False)  # strict JSON
    numbers = prep.encode(table)["number"]
    assert np.isfinite(numbers).all() and np.abs(numbers).max() <= 3 and json.loads(state)


def test_numbers_that_differ_by_more_than_any_number_stay_in_order():
    values = np.linspace(-1, 1, 101) * 1.7e308
    state = number.fit(pa.array(values), number.Config())
    assert (np.diff(number.encode(pa.array(values), state)[:, 0]) >= 0).all()


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_that_cannot_be_computed_with_is_refused_with_a_sentence(name):
    numbers, task, sentence = TARGETS[name]
    with pytest.raises(LaminaError, match=sentence):
        train(numbers, task)


def test_a_target_beyond_all_others_is_skipped_and_said():
    far = np.append(PLAIN[1:], 1e308)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = train(far, "regression")
    assert model.result["skipped"] == 1 and abs(model.result["scores"]["rmse"]) < 10


@pytest.mark.parametrize("large", [2**63, 2**70])
def test_labels_beyond_64_bits_are_names(large):
    model = train([large + int(end > 0) for end in ENDS], "classification")
    assert {answer["prediction"] for answer in model.predict([{"x": 1.0}, {"x": -1.0}])} <= {str(large), str(large + 1)}


def test_a_generator_makes_whole_numbers_beyond_53_bits():
    generated = train(2**60 + RNG.integers(0, 2**58, ROWS), "generation").generate(9)["y"]
    assert min(generated.to_pylist()) > 2**59 and max(generated.to_pylist()) < 2**61


def test_more_labels_than_a_network_can_tell_apart_are_a_sentence():
    names = [f"c{i}" for i in range(200_000)]
    with pytest.raises(LaminaError, match="has 140,000 different labels, and a network can tell 100,000 apart at most"):
        lamina.fit({"x": np.arange(200_000.0), "y": names}, "y", recipe={**TINY, "task": "classification"})


def test_the_command_line_says_the_same_in_one_sentence(tmp_path):
    path = tmp_path / "far.csv"
    path.write_text("x,y\n" + "".join(f"{x},{end}e308\n" for x, end in zip(PLAIN, ENDS, strict=True)))
    code, out, err = command("train", path, "--target", "y", "--task", "regression", "--out", tmp_path / "run")
    assert code and "the target is beyond 1e+100" in out + err and "Traceback" not in out + err
