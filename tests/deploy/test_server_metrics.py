"""What a server says of itself to Prometheus is what its clients saw, under names that dashboards know."""

import json
import re

import httpx
import pytest

from lamina.deploy.predictor import Predictor
from lamina.deploy.server import Limits, app
from service_tools import ServerProcess, send

SAMPLE = re.compile(r'([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\d\S*)')
NAMES = {
    "lamina_requests_total": "counter",
    "lamina_request_duration_seconds": "histogram",
    "lamina_queue_wait_seconds": "histogram",
    "lamina_inference_seconds": "histogram",
    "lamina_batch_size": "histogram",
    "lamina_rows_total": "counter",
    "lamina_queue_depth": "gauge",
    "lamina_in_flight": "gauge",
    "lamina_rejected_total": "counter",
    "lamina_expired_total": "counter",
    "lamina_model_info": "gauge",
    "lamina_ready": "gauge",
    "nv_inference_request_success": "counter",
    "nv_inference_request_failure": "counter",
    "nv_inference_count": "counter",
    "nv_inference_exec_count": "counter",
    "nv_inference_request_duration_us": "counter",
    "nv_inference_queue_duration_us": "counter",
    "nv_inference_compute_infer_duration_us": "counter",
    "request_preprocess_seconds": "histogram",
    "request_predict_seconds": "histogram",
    "request_postprocess_seconds": "histogram",
}


def metrics(api):
    """Samples by name and labels, and the type of each name; a line that is no sample fails."""
    text = send(api, (("GET", "/metrics"), {}))[0].text
    assert text.endswith("\n")
    types, samples = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            types[name] = kind
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            samples[match[1] + (match[2] or "")] = float(match[3])
    return types, samples


def total(samples, name, *labels):
    """The sum of a name's samples with these labels."""
    own = {key: value for key, value in samples.items() if re.fullmatch(rf"{name}(\{{.*)?", key)}
    return sum(value for key, value in own.items() if all(label in key for label in labels))


def post(rows, path="/predict"):
    return (("POST", path), {"content": json.dumps({"rows": rows}), "headers": {"content-type": "application/json"}})


def test_names_types_and_help_are_those_that_are_promised(predictor, rows):
    api = app(predictor)
    send(api, post(rows[:2]))
    types, _ = metrics(api)
    assert types == NAMES


@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=pytest.mark.slow)])
def test_counts_are_exactly_what_the_clients_saw(predictor, rows, count):
    api = app(predictor, Limits(waiting=20_000, wait=30, rows=50))
    instances = (("POST", "/v1/models/churn:predict"), {"json": {"instances": rows[:2]}})
    records = (("POST", "/invocations"), {"json": {"dataframe_records": rows[:1]}})
    mix = [
        post(rows[:3]),
        post([]),
        instances,
        records,
        post(rows),
        (("GET", "/health"), {}),
        (("GET", "/nothing"), {}),
    ]
    expected, answered = {}, 0
    for start in range(0, count, 200):
        requests = [mix[number % len(mix)] for number in range(start, min(start + 200, count))]
        for request, reply in zip(requests, send(api, *requests), strict=True):
            key = request[0][1], reply.status_code
            expected[key] = expected.get(key, 0) + 1
            answered += len(reply.json().get("predictions", [])) if reply.status_code == 200 else 0
    _, samples = metrics(api)

    def count_of(*labels):
        return total(samples, "lamina_requests_total", *labels)

    own = 'protocol="lamina"'
    assert count_of(own, 'code="200"') == expected["/predict", 200]
    assert count_of(own, 'code="400"') + count_of(own, 'code="413"') == sum(
        n for (path, code), n in expected.items() if path == "/predict" and code != 200
    )
    assert count_of('protocol="tensorflow_serving"', 'code="200"') == expected["/v1/models/churn:predict", 200]
    assert count_of('protocol="mlflow"', 'code="200"') == expected["/invocations", 200]
    assert samples['lamina_requests_total{code="404"}'] == expected["/nothing", 404]
    assert count_of() == samples["lamina_request_duration_seconds_count"] == count
    assert samples["lamina_rows_total"] == total(samples, "nv_inference_count") == answered
    assert samples['lamina_rejected_total{reason="size"}'] == count_of('code="413"')
    assert samples["lamina_in_flight"] == 1 and samples["lamina_queue_depth"] == 0  # this very request


def test_triton_s_counts_give_the_mean_batch_size(predictor, rows):
    api = app(predictor)
    for size in (1, 4, 7):
        assert send(api, post(rows[:size]))[0].status_code == 200
    _, samples = metrics(api)
    assert (total(samples, "nv_inference_count"), total(samples, "nv_inference_exec_count")) == (12, 3)
    assert (total(samples, "lamina_batch_size_sum"), total(samples, "lamina_batch_size_count")) == (12, 3)
    assert total(samples, "nv_inference_request_success") == 3 and total(samples, "nv_inference_request_failure") == 0
    seconds = [total(samples, f"request_{name}_seconds_count") for name in ("preprocess", "predict", "postprocess")]
    assert seconds == [3, 3, 3]


def test_a_model_that_changes_goes_on_and_the_one_before_the_last_is_forgotten(churn_bundle, numbers_bundle, rows):
    churn, numbers = Predictor(churn_bundle), Predictor(numbers_bundle)
    first = app({"m": churn})
    send(first, post(rows[:1]))
    second = app({"m": numbers}, before=first)
    _, samples = metrics(second)
    assert total(samples, "lamina_requests_total", churn.id) == 1  # requests that have begun end there
    assert total(samples, "lamina_model_info", churn.id) == 0 and total(samples, "lamina_model_info", numbers.id) == 1
    third = app({"m": churn}, before=second)
    assert total(metrics(third)[1], "lamina_requests_total", churn.id) == 1
    fourth = app({"m": churn}, before=third)
    assert total(metrics(fourth)[1], "lamina_model_info", numbers.id) == 0
    assert not [key for key in metrics(fourth)[1] if numbers.id in key]


def test_a_server_that_stops_says_so(predictor):
    api = app(predictor)
    assert metrics(api)[1]["lamina_ready"] == 1
    api.state.lamina.draining = True
    assert metrics(api)[1]["lamina_ready"] == 0


def test_a_server_s_own_port_counts_as_well(churn_bundle, rows):
    with ServerProcess(churn_bundle) as server, httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        for _ in range(5):
            assert client.post("/predict", json={"rows": rows[:2]}).status_code == 200
        text = client.get("/metrics").text
    assert re.search(r'lamina_requests_total\{model="churn",.*protocol="lamina",code="200"\} 5', text)
    assert re.search(r"lamina_queue_wait_seconds_count\{.*\} 5", text)
