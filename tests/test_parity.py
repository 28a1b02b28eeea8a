"""One answer for one row, by whatever door it comes: Python, files, the ONNX graph alone, HTTP."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina
from conftest import customers, houses, write_csv
from lamina.cli.commands import app
from lamina.data import arrays
from lamina.schema import clean

Rows = list[dict[str, Any]]


def strange(rows: Rows) -> Rows:
    """Rows with nulls, unseen categories, malformed numbers and dates, another order and a column too many."""
    rows = [dict(row) for row in rows]
    rows[0] = dict.fromkeys(rows[0])
    rows[1] |= {"plan": "platinum", "since": "2050-12-31"}
    rows[2] |= {"charges": "a lot", "since": "soon"}
    rows[3] |= {"months": -1e9, "remark": "Entirely new words! ünïcode ✓"}
    rows[4] |= {"remark": "", "plan": "?", "charges": "n/a"}
    rows[5] |= {"paperless": None, "months": 0.0}
    return [{"extra": i, **dict(reversed(row.items()))} for i, row in enumerate(rows)]


@pytest.fixture(scope="module")
def rows() -> Rows:
    return strange([{k: v for k, v in row.items() if k != "left"} for row in customers(40, seed=11)])


@pytest.fixture(scope="module")
def wanted(churn_run, rows) -> Rows:
    return churn_run.predict(rows)


def agree(found: Rows, wanted: Rows) -> None:
    """Labels equal, probabilities and numbers within 1e-5."""
    assert len(found) == len(wanted)
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            if isinstance(value, float | dict):
                assert mine[name] == pytest.approx(value, rel=1e-5, abs=1e-5)
            else:
                assert mine[name] == value


def nested(flat: Rows) -> Rows:
    """`probabilities.yes` put back into `probabilities`."""
    result = []
    for row in flat:
        facts: dict[str, Any] = {}
        for name, value in row.items():
            first, _, rest = name.partition(".")
            facts[first] = {**facts.get(first, {}), rest: float(value)} if rest else value
        result.append(facts)
    return result


def columns(rows: Rows) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def answers_of_file(bundle: Path, path: Path, out: Path) -> Rows:
    from typer.testing import CliRunner

    done = CliRunner().invoke(app, ["predict", str(bundle), str(path), "-o", str(out), "--json", "--overwrite"])
    assert done.exit_code == 0, (done.output, done.exception)
    if out.suffix == ".csv":
        return nested(pd.read_csv(out).to_dict("records"))
    if out.suffix == ".jsonl":
        return [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    return (pa.feather.read_table if out.suffix == ".feather" else pa.parquet.read_table)(out).to_pylist()


def test_a_list_of_dicts_is_answered_with_a_list_of_dicts(wanted, rows):
    assert len(wanted) == len(rows)
    assert all(list(answer) == ["prediction", "probabilities"] for answer in wanted)
    chances = [answer["probabilities"]["yes"] for answer in wanted]
    assert np.isfinite(chances).all()
    assert len(set(chances)) > 30, "answers differ from row to row"


def test_a_dict_of_columns_is_answered_alike(churn_run, rows, wanted):
    result = churn_run.predict(columns(rows))
    agree([dict(zip(result, values, strict=True)) for values in zip(*result.values(), strict=True)], wanted)


def test_pandas_is_answered_alike_with_its_own_index(churn_run, rows, wanted):
    frame = pd.DataFrame(rows, index=[f"row {i}" for i in range(len(rows))])
    result = churn_run.predict(frame)
    assert list(result.index) == list(frame.index)
    agree(nested(result.to_dict("records")), wanted)
    typed = frame.assign(
        months=frame["months"].astype("Float64"),
        plan=frame["plan"].astype("category"),
        paperless=frame["paperless"].astype("boolean"),
        remark=frame["remark"].astype("string"),
    )
    agree(nested(churn_run.predict(typed).to_dict("records")), wanted)


def test_polars_is_answered_alike(churn_run, rows, wanted):
    agree(churn_run.predict(pl.DataFrame(rows)).to_dicts(), wanted)
    lazy_types = pl.DataFrame(rows).with_columns(pl.col("plan").cast(pl.Categorical), pl.col("months").cast(pl.Float64))
    agree(churn_run.predict(lazy_types).to_dicts(), wanted)


def test_arrow_is_answered_alike(churn_run, rows, wanted):
    table = pa.Table.from_pylist(rows)
    agree(churn_run.predict(table).to_pylist(), wanted)
    agree(churn_run.predict(pa.concat_tables([table.slice(0, 7), table.slice(7)])).to_pylist(), wanted)
    fields = [f.with_type(pa.large_string()) if pa.types.is_string(f.type) else f for f in table.schema]
    agree(churn_run.predict(table.cast(pa.schema(fields))).to_pylist(), wanted)


def test_numpy_is_answered_alike(churn_run, rows, wanted):
    given = columns(rows)
    result = churn_run.predict({name: np.array(values, object) for name, values in given.items()})
    agree([dict(zip(result, values, strict=True)) for values in zip(*result.values(), strict=True)], wanted)


def test_a_numpy_matrix_is_answered_by_the_columns_it_was_trained_on(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    named = {f"column{i + 1}": x[:, i] for i in range(3)}
    recipe = {"model": "linear", "train": {"epochs": 2}}
    estimator = lamina.fit({**named, "y": x @ [1.0, 2.0, 3.0]}, "y", recipe=recipe, out=tmp_path / "run")
    by_name, by_place = estimator.predict(named), estimator.predict(x)
    np.testing.assert_allclose(by_place["prediction"], by_name["prediction"], rtol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 17])
def test_batches_of_any_size_are_answered_alike(churn_run, rows, wanted, size):
    result = [a for i in range(0, len(rows), size) for a in churn_run.predict(rows[i : i + size])]
    agree(result, wanted)


@pytest.mark.parametrize("given", ["rows.csv", "rows.jsonl", "rows.parquet", "rows.feather", "rows.tsv", "rows.csv.gz"])
@pytest.mark.parametrize("asked", [".csv", ".jsonl", ".parquet", ".feather"])
def test_the_command_line_answers_alike_from_every_format_to_every_format(
    churn_bundle, rows, wanted, tmp_path, given, asked
):
    path = tmp_path / given
    if given.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    elif given.endswith(".parquet"):
        pa.parquet.write_table(pa.Table.from_pylist(rows), path)
    elif given.endswith(".feather"):
        pa.feather.write_feather(pa.Table.from_pylist(rows), path)
    elif given.endswith(".csv"):
        write_csv(path, rows)
    else:
        pd.DataFrame(rows).to_csv(path, index=False, sep="\t" if given.endswith(".tsv") else ",")
    agree(answers_of_file(churn_bundle, path, tmp_path / f"answers{asked}"), wanted)


def test_the_exported_graph_alone_gives_the_same_numbers(churn_run, churn_bundle, rows, wanted):
    import onnxruntime

    session = onnxruntime.InferenceSession((churn_bundle / "model.onnx").read_bytes())
    predictor = churn_run.predictor
    inputs = predictor.encode(arrays.table(rows))
    (logits,) = session.run(None, {i.name: inputs[i.name] for i in session.get_inputs()})
    z = logits[:, 0].astype(float) / predictor.task.state.temperature
    np.testing.assert_allclose(1 / (1 + np.exp(-z)), [a["probabilities"]["yes"] for a in wanted], atol=1e-5)


def test_a_bundle_loaded_again_answers_alike(churn_run, churn_bundle, rows, wanted, tmp_path):
    for path in (churn_bundle, churn_bundle.parent, churn_run.save(tmp_path / "one.lamina")):
        agree(lamina.load(path).predict(rows), wanted)


def test_torch_answers_alike_where_there_is_no_graph(churn_run, churn_bundle, rows, wanted):
    from lamina import models

    opened = churn_run.predictor.bundle
    run = models.runtime(opened.model.kind, opened.model.config, opened.model.spec, opened.files["weights.safetensors"])
    predictor = churn_run.predictor
    answers = predictor.task.decode(run(predictor.encode(arrays.table(rows))))
    agree(predictor.task.table(answers).to_pylist(), wanted)


@pytest.fixture(scope="module")
def served(churn_bundle) -> Any:
    """The server's application; it is asked without a socket."""
    pytest.importorskip("fastapi")
    from lamina.deploy.server import app as application

    return application(lamina.Predictor(churn_bundle))


def posted(served: Any, body: dict[str, Any]) -> Rows:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=served), base_url="http://localhost") as client:
            return await client.post("/predict", json=body)

    answer = asyncio.run(ask())
    assert answer.status_code == 200, answer.text
    return [
        {k: v for k, v in result.items() if k in ("prediction", "probabilities", "low", "high")}
        for result in answer.json()["predictions"]
    ]


def test_the_server_answers_alike(served, rows, wanted):
    agree(posted(served, {"rows": rows}), wanted)
    agree(posted(served, {"columns": columns(rows)}), wanted)
    agree([posted(served, {"rows": [row]})[0] for row in rows[:10]], wanted[:10])


def test_missing_means_one_thing_at_every_door(churn_run, served, tmp_path, churn_bundle):
    """A null, an empty cell, a word for missing, and a column that is not there."""
    full = customers(1, seed=3)[0]
    del full["left"]
    for name in full:
        without = {k: v for k, v in full.items() if k != name}
        doors = [
            churn_run.predict([{**full, name: None}]),
            churn_run.predict([without]),
            nested(churn_run.predict(pd.DataFrame([{**full, name: None}])).to_dict("records")),
            nested(churn_run.predict(pd.DataFrame([{**full, name: float("nan")}])).to_dict("records")),
            posted(served, {"rows": [{**full, name: None}]}),
            posted(served, {"rows": [without]}),
            posted(served, {"rows": [{**full, name: "NA"}]}),
            posted(served, {"rows": [{**full, name: " "}]}),
            answers_of_file(churn_bundle, write_csv(tmp_path / "a.csv", [{**full, name: None}]), tmp_path / "a.jsonl"),
            answers_of_file(churn_bundle, write_csv(tmp_path / "b.csv", [without]), tmp_path / "b.jsonl"),
        ]
        for interface in doors[1:]:
            agree(interface, doors[0])


PLAIN = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=8)
CELLS = PLAIN | st.sampled_from(["2024-02-30", "$1,000", "1e3", "007", "TRUE", "pro", " basic "])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.dictionaries(st.sampled_from(list(customers(1)[0])[:-1]), CELLS, min_size=1))
def test_any_row_of_plain_values_is_answered_alike_by_python_and_the_server(churn_run, served, row):
    body = json.loads(json.dumps(row, allow_nan=True).replace("Infinity", "1e999").replace("-1e999", "-1e999"))
    if any(isinstance(v, float) and not np.isfinite(v) for v in body.values()):
        return
    agree(posted(served, {"rows": [body]}), churn_run.predict([body]))


def test_numbers_are_answered_alike_by_every_door(numbers_run, numbers_bundle, tmp_path):
    rows = [{k: v for k, v in row.items() if k != "price"} for row in houses(20, seed=4)]
    rows[0] |= {"area": None, "town": "east"}
    wanted = numbers_run.predict(rows)
    assert all(answer["low"] <= answer["prediction"] <= answer["high"] for answer in wanted)
    agree(numbers_run.predict(pd.DataFrame(rows)).to_dict("records"), wanted)
    agree(numbers_run.predict(pl.DataFrame(rows)).to_dicts(), wanted)
    for suffix in (".csv", ".jsonl", ".parquet"):
        agree(answers_of_file(numbers_bundle, write_csv(tmp_path / "h.csv", rows), tmp_path / f"a{suffix}"), wanted)


def test_the_same_cleaning_serves_every_door(churn_run):
    table = arrays.table([{"plan": " pro "}, {"plan": "NA"}])
    assert clean(table, churn_run.predictor.bundle.schema.missing)["plan"].to_pylist() == ["pro", None]
    assert churn_run.predict([{"plan": " pro "}]) == churn_run.predict([{"plan": "pro"}])


def test_no_rows_have_no_answers(churn_run):
    assert churn_run.predict(pa.table({"months": pa.array([], pa.float64())})).num_rows == 0
    assert churn_run.predict([]) == []
    assert len(churn_run.predict(pd.DataFrame({"months": []}))) == 0
