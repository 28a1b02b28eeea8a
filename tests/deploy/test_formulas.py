"""Cells that a spreadsheet would compute: they stay as they were, and that is said; or they become text when asked."""

import csv
from pathlib import Path

import pyarrow as pa
import pytest

import service_tools
from conftest import customers, write_csv
from lamina.deploy.formulas import Formulas

FORMULAS = ["=1+1", "@SUM(A1)", "+49 170 5", "-2+3", "\tx", "\n=x", "＝1", "=cmd|' /C calc'!A0", '=HYPERLINK("x")']
HARMLESS = ["-5", "+1.5e3", "-1,000.5", "-50%", "-", "", "a=b", "'=1", " text", "5", "é", None]


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_cell_that_begins_like_a_formula_is_counted_and_made_text_when_asked(cell):
    table = pa.table({"id": [cell, None, "x"]})
    plain, escape = Formulas(), Formulas(escape=True)
    assert plain(table).equals(table)
    assert escape(table)["id"].to_pylist() == ["'" + cell, None, "x"]
    assert plain.counts == escape.counts == {"id": 1}


@pytest.mark.parametrize("cell", HARMLESS)
def test_numbers_and_plain_text_are_no_formulas(cell):
    table, escape = pa.table({"id": pa.array([cell], pa.string()), "n": [-1.5]}), Formulas(escape=True)
    assert escape(table).equals(table)
    assert escape.notes() == []


def answers(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """A model of two classes, one of which is a formula."""
    folder = tmp_path_factory.mktemp("formulas")
    rows = [{"months": row["months"], "left": "=no" if row["left"] == "no" else "yes"} for row in customers(120)]
    sets = ["--set", "train.epochs=2", "--set", "model.width=8"]
    path = write_csv(folder / "rows.csv", rows)
    code, _, errors = service_tools.command("train", path, "--target", "left", *sets, "--out", folder / "run")
    assert code == 0, errors
    return folder / "run"


def test_predict_keeps_what_it_copies_says_what_is_a_formula_and_escapes_it_when_asked(bundle, tmp_path):
    cells = [*FORMULAS, "-5", "plain"]
    rows = [{"id": cell, "=SUM(A)": i, "months": i} for i, cell in enumerate(cells)]
    source = write_csv(tmp_path / "rows.csv", rows)
    words = ["predict", bundle, source, "--keep", "id,=SUM(A)", "-o"]
    code, output, errors = service_tools.command(*words, tmp_path / "plain.csv")
    assert code == 0, errors
    note = " ".join((output + errors).split())
    assert f"{len(FORMULAS)} of 'id'" in note and "the name of column '=SUM(A)'" in note
    assert "They are as they were; --escape-formulas" in note
    plain = answers(tmp_path / "plain.csv")
    assert [row["id"] for row in plain] == cells
    code, output, errors = service_tools.command(*words, tmp_path / "escaped.csv", "--escape-formulas")
    assert code == 0, errors
    escaped = answers(tmp_path / "escaped.csv")
    assert [row["id"] for row in escaped] == ["'" + cell for cell in FORMULAS] + ["-5", "plain"]
    assert [row["'=SUM(A)"] for row in escaped] == [str(i) for i in range(len(cells))]
    assert not any(value.startswith("=") for row in escaped for value in row.values())
    code, output, errors = service_tools.command(*words[:-3], "--keep", "id", "-o", tmp_path / "rows.parquet")
    assert code == 0, errors
    assert "spreadsheet" not in output + errors
