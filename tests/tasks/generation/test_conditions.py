"""Rows by condition: those of the seed that meet it, in order, the same from everywhere, refused where none could."""

import json
import operator
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
import pytest

import lamina
from conftest import customers
from lamina.config import DataError
from lamina.deploy.server import Limits
from lamina.tasks.generation import files, rejection_sampling
from service_tools import ask, command, path

FACTS = ("months", "charges", "plan", "paperless", "since", "remark", "left")
SMALL = {"kind": "vae", "hidden": 16, "latent": 6}


def trained(folder: Any, target: str | None) -> lamina.Estimator:
    rows = [{name: row[name] for name in FACTS} | {"a<=b": row["paperless"]} for row in customers(400)]
    recipe = {"task": "generation", "model": SMALL, "train": {"epochs": 3, "threads": 1}}
    return lamina.fit(rows, target, recipe=recipe, out=folder / "run")


@pytest.fixture(scope="module")
def left(tmp_path_factory) -> lamina.Estimator:
    """Rows whose class is who left."""
    return trained(tmp_path_factory.mktemp("left"), "left")


@pytest.fixture(scope="module")
def plans(tmp_path_factory) -> lamina.Estimator:
    """Rows whose class is one of three plans."""
    return trained(tmp_path_factory.mktemp("plans"), "plan")


@pytest.fixture(scope="module")
def image_generator(tmp_path_factory) -> lamina.Estimator:
    images = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 1), np.uint8)
    recipe = {"task": "generation", "model": {"kind": "vae", "width": 4, "latent": 4}, "train": {"epochs": 1}}
    return lamina.fit(images, recipe=recipe, out=tmp_path_factory.mktemp("images") / "run")


def known(test: Callable[[Any, Any], bool], limit: Any) -> Callable[[Any], bool]:
    return lambda cell: cell is not None and test(cell, limit)


MET: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "months>=30": ("months", known(operator.ge, 30)),
    "months < 30.5": ("months", known(operator.lt, 30.5)),
    "months=": ("months", lambda cell: cell is None),
    "months!=": ("months", lambda cell: cell is not None),
    "months!=30": ("months", lambda cell: cell != 30),
    "charges>$1,000": ("charges", lambda cell: cell is not None and float(cell[1:].replace(",", "")) > 1000),
    "plan=plus": ("plan", known(operator.eq, "plus")),
    "plan==plus": ("plan", known(operator.eq, "plus")),
    "plan!=plus": ("plan", lambda cell: cell != "plus"),
    "plan>basic": ("plan", known(operator.gt, "basic")),
    "plan=": ("plan", lambda cell: cell is None),
    "paperless=true": ("paperless", lambda cell: cell is True),
    "a<=b=true": ("a<=b", lambda cell: cell is True),
    "since>=2021-02-03": ("since", known(operator.ge, "2021-02-03")),
    "since<2020-01-01T12:00": ("since", known(operator.le, "2020-01-01")),
}


@pytest.mark.parametrize("condition", MET)
def test_what_is_made_are_the_rows_of_the_seed_that_meet_the_condition_in_order(left, condition):
    name, meets = MET[condition]
    every = left.generate(2048, seed=5)
    expected = every.filter(pa.array([meets(cell) for cell in every[name].to_pylist()]))
    assert 0 < expected.num_rows < 2048
    assert left.generate(min(12, expected.num_rows), seed=5, where=condition).equals(expected.slice(0, 12))


def test_several_conditions_have_to_hold_together_and_may_be_values_by_column(left):
    result = left.generate(30, where=["plan=pro", "months>=25", "months<35", "paperless!=false"]).to_pylist()
    assert all(r["plan"] == "pro" and 25 <= r["months"] < 35 and r["paperless"] for r in result)
    assert left.generate(9, where={"plan": "pro", "paperless": True}).equals(
        left.generate(9, where=["plan=pro", "paperless=true"])
    )
    assert left.generate(5, where={"plan": None})["plan"].null_count == 5
    (day,) = {row["since"] for row in left.generate(2, where={"since": date(2019, 2, 2)}).to_pylist()}
    assert day == "2019-02-02"
    assert (
        left.generate(5, where=[]).equals(left.generate(5, where={}))
        and left.generate(0, where="plan=pro").num_rows == 0
    )


def test_a_condition_on_the_class_is_the_label(left, plans):
    for condition in ("left=yes", "left!=no", {"left": "yes"}):
        assert left.generate(20, seed=2, where=condition).equals(left.generate(20, seed=2, label="yes"))
    every = plans.generate(1024, seed=2)
    others = every.filter(pc.not_equal(every["plan"], "basic"))
    assert 100 < others.num_rows < 1000
    assert plans.generate(40, seed=2, where="plan!=basic").equals(others.slice(0, 40))
    with pytest.raises(DataError, match=r"'left' is the class, which label names too\. Ask for it once\."):
        left.generate(3, label="no", where="left=yes")


def test_one_seed_makes_the_same_rows_in_python_on_the_command_line_and_on_a_server(left, tmp_path):
    where = ["months>=30", "plan!="]
    expected = left.generate(20, seed=4, where=where)
    words = [word for one in where for word in ("--where", one)]
    code, output, error = command("generate", path(left), "-n", 20, "-o", tmp_path / "a.parquet", "--seed", 4, *words)
    assert code == 0, error
    assert pa.parquet.read_table(tmp_path / "a.parquet").equals(expected)
    assert "rows tried, these are the first that meet the conditions" in output
    answer = ask(left, "POST", "/generate", json={"count": 20, "seed": 4, "where": where})
    assert answer.status_code == 200, answer.text
    assert answer.json()["samples"] == expected.to_pylist()


def test_asking_for_more_keeps_the_first_and_classes_are_taken_in_turn(left):
    for label in (None, "no", ["yes", "no"]):
        few, many = (left.generate(n, seed=1, label=label, where="plan=pro") for n in (7, 40))
        assert many.slice(0, 7).equals(few)
        assert set(many["plan"].to_pylist()) == {"pro"}
    assert many["left"].to_pylist() == ["yes", "no"] * 20


def test_what_is_made_in_pieces_is_what_is_made_at_once(left, tmp_path, monkeypatch):
    words = ["--where", "months<30", "--label", "yes", "--label", "no", "-n", 50]
    command("generate", path(left), "-o", tmp_path / "whole.csv", *words)
    monkeypatch.setattr(files, "ROWS", 5)
    code, output, _ = command("generate", path(left), "-o", tmp_path / "pieces.csv", "--json", *words)
    result = json.loads(output)
    assert (code, result["count"], result["labels"]) == (0, 50, {"no": 25, "yes": 25}) and result["attempts"] >= 50
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "pieces.csv").read_bytes()
    assert "trainedAlgorithmicMedia" in (tmp_path / "pieces.csv.source.json").read_text()


NEVER = {
    "plan=Pro": "there is no 'Pro' in 'plan'. Did you mean 'pro'?",
    "plan!=gold": "there is no 'gold' in 'plan'. There is: basic, plus, pro.",
    "plan<basic": "'plan<basic' can never hold: 'plan' is made as ",
    "months>1000": r"'months>1000' can never hold: 'months' is made from ",
    "months=30.123": " with 1 decimal.",
    "since<1990-01-01": "'since<1990-01-01' can never hold: 'since' is made from 2018-",
    "since=2020-01-01 10:00": " in days.",
    "paperless=": "'paperless=' can never hold: 'paperless' is never missing.",
    "left=": "'left' is never missing.",
    "left=Yes": "there is no 'Yes' in 'left'. Did you mean 'yes'?",
    "months>many": "'months' is compared with a number (got 'many').",
    "since>soon": "'since' is compared with a time such as 20",
    "mnths>3": "there is no column 'mnths'. Did you mean 'months'?",
    "remark=late": "'remark' is generated by a pattern, so no value of it can be asked for.",
    "months": "'months' is no condition. Write column, sign and value",
    "months>": "'months>' is no condition. Write column, sign and value",
}


@pytest.mark.parametrize("condition", NEVER)
def test_what_no_row_could_meet_is_refused_before_anything_is_made(left, tmp_path, condition):
    code, _, error = command("generate", path(left), "-o", tmp_path / "a.csv", "-n", 10**9, "--where", condition)
    assert code == 1 and "where: " in error and NEVER[condition] in error
    assert not list(tmp_path.iterdir())
    answer = ask(left, "POST", "/generate", json={"count": 3, "where": [condition]})
    assert answer.status_code == 400 and NEVER[condition] in answer.json()["error"]


@pytest.mark.parametrize("pair", [("months>40", "months<20"), ("plan=pro", "plan=plus"), ("months=", "months>3")])
def test_conditions_that_exclude_one_another_are_refused(left, pair):
    with pytest.raises(DataError, match=f"no row can meet '{pair[0]}' and '{pair[1]}' together"):
        left.generate(3, where=pair)


def test_a_rare_condition_stops_with_how_rare_it_is(left, tmp_path, monkeypatch):
    monkeypatch.setattr(rejection_sampling, "PATIENCE", 2048)
    monkeypatch.setattr(rejection_sampling, "RARE", 10)
    rare = ["plan=", "months="]
    some = left.generate(2048, seed=3).to_pylist()
    remaining = sum(row["plan"] is None and row["months"] is None for row in some)
    assert 1 < remaining < 2048 / 10
    sentence = (
        f"{remaining} of 2,048 rows generated meet 'plan=' and 'months=', about 1 in {round(2048 / remaining):,}, "
    )
    sentence += "and 500 were asked"
    words = [word for one in rare for word in ("--where", one)]
    code, _, error = command("generate", path(left), "-o", tmp_path / "a.csv", "-n", 500, "--seed", 3, *words)
    assert code == 1 and sentence in error and error.endswith("Ask for fewer or a looser condition.")
    assert not list(tmp_path.iterdir())
    assert left.generate(remaining, seed=3, where=rare).num_rows == remaining


def test_a_request_cannot_hold_a_server_for_long(left):
    rare = {"count": 500, "where": ["plan=", "months="]}
    answer = ask(left, "POST", "/generate", Limits(attempts=3000), json=rare)
    assert answer.status_code == 413
    assert "of 3,072 rows generated" in answer.json()["error"] and "500 were asked for" in answer.json()["error"]
    assert ask(left, "POST", "/generate", json={"where": ["plan=pro"] * 101}).status_code == 400
    assert ask(left, "POST", "/generate", json={"where": []}).status_code == 400
    assert ask(left, "POST", "/generate", json={"where": [3]}).status_code == 400


def test_images_have_no_columns_to_ask_for(image_generator, tmp_path):
    said = "where: is for rows of a table, and this bundle generates images."
    with pytest.raises(DataError, match=said):
        image_generator.generate(2, where="a=b")
    code, _, error = command("generate", path(image_generator), "-o", tmp_path / "out", "--where", "a=b")
    assert code == 1 and said in error and not list(tmp_path.iterdir())
    answer = ask(image_generator, "POST", "/generate", json={"where": ["a=b"]})
    assert answer.status_code == 400 and said in answer.json()["error"]


def test_a_server_describes_conditions_where_there_are_rows(left, image_generator):
    def body(estimator: lamina.Estimator) -> dict[str, Any]:
        described = ask(estimator, "GET", "/openapi.json").json()["paths"]["/generate"]["post"]["requestBody"]
        return described["content"]["application/json"]["schema"]["properties"]

    (example,) = body(left)["where"]["examples"]
    assert ask(left, "POST", "/generate", json={"count": 3, "where": example}).status_code == 200
    assert "where" not in body(image_generator)
    page = ask(left, "GET", "/", headers={"accept": "text/html"}).text
    assert '<textarea name="where"' in page and 'data-setting="lines"' in page
    assert '<textarea name="where"' not in ask(image_generator, "GET", "/", headers={"accept": "text/html"}).text
