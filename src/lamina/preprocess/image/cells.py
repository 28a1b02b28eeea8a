"""The bytes behind a cell of images, and a name for many of them that changes when any of them does."""

import hashlib
import math
import os
import stat
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import config

MOST_BYTES = 1 << 29
PLAIN = {  # first and third line of the files that arrays become, to channels and type
    (b"P5", b"255"): (1, "u1"),
    (b"P6", b"255"): (3, "u1"),
    (b"P5", b"65535"): (1, ">u2"),
    (b"P6", b"65535"): (3, ">u2"),
    (b"Pf", b"-1.0"): (1, "<f4"),
    (b"PF", b"-1.0"): (3, "<f4"),
}


class Cells(NamedTuple):
    """A column of images with its two fields side by side: (rows,) each."""

    paths: list[str | None]
    bodies: pa.Array


def cells(values: pa.Array) -> Cells:
    """The fields of `{path, bytes}`; both are None where the cell is missing."""
    return Cells(pc.struct_field(values, [0]).to_pylist(), pc.struct_field(values, [1]))


def body(column: Cells, place: int) -> tuple[bytes | None, str]:
    """The bytes of an image, or None and why they cannot be had; no reason where the cell is missing."""
    content, path = column.bodies[place].as_py(), column.paths[place]
    if content is not None or path is None:
        return content, ""
    try:
        with open(path, "rb", buffering=0, opener=_without_waiting) as file:
            info = os.fstat(file.fileno())
            if not stat.S_ISREG(info.st_mode):
                return None, "cannot be read (it is no ordinary file)"
            if info.st_size > MOST_BYTES:
                return None, f"is a file of {info.st_size:,} bytes, more than {MOST_BYTES:,}"
            return file.readall(), ""
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no such name"
        return None, f"{path[:200]} cannot be read ({why})"


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe would else wait for a writer


def raw_pixels(values: pa.Array) -> np.ndarray | None:
    """Images that are all plain PNM or PFM of one size and depth, as arrays become cells: their very numbers, (rows,
    height, width, channels), uint8, uint16 or float32, without decoding.
    """
    bodies = pc.struct_field(values, [1])
    if not len(bodies) or bodies.null_count:
        return None
    offsets = np.frombuffer(bodies.buffers()[1], np.int64)[bodies.offset : bodies.offset + len(bodies) + 1]
    long = int(offsets[1] - offsets[0])
    head = bodies[0].as_py()[:40].replace(b"\n# array", b"", 1).split(b"\n", 3)
    kind = PLAIN.get((head[0], head[2])) if len(head) == 4 else None
    if kind is None or (np.diff(offsets) != long).any():
        return None
    try:
        width, height = map(int, head[1].split())
    except ValueError:
        return None
    if min(width, height) < 1:
        return None
    channels, dtype = kind
    start = sum(map(len, head[:3])) + 3 + (8 if dtype == ">u2" else 0)
    files = np.frombuffer(bodies.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].reshape(len(bodies), long)
    shape = (height, width, channels)
    if long - start != math.prod(shape) * np.dtype(dtype).itemsize or (files[:, :start] != files[0, :start]).any():
        return None
    if dtype == "u1":
        return files[:, start:].reshape(len(bodies), *shape)
    numbers = np.ascontiguousarray(files[:, start:]).view(dtype).reshape(len(bodies), *shape)
    return numbers[:, ::-1] if dtype == "<f4" else numbers.astype(np.uint16)  # the rows of PFM stand from below


def name(values: pa.Array, settings: config.Config) -> str:
    """The name of these images at these settings: by path, size and time of each file, or by its bytes."""
    digest = hashlib.sha256(settings.model_dump_json(exclude={"mean", "std"}).encode())
    column = cells(values)
    if any(path and not os.path.isabs(path) for path in column.paths):
        digest.update(os.getcwd().encode("utf-8", "replace"))
    is_path = pc.is_null(column.bodies).to_pylist()
    for place, path in enumerate(column.paths):
        if not is_path[place]:
            digest.update(b"b" + hashlib.blake2b(column.bodies[place].as_py(), digest_size=16).digest())
        elif path is not None:
            digest.update(_stamp(path).encode("utf-8", "replace"))
        else:
            digest.update(b"none")
    return digest.hexdigest()[:32]


def _stamp(path: str) -> str:
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return f"p{path}\0gone\0"
    return f"p{path}\0{info.st_size}\0{info.st_mtime_ns}\0"
