"""What is known ahead is believed in full, and a forecast that knows less is less sure."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

import lamina

WEEK = 10 * np.sin(2 * np.pi * np.arange(7) / 7)
DAYS = 500


def rows(sold: np.ndarray, **settings: np.ndarray) -> list[dict[str, Any]]:
    days = (date(2021, 1, 4) + timedelta(days=i) for i in range(len(sold)))
    columns = {"day": [day.isoformat() for day in days], **{n: v.tolist() for n, v in settings.items()}}
    return [dict(zip([*columns, "sold"], row, strict=True)) for row in zip(*columns.values(), sold, strict=True)]


def quiet_sales(rng: np.random.Generator) -> np.ndarray:
    return 100 + WEEK[np.arange(DAYS) % 7] + rng.normal(size=DAYS)


def flags(rng: np.random.Generator, share: float) -> np.ndarray:
    return (rng.random(DAYS) < share).astype(int)


def forecaster(table: list[dict[str, Any]], *known: str, model: str = "linear", **task: Any) -> lamina.Estimator:
    settings = {"kind": "forecasting", "known": known, "horizon": 7, "context": 56, **task}
    return lamina.fit(table, "sold", recipe={"task": settings, "model": model, "train": {"epochs": 3}})


def errors(estimator: lamina.Estimator) -> tuple[float, float]:
    """RMSE of the network and of ridge regression."""
    return estimator.result["scores"]["rmse"], estimator.result["baselines"]["linear_window"]["rmse"]


@pytest.mark.parametrize("model", ["linear", "fnn", pytest.param("gru", marks=pytest.mark.slow)])
def test_a_promotion_known_ahead_has_its_whole_effect(model):
    rng = np.random.default_rng(0)
    promotion = flags(rng, 0.3)
    network, rival = errors(forecaster(rows(quiet_sales(rng) + 30 * promotion, promo=promotion), "promo", model=model))
    assert network < 1.4  # of noise, 1
    assert rival < 2.5


def rare(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    promotion = flags(rng, 0.03)
    return 30.0 * promotion, promotion


def kinds(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    codes = rng.integers(0, 4, DAYS)
    return np.array([0, 10, -15, 30])[codes], np.array(list("abcd"))[codes]


def prices(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    price = rng.choice([9.99, 8.99, 7.49, 11.5], DAYS)
    return -8 * (price - 10), price


def lasting(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    promotion = flags(rng, 0.15)
    return 30 * promotion - 12 * np.append(0, promotion[:-1]) - 6 * np.append([0, 0], promotion[:-2]), promotion


def rising(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    promotion = flags(rng, 0.3)
    return 30 * promotion + 0.2 * np.arange(DAYS), promotion


@pytest.mark.parametrize("draw", [rare, kinds, prices, lasting, rising])
def test_effects_of_every_sort_are_found_as_far_as_the_noise(draw):
    rng = np.random.default_rng(0)
    effect, column = draw(rng)
    network, _ = errors(forecaster(rows(quiet_sales(rng) + effect, column=column), "column"))
    assert network < 1.4


def test_a_column_without_an_effect_costs_nothing():
    rng = np.random.default_rng(0)
    network, _ = errors(forecaster(rows(quiet_sales(rng), column=flags(rng, 0.3)), "column"))
    assert network < 1.3


def test_a_forecast_adds_the_effect_where_a_promotion_is_ahead_and_nowhere_else():
    rng = np.random.default_rng(0)
    promotion = flags(rng, 0.3)
    history = rows(quiet_sales(rng) + 30 * promotion, promo=promotion)
    estimator = forecaster(history, "promo")
    future = [
        {"day": (date(2021, 1, 4) + timedelta(days=DAYS + i)).isoformat(), "promo": int(i in (2, 3)), "sold": None}
        for i in range(7)
    ]
    plain = [{**row, "promo": 0} for row in future]
    with_effect, without = (
        np.array([row["prediction"] for row in estimator.predict([*history, *rest])]) for rest in (future, plain)
    )
    np.testing.assert_allclose(with_effect - without, [0, 0, 30, 30, 0, 0, 0], atol=1)


@pytest.mark.parametrize("series", [None, "shop"])
def test_a_shorter_history_is_less_sure(series):
    rng = np.random.default_rng(0)
    shops = ("a", "b", "c") if series else ("a",)
    tables = {shop: rows(quiet_sales(rng)[:350] + 20 * np.sin(np.arange(350) / 40)) for shop in shops}
    table = [{**row, "shop": shop} if series else row for shop, part in tables.items() for row in part]
    estimator = forecaster(table, series=series, transform="none")
    widths = []
    for steps in (1, 10, 50, 350):
        history = [{**row, "shop": "a"} if series else row for row in tables["a"][-steps:]]
        widths.append(np.mean([row["high"] - row["low"] for row in estimator.predict(history)]))
    assert widths[0] > 2 * widths[-1]
    assert widths[0] >= widths[1] >= widths[-1]


def test_a_history_full_of_gaps_is_less_sure():
    rng = np.random.default_rng(0)
    table = rows(quiet_sales(rng))
    estimator = forecaster(table)
    gaps = [{**row, "sold": row["sold"] if i % 4 == 3 else None} for i, row in enumerate(table)]
    whole, few = (np.mean([r["high"] - r["low"] for r in estimator.predict(part)]) for part in (table, gaps))
    assert few > 1.5 * whole
