"""Commands that a page starts. They go on without it, and are found again by the file that each holds locked."""

import contextlib
import fcntl
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from lamina.config import LaminaError

PROMPT = "$ lamina "  # before the words of a command in its output

_signals = set[int]()  # a second signal would end a training at once, without a checkpoint


def start(words: Sequence[str], lock: Path, output: Path) -> None:
    """Start `lamina WORDS` here; what it says goes behind what `output` holds. It holds `lock` as long as it lives.

    Errors: LaminaError where another process does.
    """
    with open(lock, "a+b", buffering=0) as file, open(output, "ab", buffering=0) as log:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LaminaError(f"{lock.parent} is in use by another process. Wait for it, or stop it.") from None
        log.write(f"{PROMPT}{shlex.join(words)}\n".encode())
        process = subprocess.Popen(
            [sys.executable, "-m", "lamina", *words], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            pass_fds=[file.fileno()], start_new_session=True,
        )  # fmt: skip
        file.truncate(0)
        file.write(f"process {process.pid}".encode())
    threading.Thread(target=process.wait, daemon=True).start()  # no process is left to be waited for


def holder(lock: Path) -> int | None:
    """The number of the process that holds a file locked; None where none does."""
    if not lock.exists():
        return None
    with open(lock, "rb", buffering=0) as file:
        match = re.search(rb"\d+", file.read(100))
        number = int(match[0]) if match else 0
        if not number or not _is_alive(number):  # then nothing is tried, which could be in the way of a new process
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return number
    return None


def _is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def stop(number: int) -> None:
    """Ask a process to end in peace, once."""
    if number not in _signals:
        _signals.add(number)
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.kill(number, signal.SIGTERM)


def is_stopping(number: int) -> bool:
    """Whether a process was asked to end."""
    return number in _signals


def lines(output: Path) -> list[str]:
    """What the last command said."""
    text = output.read_text("utf-8", "replace") if output.exists() else ""
    return text.rpartition(PROMPT)[2].splitlines()[1:]
