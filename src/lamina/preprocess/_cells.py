"""The bytes behind a cell of pictures, and a name for many of them that changes when any of them does."""

import hashlib
import os
import stat

import pyarrow as pa

from lamina import config

MOST_BYTES = 1 << 29


def body(cell: pa.Scalar) -> tuple[bytes | None, str]:
    """The bytes of a picture, or None and why they cannot be had."""
    found = cell.as_py()
    if found["bytes"] is not None:
        return found["bytes"], ""
    try:
        with open(found["path"], "rb", opener=_without_waiting) as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                return None, "cannot be read (it is no ordinary file)"
            if info.st_size > MOST_BYTES:
                return None, f"is a file of {info.st_size:,} bytes, more than {MOST_BYTES:,}"
            return file.read(), ""
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no such name"
        return None, f"{found['path'][:200]} cannot be read ({why})"


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe would else wait for a writer


def name(values: pa.Array, settings: config.Config) -> str:
    """The name of these pictures at these settings: by path, size and time of each file, or by its bytes."""
    digest = hashlib.sha256(settings.model_dump_json(exclude={"mean", "std"}).encode())
    for cell in values:
        found = cell.as_py()
        if found is None:
            digest.update(b"none")
        elif found["bytes"] is not None:
            digest.update(hashlib.blake2b(found["bytes"], digest_size=16).digest())
        else:
            digest.update(_stamp(found["path"]).encode("utf-8", "replace"))
    return digest.hexdigest()[:32]


def _stamp(path: str) -> str:
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return f"{path}\0gone"
    return f"{os.path.abspath(path)}\0{info.st_size}\0{info.st_mtime_ns}"
