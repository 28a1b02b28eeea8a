"""Rows of strange shapes: many names of their own, deep in one another, odd numbers. Little memory, and a sentence."""

import json
import math
import tracemalloc

import pyarrow as pa
import pytest

import lamina
from lamina import data
from lamina.config import DataError
from lamina.data import arrays
from lamina.data.files import Config
from lamina.deploy import batch
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import Limits
from service_tools import ask


@pytest.fixture(scope="module")
def model(churn_bundle):
    return lamina.load(churn_bundle)


@pytest.fixture(scope="module")
def row(churn_rows):
    return {name: cell for name, cell in churn_rows[0].items() if name != "left"}


def ragged(rows, names, row):
    """Rows that each have names of their own beside those of a row."""
    return [row | {f"n{i * names + k}": 1 for k in range(names)} for i in range(rows)]


def nested(depth, leaf=1):
    for _ in range(depth):
        leaf = {"a": leaf}
    return leaf


def megabytes(action):
    """What an action gives, and the most memory of Python's it took at a time."""
    tracemalloc.start()
    try:
        return action(), tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def lines(path, rows):
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return Config(path=str(path))


# names that a model does not use


def test_a_request_with_many_names_of_its_own_costs_what_it_says(model, row):
    wide = ragged(500, 20, row)
    reply, peak = megabytes(lambda: ask(model, "POST", "/predict", json={"rows": wide}))
    plain = ask(model, "POST", "/predict", json={"rows": [row] * 500}).json()
    assert reply.json()["predictions"] == plain["predictions"]
    assert reply.json()["notes"][-1] == "and 9,981 more columns that this model does not have."
    assert peak < 30  # rows x names are 5,000,000 cells of 8 bytes each


def test_names_that_a_model_does_not_use_are_dropped_in_python(model, row):
    wide = ragged(500, 20, row)
    answers, peak = megabytes(lambda: model.predict(wide))
    assert answers == model.predict([row] * 500) and peak < 30


def test_nested_dicts_still_fill_columns_with_dots():
    rows = [{"a": {"b": {"c": float(i)}, "d": "x"}, "y": float(i)} for i in range(60)]
    assert arrays.select([rows[0] | {"z": 1}], {"a.b.c", "y"}) == [{"a.b.c": 0.0, "y": 0.0}]
    assert arrays.table(rows).column_names == ["a.b.c", "a.d", "y"]


def test_rows_are_bounded_by_the_cells_they_become(model, row):
    width = len(model.predictor.prep.columns) + model.predictor.spec.output.size
    limits = Limits(cells=width * 10)
    assert ask(model, "POST", "/predict", limits, json={"rows": [row] * 10}).status_code == 200
    for body in ({"rows": [row, *[{}] * 10]}, {"columns": {"months": [1] * 11}}):
        reply = ask(model, "POST", "/predict", limits, json=body)
        assert reply.status_code == 413
        assert reply.json()["error"] == (
            f"rows: there are more than 10. Each is {width} cells, and one request may have {width * 10}. "
            "Send them in several requests."
        )


def test_work_that_takes_too_long_ends(model, row):
    class Slow(Predictor):
        def run(self, inputs, graph="model"):
            steps.append(len(next(iter(inputs.values()))))
            return super().run(inputs, graph)

    steps = []
    estimator = lamina.Estimator(Slow(model.predictor.bundle))
    steps.clear()
    reply = ask(estimator, "POST", "/predict", Limits(seconds=1e-3), json={"rows": [row] * 9000})
    assert reply.status_code in (413, 504)
    assert steps.count(4096) < 2 and 808 not in steps, steps  # pieces of 9,000 rows; others are examples


# tables without names to go by


def test_rows_that_would_make_a_table_of_gaps_are_refused(row):
    wide = [{f"n{i * 20 + k}": 1 for k in range(20)} for i in range(1000)]
    with pytest.raises(
        DataError, match=r"^data: 1,000 rows have 20,000 names .* 20,000,000 cells of which 20,000 hold"
    ):
        lamina.fit(wide, "n0")


def test_dense_rows_are_no_matter_how_many():
    wide = [{f"n{k}": 1.0 for k in range(300)}] * 1000
    assert arrays.table(wide).shape == (1000, 300)


def test_json_lines_are_bounded_in_training_and_for_answers(tmp_path, model):
    source = lines(tmp_path / "wide.jsonl", ({f"n{i * 20 + k}": 1 for k in range(20)} for i in range(1000)))
    for act in (
        lambda: data.load(source),
        lambda: batch.run(model.predictor, "predict", source, None, tmp_path / "out.csv"),
    ):
        with pytest.raises(DataError, match=r"wide.jsonl: 1,000 rows have 20,000 names"):
            act()
    assert not (tmp_path / "out.csv").exists()


def test_a_document_is_bounded_too(tmp_path):
    (tmp_path / "wide.json").write_text(json.dumps([{f"n{i * 20 + k}": 1 for k in range(20)} for i in range(1000)]))
    with pytest.raises(DataError, match=r"wide.json: 1,000 rows have 20,000 names"):
        data.load(Config(path=str(tmp_path / "wide.json")))


# values deep in one another


DEEP_LINES = {
    "objects": json.dumps(nested(900)) + "\n",
    "objects beyond any parser": '{"a":' * 100_000 + "1" + "}" * 100_000 + "\n",
    "lists": '{"x": ' + "[" * 900 + "]" * 900 + "}\n",
    "objects in a list": json.dumps({"x": [nested(900)]}) + "\n",
}


@pytest.mark.parametrize("text", DEEP_LINES.values(), ids=DEEP_LINES)
def test_lines_of_json_that_are_too_deep_are_skipped(tmp_path, text):
    collected = data.load(lines(tmp_path / "deep.jsonl", ['{"x": 1}\n', text, '{"x": 2}\n']))
    assert collected.table.to_pydict() == {"x": [1, 2]}
    assert [(row.line, row.reason) for row in collected.skipped_rows] == [
        (2, "more than 32 objects and lists in one another")
    ]


def test_json_lines_as_deep_as_allowed_are_read(tmp_path):
    collected = data.load(lines(tmp_path / "deep.jsonl", [json.dumps({"x": 1, "y": nested(31)}) + "\n"]))
    assert collected.table.column_names == ["x", "y" + ".a" * 31]


DEEP_CELLS = {
    "a dict": (nested(100_000), "more than 32 dicts in one another"),
    "a dict of long names": ({"n" * 2000: {"a": 1}}, "names of over 1,000 characters"),
    "a list": (json.loads("[" * 60 + "]" * 60), "more than 32 lists in one another"),
    "dicts in a list": ([nested(5000)], "has no form as text"),
    "a number of 5,000 digits": (10**5000, "has no form as text"),
}


@pytest.mark.parametrize(("cell", "words"), DEEP_CELLS.values(), ids=DEEP_CELLS)
def test_cells_that_are_too_deep_are_a_sentence(cell, words, model, row):
    with pytest.raises(DataError, match=words):
        arrays.table([{"x": 1, "y": cell}])
    with pytest.raises(DataError, match=words):
        model.predict([row | {"months": cell}])


def test_names_of_half_characters_are_read(tmp_path):
    assert data.load(lines(tmp_path / "odd.jsonl", ['{"\\ud800": 1, "x": 2}\n'])).table.column_names == ["?", "x"]
    assert arrays.table([{"\ud800": 1}]).column_names == arrays.table({"\ud800": [1]}).column_names == ["?"]


def test_repeated_names_are_numbered_in_time_that_grows_with_their_number():
    table = pa.table([pa.array([1])] * 20_000, names=["a"] * 20_000)
    assert arrays.table(table).column_names[-1] == "a_20000"


# cells that are not read as they were written


def test_infinity_true_and_values_that_training_did_not_have_are_noted(model, row):
    cells = {"months": math.inf, "charges": True, "plan": "platinum"}
    text = json.dumps({"rows": [row | cells]})
    reply = ask(model, "POST", "/predict", content=text, headers={"content-type": "application/json"}).json()
    assert sorted(reply["notes"]) == [
        "rows[0].charges: true is read as the number 1.",
        "rows[0].months: Infinity is not a number; read as missing.",
        "rows[0].plan: 'platinum' is a value that this model does not know; read as a rare one.",
    ]


def test_nan_null_and_values_that_training_had_are_not_noted(model, row):
    text = json.dumps({"rows": [row | {"months": math.nan, "charges": None}]})
    reply = ask(model, "POST", "/predict", content=text, headers={"content-type": "application/json"}).json()
    assert "notes" not in reply


ODD = (
    *(
        "1e308",
        "-1e308",
        "1e-320",
        "4.9e-324",
        "1e999",
        "-1e999",
        "Infinity",
        "-Infinity",
        "NaN",
        "-0.0",
        "true",
        "null",
    ),
    *(
        "9" * 30,
        "1" * 5000,
        "9223372036854775808",
        "-9223372036854775809",
        '"1e999"',
        '"-inf"',
        '"$1e308"',
        '"1e308 %"',
    ),
    *('"99999-01-01"', '"0000-00-00"', "253402300800", '"\\ud800"', '"\\u0000"'),
)


def test_odd_numbers_in_every_column_get_finite_answers(model):
    names = [column.name for column in model.predictor.prep.columns]
    body = ", ".join(f'{{"{name}": {value}}}' for name in names for value in ODD)
    reply = ask(
        model, "POST", "/predict", content=f'{{"rows": [{body}]}}', headers={"content-type": "application/json"}
    )
    assert reply.status_code == 200, reply.text
    answers = [list(answer["probabilities"].values()) for answer in reply.json()["predictions"]]
    assert len(answers) == len(names) * len(ODD)
    assert all(math.isfinite(p) for row in answers for p in row)
    rows = [{name: json.loads(value)} for name in names for value in ODD if len(value) < 4000]
    assert len(model.predict(rows)) == len(rows)
