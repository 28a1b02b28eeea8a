"""Lines that a server writes: none of requests unless asked for, then one for each, for people or for programs."""

import http.client
import json
import logging
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lamina.deploy.server.logs import JsonFormatter
from lamina.deploy.server.middleware import public

BUNDLES = Path(__file__).parents[1] / "bundles"
RUN = (
    "import sys; from lamina.deploy.server import serve;"
    "serve(sys.argv[1], port=0, log_format=sys.argv[2], access_log=sys.argv[3] == 'on')"
)


def lines_of(bundle, log_format, access, rows):
    """What is on standard error after four requests: two answers, one refusal, one path that is not there."""
    words = [sys.executable, "-c", RUN, str(bundle), log_format, access]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        port = int(server.stdout.readline().partition("http://127.0.0.1:")[2].partition(" ")[0])
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        requests = [
            ("POST", "/predict", {"rows": rows[:3]}),
            ("POST", "/v1/models/churn:predict", {"instances": rows[:2]}),
        ]
        for method, path, body in [*requests, ("POST", "/predict", {"rows": []}), ("GET", "/nothing", None)]:
            headers = {"Content-Type": "application/json", "X-Request-Id": f"id-{path.rpartition('/')[2][:4]}"}
            client.request(method, path, json.dumps(body) if body else None, headers)
            client.getresponse().read()
        client.close()
        server.terminate()
        return server.communicate()[1].splitlines()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_nothing_is_written_of_requests_unless_it_is_asked_for(churn_bundle, rows, log_format):
    assert lines_of(churn_bundle, log_format, "off", rows) == []


def test_each_request_is_an_object_in_a_line(churn_bundle, rows):
    lines = [json.loads(line) for line in lines_of(churn_bundle, "json", "on", rows)]
    requests = [(line["method"], line["path"], line["status"], line["rows"]) for line in lines]
    assert requests == [
        ("POST", "/predict", 200, 3),
        ("POST", "/v1/models/churn:predict", 200, 2),
        ("POST", "/predict", 400, None),
        ("GET", "/nothing", 404, None),
    ]
    first = lines[0]
    assert first["request_id"] == "id-pred" and first["model"] == "churn" and len(first["version"]) == 16
    assert first["level"] == "info" and first["time"].endswith("+00:00") and 0 < first["duration_ms"] < 30_000


def test_for_people_it_is_a_line_of_names_and_values(churn_bundle, rows):
    lines = lines_of(churn_bundle, "text", "on", rows)
    assert len(lines) == 4 and "method=POST path=/predict status=200" in lines[0] and "rows=3 model=churn" in lines[0]


def test_an_error_carries_its_request(caplog):
    with caplog.at_level(logging.ERROR, "lamina.server"):
        assert public(ValueError("inside"), "abc").status == 500
    line = json.loads(JsonFormatter().format(caplog.records[0]))
    assert line["request_id"] == "abc" and line["level"] == "error" and "inside" in line["exception"]


def test_a_model_below_a_path_of_its_own_and_a_reload_are_objects_in_lines(tmp_path):
    names = {"first": "classification_fnn", "second": "regression_fnn"}
    for name, stem in names.items():
        shutil.copy(BUNDLES / f"{stem}.lamina", tmp_path / f"{name}.lamina")
    words = [
        *(f"{name}={tmp_path}/{name}.lamina" for name in names),
        "--port",
        "0",
        "--log-format",
        "json",
        "--access-log",
    ]
    command = [sys.executable, "-m", "lamina", "serve", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        port = int(server.stdout.readline().partition("http://127.0.0.1:")[2].partition(" ")[0])
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        client.request(
            "POST", "/models/second/predict", '{"rows": [{"rooms": 3}]}', {"Content-Type": "application/json"}
        )
        assert client.getresponse().read()
        shutil.copy(BUNDLES / "regression_lstm.lamina", tmp_path / "new.lamina")
        (tmp_path / "new.lamina").rename(tmp_path / "second.lamina")
        server.send_signal(signal.SIGHUP)
        request, reload = (json.loads(server.stderr.readline()) for _ in range(2))
        client.close()
        server.terminate()
    assert (request["path"], request["model"], request["rows"]) == ("/models/second/predict", "second", 1)
    assert reload["level"] == "warning" and "second: the model is" in reload["message"]
