"""The tensors of a safetensors file, checked without building any."""

import math
from typing import Annotated

import numpy as np
from pydantic import Field

from lamina.config import Config
from lamina.deploy.bundle.strict_json import TEXT_BYTES, guarded, rejection, strict_json, validate_as

Whole = Annotated[int, Field(ge=0, le=1 << 40)]
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
EXPONENT = {"F64": 0x7FF << 52, "F32": 0xFF << 23, "F16": 0x1F << 10, "BF16": 0xFF << 7}  # bits set where not finite
TENSORS = 100_000


class Tensor(Config):
    """One entry of a safetensors header."""

    dtype: str
    shape: tuple[Whole, ...] = Field(max_length=16)
    data_offsets: tuple[Whole, Whole]


def weights(body: bytes) -> dict[str, memoryview]:
    """The tensors' bytes by name: known types, finite, and filling the file without holes or overlap."""
    name = "weights.safetensors"
    size = int.from_bytes(body[:8], "little")
    if len(body) < 8 or size > min(len(body) - 8, TEXT_BYTES):
        raise rejection(name, "", "is cut short, or has no sane header")
    header = strict_json(body[8 : 8 + size], name)
    if not isinstance(header, dict) or len(header) > TENSORS:
        raise rejection(name, "", "has no sane header")
    header.pop("__metadata__", None)
    entries: dict[str, Tensor] = guarded(name, lambda: {k: validate_as(Tensor, raw, k) for k, raw in header.items()})
    tensors, end, data = {}, 0, memoryview(body)[8 + size :]
    for key, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        start, stop = entry.data_offsets
        if start != end or entry.dtype not in SIZES or stop - start != math.prod(entry.shape) * SIZES[entry.dtype]:
            raise rejection(name, key, "does not fill its place in the file")
        tensors[key], end = data[start:stop], stop
        if stop <= len(data) and not _finite(tensors[key], entry.dtype):
            raise rejection(name, key, "holds a number that is not finite")
    if end != len(data):
        raise rejection(name, "", "is longer or shorter than its header says")
    return tensors


def _finite(values: memoryview, dtype: str) -> bool:
    if dtype not in EXPONENT:
        return True
    bits, mask = np.frombuffer(values, f"<u{SIZES[dtype]}"), EXPONENT[dtype]
    return not any(((bits[i : i + (1 << 20)] & mask) == mask).any() for i in range(0, len(bits), 1 << 20))
