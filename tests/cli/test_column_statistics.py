"""What columns are like before anything is trained: balance of classes, numbers, categories and times, none cut."""

import json

import pytest

from command_line import run as lamina_
from conftest import customers, write_csv


@pytest.fixture
def rows_csv(tmp_path):
    path = tmp_path / "rows.csv"
    lines = ["size,city,when,won"]
    for i in range(60):
        size = "" if i % 20 == 0 else 1_000_000.25 + i
        lines.append(
            f"{size},{'Rome' if i % 4 else 'Oslo'},2024-0{1 + i % 3}-{1 + i % 28:02},{'no' if i % 3 else 'yes'}"
        )
    path.write_text("\n".join(lines) + "\n")
    return path


def test_inspect_gives_statistics_by_the_kind_of_a_column(rows_csv):
    statistics = lamina_("inspect", rows_csv, "--target", "won", "--json").json["statistics"]
    by_name = {row["column"]: row for row in statistics}
    size = by_name["size"]
    assert (size["missing"], size["min"], size["max"]) == (3, 1_000_001.25, 1_000_059.25)
    assert size["mean"] == pytest.approx(1_000_030.25) and size["median"] == pytest.approx(1_000_030.25, abs=1)
    assert by_name["city"]["counts"] == {"Rome": 45, "Oslo": 15} and by_name["city"]["values"] == 2
    assert by_name["when"]["from"] == "2024-01-01" and by_name["when"]["to"].startswith("2024-03-")
    assert by_name["won"]["counts"] == {"no": 40, "yes": 20} and by_name["won"]["target"]


def test_at_80_columns_every_digit_is_there(rows_csv, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = lamina_("inspect", rows_csv, "--target", "won").out
    assert "class balance of won: no 66.7%" in text.replace("\xa0", " ")
    assert "1,000,001" in text and "1,000,059" in text, "the extremes, whole"
    cells = [word for line in text.splitlines() if line.startswith("size") for word in line.split()]
    assert not [word for word in cells if "…" in word and any(c.isdigit() for c in word)], cells


def test_train_shows_them_and_its_report_stores_no_number_of_a_single_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "churn.csv", customers(200))
    done = lamina_("train", "churn.csv", "--target", "left", "--epochs", "1", "--model", "fnn", "--out", "run")
    assert "task: classification of left" in done.out and "class balance of left:" in done.out.replace("\xa0", " ")
    columns = {
        c["name"]: c["statistics"] for c in json.loads((tmp_path / "run/report.json").read_text())["data"]["columns"]
    }
    assert {"mean", "std", "median", "missing"} <= set(columns["charges"])
    assert "max" not in columns["charges"], "the highest charge is one customer's"
    assert sum(columns["left"]["counts"].values()) == columns["left"]["rows"]
