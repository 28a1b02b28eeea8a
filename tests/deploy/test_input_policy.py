"""What a model was not made for is refused, replaced or flagged, as the policy of the column says: never in silence."""

import json
import pickle
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina
from lamina.config import DataError, LaminaError
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import app
from service_tools import command, send

COLUMNS = ("months", "charges", "plan", "paperless", "since", "remark")
FAULTS = {  # a cell (or none), of which column, by what it is called; of columns that training had whole or not
    "missing": ("charges", None),
    "unreadable": ("charges", "lots"),
    "wrong_type": ("months", True),
    "unseen": ("plan", "platinum"),
    "out_of_range": ("charges", 1e9),
}


def ask(api, body, path="/predict"):
    return send(api, (("POST", path), {"json": body}))[0]


def issues(api):
    text = send(api, (("GET", "/metrics"), {}))[0].text
    result = re.findall(r'lamina_input_issues_total\{column="(\w+)",kind="(\w+)"\} (\d+)', text)
    return {(column, kind): int(count) for column, kind, count in result}


def with_cell(rows, column, cell, place=1):
    """Three rows of which one has this cell."""
    return [{**row, column: cell} if i == place else row for i, row in enumerate(rows[:3])]


@pytest.fixture(scope="module")
def rows(churn_rows):
    """Rows without gaps, all of which training had the like of."""
    whole = [
        row for row in churn_rows if None not in row.values() and float(row["charges"][1:].replace(",", "")) < 1300
    ]
    return [{**{name: row[name] for name in COLUMNS}, "charges": 1000.0} for row in whole[:20]]


@pytest.mark.parametrize("kind", FAULTS)
def test_reject_refuses_the_request_and_names_place_and_cure(predictor, rows, kind):
    column, cell = FAULTS[kind]
    api = app(predictor, policies={column: "reject"})
    assert ask(api, {"rows": rows[:3]}).status_code == 200
    reply = ask(api, {"rows": with_cell(rows, column, cell)})
    assert reply.status_code == 400
    assert re.fullmatch(rf"rows\[1\]\.{column}: .*, which this server does not take\. .*\.", reply.json()["error"])
    assert issues(api)[column, kind] == 1


@pytest.mark.parametrize("kind", FAULTS)
def test_flag_answers_and_warns_in_a_form_for_programs(predictor, rows, kind):
    column, cell = FAULTS[kind]
    api, plain = app(predictor, policies={"*": "flag"}), app(predictor)
    body = {"rows": with_cell(rows, column, cell)}
    reply, usual = ask(api, body).json(), ask(plain, body).json()
    (warning,) = reply["warnings"]
    assert (warning["row"], warning["column"], warning["kind"]) == (1, column, kind) and warning["message"].endswith(
        "."
    )
    assert reply["predictions"] == usual["predictions"]  # the value is used as it is where it can be
    assert "warnings" not in usual and issues(api)[column, kind] == 1


@pytest.mark.parametrize("kind", FAULTS)
def test_impute_reads_it_as_training_reads_what_is_missing_and_says_so(predictor, rows, kind):
    column, cell = FAULTS[kind]
    api = app(predictor, policies={column: "impute"})
    reply = ask(api, {"rows": with_cell(rows, column, cell)}).json()
    assert f"rows[1].{column}: " in " ".join(reply["notes"]) and "warnings" not in reply
    assert issues(api)[column, kind] == 1
    if kind in ("missing", "unreadable", "out_of_range"):
        gap = ask(app(predictor), {"rows": with_cell(rows, column, None)}).json()
        assert reply["predictions"] == gap["predictions"]


def test_a_column_that_is_not_there_is_refused_or_flagged(predictor, rows):
    without = {"rows": [{name: cell for name, cell in row.items() if name != "plan"} for row in rows[:2]]}
    refused = ask(app(predictor, policies={"plan": "reject"}), without)
    assert refused.status_code == 400 and refused.json()["error"].startswith("rows: 'plan' is not there")
    api = app(predictor, policies={"plan": "flag"})
    (warning,) = ask(api, without).json()["warnings"]
    assert (warning["row"], warning["column"], warning["kind"]) == (None, "plan", "missing_column")
    assert issues(api) == {("plan", "missing_column"): 2}


def test_without_a_policy_nothing_changes_but_the_count(predictor, rows):
    api = app(predictor)
    for column, cell in FAULTS.values():
        assert ask(api, {"rows": with_cell(rows, column, cell)}).status_code == 200
    assert issues(api) == {("charges", "unreadable"): 1, ("months", "wrong_type"): 1, ("plan", "unseen"): 1}


def test_a_gap_in_a_column_that_had_gaps_is_no_issue(predictor, rows):
    reply = ask(app(predictor, policies={"*": "reject"}), {"rows": with_cell(rows, "months", None)})
    assert reply.status_code == 200


def test_requests_that_are_answered_together_fail_and_warn_by_themselves(predictor, rows):
    api = app(predictor, policies={"charges": "reject", "plan": "flag"})
    bodies = [[rows[0]], [{**rows[1], "charges": None}], [rows[2], {**rows[3], "plan": "new"}], [rows[4]]]
    replies = send(api, *((("POST", "/predict"), {"json": {"rows": body}}) for body in bodies))
    assert [reply.status_code for reply in replies] == [200, 400, 200, 200]
    assert [[w["row"] for w in reply.json().get("warnings", [])] for reply in replies] == [[], [], [1], []]


def test_other_protocols_carry_warnings_too(predictor, rows):
    api = app(predictor, policies={"plan": "flag"})
    bad = {**rows[0], "plan": "new"}
    by_header = [
        ask(api, {"instances": [bad]}, "/v1/models/churn:predict"),
        ask(api, {"dataframe_records": [bad]}, "/invocations"),
    ]
    for reply in by_header:
        assert json.loads(reply.headers["x-warnings"])[0]["kind"] == "unseen"
    tensors = [
        {"name": "plan", "datatype": "BYTES", "shape": [1], "data": ["new"]},
        {"name": "charges", "datatype": "FP64", "shape": [1], "data": [1000.0]},
    ]
    reply = ask(api, {"inputs": tensors}, "/v2/models/churn/infer").json()
    assert [w["kind"] for w in json.loads(reply["parameters"]["warnings"])] == ["unseen"]


CELLS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=True), st.text(max_size=8))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.dictionaries(st.sampled_from(COLUMNS), CELLS, min_size=1), policy=st.sampled_from(lamina.preprocess.POLICIES)
)
def test_any_row_has_one_outcome_of_its_policy(predictor, apis, row, policy):
    body = {"content": json.dumps({"rows": [row]}), "headers": {"content-type": "application/json"}}
    reply = send(apis[policy], (("POST", "/predict"), body))[0]
    usual = send(apis[None], (("POST", "/predict"), body))[0]
    assert usual.status_code == 200
    absent = set(COLUMNS) - row.keys()
    if policy == "reject":
        assert reply.status_code in (200, 400) and (not absent or reply.status_code == 400)
        return
    assert reply.status_code == 200
    warnings = reply.json().get("warnings", [])
    assert policy == "flag" or not warnings
    if policy == "flag":
        assert {w["column"] for w in warnings if w["kind"] == "missing_column"} == absent
        assert {w["column"] for w in warnings} <= set(COLUMNS)
        notes = " ".join(usual.json().get("notes", []))
        assert all(w["column"] in notes for w in warnings if w["kind"] in ("unreadable", "unseen", "wrong_type"))


@pytest.fixture(scope="module")
def apis(predictor):
    policies = {policy: app(predictor, policies={"*": policy}) for policy in lamina.preprocess.POLICIES}
    return {None: app(predictor), **policies}


# On the command line, and in a recipe


def test_a_file_s_rows_that_are_rejected_are_skipped_with_the_reason(churn_bundle, rows, tmp_path):
    source = tmp_path / "rows.jsonl"
    cells = [rows[0], {**rows[1], "charges": "lots"}, {**rows[2], "charges": 1e9}, {**rows[3], "plan": "new"}, rows[4]]
    source.write_text("".join(json.dumps(row) + "\n" for row in cells))
    words = ("--policy", "charges=reject", "--policy", "plan=flag", "--json")
    code, out, _ = command("predict", churn_bundle, source, "-o", tmp_path / "answers.csv", *words)
    result = json.loads(out)
    assert code == 0 and result["rows"] == 3 and result["skipped"] == 2
    remaining = [json.loads(line) for line in (tmp_path / "answers.csv.skipped.jsonl").read_text().splitlines()]
    assert [(row["line"], row["column"]) for row in remaining] == [(2, "charges"), (3, "charges")]
    assert remaining[0]["reason"] == "'lots' is not a number" and remaining[1]["reason"].endswith(
        "outside of what training had"
    )
    assert result["warnings"] == [{"column": "plan", "kind": "unseen", "cells": 1, "first_row": 4}]


def test_a_file_s_numbers_beyond_training_are_imputed(churn_bundle, rows, tmp_path):
    answers = []
    for name, cell, words in (("far", 1e9, ["--policy", "charges=impute"]), ("gap", None, [])):
        source = tmp_path / f"{name}.jsonl"
        source.write_text(json.dumps({**rows[0], "charges": cell}) + "\n" + json.dumps(rows[1]) + "\n")
        code, out, _ = command("predict", churn_bundle, source, "-o", tmp_path / f"{name}.csv", "--json", *words)
        assert code == 0
        answers.append((tmp_path / f"{name}.csv").read_text())
        if words:
            assert any("'charges' in row 1: is outside" in note for note in json.loads(out)["notes"])
    assert answers[0] == answers[1]


def test_a_policy_that_means_nothing_is_refused_with_a_sentence(churn_bundle, predictor, rows, tmp_path):
    source = tmp_path / "rows.jsonl"
    source.write_text(json.dumps(rows[0]) + "\n")
    for word, sentence in (("charges=maybe", "must be COLUMN=POLICY"), ("charge=flag", "Did you mean 'charges'?")):
        code, _, err = command("predict", churn_bundle, source, "-o", tmp_path / "a.csv", "--policy", word)
        assert code == 1 and sentence in err
    with pytest.raises(LaminaError, match="no column 'charge'"):
        app(predictor, policies={"charge": "flag"})


def test_a_recipe_s_policy_goes_with_the_bundle(churn_rows, tmp_path):
    recipe = {"model": "fnn", "train": {"epochs": 1}}
    recipe["columns"] = {"charges": {"kind": "number", "policy": "reject"}, "remark": {"kind": "ignore"}}
    model = lamina.fit(churn_rows[:100], "left", recipe=recipe, out=tmp_path / "run")
    predictor = Predictor(model.result["bundle"])
    assert predictor.prep.policies == {"charges": "reject"}
    row = {name: churn_rows[0][name] for name in COLUMNS}
    assert ask(app(predictor), {"rows": [{**row, "charges": "lots"}]}).status_code == 400
    assert ask(app(predictor, policies={"charges": "flag"}), {"rows": [{**row, "charges": "lots"}]}).status_code == 200


def test_policies_are_given_in_python_too(churn_bundle, rows):
    odd = [rows[0], {**rows[1], "plan": "gold"}]
    with pytest.raises(DataError, match=r"rows\[1\].plan: .*gold"):
        lamina.load(churn_bundle, policies={"plan": "reject"}).predict(odd)
    with pytest.warns(UserWarning, match="plan: unseen, 1 cell"):
        lamina.load(churn_bundle, policies={"*": "flag"}).predict(odd)
    plain, imputed = lamina.load(churn_bundle), lamina.load(churn_bundle, policies={"months": "impute"})
    (answer,) = imputed.predict([{**rows[0], "months": 1e6}])
    assert answer == plain.predict([{**rows[0], "months": None}])[0]
    assert pickle.loads(pickle.dumps(imputed.predictor)).prep.policies == {"months": "impute"}
    for policies, words in (({"plam": "reject"}, "there is no column 'plam'"), ({"plan": "rejekt"}, "must be")):
        with pytest.raises(LaminaError, match=words):
            lamina.load(churn_bundle, policies=policies)
