"""Scores agree with scikit-learn, never warn, and are None where the rows do not define them."""

import time

import numpy as np
import pytest

from lamina.config import LaminaError
from lamina.evaluate import calibration, metrics
from lamina.evaluate.metrics.classification import accuracy, ece, per_class
from lamina.evaluate.metrics.regression import r2
from lamina.plugins import plugin

sk = pytest.importorskip("sklearn.metrics")
CLASSIFICATION = list(plugin("tasks", "classification").Task.metrics)
SEVERAL = list(plugin("tasks", "multilabel").Task.metrics)
REGRESSION = ["rmse", "mae", "r2", "coverage", "interval_width"]


def classified(n=500, k=3, seed=0):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), target] += 1
    e = np.exp(logits)
    return target, {"probabilities": (e / e.sum(1, keepdims=True)).astype(np.float32)}


def regressed(n=500, seed=0):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=n) * 10
    said = target + rng.normal(size=n)
    return target, {"prediction": said, "low": said - 1.645, "high": said + 1.645}


def several(n=500, k=3, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.random((n, k))
    return rng.random((n, k)) < p, {"probabilities": p, "chosen": p > 0.5}


@pytest.mark.parametrize("k", [2, 3, 30])
def test_classification_scores_agree_with_scikit_learn(k):
    target, answers = classified(k=k)
    p = answers["probabilities"].astype(np.float64)
    said = p.argmax(1)
    got = metrics.scores(CLASSIFICATION, target, answers)
    macro = {"average": "macro", "zero_division": 0}
    want = {
        "accuracy": sk.accuracy_score(target, said),
        "balanced_accuracy": sk.balanced_accuracy_score(target, said),
        "precision": sk.precision_score(target, said, **macro),
        "recall": sk.recall_score(target, said, **macro),
        "f1": sk.f1_score(target, said, **macro),
        "f1_weighted": sk.f1_score(target, said, average="weighted", zero_division=0),
        "log_loss": sk.log_loss(target, p / p.sum(1, keepdims=True), labels=range(k)),
        "roc_auc": sk.roc_auc_score(target, p[:, 1] if k == 2 else p / p.sum(1, keepdims=True), multi_class="ovr"),
        "pr_auc": sk.average_precision_score(target, p[:, 1]) if k == 2 else None,
    }
    for name, value in want.items():
        assert got[name] == (None if value is None else pytest.approx(value, abs=1e-5)), name


def test_regression_scores_agree_with_scikit_learn():
    target, answers = regressed()
    got = metrics.scores(REGRESSION, target, answers)
    assert got["rmse"] == pytest.approx(sk.root_mean_squared_error(target, answers["prediction"]))
    assert got["mae"] == pytest.approx(sk.mean_absolute_error(target, answers["prediction"]))
    assert got["r2"] == pytest.approx(sk.r2_score(target, answers["prediction"]))
    assert got["coverage"] == pytest.approx(0.9, abs=0.04)
    assert got["interval_width"] == pytest.approx(3.29)


def test_a_test_set_of_one_class_gives_none_where_nothing_is_defined_and_never_warns():
    _, answers = classified(n=40, k=2)
    got = metrics.scores(CLASSIFICATION, np.zeros(40, dtype=int), answers)
    assert got["roc_auc"] is None
    assert got["pr_auc"] is None
    assert got["accuracy"] is not None


@pytest.mark.parametrize("names, make", [(CLASSIFICATION, classified), (REGRESSION, regressed)])
def test_no_rows_and_values_that_are_not_finite_give_none(names, make):
    target, answers = make(n=20)
    assert set(metrics.scores(names, target[:0], {k: v[:0] for k, v in answers.items()}).values()) == {None}
    assert set(metrics.scores(names, target, {k: np.full_like(v, np.nan) for k, v in answers.items()}).values()) == {
        None
    }
    assert metrics.bootstrap(names[0], target[:0], {k: v[:0] for k, v in answers.items()}) is None


def test_a_constant_target_has_no_r2():
    assert r2(np.ones(9), {"prediction": np.zeros(9)}) is None


def test_an_infinite_interval_covers_everything_and_has_no_width():
    answers = {"low": np.full(5, -np.inf), "high": np.full(5, np.inf)}
    assert metrics.scores(("coverage", "interval_width"), np.arange(5.0), answers) == {
        "coverage": 1.0,
        "interval_width": None,
    }


def test_calibration_error_is_small_for_honest_and_large_for_boastful_confidence():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 20_000)
    target = (rng.uniform(size=len(p)) > p).astype(int)
    honest = {"probabilities": np.stack([p, 1 - p], axis=1)}
    boastful = {"probabilities": np.tile([0.99, 0.01], (len(p), 1))}
    assert ece(target, honest) < 0.02
    assert ece(target, boastful) == pytest.approx(0.99 - (target == 0).mean())


def test_calibration_error_does_not_depend_on_the_order_of_rows():
    target, answers = classified()
    p = answers["probabilities"].round(1)
    back = np.arange(len(target))[::-1]
    assert ece(target, {"probabilities": p}) == pytest.approx(ece(target[back], {"probabilities": p[back]}))


def test_per_class_counts_rows_and_leaves_undefined_values_empty():
    p = np.eye(3)[[0, 0, 1, 1]]
    rows = per_class(np.array([0, 0, 0, 1]), {"probabilities": p}, ("a", "b", "c"))
    assert [r["support"] for r in rows] == [3, 1, 0]
    assert [r["predicted"] for r in rows] == [2, 2, 0]
    assert rows[0]["recall"] == pytest.approx(2 / 3)
    assert rows[2] == {"class": "c", "precision": None, "recall": None, "f1": None, "support": 0, "predicted": 0}


@pytest.mark.parametrize("name", [*CLASSIFICATION, *REGRESSION, *SEVERAL])
def test_the_bootstrap_interval_holds_the_value_and_repeats_with_its_seed(name):
    target, answers = classified(k=2) if name in CLASSIFICATION else regressed() if name in REGRESSION else several()
    value, interval = metrics.find(name)(target, answers), metrics.bootstrap(name, target, answers)
    assert value is not None and interval is not None
    slack = 0.05 if name == "ece" else 1e-9  # resampling makes a calibration error larger
    assert interval[0] - slack <= value <= interval[1] + slack
    assert interval == metrics.bootstrap(name, target, answers)


def test_the_bootstrap_of_accuracy_is_as_wide_as_theory_says():
    target, answers = classified(n=16_000)
    low, high = metrics.bootstrap("accuracy", target, answers, draws=2000)
    share = accuracy(target, answers)
    assert (high - low) == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 16_000), rel=0.1)


@pytest.mark.parametrize("name", ["accuracy", "rmse", "log_loss", "roc_auc"])
def test_the_bootstrap_is_quick_on_many_rows(name):
    target, answers = regressed(16_000) if name == "rmse" else classified(16_000, 2)
    metrics.bootstrap(name, target, answers)
    start = time.perf_counter()
    metrics.bootstrap(name, target, answers)
    assert time.perf_counter() - start < 1.5  # about 0.2 s on an idle machine


def test_a_function_is_a_metric_and_a_misspelt_name_is_a_sentence():
    def always_one(target, answers):
        return 1.0

    assert metrics.scores((always_one,), np.zeros(2), {}) == {"always_one": 1.0}
    with pytest.raises(LaminaError, match="Did you mean 'accuracy'"):
        metrics.scores(("acuracy",), np.zeros(2), {})


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_temperature_recovers_how_much_logits_were_stretched(true):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4)) * 2
    gumbel = -np.log(-np.log(rng.uniform(size=logits.shape)))
    target = (logits + gumbel).argmax(1)
    assert calibration.temperature(logits * true, target) == pytest.approx(true, rel=0.05)


def test_temperature_takes_one_logit_and_stays_within_bounds():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(5_000, 1)) * 3
    target = (rng.uniform(size=5_000) < 1 / (1 + np.exp(-one[:, 0]))).astype(int)
    two = np.concatenate([np.zeros_like(one), one], axis=1)
    assert calibration.temperature(one, target) == pytest.approx(calibration.temperature(two, target))
    assert calibration.temperature(0.1 * one, target) == pytest.approx(0.1, rel=0.1)
    assert calibration.temperature(np.array([[9.0], [-9.0]]), np.array([0, 1])) == pytest.approx(20, rel=0.01)
    assert calibration.temperature(np.array([[np.nan, 1.0]]), np.array([0])) == 1.0


def test_right_answers_alone_do_not_make_the_next_one_certain():
    for rows in (2, 10, 1000):
        logits = np.tile([[9.0], [-9.0]], (rows // 2, 1))
        sure = 1 / (1 + np.exp(-9.0 / calibration.temperature(logits, logits[:, 0] > 0)))
        assert 1 - sure == pytest.approx(0.5 / (rows + 2), rel=0.01)  # a doubt of one row in n + 2, over two classes


def test_conformal_width_covers_new_rows_as_often_as_promised():
    rng = np.random.default_rng(0)
    covered = [
        np.mean(np.abs(rng.normal(size=2000)) <= calibration.conformal(rng.normal(size=50), 0.9)) for _ in range(400)
    ]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)


def test_conformal_width_is_finite_for_few_rows_and_for_infinite_residuals():
    assert calibration.conformal(np.array([1.0, -2.0])) == 2.0
    assert calibration.conformal(np.array([1.0, np.inf, np.nan, -3.0])) == 3.0
    assert calibration.conformal(np.arange(1, 100.0), 0.9) == 90.0
