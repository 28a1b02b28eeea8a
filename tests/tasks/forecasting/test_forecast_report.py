"""The report of a forecast: what was said beside what came, by step, stretch, target and series, and how to use it."""

import json
import re
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

import lamina
from lamina.evaluate import verdict
from lamina.tasks.forecasting import State, error_breakdown
from lamina.tasks.forecasting.backtest import Backtest
from lamina.tasks.forecasting.panel import Panel
from lamina.tasks.forecasting.plots import Fan, plot_fan
from lamina.tasks.forecasting.report import WORDING
from lamina.tasks.forecasting.state import Frequency, TargetColumn

SMALL = {"kind": "fnn", "width": 16, "depth": 1, "members": 1}


def shops(count=3, days=220, seed=0):
    """Rows of several shops, each with a week in its sales and its visitors."""
    rng, rows = np.random.default_rng(seed), []
    for shop in range(count):
        for i in range(days):
            wave = np.sin(2 * np.pi * (i + shop) / 7)
            rows.append(
                {
                    "day": (date(2022, 1, 1) + timedelta(i)).isoformat(),
                    "shop": f"<b>shop {shop}</b>",
                    "sales": round(float(60 + 20 * shop + 12 * wave + rng.normal(0, 2)), 2),
                    "visitors": round(float(200 + 40 * wave + rng.normal(0, 9)), 1),
                }
            )
    return rows


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The run of two targets in three series: its estimator, its folder, its facts."""
    folder = tmp_path_factory.mktemp("forecast") / "run"
    task = {"kind": "forecasting", "series": "shop", "targets": ["sales", "visitors"], "loss": "pinball"}
    recipe = {"task": task, "model": SMALL, "train": {"epochs": 6, "batch_size": 64}}
    rows = shops()
    rows[5]["sales"] = None
    estimator = lamina.fit(rows, "sales", recipe=recipe, out=folder)
    return estimator, folder, json.loads((folder / "report.json").read_text("utf-8"))


def test_the_page_has_every_part_and_stays_one_safe_file(made):
    page = (made[1] / "report.html").read_text("utf-8")
    for part in ("whole-series", "forecasts", "backtest", "residuals", "training", "data", "use"):
        assert f'<section id="{part}">' in page
    assert "<b>shop 0</b>" not in page and "&lt;b&gt;shop 0" in page
    assert "<script" not in page and not re.findall(r"https?://(?!www.w3.org|127.0.0.1:8000)", page)
    assert "More plots" not in page and "nan" not in re.sub(r"[a-z]*nan[a-z]+", "", page.lower())
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_fans_show_what_comes_after_the_data_and_the_worst_of_the_test_part(made):
    _, folder, told = made
    fans = told["forecast"]["fans"]
    page = (folder / "report.html").read_text("utf-8")
    assert page.count('aria-label="Forecast beside what was measured') == len(fans) == 6
    after = [fan["title"] for fan in fans if fan["mase"] is None]
    worst = [fan for fan in fans if "the worst" in fan["title"]]
    assert len(after) == len(worst) in (2, 3)  # the first series and target may be the best or worst one too
    assert all("from 2022-08-09: after the data" in title for title in after)  # the day after the last of 220
    series = {fan["title"].rpartition(" from ")[0] for fan in fans}
    assert len(series) == len(after)
    for one in worst:
        mine = [f["mase"] for f in fans if f["mase"] and f["title"].partition(" from ")[0] in one["title"]]
        assert one["mase"] == max(mine)


def test_scores_by_time_target_and_series_add_up_to_those_of_the_whole(made):
    _, _, told = made
    whole, facts = told["scores"], told["forecast"]
    assert [row["name"] for row in facts["targets"]] == ["sales", "visitors"]
    assert np.mean([row["scores"]["network"]["mae"] for row in facts["targets"]]) == pytest.approx(
        whole["mae"], rel=0.01
    )
    assert len(facts["series"]) == 3
    ranked = [row["scores"]["network"]["mase"] for row in facts["series"]]
    assert ranked == sorted(ranked) and np.mean(ranked) == pytest.approx(whole["mase"], rel=0.01)
    weights = [row["forecasts"] for row in facts["folds"]]
    folds = [row["scores"]["network"]["mase"] for row in facts["folds"]]
    assert np.average(folds, weights=weights) == pytest.approx(whole["mase"], rel=0.01)
    for method, scores in told["baselines"].items():
        mine = [row["scores"][method]["mase"] for row in facts["folds"]]
        assert np.average(mine, weights=weights) == pytest.approx(scores["mase"], rel=0.01)


def test_errors_and_coverage_are_there_for_every_step_ahead_of_every_method(made):
    estimator, _, told = made
    steps, horizon = told["forecast"]["steps"], estimator.predictor.state.horizon
    assert set(steps["mase"]) == {"network", "last_value", "seasonal_naive", "linear_window"}
    assert all(len(values) == horizon for values in [*steps["mase"].values(), steps["coverage"]])
    assert np.mean(steps["coverage"]) == pytest.approx(told["scores"]["coverage"], rel=0.01)


def test_the_history_beside_the_report_is_what_the_commands_on_it_send(made):
    estimator, folder, told = made
    page = (folder / "report.html").read_text("utf-8")
    body = json.loads((folder / "history.json").read_text("utf-8"))["rows"]
    assert f"@{folder}/history.json" in page and "history.csv" in page
    assert len(body) == estimator.predictor.state.context and isinstance(body[-1]["visitors"], float)
    answer = estimator.predict(body)
    assert len(answer) == estimator.predictor.state.horizon
    assert answer[0]["sales"]["prediction"] == pytest.approx(told["example"]["answer"][0]["sales"]["prediction"])


def test_the_verdict_speaks_of_forecasts():
    def sentence(baselines, interval):
        return verdict.sentence("mase", {"mase": 0.8}, baselines, "sales", interval, WORDING)

    said = sentence({"seasonal_naive": {"mase": 1.0}}, (0.7, 0.9))
    assert said == "The network forecasts sales better than the seasonal naive forecast: MASE 0.8000 against 1.000."
    said = sentence({"last_value": {"mase": 0.82}}, None)
    assert said.endswith("MASE 0.8000 against 0.8200, on too few forecasts to tell it from chance.")
    said = sentence({"last_value": {"mase": 0.78}}, None)
    assert said.startswith("The last value is better here") and said.endswith(
        "too few forecasts to tell it from chance."
    )
    said = sentence({"linear_window": {"mase": 0.7}}, (0.6, 0.9))
    assert said.startswith("Ridge regression is slightly better here: MASE 0.7000 against 0.8000 for the network")
    said = sentence({"last_value": {"mase": 0.85}}, (0.7, 0.9))
    assert "slightly better than the last value at forecasting sales" in said


def backtest(errors, season=1):
    """A test of one series whose errors one step ahead are those given."""
    count = len(errors)
    values = np.full((count + 2, 1), 10.0)
    state = State(targets=(TargetColumn(name="x", mean=0.0, std=1.0, naive=1.0),), horizon=1, context=2, season=season)
    frequency = Frequency(unit="row")
    index, bounds = np.arange(count + 2), np.array([0, count + 2])
    panel = Panel(
        table=pa.table({}), values=values, index=index, bounds=bounds, ids=[""], frequency=frequency,
        source=index, row_count=count, exclusions=(), notes=(),
    )  # fmt: skip
    origins = np.arange(2, count + 2)
    truth = np.full((count, 1, 1), 10.0)
    return Backtest(panel, origins, truth, {"prediction": truth - errors[:, None, None]}, values, state)


def test_correlated_errors_are_told_from_chance_and_a_forgotten_season_is_named():
    noise = np.random.default_rng(0).normal(size=600)
    result = error_breakdown.residuals(backtest(noise))
    assert "no more than chance explains" in result["sentence"] and len(result["lags"]) == 24
    result = error_breakdown.residuals(backtest(np.convolve(noise, np.ones(6), "same")))
    assert result["lags"][0] > 0.7 and "there is more to be learned" in result["sentence"]
    result = error_breakdown.residuals(backtest(noise + np.sin(2 * np.pi * np.arange(600) / 12), season=12))
    assert "the cycle of 12 steps is not learned in full" in result["sentence"]
    assert error_breakdown.residuals(backtest(noise[:8])) == {}


def test_times_are_written_as_short_as_their_step_allows():
    assert error_breakdown.format_steps(np.array([0, 13]), Frequency(unit="month", phase=1)) == ["1970-01", "1971-02"]
    assert error_breakdown.format_steps(np.array([1]), Frequency(unit="second", count=86_400)) == ["1970-01-02"]
    assert error_breakdown.format_steps(np.array([1]), Frequency(unit="second", count=3600)) == ["1970-01-01 01:00"]
    assert error_breakdown.format_steps(np.array([1]), Frequency(unit="business")) == ["1970-01-02"]
    assert error_breakdown.format_steps(np.array([1]), Frequency(unit="row")) == ["step 2"]


@pytest.mark.parametrize("horizon", [1, 30])
@pytest.mark.parametrize("times", [np.arange(60), np.arange("2020-01", "2025-01", dtype="M8[M]").astype("M8[s]")])
def test_a_fan_of_one_step_or_with_gaps_is_drawn(horizon, times):
    measured = np.sin(np.arange(60.0))
    measured[[3, 4, 59]] = np.nan
    future = np.zeros(horizon)
    svg = plot_fan(Fan("a & b", times, measured, future, [(future - 1, future + 1)]))
    assert svg.startswith("<svg") and "a &amp; b" in svg and "nan" not in svg.lower()


def test_the_terminal_speaks_of_steps_ahead_and_of_metrics_by_their_names(made, tmp_path, capsys):
    from lamina.cli import results
    from lamina.data import files
    from lamina.deploy import batch

    estimator, folder, _ = made
    rows = json.loads((folder / "history.json").read_text("utf-8"))["rows"]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    source = files.Config(path=str(tmp_path / "rows.jsonl"))
    results.answered(batch.run(estimator.predictor, "predict", source, None, tmp_path / "o.csv"))
    output = capsys.readouterr().out
    assert "7 steps ahead in" in output and "answers" not in output
    results.result(estimator.result)
    output = capsys.readouterr().out
    assert (
        "sMAPE" in output
        and "ridge regression" in output
        and "_" not in output.partition("\n\n")[0].partition("report")[0]
    )
