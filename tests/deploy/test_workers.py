"""Several processes at one port."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lamina.deploy.predictor import Predictor
from service_tools import RUN, ServerProcess

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="how processes share a port differs between systems")


def ask(port: int, row: dict) -> tuple[int, dict]:
    """The process that answers, which its request ids name, and the answer; on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/predict", json.dumps({"rows": [row]}), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    answer = json.loads(reply.read())
    connection.close()
    return int(reply.headers["x-request-id"][16:24], 16), answer["predictions"][0]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait(condition) -> None:
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def test_workers_answer_alike_and_one_that_ends_is_replaced(numbers_bundle):
    predictor = Predictor(numbers_bundle)
    row = predictor.example_row()
    (expected,) = predictor.predict([row])
    with ServerProcess(numbers_bundle, workers=2) as server:
        pids = set[int]()

        def both() -> bool:
            pid, answer = ask(server.port, row)
            assert answer == pytest.approx(expected, rel=1e-6)
            pids.add(pid)
            return len(pids) == 2

        wait(both)
        first, other = pids
        os.kill(first, signal.SIGKILL)
        assert server.process.stderr
        assert f"worker {first} ended by itself, and is replaced" in server.process.stderr.readline()
        pids -= {first}
        wait(both)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert not any(map(alive, pids | {other}))


def test_workers_end_with_the_process_that_looks_after_them(numbers_bundle):
    row = Predictor(numbers_bundle).example_row()
    with ServerProcess(numbers_bundle, workers=2) as server:
        pid, _ = ask(server.port, row)
        server.process.kill()
        server.process.wait()
        wait(lambda: not alive(pid))


def test_a_bundle_that_is_not_sound_is_a_sentence_and_leaves_no_process(tmp_path):
    (tmp_path / "empty").mkdir()
    words = [sys.executable, "-c", RUN, str(tmp_path / "empty"), "2"]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "manifest.json: is missing" in done.stderr
