"""A forecast is one wherever it is asked for: in Python, from the command line, over HTTP, as an ONNX graph."""

import asyncio
import json
from collections import deque
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import lamina
from lamina import recipe
from lamina.cli import commands
from lamina.config import BundleError, DataError
from lamina.data import arrays, files, read, toy
from lamina.deploy import batch, bundle
from lamina.deploy.bundle import open_bundle
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import Limits, app
from lamina.deploy.server.content_types import Body
from lamina.deploy.server.endpoint import Endpoint, Reply
from lamina.deploy.server.limits import RequestError
from lamina.experiment import collect
from lamina.schema import clean
from lamina.tasks.forecasting import Task
from lamina.tasks.forecasting.decoding import decode
from lamina.tasks.forecasting.history import read_histories
from service_tools import as_csv

AIRLINE = toy.load(toy.Config(name="airline")).table.to_pandas().astype({"Passengers": int})
QUICK = {"model": "linear", "train": {"epochs": 2}}
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def sold(count: int = 120, shops: tuple[str, ...] = ("a", "b")) -> list[dict[str, Any]]:
    """Two shops, what they sold and took, the heat of each day, and sales known beforehand."""
    rng = np.random.default_rng(0)
    return [
        {
            "day": (date(2024, 1, 1) + timedelta(days=i)).isoformat(),
            "shop": shop,
            "sold": round(float(20 + 5 * np.sin(i / 7 * 2 * np.pi) + rng.normal()), 3),
            "taken": round(float(200 + 50 * np.sin(i / 7 * 2 * np.pi) + rng.normal()), 3),
            "heat": round(float(rng.normal()), 3),
            "sale": ["none", "half", "all"][i % 3],
        }
        for shop in shops
        for i in range(count + 3 * shops.index(shop))
    ]


@pytest.fixture(scope="module")
def months(tmp_path_factory) -> lamina.Estimator:
    recipe = {"task": {"kind": "forecasting", "horizon": 6, "context": 24}, **QUICK}
    return lamina.fit(AIRLINE, "Passengers", recipe=recipe, out=tmp_path_factory.mktemp("runs") / "months")


@pytest.fixture(scope="module")
def shops(tmp_path_factory) -> lamina.Estimator:
    """Several series, several targets, quantiles, a column of the past, one known beforehand, and the calendar."""
    task = {"kind": "forecasting", "horizon": 7, "context": 14, "series": "shop", "targets": ["sold", "taken"]}
    recipe = {"task": {**task, "known": ["sale"], "calendar": True, "loss": "pinball"}, **QUICK}
    return lamina.fit(sold(), "sold", recipe=recipe, out=tmp_path_factory.mktemp("runs") / "shops")


@pytest.fixture(scope="module", params=["months", "shops"])
def case(request) -> tuple[lamina.Estimator, list[dict[str, Any]]]:
    """An estimator and the rows of its history."""
    rows = AIRLINE.to_dict("records") if request.param == "months" else sold()
    return request.getfixturevalue(request.param), rows


def asked(api: Any, *bodies: Any, path: str = "/predict") -> list[httpx.Response]:
    """The replies to bodies sent all at once: dicts as JSON, text as CSV."""

    async def all_of_them() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=api)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            sent = [
                {"json": body} if isinstance(body, dict) else {"content": body, "headers": {"content-type": "text/csv"}}
                for body in bodies
            ]
            return await asyncio.gather(*(client.post(path, **one) for one in sent))

    return asyncio.run(all_of_them())


def fetched(api: Any, path: str) -> httpx.Response:
    async def one() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://localhost") as client:
            return await client.get(path)

    return asyncio.run(one())


def numbers(answers: Any) -> np.ndarray:
    """Every number of some answers, row by row."""
    result = []
    for row in answers:
        for value in row.values():
            result += numbers([value]).tolist() if isinstance(value, dict) else [value] * isinstance(value, float)
    return np.array(result)


# the same everywhere


def test_python_http_and_files_give_one_forecast(case, tmp_path):
    estimator, rows = case
    expected = estimator.predict(rows)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for reply in asked(app(estimator.predictor), {"rows": rows}, {"columns": columns}, as_csv(rows)):
        assert reply.status_code == 200, reply.text
        np.testing.assert_allclose(numbers(reply.json()["predictions"]), numbers(expected), **CLOSE)
    (tmp_path / "rows.csv").write_text(as_csv(rows))
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    for source in ("rows.csv", "rows.jsonl", "rows.parquet"):
        for output in ("out.jsonl", "out.parquet", "out.csv"):
            (tmp_path / output).unlink(missing_ok=True)
            summary = batch.run(
                estimator.predictor, "predict", files.Config(path=str(tmp_path / source)), None, tmp_path / output
            )
            assert summary["rows"] == len(expected)
        lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        np.testing.assert_allclose(numbers(lines), numbers(expected), **CLOSE)
        table = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
        np.testing.assert_allclose(numbers(table), numbers(expected), **CLOSE)
        read = pd.read_csv(tmp_path / "out.csv")
        np.testing.assert_allclose(read.select_dtypes("float").to_numpy().ravel(), numbers(expected), **CLOSE)


def test_days_in_a_csv_of_answers_are_written_as_days_and_read_back(months, tmp_path):
    AIRLINE.to_csv(tmp_path / "rows.csv", index=False)
    batch.run(months.predictor, "predict", files.Config(path=str(tmp_path / "rows.csv")), None, tmp_path / "out.csv")
    read = pd.read_csv(tmp_path / "out.csv")
    assert read["Month"].tolist()[:2] == ["1961-01-01", "1961-02-01"]
    on = pd.concat([AIRLINE, read.rename(columns={"prediction": "Passengers"})[["Month", "Passengers"]]])
    assert months.predict(on)["Month"][0] == pd.Timestamp("1961-07-01"), "a forecast can be gone on from"


def test_the_graph_alone_gives_the_forecast(case):
    """What another program does that runs `model.onnx` by itself."""
    estimator, rows = case
    predictor = estimator.predictor
    opened, state = predictor.bundle, predictor.state
    assert opened.model.runtime == "onnx"
    table = clean(arrays.table(rows), opened.schema.missing, predictor.schema.literal)
    histories = read_histories(table, opened.prep, state)
    inputs = histories.inputs(slice(None))
    session = onnxruntime.InferenceSession(opened.files["model.onnx"], providers=["CPUExecutionProvider"])
    fed = {one.name: inputs[one.name] for one in session.get_inputs()}
    assert set(fed) == set(opened.model.spec.inputs), "each input is used"
    (raw,) = session.run(None, fed)
    answers = decode({"target": np.asarray(raw)}, 1.0, histories.last, state)
    expected = estimator.predict(rows)
    got = answers["prediction"].ravel() if len(state.names) == 1 else answers["prediction"][..., 0].ravel()
    first = [row["prediction"] if "prediction" in row else row[state.names[0]]["prediction"] for row in expected]
    np.testing.assert_allclose(got, first, **CLOSE)


def test_a_bundle_moved_elsewhere_answers_the_same(case, tmp_path):
    estimator, rows = case
    moved = lamina.load(estimator.save(tmp_path / "one.lamina"))
    np.testing.assert_array_equal(numbers(moved.predict(rows)), numbers(estimator.predict(rows)))


# over HTTP


def test_requests_at_the_same_time_keep_their_own_histories(months):
    """Their series have one name and one time, and yet nothing in common."""
    rows = AIRLINE.to_dict("records")
    bodies = [{"rows": [{**row, "Passengers": row["Passengers"] + 10 * i} for row in rows]} for i in range(20)]
    replies = asked(app(months.predictor), *bodies)
    for body, reply in zip(bodies, replies, strict=True):
        np.testing.assert_allclose(numbers(reply.json()["predictions"]), numbers(months.predict(body["rows"])), **CLOSE)


def test_notes_say_what_was_done_to_a_history(shops):
    rows = [row for row in sold(40, ("a",)) if row["day"] != "2024-01-09"][-10:]
    rows[3] = {**rows[3], "sold": "lots", "taken": None, "colour": "red"}
    (reply,) = asked(app(shops.predictor), {"rows": rows})
    told = "\n".join(reply.json()["notes"])
    assert "'colour' is not a column of this model; not used." in told
    assert "rows[3].sold: 'lots' is not a number; read as missing." in told
    assert "1 of 1 series are shorter than 14 steps; extended backwards by the first value." in told
    assert "sale: fewer than 7 rows ahead were given for 1 series; the last value was kept." in told


REFUSED = {
    "no time": ([{"Passengers": 3}], 400, "rows: column 'Month' is missing (got 'Passengers')"),
    "no target": ([{"Month": "1960-01"}], 400, "rows: column 'Passengers' is missing"),
    "no value": ([{"Month": "1960-01", "Passengers": None}], 400, "no row has a value of 'Passengers'"),
    "words for times": ([{"Month": "May", "Passengers": 3}], 400, "time: no row has a time that can be read in Month"),
    "nothing known": ([{"month": "1960-01"}], 400, "rows: not one column is known"),
    "too late": ([{"Month": "9998-12", "Passengers": 3}], 400, "lie after the year 9998"),
    "too far apart": (
        [{"Month": "0100-01", "Passengers": 3}, {"Month": "9000-01", "Passengers": 3}],
        400,
        "2 rows spread over 106,801 steps of month",
    ),
    "nested": ([{"Month": ["1960-01"], "Passengers": 3}], 400, "rows[0].Month: must not be nested"),
    "none": ([], 400, "rows: there is none"),
    "too many": ([{"Month": "1960-01", "Passengers": 3}] * 51, 413, "rows: there are more than 50"),
}


@pytest.mark.parametrize(("rows", "status", "words"), REFUSED.values(), ids=REFUSED)
def test_a_history_of_no_use_is_refused_with_a_sentence(months, rows, status, words):
    (reply,) = asked(app(months.predictor, Limits(rows=50)), {"rows": rows})
    assert reply.status_code == status
    assert words in reply.json()["error"]


LINES = {
    "ragged": ("Month,Passengers\n1960-01,3\n1960-02\n", "line 3: 1 column where 2 are expected"),
    "empty": ("", "body: holds no row"),
    "names only": ("Month,Passengers\n", "body: holds no row"),
    "twice": ("Month,Passengers,Month\n1960-01,3,1960-01\n", "body: names a column twice"),
    "an open quote": ('Month,Passengers\n"1960-01,3\n', "line 2: a quote opens and does not close"),
}


@pytest.mark.parametrize(("text", "words"), LINES.values(), ids=LINES)
def test_csv_of_no_use_is_refused_with_a_sentence(months, text, words):
    (reply,) = asked(app(months.predictor), text)
    assert reply.status_code == 400
    assert words in reply.json()["error"]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_csv_may_have_other_marks(months, mark):
    (reply,) = asked(app(months.predictor), AIRLINE.to_csv(index=False, sep=mark))
    np.testing.assert_allclose(
        numbers(reply.json()["predictions"]),
        months.predict(AIRLINE).iloc[:, 1:].to_numpy().ravel(),
        **CLOSE,
    )


def test_csv_of_no_known_column_is_told_what_it_holds(churn_bundle):
    (reply,) = asked(app(Predictor(churn_bundle)), "a,b\n1,2\n")
    assert reply.status_code == 400 and "not one column is known (got 'a', 'b')" in reply.json()["error"]


CELLS = st.one_of(
    st.none(), st.booleans(), st.floats(width=64), st.integers(), st.text(max_size=12), st.just("1960-01")
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(st.fixed_dictionaries({"Month": CELLS, "Passengers": CELLS}), min_size=1, max_size=6))
def test_no_history_whatever_breaks_the_server(months, rows):
    body = json.dumps({"rows": rows}).replace("Infinity", "1e999").encode()

    endpoint = Endpoint(months.predictor, months.predictor.operation("predict"), Limits())
    (reply,) = endpoint.replies([Body(body)])
    assert isinstance(reply, Reply | RequestError), reply
    if isinstance(reply, Reply):
        answers = json.loads(reply.body)["predictions"]
        assert len(answers) == 6
        assert np.isfinite(numbers(answers)).all()


def test_the_schema_says_what_a_history_must_hold_and_its_example_works(case):
    estimator, _ = case
    api, state = app(estimator.predictor), estimator.predictor.state
    told = fetched(api, "/schema").json()
    assert told["forecast"]["context"] == state.context
    assert told["forecast"]["targets"] == state.names
    assert (told["forecast"]["step"], told["forecast"]["time"]) == (
        "month" if state.series is None else "day",
        [*state.time],
    )
    assert not next(c for c in told["columns"] if c["name"] in state.time)["missing"]
    (reply,) = asked(api, {"rows": told["example"]})
    np.testing.assert_allclose(numbers(reply.json()["predictions"]), numbers(told["answer"]), **CLOSE)
    body = fetched(api, "/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    for example in (
        *(one["value"] for one in body["application/json"]["examples"].values()),
        body["text/csv"]["example"],
    ):
        (reply,) = asked(api, example)
        np.testing.assert_allclose(numbers(reply.json()["predictions"]), numbers(told["answer"]), **CLOSE)


def test_the_page_to_try_it_on_needs_nothing_from_elsewhere(shops):
    page = fetched(app(shops.predictor), "/try")
    assert page.headers["content-type"].startswith("text/html")
    assert "sold, taken: forecasting" in page.text
    assert "{{" not in page.text
    assert "://" not in page.text
    assert "2024-01-0" in page.text


# as readings come in


def test_a_sensor_that_sends_one_reading_at_a_time_is_answered_at_each(months):
    last = deque[dict[str, Any]](maxlen=months.predictor.state.context)
    api = app(months.predictor)
    assert months.predictor.state.horizon == 6
    for i, reading in enumerate(AIRLINE.to_dict("records")[:60]):
        last.append(reading)
        if i % 12 == 11:
            result = months.predict(list(last))
            (reply,) = asked(api, {"rows": list(last)})
            whole = months.predict(AIRLINE[: i + 1])
            np.testing.assert_allclose([row["prediction"] for row in result], whole["prediction"], **CLOSE)
            np.testing.assert_allclose(numbers(reply.json()["predictions"]), numbers(result), **CLOSE)


# from the command line


def test_rows_skipped_are_named_and_notes_are_told(months, tmp_path):
    rows = AIRLINE.astype({"Passengers": object}).copy()
    rows.loc[5, "Month"] = "soon"
    rows.to_csv(tmp_path / "rows.csv", index=False)
    source = files.Config(path=str(tmp_path / "rows.csv"))
    result = batch.run(months.predictor, "predict", source, None, tmp_path / "new" / "out.csv")
    (skipped,) = result["skipped_rows"]
    assert (skipped["line"], skipped["column"]) == (7, "Month")
    assert any("1 rows were left out" in note for note in result["notes"])
    with pytest.raises(DataError, match="--keep: these results are not one for each row"):
        batch.run(months.predictor, "predict", source, None, tmp_path / "o.csv", ["Month"])


def test_a_recipe_written_from_series_holds_what_was_found_and_trains_alike(months, tmp_path):
    AIRLINE.to_csv(tmp_path / "rows.csv", index=False)
    words = ["init", str(tmp_path / "rows.csv"), "--target", "Passengers", "-o", str(tmp_path / "r.yaml"), "--json"]
    assert run(words)["used"] == 144
    text = (tmp_path / "r.yaml").read_text()
    assert "context: 24" in text
    assert "step: 1mo" in text
    recipes = (
        recipe.read(tmp_path / "r.yaml"),
        recipe.build({"data": str(tmp_path / "rows.csv"), "target": "Passengers"}),
    )
    case, again = (collect(one, read(one.data)) for one in recipes)
    assert case.task.state == again.task.state
    assert case.schema.columns[0].kind == "time"


def test_inspect_says_that_a_table_is_series_and_how_they_lie(tmp_path):
    AIRLINE.drop(index=7).to_csv(tmp_path / "rows.csv", index=False)
    notes = "\n".join(run(["inspect", str(tmp_path / "rows.csv"), "--target", "Passengers", "--json"])["notes"])
    assert "a time series in time: in 'Month', one month apart, 1 of 144 steps without a row." in notes
    assert "lamina train DATA --task forecasting --target Passengers" in notes
    assert not run(["inspect", "toy:wine", "--json"])["notes"]


def test_a_forecast_is_trained_evaluated_and_asked_for_from_the_command_line(tmp_path):
    AIRLINE.to_csv(tmp_path / "rows.csv", index=False)
    source, out = str(tmp_path / "rows.csv"), str(tmp_path / "run")
    sets = ["--set", "train.epochs=2", "--model", "linear", "--out", out, "--json"]
    training = run(["train", source, "--task", "forecasting", "--target", "Passengers", *sets])
    evaluation = run(["evaluate", out, source, "--json"])
    assert next(iter(evaluation["scores"])) == next(iter(training["scores"])) == "mase"
    assert evaluation["rows"] == 144
    result = run(["predict", out, source, "-o", str(tmp_path / "o.csv"), "--json"])
    assert result["rows"] == 12


def run(words: list[str]) -> dict[str, Any]:
    """What a command prints as JSON."""
    result = CliRunner().invoke(commands.app, words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# of strangers


HOSTILE = {
    "a long context": {"context": 100_000},
    "a long horizon": {"horizon": 10_000},
    "many targets": {"targets": [{"name": "Passengers", "mean": 0.0, "std": 1.0, "naive": 1.0}] * 10_000},
    "a target that is not there": {"targets": [{"name": "x", "mean": 0.0, "std": 1.0, "naive": 1.0}]},
    "a mean of no use": {"targets": [{"name": "Passengers", "mean": 1e308, "std": 1e-308, "naive": 1.0}]},
    "no time": {"time": ["nowhere"]},
    "a time twice": {"time": ["Month", "Month"]},
    "a step of ages": {"step": {"unit": "month", "count": 1 << 40, "phase": 1 << 50}},
    "a step of seconds": {"step": {"unit": "second", "count": 1, "phase": 0}},
    "a far phase": {"step": {"unit": "second", "count": 1 << 40, "phase": -(1 << 50)}},
    "business steps": {"step": {"unit": "business", "count": 1 << 40, "phase": 1 << 50}},
    "a fine scale": {"step": {"unit": "number", "count": 1, "scale": 1_000_000}},
    "a step of rows": {"step": {"unit": "row"}},
    "many widths": {"half_widths": [[1.0]] * 20_000},
    "wide widths": {"half_widths": [[1.0] * 1000] * 6},
    "infinite widths": {"half_widths": [[1.7e308]] * 6},
    "quantiles that are none": {"quantiles": [-1.0, 2.0]},
    "many quantiles": {"quantiles": [0.5] * 1000},
    "the past is unknown": {"past": ["Month"]},
    "the future is unknown": {"known": ["nothing"]},
    "prices": {"transform": "log_return"},
    "a calendar": {"calendar": True},
    "a series": {"series": "Month"},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_forecasts_state_altered_by_a_stranger_is_refused_without_much_memory(months, change, tmp_path):
    """With hashes put right again: only the golden rows and the checks are left to tell."""
    import tracemalloc

    result = dict(open_bundle(Path(months.result["bundle"])).files)
    task = json.loads(result["task.json"])
    task["state"] |= change
    result["task.json"] = bundle.encode(task)
    golden = json.loads(result["golden.json"])
    golden["of"]["task.json"] = bundle.digest(result["task.json"])
    result["golden.json"] = bundle.encode(golden)
    path = bundle.write(tmp_path / "bundle", result, Task)
    tracemalloc.start()
    try:
        with pytest.raises(BundleError):
            Predictor(path)
        assert tracemalloc.get_traced_memory()[1] < 300_000_000
    finally:
        tracemalloc.stop()
