"""What an ONNX graph in a bundle may hold, read without any ONNX library before a runtime sees it.

One flat graph of standard operators with all its numbers inside: nothing refers to a file, nothing loops, nothing
is an operator of somebody's own; and every stored weight is one of `weights.safetensors`, byte for byte: as it is,
with its last two dimensions swapped, or (as exporters store the gates of an LSTM) with its numbers in another order
and beside those of another. Field numbers are those of onnx.proto3.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5  # wire types; 3 and 4 are groups, which no ONNX file has
STANDARD = (b"", b"ai.onnx")
FLOATS = {1: 4, 10: 2, 11: 8, 16: 2}  # bytes of float, half, double and bfloat16, the kinds weights have
SMALL = 16  # numbers an operator may hold of its own: limits, epsilons, factors
JOINED = (1, 2, 4)  # weights stored as one tensor: the biases of an LSTM, its two directions
MANY = 32  # weights of one size among which joined ones are looked for

Value = int | memoryview


class Tensor(NamedTuple):
    """A tensor stored in a graph; `raw` is None where its numbers are not stored as plain bytes."""

    name: str
    dims: tuple[int, ...]
    kind: int
    raw: memoryview | None

    @property
    def numbers(self) -> int:
        count = 1
        for n in self.dims:
            count *= n
        return count


class _Weights:
    """The weights that a graph may hold."""

    def __init__(self, weights: Mapping[str, memoryview]):
        self.whole = {bytes(body) for body in weights.values()}
        self.mixed: dict[int, list[int]] = {}  # bytes of a tensor to the fingerprints of the weights of that size
        self.weights = weights

    def hold(self, tensor: Tensor) -> None:
        """Raise `ValueError` unless a stored tensor is made of whole weights, to the last bit."""
        size = FLOATS[tensor.kind]
        if tensor.raw is None or len(tensor.raw) != tensor.numbers * size:
            raise ValueError(f"stores '{tensor.name}' in a way that cannot be compared with weights.safetensors")
        if bytes(tensor.raw) in self.whole:
            return
        values = np.frombuffer(tensor.raw, f"<u{size}").reshape(tensor.dims)
        if values.ndim >= 2 and np.ascontiguousarray(values.swapaxes(-1, -2)).tobytes() in self.whole:
            return
        if not any(self._sum(values, joined) for joined in JOINED):
            raise ValueError(f"holds numbers in '{tensor.name}' that are not in weights.safetensors")

    def _sum(self, values: np.ndarray, joined: int) -> bool:
        """Whether the numbers are those of so many weights of one size, in any order."""
        fingerprint, share = _fingerprint(values.reshape(-1)), values.nbytes // joined
        if share not in self.mixed:
            fitting = (body for body in self.weights.values() if len(body) == share and share % values.itemsize == 0)
            self.mixed[share] = [_fingerprint(np.frombuffer(body, values.dtype)) for body in fitting]
        few = self.mixed[share][:MANY]
        return any(sum(group) % (1 << 64) == fingerprint for group in itertools.combinations(few, joined))


def _fingerprint(bits: np.ndarray) -> int:
    """A number that does not depend on the order: the sum of the well mixed bits of each value."""
    mixed = (bits.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return int((mixed ^ (mixed >> np.uint64(32))).sum(dtype=np.uint64))


def check(graph: bytes, weights: Mapping[str, memoryview] | None = None) -> None:
    """Raise `ValueError` with a reason where the graph holds what it may not; `weights` left out are not compared."""
    stored = _Weights(weights) if weights is not None else None
    graphs = 0
    for number, value in _fields(memoryview(graph)):
        if number in (20, 25):
            raise ValueError("holds functions or training steps of its own")
        if number == 7:
            graphs += 1
            for tensor, own in _tensors(_inside(value)):
                if stored is not None and tensor.kind in FLOATS and tensor.numbers > (SMALL if own else 1):
                    stored.hold(tensor)
    if graphs != 1:
        raise ValueError("is not one ONNX graph")


def _tensors(graph: memoryview) -> Iterator[tuple[Tensor, bool]]:
    """Every tensor of a graph, and whether it is an operator's own constant (or else a stored weight)."""
    for number, value in _fields(graph):
        if number == 15:
            raise ValueError("holds sparse tensors")
        if number == 5:
            yield _tensor(_inside(value)), False
        if number == 1:
            for field, inner in _fields(_inside(value)):
                if field == 7 and bytes(_inside(inner)) not in STANDARD:
                    raise ValueError(f"asks for operators of '{bytes(_inside(inner))[:40].decode('ascii', 'replace')}'")
                if field == 5:
                    yield from ((tensor, True) for tensor in _attribute(_inside(inner)))


def _attribute(body: memoryview) -> Iterator[Tensor]:
    for number, value in _fields(body):
        if number in (6, 11):
            raise ValueError("holds a graph inside an operator, such as a loop")
        if number in (22, 23):
            raise ValueError("holds sparse tensors")
        if number in (5, 10):
            yield _tensor(_inside(value))


def _tensor(body: memoryview) -> Tensor:
    name, dims, kind, raw = "", list[int](), 0, None
    for number, value in _fields(body):
        if number in (13, 14) and value:
            raise ValueError("refers to numbers in another file")
        if number == 1:
            dims += [value] if isinstance(value, int) else _packed(value)
        if number == 2 and isinstance(value, int):
            kind = value
        if number == 8:
            name = bytes(_inside(value))[:80].decode("utf-8", "replace")
        if number == 9:
            raw = _inside(value)
    return Tensor(name, tuple(dims), kind, raw)


def _inside(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("is not a graph in ONNX form")
    return value


def _packed(body: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(body):
        value, at = _varint(body, at)
        values.append(value)
    return values


def _fields(body: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of every field of one message."""
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        wire = tag & 7
        if wire == VARINT:
            value, at = _varint(body, at)
            yield tag >> 3, value
            continue
        if wire == BYTES:
            size, at = _varint(body, at)
        elif wire in (EIGHT, FOUR):
            size = 8 if wire == EIGHT else 4
        else:
            raise ValueError("is not a graph in ONNX form")
        if size > len(body) - at:
            raise ValueError("is cut short")
        if wire == BYTES:
            yield tag >> 3, body[at : at + size]
        at += size


def _varint(body: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(body):
            raise ValueError("is cut short")
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("is not a graph in ONNX form")
