"""Decoded images on disk: memory maps named by content, the oldest removed when the folder grows too large.

Nothing here is needed for a right answer: where the disk is full or may not be written, arrays stay in memory.
"""

import contextlib
import json
import os
import shutil
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np

from lamina.config import LaminaError, cache
from lamina.resources import disk

ROOM = 20.0  # GB
SPARE = 1 << 26  # bytes that are left free on the disk
LEFTOVER = 86_400.0  # seconds after which an unfinished file is that of a killed run
Reasons = list[str | None]


def folder() -> Path:
    """Where decoded images are kept."""
    return cache() / "images"


def limit() -> float:
    """The bytes all kept files may take together: `$LAMINA_CACHE_GB`, else 20 GB."""
    text = os.environ.get("LAMINA_CACHE_GB") or ROOM
    try:
        return max(float(text), 0.0) * 1e9
    except ValueError:
        raise LaminaError(f"LAMINA_CACHE_GB: must be a number of gigabytes (got '{text}').") from None


def read(name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array of that name, or None; a file that is not what it should be counts as absent."""
    file = folder() / f"{name}.npy"
    try:
        array = np.load(file, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    with contextlib.suppress(OSError):
        os.utime(file)  # the oldest in use is the first to go
    return array if array.shape == shape and array.dtype == np.uint8 else None


def reasons(name: str, rows: int) -> Reasons | None:
    """What was wrong with each image when the array of that name was made, if both are there."""
    try:
        with open(folder() / f"{name}.json", "rb") as file:
            bad = json.load(file)
        texts: Reasons = [None] * rows
        for row, reason in bad.items():
            texts[int(row)] = str(reason)
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return texts if (folder() / f"{name}.npy").exists() else None


def write(name: str, shape: tuple[int, ...], fill: Callable[[np.ndarray], Reasons]) -> tuple[np.ndarray, Reasons]:
    """An array that `fill` has written, kept by that name where the disk lets us, and what `fill` said."""
    part = folder() / f"{name}.{uuid.uuid4().hex[:8]}.part"
    try:
        out = _memmap(part, shape)
    except OSError:
        out = np.empty(shape, np.uint8)
        return out, fill(out)
    try:
        with _syncing(part):
            reasons = fill(out)
        with contextlib.suppress(OSError, disk.StorageError):
            bad = {str(row): reason for row, reason in enumerate(reasons) if reason}
            disk.write_text(folder() / f"{name}.json", json.dumps(bad))
            part.replace(folder() / f"{name}.npy")
            _tidy(name)
        return out, reasons
    finally:
        disk.remove(part)


@contextlib.contextmanager
def _syncing(file: Path) -> Iterator[None]:
    """Writes to the disk what is done while the rest is being done, so that little is left to wait for."""
    finished = threading.Event()

    def write() -> None:
        with open(file, "r+b") as stream, contextlib.suppress(OSError):
            while not finished.wait(0.25):
                os.fsync(stream.fileno())
            os.fsync(stream.fileno())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        finished.set()
        writer.join()


def _memmap(file: Path, shape: tuple[int, ...]) -> np.memmap:
    """A new memory map whose room on the disk is already taken: a full disk would else kill the run when written to."""
    if int(np.prod(shape)) == 0:
        raise OSError("nothing to keep")
    file.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(file.parent).free < int(np.prod(shape)) + SPARE:
        raise OSError("the disk is full")
    try:
        out = cast("np.memmap", np.lib.format.open_memmap(file, "w+", np.uint8, shape))
        if sys.platform == "linux":
            with open(file, "r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)
    except OSError:
        file.unlink(missing_ok=True)
        raise
    return out


def _tidy(newest: str) -> None:
    """Remove what was used longest ago until the rest fits; the newest stays. Other runs may do the same meanwhile."""
    files = []
    for entry in os.scandir(folder()):
        with contextlib.suppress(OSError):
            files.append((entry.stat().st_mtime, entry.stat().st_size, Path(entry.path)))
    total, now = sum(size for _, size, _ in files), max(when for when, _, _ in files)
    most = limit()
    for when, size, file in sorted(files):
        left = file.suffix == ".part" and now - when > LEFTOVER
        if left or (total > most and file.suffix == ".npy" and file.stem != newest):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
                file.with_suffix(".json").unlink(missing_ok=True)
            total -= size
