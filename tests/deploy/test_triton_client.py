"""The stock client of Triton, unmodified, asks a server in a process of its own."""

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

BUNDLES = Path(__file__).parents[1] / "bundles"
TEXTS = ("charges", "plan", "since", "remark")
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of answers that the client does not read


@pytest.fixture(scope="module")
def address(churn_bundle):
    """Where a bundle is served."""
    command = [sys.executable, "-m", "lamina", "serve", str(churn_bundle), "--port", "0", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield server.stdout.readline().partition('"url": "http://')[2].partition('"')[0]
    server.terminate()
    server.communicate(timeout=30)
    gc.collect()  # what the client left open is told of here, and not in whichever test comes next


@pytest.fixture
def client(address):
    with triton.InferenceServerClient(address) as client:
        yield client


def tensor(name, array, datatype, binary=True):
    one = triton.InferInput(name, list(array.shape), datatype)
    one.set_data_from_numpy(array, binary_data=binary)
    return one


def tensors(rows, binary=True):
    """All columns as inputs: a missing number is NaN, a missing text is empty."""
    texts = {name: np.array([row[name] or "" for row in rows], object) for name in TEXTS}
    months = np.array([np.nan if row["months"] is None else row["months"] for row in rows])
    return [
        tensor("months", months, "FP64", binary),
        tensor("paperless", np.array([row["paperless"] for row in rows]), "BOOL", binary),
        *(tensor(name, cells, "BYTES", binary) for name, cells in texts.items()),
    ]


def selection(binary):
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in ("prediction", "probabilities")]


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def test_the_server_and_its_model_are_live_ready_and_described(client, predictor):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("churn")
    assert client.is_model_ready("churn", predictor.id) and not client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("churn")
    assert {one["name"] for one in metadata["inputs"]} == {"months", "paperless", *TEXTS}
    assert [one["name"] for one in metadata["outputs"]] == ["prediction", "probabilities"]
    assert client.get_model_config("churn")["max_batch_size"] == 0
    assert [one["name"] for one in client.get_model_repository_index()] == ["churn"]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("outputs", [None, selection(True), selection(False)], ids=["all", "binary", "json"])
def test_rows_get_the_predictors_answers_in_binary_and_in_json(client, predictor, rows, binary_in, outputs):
    expected = predictor.predict(rows)
    answer = client.infer("churn", tensors(rows, binary_in), outputs=outputs, request_id="seven")
    assert answer.get_response()["id"] == "seven" and answer.get_response()["model_version"] == predictor.id
    labels, chances = answer.as_numpy("prediction"), answer.as_numpy("probabilities")
    assert list(map(text, labels)) == [one["prediction"] for one in expected]
    theirs = np.array([list(one["probabilities"].values()) for one in expected])
    assert chances.shape == (50, 2) and np.abs(chances - theirs).max() < 1e-6


def test_one_output_alone_comes_where_one_is_asked_for(client, rows):
    answer = client.infer("churn", tensors(rows[:1]), outputs=selection(True)[:1])
    assert answer.as_numpy("prediction").shape == (1,) and answer.as_numpy("probabilities") is None


def test_requests_at_the_same_time_get_their_own_answers(address, rows, predictor):
    with triton.InferenceServerClient(address, concurrency=8) as client:
        waiting = [client.async_infer("churn", tensors([row])) for row in rows]
        chances = [one.get_result().as_numpy("probabilities")[0, 0] for one in waiting]
    assert chances == pytest.approx([one["probabilities"]["no"] for one in predictor.predict(rows)], abs=1e-6)


def test_errors_are_exceptions_of_the_client_with_the_servers_sentence(client, rows):
    with pytest.raises(InferenceServerException, match=r"there is no model of this name\. There is 'churn'\."):
        client.get_model_metadata("other")
    matrix = tensor("months", np.zeros((2, 3)), "FP64")
    with pytest.raises(
        InferenceServerException, match=r"inputs\.months: cannot be read .* Send FP64 of the shape \[rows\]"
    ):
        client.infer("churn", [matrix])
    with pytest.raises(InferenceServerException, match="there is no 'score'"):
        client.infer("churn", tensors(rows[:1]), outputs=[triton.InferRequestedOutput("score")])
    with pytest.raises(InferenceServerException, match="has no shared_memory_region"):
        shared = triton.InferInput("months", [1], "FP64").set_shared_memory("region", 8)
        client.infer("churn", [shared])
