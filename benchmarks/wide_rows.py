"""What rows of strange shapes cost: seconds and memory of small requests, rows and files that make large tables.

    python benchmarks/wide_rows.py [--only PART_OF_A_NAME] [--bundles FOLDER]

Two bundles are trained, one of 30 numbers and one of 2,000. Bodies go to a real server in a process of its own, whose
largest memory is read; beside each, a neighbour asks for one row, and how long it is without an answer is told. Rows in
Python and JSON lines are read in a process each. With the interpreter of another version it measures that one. A
process is ended at 8 GB or after 120 seconds. Exit code 1 if one takes more than 10 s or 1 GB, or ends with anything
but an answer or a sentence.
"""

import argparse
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

MOST_SECONDS, MOST_MB = 10.0, 1000.0
LIMIT_SECONDS, LIMIT_BYTES = 120, 8 << 30
SERVE = f"""
import resource, sys
from lamina.deploy.server import serve
resource.setrlimit(resource.RLIMIT_AS, ({LIMIT_BYTES}, {LIMIT_BYTES}))
serve(sys.argv[1], port=int(sys.argv[2]))
"""
ONE_ROW = b'{"rows": [{"x0": 1.0}]}'


def ragged(rows: int, names: int, known: str = "x0") -> list[dict[str, Any]]:
    """Rows of names of their own beside one that is known."""
    return [{known: 1.5, **{f"n{row * names + i:x}": 1 for i in range(names)}} for row in range(rows)]


def nested(depth: int, leaf: Any = 1) -> Any:
    for _ in range(depth):
        leaf = {"a": leaf}
    return leaf


def nested_text(depth: int, opening: str = '{"a":', closing: str = "}") -> str:
    return opening * depth + "1" + closing * depth


def body(rows: Any) -> bytes:
    return json.dumps({"rows": rows}, separators=(",", ":")).encode()


# name: bundle, body
BODIES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "1 MB of rows with 20 names of their own": ("narrow", lambda: body(ragged(4500, 20))),
    "3 MB of rows with 20 names of their own": ("narrow", lambda: body(ragged(10_000, 20))),
    "columns, 200,000 unknown": ("narrow", lambda: _columns(200_000)),
    "10,000 empty rows for 2,000 columns": ("wide", lambda: body([{"x0": 1}, *[{}] * 9999])),
    "objects in objects, 100,000 deep": ("narrow", lambda: b'{"rows":[' + nested_text(100_000).encode() + b"]}"),
    "objects in objects, 900 deep": ("narrow", lambda: body([{"x0": 1, "y": nested(900)}])),
    "lists in lists, 900 deep": ("narrow", lambda: b'{"rows":[{"x0":' + b"[" * 900 + b"]" * 900 + b"}]}"),
}


def _columns(count: int) -> bytes:
    columns = {"x0": [1]} | {f"n{i:x}": [1] for i in range(count)}
    return json.dumps({"columns": columns}, separators=(",", ":")).encode()


# name: what to do with a bundle and a folder, in a process of its own
def _predict(rows: Callable[[], Any]) -> Callable[[Path, Path], Any]:
    def act(bundle: Path, folder: Path) -> Any:
        import lamina

        model, payload = lamina.load(bundle), rows()
        return lambda: model.predict(payload)

    return act


def _fit(rows: Callable[[], Any]) -> Callable[[Path, Path], Any]:
    def act(bundle: Path, folder: Path) -> Any:
        import lamina

        fit, payload = lamina.fit, rows()  # which imports torch
        return lambda: fit(payload, "x0", recipe={"train": {"epochs": 1}})

    return act


def _file(lines: Callable[[], Any], verb: str) -> Callable[[Path, Path], Any]:
    def act(bundle: Path, folder: Path) -> Any:
        from lamina import data
        from lamina.data.files import Config
        from lamina.deploy import batch
        from lamina.deploy.predictor import Predictor

        path = folder / "rows.jsonl"
        path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines()) + "\n")
        if verb == "train":
            return lambda: data.load(Config(path=str(path)))
        model = Predictor(bundle)
        return lambda: batch.run(model, "predict", Config(path=str(path)), None, folder / "out.csv")

    return act


def _list() -> str:
    return '{"x0": ' + "[" * 900 + "]" * 900 + "}"


def _long_names() -> list[Any]:
    return [{"x0": 1, "n" * 100_000: {f"{i:x}": 1 for i in range(20_000)}}]


ACTS: dict[str, Callable[[Path, Path], Any]] = {
    "predict, 4,500 dicts with 20 names of their own": _predict(lambda: ragged(4500, 20)),
    "predict, a dict 100,000 deep": _predict(lambda: [{"x0": 1.0, "y": nested(100_000)}]),
    "predict, a name of 100 kB before 20,000 others": _predict(_long_names),
    "fit, 4,500 dicts with 20 names of their own": _fit(lambda: ragged(4500, 20)),
    "fit, dicts 100,000 deep": _fit(lambda: [{"x0": i, "y": nested(100_000)} for i in range(3)]),
    "JSON lines in training, 4,500 with 20 names": _file(lambda: ragged(4500, 20), "train"),
    "JSON lines in training, 900 deep": _file(lambda: [{"x0": 1}, {"x0": 1, "y": nested(900)}], "train"),
    "JSON lines in training, 100,000 deep": _file(lambda: ['{"x0": 1}', nested_text(100_000)], "train"),
    "JSON lines in training, lists 900 deep": _file(lambda: ['{"x0": 1}', _list()], "train"),
    "lamina predict, 4,500 JSON lines with 20 names": _file(lambda: ragged(4500, 20), "predict"),
    "lamina predict, JSON lines 900 deep": _file(lambda: [{"x0": 1}, {"x0": 1, "y": nested(900)}], "predict"),
    "lamina predict, a name of 100 kB before 20,000": _file(_long_names, "predict"),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="part of the names of what to measure")
    parser.add_argument("--bundles", type=Path, help="a folder for the two bundles; those in it are used")
    parser.add_argument("--act", help=argparse.SUPPRESS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.bundles or Path(temporary)
        if args.act:
            print(json.dumps(in_this_process(args.act, folder / "narrow" / "bundle", Path(temporary))))
            return
        for name, columns in (("narrow", 30), ("wide", 2000)):
            if not (folder / name / "bundle").exists():
                train(folder / name, columns)
        print(f"{'seconds':>8} {'MB':>7} {'neighbour':>10}")
        bad = [name for name in BODIES if args.only in name and not show(name, *over_http(folder, *BODIES[name]))]
        bad += [name for name in ACTS if args.only in name and not show(name, *in_process(folder, name))]
    sys.exit(bool(bad))


def show(name: str, seconds: float, megabytes: float, answer: str, neighbour: float | None = None) -> bool:
    """A line; whether it is within bounds."""
    wait = f"{neighbour:10.2f}" if neighbour is not None else " " * 10
    print(f"{seconds:8.2f} {megabytes:7.0f} {wait}  {name}: {answer[:150]}", flush=True)
    ended = answer.startswith(("no answer", "traceback"))
    return seconds <= MOST_SECONDS and megabytes <= MOST_MB and not ended


def train(run: Path, columns: int) -> None:
    import numpy as np

    import lamina

    values = np.random.default_rng(0).normal(size=(200, columns))
    rows = {f"x{i}": values[:, i] for i in range(columns)} | {"y": values[:, 0] + values[:, 1]}
    lamina.fit(rows, "y", recipe={"train": {"epochs": 1}, "model": {"kind": "fnn", "width": 16}}, out=run)


# bodies


def over_http(folder: Path, bundle: str, make: Callable[[], bytes]) -> tuple[float, float, str, float]:
    """Seconds, MB the server grew by, what it said, and how long a neighbour who asks for one row has no answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", SERVE, str(folder / bundle / "bundle"), str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        content = make()
        while not timed(port, ONE_ROW)[1].startswith("200") and server.poll() is None:
            time.sleep(0.05)
        before, start = memory(server.pid), time.perf_counter()
        with ThreadPoolExecutor(1) as client:
            payload = client.submit(timed, port, content)
            time.sleep(0.1)
            while not timed(port, ONE_ROW)[1].startswith("200") and time.perf_counter() - start < LIMIT_SECONDS:
                time.sleep(0.02)
            neighbour = time.perf_counter() - start - 0.1
            seconds, answer = payload.result()
        return seconds, memory(server.pid) - before, answer, neighbour
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()


def timed(port: int, content: bytes) -> tuple[float, str]:
    start = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_SECONDS)
    try:
        connection.request("POST", "/predict", content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        words = "answered" if answer.status == 200 else json.loads(text)["error"]
        return time.perf_counter() - start, f"{answer.status} {words}"
    except (OSError, http.client.HTTPException) as error:
        return time.perf_counter() - start, f"no answer ({type(error).__name__})"
    finally:
        connection.close()


def memory(pid: int) -> float:
    """The largest memory of a process so far, in MB."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return float("nan")


# rows in Python and in files


def in_process(folder: Path, name: str) -> tuple[float, float, str]:
    command = [sys.executable, __file__, "--act", name, "--bundles", str(folder)]
    start = time.perf_counter()
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return time.perf_counter() - start, float("nan"), "no answer (it did not end)"
    if done.returncode:
        end = (done.stderr.strip().splitlines() or [""])[-1]
        return time.perf_counter() - start, float("nan"), f"no answer (exit code {done.returncode}) {end}"
    seconds, megabytes, answer = json.loads(done.stdout.splitlines()[-1])
    return seconds, megabytes, answer


def in_this_process(name: str, bundle: Path, folder: Path) -> tuple[float, float, str]:
    from lamina.config import LaminaError

    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    act = ACTS[name](bundle, folder)
    before, start = memory(os.getpid()), time.perf_counter()
    try:
        act()
        answer = "done"
    except LaminaError as error:
        answer = str(error)
    except BaseException as error:
        answer = f"traceback {type(error).__name__}: {error}"
    return time.perf_counter() - start, memory(os.getpid()) - before, answer


if __name__ == "__main__":
    main()
