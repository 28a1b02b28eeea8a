"""How fast images are served: `python benchmarks/images_served.py BUNDLE [--seconds 5]`.

BUNDLE answers for one image. Starts the real server in a process of its own and prints, for a PNG of 28 x 28 and a
JPEG of 640 x 480, the latency of one client that sends it as the body, in a form and in base64, and the images per
second of 16 clients at once. Clients and server share this machine's cores, so the server alone is faster than this.
"""

import argparse
import base64
import http.client
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from serving import CLIENTS, RUN, first_answer, free_port

BOUNDARY = "image"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each measurement")
    args = parser.parse_args()
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", RUN, args.bundle, str(port)], stdout=subprocess.DEVNULL)
    try:
        (column,) = first_answer(server, port)
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        for name, body in images().items():
            print(f"{name}, {len(body):,} bytes")
            for way, request in ways(column, body).items():
                report(way, port, *request, args.seconds)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def images() -> dict[str, bytes]:
    """A small digit-like PNG, and a JPEG with as much detail as a photograph."""
    rng = np.random.default_rng(0)
    small = cv2.resize(rng.integers(0, 256, (7, 7), np.uint8), (28, 28), interpolation=cv2.INTER_LINEAR)
    large = cv2.resize(rng.integers(0, 256, (96, 128, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
    return {
        "PNG 28 x 28": cv2.imencode(".png", small)[1].tobytes(),
        "JPEG 640 x 480": cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes(),
    }


def ways(column: str, body: bytes) -> dict[str, tuple[bytes, str]]:
    """The three ways to send an image: what is sent, and its content type."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{column}"; filename="a"\r\n\r\n'
    form = head.encode() + body + f"\r\n--{BOUNDARY}--\r\n".encode()
    rows = json.dumps({"rows": [{column: base64.b64encode(body).decode()}]}).encode()
    return {
        "body": (body, "image/*"),
        "form": (form, f"multipart/form-data; boundary={BOUNDARY}"),
        "base64": (rows, "application/json"),
    }


def report(way: str, port: int, body: bytes, kind: str, seconds: float) -> None:
    headers = {"Content-Type": kind}
    single = sorted(ask_for(port, body, headers, seconds))
    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        many = clients.map(lambda _: ask_for(port, body, headers, seconds), range(CLIENTS))
        times = sorted(t for ts in many for t in ts)
    rate = len(times) / (time.perf_counter() - start)
    p50, p99 = statistics.median(single) * 1e3, single[int(0.99 * len(single))] * 1e3
    late = times[int(0.99 * len(times))] * 1e3
    print(
        f"  {way:6}  one client p50 {p50:.2f} ms, p99 {p99:.2f} ms;  {CLIENTS} clients {rate:,.0f}/s, p99 {late:.0f} ms"
    )


def ask_for(port: int, body: bytes, headers: Mapping[str, str], seconds: float) -> list[float]:
    """Seconds of each request, one after the other on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    times, end = list[float](), time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        connection.request("POST", "/predict", body, headers)
        answer = connection.getresponse()
        reply = answer.read()
        assert answer.status == 200, reply
        times.append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    main()
