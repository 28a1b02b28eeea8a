"""Slow, rude and many clients, a server that is stopped under them, and names that are markup."""

import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import lamina
from lamina.deploy.server.service_time import ServiceTime
from service_tools import ask

RUN = """
import sys, time
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import Limits, serve
pieces = Predictor.pieces
def slow(self, operation, rows, request):
    time.sleep(float(sys.argv[2]))
    return pieces(self, operation, rows, request)
Predictor.pieces = slow
serve(sys.argv[1], port=0, limits=Limits(head=0.4, waiting=int(sys.argv[3]), connections=20))
"""
BODY = b'{"rows": [{"months": 3}]}'
REQUEST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n"
EVIL = "</title><script>alert(1)</script><img src=x onerror=alert(1)>"


class Served:
    """A server in a process of its own, whose model takes its time and which lets `waiting` wait."""

    def __init__(self, bundle, seconds=0.0, waiting=256):
        command = [sys.executable, "-c", RUN, str(bundle), str(seconds), str(waiting)]
        environment = {name: value for name, value in os.environ.items() if name != "LAMINA_TOKEN"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        self.port = int(self.process.stdout.readline().partition(b"http://127.0.0.1:")[2].partition(b" ")[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def say(self, *pieces, pause=0.0):
        """Send pieces on one connection; the whole answer, until the server closes."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
            return read(connection)


def read(connection):
    answer = b""
    while data := connection.recv(1 << 16):
        answer += data
    return answer


def is_fault(answer, status):
    head, _, body = answer.partition(b"\r\n\r\n")
    fault = json.loads(body)
    return (
        head.startswith(b"HTTP/1.1 %d " % status)
        and b"connection: close" in head.lower()
        and set(fault) == {"error", "request_id"}
        and fault["request_id"].encode() in head
    )


@pytest.fixture(scope="module")
def quick(churn_bundle):
    with Served(churn_bundle) as server:
        yield server


def test_headers_that_do_not_end_have_a_time_limit(quick):
    start = time.perf_counter()
    assert is_fault(quick.say(b"POST /predict HTTP/1.1\r\nHost: loc"), 408)
    assert time.perf_counter() - start < 3


@pytest.mark.parametrize(
    "noise", [b"\x16\x03\x01\x02\x00 hello\r\n\r\n", b"GET\r\n\r\n", b"POST /predict SMTP/9\r\n\r\n"]
)
def test_what_is_not_http_is_told_so_in_the_one_shape(quick, noise):
    assert is_fault(quick.say(noise), 400)


def test_headers_without_end_are_cut_off_in_the_one_shape(quick):
    assert is_fault(quick.say(b"GET / HTTP/1.1\r\nHost: localhost\r\n", *[b"X-A: %b\r\n" % (b"a" * 8000)] * 10), 431)


def test_a_request_refused_while_its_body_comes_is_told_why_and_not_reset(quick):
    head = REQUEST.replace(b"Length: 25", b"Length: 40000000")
    assert is_fault(quick.say(head, *[b" " * 1_000_000] * 11), 413)


def test_more_connections_than_the_limit_are_told_so_and_may_still_ask_for_health(quick):
    held_out = [quick.connect() for _ in range(20)]
    try:
        assert is_fault(quick.say(REQUEST + BODY), 503)
        health = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert b"200 OK" in quick.say(health)
    finally:
        for connection in held_out:
            connection.close()


def test_a_full_server_refuses_before_the_body_and_keeps_answering_health(churn_bundle):
    with Served(churn_bundle, seconds=1.0, waiting=2) as server, ThreadPoolExecutor(4) as clients:
        close = REQUEST.replace(b"Host", b"Connection: close\r\nHost") + BODY
        running = [clients.submit(server.say, close) for _ in range(2)]
        time.sleep(0.3)
        start = time.perf_counter()
        refused = server.say(REQUEST.replace(b"Length: 25", b"Length: 9000000"), b" ")
        assert is_fault(refused, 503) and b"retry-after: " in refused
        assert b"200 OK" in server.say(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert time.perf_counter() - start < 0.6
        assert all(b"200 OK" in answer.result() for answer in running)


def test_a_refused_client_keeps_its_connection_and_is_answered_later(churn_bundle):
    with Served(churn_bundle, seconds=0.6, waiting=1) as server, ThreadPoolExecutor(1) as clients:
        running = clients.submit(server.say, REQUEST.replace(b"Host", b"Connection: close\r\nHost") + BODY)
        time.sleep(0.2)
        with server.connect() as connection:
            connection.sendall(REQUEST.replace(b"Host", b"X-Request-Id: mine\r\nHost") + BODY)
            refused = connection.recv(1 << 16)
            assert b" 503 " in refused and b"x-request-id: mine" in refused and b"connection: close" not in refused
            assert b"200 OK" in running.result()
            connection.sendall(REQUEST + BODY)
            assert b"200 OK" in connection.recv(1 << 16)


def test_sigterm_loses_no_request_that_comes_on_a_fresh_connection(churn_bundle):
    with Served(churn_bundle) as server:
        over, outcomes = threading.Event(), []

        def client():
            while not over.is_set():
                try:
                    connection = server.connect()
                except OSError:
                    return
                with connection:
                    try:
                        connection.sendall(REQUEST + BODY)
                        outcomes.append(connection.recv(1 << 16)[:15])
                    except OSError as error:
                        outcomes.append(repr(error))

        with ThreadPoolExecutor(8) as clients:
            for _ in range(8):
                clients.submit(client)
            time.sleep(0.5)
            server.process.send_signal(signal.SIGTERM)
            code = server.process.wait(20)
            over.set()
        assert code == 0 and len(outcomes) > 20
        assert set(outcomes) == {b"HTTP/1.1 200 OK"}


def test_the_wait_that_is_predicted_grows_with_what_is_inside_once_that_shows():
    service = ServiceTime(joins=True, size=1000)
    service.count(200, 500)
    assert service.wait() == 0  # nothing is known yet
    service.add(1, 0.05)
    assert service.wait() == pytest.approx(0.05)  # joined requests may cost next to nothing
    for requests in (10, 100, 50, 200, 30, 150) * 5:
        service.add(requests, 0.01 + 0.002 * requests)
    assert service.wait() == pytest.approx(0.41, rel=0.02)
    single = ServiceTime(joins=False, size=1000)
    single.add(1, 0.5)
    single.count(4, 4)
    assert single.wait() == pytest.approx(2.0)


# Names that are markup


QUICK = {"train": {"epochs": 1}, "name": f"run {EVIL}"}


def answer_of_rows(out: Path) -> lamina.Estimator:
    rng = np.random.default_rng(0)
    x = rng.normal(size=120)
    columns = {
        f"number {EVIL}": x,
        f"kind {EVIL}": rng.choice([f"a {EVIL}", f"b {EVIL}"], 120),
        f"target {EVIL}": np.where(x > 0, f"yes {EVIL}", f"no {EVIL}"),
    }
    return lamina.fit(columns, f"target {EVIL}", recipe=QUICK, out=out)


def forecast(out: Path) -> lamina.Estimator:
    days = np.arange("2024-01-01", "2024-03-01", dtype="M8[D]").astype(str).tolist()
    columns = {
        f"day {EVIL}": days * 2,
        f"shop {EVIL}": [f"{name} {EVIL}" for name in "ab" for _ in days],
        f"sold {EVIL}": list(range(2 * len(days))),
    }
    task = {"kind": "forecasting", "horizon": 2, "context": 6, "series": f"shop {EVIL}"}
    return lamina.fit(columns, f"sold {EVIL}", recipe={**QUICK, "task": task, "model": "linear"}, out=out)


def generator(out: Path) -> lamina.Estimator:
    numbers = np.random.default_rng(0).normal(size=90)
    columns = {f"number {EVIL}": numbers, f"class {EVIL}": [f"{name} {EVIL}" for name in "abc"] * 30}
    model = {"kind": "vae", "width": 8}
    return lamina.fit(columns, f"class {EVIL}", recipe={**QUICK, "task": "generation", "model": model}, out=out)


@pytest.fixture(scope="module", params=[answer_of_rows, forecast, generator], ids=lambda make: make.__name__)
def evil(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("evil") / "run")


@pytest.mark.parametrize("place", ["/docs", "/redoc", "/", "/try", "/schema", "/openapi.json", "/nothing", "/metrics"])
def test_no_page_of_a_server_holds_markup_of_the_data(evil, place):
    response = ask(evil, "GET", place, headers={"Accept": "text/html"}, follow_redirects=True)
    assert response.headers["x-content-type-options"] == "nosniff"
    if "html" in response.headers["content-type"]:
        assert "<script>alert" not in response.text and "<img src=x" not in response.text
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    else:
        assert re.match("application/json|text/plain", response.headers["content-type"])


def test_the_docs_ask_nothing_of_other_servers_and_hold_an_example_that_works(evil):
    page = ask(evil, "GET", "/docs").text
    assert "http://" not in page and "https://" not in page
    path, body = re.search(r'data-path="(.*?)".*?<textarea[^>]*>(.*?)</textarea>', page, re.DOTALL).groups()
    assert ask(evil, "POST", f"/{path}", json=json.loads(html.unescape(body))).status_code == 200


def test_neither_report_nor_card_holds_markup_of_the_data(evil):
    run = Path(evil.result["bundle"]).parent
    for file in (run / "report.html", run / "bundle" / "CARD.md"):
        text = file.read_text("utf-8")
        assert "<script>alert" not in text and "<img src=x" not in text, file
