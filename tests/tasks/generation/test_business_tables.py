"""Made rows of tables with dates, prices, ids, orderings and totals: written as real ones are, and as consistent."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.csv
import pytest

from business_tables import CITIES, TABLES, bookings
from lamina import preprocess
from lamina.schema import MISSING, clean
from lamina.tasks.generation import column_transformer, relations, table_transformer, time_parts
from service_tools import command

FORMATS = {
    "bookings": {
        "booking_id": r"BK-\d{6}",
        "check_in": r"\d{4}-\d\d-\d\d",
        "check_out": r"\d{4}-\d\d-\d\d",
        "price": r"\$\d{1,3}(,\d{3})*\.\d\d",
        "discount": r"\d+\.\d %",
        "phone": r"\+49 170 \d{7}",
    },
    "maintenance": {
        "started": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0[12]:00",
        "finished": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0[12]:00",
        "duration": r"(\d+ h \d\d|\d+) min",
        "part": r"[A-H]{2}\d{4}",
        "temperature": r"-?\d+,\d",
        "balance": r"\d{1,3}(\.\d{3})*|\(\d{1,3}(\.\d{3})*\)",
        "visit": r"\d\d [A-Z][a-z]+ \d{4}",
    },
    "invoices": {
        "invoice": r"\d{8}",
        "date": r"202[34](0[1-9]|1[0-2])([0-2]\d|3[01])",
        "due": r"([0-2]\d|3[01])(0[1-9]|1[0-2])202[345]",
        "price": r"\d+\.99",
        "net": r"\d+\.\d\d",
        "weight": r"\d+\.\d kg",
        "rating": r"[1-5]\.0",
        "postcode": r"\d{5}",
    },
}


@pytest.fixture(scope="module", params=TABLES)
def business(request, tmp_path_factory) -> tuple[str, Path, list[dict[str, str]], dict[str, Any]]:
    """Name, run, generated rows as a file has them, and the report."""
    folder = tmp_path_factory.mktemp(request.param)
    pyarrow.csv.write_csv(TABLES[request.param](240), folder / "real.csv")
    settings = [word for one in ("train.epochs=2", "model.hidden=32", "train.threads=1") for word in ("--set", one)]
    run, table = folder / "run", folder / "real.csv"
    code, _, error = command("train", table, "--task", "generation", "--out", run, *settings)
    assert code == 0, error
    code, _, error = command("generate", run, "-n", 300, "-o", folder / "rows.csv")
    assert code == 0, error
    with open(folder / "rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return request.param, run, rows, json.loads((run / "report.json").read_text())


def test_cells_are_written_as_real_ones_are(business):
    name, _, rows, _ = business
    for column, form in FORMATS[name].items():
        odd = [row[column] for row in rows if not re.fullmatch(form, row[column])]
        assert not odd, (column, odd[:3])


def test_what_holds_in_all_real_rows_holds_in_all_that_are_made(business):
    name, _, rows, report = business
    facts = report["synthetic_rows"]
    assert facts["relations"] and sum(one["broken"] for one in facts["relations"]) == 0
    assert facts["invalid"] < 0.001
    for row in rows:
        if name == "bookings":
            assert row["check_in"] < row["check_out"]
        if name == "invoices":
            assert float(row["net"]) == pytest.approx(int(row["quantity"]) * float(row["price"]))
            assert float(row["gross"]) == pytest.approx(float(row["net"]) + float(row["tax"]))
        if name == "maintenance":
            assert row["started"][:19] < row["finished"][:19] and 6 <= int(row["started"][11:13]) <= 17
        else:
            assert CITIES[row["city"]] == row["country"]


def test_texts_of_rare_values_are_many_and_those_that_may_be_names_are_left_out_with_a_sentence(business):
    name, _, rows, report = business
    for column in {"bookings": ("booking_id", "phone"), "maintenance": ("part",), "invoices": ("postcode",)}[name]:
        assert len({row[column] for row in rows}) > 0.9 * len(rows)
    if name == "maintenance":
        assert "technician" not in rows[0]
        assert any("Not in the generated rows: technician" in note for note in report["data"]["notes"])


def test_a_condition_compares_two_columns(business, tmp_path):
    name, run, _, _ = business
    if name != "bookings":
        return
    words = ["-n", 20, "-o", tmp_path / "some.csv", "--where"]
    code, _, error = command("generate", run, *words, "check_out > check_in", "--where", "nights>2")
    assert code == 0, error
    code, _, error = command("generate", run, *words[:3], tmp_path / "other.csv", "--where", "city < room")
    assert code == 0, error
    with open(tmp_path / "other.csv", newline="") as file:
        assert all(row["city"] < row["room"] for row in csv.DictReader(file))
    code, _, error = command("generate", run, *words[:3], tmp_path / "no.csv", "--where", "check_in > nights")
    assert code == 1 and "cannot be compared" in error


def test_rows_come_back_from_their_numbers_and_keep_what_holds():
    table = clean(bookings(400), MISSING)
    schema, _ = time_parts.with_dates(table, preprocess.infer(table, None, {}, MISSING))
    fit = column_transformer.fit(table, schema)
    matrix = table_transformer.encode(table, schema, fit.columns)
    back = table_transformer.decode(matrix, fit.columns, None, fit.relations)
    assert back["room"].equals(table["room"]) and back["country"].equals(table["country"])
    same = [a == b for a, b in zip(back["check_out"].to_pylist(), table["check_out"].to_pylist(), strict=True)]
    assert sum(same) > 0.95 * len(same)  # the longest stays are nobody's
    assert not any(one["broken"] for one in relations.report(back, schema, fit.columns, fit.relations))
