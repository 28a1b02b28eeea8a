"""How well a forecast is by default: season, trend, level, scale, intervals."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import models
from lamina.models import _ridge_init as _begin
from lamina.schema import Batch, Input, Output, Spec, Windows
from lamina.tasks.forecasting import seasonality
from lamina.tasks.forecasting.state import Frequency

BRIEF = {"epochs": 5}


def days(values: np.ndarray, first: date = date(2022, 1, 3), **settings: Any) -> list[dict[str, Any]]:
    return [{"day": (first + timedelta(days=i)).isoformat(), "y": float(v), **settings} for i, v in enumerate(values)]


def learned(rows: list[dict[str, Any]], split: Any = None, **task: Any) -> lamina.Estimator:
    settings = {"split": split} if split else {}
    return lamina.fit(rows, "y", recipe={"task": {"kind": "forecasting", **task}, "train": BRIEF, **settings})


def weekly(count: int, seed: int = 0) -> np.ndarray:
    """A week of its own shape, and what carries over from day to day."""
    rng = np.random.default_rng(seed)
    rest = np.zeros(count)
    for i in range(1, count):
        rest[i] = 0.8 * rest[i - 1] + rng.normal()
    return 50 + np.array([0, 1, 2, 1, 4, 9, 7])[np.arange(count) % 7] + rest


def test_a_seasonal_series_is_forecast_better_than_by_its_season_and_than_by_ridge_regression():
    result = learned(days(weekly(400))).result
    rivals = {name: scores["mase"] for name, scores in result["baselines"].items()}
    assert result["scores"]["mase"] < 0.85 * rivals["seasonal_naive"]
    assert result["scores"]["mase"] < 0.85 * rivals["last_value"]
    assert result["scores"]["mase"] < 1.02 * rivals["linear_window"]


def test_a_trend_is_continued_beyond_all_that_was_seen():
    line = 10 + 0.5 * np.arange(300)
    rng = np.random.default_rng(0)
    result = learned(days(line + 0.2 * rng.normal(size=300)), horizon=14, transform="none")
    predictions = result.predict(days(line + 0.2 * rng.normal(size=300)))
    beyond = 10 + 0.5 * np.arange(300, 314)
    np.testing.assert_allclose([row["prediction"] for row in predictions], beyond, atol=1.0)


def test_a_level_that_moved_after_training_does_no_harm():
    values, result = weekly(427), learned(days(weekly(300)), horizon=7)
    wrong = []
    for moved in (0.0, 1000.0):
        predictions = result.predict(days(values[300:420] + moved, date(2022, 1, 3) + timedelta(days=300)))
        wrong.append(np.array([row["prediction"] for row in predictions]) - values[420:] - moved)
    assert np.abs(wrong[0]).mean() < 4
    np.testing.assert_allclose(wrong[0], wrong[1], atol=0.05)


def test_quantiles_do_not_cross_and_hold_their_share():
    rng = np.random.default_rng(0)
    series = weekly(700) + rng.normal(size=700)
    result = learned(days(series[:600]), loss="pinball", horizon=7)
    predictions = result.predict(days(series[:600]))
    each = np.array([list(row["quantiles"].values()) for row in predictions])
    assert (np.diff(each, axis=1) >= 0).all()
    assert (np.diff(each[:, [0, -1]], axis=1) > 1).all()
    assert 0.75 < (result.evaluate(days(series)) or {})["coverage"] <= 1.0


def test_series_of_very_different_scale_are_each_forecast_well_with_an_interval_of_their_own():
    rng = np.random.default_rng(0)
    scales = {f"s{i}": 10.0**power for i, power in enumerate(np.linspace(0, 5, 12))}
    whole = {
        name: scale * (1 + 0.03 * (weekly(147, i) - 50 + rng.normal(size=147)))
        for i, (name, scale) in enumerate(scales.items())
    }
    rows = [row for name, values in whole.items() for row in days(values[:140], series=name)]
    predictions = learned(rows, series="series", horizon=7, transform="none").predict(rows)
    for name, values in whole.items():
        own = [row for row in predictions if row["series"] == name]
        naive = np.abs(values[7:140] - values[:133]).mean()
        errors = np.abs(np.array([row["prediction"] for row in own]) - values[140:])
        widths = np.array([row["high"] - row["low"] for row in own]) / naive
        assert errors.mean() < 1.6 * naive, name
        assert 1 < widths.min() <= widths.max() < 8, name


@pytest.mark.parametrize("name", ["linear", "gru", "fnn"])
def test_a_network_begins_with_the_linear_forecast_of_least_validation_error(name: str):
    rng = np.random.default_rng(0)
    values = (np.sin(2 * np.pi * np.arange(600) / 12) + 0.3 * rng.normal(size=600)).astype(np.float32)[:, None]

    def part(starts: np.ndarray) -> Batch:
        return Batch({"history": Windows(values, starts, 24)}, Windows(values, starts + 24, 6))

    train, validation = part(np.arange(0, 400)), part(np.arange(430, 560))
    output = Output(head="horizon", size=6, loss="forecast_mse", settings={"horizon": 6, "targets": 1, "quantiles": []})
    spec = Spec(inputs={"history": Input(kind="series", shape=(24, 1), dtype="float32")}, output=output, rows=400)
    model = models.build(models.plugin("models", name).Config(), spec, 0).eval()
    result = []
    for _ in range(2):
        raw = models_answer(model, validation)
        result.append(float(np.square(raw - np.asarray(validation.target)[..., 0]).mean()))
        models.initialize(model, train, validation)
    assert result[1] < 0.25 * result[0]  # from about the last value, to about the noise
    assert result[1] < 0.15


def models_answer(model: Any, data: Batch) -> np.ndarray:
    import torch

    with torch.inference_mode():
        return model({name: torch.from_numpy(np.asarray(v)) for name, v in data.inputs.items()})["target"].numpy()


def test_the_closed_form_takes_no_weights_where_the_past_tells_nothing():
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.normal(size=800)).astype(np.float32)[:, None]
    parts = [
        Batch({"history": Windows(values, starts, 32)}, Windows(values, starts + 32, 4))
        for starts in (np.arange(0, 400), np.arange(440, 760))
    ]
    weight = _begin.ridge(parts[0], parts[1], [0], _begin.Relation("last", True))
    assert weight is not None
    assert np.abs(weight).max() < 0.1  # a random walk goes on from its last value


@pytest.mark.parametrize("period", [5, 25, 40])
def test_a_cycle_is_found_in_rows_without_a_time_and_none_in_noise(period: int):
    rng = np.random.default_rng(0)
    steps = np.arange(400)
    noise = 0.3 * rng.normal(size=400)
    assert seasonality.cycle(np.sin(2 * np.pi * steps / period) + 0.01 * steps + noise) == period
    assert seasonality.cycle(noise) == 1
    assert seasonality.cycle(np.cumsum(noise)) == 1
    assert seasonality.cycle(np.full(400, 3.0)) == 1


def test_the_season_is_the_usual_one_of_a_step_and_the_history_holds_two_of_them():
    seconds = {60: 60, 300: 288, 900: 96, 3600: 24, 21_600: 4, 86_400: 7, 604_800: 52}
    nothing = np.zeros(100)
    result = {count: seasonality.season(Frequency(unit="second", count=count), nothing) for count in seconds}
    assert result == seconds
    assert seasonality.season(Frequency(unit="month"), nothing) == 12
    assert seasonality.season(Frequency(unit="row"), np.sin(np.arange(300) * 2 * np.pi / 30)) == 30
    assert [seasonality.context(length, 12, 12) for length in (20, 40, 60, 100, 4000)] == [1, 12, 24, 24, 336]


def test_prices_that_move_at_random_are_forecast_about_as_well_as_by_the_last_one():
    rng = np.random.default_rng(0)
    prices = 100 * np.exp(np.cumsum(0.01 * rng.normal(size=700)))
    result = learned(days(prices), horizon=5, transform="log_return").result
    assert result["scores"]["mae"] < 1.04 * result["baselines"]["random_walk"]["mae"]
