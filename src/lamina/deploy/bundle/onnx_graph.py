"""What an ONNX graph in a bundle may hold, read without any ONNX library before a runtime sees it.

One flat graph of standard operators with all its numbers inside: nothing refers to a file, nothing loops, nothing
is an operator of somebody's own; and every stored weight is one of `weights.safetensors`, byte for byte: as it is,
with its last two dimensions swapped, or (as exporters store the gates of an LSTM) with its numbers in another order
and beside those of another. Numbers of the graph's own are few: see `Own`.
"""

import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from lamina.deploy.bundle import onnx_protobuf
from lamina.deploy.bundle.onnx_protobuf import Graph, Node, Tensor, read

STANDARD = (b"", b"ai.onnx")
WEIGHTS = frozenset({1, 2, 3, 10, 11, 16})  # kinds of tensors: float, uint8, int8, half, double, bfloat16
WHOLE = frozenset({4, 5, 6, 7, 9, 12, 13})  # 16 to 64 bits, and booleans: sizes, indices and masks
SMALL = 16  # numbers that an operator may hold of its own: limits, epsilons, factors
FLOATS, INDEX_BYTES = 1 << 13, 1 << 21  # all floats, and bytes of all whole numbers, that are no weights
JOINED = (1, 2, 4)  # weights stored as one tensor: the biases of an LSTM, its two directions
MANY = 32  # weights of one size among which joined ones are looked for


class _Weights:
    """The weights that a graph may hold."""

    def __init__(self, weights: Mapping[str, memoryview]):
        self.whole = {bytes(body) for body in weights.values()}
        self.mixed: dict[int, list[int]] = {}  # bytes of a tensor to the fingerprints of the weights of that size
        self.weights = weights

    def hold(self, tensor: Tensor) -> bool:
        """Whether a stored tensor is made of whole weights, to the last bit."""
        if tensor.raw is None:
            raise ValueError(f"stores '{tensor.name}' in a way that cannot be compared with weights.safetensors")
        if bytes(tensor.raw) in self.whole:
            return True
        values = np.frombuffer(tensor.raw, f"<u{onnx_protobuf.BYTES_OF[tensor.kind]}").reshape(tensor.dims)
        if values.ndim >= 2 and np.ascontiguousarray(values.swapaxes(-1, -2)).tobytes() in self.whole:
            return True
        return any(self._sum(values, joined) for joined in JOINED)

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


class Own:
    """Numbers of a graph that are no weights, counted: few floats in small tensors, and indices and masks."""

    def __init__(self, weights: Mapping[str, memoryview] | None):
        self.weights = _Weights(weights) if weights is not None else None
        self.floats = self.indices = 0

    def count(self, tensor: Tensor, most: int) -> None:
        """Raise `ValueError` where a tensor of weights has more than `most` numbers and is not of the weights, or the
        others are too many.
        """
        size = onnx_protobuf.BYTES_OF.get(tensor.kind, 0)
        if tensor.kind not in WEIGHTS | WHOLE:
            raise ValueError(f"stores '{tensor.name}', which is neither numbers nor booleans")
        if tensor.raw is not None and len(tensor.raw) != tensor.numbers * size:
            raise ValueError(f"stores '{tensor.name}' shorter or longer than it says")
        if tensor.kind in WHOLE:
            self.indices += tensor.numbers * size
        elif tensor.numbers <= most:
            self.floats += tensor.numbers
        elif self.weights is not None and not self.weights.hold(tensor):
            raise ValueError(f"holds numbers in '{tensor.name}' that are not in weights.safetensors")
        if self.floats > FLOATS or self.indices > INDEX_BYTES:
            raise ValueError("holds too many numbers of its own, which are not in weights.safetensors")


def check(body: bytes, weights: Mapping[str, memoryview] | None = None) -> Graph:
    """The graph of a file. Raises `ValueError` with a reason where it holds what it may not; `weights` left out are not
    compared.
    """
    graph = read(body)
    own = Own(weights)
    for tensor in graph.tensors.values():
        own.count(tensor, 1)
    for node in graph.nodes:
        if node.domain not in STANDARD:
            raise ValueError(f"asks for operators of '{node.domain[:40].decode('ascii', 'replace')}'")
        for tensor in _constants(node):
            own.count(tensor, SMALL)
    return graph


def _constants(node: Node) -> Iterator[Tensor]:
    """Numbers in the settings of an operator, as tensors."""
    for name, value in node.settings.items():
        if isinstance(value, Tensor):
            yield value._replace(name=value.name or node.outputs[0] if node.outputs else value.name)
        elif isinstance(value, tuple) and not any(isinstance(part, bytes) for part in value):
            floats = any(isinstance(number, float) for number in value)
            yield Tensor(name, (len(value),), 1 if floats else 7, None)
