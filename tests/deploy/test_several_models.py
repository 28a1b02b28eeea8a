"""Several bundles in one server, and new ones that take the place of old ones while it answers."""

import http.client
import itertools
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

import bundle_tools
import lamina
from conftest import QUICK, SMALL, houses
from lamina.config import LaminaError
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import app, bundles_by_name
from service_tools import ServerProcess, send

ROWS = [{name: value for name, value in row.items() if name != "price"} for row in houses(24, seed=5)]


@pytest.fixture(scope="module")
def other_bundle(tmp_path_factory) -> Path:
    """Another model of the same columns."""
    recipe = {"model": SMALL, "train": {**QUICK, "epochs": 2}, "seed": 7}
    out = tmp_path_factory.mktemp("runs") / "other"
    return Path(lamina.fit(houses(200, seed=3), "price", recipe=recipe, out=out).result["bundle"])


def ask(api: Any, method: str, path: str, **options: Any) -> httpx.Response:
    return send(api, ((method, path), options))[0]


def test_each_model_is_asked_by_its_name_and_the_first_at_the_root(numbers_bundle, months_bundle):
    first, second = Predictor(numbers_bundle), Predictor(months_bundle)
    api = app({"houses": first, "airline": second})
    models = ask(api, "GET", "/models").json()["models"]
    assert [(name, one["model"], one["path"]) for name, one in models.items()] == [
        ("houses", first.id, "/models/houses"),
        ("airline", second.id, "/models/airline"),
    ]
    for path, predictor in (("", first), ("/models/houses", first), ("/models/airline", second)):
        schema = ask(api, "GET", f"{path}/schema").json()
        assert schema["model"] == predictor.id
        rows = schema["example"] if isinstance(schema["example"], list) else [schema["example"]]
        reply = ask(api, "POST", f"{path}/predict", json={"rows": rows})
        assert reply.status_code == 200 and reply.json()["model"] == reply.headers["x-model-version"] == predictor.id
        assert ask(api, "GET", f"{path}/docs").status_code == 200
    assert ask(api, "GET", "/v2/models/houses").json()["versions"] == [first.id]
    unknown = ask(api, "POST", "/models/nothing/predict", json={"rows": ROWS[:1]})
    assert unknown.status_code == 404 and "there is no such path" in unknown.json()["error"]


def test_names_come_from_words_or_runs_and_are_there_once(numbers_bundle, other_bundle):
    paths = bundles_by_name([f"new={numbers_bundle}", str(other_bundle)])
    assert paths == {"new": numbers_bundle, "other": other_bundle}
    with pytest.raises(LaminaError, match=r"two bundles are called 'other'. Name them: NAME=BUNDLE"):
        bundles_by_name([str(other_bundle), str(other_bundle.parent)])
    with pytest.raises(LaminaError, match=r"a name may have letters, digits"):
        bundles_by_name([f"a/b={numbers_bundle}"])


def lead_to(server: ServerProcess, bundle: Path) -> str:
    """What a server says whose link leads to another bundle now."""
    other = server.path.with_name("next")
    other.symlink_to(bundle)
    os.replace(other, server.path)
    server.process.send_signal(signal.SIGHUP)
    assert server.process.stderr
    return server.process.stderr.readline()


@pytest.fixture
def server(numbers_bundle, tmp_path):
    link = tmp_path / "current"
    link.symlink_to(numbers_bundle)
    with ServerProcess(link) as server:
        yield server


class Clients:
    """Threads that ask without a pause, each its own row, and keep what they got."""

    def __init__(self, port: int, count: int):
        self.port, self.over, self.answers = port, False, list[tuple[int, int, Any]]()
        self.threads = [threading.Thread(target=self.ask, args=(i,)) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def ask(self, first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        for i in itertools.count(first):
            if self.over:
                break
            row = i % len(ROWS)
            body = json.dumps({"rows": [ROWS[row]]})
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            self.answers.append((row, reply.status, json.loads(reply.read())))
        connection.close()

    def wait(self, count: int) -> None:
        end = time.monotonic() + 60
        while len(self.answers) < count and time.monotonic() < end:
            time.sleep(0.002)

    def stop(self) -> None:
        self.over = True
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize(("swaps", "requests"), [(4, 400), pytest.param(20, 10_000, marks=pytest.mark.slow)])
def test_models_change_under_load_and_each_answer_is_that_of_the_model_it_names(
    server, numbers_bundle, other_bundle, swaps, requests
):
    bundles = (other_bundle, numbers_bundle)
    expected = {one.id: one.predict(ROWS) for one in map(Predictor, bundles)}
    clients = Clients(server.port, 4)
    for swap in range(swaps):
        clients.wait(requests * (swap + 1) // (swaps + 1))
        assert "the model is" in lead_to(server, bundles[swap % 2])
    clients.wait(requests)
    clients.stop()
    assert len(clients.answers) >= requests
    assert {status for _, status, _ in clients.answers} == {200}
    for row, _, reply in clients.answers:
        assert reply["predictions"][0] == pytest.approx(expected[reply["model"]][row], rel=1e-5)
    assert {reply["model"] for _, _, reply in clients.answers} == expected.keys()


def test_a_bundle_that_fails_its_golden_rows_never_takes_the_place_of_one_that_works(
    server, numbers_bundle, other_bundle, tmp_path
):
    files = bundle_tools.read(other_bundle)
    golden = json.loads(files["golden.json"])
    golden["answers"][0]["prediction"] += 1000
    files["golden.json"] = json.dumps(golden).encode()
    broken = bundle_tools.written(tmp_path / "broken", bundle_tools.sealed(files))
    sentence = lead_to(server, broken)
    own = Predictor(numbers_bundle)
    assert f"the model stays {own.id}; the new one is refused." in sentence
    clients = Clients(server.port, 1)
    clients.wait(5)
    clients.stop()
    assert {reply["model"] for _, _, reply in clients.answers} == {own.id}
    assert "the model is" in lead_to(server, other_bundle)
