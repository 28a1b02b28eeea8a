"""Requests a second of `lamina serve` beside other servers of the same network, one row a request.

    python benchmarks/serving_peers.py --environment ~/peers [--only lamina starlette] [--columns mixed images]

The network has layers of 64, 32 and 1 numbers on 30 columns of numbers, on 20 of numbers, categories and dates, or on a
image of 28 x 28 grey pixels, PNG in base64; `lamina` alone interprets them: its peers are handed the numbers that the
network is fed. Peers: FastAPI with bare
PyTorch, LitServe and MLflow's server with it, and Starlette with ONNX Runtime, in which nothing is checked; their
environment is made here, once (pip). The server has the first core, the clients the last one; each client asks again
as soon as it has its answer. Printed: requests a second, and the half and the hundredth of requests that take longest,
in ms.
"""

import argparse
import asyncio
import base64
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import uvloop
from PIL import Image

import lamina

ROWS, NUMBERS = 2_000, 30
CLIENTS = (1, 8, 64)
PACKAGES = ("fastapi", "httptools", "litserve", "mlflow", "onnxruntime", "orjson", "torch==2.13.0", "uvicorn", "uvloop")
NETWORK = """
import sys, torch
width = int(sys.argv[1]); port = int(sys.argv[2]); torch.set_num_threads(1)
network = torch.nn.Sequential(torch.nn.Linear(width, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32), torch.nn.ReLU(),
                              torch.nn.Linear(32, 1)).eval()
"""
FASTAPI = """
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
class Request(BaseModel):
    rows: list[list[float]]
app = FastAPI()
@app.post("/predict")
def predict(request: Request):
    with torch.inference_mode():
        return {"predictions": network(torch.tensor(request.rows)).sigmoid()[:, 0].tolist()}
uvicorn.run(app, port=port, log_level="error", access_log=False)
"""
LITSERVE = """
import litserve
class Api(litserve.LitAPI):
    def setup(self, device): self.network = network
    def decode_request(self, request): return torch.tensor(request["rows"])
    def predict(self, rows):
        with torch.inference_mode():
            return self.network(rows).sigmoid()[:, 0]
    def encode_response(self, output): return {"predictions": output.tolist()}
if __name__ == "__main__":
    litserve.LitServer(Api(api_path="/predict"), accelerator="cpu").run(
        port=port, generate_client_file=False, log_level="error")
"""
MLFLOW = """
import os, tempfile, mlflow.pyfunc
class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        import torch
        with torch.inference_mode():
            return self.network(torch.tensor(model_input.to_numpy(dtype="float32"))).sigmoid()[:, 0].tolist()
model = Model(); model.network = network
folder = tempfile.mkdtemp() + "/model"
mlflow.pyfunc.save_model(folder, python_model=model)
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
os.execvp(sys.executable, [sys.executable, "-m", "mlflow", "models", "serve", "-m", folder, "-p", str(port),
                           "--env-manager", "local"])
"""
STARLETTE = """
import sys, numpy, onnxruntime, orjson, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
graph, port = sys.argv[1], int(sys.argv[2])
options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(graph, options)
names = [one.name for one in session.get_inputs()]
kinds = [one.type[7:-1].replace("float", "float32") for one in session.get_inputs()]
async def predict(request):
    rows = orjson.loads(await request.body())["rows"]
    feeds = {name: numpy.array([row[i] for row in rows], kinds[i]) for i, name in enumerate(names)}
    return Response(orjson.dumps({"predictions": session.run(None, feeds)[0].tolist()}), media_type="application/json")
uvicorn.run(Starlette(routes=[Route("/predict", predict, methods=["POST"])]), port=port, log_level="error",
            access_log=False)
"""


class Peer(NamedTuple):
    """How a server is started, in which environment, the path to ask, and the body of a request."""

    words: Sequence[str]
    path: str
    body: bytes


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer."""

    def __init__(self, request: bytes, times: list[float], end: float):
        self.request, self.times, self.end = request, times, end
        self.buffer, self.start = b"", 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.start = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        place = head.find(b"content-length: ") + 16
        if len(self.buffer) < end + 4 + int(head[place:].partition(b"\r")[0]):
            return
        assert head[9:12] == b"200", self.buffer
        now = time.perf_counter()
        self.times.append(now - self.start)
        self.buffer = b""
        if now < self.end:
            self.ask()
        else:
            self.transport.close()


async def load(port: int, request: bytes, clients: int, seconds: float) -> list[float]:
    """Seconds of each request of so many clients."""
    times, end = list[float](), time.perf_counter() + seconds
    for _ in range(clients):
        await asyncio.get_running_loop().create_connection(lambda: Client(request, times, end), "127.0.0.1", port)
    await asyncio.sleep(seconds + 0.3)
    return sorted(times)


def columns(kind: str) -> dict[str, Any]:
    """Rows of 30 numbers, of 10 numbers, 7 categories and 3 dates, or of an image; and two labels."""
    rng = np.random.default_rng(0)
    if kind == "images":
        pixels = rng.integers(0, 256, (ROWS, 28, 28)).astype(np.uint8)
        pixels[: ROWS // 2] //= 2
        return {"x": [Image.fromarray(one) for one in pixels], "y": ["dark"] * (ROWS // 2) + ["light"] * (ROWS // 2)}
    numbers = {f"x{i}": rng.normal(size=ROWS).round(4) for i in range(NUMBERS if kind == "numbers" else 10)}
    labels = {"y": np.where(numbers["x0"] + numbers["x1"] > 0, "yes", "no").tolist()}
    table = {name: cells.tolist() for name, cells in numbers.items()} | labels
    if kind == "numbers":
        return table
    categories = {f"c{i}": rng.choice(["red", "green", "blue", "black"], ROWS).tolist() for i in range(7)}
    days = np.datetime64("2023-01-01") + rng.integers(0, 700, (3, ROWS))
    return table | categories | {f"d{i}": own.astype(str).tolist() for i, own in enumerate(days)}


def cell(value: Any) -> Any:
    """A cell as it stands in JSON."""
    if not isinstance(value, Image.Image):
        return value
    file = io.BytesIO()
    value.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def bundle(kind: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """A bundle of the network, and a row."""
    table = columns(kind)
    layers = ["flatten"] if kind == "images" else []
    layers += [{"dense": {"units": units, "activation": "relu"}} for units in (64, 32)] + [{"dense": {"units": 1}}]
    recipe = {"model": {"kind": "sequential", "layers": layers}, "train": {"epochs": 2}}
    model = lamina.fit(table, "y", recipe=recipe, out=folder / "run")
    return Path(model.result["bundle"]), {name: cell(cells[0]) for name, cells in table.items() if name != "y"}


def peers(kind: str, folder: Path, python: str) -> dict[str, Peer]:
    """Every server by its name."""
    path, row = bundle(kind, folder)
    predictor = lamina.load(path).predictor
    inputs = predictor.encode(predictor.rows([row]))
    flat = [float(value) for name in sorted(inputs) for value in inputs[name][0].ravel()]
    rows = json.dumps({"rows": [flat]}).encode()
    fed = json.dumps({"rows": [[inputs[name][0].tolist() for name in inputs]]}).encode()
    frame = json.dumps({"dataframe_split": {"columns": [f"x{i}" for i in range(len(flat))], "data": [flat]}}).encode()
    width = str(len(flat))
    return {
        "lamina": Peer([sys.executable, "-m", "lamina", "serve", str(path), "--port"], "/predict",
                       json.dumps({"rows": [row]}).encode()),
        "starlette": Peer([python, "-c", STARLETTE, str(path / "model.onnx")], "/predict", fed),
        "fastapi": Peer([python, "-c", NETWORK + FASTAPI, width], "/predict", rows),
        "litserve": Peer([python, script(folder, "litserve_api", NETWORK + LITSERVE), width], "/predict", rows),
        "mlflow": Peer([python, script(folder, "mlflow_model", NETWORK + MLFLOW), width], "/invocations", frame),
    }  # fmt: skip


def script(folder: Path, name: str, text: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text, "utf-8")
    return str(folder / f"{name}.py")


def environment(folder: Path) -> str:
    """The Python of an environment that has the peers, made where it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return str(python)


def measure(name: str, peer: Peer, seconds: float) -> None:
    """Start a server, ask it, and print a line."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    head = f"POST {peer.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(peer.body)}\r\n\r\n".encode() + peer.body
    server = subprocess.Popen(["taskset", "-c", "0", *peer.words, str(port)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    try:
        wait(server, port, peer)
        uvloop.run(load(port, request, 8, 1))
        cells = []
        for clients in CLIENTS:
            times = uvloop.run(load(port, request, clients, seconds))
            p50, p99 = times[len(times) // 2] * 1e3, times[int(0.99 * len(times))] * 1e3
            cells.append(f"{len(times) / seconds:8,.0f}/s {p50:6.2f} {p99:7.2f}")
        print(f"{name:10}" + "   ".join(cells), flush=True)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def wait(server: subprocess.Popen[bytes], port: int, peer: Peer) -> None:
    """Until it answers right."""
    end = time.monotonic() + 90
    while time.monotonic() < end and server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("POST", peer.path, peer.body, {"Content-Type": "application/json"})
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"the server did not answer: {' '.join(peer.words)[:200]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, required=True, help="folder of the peers' environment")
    parser.add_argument("--only", nargs="+", help="servers to measure")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each number of clients")
    parser.add_argument("--columns", nargs="+", default=["numbers", "mixed", "images"])
    args = parser.parse_args()
    python = environment(args.environment)
    with tempfile.TemporaryDirectory() as folder:
        all_servers = {kind: peers(kind, Path(folder) / kind, python) for kind in args.columns}
        os.sched_setaffinity(0, {os.cpu_count() - 1})
        for kind, servers in all_servers.items():
            titles = "   ".join(f"{f'{n} clients':>11} {'p50':>6} {'p99':>7}" for n in CLIENTS)
            print(f"{kind:10}{titles}")
            for name, peer in servers.items():
                if not args.only or name in args.only:
                    measure(name, peer, args.seconds)


if __name__ == "__main__":
    main()
