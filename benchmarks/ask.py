"""Start the server on a run's bundle, ask it one question over HTTP, print question and answer, stop it.

python benchmarks/ask.py runs/demo
"""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait(url: str, seconds: float = 30) -> float:
    """Seconds until the server says it is ready."""
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=1):
                return time.perf_counter() - start
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.02)
    raise SystemExit(f"the server at {url} did not get ready in {seconds:.0f} s")


def main(run: str) -> None:
    example = json.loads((Path(run) / "report.json").read_text("utf-8"))["example"]["row"]
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "lamina", "serve", run, "--port", str(port)], stdout=subprocess.DEVNULL
    )
    try:
        ready = wait(url)
        request = urllib.request.Request(
            f"{url}/predict", json.dumps({"rows": [example]}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            result = json.load(answer)
    finally:
        server.terminate()
        server.wait(10)
    print(f"\nserved   POST {url}/predict, ready {ready:.1f} s after start")
    print(f"row      {json.dumps(example)}")
    print(f"answer   {json.dumps(result['predictions'][0])}")


if __name__ == "__main__":
    main(sys.argv[1])
