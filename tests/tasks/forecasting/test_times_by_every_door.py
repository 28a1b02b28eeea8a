"""Times mean the same by every door: files, HTTP, Python; a later file that only another reading fits is said."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import polars
import pytest

import lamina
from lamina.config import DataError
from service_tools import as_csv, ask, command

QUICK = {"model": "linear", "train": {"epochs": 2}}
BERLIN = ZoneInfo("Europe/Berlin")
COUNT = 90


def forecast_model(rows: Any, folder: Path, **task: Any) -> lamina.Estimator:
    task = {"kind": "forecasting", "horizon": 2, "context": 8, **task}
    return lamina.fit(rows, "y", recipe={"task": task, **QUICK}, out=folder)


def days(form: str, count: int = COUNT) -> list[dict[str, Any]]:
    return [{"day": (date(2024, 1, 1) + timedelta(i)).strftime(form), "y": float(i)} for i in range(count)]


@pytest.fixture(scope="module")
def american(tmp_path_factory) -> lamina.Estimator:
    """Days with the month first."""
    return forecast_model(days("%m/%d/%Y"), tmp_path_factory.mktemp("runs") / "american")


def test_a_history_with_day_and_month_in_the_other_order_is_refused_by_every_door(american, tmp_path):
    rows = days("%d/%m/%Y")
    sentence = "read by %m/%d/%Y, but only %d/%m/%Y fits all"
    for answer in (american.predict, american.evaluate):
        with pytest.raises(DataError, match=sentence):
            answer(rows)
    reply = ask(american, "POST", "/predict", json={"rows": rows})
    assert reply.status_code == 400
    assert sentence in reply.json()["error"]
    file = tmp_path / "later.csv"
    file.write_text(as_csv(rows))
    code, _, error = command("predict", american.result["run"], file, "-o", tmp_path / "a.csv")
    assert code
    assert sentence in error
    assert "--set columns.day.format=%d/%m/%Y" in error


def test_a_history_that_both_orders_fit_is_read_as_in_training(american):
    rows = days("%m/%d/%Y")[31:43]  # 1 to 12 February
    assert american.predict(rows)[0]["day"] == datetime(2024, 2, 13)


def test_a_table_with_day_and_month_in_the_other_order_is_answered_with_a_note(tmp_path):
    rows = [{**row, "x": i % 5, "y": i % 5 + i / 100} for i, row in enumerate(days("%m/%d/%Y"))]
    model = lamina.fit(
        rows,
        "y",
        recipe={"task": "regression", "model": {"kind": "fnn", "width": 4}, "train": {"epochs": 1}},
        out=tmp_path / "run",
    )
    later = [{"day": row["day"], "x": 1} for row in days("%d/%m/%Y")]
    reply = ask(model, "POST", "/predict", json={"rows": later})
    assert "only %d/%m/%Y fits all" in json.dumps(reply.json()["notes"])
    file = tmp_path / "later.csv"
    file.write_text(as_csv(later))
    code, out, error = command("predict", tmp_path / "run", file, "-o", tmp_path / "a.csv", "--json")
    assert code == 0, error
    assert "only %d/%m/%Y fits all" in json.dumps(json.loads(out)["notes"])


def test_a_history_written_in_another_way_is_answered_with_how_it_looks(american):
    mixed = [*days("%m/%d/%Y")[:80], *days("%b %d, %Y")[80:]]
    reply = ask(american, "POST", "/predict", json={"rows": mixed})
    assert reply.json()["predictions"][0]["day"] == "2024-03-21T00:00:00"
    assert "10 of 90 times are not written by %m/%d/%Y" in json.dumps(reply.json()["notes"])


def berlin(first: datetime, count: int = COUNT) -> list[dict[str, Any]]:
    return [{"day": first.replace(tzinfo=BERLIN) + timedelta(days=i), "y": float(i)} for i in range(count)]


def test_answers_keep_the_zone_of_the_history_in_every_type_and_file(tmp_path):
    rows = berlin(datetime(2024, 1, 20))
    model = forecast_model(rows, tmp_path / "run")
    first, moment = "2024-04-19T00:00:00+02:00", datetime(2024, 4, 19, tzinfo=BERLIN)
    texts = [{**row, "day": row["day"].isoformat()} for row in rows]
    frame = pd.DataFrame(rows)
    assert model.predict(rows)[0]["day"] == moment
    assert model.predict(texts)[0]["day"].isoformat() == first
    assert model.predict(frame)["day"][0] == pd.Timestamp(moment)
    assert model.predict(frame.set_index("day")).index[0].isoformat() == first
    assert model.predict(polars.from_pandas(frame))["day"][0] == moment
    assert ask(model, "POST", "/predict", json={"rows": texts}).json()["predictions"][0]["day"] == first
    reply = ask(model, "POST", "/predict", content=as_csv(texts), headers={"content-type": "text/csv"})
    assert reply.json()["predictions"][0]["day"] == first
    frame.to_parquet(tmp_path / "history.parquet")
    (tmp_path / "history.csv").write_text(as_csv(texts))
    for history in ("history.csv", "history.parquet"):
        for suffix, start in ((".csv", "2024-04-19 00:00:00+0200"), (".jsonl", first), (".parquet", moment)):
            file = tmp_path / f"{history}{suffix}"
            code, _, error = command("predict", tmp_path / "run", tmp_path / history, "-o", file)
            assert code == 0, error
            answers = {".csv": pd.read_csv, ".parquet": pd.read_parquet}.get(suffix)
            day = answers(file)["day"][0] if answers else json.loads(file.read_text().splitlines()[0])["day"]
            assert day == start


def test_days_and_months_lie_on_the_clocks_of_their_zone(tmp_path):
    months = [datetime(2016 + i // 12, 1 + i % 12, 1, tzinfo=BERLIN) for i in range(COUNT)]
    rows = [{"day": month.isoformat(), "y": float(i)} for i, month in enumerate(months)]
    model = forecast_model(rows, tmp_path / "run")
    assert model.predictor.task.state.step.unit == "month"
    assert [row["day"].isoformat() for row in model.predict(rows)] == [
        "2023-07-01T00:00:00+02:00",
        "2023-08-01T00:00:00+02:00",
    ]
    winter = model.predict(rows[:-3])  # whose last offset is that of March
    assert winter[0]["day"].isoformat() == "2023-04-01T00:00:00+01:00"


def test_hours_with_a_zone_lie_on_utc_so_that_no_hour_is_skipped_or_doubled(tmp_path):
    times = pd.date_range("2024-10-24", periods=COUNT, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame({"day": times, "y": range(COUNT)})
    model = forecast_model(frame, tmp_path / "run")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["data"]["rows"]["used"] == COUNT
    assert "have no row" not in json.dumps(report["data"]["notes"])
    assert list(model.predict(frame)["day"]) == list(times[-1:] + pd.Timedelta(hours=1)) + list(
        times[-1:] + pd.Timedelta(hours=2)
    )


def test_a_history_of_seconds_is_read_as_numbers_and_as_texts(tmp_path):
    rows = [{"ts": 1_700_000_000 + 3600 * i, "y": float(i)} for i in range(COUNT)]
    model = forecast_model(rows, tmp_path / "run")
    expected = datetime(2023, 11, 14, 22, 13, 20) + timedelta(hours=COUNT)
    for write in (int, float, str):
        assert model.predict([{**row, "ts": write(row["ts"])} for row in rows])[0]["ts"] == expected
    assert ask(model, "POST", "/predict", json={"rows": rows}).json()["predictions"][0]["ts"] == expected.isoformat()


def test_test_rows_with_day_and_month_in_the_other_order_are_said(tmp_path):
    rows = [{**row, "x": i % 5, "y": i % 5 + i / 100} for i, row in enumerate(days("%m/%d/%Y"))]
    later = [{**row, "x": i % 5, "y": i % 5 + i / 100} for i, row in enumerate(days("%d/%m/%Y"))]
    for name, table in (("train", rows), ("test", later)):
        (tmp_path / f"{name}.csv").write_text(as_csv(table))
    words = ("--target", "y", "--task", "regression", "--out", tmp_path / "run", "--set", "train.epochs=1")
    code, _, error = command("train", tmp_path / "train.csv", "--test", tmp_path / "test.csv", *words)
    assert code == 0, error
    notes = json.loads((tmp_path / "run" / "report.json").read_text())["data"]["notes"]
    assert "Test rows, 'day': " in "\n".join(notes)
    assert "only %d/%m/%Y fits all" in "\n".join(notes)
