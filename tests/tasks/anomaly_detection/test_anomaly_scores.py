"""What scores mean, by arrays: tails that never end, groups that give no row away, attributions of the right column."""

import numpy as np
import pytest

from lamina.tasks.anomaly_detection import (
    detector,
    detector_fit,
    metrics,
    micro_aggregation,
    recording,
    tail_probability,
)
from lamina.tasks.anomaly_detection.detector import Detector
from lamina.tasks.anomaly_detection.detector_fit import Rows
from lamina.tasks.anomaly_detection.recording import Course


def normal(count: int, seed: int = 0, places: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, places)).astype(np.float32)


# tails


@pytest.mark.parametrize("draw", ["normal", "exponential", "standard_cauchy"])
def test_of_rows_like_those_of_calibration_as_many_are_flagged_as_were_promised(draw):
    rng = np.random.default_rng(0)
    tail = tail_probability.fit(np.abs(getattr(rng, draw)(size=2_000)))
    fresh = tail_probability.surprise(tail, np.abs(getattr(rng, draw)(size=100_000)))
    for rate in (0.2, 0.05, 0.01, 0.002):
        assert (fresh >= -np.log10(rate)).mean() == pytest.approx(rate, rel=0.5)


def test_of_two_rows_beyond_all_that_were_measured_the_stranger_one_has_the_higher_score():
    tail = tail_probability.fit(np.random.default_rng(0).normal(size=500))
    surprise = tail_probability.surprise(tail, np.array([4.0, 5.0, 8.0, 20.0]))
    assert (np.diff(surprise) > 0).all() and surprise[0] > 3


@pytest.mark.parametrize("scores", [[1.0], [2.0, 2.0, 2.0], [0.0] * 50, list(range(7))])
def test_few_or_equal_scores_have_a_tail_too(scores):
    tail = tail_probability.fit(np.array(scores))
    surprise = tail_probability.surprise(tail, np.array([min(scores) - 1, max(scores), max(scores) + 100]))
    assert np.isfinite(surprise).all() and (np.diff(surprise) >= 0).all() and surprise[2] > 1


# groups


def test_every_group_has_five_rows_at_least_and_no_mean_is_a_row():
    rows = normal(503)
    group = micro_aggregation.labels(rows)
    assert np.bincount(group).min() >= 5 and np.bincount(group).max() < 10
    means = micro_aggregation.fit(rows, group).means
    assert np.abs(means[:, None] - rows[None]).max(axis=2).min() > 1e-3


def test_the_distance_to_the_nearest_group_is_that_to_its_rows():
    rows, other = normal(100), normal(30, 1)
    group = micro_aggregation.labels(rows)
    near, number = micro_aggregation.nearest(other, micro_aggregation.fit(rows, group))
    for i in range(len(other)):
        distances = np.linalg.norm(rows[group == number[i]] - other[i], axis=1)
        assert near[i] == pytest.approx(np.sqrt(np.square(distances).mean()), rel=1e-4)


def test_few_rows_are_one_group():
    assert set(micro_aggregation.labels(normal(1))) == {0}
    assert set(micro_aggregation.labels(normal(9))) == {0}


# scores and attributions


def fitted(seed: int = 0) -> tuple[Detector, detector.Tails]:
    train, validation = normal(400, seed), normal(300, seed + 1)
    return detector_fit.fit(Rows(0.1 * train, train), Rows(0.1 * validation, validation))


def test_the_score_is_attributed_to_the_column_that_is_off():
    detection, tails = fitted()
    rows = np.zeros((4, 4), np.float32)
    rows[np.arange(4), np.arange(4)] = 9
    scores = detector.score(detection, tails, 0.1 * rows, rows)
    assert (scores.attributions.argmax(axis=1) == np.arange(4)).all()
    assert scores.attributions.sum(axis=1) == pytest.approx(1)
    usual = detector.score(detection, tails, np.zeros((1, 4)), np.zeros((1, 4), np.float32))
    assert scores.surprise.min() > 4 > usual.surprise[0]


def test_a_detector_comes_back_from_its_file_as_it_was():
    detection, tails = fitted()
    rows = normal(50, 7)
    again = detector.restore(detection.dump())
    before, after = (detector.score(one, tails, rows, rows) for one in (detection, again))
    assert np.array_equal(before.surprise, after.surprise)


def test_anomalies_among_training_rows_are_left_out():
    rows = np.concatenate([normal(300), normal(20, 1) + 8])
    near = detector_fit.trimmed(rows, 0.1)
    assert not near[300:].any() and near.sum() == 256


# series


def test_windows_are_stretches_one_step_apart():
    steps = np.arange(10, dtype=np.float32).reshape(5, 2)
    assert recording.windows(steps, 3).tolist() == [[0, 1, 2, 3, 4, 5], [2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 8, 9]]
    assert recording.windows(steps, 6).shape == (0, 12)


def test_a_level_that_stays_is_an_alarm_once_and_no_later_step_changes_a_score():
    course = Course(level=1.0, spread=0.2)
    surprise = np.concatenate([np.full(300, 1.0), np.full(300, 5.0)])
    contrast = recording.contrast(surprise, course, 50)
    assert np.abs(contrast[:300]).max() < 0.1 and contrast[300] > 5 and contrast[-1] < 1.5
    assert np.array_equal(recording.contrast(surprise[:400], course, 50), contrast[:400])


def test_a_step_that_those_before_do_not_say_is_far_from_its_forecast():
    rng = np.random.default_rng(0)
    steps = np.sin(np.arange(600) / 5)[:, None] + 0.05 * rng.normal(size=(600, 1))
    cut = recording.windows(steps.astype(np.float32), 12)
    next_step = detector_fit.forecast(cut, 1)
    off = cut.copy()
    off[:, -1] += 1
    before, after = (np.abs((one - cut.mean(axis=0)) @ next_step)[:, 0] for one in (cut, off))
    assert np.median(before) < 1 and np.median(after) > 5


# metrics


def test_scores_by_labels_are_those_of_scikit_learn():
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(0)
    target, score = rng.integers(0, 2, 300), np.round(rng.normal(size=300), 1)
    answers = {"score": score, "flag": score > 1}
    assert metrics.ranking_auc(target, answers) == pytest.approx(roc_auc_score(target, score))
    assert metrics.ranking_precision(target, answers) == pytest.approx(average_precision_score(target, score))
    unknown = {name: np.concatenate([v, v[:50]]) for name, v in answers.items()}
    assert metrics.ranking_auc(np.concatenate([target, np.full(50, -1)]), unknown) == metrics.ranking_auc(
        target, answers
    )
    assert metrics.ranking_auc(np.zeros(300), answers) is None
