"""Several processes that serve the same bundles at one port; one that ends by itself is replaced."""

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from lamina.config import LaminaError

FAULT = b"\0"  # before a sentence that says why a worker could not begin
POLL = 0.05  # seconds between two looks at the workers
PAUSE = 1.0  # seconds before one that ended is replaced, so that one that always ends takes no whole core
PARENT_DEATH = 1  # PR_SET_PDEATHSIG of prctl
RELOAD = vars(signal).get("SIGHUP", 0)  # Windows has none

Say = Callable[[str], None]


class Worker(NamedTuple):
    """A process, and the pipe on which it says that it is ready."""

    pid: int
    pipe: int


def supervise(count: int, work: Callable[[Say], None]) -> None:
    """Run `work` in so many processes until SIGTERM or Ctrl-C, which all of them are told, as of SIGHUP.

    `work` gets a function to say its line with once it is ready; the first of them is printed. Call it before there are
    threads. Errors: LaminaError where a worker cannot begin.
    """
    if "fork" not in vars(os):
        raise LaminaError("--workers: this system has no fork. Leave it out, and start several servers behind a proxy.")
    signals: list[int] = []
    numbers = [signal.SIGTERM, signal.SIGINT, *([RELOAD] if RELOAD else [])]
    before = {number: signal.signal(number, lambda number, _: signals.append(number)) for number in numbers}
    workers = [_start(work) for _ in range(count)]
    try:
        lines = [_first_line(worker) for worker in workers]
        if fault := next((line for line in lines if line.startswith(FAULT)), None):
            raise LaminaError(fault.removeprefix(FAULT).decode())
        print(f"{lines[0].decode()}", flush=True)
        while not set(signals) - {RELOAD}:
            if RELOAD in signals:
                signals[:] = [number for number in signals if number != RELOAD]
                _tell(workers, RELOAD)
            workers = [_replaced(worker, work) if _is_over(worker) else worker for worker in workers]
            time.sleep(POLL)
    finally:
        _tell(workers, signal.SIGTERM)
        for worker in workers:
            _wait(worker)
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(work: Callable[[Say], None]) -> Worker:
    """A copy of this process that works."""
    sys.stdout.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return Worker(pid, reader)
    code = 1
    try:
        os.close(reader)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        _end_with_parent()
        work(lambda line: _say(writer, line.encode()))
        code = 0
    except LaminaError as error:
        _say(writer, FAULT + str(error).encode())
    finally:
        os._exit(code)


def _end_with_parent() -> None:
    """Linux: be told to stop where the process that looks after the workers is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGTERM)


def _say(pipe: int, line: bytes) -> None:
    os.write(pipe, line)
    os.close(pipe)


def _first_line(worker: Worker) -> bytes:
    """What a worker says once it is ready, or why it is not."""
    while not select.select([worker.pipe], [], [], POLL)[0]:
        pass
    line = os.read(worker.pipe, 1 << 16)
    os.close(worker.pipe)
    return line or FAULT + b"serve: a worker ended before it was ready; the lines above say why."


def _is_over(worker: Worker) -> bool:
    return os.waitpid(worker.pid, os.WNOHANG)[0] != 0


def _replaced(worker: Worker, work: Callable[[Say], None]) -> Worker:
    print(f"serve: worker {worker.pid} ended by itself, and is replaced.", file=sys.stderr, flush=True)
    time.sleep(PAUSE)
    return _start(work)


def _tell(workers: list[Worker], number: int) -> None:
    for worker in workers:
        try:
            os.kill(worker.pid, number)
        except ProcessLookupError:  # it is over already
            continue


def _wait(worker: Worker) -> None:
    try:
        os.waitpid(worker.pid, 0)
    except ChildProcessError:  # waited for already
        return
