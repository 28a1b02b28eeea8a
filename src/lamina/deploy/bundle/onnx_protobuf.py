"""An ONNX file read as a reader of protobuf does, without one: strictly, so that no two readers can differ.

Field numbers are those of onnx.proto. A field of another wire type than the schema's, a message that is there in two
parts (which readers join), and a setting that says one type and holds another are refused, since a runtime would
understand something else than what was checked.
"""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5  # wire types; 3 and 4 are groups, which no ONNX file has
BYTES_OF = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}  # of a kind of number
DTYPES = {1: "<f4", 6: "<i4", 7: "<i8", 9: "?", 11: "<f8"}  # kinds whose values sizes may be made of
RANK, NUMBERS = 32, 1 << 40  # dimensions of a tensor, and its numbers
NODES, NAMES = 1 << 14, 1 << 16  # operators, and the names that they take and give together
FLOAT, INT, TEXT, TENSOR, FLOATS, INTS, TEXTS = 1, 2, 3, 4, 6, 7, 8  # types of settings
FIELDS = {2: FLOAT, 3: INT, 4: TEXT, 5: TENSOR, 7: FLOATS, 8: INTS, 9: TEXTS}  # fields of settings to their type
FORM = "is not a graph in ONNX form"

Value = int | memoryview | bytes  # a varint, a message or text, or four or eight bytes as they are


class Tensor(NamedTuple):
    """A tensor stored in a graph; `raw` is None where its numbers are not stored as plain bytes."""

    name: str
    dims: tuple[int, ...]
    kind: int
    raw: memoryview | None
    loose: tuple[int, ...] | None = None  # whole numbers stored one by one

    @property
    def numbers(self) -> int:
        count = 1
        for n in self.dims:
            count *= n
        return count

    def values(self, most: int) -> np.ndarray | None:
        """Its numbers, where they are at most so many of a usual kind."""
        if self.numbers > most or self.kind not in DTYPES:
            return None
        if self.raw is not None:
            return np.frombuffer(self.raw, DTYPES[self.kind]).reshape(self.dims)
        if self.loose is not None and len(self.loose) == self.numbers:
            return np.array(self.loose, np.int64).astype(DTYPES[self.kind]).reshape(self.dims)
        return None


Setting = int | float | bytes | Tensor | tuple[int, ...] | tuple[float, ...] | tuple[bytes, ...]


class Node(NamedTuple):
    """An operator: its name, what it takes and gives ("" for nothing), and its settings."""

    kind: str
    domain: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: dict[str, Setting]


class Named(NamedTuple):
    """An input or output of a graph; a dimension without a fixed size is None."""

    name: str
    kind: int
    shape: tuple[int | None, ...]


class Graph(NamedTuple):
    version: int  # of the operators
    nodes: list[Node]
    tensors: dict[str, Tensor]
    inputs: list[Named]
    outputs: list[str]


def read(body: bytes) -> Graph:
    """The one graph of an ONNX file. Raises `ValueError` with a reason."""
    graphs, versions = list[memoryview](), list[int]()
    for number, value in _fields(memoryview(body)):
        if number in (20, 25):
            raise ValueError("holds functions or training steps of its own")
        if number == 7:
            graphs.append(_inside(value))
        if number == 8:
            versions += _version(_inside(value))
    if len(graphs) != 1:
        raise ValueError("is not one ONNX graph")
    return _graph(graphs[0], max(versions, default=1))


def _version(body: memoryview) -> list[int]:
    """The version of the standard operators, where an entry is theirs."""
    domain, version = b"", 1
    for number, value in _fields(body):
        if number == 1:
            domain = bytes(_inside(value))
        if number == 2:
            version = _whole(value)
    return [version] if domain in (b"", b"ai.onnx") else []


def _graph(body: memoryview, version: int) -> Graph:
    graph, names = Graph(version, [], {}, [], []), 0
    for number, value in _fields(body):
        if number == 15:
            raise ValueError("holds sparse tensors")
        if number == 1:
            graph.nodes.append(_node(_inside(value)))
            names += len(graph.nodes[-1].inputs) + len(graph.nodes[-1].outputs)
            if len(graph.nodes) > NODES or names > NAMES:
                raise ValueError(f"has more than {NODES:,} operators, or {NAMES:,} names of what they take and give")
        if number == 5:
            tensor = _tensor(_inside(value))
            if tensor.name in graph.tensors:
                raise ValueError(f"stores '{tensor.name}' twice")
            graph.tensors[tensor.name] = tensor
        if number == 11:
            graph.inputs.append(_named(_inside(value)))
        if number == 12:
            graph.outputs.append(_named(_inside(value)).name)
    return graph


def _node(body: memoryview) -> Node:
    inputs, outputs, settings = list[str](), list[str](), dict[str, Setting]()
    kind, domain = "", b""
    for number, value in _fields(body):
        if number == 1:
            inputs.append(_text(value))
        if number == 2:
            outputs.append(_text(value))
        if number == 4:
            kind = _text(value)
        if number == 7:
            domain = bytes(_inside(value))
        if number == 5:
            name, setting = _setting(_inside(value))
            if name in settings:
                raise ValueError(f"says '{name}' of an operator twice")
            settings[name] = setting
    return Node(kind, domain, tuple(inputs), tuple(outputs), settings)


def _setting(body: memoryview) -> tuple[str, Setting]:
    """Name and value of a setting of an operator."""
    name, kind, values = "", 0, dict[int, list[Value]]()
    for number, value in _fields(body):
        if number in (6, 11):
            raise ValueError("holds a graph inside an operator, such as a loop")
        if number in (22, 23):
            raise ValueError("holds sparse tensors")
        if number in (10, 14, 15, 21):
            raise ValueError("holds a setting that no operator has")
        if number == 1:
            name = _text(value)
        if number == 20:
            kind = _whole(value)
        if number in FIELDS:
            values.setdefault(number, []).append(value)
    if any(FIELDS[number] != kind for number in values) or kind not in READERS:
        raise ValueError(f"holds a setting '{name[:40]}' of another type than it says")
    return name, READERS[kind]([value for several in values.values() for value in several])


def _one_tensor(values: list[Value]) -> Tensor:
    if len(values) != 1:
        raise ValueError("holds a tensor in parts")
    return _tensor(_inside(values[0]))


def _floats(values: list[Value]) -> tuple[float, ...]:
    """Floats, each by itself or several in one piece."""
    body = b"".join(bytes(value) for value in values if not isinstance(value, int))
    if len(body) % 4 or any(isinstance(value, int) for value in values):
        raise ValueError(FORM)
    return struct.unpack(f"<{len(body) // 4}f", body)


READERS: dict[int, Callable[[list[Value]], Setting]] = {
    FLOAT: lambda values: _floats(values[-1:])[0] if values else 0.0,
    INT: lambda values: _signed(_whole(values[-1])) if values else 0,
    TEXT: lambda values: bytes(_inside(values[-1])) if values else b"",
    TENSOR: _one_tensor,
    FLOATS: _floats,
    TEXTS: lambda values: tuple(bytes(_inside(value)) for value in values),
    INTS: lambda values: tuple(_signed(number) for value in values for number in _packed(value)),
}


def _tensor(body: memoryview) -> Tensor:
    name, dims, kind, raw = "", list[int](), 0, None
    loose = list[int]()
    for number, value in _fields(body):
        if number in (13, 14) and value:
            raise ValueError("refers to numbers in another file")
        if number == 3:
            raise ValueError("holds a tensor in parts")
        if number == 1:
            dims += _packed(value)
        if number == 2:
            kind = _whole(value)
        if number == 8:
            name = _text(value)
        if number == 9:
            raw = _inside(value)
        if number in (5, 7):
            loose += (_signed(n) for n in _packed(value))
    tensor = Tensor(name, tuple(dims), kind, raw, tuple(loose) or None)
    if len(dims) > RANK or max(dims, default=0) > NUMBERS or tensor.numbers > NUMBERS:
        raise ValueError(f"stores '{name[:80]}' in a size that cannot be")
    return tensor


def _named(body: memoryview) -> Named:
    """Name, kind of number and shape of an input or output."""
    name, kinds = "", list[memoryview]()
    for number, value in _fields(body):
        if number == 1:
            name = _text(value)
        if number == 2:
            kinds.append(_inside(value))
    kind, shape = _kind(_only(kinds)) if kinds else (0, ())
    return Named(name, kind, shape)


def _kind(body: memoryview) -> tuple[int, tuple[int | None, ...]]:
    tensors = [_inside(value) for number, value in _fields(body) if number == 1]
    kind, shapes = 0, list[memoryview]()
    for number, value in _fields(_only(tensors)):
        if number == 1:
            kind = _whole(value)
        if number == 2:
            shapes.append(_inside(value))
    dims = [_inside(value) for number, value in _fields(_only(shapes)) if number == 1] if shapes else []
    return kind, tuple(_dimension(body) for body in dims)


def _dimension(body: memoryview) -> int | None:
    """The fixed size of a dimension, or None where it has a name or nothing."""
    fields = [(number, value) for number, value in _fields(body) if number in (1, 2)]
    if len(fields) > 1:
        raise ValueError(FORM)
    return _whole(fields[0][1]) if fields and fields[0][0] == 1 else None


def _only(bodies: list[memoryview]) -> memoryview:
    if len(bodies) != 1:
        raise ValueError("has an input or output that is no tensor")
    return bodies[0]


def _text(value: Value) -> str:
    return bytes(_inside(value)).decode("utf-8", "replace")


def _inside(value: Value) -> memoryview:
    if not isinstance(value, memoryview):
        raise ValueError(FORM)
    return value


def _whole(value: Value) -> int:
    if not isinstance(value, int):
        raise ValueError(FORM)
    return value


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _packed(value: Value) -> list[int]:
    """Whole numbers: one, or several in one piece."""
    if isinstance(value, int):
        return [value]
    values, at, body = [], 0, _inside(value)
    while at < len(body):
        number, at = _varint(body, at)
        values.append(number)
    return values


def _fields(body: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of every field of one message."""
    at, end = 0, len(body)
    while at < end:
        tag = body[at]
        at += 1
        if tag >= 0x80:
            tag, at = _varint(body, at - 1)
        wire = tag & 7
        if wire == VARINT:
            value, at = _varint(body, at)
            yield tag >> 3, value
            continue
        if wire == BYTES:
            size = body[at] if at < end else 0x80
            at += 1
            if size >= 0x80:
                size, at = _varint(body, at - 1)
        elif wire in (EIGHT, FOUR):
            size = 8 if wire == EIGHT else 4
        else:
            raise ValueError(FORM)
        if size > end - at:
            raise ValueError("is cut short")
        piece = body[at : at + size]
        yield tag >> 3, piece if wire == BYTES else bytes(piece)
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
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError(FORM)
