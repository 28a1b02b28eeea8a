"""A bundle in a Flask application under gunicorn: 10,000 requests, each with an answer of its own that is checked.

    python benchmarks/gunicorn_flask.py tests/bundles/classification_fnn.lamina --requests 10000

Prints how many were answered and how many rightly, by which processes, and requests per second.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from lamina import Predictor

APPLICATION = """
from flask import Flask
from lamina.deploy.flask import blueprint

application = Flask(__name__)
for place, bundle in {bundles!r}.items():
    application.register_blueprint(blueprint(bundle, place), url_prefix="/" + place)
"""
AGAIN = 10  # requests of one connection: a process keeps those it has
CLOSE = 1e-5  # answers to rows alone and together


@contextmanager
def served(bundles: dict[str, str], folder: Path, *options: str) -> Iterator[str]:
    """The URL of gunicorn that answers with bundles, each below its name."""
    (folder / "application.py").write_text(APPLICATION.format(bundles=bundles))
    command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--chdir", str(folder), *options]
    with open(folder / "log", "w+", encoding="utf-8") as log:
        server = subprocess.Popen([*command, "application:application"], stdout=log, stderr=log)
        try:
            yield _url(server, folder / "log")
        finally:
            server.terminate()
            server.wait(30)


def _url(server: "subprocess.Popen[bytes]", log: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        if listening := re.search(r"Listening at: (\S+)", log.read_text("utf-8")):
            return listening[1]
        time.sleep(0.05)
    raise RuntimeError(log.read_text("utf-8"))


def ask(url: str, bodies: Sequence[Any], clients: int) -> list[httpx.Response]:
    """A response for each body, in order, from so many clients at a time."""

    def some(start: int) -> list[httpx.Response]:
        own, responses = bodies[start::clients], list[httpx.Response]()
        for place in range(0, len(own), AGAIN):
            with httpx.Client(timeout=60, verify=False) as client:
                responses += [client.post(url, json=body) for body in own[place : place + AGAIN]]
        return responses

    with ThreadPoolExecutor(clients) as pool:
        parts = list(pool.map(some, range(clients)))
    return [parts[i % clients][i // clients] for i in range(len(bodies))]


def rows(predictor: Predictor, count: int) -> list[dict[str, Any]]:
    """Rows that all differ in some number where there are numbers: golden rows, moved a little."""
    golden = predictor.golden
    numbers = [column.name for column in predictor.prep.columns if column.kind == "number"]
    return [{**golden[i % len(golden)], **dict.fromkeys(numbers, 1 + i * 0.01)} for i in range(count)]


def right(answer: Any, expected: Any) -> bool:
    """Whether an answer is the expected one."""
    if isinstance(expected, dict):
        return answer.keys() == expected.keys() and all(right(answer[name], expected[name]) for name in expected)
    if isinstance(expected, float):
        return abs(answer - expected) <= CLOSE * max(1.0, abs(expected))
    return answer == expected


def pids(responses: Sequence[httpx.Response]) -> set[str]:
    """Which processes answered: a request id that the server chose holds the process that did."""
    return {response.headers["x-request-id"][16:24] for response in responses}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=8)
    choice = parser.parse_args()
    predictor = Predictor(choice.bundle)
    bodies = rows(predictor, choice.requests)
    expected = predictor.predict(bodies)
    with tempfile.TemporaryDirectory() as folder:
        bundles = {"model": str(Path(choice.bundle).resolve())}
        with served(bundles, Path(folder), "--workers", "2", "--threads", "4", "--preload") as url:
            start = time.perf_counter()
            responses = ask(f"{url}/model/predict", [{"rows": [row]} for row in bodies], choice.clients)
            seconds = time.perf_counter() - start
    answers = [response.json().get("predictions", [None])[0] for response in responses]
    result = {
        "requests": choice.requests,
        "answered": sum(response.status_code == 200 for response in responses),
        "right": sum(right(a, e) for a, e in zip(answers, expected, strict=True) if a is not None),
        "processes": len(pids(responses)),
        "requests_per_second": round(choice.requests / seconds),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
