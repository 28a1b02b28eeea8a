"""The server answers what the predictor answers, refuses with sentences, and never shows its inside."""

import asyncio
import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina.config import LaminaError
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import Limits, app, serve
from lamina.deploy.server.content_types import Body
from lamina.deploy.server.endpoint import Endpoint
from service_tools import send

CLOSE = 1e-5
SECRET = "/srv/secret/weights"
JSON = {"content-type": "application/json"}


def ask(api, method, path, **options):
    return send(api, ((method, path), options))[0]


def predict(api, **body):
    return ask(api, "POST", "/predict", json=body)


def post(api, content, **headers):
    return ask(api, "POST", "/predict", content=content, headers=JSON | headers)


def of(*rows):
    """A body of rows that are JSON already."""
    return '{"rows": [' + ", ".join(rows) + "]}"


def is_refused(response, status):
    body = response.json()
    return response.status_code == status and set(body) == {"error", "request_id"} and body["error"].endswith(".")


def same(mine, theirs):
    """The same label, and numbers within `CLOSE` of one another."""
    if isinstance(theirs, dict):
        return mine.keys() == theirs.keys() and all(same(mine[k], theirs[k]) for k in theirs)
    return np.isclose(mine, theirs, rtol=CLOSE, atol=CLOSE) if isinstance(theirs, float) else mine == theirs


class Slow(Predictor):
    """A model that takes its time and remembers how often it ran."""

    def __init__(self, path, seconds=0.5):
        super().__init__(path)
        self.seconds, self.runs = seconds, []

    def pieces(self, operation, rows, request):
        self.runs.append(rows.num_rows)
        time.sleep(self.seconds)
        return super().pieces(operation, rows, request)


class Fragile(Predictor):
    """A model that cannot stand one of its columns to hold one word, and says so with a path of this machine."""

    def pieces(self, operation, rows, request):
        if "poison" in rows["plan"].to_pylist():
            raise RuntimeError(f"{SECRET} could not be read")
        return super().pieces(operation, rows, request)


def answered(predictor, *rows):
    """What requests of one row each get that are answered together: a reply or an exception."""
    bodies = [Body(json.dumps({"rows": [row]}).encode()) for row in rows]
    return Endpoint(predictor, predictor.operation("predict"), Limits()).replies(bodies)


# Answers


def test_served_answers_are_the_predictors_in_order(api, predictor, rows):
    got = predict(api, rows=rows).json()
    assert got["model"] == predictor.bundle.id
    assert all(map(same, got["predictions"], predictor.predict(rows)))
    assert len(got["predictions"]) == len(rows)


def test_regression_answers_with_an_interval(numbers_bundle):
    predictor = Predictor(numbers_bundle)
    cells = [{"area": 90.0, "rooms": 3, "town": "north"}, {"area": None, "rooms": 1}]
    got = predict(app(predictor), rows=cells).json()["predictions"]
    assert all(map(same, got, predictor.predict(cells)))
    assert got[0]["low"] < got[0]["prediction"] < got[0]["high"]


def test_columns_ask_the_same_as_rows(api, rows):
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    assert predict(api, columns=columns).json() == predict(api, rows=rows).json()


def test_order_of_columns_and_extra_columns_change_no_answer(api, rows):
    turned = [dict(reversed([*row.items(), ("shoe size", 43)])) for row in rows]
    got, plain = predict(api, rows=turned).json(), predict(api, rows=rows).json()
    assert got["predictions"] == plain["predictions"]
    assert got["notes"] == ["'shoe size' is not a column of this model; not used."] and "notes" not in plain


def test_the_target_may_come_along_and_is_not_noted(api, churn_rows):
    assert "notes" not in predict(api, rows=churn_rows[:3]).json()


def test_absent_null_nan_and_words_for_missing_are_one(api, rows):
    row = {name: cell for name, cell in rows[0].items() if name != "months"}
    others = [json.dumps(row | {"months": value}) for value in (None, float("nan"), "", " NA ")]
    body = of(json.dumps(row), *others)
    got = post(api, body).json()
    assert "NaN" in body and "notes" not in got
    assert all(same(answer, got["predictions"][0]) for answer in got["predictions"])


def test_malformed_cells_are_read_as_missing_and_noted(api, rows):
    bad = rows[0] | {"months": "abc", "since": "someday", "paperless": "perhaps"}
    gone = rows[0] | {"months": None, "since": None, "paperless": None}
    got = predict(api, rows=[gone, bad]).json()
    assert same(*got["predictions"])
    assert sorted(got["notes"]) == [
        "rows[1].months: 'abc' is not a number; read as missing.",
        "rows[1].paperless: 'perhaps' is not true or false; read as missing.",
        "rows[1].since: 'someday' is not a point in time; read as missing.",
    ]


def test_there_are_at_most_twenty_notes(api):
    got = predict(api, columns={"months": ["x"] * 500, **{f"extra {i}": [1] * 500 for i in range(9)}}).json()
    assert len(got["notes"]) == 20
    assert got["notes"][9].endswith("are not there; read as missing in every row.") and "'plan'" in got["notes"][9]
    assert got["notes"][10] == "columns.months[0]: 'x' is not a number; read as missing."
    assert got["notes"][-1] == "and 491 more cells that were read as missing."


def test_a_misspelt_column_is_noted_with_the_nearest(api, rows):
    assert "Did you mean 'months'" in predict(api, rows=[rows[0] | {"Months": 3}]).json()["notes"][0]


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 80), st.integers(-(10**25), 10**25), st.floats(-1e4, 1e4),
    st.sampled_from(["12", "$1,200.50", "basic", "PRO", "yes", "0", "2020-02-03", "nan", "", "kind service", "1e999"]),
    st.text(max_size=8).filter(lambda text: text.isprintable()),
)  # fmt: skip
ROWS = st.fixed_dictionaries(
    {"plan": CELLS},
    optional=dict.fromkeys(("months", "charges", "paperless", "since", "remark"), CELLS),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROWS, min_size=1, max_size=6))
def test_a_row_is_answered_as_if_it_were_alone(api, predictor, rows):
    """Whatever types its neighbours in the request have, and in the requests answered with it."""
    single = [predictor.predict([row])[0] for row in rows]
    assert all(map(same, predict(api, rows=rows).json()["predictions"], single))
    joined = [json.loads(reply.body)["predictions"][0] for reply in answered(predictor, *rows)]
    assert all(map(same, joined, single))


def test_two_hundred_concurrent_requests_get_their_own_answers(api, predictor):
    cells = [{"months": i / 3, "plan": ("basic", "plus", "pro")[i % 3], "remark": f"call {i}"} for i in range(200)]
    got = send(api, *((("POST", "/predict"), {"json": {"rows": [row] * (1 + i % 3)}}) for i, row in enumerate(cells)))
    for i, (response, expected) in enumerate(zip(got, predictor.predict(cells), strict=True)):
        answers = response.json()["predictions"]
        assert len(answers) == 1 + i % 3 and all(same(answer, expected) for answer in answers)


# What is refused

ROW = '{"months": 3}'
REFUSED = [
    ("", 400, "is not JSON"),
    ("{", 400, "is not JSON (line 1, column 2"),
    ("[]", 400, "with either rows or columns (got a list)"),
    ("null", 400, "got null"),
    (ROW, 400, "got the keys 'months'"),
    ('{"rows": [{"months": 3}], "columns": {"months": [1]}}', 400, "got both rows and columns"),
    ('{"rows": [{"months": 3}], "row": 1}', 400, "'row' does not belong"),
    ('{"rows": []}', 400, "rows: there is none"),
    ('{"rows": {}}', 400, "rows: must be a list of objects (got an object)"),
    ('{"rows": [{}]}', 400, "rows: not one column is known (got no column)"),
    (of(ROW, "7"), 400, "rows[1]: must be an object of column and value (got 7)"),
    ('{"rows": [{"age": 7}]}', 400, "not one column is known (got 'age')"),
    (of(ROW, '{"plan": ["pro"]}'), 400, "rows[1].plan: must not be nested (got a list)"),
    ('{"rows": [{"months": 3, "other": {"a": 1}}]}', 400, "rows[0].other: must not be nested (got an object)"),
    ('{"rows": [{"months": 3, "months": 4}]}', 400, "'months' is there twice"),
    ('{"columns": []}', 400, "columns: must be an object"),
    ('{"columns": {}}', 400, "columns: there is no row"),
    ('{"columns": {"months": []}}', 400, "columns: there is no row"),
    ('{"columns": {"months": 3}}', 400, "columns.months: must be a list of values (got 3)"),
    ('{"columns": {"months": [1, 2], "plan": ["pro"]}}', 400, "equally long (got 'months': 2, 'plan': 1)"),
    ('{"columns": {"months": [1, [2]]}}', 400, "columns.months[1]: must not be nested"),
    ('{"rows": ' + "[" * 100_000, 400, "nested too deeply"),
    (b'{"rows": [{"plan": "\xff"}]}', 400, "is not UTF-8 (byte 20)"),
    (of(*[ROW] * 11), 413, "more than 10"),
    (of(*["{}"] * 1000), 413, "more than 10"),
    ('{"columns": {"months": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}}', 413, "more than 10"),
    (of('{"months": 3, "plan": "' + "x" * 101 + '"}'), 413, "rows[0].plan: has 101 characters; at most 100"),
    (of("x" * 300_000), 413, "larger than 200,000 bytes"),
]


@pytest.mark.parametrize(("body", "status", "words"), REFUSED)
def test_what_does_not_fit_is_refused_with_a_sentence(predictor, body, status, words):
    small = app(predictor, Limits(rows=10, text=100, body=200_000))
    response = post(small, body)
    assert is_refused(response, status) and words in response.json()["error"]
    assert response.headers["x-request-id"] == response.json()["request_id"]


def test_bytes_are_counted_as_they_come_and_not_as_announced(predictor):
    selection = 0

    async def endless():
        nonlocal selection
        while True:
            selection += 1000
            yield b" " * 1000

    assert is_refused(post(app(predictor, Limits(body=50_000)), endless()), 413)
    assert selection <= 50_000 + 65_536


def test_a_body_that_comes_too_slowly_is_cut_off(predictor):
    async def trickle():
        for _ in range(50):
            yield b" "
            await asyncio.sleep(0.05)

    assert is_refused(post(app(predictor, Limits(seconds=0.2)), trickle()), 408)


@pytest.mark.parametrize(
    "headers",
    [{"content-type": "text/plain"}, {"content-type": ""}, {"content-encoding": "gzip"}, {"content-encoding": "br"}],
)
def test_only_plain_json_or_csv_is_taken(api, headers):
    assert is_refused(post(api, '{"rows": [{"months": 3}]}', **headers), 415)


# behind a proxy, from a page of another origin, asked by a monitor


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/schema", "/metrics", "/docs", "/openapi.json"])
def test_head_is_answered_as_get_without_the_body(api, path):
    got, head = ask(api, "GET", path), ask(api, "HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert is_refused(ask(api, "GET", "/predict"), 405) and ask(api, "HEAD", "/predict").status_code == 405


@pytest.mark.parametrize("prefix", ["", "/models/churn"])
def test_a_proxy_may_show_it_under_a_path_which_it_takes_away_or_leaves(predictor, rows, prefix):
    api = app(predictor, token="secret", root_path="/models/churn")
    allowed = {"Authorization": "Bearer secret"}
    assert ask(api, "GET", f"{prefix}/health").status_code == 200
    assert ask(api, "GET", f"{prefix}/schema").status_code == 401
    reply = ask(api, "POST", f"{prefix}/predict", json={"rows": rows[:1]}, headers=allowed)
    assert len(reply.json()["predictions"]) == 1
    links = ask(api, "GET", f"{prefix}/", headers=allowed).json()["links"]
    assert links["predict"] == "POST /models/churn/predict" and links["docs"] == "/models/churn/docs"
    spec = ask(api, "GET", f"{prefix}/openapi.json", headers=allowed).json()
    assert spec["servers"] == [{"url": "/models/churn"}]
    page = ask(api, "GET", f"{prefix}/docs", headers=allowed).text
    assert 'data-path="predict"' in page and 'href="/' not in page


def test_a_page_of_an_origin_that_is_allowed_may_ask_and_no_other(predictor, rows):
    api, asks = app(predictor, token="secret", origins=["https://app.example"]), {"Origin": "https://app.example"}
    before = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    assert ask(api, "OPTIONS", "/predict", headers=asks | before).status_code == 200
    reply = ask(api, "POST", "/predict", json={"rows": rows[:1]}, headers=asks | {"Authorization": "Bearer secret"})
    assert reply.headers["access-control-allow-origin"] == "https://app.example"
    refused = ask(api, "POST", "/predict", json={"rows": rows[:1]}, headers=asks)
    assert refused.status_code == 401 and refused.headers["access-control-allow-origin"] == "https://app.example"
    foreign = {"Origin": "https://evil.example"}
    assert ask(api, "OPTIONS", "/predict", headers=foreign | before).status_code == 400
    assert "access-control-allow-origin" not in ask(api, "GET", "/health", headers=foreign).headers
    silent = ask(app(predictor), "GET", "/health", headers=asks)
    assert "access-control-allow-origin" not in silent.headers


def test_a_browser_may_open_pages_with_the_token_as_a_password_but_not_ask_with_it(predictor, rows):
    api = app(predictor, token="secret")
    challenge = ask(api, "GET", "/docs").headers["www-authenticate"]
    assert "Basic" in challenge and "Basic" not in ask(api, "POST", "/predict").headers["www-authenticate"]
    for password, status in (("secret", 200), ("other", 403), ("", 401)):
        basic = {"Authorization": f"Basic {base64.b64encode(f'me:{password}'.encode()).decode()}"}
        assert ask(api, "GET", "/docs", headers=basic).status_code == status
        assert ask(api, "POST", "/predict", json={"rows": rows[:1]}, headers=basic).status_code == 401
        assert ask(api, "GET", "/metrics", headers=basic).status_code == 401
    assert ask(api, "GET", "/docs", headers={"Authorization": "Basic !"}).status_code == 401


def test_a_public_name_needs_a_token(churn_bundle, monkeypatch):
    monkeypatch.delenv("LAMINA_TOKEN", raising=False)
    with pytest.raises(LaminaError, match="reach models"):
        serve(churn_bundle, hosts=["models.example"])
    with pytest.raises(LaminaError, match="--root-path"):
        serve(churn_bundle, root_path="models/")


def test_rows_may_come_as_csv_and_mean_the_same(api, rows):
    whole = [row for row in rows if None not in row.values()][:5]
    names = list(whole[0])
    lines = [",".join(f'"{row[name]}"' for name in names) for row in whole]
    got = post(api, "\n".join([",".join(names), *lines]), **{"content-type": "text/csv"}).json()
    assert same(got["predictions"], predict(api, rows=whole).json()["predictions"])


def test_json_may_say_its_charset_and_have_a_byte_order_mark(api):
    body = '{"rows": [{"months": 3}]}'.encode("utf-8-sig")
    assert post(api, body, **{"content-type": "application/json; charset=utf-8"}).status_code == 200


def test_unknown_paths_and_methods_are_told_in_the_same_shape(api):
    assert is_refused(ask(api, "GET", "/nothing"), 404) and is_refused(ask(api, "POST", "/predict/", json={}), 404)
    wrong = ask(api, "GET", "/predict")
    assert is_refused(wrong, 405) and wrong.headers["allow"] == "POST" and "takes POST" in wrong.json()["error"]


def test_request_ids_are_echoed_made_and_cleaned(api):
    def request(mark):
        return ask(api, "GET", "/nothing", headers={"X-Request-Id": mark})

    assert request("job-7.a").headers["x-request-id"] == "job-7.a" == request("job-7.a").json()["request_id"]
    assert request("<b>x y</b>").headers["x-request-id"] == "bxyb"
    assert len(ask(api, "GET", "/nothing").headers["x-request-id"]) == 32 == len(request("!").headers["x-request-id"])
    assert len(request("a" * 500).headers["x-request-id"]) == 64


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["months", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["rows", "columns", "months", "plan", "x", "\ud800"]), inner, max_size=4)
    ),
    max_leaves=25,
)
NEARLY = st.dictionaries(st.sampled_from(["months", "plan", "since", "\ud800"]), ANY_JSON, max_size=3)
BODIES = st.one_of(
    st.binary(max_size=60),
    ANY_JSON.map(json.dumps),
    st.fixed_dictionaries({"rows": st.lists(NEARLY, max_size=3)}).map(json.dumps),
    st.fixed_dictionaries({"columns": NEARLY}).map(json.dumps),
    st.tuples(ANY_JSON.map(json.dumps), st.integers(0, 60)).map(lambda cut: cut[0][: cut[1]]),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BODIES)
def test_no_body_whatever_breaks_the_server(api, body):
    response = post(api, body)
    assert response.status_code == 200 or is_refused(response, response.status_code)
    assert response.status_code in (200, 400)
    assert "NaN" not in response.text


# What goes wrong inside


def test_a_failing_request_fails_alone_and_tells_nothing_of_the_inside(churn_bundle, rows, capsys):
    fragile = Fragile(churn_bundle)
    cells = [*rows[:20], rows[0] | {"plan": "poison"}, *rows[20:31]]
    bodies = [json.dumps({"rows": [row]}).encode() for row in cells]
    single = [isinstance(reply, RuntimeError) for reply in answered(fragile, *cells)]
    assert single == [row["plan"] == "poison" for row in cells]
    got = send(app(fragile), *((("POST", "/predict"), {"content": body, "headers": JSON}) for body in bodies))
    assert [r.status_code for r in got] == [500 if failed else 200 for failed in single]
    assert is_refused(got[20], 500) and "secret" not in got[20].text and "Traceback" not in got[20].text
    for response, expected in zip(got, fragile.predict(rows[:31]), strict=False):
        if response is got[20]:
            break
        assert same(response.json()["predictions"][0], expected)


def test_too_many_at_a_time_are_sent_away_at_once(churn_bundle, rows):
    slow = Slow(churn_bundle)
    got = send(app(slow, Limits(waiting=3)), *[(("POST", "/predict"), {"json": {"rows": rows[:1]}})] * 10)
    away = [response for response in got if response.status_code == 503]
    assert len(away) == 7 and all(is_refused(r, 503) and int(r.headers["retry-after"]) >= 1 for r in away)
    assert all(r.elapsed.total_seconds() < slow.seconds for r in away)
    assert sum(r.status_code == 200 for r in got) == 3


def test_a_request_whose_time_is_over_is_told_so_and_never_run(churn_bundle, rows):
    slow = Slow(churn_bundle, seconds=1.5)
    start = time.perf_counter()
    got = send(app(slow, Limits(seconds=0.3)), *[(("POST", "/predict"), {"json": {"rows": rows[:1]}})] * 4)
    assert time.perf_counter() - start < 1.3
    assert all(is_refused(response, 504) for response in got)
    time.sleep(1.5)
    assert len(slow.runs) == 1  # the one that was already running; the three that waited were dropped


def test_requests_that_wait_are_answered_together(churn_bundle, rows):
    slow = Slow(churn_bundle)
    got = send(app(slow), *[(("POST", "/predict"), {"json": {"rows": rows[:1]}})] * 30)
    assert all(response.status_code == 200 for response in got) and len(slow.runs) <= 3


# Who may ask


def test_a_token_guards_everything_but_health(predictor):
    guarded = app(predictor, token="opensesame")

    def status(path, **headers):
        response = ask(guarded, "GET", path, headers=headers)
        assert response.status_code == 200 or is_refused(response, response.status_code)
        return response.status_code

    for path in ("/health", "/livez", "/ready", "/readyz"):
        assert status(path) == 200
    for path in ("/", "/schema", "/docs", "/openapi.json", "/metrics", "/predict", "/nothing", "/health/", "//health"):
        assert status(path) == 401
        assert status(path, Authorization="Basic opensesame") == 401
        assert status(path, Authorization="Bearer ") == 401
        assert status(path, Authorization="Bearer opensesame ") == status(path, authorization="bearer opensesame")
        assert status(path, Authorization="Bearer opensesam") == 403
        assert status(path, Authorization="Bearer öpensesame".encode("latin-1")) == 403
    assert status("/schema", Authorization="Bearer opensesame") == 200
    assert ask(guarded, "GET", "/metrics").headers["www-authenticate"] == "Bearer"


def test_a_local_server_does_not_answer_to_foreign_names(predictor):
    local = app(predictor, hosts=("localhost", "127.0.0.1", "[::1]"))
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:80", "[::1]:8000"):
        assert ask(local, "GET", "/schema", headers={"Host": host}).status_code == 200
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", ""):
        assert is_refused(ask(local, "GET", "/schema", headers={"Host": host}), 400)


def test_the_world_is_not_served_without_a_token(churn_bundle, monkeypatch):
    monkeypatch.delenv("LAMINA_TOKEN", raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(LaminaError, match=r"token"):
            serve(churn_bundle, host=host)


def test_a_port_in_use_is_an_error_with_a_cure(churn_bundle):
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(LaminaError, match="Choose another"):
        serve(churn_bundle, port=other.getsockname()[1])


# What it says of itself


def test_the_schema_tells_columns_and_an_example_that_works(api, predictor):
    about = ask(api, "GET", "/schema").json()
    assert about["target"] == "left" and about["task"] == "classification" and about["classes"] == ["no", "yes"]
    kinds = {column["name"]: column["kind"] for column in about["columns"]}
    assert kinds["months"] == kinds["charges"] == "number" and kinds["remark"] == "text" and kinds["since"] == "time"
    got = predict(api, rows=[about["example"]]).json()
    assert same(got["predictions"][0], about["answer"]) and "notes" not in got
    assert about["model"] == predictor.bundle.id == got["model"] and about["limits"]["rows"] == 10_000


def test_openapi_has_the_models_own_row_and_an_example_that_works(api, predictor):
    page = ask(api, "GET", "/openapi.json").json()
    body = page["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    row = body["schema"]["oneOf"][0]["properties"]["rows"]["items"]["properties"]
    assert list(row) == [column.name for column in predictor.bundle.prep.columns]
    assert {kind["type"] for kind in row["months"]["anyOf"]} >= {"number", "string", "null"}
    for example in body["examples"].values():
        assert predict(api, **example["value"]).status_code == 200
    assert "422" not in page["paths"]["/predict"]["post"]["responses"]
    docs = ask(api, "GET", "/docs").text
    assert "POST /predict" in docs and "://" not in docs  # an example to send, and nothing from elsewhere


def test_every_answer_names_the_model_and_forbids_guessing_its_type(api, predictor):
    for path in ("/", "/schema", "/health", "/nothing", "/docs"):
        headers = ask(api, "GET", path).headers
        assert headers["x-model-version"] == predictor.bundle.id and headers["x-content-type-options"] == "nosniff"


def test_metrics_count_what_the_clients_saw(predictor, rows):
    own = app(predictor)
    for body in ({"rows": rows[:7]}, {"rows": rows[:3]}, {"rows": []}):
        predict(own, **body)
    lines = ask(own, "GET", "/metrics").text.splitlines()
    labels = f'model="churn",version="{predictor.id}",protocol="lamina"'
    assert f'lamina_requests_total{{{labels},code="200"}} 2' in lines
    assert f'lamina_requests_total{{{labels},code="400"}} 1' in lines
    assert "lamina_rows_total 10" in lines and "lamina_request_duration_seconds_count 3" in lines
    assert 'lamina_request_duration_seconds_bucket{le="+Inf"} 3' in lines


def test_a_server_that_is_stopping_says_it_is_not_ready(predictor):
    own = app(predictor)
    assert ask(own, "GET", "/ready").status_code == 200
    own.state.lamina.draining = True
    away = ask(own, "GET", "/readyz")
    assert is_refused(away, 503) and away.headers["retry-after"] and away.headers["connection"] == "close"
    assert ask(own, "GET", "/health").status_code == 200


# The real thing

RUN = """
import sys
from lamina.deploy.server import Limits, serve
serve(sys.argv[1], port=0, limits=Limits(rows=1_000_000, body=1 << 27, drain=0.5))
assert not {"torch", "sklearn", "matplotlib", "duckdb"} & set(sys.modules), "too much was imported"
print("stopped")
"""


@pytest.fixture
def process(churn_bundle):
    """A server in a process of its own, and its port."""
    environment = os.environ | {"LAMINA_TOKEN": "opensesame"}
    command = [sys.executable, "-c", RUN, str(churn_bundle)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        line = server.stdout.readline()
        assert "/try)" in line, server.stderr.read()
        yield server, int(line.partition("http://127.0.0.1:")[2].partition(" ")[0])
        server.kill()


def call(port, method, path, body=None, **headers):
    """Status, headers and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {"Authorization": "Bearer opensesame"} | JSON | headers)
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()
    finally:
        connection.close()


def test_sigterm_ends_readiness_then_finishes_what_runs_and_exits_0(process, predictor, rows):
    server, port = process
    assert call(port, "GET", "/schema", Authorization="Bearer wrong")[0] == 403
    assert call(port, "GET", "/schema", Host="evil.example")[0] == 400
    assert call(port, "GET", "/ready")[0] == 200
    many, result = json.dumps({"rows": rows * 1000}), []
    running = threading.Thread(target=lambda: result.append(call(port, "POST", "/predict", many)))
    running.start()
    while b"in_flight 2" not in call(port, "GET", "/metrics")[2]:
        time.sleep(0.01)
    time.sleep(0.05)
    server.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    status, headers, _ = call(port, "GET", "/ready")
    assert running.is_alive() and status == 503 and headers["retry-after"]
    running.join(60)
    status, headers, body = result[0]
    assert status == 200 and headers["x-model-version"] == predictor.bundle.id
    answers = json.loads(body)["predictions"]
    assert len(answers) == len(rows) * 1000 and all(map(same, answers[:50], predictor.predict(rows)))
    assert server.wait(30) == 0 and server.stdout.read() == "stopped\n" and server.stderr.read() == ""


def test_the_command_line_serves_with_limits_and_says_where_in_one_json_object(churn_bundle, rows):
    command = [sys.executable, "-m", "lamina", "serve", str(churn_bundle), "--port", "0", "--json", "--max-rows", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        reply = json.loads(server.stdout.readline())
        port = int(reply["url"].rpartition(":")[2])
        assert reply["docs"] == f"{reply['url']}/docs"
        status, headers, body = call(port, "POST", "/predict", json.dumps({"rows": rows[:2]}))
        assert status == 200 and headers["x-model-version"] == reply["bundle"] == json.loads(body)["model"]
        status, _, body = call(port, "POST", "/predict", json.dumps({"rows": rows[:2] * 2}))
        assert status == 413 and "more than 2" in json.loads(body)["error"]
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0 and server.stdout.read() == "" and server.stderr.read() == ""


def test_a_second_signal_ends_the_process_at_once(process, rows):
    server, port = process
    many = json.dumps({"rows": rows * 4000})
    with socket.create_connection(("127.0.0.1", port)) as stuck:
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(many)}\r\n\r\n"
        stuck.sendall(head.encode())
        time.sleep(0.3)
        server.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.poll() is None
        server.send_signal(signal.SIGTERM)
        assert server.wait(2) != 0


def test_a_request_says_how_long_it_waits_for_its_answer(predictor, rows):
    own = app(predictor)
    body = {"rows": rows[:3]}
    in_time = send(own, (("POST", "/predict"), {"json": body, "headers": {"X-Request-Timeout-Ms": "20000"}}))[0]
    assert in_time.status_code == 200 and len(in_time.json()["predictions"]) == 3
    many = {"columns": {"months": list(range(10_000))}}
    late = send(own, (("POST", "/predict"), {"json": many, "headers": {"X-Request-Timeout-Ms": "1"}}))[0]
    assert late.status_code == 504
    assert late.json()["error"] == "There was no response within the 1 ms of the request."
    for text in ("soon", "0", "-5", "1.5"):
        refused = send(own, (("POST", "/predict"), {"json": body, "headers": {"X-Request-Timeout-Ms": text}}))[0]
        assert refused.status_code == 400 and refused.json()["error"].startswith("X-Request-Timeout-Ms: must be")
