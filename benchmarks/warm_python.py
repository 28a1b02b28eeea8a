"""Processes of Python that need not import what the command line does: copies of one process that has done so.

    from warm_python import Process
    code = Process("-m", "lamina", "train", "rows.csv", "--target", "y").wait()

Each is a process of its own, which can be killed; it is there in milliseconds, where importing PyTorch and scikit-learn
takes seconds. Linux only.
"""

import atexit
import contextlib
import functools
import importlib
import io
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

from lamina import experiment, plugins

MODULES = (
    *("duckdb", "lamina.cli", "lamina.pipeline", "lamina.trainer", "matplotlib.backends.backend_svg"),
    *("matplotlib.figure", "onnx", "onnxruntime", "pyarrow.parquet", "ruamel.yaml", "sklearn.ensemble"),
    *("sklearn.feature_extraction.text", "sklearn.linear_model", "torch.onnx"),
)
LARGEST = 1 << 20  # bytes of a request


class Process:
    """`python WORDS` in a process that has the imports already; `stdout` and `stderr` are read to their end."""

    def __init__(self, *words: object, env: Mapping[str, str] | None = None, cwd: str | Path | None = None):
        self._report, report = socket.socketpair()
        out, err = os.pipe(), os.pipe()
        request = {
            "words": [str(word) for word in words],
            "env": dict(os.environ if env is None else env),
            "cwd": str(cwd or Path.cwd()),
        }
        socket.send_fds(_source(), [json.dumps(request).encode()], [out[1], err[1], report.fileno()])
        for end in (out[1], err[1]):
            os.close(end)
        report.close()
        self._texts: dict[int, str] = {}
        self._readers = [Thread(target=self._read, args=(end[0],), daemon=True) for end in (out, err)]
        self._pipes = (out[0], err[0])
        for reader in self._readers:
            reader.start()
        self.pid = int(self._line())
        self.returncode: int | None = None

    def _read(self, pipe: int) -> None:
        with open(pipe, encoding="utf-8", errors="replace") as file:
            self._texts[pipe] = file.read()

    def _line(self) -> str:
        """What comes next: the number of the process, or how it ended."""
        with contextlib.suppress(ConnectionError):
            return self._report.recv(32).decode()
        return ""

    def poll(self) -> int | None:
        """The exit code; None while it runs, and of a process that was killed the signal below zero."""
        if self.returncode is None:
            self._report.setblocking(False)
            try:
                self.returncode = int(self._line() or -signal.SIGKILL)
            except BlockingIOError:
                return None
            finally:
                self._report.setblocking(True)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        until = time.monotonic() + (timeout or 1e9)
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("python", timeout or 0)
            time.sleep(0.002)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it printed, and all that it said of faults."""
        self.wait(timeout)
        for reader in self._readers:
            reader.join()
        self._report.close()
        out, err = (self._texts[pipe] for pipe in self._pipes)
        return out, err


def run(*words: object, timeout: float = 240, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run it to its end."""
    process = Process(*words, **options)
    try:
        out, err = process.communicate(timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(words, process.wait(), out, err)


@functools.cache
def _source() -> socket.socket:
    """The process that is copied; it ends when this one does."""
    mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, __file__, str(other.fileno())]
    source = subprocess.Popen(command, pass_fds=[other.fileno()], env=os.environ | {"OMP_NUM_THREADS": "1"})
    other.close()
    atexit.register(lambda: (mine.close(), source.wait()))
    return mine


def _serve(requests: socket.socket) -> None:
    """Copy this process for each request."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of compiled packages, about themselves
        for name in MODULES:
            importlib.import_module(name)
    for name in plugins.available("tasks"):
        experiment.of(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who wait for copies end by themselves
    while True:
        body, ends, _, _ = socket.recv_fds(requests, LARGEST, 3)
        if not body:
            return
        if os.fork() == 0:
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os._exit(_watch(json.loads(body), ends))
        for end in ends:
            os.close(end)


def _watch(request: dict[str, Any], ends: Sequence[int]) -> int:
    """Start the copy, and say its number and how it ended."""
    report = socket.socket(fileno=ends[2])
    pid = os.fork()
    if pid == 0:
        report.close()
        os._exit(_work(request, ends))
    for end in ends[:2]:
        os.close(end)
    report.send(str(pid).encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):
        report.send(str(code).encode())
    return 0


def _work(request: dict[str, Any], ends: Sequence[int]) -> int:
    """Be what was asked for; the exit code."""
    for place, end in enumerate(ends[:2], 1):
        os.dup2(end, place)
        os.close(end)
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.BufferedWriter(io.FileIO(place, "w")), "utf-8") for place in (1, 2))
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    flag, name, *words = request["words"]
    sys.argv, sys.path[0] = [name, *words], request["cwd"]
    try:
        if flag == "-m":
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            exec(compile(name, "<string>", "exec"), {"__name__": "__main__"})
        code: Any = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
