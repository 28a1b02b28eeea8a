"""A bundle in a Flask application answers as Python and the server do, under gunicorn as well."""

import io
import json
import subprocess
import sys
from pathlib import Path

import cv2
import flask
import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

import lamina
import service_tools
from gunicorn_flask import ask, pids, right, rows, served
from lamina.deploy.flask import blueprint
from lamina.deploy.server import Limits, app
from lamina.task import EVENTS, Answers, Example, Operation

BUNDLES = Path(__file__).parents[1] / "bundles"
PNG = cv2.imencode(".png", np.full((16, 16, 3), 90, np.uint8))[1].tobytes()
TABLE, IMAGES, TEXTS, MADE = (
    BUNDLES / f"{name}.lamina"
    for name in ("classification_fnn", "classification_pretrained", "language_modelling_gru_names",
                 "generation_gan_images")
)  # fmt: skip


def client(*bundles: Path, limits: Limits | None = None):
    """A Flask application with bundles, each below the name of its file."""
    application = flask.Flask("shop")
    for bundle in bundles:
        application.register_blueprint(blueprint(bundle, bundle.stem, limits), url_prefix=f"/{bundle.stem}")
    return application.test_client()


@pytest.fixture(scope="module")
def pair():
    """The same bundle in Flask and in FastAPI."""
    return client(TABLE), TestClient(app(lamina.Predictor(TABLE), Limits()), base_url="http://localhost")


REQUESTS = [
    ("POST", "/predict", "application/json", b'{"rows": [{"months": 3, "plan": "pro"}, {"months": null}]}'),
    ("POST", "/predict", "application/json", b'{"columns": {"months": [3, 4], "strange": [1, 2]}}'),
    ("POST", "/predict", "text/csv", b"months,plan\n3,pro\n"),
    ("POST", "/predict", "application/json", b'{"rows": [{"months": 3}'),
    ("POST", "/predict", "application/json", b'{"rows": []}'),
    ("POST", "/predict", "application/xml", b"<a/>"),
    ("GET", "/predict", "application/json", b""),
    ("POST", "/schema", "application/json", b"{}"),
    ("GET", "/schema", "", b""),
    ("GET", "/health", "", b""),
    ("GET", "/ready", "", b""),
]


@pytest.mark.parametrize(("method", "path", "kind", "body"), REQUESTS)
def test_every_request_gets_the_reply_of_the_server(pair, method, path, kind, body):
    headers = {"X-Request-ID": "mine"} | ({"Content-Type": kind} if kind else {})
    ours = pair[0].open(f"/{TABLE.stem}{path}", method=method, headers=headers, data=body)
    theirs = pair[1].request(method, path, headers=headers, content=body)
    assert ours.status_code == theirs.status_code
    assert ours.text.replace(f"/{TABLE.stem}", "") == theirs.text
    for name in ("Content-Type", "X-Request-ID", "X-Model-Version", "X-Content-Type-Options", "Allow"):
        assert ours.headers.get(name) == theirs.headers.get(name)


def test_limits_are_those_of_the_server():
    small = client(TABLE, limits=Limits(rows=1, body=100))
    assert small.post(f"/{TABLE.stem}/predict", json={"rows": [{}, {}]}).status_code == 413
    large = small.post(f"/{TABLE.stem}/predict", data=b" " * 101, content_type="application/json")
    assert large.status_code == 413
    assert large.json["error"] == "body: is larger than 100 bytes. Send fewer rows at a time."


def test_images_are_taken_in_a_form_and_as_the_body():
    shop, place = client(IMAGES), f"/{IMAGES.stem}/predict"
    expected = lamina.Predictor(IMAGES).predict([PNG])
    whole = shop.post(place, data=PNG, content_type="image/png")
    form = shop.post(place, data={"image": (io.BytesIO(PNG), "a.png")})
    for reply in (whole, form):
        assert right(reply.json["predictions"][0], expected[0]), reply.json


def test_images_are_given():
    reply = client(MADE).post(f"/{MADE.stem}/generate", json={"count": 2, "seed": 1})
    server = service_tools.ask(lamina.load(MADE), "POST", "/generate", json={"count": 2, "seed": 1})
    assert (reply.status_code, reply.content_type) == (200, server.headers["content-type"])
    assert reply.data == server.content


def test_texts_are_streamed_as_server_sent_events():
    body = {"prompt": "an", "length": 8, "seed": 1, "count": 2}
    reply = client(TEXTS).post(f"/{TEXTS.stem}/generate", json=body)
    server = service_tools.ask(lamina.load(TEXTS), "POST", "/generate", json=body)
    assert reply.content_type == server.headers["content-type"]
    assert reply.text == server.text
    assert reply.text.count("data: ") > 1


def test_a_stream_that_is_left_ends_and_the_next_is_answered():
    shop = client(TEXTS)
    for _ in range(3):
        reply = shop.post(f"/{TEXTS.stem}/generate", json={"prompt": "an", "count": 50}, buffered=False)
        next(iter(reply.response))
        reply.close()
    assert shop.post(f"/{TEXTS.stem}/generate", json={"prompt": "an"}).status_code == 200


class Offering(lamina.Predictor):
    """A bundle with an operation of its own."""

    @property
    def operations(self):
        return (COUNT,)


def countdown(session, rows, request):
    """Two numbers, and then it fails."""
    yield Answers(pa.table({"number": [2]}))
    yield Answers(pa.table({"number": [1]}))
    raise RuntimeError("/srv/secret")


COUNT = Operation(
    "count", "Down.", countdown, lambda session: Example({}, []), rows="none", gives=EVENTS, items="numbers"
)


def test_a_stream_that_fails_ends_with_the_error_and_nothing_of_the_inside():
    application = flask.Flask("shop")
    application.register_blueprint(blueprint(Offering(TABLE)))
    reply = application.test_client().post("/count", json={}, headers={"X-Request-ID": "mine"})
    *numbers, last = reply.text.strip().split("\n\n")
    assert len(numbers) == 2
    assert last.startswith("event: error\ndata: ")
    assert "mine" in last
    assert "secret" not in last


def test_neither_the_framework_of_the_server_nor_torch_is_imported():
    names = ("fastapi", "starlette", "uvicorn", "torch")
    code = f"import sys; from lamina.deploy.flask import blueprint; blueprint({str(TABLE)!r})"
    code += f"; print([name for name in {names} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def _checked(tmp_path: Path, count: int, *options: str) -> set[str]:
    """Processes that answered so many requests, every one rightly."""
    predictor = lamina.Predictor(TABLE)
    bodies = rows(predictor, count)
    expected = predictor.predict(bodies)
    with served({"churn": str(TABLE)}, tmp_path, "--workers", "2", "--threads", "4", *options) as url:
        responses = ask(f"{url}/churn/predict", [{"rows": [row]} for row in bodies], clients=8)
    for response, answer in zip(responses, expected, strict=True):
        assert response.status_code == 200, response.text
        assert right(response.json()["predictions"][0], answer)
    return pids(responses)


def test_two_workers_of_gunicorn_that_fork_after_the_bundle_is_open_answer_rightly(tmp_path):
    assert len(_checked(tmp_path, 300, "--preload")) == 2


@pytest.mark.slow
def test_ten_thousand_requests_are_answered_and_none_is_lost(tmp_path):
    assert len(_checked(tmp_path, 10_000)) == 2


@pytest.mark.slow
def test_each_bundle_answers_in_one_application_after_a_fork(tmp_path):
    bundles = {path.stem: str(path) for path in sorted(BUNDLES.glob("*.lamina"))}
    with served(bundles, tmp_path, "--workers", "2", "--preload") as url:
        for name, path in bundles.items():
            predictor = lamina.Predictor(path)
            for operation in predictor.operations:
                if "http" not in operation.faces:
                    continue
                payload = operation.example(predictor).payload
                body = payload if operation.rows == "none" else {"rows": payload}
                (response,) = ask(f"{url}/{name}/{operation.name}", [json.loads(json.dumps(body))], clients=1)
                assert response.status_code == 200, (name, operation.name, response.text)


def test_a_token_is_asked_for_where_one_is_set_and_metrics_count_what_is_answered():
    application = flask.Flask("shop")
    application.register_blueprint(blueprint(TABLE, token="opensesame"))
    site, own = application.test_client(), {"Authorization": "Bearer opensesame"}
    assert [site.get(path).status_code for path in ("/health", "/ready", "/schema", "/metrics")] == [200, 200, 401, 401]
    refused = site.post("/predict", json={"rows": [{"months": 3}]}, headers={"Authorization": "Bearer sesame"})
    assert refused.status_code == 403 and "not the server's" in refused.json["error"]
    assert site.post("/predict", json={"rows": [{"months": 3}, {}]}, headers=own).status_code == 200
    assert site.post("/predict", json={"rows": []}, headers=own).status_code == 400
    lines = site.get("/metrics", headers=own).text.splitlines()
    labels = f'model="classification_fnn",version="{lamina.load(TABLE).predictor.id}",protocol="lamina"'
    assert {f'lamina_requests_total{{{labels},code="{code}"}} 1' for code in (200, 400)} <= set(lines)
    assert "lamina_rows_total 2" in lines
