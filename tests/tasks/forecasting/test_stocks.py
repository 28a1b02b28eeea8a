"""Prices: known by how they move, forecast as log-returns, and evaluated beside the random walk without flattery."""

import csv
import json
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import lamina
from lamina.data._splits import TimeSplit
from lamina.tasks.forecasting import State, transform
from lamina.tasks.forecasting.directional_accuracy import WARNING
from lamina.tasks.forecasting.price_detection import are_prices
from lamina.tasks.forecasting.state import TargetColumn

DATA = Path(__file__).parents[4] / "shared" / "data" / "time_series"
SMALL = {"kind": "fnn", "width": 16, "depth": 1, "members": 1}


def walk(count, seed=0, deviation=0.013, drift=0.0003):
    """Geometric Brownian motion."""
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(drift, deviation, count)))


def garch(count, seed=0):
    """Returns whose volatility comes in clusters, with heavy tails, as those of real shares do."""
    rng, result, variance = np.random.default_rng(seed), np.zeros(count), 1e-4
    for i in range(count):
        result[i] = np.sqrt(variance) * rng.standard_t(5) / np.sqrt(5 / 3)
        variance = 2e-6 + 0.08 * result[i] ** 2 + 0.9 * variance
    return 50 * np.exp(np.cumsum(result))


def remembering(count, seed=0, memory=0.5):
    """Prices whose return says something of the next one."""
    rng, result = np.random.default_rng(seed), np.zeros(count)
    for i in range(1, count):
        result[i] = memory * result[i - 1] + rng.normal(0, 0.01)
    return 100 * np.exp(np.cumsum(result))


def traded(prices, holidays=0, seed=0):
    """Rows of business days, a few of them missing."""
    days, day = [], date(2019, 1, 1)
    while len(days) < len(prices):
        days += [day] if day.weekday() < 5 else []
        day += timedelta(1)
    rows = [{"day": d.isoformat(), "close": round(float(p), 3)} for d, p in zip(days, prices, strict=True)]
    gone = set(np.random.default_rng(seed).choice(np.arange(1, len(rows) - 1), holidays, replace=False).tolist())
    return [row for i, row in enumerate(rows) if i not in gone]


def fitted(rows, folder, task=None, epochs=6, **more):
    train = {"epochs": epochs, "batch_size": 64}
    recipe = {"task": {"kind": "forecasting", **(task or {})}, "model": SMALL, "train": train, **more}
    return lamina.fit(rows, "close", recipe=recipe, out=folder)


def like(values, name="x"):
    return are_prices([np.asarray(values, float)[:, None]], (name,))


# which columns are prices


@pytest.mark.parametrize("make", [walk, garch])
@pytest.mark.parametrize(("count", "name"), [(175, "Close"), (300, "price"), (300, "AAPL"), (2000, "AAPL")])
def test_random_walks_of_a_few_hundred_rows_are_taken_for_prices(make, count, name):
    result = [like(make(count, seed), name) for seed in range(20)]
    assert np.mean(result) >= 0.85


def test_minutes_with_a_spread_between_bid_and_ask_are_prices_by_their_name():
    rng = np.random.default_rng(1)
    minutes = (walk(1500, deviation=0.0005, drift=0) * (1 + 0.0003 * rng.choice([-1, 1], 1500))).round(2)
    assert like(minutes, "close")


def test_several_series_of_prices_are_prices_and_one_that_is_none_among_them_does_not_hide_it():
    many = [walk(400, seed)[:, None] for seed in range(9)]
    assert are_prices(many, ("close",))
    assert are_prices([*many, (100 + np.sin(np.arange(400.0)))[:, None]], ("close",))
    assert not are_prices([np.hstack([one, np.arange(400.0)[:, None] % 7 + 1]) for one in many], ("close", "volume"))


def test_the_real_prices_that_matplotlib_brings_along_are_prices_and_their_volume_is_none():
    days = np.load(Path(matplotlib.get_data_path()) / "sample_data" / "goog.npz")["price_data"]
    assert like(days["close"], "close") and like(days["adj_close"], "GOOG")
    assert not like(days["volume"], "close")


@pytest.mark.parametrize(
    ("file", "column", "shift"),
    [
        ("classic_univariate/airline-passengers.csv", "Passengers", 0),
        ("classic_univariate/monthly-sunspots.csv", "Sunspots", 0),
        ("classic_univariate/monthly-sunspots.csv", "Sunspots", 1),
        ("classic_univariate/daily-min-temperatures.csv", "Temp", 0),
        ("classic_univariate/daily-min-temperatures.csv", "Temp", 273.15),
        ("beijing_pm25/pollution.csv", "pm2.5", 0),
        ("beijing_pm25/pollution.csv", "pm2.5", 1),
        ("beijing_pm25/pollution.csv", "TEMP", 273.15),
        ("beijing_pm25/pollution.csv", "PRES", 0),
        ("etth1/ETTh1.csv", "HUFL", 100),
        ("etth1/ETTh1.csv", "OT", 0),
        ("etth1/ETTh1.csv", "OT", 273.15),
    ],
)
def test_temperatures_sunspots_dust_passengers_and_load_are_no_prices_even_by_that_name(file, column, shift):
    if not (DATA / file).exists():
        pytest.skip(f"the real series are not on this machine: ../shared/data/time_series/{file}")
    with open(DATA / file, encoding="utf-8", newline="") as rows:
        cells = [row[column] for row in csv.DictReader(rows)]
    values = np.array([float(c) if c.replace(".", "").replace("-", "").isdigit() else np.nan for c in cells])
    assert np.isfinite(values).mean() > 0.9
    assert not like(values + shift, "price")


@pytest.mark.parametrize("name", ["x", "price"])
def test_what_is_below_zero_counted_drawn_anew_smooth_or_still_is_no_price(name):
    rng = np.random.default_rng(0)
    steps = np.arange(800)
    none = {
        "a walk through zero": np.cumsum(rng.normal(0, 1, 800)) - 5,
        "counts": rng.poisson(40, 800) + 1.0,
        "noise around a level": 100 + rng.normal(0, 1, 800),
        "load with a day in it": 100 + 20 * np.sin(2 * np.pi * steps / 24) + rng.normal(0, 2, 800),
        "a smooth curve": 100 + np.cumsum(np.cumsum(rng.normal(0, 0.01, 800))),
        "a fee that seldom changes": 10 + np.repeat(rng.normal(0, 0.1, 20), 40),
        "too few": walk(90),
    }
    assert [what for what, values in none.items() if like(values, name)] == []


# returns over gaps


def test_the_return_over_a_holiday_belongs_to_the_first_day_after_it_and_no_day_gets_a_made_up_zero():
    prices = np.array([100.0, 110.0, np.nan, np.nan, 121.0, 121.0, 0.0, 133.1])[:, None]
    result = transform.apply(prices, "log_return")[:, 0]
    tenth = np.log(1.1)
    np.testing.assert_allclose(result, [np.nan, tenth, np.nan, np.nan, tenth, 0.0, np.nan, tenth], atol=1e-12)


def test_levels_go_on_over_a_day_that_was_not_measured():
    state = State(
        targets=(TargetColumn(name="close", mean=0.0, std=0.01, naive=1.0),),
        horizon=4, context=5, transform="log_return",
    )  # fmt: skip
    returns = np.array([0.01, np.nan, 0.02, 0.01])[None, :, None]
    result = transform.levels(transform.standardize(returns, state), state)
    np.testing.assert_allclose(result[0, :, 0], [0.01, np.nan, 0.03, 0.04], atol=1e-7)


# whole runs


@pytest.fixture(scope="module")
def chance(tmp_path_factory):
    """A run on prices that nobody can forecast: its estimator and its folder."""
    folder = tmp_path_factory.mktemp("stocks") / "chance"
    return fitted(traded(walk(700, 3), holidays=20), folder), folder


def test_on_a_random_walk_the_network_does_not_beat_it_and_verdict_and_page_say_so(chance):
    estimator, folder = chance
    reply = json.loads((folder / "report.json").read_text("utf-8"))
    assert estimator.predictor.state.transform == "log_return"
    assert estimator.result["verdict"].startswith("The network does not beat the random walk: MASE ")
    assert estimator.result["verdict"].endswith(WARNING)
    assert reply["verdict"] == estimator.result["verdict"]
    page = (folder / "report.html").read_text("utf-8")
    assert page.count(WARNING) == 1 and "Beside the random walk" in page
    moves = reply["forecast"]["prices"]["all"]
    assert moves["low"] < 0.5 < moves["high"]
    assert "no better than tossing a coin" in reply["forecast"]["prices"]["sentence"]


def test_both_random_walks_stand_in_the_table_and_columns_that_nobody_fills_do_not(chance):
    estimator, folder = chance
    assert list(estimator.result["baselines"]) == ["random_walk", "drift", "linear_window"]
    assert estimator.result["scores"]["scaled_mse"] is None
    page = (folder / "report.html").read_text("utf-8")
    assert "random walk with drift" in page and "in deviations</th>" not in page
    assert estimator.result["baselines"]["random_walk"]["directional_accuracy"] is None  # it forecasts no move
    assert 0 < estimator.result["scores"]["directional_accuracy"] < 1


def test_a_horizon_is_left_out_between_the_parts_of_prices_and_holidays_are_steps_not_measured(chance):
    estimator, folder = chance
    reply = json.loads((folder / "report.json").read_text("utf-8"))
    assert estimator.predictor.state.step.unit == "business" and estimator.predictor.state.horizon == 5
    notes = " ".join(reply["data"]["notes"])
    assert "20 of 700 steps have no row" in notes and "5 steps are left out between two parts" in notes
    rows = reply["data"]["rows"]
    assert rows["train"] + rows["validation"] + rows["test"] < rows["used"] <= 680


def test_the_walk_forward_table_goes_through_the_test_part_in_order_without_a_gap(chance):
    estimator, folder = chance
    reply = json.loads((folder / "report.json").read_text("utf-8"))["forecast"]
    folds = reply["folds"]
    assert len(folds) == 6 and all(one["from"] <= one["to"] for one in folds)
    assert all(before["to"] < after["from"] for before, after in pairwise(folds))
    weights = np.array([one["forecasts"] for one in folds])
    mase = np.array([one["scores"]["network"]["mase"] for one in folds])
    assert np.average(mase, weights=weights) == pytest.approx(estimator.result["scores"]["mase"], rel=0.02)


def test_a_forecast_of_prices_goes_on_from_the_last_price_in_business_days(chance):
    estimator, _ = chance
    rows = traded(walk(700, 3))[-80:]
    result = estimator.predict(rows)
    last = date.fromisoformat(rows[-1]["day"])
    assert [row["day"].weekday() < 5 and row["day"].date() > last for row in result] == [True] * 5
    assert all(row["low"] < rows[-1]["close"] < row["high"] for row in result)
    assert result[0]["high"] - result[0]["low"] < result[-1]["high"] - result[-1]["low"]


def test_on_returns_with_memory_the_direction_is_right_far_more_often_than_chance(tmp_path):
    rows = traded(remembering(1000, 1))
    task = {"transform": "log_return", "horizon": 1, "context": 10}
    estimator = fitted(rows, tmp_path / "run", task, epochs=15)
    reply = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))
    moves = reply["forecast"]["prices"]["all"]
    assert moves["low"] > 0.5 and moves["right"] > 0.55
    assert reply["forecast"]["prices"]["walk"]["beats"]
    assert estimator.result["verdict"].startswith("The network forecasts close better than the random walk")
    assert WARNING not in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_an_embargo_that_is_said_is_taken_and_other_series_have_none(tmp_path):
    split = TimeSplit(embargo=0)
    assert split.gap == 0 and split.sizes(100) == (70, 15, 15)
    assert TimeSplit(embargo=5).sizes(100) == (60, 15, 15) and TimeSplit().gap == 0
    rows = traded(walk(400, 3))
    said = fitted(rows, tmp_path / "said", {"horizon": 3, "context": 10}, split={"kind": "time", "embargo": 0})
    assert sum(said.result["parts"].values()) == 400
    wide = fitted(rows, tmp_path / "wide", {"horizon": 3, "context": 10}, split={"kind": "time", "embargo": 9})
    assert sum(wide.result["parts"].values()) == 400 - 18
