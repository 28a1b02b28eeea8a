"""Odd series, each with one documented outcome: in training, prediction, evaluation and over HTTP alike.

The table of these outcomes is in docs/forecasting.md.
"""

import json
import re
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import lamina
from lamina.cli.commands import app
from lamina.config import DataError, LaminaError
from lamina.data import arrays, read, toy
from lamina.experiment import collect
from lamina.recipe import build
from lamina.schema import Collected
from lamina.tasks.forecasting.time_index import to_times

AIRLINE = toy.load(toy.Config(name="airline")).table.to_pandas().astype({"Passengers": int})
QUICK = {"model": "linear", "train": {"epochs": 2}}
TASK = {"kind": "forecasting", "horizon": 6, "context": 24}


def learned(rows: Any, target: str = "y", split: Any = None, **task: Any) -> lamina.Estimator:
    recipe = {"task": {"kind": "forecasting", **task}, **QUICK} | ({"split": split} if split else {})
    return lamina.fit(rows, target, recipe=recipe)


def collected(rows: Any, target: str | None = "y", test: Any = None, **task: Any) -> Any:
    """What training would be given."""
    recipe = build({"data": {"kind": "arrays"}, "target": target, "task": {"kind": "forecasting", **task}})
    both = [Collected(arrays.table(given)) if given is not None else None for given in (rows, test)]
    return collect(recipe, read(recipe.data, *both))


def daily(count: int = 120, first: date = date(2024, 1, 1), seed: int = 0) -> list[dict[str, Any]]:
    """Days with a weekly cycle, a number that goes with it and a holiday known beforehand."""
    rng = np.random.default_rng(seed)
    y = 50 + 0.1 * np.arange(count) + 8 * np.sin(2 * np.pi * np.arange(count) / 7) + rng.normal(size=count)
    return [
        {
            "day": (first + timedelta(days=i)).isoformat(),
            "y": round(float(y[i]), 3),
            "heat": round(float(y[i] / 2 + rng.normal()), 3),
            "sale": int(i % 10 == 0),
        }
        for i in range(count)
    ]


def stores(names: tuple[Any, ...] = ("a", "b", "c"), count: int = 90) -> list[dict[str, Any]]:
    """A table of several series, each of its own length."""
    return [
        {**row, "store": name, "y": row["y"] * (i + 1)}
        for i, name in enumerate(names)
        for row in daily(count + 5 * i, seed=i)
    ]


@pytest.fixture(scope="module")
def months() -> lamina.Estimator:
    """Passengers of the next six months."""
    return lamina.fit(AIRLINE, "Passengers", recipe={"task": TASK, **QUICK})


@pytest.fixture(scope="module")
def days(tmp_path_factory) -> lamina.Estimator:
    """A number of the next seven days, with what goes with it and what is known beforehand."""
    return learned(daily(200), horizon=7, context=14, known=["sale"], calendar=True)


@pytest.fixture(scope="module")
def shops() -> lamina.Estimator:
    """Three series in one table."""
    return learned(stores(), horizon=7, context=14)


def told(estimator: lamina.Estimator, rows: Any) -> tuple[list[dict[str, Any]], str]:
    """Answers, and the notes as one text."""
    result = estimator.predictor.checked(arrays.table(rows))
    return result.table.to_pylist(), "\n".join(result.notes)


def same(one: Any, other: Any) -> bool:
    names = [name for name in ("prediction", "low", "high") if name in one]
    return bool(np.allclose(one[names], other[names], rtol=1e-6))


# rows in time


def test_shuffled_rows_are_put_in_order(months, days):
    mixed = AIRLINE.sample(frac=1, random_state=0)
    assert same(months.predict(mixed), months.predict(AIRLINE))
    assert "Rows were put in order of time." in told(months, mixed)[1]
    assert months.evaluate(mixed) == pytest.approx(months.evaluate(AIRLINE))
    case = collected(mixed, "Passengers", horizon=6)
    assert (case.panel.values[:, 0] == AIRLINE["Passengers"].to_numpy()).all()


def test_a_step_without_a_row_counts_as_not_measured_and_is_fed_the_value_before_it(months):
    gone = AIRLINE.drop(index=[130, 131, 140])
    null = AIRLINE.copy().astype({"Passengers": float})
    null.loc[[130, 131, 140], "Passengers"] = None
    remaining = AIRLINE.copy()
    remaining.loc[[130, 131], "Passengers"] = remaining["Passengers"][129]
    remaining.loc[140, "Passengers"] = remaining["Passengers"][139]
    whole, gaps = months.predict(remaining), months.predict(gone)
    assert same(months.predict(null), gaps)
    assert same(gaps[["prediction"]], whole[["prediction"]])
    assert (gaps["high"] - gaps["low"] > whole["high"] - whole["low"]).all(), "less measured is less sure"
    assert "3 of 144 steps have no row" in told(months, gone)[1]
    assert months.evaluate(gone)["mae"] != months.evaluate(remaining)["mae"], "what was not measured is not evaluated"
    case = collected(gone, "Passengers", horizon=6)
    assert np.isnan(case.panel.values[[130, 131, 140], 0]).all()
    assert case.counts()["read"] == case.counts()["used"] == 141


def test_a_long_gap_in_training_keeps_its_windows_out():
    rows = [row for i, row in enumerate(daily(400)) if not 100 <= i < 200]
    case = collected(rows, horizon=7, context=28)
    prep = __import__("lamina").preprocess.fit(case.splits.train, case.schema)
    origins = case.examples(prep)["train"].target.starts
    inside = [at for at in origins if 100 + 20 < at <= 200 - 7]
    assert not inside, "a window with nothing measured teaches nothing"
    assert len(origins) < len(case.origins(0))


def test_of_rows_with_one_time_the_last_counts_and_the_others_are_skipped(months):
    twice = pd.concat([AIRLINE.assign(Passengers=1), AIRLINE[100:]], ignore_index=True).drop(index=range(100))
    both = pd.concat([AIRLINE[:100], twice], ignore_index=True)
    assert same(months.predict(both), months.predict(AIRLINE))
    assert "44 rows were left out: another row has the same time" in told(months, both)[1]
    case = collected(both, "Passengers", horizon=6)
    counts = case.counts()
    assert (counts["read"], counts["used"], counts["skipped"]) == (188, 144, 44)
    assert {q.line for q in case.skipped_rows} == set(range(101, 145))


def test_jittered_times_lie_on_the_grid_they_mean():
    rng = np.random.default_rng(0)
    start = datetime(2024, 3, 1)
    times = [start + timedelta(minutes=10 * i, seconds=int(rng.integers(-90, 90))) for i in range(300)]
    case = collected([{"t": t.isoformat(), "y": float(i % 6)} for i, t in enumerate(times)], horizon=6)
    assert case.task.state.step.count == 600
    assert (case.panel.source == np.arange(300)).all()


def test_uneven_times_make_each_row_a_step():
    rng = np.random.default_rng(0)
    seconds = np.cumsum(rng.exponential(3600, 200)).astype(int)
    rows = [{"t": (datetime(2024, 1, 1) + timedelta(seconds=int(s))).isoformat(), "y": float(s % 7)} for s in seconds]
    estimator = learned(rows, horizon=5, context=10)
    assert estimator.predictor.state.step.unit == "row"
    assert [row["step"] for row in estimator.predict(rows)] == [1, 2, 3, 4, 5]
    assert "too uneven for a grid" in notes(estimator)


def notes(estimator: lamina.Estimator) -> str:
    report = json.loads((__import__("pathlib").Path(estimator.result["run"]) / "report.json").read_text())
    return "\n".join(report["data"]["notes"])


def test_times_with_a_zone_are_moments(months):
    berlin = pd.date_range("2024-03-25", periods=400, freq="h", tz="Europe/Berlin")
    rows = pd.DataFrame({"t": berlin, "y": np.arange(400) % 24})
    case = collected(rows, horizon=24)
    assert len(case.panel.source) == 400, "the hour that the clocks skip is no gap"
    text = [{"t": t.isoformat(), "y": float(i % 24)} for i, t in enumerate(berlin)]
    assert (collected(text, horizon=24).panel.index == case.panel.index).all(), "+01:00, then +02:00"
    naive = [{"t": t.tz_localize(None), "y": float(i % 24)} for i, t in enumerate(berlin)]
    clock = collected(naive, horizon=24)
    assert int((clock.panel.source < 0).sum()) == 1, "as the clock on the wall shows it, an hour is missing"
    days = [{"t": t.isoformat(), "y": float(i % 7)} for i, t in enumerate(berlin[::24])]
    assert collected(days, horizon=2, context=4).task.state.step.count == 86_400


@pytest.mark.parametrize("form", ["%Y-%m-01", "%Y-%m-01T00:00:00Z", "%Y/%m/01", "%Y-%m-01 00:00:00"])
def test_times_may_be_written_otherwise_than_in_training(months, form):
    other = AIRLINE.assign(Month=[datetime.fromisoformat(f"{m}-01").strftime(form) for m in AIRLINE["Month"]])
    assert same(months.predict(other), months.predict(AIRLINE))
    assert same(months.predict(other.assign(Month=pd.to_datetime(other["Month"]))), months.predict(AIRLINE))
    assert months.evaluate(other) == pytest.approx(months.evaluate(AIRLINE))


def test_a_time_that_no_format_fits_is_a_sentence_that_names_a_cell(months):
    odd = AIRLINE.assign(Month="in May")
    for ask in (months.predict, months.evaluate):
        with pytest.raises(DataError, match=r"time: no row has a time that can be read in Month \(got 'in May'\)"):
            ask(odd)
    some = AIRLINE.copy()
    some.loc[[3, 4], "Month"] = "soon"
    assert "2 rows were left out: the time is missing or cannot be read" in told(months, some)[1]


def test_times_written_in_any_way_are_read_once_it_is_said_how():
    days = [datetime(2024, 1, 1) + timedelta(days=i) for i in range(60)]
    for form, whole in (("%d %b %Y", False), ("%Y%m%d", True)):
        rows = [{"t": int(d.strftime(form)) if whole else d.strftime(form), "y": float(d.weekday())} for d in days]
        settings = {"columns": {"t": {"kind": "time", "format": form}}, "task": {"kind": "forecasting", "horizon": 3}}
        result = lamina.fit(rows, "y", recipe={**settings, **QUICK})
        assert [row["t"] for row in result.predict(rows)] == [days[-1] + timedelta(days=i) for i in (1, 2, 3)]


def test_numbers_can_be_times():
    rows = [{"t": 1000 + 5 * i, "y": float(i % 4)} for i in range(100)]
    estimator = learned(rows, horizon=3, context=8, time="t")
    assert [row["t"] for row in estimator.predict(rows)] == [1500, 1505, 1510]
    fractions = [{"t": i * 0.01, "y": float(i % 4)} for i in range(100)]
    case = collected(fractions, horizon=3, context=8, time="t")
    assert (case.panel.source == np.arange(100)).all()
    assert (case.task.state.step.count, case.task.state.step.scale) == (1, 100)


def test_columns_named_year_month_day_make_a_time():
    rows = [
        {"Year": d.year, "Month": d.month, "Day": d.day, "Hour": h, "y": float(h)}
        for d in (date(2024, 2, 26) + timedelta(days=i) for i in range(8))
        for h in range(24)
    ]
    estimator = learned(rows, horizon=3, context=24)
    assert estimator.predictor.state.step.count == 3600
    assert estimator.predict(rows)[0]["time"] == datetime(2024, 3, 5)
    rows[50]["Day"] = 31
    assert "1 rows were left out: the time is missing or cannot be read" in told(estimator, rows)[1], "31 February"
    years = [{"year": y, "month": m, "y": float(m)} for y in range(1990, 2000) for m in range(1, 13)]
    assert collected(years, horizon=3).task.state.step.unit == "month"
    single = [{"Year": y, "y": float(y % 11)} for y in range(1800, 2000)]
    assert collected(single, horizon=3).task.state.time == ("Year",)
    with pytest.raises(LaminaError, match="several columns must be named year, month"):
        collected([{"d": r["Year"], "h": r["Hour"], "y": 1.0} for r in rows], time=["d", "h"])


def test_without_a_column_of_time_the_order_of_the_rows_is_the_time():
    rows = [{"y": float(i % 5)} for i in range(80)]
    estimator = learned(rows, horizon=4, context=10)
    assert [row["step"] for row in estimator.predict(rows)] == [1, 2, 3, 4]
    assert "No column of time was found" in notes(estimator)
    array = learned(np.arange(80.0)[:, None] % 5, "column1", horizon=4, context=10)
    assert array.predict(np.arange(30.0)[:, None])["prediction"].shape == (4,)


def test_a_step_coarser_than_the_data_averages_what_falls_into_it():
    hours = pd.date_range("2024-01-01", periods=24 * 60, freq="h")
    rows = pd.DataFrame({"t": hours, "y": np.arange(24 * 60) // 24})
    case = collected(rows, step="1d", horizon=3)
    assert case.panel.values[:, 0].tolist() == list(range(60)), "a day is from midnight to midnight"
    assert (case.counts()["read"], case.counts()["used"], case.counts()["skipped"]) == (1440, 1440, 0)
    assert any("numbers of one step were averaged" in note for note in case.notes)
    weeks = collected(rows, step="1w", horizon=2, context=2)
    assert weeks.panel.values[:2, 0].tolist() == [3.0, 10.0], "1 January 2024 is a Monday"
    with pytest.raises(DataError, match=r"task.step: '1 fortnight' is not a step"):
        collected(rows, step="1 fortnight")
    with pytest.raises(DataError, match=r"1,440 rows spread over 5,180,401 steps of second"):
        collected(rows, step="1s")


@pytest.mark.parametrize(
    ("times", "following"),
    [
        (pd.date_range("2023-01-31", periods=40, freq="ME"), ["2026-05-31", "2026-06-30"]),
        (pd.date_range("1984-02-29", periods=40, freq="YE-FEB"), ["2024-02-29", "2025-02-28"]),
        (pd.date_range("2014-03-31", periods=40, freq="QE"), ["2024-03-31", "2024-06-30"]),
        (pd.date_range("2023-01-08", periods=40, freq="W"), ["2023-10-15", "2023-10-22"]),
        (pd.date_range("2023-01-08", periods=40, freq="28D"), ["2026-02-01", "2026-03-01"]),
        (pd.bdate_range("2024-05-01", periods=40), ["2024-06-26", "2024-06-27"]),
        (pd.date_range("2024-02-01", periods=40), ["2024-03-12", "2024-03-13"]),
        (pd.date_range("2024-03-01", periods=40, freq="15min"), ["2024-03-01 10:00", "2024-03-01 10:15"]),
    ],
    ids=["month ends", "leap years", "quarters", "weeks", "four weeks", "business days", "leap day", "quarter hours"],
)
def test_steps_of_the_calendar_go_on(times, following):
    case = collected(pd.DataFrame({"t": times, "y": np.arange(40.0) % 5}), horizon=2, context=5)
    assert (case.panel.source == np.arange(40)).all()
    future = to_times(case.panel.index[-1] + np.arange(1, 3), case.task.state.step)
    assert [str(pd.Timestamp(t)) for t in future] == [str(pd.Timestamp(t)) for t in following]


def test_a_holiday_is_a_business_day_without_a_row():
    times = pd.bdate_range("2024-04-01", periods=60).drop("2024-05-01")
    case = collected(pd.DataFrame({"t": times, "y": np.arange(59.0)}), horizon=2, context=5)
    assert case.task.state.step.unit == "business"
    assert int((case.panel.source < 0).sum()) == 1


def test_times_after_the_calendars_end_are_a_sentence(months):
    late = AIRLINE.assign(Month=[f"{9998 - 11 + i // 12}-{1 + i % 12:02}" for i in range(144)])
    with pytest.raises(DataError, match="lie after the year 9998"):
        months.predict(late)


# values


@pytest.mark.parametrize("odd", ["n/a", "twelve", "inf", "1e999", ""])
def test_a_cell_that_is_no_finite_number_is_not_measured(months, odd):
    rows = AIRLINE.astype({"Passengers": object})
    rows.loc[120, "Passengers"] = odd
    null = rows.copy()
    null.loc[120, "Passengers"] = None
    assert same(months.predict(rows), months.predict(null))
    assert months.evaluate(rows) == pytest.approx(months.evaluate(null))
    assert ("1 cells of 'Passengers' are no numbers" in told(months, rows)[1]) == (odd not in ("n/a", ""))
    case = collected(rows, "Passengers", horizon=6)
    assert np.flatnonzero(np.isnan(case.panel.values[:, 0])).tolist() == [120]


def test_infinite_and_huge_numbers_give_finite_answers(months):
    rows = AIRLINE.astype({"Passengers": float})
    rows.loc[143, "Passengers"] = np.inf
    assert same(months.predict(rows), months.predict(rows[:143]))
    rows.loc[143, "Passengers"] = 1e300
    assert np.isfinite(months.predict(rows)["prediction"]).all()


def test_a_series_without_one_value_is_a_sentence(months, shops):
    empty = AIRLINE.assign(Passengers=None)
    with pytest.raises(DataError, match="rows: no row has a value of 'Passengers', so there is nothing to go on from"):
        months.predict(empty)
    rows = [{**row, "y": None} if row["store"] == "b" else row for row in stores()]
    with pytest.raises(DataError, match="series 'b': no row has a value of 'y'"):
        shops.predict(rows)
    with pytest.raises(DataError, match="column 'y' has no number in the training rows"):
        collected([{**row, "y": None} for row in daily()])
    with pytest.raises(DataError, match="rows: there is none"):
        months.predict(AIRLINE[:0])


def test_a_constant_series_stays_where_it_is():
    rows = [{"day": row["day"], "y": 7.0} for row in daily(80)]
    result = learned(rows, horizon=3, context=10).predict(rows)
    assert [row["prediction"] for row in result] == pytest.approx([7, 7, 7], abs=0.5)
    assert all(row["low"] <= row["prediction"] <= row["high"] for row in result)


# length


def test_a_short_history_is_extended_backwards_by_its_first_value(months):
    short, text = told(months, AIRLINE[140:])
    assert "The history is shorter than 24 steps; extended backwards by the first value." in text
    before = AIRLINE[140:141]
    padded = [before.assign(Month=AIRLINE["Month"][i]) for i in range(100, 140)]
    whole = months.predict(pd.concat([*padded, AIRLINE[140:]]))
    assert same(pd.DataFrame(short)[["prediction"]], whole[["prediction"]])
    assert all(
        row["high"] - row["low"] > high - low for row, low, high in zip(short, whole["low"], whole["high"], strict=True)
    )
    one, _ = told(months, [{"Month": "1960-12", "Passengers": 432}])
    assert len(one) == 6
    assert one[0]["Month"] == datetime(1961, 1, 1)


def test_a_forecast_goes_on_from_wherever_the_history_ends(months):
    assert told(months, AIRLINE[:100])[0][0]["Month"] == datetime(1957, 5, 1)
    far = AIRLINE.assign(Month=[f"{2100 + i // 12}-{1 + i % 12:02}" for i in range(144)])
    assert same(months.predict(far), months.predict(AIRLINE)), "without a calendar, the century says nothing"


def test_a_series_too_short_for_three_parts_is_learned_from_whole_and_the_others_are_evaluated():
    rows = [*stores(("a", "b")), *({**row, "store": "new", "y": 1.0} for row in daily(4, first=date(2023, 1, 1)))]
    case = collected(rows, horizon=7, context=14)
    assert any(note.startswith("1 of 3 series have no steps to evaluate on") for note in case.notes)
    (place,) = [i for i, name in enumerate(case.panel.ids) if name == "new"]
    assert case.cuts[place, 1] - case.cuts[place, 0] == 4
    assert len(case.origins(2))


def test_series_all_too_short_are_a_sentence_that_says_what_to_ask_for():
    with pytest.raises(DataError, match=r"split: 6 rows are too few for train, validation and test"):
        collected(daily(6), horizon=5)
    case = collected(daily(40), horizon=5, context=200)
    prep = lamina.preprocess.fit(case.splits.train, case.schema)
    with pytest.raises(
        DataError, match=r"train: no window of 200 steps of history and 5 ahead fits\. Ask for a smaller"
    ):
        case.examples(prep)


# several series


def test_series_of_their_own_lengths_in_any_order_are_answered_each(shops):
    rows = stores()
    mixed = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    result = shops.predict(mixed)
    assert len(result) == 21
    by_store = {row["store"]: row["day"] for row in reversed(result)}
    assert by_store == {"a": datetime(2024, 3, 31), "b": datetime(2024, 4, 5), "c": datetime(2024, 4, 10)}
    for name in "abc":
        single = shops.predict([row for row in rows if row["store"] == name])
        assert [r["prediction"] for r in single] == pytest.approx(
            [r["prediction"] for r in result if r["store"] == name]
        )


def test_a_series_never_seen_in_training_is_answered_too(shops):
    rows = [{**row, "store": "z"} for row in stores(("a",))]
    assert [row["prediction"] for row in shops.predict(rows)] == pytest.approx(
        [row["prediction"] for row in shops.predict(stores(("a",)))]
    )
    assert {row["store"] for row in shops.predict(rows)} == {"z"}


def test_a_row_of_no_series_is_skipped(shops):
    rows = [*stores(), {**daily(1)[0], "store": None}]
    assert "1 rows were left out: 'store' is missing, so it belongs to no series." in told(shops, rows)[1]
    with pytest.raises(DataError, match=r"rows: column 'store' is missing \(got"):
        shops.predict(daily(30))


def test_the_column_that_tells_series_apart_is_found_and_said():
    assert collected(stores(), horizon=7).task.state.series == "store"
    numbered = collected(stores((1, 2, 3)), horizon=7)
    assert numbered.task.state.series == "store"
    assert any("told apart by 'store'" in note for note in numbered.notes)
    with pytest.raises(DataError, match=r"rows have the same time as another\. If the table holds several series"):
        collected([{"day": row["day"], "y": row["y"]} for row in stores()], horizon=7)


def test_names_of_series_that_are_numbers_come_back_as_numbers():
    estimator = learned(stores((7, 12, 30)), horizon=7, context=14)
    assert [row["store"] for row in estimator.predict(stores((12, 99)))][::7] == [12, 99]


# columns


def test_columns_may_be_in_any_order_and_more(days):
    rows = daily(40)
    mixed = [{"colour": "red", **{name: row[name] for name in reversed(row)}} for row in rows]
    assert days.predict(mixed) == days.predict(rows)


@pytest.mark.parametrize("name", ["day", "y"])
def test_without_its_time_or_target_a_forecast_is_refused(days, name):
    rows = [{k: v for k, v in row.items() if k != name} for row in daily(40)]
    for ask in (days.predict, days.evaluate):
        with pytest.raises(DataError, match=f"column '{name}'"):
            ask(rows)


def test_a_column_that_only_helps_may_be_absent_and_is_then_not_measured(days):
    rows = [{k: v for k, v in row.items() if k != "heat"} for row in daily(40)]
    result, text = told(days, rows)
    assert "Column 'heat' is not there; it counts as not measured." in text
    assert [row["prediction"] for row in result] == [
        row["prediction"] for row in days.predict([{**row, "heat": None} for row in daily(40)])
    ]


def test_rows_behind_the_last_value_say_what_is_known_beforehand(days):
    past, future = daily(60)[:50], [{**row, "y": None, "heat": None} for row in daily(60)[50:]]
    exact, text = told(days, [*past, *future[:7]])
    assert "fewer than" not in text
    assert told(days, [*past, *future])[0] == exact, "more than the horizon are not looked at"
    few, text = told(days, [*past, *future[:3]])
    assert "sale: fewer than 7 rows ahead were given for 1 series; the last value was kept." in text
    assert len(few) == 7
    assert told(days, past)[0] == told(days, [*past, {**future[0], "sale": past[-1]["sale"]}])[0]
    gap = [row for i, row in enumerate(future[:7]) if i != 3]
    assert told(days, [*past, *gap])[0] == told(days, [*past, *future[:3], {**future[3], "sale": 0}, *future[4:7]])[0]
    sold = [{**row, "sale": 1} for row in future[:7]]
    assert told(days, [*past, *sold])[0] != exact


def test_columns_of_odd_kinds_in_training_say_what_became_of_them():
    rows = [{**row, "key": f"k{i}", "same": 1, "note": None} for i, row in enumerate(daily(100))]
    case = collected(rows, known=["sale", "same"], horizon=7)
    assert case.task.state.past == ("heat",)
    assert case.task.state.known == ("sale",)
    assert any(note.startswith("'same' is not used") for note in case.notes)
    with pytest.raises(LaminaError, match="column 'y' has two roles"):
        collected(rows, known=["y"])
    counted = [{"t": i, "y": float(i)} for i in range(120)]
    assert collected(counted, horizon=5, time="t").task.state.targets[0].name == "y", "a target that only rises"


def test_several_targets_are_answered_each_under_its_name():
    estimator = learned(daily(), "y", horizon=3, context=10, targets=["y", "heat"])
    result = estimator.predict(daily())
    assert list(result[0]) == ["day", "y", "heat"]
    assert set(result[0]["y"]) == {"prediction", "low", "high"}
    flat = estimator.predict(pd.DataFrame(daily()))
    assert list(flat.columns)[1:3] == ["y.prediction", "y.low"]
    with pytest.raises(LaminaError, match=r"target: 'y' is not among task\.targets"):
        collected(daily(), targets=["heat"])
    assert collected(daily(), None, targets=["heat"]).task.state.names == ["heat"]
    assert collected(daily(), None, targets="all").task.state.names == ["y", "heat"], "sale is yes or no"


# which rows evaluate


def test_later_rows_given_apart_are_those_to_evaluate_by():
    case = collected(AIRLINE[:110], "Passengers", test=AIRLINE[110:], horizon=6)
    assert case.cuts[0].tolist()[3:] == [110, 110, 144]
    assert case.counts()["read"] == case.counts()["used"] == 144
    estimator = lamina.fit(AIRLINE[:110], "Passengers", test=AIRLINE[110:], recipe={"task": TASK, **QUICK})
    assert estimator.evaluate(AIRLINE[110 - 24 :])["mae"] == pytest.approx(estimator.result["scores"]["mae"])
    with pytest.raises(DataError, match="test: its rows must come after those to learn from"):
        collected(AIRLINE[30:], "Passengers", test=AIRLINE[:30], horizon=6)


def test_a_test_file_of_later_rows_is_read_and_its_bad_rows_are_named(tmp_path):
    late = AIRLINE[110:].astype({"Passengers": object}).copy()
    late.loc[120, "Month"] = "soon"
    AIRLINE[:110].to_csv(tmp_path / "a.csv", index=False)
    late.to_csv(tmp_path / "b.csv", index=False)
    data = {"path": str(tmp_path / "a.csv"), "test": str(tmp_path / "b.csv")}
    recipe = build({"data": data, "target": "Passengers", "task": TASK})
    case = collect(recipe, read(recipe.data))
    (skipped,) = case.skipped_rows
    assert (skipped.file, skipped.line) == (str(tmp_path / "b.csv"), 12)
    assert case.counts()["read"] == 144


@pytest.mark.parametrize("split", ["random", "stratified", {"kind": "column", "name": "day"}])
def test_a_forecast_is_evaluated_on_what_comes_later_and_on_no_other_rows(split):
    with pytest.raises(LaminaError, match=r"split\.kind: a forecast is evaluated on what comes later"):
        learned(daily(), split=split)


# whether a forecast is meant


def test_times_and_a_number_alone_are_taken_for_a_forecast():
    result = lamina.fit(AIRLINE, "Passengers", recipe=QUICK)
    assert result.predictor.task.kind == "forecasting"
    assert re.search("look like a time series in time: in 'Month', one month apart without a gap", notes(result))
    panel = [{k: row[k] for k in ("day", "store", "y")} for row in stores()]
    recipe = build({"data": {"kind": "arrays"}, "target": "y"})
    assert collect(recipe, read(recipe.data, Collected(arrays.table(panel)))).task.state.series == "store"


def test_with_other_columns_a_number_is_a_regression_and_a_note_tells_of_forecasts():
    recipe = build({"data": {"kind": "arrays"}, "target": "y"})
    case = collect(recipe, read(recipe.data, Collected(arrays.table(daily()))))
    assert case.task.kind == "regression"
    assert any("--task forecasting learns from the past only" in note for note in case.notes)
    asked = build({"data": {"kind": "arrays"}, "target": "Passengers", "task": "regression"})
    assert collect(asked, read(asked.data, Collected(arrays.table(AIRLINE)))).task.kind == "regression"


# the caller's own types


def test_times_in_an_index_are_times_and_those_ahead_come_back_in_it(months):
    indexed = AIRLINE.assign(Month=pd.to_datetime(AIRLINE["Month"])).set_index("Month")
    estimator = lamina.fit(indexed, "Passengers", recipe=QUICK)
    assert estimator.predictor.task.kind == "forecasting"
    result = estimator.predict(indexed)
    assert list(result.index) == list(pd.date_range("1961-01-01", periods=len(result), freq="MS"))
    assert estimator.evaluate(indexed)["mae"] == pytest.approx(estimator.evaluate(indexed.reset_index())["mae"])
    assert len(months.predict(indexed["Passengers"])) == 6, "a Series"
    assert same(months.predict(indexed.to_period("M")), months.predict(AIRLINE))


def test_answers_come_in_the_type_of_the_rows(months):
    import polars as pl

    table = pa.Table.from_pandas(AIRLINE, preserve_index=False)
    kinds = [AIRLINE, AIRLINE.set_index(AIRLINE.index + 7), pl.from_pandas(AIRLINE), table, AIRLINE.to_dict("list")]
    for rows in (*kinds, AIRLINE.to_dict("records")):
        result = months.predict(rows)
        assert type(result) is type(rows)
        assert len(result["prediction"] if isinstance(result, dict) else result) == 6


def test_rows_whose_cells_are_whole_series_are_forecast_as_if_each_step_had_a_row():
    steps = [[float(i % 7 + 10 * k) for i in range(60 + 10 * k)] for k in range(2)]
    rolled = [{"shop": name, "sales": values} for name, values in zip("ab", steps, strict=True)]
    flat = [{"shop": row["shop"], "sales": value} for row in rolled for value in row["sales"]]
    recipe = {"task": {"kind": "forecasting", "series": "shop", "horizon": 7, "season": 7}, "train": {"epochs": 1}}
    one, other = (lamina.fit(rows, "sales", recipe=recipe) for rows in (rolled, flat))
    assert one.result["scores"] == other.result["scores"]
    assert one.predict(rolled) == other.predict(flat) == one.predict(flat)


def test_lists_of_one_row_that_are_not_equally_long_are_a_sentence():
    rows = [{"day": [1, 2, 3], "sales": [1.0, 2.0]}] * 3
    with pytest.raises(DataError, match=r"rows\[0\]\.(sales|day): has \d steps where another list of that row has 3"):
        lamina.fit(rows, "sales", recipe={"task": "forecasting"})


def test_a_step_without_a_time_inside_a_row_is_told_of_by_its_row(tmp_path):
    days = [str(date(2024, 1, 1) + timedelta(days=i)) for i in range(60)]
    rows = [{"shop": name, "day": list(days), "sales": [float(i % 7) for i in range(60)]} for name in "ab"]
    recipe = {"task": {"kind": "forecasting", "series": "shop", "horizon": 3}, "train": {"epochs": 1}}
    run = lamina.fit(rows, "sales", recipe=recipe, out=tmp_path / "run").result["run"]
    rows[1]["day"][20] = None
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = CliRunner().invoke(app, ["predict", run, str(file), "-o", str(tmp_path / "ahead.csv"), "--json"])
    assert done.exit_code == 0, done.output
    data = json.loads(done.output)
    assert data["rows"] == 6
    assert [(row["line"], row["reason"]) for row in data["skipped_rows"]] == [
        (2, "some of its steps: the time is missing or cannot be read")
    ]
    done = CliRunner().invoke(app, ["evaluate", run, str(file), "--json"])
    assert json.loads(done.output)["skipped"] == 1
