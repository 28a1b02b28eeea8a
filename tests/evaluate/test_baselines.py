"""Baselines take a network's own inputs, beat chance on real toy data, and never cost the run."""

import numpy as np
import pytest

from lamina import experiment
from lamina.evaluate import baselines, metrics
from lamina.evaluate.metrics.classification import accuracy
from lamina.evaluate.metrics.regression import r2
from lamina.plugins import available
from lamina.schema import Input, Output, Spec
from lamina.tasks.forecasting.baselines import PRICES, VALUES

toys = pytest.importorskip("sklearn.datasets")
CLASSIFIERS, REGRESSORS = ("majority", "logistic", "gradient_boosting"), ("mean", "ridge", "gradient_boosting")
SEVERAL = ("frequent_labels", "logistic_labels")
COUNTS = ("unigram", "bigram", "kneser_ney")  # of language modelling
DISTANCES = ("nearest_neighbours", "principal_components", "isolation_forest", "moving_z_score", "pca")
FILTERS = ("noisy", "non_local_means", "bilateral_filter", "median_filter", "gaussian_filter", "savitzky_golay")


def spec(numbers=0, sizes=(), words=0):
    inputs = {}
    if numbers:
        inputs["number"] = Input(kind="number", shape=(numbers,), dtype="float32")
    if sizes:
        inputs["category"] = Input(kind="category", shape=(len(sizes),), dtype="int64", sizes=sizes)
    if words:
        inputs["tokens2"] = Input(kind="tokens", shape=(6,), dtype="int64", sizes=(words,))
    return Spec(inputs=inputs, output=Output(size=1, loss="any"))


def scaled(x):
    return ((x - np.median(x, 0)) / (np.ptp(x, axis=0) + 1e-9)).astype(np.float32)


def rows(features, pick):
    return {name: array[pick] for name, array in features.items()}


def fit(names, features, target, asked, classes, notes=None):
    return baselines.fit(names, features, target, asked, classes, [] if notes is None else notes)


@pytest.mark.parametrize("load, classes", [(toys.load_breast_cancer, 2), (toys.load_iris, 3)])
def test_classical_classifiers_beat_the_majority_class(load, classes):
    x, y = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[: len(y) * 2 // 3], order[len(y) * 2 // 3 :]
    features = {"number": scaled(x)}
    fitted = fit(CLASSIFIERS, rows(features, train), y[train], spec(x.shape[1]), classes)
    got = {name: predict(rows(features, test)) for name, predict in fitted.items()}
    shares = {name: accuracy(y[test], answers) for name, answers in got.items()}
    assert shares["logistic"] > shares["majority"] + 0.2
    assert shares["gradient_boosting"] > shares["majority"] + 0.2
    for answers in got.values():
        np.testing.assert_allclose(answers["probabilities"].sum(1), 1, atol=1e-6)


def test_classical_regressors_beat_the_mean():
    x, y = toys.load_diabetes(return_X_y=True)
    features = {"number": scaled(x)}
    fitted = fit(REGRESSORS, rows(features, slice(300)), y[:300], spec(x.shape[1]), 0)
    values = {name: r2(y[300:], predict(rows(features, slice(300, None)))) for name, predict in fitted.items()}
    assert values["mean"] < 0.05 < 0.2 < values["gradient_boosting"]
    assert values["ridge"] > 0.3


def test_categories_are_not_read_as_an_order():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 300, (3000, 2))
    codes[:, 0] %= 8
    target = np.isin(codes[:, 0], (1, 4, 6)).astype(int)
    fitted = fit(CLASSIFIERS, {"category": codes}, target, spec(sizes=(8, 300)), 2)
    for name in ("logistic", "gradient_boosting"):
        assert accuracy(target, fitted[name]({"category": codes})) > 0.99


def test_words_are_counted_and_padding_is_not_a_word():
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 50, (2000, 6))
    tokens[:, 4:] *= rng.integers(0, 2, (2000, 1))
    target = (tokens == 7).any(1).astype(int)
    notes = []
    fitted = fit(CLASSIFIERS, {"tokens2": tokens}, target, spec(words=50), 2, notes)
    assert accuracy(target, fitted["logistic"]({"tokens2": tokens})) > 0.97
    assert "gradient_boosting" not in fitted
    assert "gradient boosting was left out: there are no numbers or categories" in notes[0]
    empty = fitted["logistic"]({"tokens2": np.zeros((3, 6), dtype=np.int64)})
    assert np.isfinite(empty["probabilities"]).all()


def test_words_that_each_say_little_are_learned_from_together():
    rng = np.random.default_rng(0)
    target = np.tile([0, 1], 1500)
    tokens = rng.integers(1, 10_000, (3000, 20))
    leaning = (tokens % 2 == target[:, None]) | (rng.random(tokens.shape) < 0.6)
    tokens = np.where(leaning, tokens, (tokens + 1) % 10_000)
    fitted = fit(("logistic",), {"tokens2": tokens[:2000]}, target[:2000], spec(words=10_000), 2)
    assert accuracy(target[2000:], fitted["logistic"]({"tokens2": tokens[2000:]})) > 0.8


def test_trees_read_the_words_that_stand_beside_other_columns():
    rng = np.random.default_rng(0)
    tokens, numbers = rng.integers(1, 50, (2000, 6)), rng.normal(size=(2000, 1)).astype(np.float32)
    tokens[::2, :3] = 7  # texts of two sorts, which the word of one of them tells apart
    target = ((tokens == 7).any(1) ^ (numbers[:, 0] > 1)).astype(int)
    inputs = spec(1).inputs | spec(words=50).inputs
    features = {"number": numbers, "tokens2": tokens}
    both = Spec(inputs=inputs, output=Output(size=2, loss="mse"))
    fitted = fit(("logistic", "gradient_boosting"), rows(features, slice(1500)), target[:1500], both, 2)
    shares = {n: accuracy(target[1500:], p(rows(features, slice(1500, None)))) for n, p in fitted.items()}
    assert shares["gradient_boosting"] > 0.93 > shares["logistic"]
    unheard = {"number": numbers[:3], "tokens2": np.zeros((3, 6), dtype=np.int64)}
    assert np.isfinite(fitted["gradient_boosting"](unheard)["probabilities"]).all()


def test_images_are_shrunk_for_the_baselines_that_take_them():
    notes, rng = [], np.random.default_rng(0)
    dark, bright = rng.integers(0, 120, (100, 30, 20, 1)), rng.integers(100, 255, (100, 30, 20, 1))
    features = {"image0": np.concatenate([dark, bright]).astype(np.uint8)}
    target = np.repeat([0, 1], 100)
    inputs = {"image0": Input(kind="image", shape=(30, 20, 1), dtype="uint8")}
    fitted = fit(CLASSIFIERS, features, target, Spec(inputs=inputs, output=Output(size=1, loss="mse")), 2, notes)
    assert set(fitted) == {"majority", "logistic"}
    assert (fitted["logistic"](features)["probabilities"].argmax(1) == target).all()
    assert "gradient boosting was left out: there are no numbers or categories" in notes[0]


def test_a_baseline_that_fails_leaves_a_note_and_the_others():
    notes = []
    features = {"number": np.zeros((30, 2), np.float32)}
    fitted = fit(CLASSIFIERS, features, np.ones(30, dtype=int), spec(2), 2, notes)
    assert "majority" in fitted and "logistic" not in fitted
    assert any("logistic regression was left out" in note for note in notes)


def test_classes_absent_from_training_get_probability_zero():
    rng = np.random.default_rng(0)
    features = {"number": rng.normal(size=(400, 3)).astype(np.float32)}
    target = np.where(features["number"][:, 0] > 0, 3, 1)
    for predict in fit(CLASSIFIERS, features, target, spec(3), 5).values():
        p = predict(features)["probabilities"]
        assert p.shape == (400, 5)
        assert (p[:, [0, 2, 4]] == 0).all()


def test_a_class_with_one_row_stops_no_baseline():
    rng = np.random.default_rng(0)
    features = {"number": rng.normal(size=(400, 3)).astype(np.float32)}
    target = np.r_[2, np.arange(399) % 2]
    notes = []
    assert set(fit(CLASSIFIERS, features, target, spec(3), 3, notes)) == set(CLASSIFIERS)
    assert notes == []


def test_many_classes_leave_out_boosting_and_many_rows_are_sampled_and_both_are_told():
    notes = []
    features = {"number": np.zeros((100_500, 1), np.float32)}
    fitted = fit(("majority", "gradient_boosting"), features, np.arange(100_500) % 60, spec(1), 60, notes)
    assert list(fitted) == ["majority"]
    assert "100,000 of the 100,500" in notes[0]
    assert "60 classes" in notes[1]


def test_the_same_rows_give_the_same_baselines():
    x, y = toys.load_breast_cancer(return_X_y=True)
    features = {"number": scaled(x)}
    first, second = (fit(CLASSIFIERS, features, y, spec(x.shape[1]), 2) for _ in range(2))
    for name in CLASSIFIERS:
        np.testing.assert_array_equal(first[name](features)["probabilities"], second[name](features)["probabilities"])


def test_a_baseline_of_another_task_is_our_fault():
    with pytest.raises(AssertionError, match="ridge"):
        fit(("ridge",), {}, np.zeros(3, dtype=int), spec(1), 2)


def test_every_baseline_has_a_name_for_people():
    for task in available("tasks"):
        experiment.of(task)  # whose baselines are then there
    names = {*CLASSIFIERS, *REGRESSORS, *SEVERAL, "nearest_neighbour", "held_out", *COUNTS, *VALUES, *PRICES}
    names |= {*DISTANCES, *FILTERS}
    assert set(baselines.LABELS) == names


def test_labels_by_logistic_regression_beat_the_most_frequent_ones_and_rare_ones_do_no_harm():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)).astype(np.float32)
    target = np.stack([x[:, 0] > 0, x[:, 1] > 0.8, np.arange(400) == 3, np.ones(400, bool)], axis=1)
    fitted = fit(SEVERAL, {"number": x[:300]}, target[:300], spec(3), 4)
    got = {name: predict({"number": x[300:]}) for name, predict in fitted.items()}
    f1 = {name: metrics.find("f1_micro")(target[300:], answers) for name, answers in got.items()}
    assert f1["logistic_labels"] > 0.95 > 0.9 > f1["frequent_labels"] > 0.6
    assert got["frequent_labels"]["chosen"][0].tolist() == [True, False, False, True]
