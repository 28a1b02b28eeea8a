"""A server at four times the load it can bear, and one that is stopped under load: every request is accounted for.

    python benchmarks/overload.py [BUNDLE] [--rows 1] [--seconds 30] [--stops 20] [--python OTHER/bin/python]

The server runs on the first core, the generator on the last. The peak is the best rate that some number of clients
gets, each asking again as soon as it has its answer. Then requests are sent at four times that rate, whether or not
others are answered, one in twenty on a connection of its own; /health is asked every 50 ms. Each answer is compared
with what the idle server answered. Last the server is stopped by SIGTERM, again and again, while every other request
comes on a fresh connection. Exit code 1 when a number misses its bound. `--python`: another installation of Lamina
that serves.
"""

import argparse
import errno
import http.client
import json
import os
import random
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path

RUN = "import sys; from lamina.deploy.server import serve; serve(sys.argv[1], port=int(sys.argv[2]))"
VARIANTS, FRESH, PROBE, MOST = 32, 0.05, 0.05, 4000
CLIENTS = (4, 16, 64, 200)
HEAD = "{} {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n"
NOTHING = -2  # no request is on the connection
GONE = (errno.ECONNREFUSED, errno.ETIMEDOUT)


class Connection:
    """One connection, and the request that is on it."""

    def __init__(self, port: int, load: "Load"):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(("127.0.0.1", port))
        self.load, self.connected, self.answers = load, False, 0
        self.out, self.buffer, self.which, self.start = b"", b"", NOTHING, 0.0
        load.poll.register(self.socket, select.EPOLLIN | select.EPOLLOUT)
        load.open[self.socket.fileno()] = self

    def ask(self, which: int, request: bytes) -> None:
        """Send a request; `which`: number of its body, or -1 for a probe of health."""
        self.which, self.start, self.out, self.buffer = which, time.perf_counter(), request, b""
        if self.connected:
            self.write()

    def write(self) -> None:
        try:
            body = self.socket.send(self.out)
        except BlockingIOError:
            body = 0
        except OSError:
            self.end("reset")
            return
        self.out = self.out[body:]
        if self.out:
            self.load.poll.modify(self.socket, select.EPOLLIN | select.EPOLLOUT)

    def event(self, flags: int) -> None:
        if not self.connected:
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self.end("gone" if code in GONE else "reset")
                return
            self.connected = True
        if self.out and flags & select.EPOLLOUT:
            self.write()
        if not self.out and flags & select.EPOLLOUT and self.socket.fileno() >= 0:
            self.load.poll.modify(self.socket, select.EPOLLIN)
        if flags & ~select.EPOLLOUT and self.socket.fileno() >= 0:
            self.read()

    def read(self) -> None:
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.end("reset")
            return
        self.buffer += data
        head, result, body = self.buffer.partition(b"\r\n\r\n")
        if not result:
            return
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
        if len(body) >= int(fields[b"content-length"]):
            self.answers += 1
            self.load.answer(self, int(head[9:12]), fields, body)

    def end(self, outcome: str) -> None:
        """The connection is over; a request on it has this outcome."""
        self.load.poll.unregister(self.socket)
        del self.load.open[self.socket.fileno()]
        self.socket.close()
        if self.which >= -1:
            self.load.count(self, outcome)


class Load:
    """Requests sent to a server from one thread, and a ledger of what became of each."""

    def __init__(self, port: int, bodies: list[bytes], expected: list[bytes] | None = None):
        kind = "Content-Type: application/json\r\nContent-Length: {}\r\n{}"
        lines = [(kind.format(len(body), more), body) for more in ("", "Connection: close\r\n") for body in bodies]
        requests = [HEAD.format("POST", "/predict", line).encode() + body for line, body in lines]
        self.keep, self.close = requests[: len(bodies)], requests[len(bodies) :]
        self.health = HEAD.format("GET", "/health", "Connection: close\r\n").encode()
        self.port, self.expected = port, expected
        self.poll, self.open, self.idle = select.epoll(), dict[int, Connection](), deque[Connection]()
        self.ledger: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = {"ok": [], "refused": [], "health": []}
        self.answers: dict[tuple[int, bytes], int] = {}
        self.again = False  # whether whoever has an answer asks again

    def send(self, fresh: bool) -> None:
        """One request, on a connection of its own or on one that is free."""
        which = random.randrange(len(self.keep))
        if (fresh or not self.idle) and len(self.open) >= MOST:
            self.ledger["unsent"] += 1
            return
        self.ledger["sent"] += 1
        if fresh or not self.idle:
            Connection(self.port, self).ask(which, (self.close if fresh else self.keep)[which])
        else:
            self.idle.popleft().ask(which, self.keep[which])

    def answer(self, connection: Connection, status: int, fields: dict[bytes, bytes], body: bytes) -> None:
        which, closing = connection.which, fields.get(b"connection") == b"close"
        if which == -1:
            self.count(connection, "health" if status == 200 else "unhealthy")
        elif status == 200:
            self.answers[which, body] = self.answers.get((which, body), 0) + 1
            self.count(connection, "ok")
        elif status in (503, 429) and b"retry-after" in fields and b'"error": "' in body and b'"request_id": "' in body:
            self.count(connection, "refused")
        else:
            self.count(connection, f"status {status}")
        connection.which = NOTHING
        if closing:
            connection.end("")
        elif self.again:
            self.ledger["sent"] += 1
            connection.ask(which, self.keep[which])
        else:
            self.idle.append(connection)

    def count(self, connection: Connection, outcome: str) -> None:
        self.ledger[outcome] += 1
        if outcome in self.seconds:
            self.seconds[outcome].append(time.perf_counter() - connection.start)
        connection.which, connection.out = NOTHING, b""
        if self.idle and outcome not in self.seconds:
            self.idle = deque(one for one in self.idle if one.socket.fileno() >= 0)

    def turn(self, seconds: float) -> None:
        for number, flags in self.poll.poll(max(seconds, 0)):
            if number in self.open:
                self.open[number].event(flags)
        while self.idle and self.idle[0].socket.fileno() < 0:
            self.idle.popleft()

    def settle(self, seconds: float = 10.0) -> None:
        """Wait for what is still open to be answered."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end and any(one.which >= -1 for one in self.open.values()):
            self.turn(0.05)
        for one in list(self.open.values()):
            one.end("unanswered" if one.which >= -1 else "")

    def wrong(self) -> int:
        """Answers that are not those of the idle server, but for the last digits of numbers."""
        if self.expected is None:
            return 0
        return sum(n for (which, body), n in self.answers.items() if not same(body, self.expected[which]))

    def rest(self) -> int:
        """Requests without an outcome, or of one that should not be."""
        good = ("ok", "refused", "gone", "health")
        return self.ledger["sent"] + self.ledger["probes"] - sum(self.ledger[name] for name in good)


def same(mine: bytes, other: bytes) -> bool:
    return mine == other or _near(json.loads(mine), json.loads(other))


def _near(mine: object, other: object) -> bool:
    if isinstance(mine, dict) and isinstance(other, dict):
        return mine.keys() == other.keys() and all(_near(mine[name], other[name]) for name in mine)
    if isinstance(mine, list) and isinstance(other, list):
        return len(mine) == len(other) and all(map(_near, mine, other))
    if isinstance(mine, float) and isinstance(other, float):
        return abs(mine - other) <= 1e-5 * max(1.0, abs(other))
    return mine == other


def closed_loop(port: int, bodies: list[bytes], clients: int, seconds: float) -> tuple[float, Load]:
    """Answers per second to clients that ask again as soon as they have an answer, one in twenty on fresh ones."""
    load = Load(port, bodies)
    load.again = True
    for _ in range(clients):
        load.send(False)
    start = time.perf_counter()
    while (now := time.perf_counter()) < start + seconds:
        load.turn(0.05)
        for _ in range(clients - sum(one.which >= 0 for one in load.open.values())):
            load.send(random.random() < FRESH)
    rate = load.ledger["ok"] / (now - start)
    load.again = False
    load.settle()
    return rate, load


def open_loop(load: Load, rate: float, fresh: float, seconds: float, stop: Iterator[bool]) -> float:
    """Send at a rate, whatever is answered, until the time is over or `stop` says so. Gives the longest delay."""
    start = time.perf_counter()
    due, probe, late = start, start, 0.0
    while (now := time.perf_counter()) < start + seconds and not next(stop):
        while due <= now:
            late = max(late, now - due)
            load.send(random.random() < fresh)
            due += random.expovariate(rate)
            if time.perf_counter() - now > 0.005:
                break
        if probe <= now:
            load.ledger["probes"] += 1
            Connection(load.port, load).ask(-1, load.health)
            probe += PROBE
        load.turn(min(due, probe) - time.perf_counter())
    return late


# The server


class Server:
    """A bundle served by a process of its own on the first core."""

    def __init__(self, python: str, bundle: str):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.stopping = False
        command = ["taskset", "-c", "0", python, "-c", RUN, bundle, str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert self.process.stdout and b"Serving" in self.process.stdout.readline()

    def memory(self) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) * 1024

    def get(self, path: str) -> tuple[int, bytes]:
        return self.post("GET", path, None)

    def post(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", "Connection": "close"})
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def stop(self) -> int:
        if self.process.poll() is None and not self.stopping:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def bodies_of(server: Server, rows: int) -> list[bytes]:
    """Requests that differ: the example of the schema with its numbers moved."""
    row = json.loads(server.get("/schema")[1])["example"]
    moved = lambda i: {k: round(v * (1 + i / 50), 4) if isinstance(v, float) else v for k, v in row.items()}  # noqa: E731
    return [json.dumps({"rows": [moved(i + j) for j in range(rows)]}).encode() for i in range(VARIANTS)]


# What is shown


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] * 1e3 if values else float("nan")


def line(name: str, value: str, good: bool | None = None, bound: str = "") -> bool:
    verdict = "" if good is None else ("pass" if good else "FAIL") + f" ({bound})"
    print(f"  {name:34}{value:>24}  {verdict}".rstrip(), flush=True)
    return good is not False


def overload(python: str, bundle: str, rows: int, times: float, seconds: float) -> bool:
    server = Server(python, bundle)
    try:
        bodies = bodies_of(server, rows)
        expected = [server.post("POST", "/predict", body)[1] for body in bodies]
        peaks = {clients: closed_loop(server.port, bodies, clients, 4.0)[0] for clients in CLIENTS}
        peak = max(peaks.values())
        line("peak, answers/s", ", ".join(f"{r:,.0f} of {c}" for c, r in peaks.items()))
        before, memory = server.memory(), []
        load = Load(server.port, bodies, expected)

        def sampled() -> Iterator[bool]:
            due = 0.0
            while True:
                if time.perf_counter() > due:
                    memory.append(server.memory())
                    due = time.perf_counter() + 0.5
                yield False

        late = open_loop(load, times * peak, FRESH, seconds, sampled())
        load.settle()
        time.sleep(0.2)
        _, calm = closed_loop(server.port, bodies, 1, 1.0)
    finally:
        code = server.stop()
    ledger, goodput, growth = load.ledger, load.ledger["ok"] / seconds, max(memory) / before - 1
    refused, health, ok = (load.seconds[name] for name in ("refused", "health", "ok"))
    line("sent, answered, refused", f"{ledger['sent']:,}, {ledger['ok']:,}, {ledger['refused']:,}")
    line("sent in time (longest delay)", f"{late * 1e3:.0f} ms")
    line("accepted p50, p99", f"{percentile(ok, 0.5):.0f}, {percentile(ok, 0.99):.0f} ms")
    line("one client, a second later, p50", f"{percentile(calm.seconds['ok'], 0.5):.2f} ms")
    checks = [
        line("goodput", f"{goodput:,.0f}/s, {goodput / peak:.0%}", goodput >= 0.9 * peak, ">= 90 % of the peak"),
        line("refusals p50, p99", _pair(refused), percentile(refused, 0.99) < 50, "p99 < 50 ms"),
        line("health p50, p99", _pair(health), percentile(health, 0.99) < 100, "p99 < 100 ms"),
        line("memory", f"{before / 1e6:.0f} MB, {growth:+.0%}", growth <= 0.2, "within 20 %"),
        line("without a good outcome", _others(ledger), load.rest() == 0, "ledger exact"),
        line("wrong answers", f"{load.wrong()}", load.wrong() == 0, "0"),
        line("exit code", f"{code}", code == 0, "0"),
    ]
    return all(checks)


def _pair(values: list[float]) -> str:
    return f"{percentile(values, 0.5):.1f}, {percentile(values, 0.99):.1f} ms"


def _others(ledger: Counter[str]) -> str:
    usual = ("sent", "probes", "ok", "refused", "health", "")
    return ", ".join(f"{count} {name}" for name, count in sorted(ledger.items()) if name not in usual) or "0"


def stops(python: str, bundle: str, rows: int, count: int, rate: float) -> bool:
    """Stop the server under load; requests come until no one listens any more."""
    total: Counter[str] = Counter()
    lengths, codes, wrong, lost = list[float](), Counter[int](), 0, 0
    for _ in range(count):
        server = Server(python, bundle)
        bodies = bodies_of(server, rows)
        expected = [server.post("POST", "/predict", body)[1] for body in bodies]
        load = Load(server.port, bodies, expected)
        pace = rate or 0.6 * closed_loop(server.port, bodies, 16, 1.0)[0]
        moment = time.perf_counter() + 0.7 + random.random() * 0.3

        def stopping(server: Server = server, moment: float = moment, load: Load = load) -> Iterator[bool]:
            while time.perf_counter() < moment:
                yield False
            server.process.send_signal(signal.SIGTERM)
            server.stopping = True
            while server.process.poll() is None and not load.ledger["gone"]:
                yield False
            yield True

        open_loop(load, pace, 0.5, 30.0, stopping())
        load.settle()
        codes[server.stop()] += 1
        lengths.append(time.perf_counter() - moment)
        total += load.ledger
        wrong += load.wrong()
        lost += load.rest()
    line("stopped, sent, answered, refused", f"{count}, {total['sent']:,}, {total['ok']:,}, {total['refused']:,}")
    line("came when no one listened", f"{total['gone']}")
    line("seconds to exit, p50, longest", f"{statistics.median(lengths):.2f}, {max(lengths):.2f}")
    checks = [
        line("lost", f"{lost} ({_others(total)})", lost == 0, "0 resets"),
        line("wrong answers", f"{wrong}", wrong == 0, "0"),
        line("exit codes", f"{dict(codes)}", set(codes) == {0}, "0"),
    ]
    return all(checks)


def toy_bundle(folder: Path) -> str:
    """A network of 30 numbers and a category, made in some seconds."""
    import numpy as np

    import lamina

    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(2000, 30)).round(4)
    columns = {f"x{i}": numbers[:, i] for i in range(30)} | {"plan": rng.choice(["basic", "plus", "pro"], 2000)}
    columns["left"] = np.where(numbers[:, :3].sum(1) > 0, "yes", "no")
    return lamina.fit(columns, "left", recipe={"train": {"epochs": 3}}, out=str(folder / "run")).result["bundle"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", nargs="?")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 20], help="rows of a request; each is measured")
    parser.add_argument("--times", type=float, default=4.0, help="load, in peaks")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--python", default=sys.executable)
    args = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        bundle, good = args.bundle or toy_bundle(Path(folder)), True
        for rows in args.rows if args.seconds else ():
            print(f"{args.times:g} times the peak, {rows} rows a request, load {os.getloadavg()[0]:.1f}")
            good &= overload(args.python, bundle, rows, args.times, args.seconds)
        if args.stops:
            print("SIGTERM under load")
            good &= stops(args.python, bundle, args.rows[0], args.stops, 0)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
