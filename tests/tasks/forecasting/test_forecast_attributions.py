"""Why a forecast: what stretches of the past and columns add to it, in Python, over HTTP and on the command line."""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

import lamina
from conftest import write_csv
from lamina.deploy.server import app
from service_tools import command, send

WEEK = 10 * np.sin(2 * np.pi * np.arange(7) / 7)
PROMO, NOISE = 30.0, 0.3


def shop(name: str, days: int, seed: int) -> list[dict]:
    """Sales with a week, and a promotion that adds thirty; `noise` says nothing."""
    rng = np.random.default_rng(seed)
    promotion = (rng.random(days) < 0.3).astype(int)
    sold = 100 + WEEK[np.arange(days) % 7] + PROMO * promotion + rng.normal(0, NOISE, days)
    return [
        {
            "shop": name,
            "day": (date(2021, 1, 4) + timedelta(days=i)).isoformat(),
            "promo": int(promotion[i]),
            "noise": round(float(rng.normal()), 3),
            "sold": round(float(sold[i]), 2),
        }
        for i in range(days)
    ]


HISTORY = shop("north", 300, 0) + shop("south", 300, 1)


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory):
    task = {"kind": "forecasting", "known": ["promo"], "horizon": 7, "context": 28, "series": "shop"}
    recipe = {"task": task, "model": "linear", "train": {"epochs": 4}}
    return lamina.fit(HISTORY, "sold", recipe=recipe, out=tmp_path_factory.mktemp("runs") / "sales")


def ahead(promotions: list[int]) -> list[dict]:
    """The history of both shops, and a week ahead of which only the promotions are known."""
    rows = []
    for name in ("north", "south"):
        own = [row for row in HISTORY if row["shop"] == name]
        end = date.fromisoformat(own[-1]["day"])
        rows += own[-60:]
        rows += [
            {
                "shop": name,
                "day": (end + timedelta(days=i + 1)).isoformat(),
                "promo": flag,
                "noise": None,
                "sold": None,
            }
            for i, flag in enumerate(promotions)
        ]
    return rows


def test_what_parts_add_is_the_forecast_less_that_of_a_series_at_rest(forecaster):
    rows = ahead([0, 1, 0, 1, 0, 0, 0])
    forecasts = forecaster.predict(rows)
    for step, explanations in ((None, forecaster.explain(rows)), (3, forecaster.explain(rows, step=3))):
        assert [one["shop"] for one in explanations] == ["north", "south"]
        for one in explanations:
            own = [row["prediction"] for row in forecasts if row["shop"] == one["shop"]]
            assert one["value"] == pytest.approx(np.mean(own) if step is None else own[step - 1], rel=1e-5)
            assert one["base_value"] + sum(one["contributions"].values()) == pytest.approx(one["value"], rel=1e-6)


def test_a_promotion_ahead_is_what_the_forecast_of_its_day_hangs_on(forecaster):
    rows = ahead([0, 1, 0, 0, 0, 0, 0])
    on, off = forecaster.explain(rows, step=2)[0], forecaster.explain(rows, step=3)[0]
    assert on["contributions"]["promo"] == max(on["contributions"].values())
    assert 0.5 * PROMO < on["contributions"]["promo"] - off["contributions"]["promo"] < 1.5 * PROMO
    assert abs(on["contributions"]["noise"]) < 0.1 * PROMO


def test_every_step_of_the_past_is_in_one_stretch(forecaster):
    names = [name for name in forecaster.explain(ahead([]))[0]["contributions"] if name.startswith("sold, ")]
    steps = [list(map(int, name.removeprefix("sold, ").split(" step")[0].split(" to "))) for name in names]
    assert [step for ends in steps for step in range(ends[0], ends[-1] + 1)] == list(range(1, 29))


def test_http_and_the_command_line_say_the_same(forecaster, tmp_path):
    rows, bundle = ahead([0, 1, 0, 0, 0, 0, 0]), Path(forecaster.result["bundle"])
    expected = forecaster.explain(rows, step=2)
    (reply,) = send(app(forecaster.predictor), (("POST", "/explain"), {"json": {"rows": rows, "step": 2}}))
    assert reply.status_code == 200
    for one, own in zip(reply.json()["explanations"], expected, strict=True):
        assert one["shop"] == own["shop"] and one["contributions"] == pytest.approx(own["contributions"], abs=1e-6)
    source = write_csv(tmp_path / "history.csv", rows)
    code, text, _ = command("explain", bundle, source, "--step", "2", "--json")
    assert code == 0
    assert json.loads(text)["explanations"][1]["contributions"] == pytest.approx(expected[1]["contributions"], abs=1e-6)
    code, text, _ = command("explain", bundle, source, "--step", "2")
    assert code == 0 and "forecast, north: " in text and "standing still" in text and "promo" in text
    assert command("explain", bundle, source, "-o", tmp_path / "why.png")[0] == 0
    assert (tmp_path / "why.png").read_bytes().startswith(b"\x89PNG")
    assert command("explain", bundle, source, "-o", tmp_path / "why.jsonl")[0] == 0
    assert len((tmp_path / "why.jsonl").read_text("utf-8").splitlines()) == 2


def test_what_cannot_be_explained_of_a_forecast_is_a_sentence(forecaster, churn_bundle, tmp_path):
    source, bundle = write_csv(tmp_path / "history.csv", ahead([])), forecaster.result["bundle"]
    for words, sentence in (
        ((bundle, source, "--label", "x"), "--label: this bundle predicts numbers"),
        ((bundle, source, "--step", "8"), "step: this bundle forecasts 7 steps (got 8)"),
        ((bundle, source, "--step", "0"), "step: should be greater than or equal to 1 (got 0)"),
        ((churn_bundle, source, "--step", "1"), "--step: is for forecasts"),
    ):
        code, _, error = command("explain", *words)
        assert code == 1 and sentence in error, error
    with pytest.raises(lamina.LaminaError, match=r"target: 'sol' is not forecast. Did you mean 'sold'"):
        forecaster.explain(ahead([]), target="sol")


def test_the_report_has_the_parts_in_the_order_of_what_they_add(forecaster):
    folder = Path(forecaster.result["run"])
    (own,) = json.loads((folder / "report.json").read_text("utf-8"))["forecast"]["attributions"]
    sizes = {one["part"]: one["attribution"] for one in own["parts"]}
    assert own["target"] == "sold" and own["forecasts"] == 16
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    assert next(iter(sizes)) == "promo" and "noise" not in list(sizes)[:3]
    page = (folder / "report.html").read_text("utf-8")
    assert "Shapley values over 16 test forecasts" in page and ">promo</text>" in page


def test_the_report_explains_the_first_targets_of_several(tmp_path):
    rows = [{"day": i, "a": float(np.sin(i / 3)), "b": float(np.cos(i / 5))} for i in range(200)]
    task = {"kind": "forecasting", "time": "day", "horizon": 2, "context": 12, "targets": ["a", "b"]}
    run = lamina.fit(rows, recipe={"task": task, "train": {"epochs": 1}}, out=tmp_path / "run")
    first, second = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))["forecast"]["attributions"]
    assert (first["target"], second["target"]) == ("a", "b")
    assert any(one["part"] == "b" for one in first["parts"]) and any(one["part"] == "a" for one in second["parts"])
    explanation = run.explain(rows[-40:], target="b")[0]
    assert set(explanation["contributions"]) == {one["part"] for one in second["parts"]}
