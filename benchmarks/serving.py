"""How fast a bundle is served: `python benchmarks/serving.py BUNDLE [--seconds 5]`.

Starts the real server in a process of its own and prints the time from the start of the process to its first answer,
the latency of single rows one after the other, and the rows per second of 16 clients at once, with one row and with
100 rows per request. Clients and server share this machine's cores, so the server alone is faster than this.
"""

import argparse
import http.client
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

CLIENTS = 16
RUN = "import sys; from lamina.deploy.server import serve; serve(sys.argv[1], port=int(sys.argv[2]))"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each of the three measurements")
    args = parser.parse_args()
    port = free_port()
    start = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-c", RUN, args.bundle, str(port)], stdout=subprocess.DEVNULL)
    try:
        row = first_answer(server, port)
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        print(f"start to first answer  {time.perf_counter() - start:.2f} s")
        report(port, row, args.seconds)
    finally:
        server.send_signal(signal.SIGTERM)
        print(f"exit code on SIGTERM   {server.wait(30)}")


def report(port: int, row: dict, seconds: float) -> None:
    times = ask_for(port, {"rows": [row]}, seconds)
    p50, p99 = statistics.median(times), sorted(times)[int(0.99 * len(times))]
    print(f"one row, one client    p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms ({len(times):,} requests)")
    for rows in (1, 100):
        bodies = [{"rows": [row] * rows}] * CLIENTS
        start = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as clients:
            result = clients.map(ask_for, [port] * CLIENTS, bodies, [seconds] * CLIENTS)
            times = sorted(t for ts in result for t in ts)
        rate = len(times) * rows / (time.perf_counter() - start)
        p99 = times[int(0.99 * len(times))] * 1e3
        print(f"{rows:3} rows, {CLIENTS} clients   {rate:,.0f} rows/s, p99 {p99:.1f} ms ({len(times):,} requests)")


def ask_for(port: int, body: dict, seconds: float) -> list[float]:
    """Seconds of each request, one after the other on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    text, times, end = json.dumps(body), [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        connection.request("POST", "/predict", text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        times.append(time.perf_counter() - start)
    return times


def first_answer(server: subprocess.Popen, port: int) -> dict:
    """Ask until there is an answer; gives the row it was for."""
    while server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", "/schema")
            row = json.loads(connection.getresponse().read())["example"]
            connection.request("POST", "/predict", json.dumps({"rows": [row]}), {"Content-Type": "application/json"})
            assert connection.getresponse().status == 200
            return row
        except ConnectionRefusedError:
            time.sleep(0.005)
    raise SystemExit(f"The server ended with code {server.returncode}.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
