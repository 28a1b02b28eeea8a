"""What a graph makes of one row before it is run: bytes of all results together, and multiply-adds.

Sizes are followed from operator to operator for any number of rows. A graph with an operator that is not known, with
sizes that depend on values, or that makes far more than its own size and its inputs explain is refused.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from lamina.deploy.bundle.onnx_operators import RULES, stored
from lamina.deploy.bundle.onnx_protobuf import BYTES_OF, Graph, Named, Node
from lamina.deploy.bundle.onnx_sizes import DEPENDS, ROWS, Call, Dim, Size, Unknown, Value, numbers

STEPS = 16  # that an input of any length is taken to have where nothing says how many
ANY: Mapping[str, Sequence[int]] = MappingProxyType({})
VERSIONS = (7, 26)  # of the operators, that the rules are true of
INPUTS = 1 << 25  # numbers of one row at most
RESULTS, PER_BYTE, PER_INPUT, WIDEST = 1 << 28, 64, 1 << 10, 1 << 30  # bytes of results
WORK, WORK_PER_BYTE, WORK_PER_INPUT = 1 << 32, 1 << 10, 1 << 15  # multiply-adds
PER_NUMBER = 64  # multiply-adds that take as long as making one number
AT_ONCE, WORK_AT_ONCE = 1 << 30, 1 << 36  # bytes and multiply-adds of the rows that are run together


class Cost(NamedTuple):
    """Of one row. `joined`: rows may be run together, `rows` of them at most."""

    results: int
    work: int
    joined: bool

    @property
    def rows(self) -> int:
        return max(1, min(ROWS, AT_ONCE // max(1, self.results), WORK_AT_ONCE // max(1, self.work)))


def cost(graph: Graph, size: int, shapes: Mapping[str, Sequence[int]] = ANY) -> Cost:
    """What a graph of so many bytes makes of one row. Raises `ValueError` with a reason where it is too much.

    `shapes`: by input, its sizes behind the rows, of those that take any number of steps.
    """
    if not VERSIONS[0] <= graph.version <= VERSIONS[1]:
        raise ValueError(f"has operators of version {graph.version}, and {VERSIONS[0]} to {VERSIONS[1]} are known")
    feeds = [entry for entry in graph.inputs if entry.name not in graph.tensors]
    values = {name: stored(tensor) for name, tensor in graph.tensors.items()}
    values |= {
        entry.name: Value(_shape(entry, shapes.get(entry.name, ())), max(4, BYTES_OF.get(entry.kind, 8)))
        for entry in feeds
    }
    wide = sum(numbers(values[entry.name].shape) for entry in feeds)
    if wide > INPUTS:
        raise ValueError(f"takes {wide:,} numbers in one row, and {INPUTS:,} are the most")
    most = RESULTS + PER_BYTE * size + min(PER_INPUT * wide, WIDEST)
    hardest = WORK + WORK_PER_BYTE * size + WORK_PER_INPUT * wide
    results = work = 0
    counts_by_name = {name: numbers(value.shape) for name, value in values.items()}
    for node in graph.nodes:
        bytes_out, multiplied = _apply(node, values, counts_by_name)
        results, work = results + bytes_out, work + multiplied
        if results > most:
            raise ValueError(f"makes more than {most >> 20:,} MB of one row, at the operator {node.kind[:40]}")
        if work > hardest:
            raise ValueError(f"takes more than {hardest:,} multiplications for one row, at {node.kind[:40]}")
    outputs = [values[name].shape[:1] if name in values else () for name in graph.outputs]
    return Cost(results, work, bool(feeds) and all(map(_is_rows, [values[f.name].shape[:1] for f in feeds] + outputs)))


def _apply(node: Node, values: dict[str, Value], counts_by_name: dict[str, int]) -> tuple[int, int]:
    """The bytes that an operator makes of one row and its multiply-adds; what it gives goes to `values`, and how many
    numbers that are to `counts_by_name`.
    """
    if node.kind not in RULES:
        raise ValueError(f"asks for the operator {node.kind[:40]}, which no bundle may use")
    if missing := [name for name in node.inputs if name and name not in values]:
        raise ValueError(f"uses '{missing[0][:80]}' before it is there")
    call = Call(node.kind, tuple(values.get(name) for name in node.inputs), node.settings, len(node.outputs))
    try:
        effect = RULES[node.kind](call)
        counts = [numbers(value.shape) for value in effect.values]
        scratch, work = numbers(effect.scratch) if effect.scratch else 0, numbers(effect.work) if effect.work else 0
    except (Unknown, ArithmeticError, TypeError, IndexError, AttributeError):
        raise ValueError(f"{DEPENDS}, at the operator {node.kind}") from None
    except ValueError as error:
        raise ValueError(f"{error}, at the operator {node.kind}") from None
    names = [name for name in node.outputs[len(counts) :] if name]
    if names or any(name in values for name in node.outputs if name):
        raise ValueError(f"gives more than an operator {node.kind} has, or a name twice")
    values |= {name: value for name, value in zip(node.outputs, effect.values, strict=False) if name}
    counts_by_name |= zip(node.outputs, counts, strict=False)
    inputs = sum(counts_by_name[name] for name in node.inputs if name)
    bytes_out = sum(count * value.width for count, value in zip(counts, effect.values, strict=True))
    return bytes_out + 4 * scratch, work + PER_NUMBER * max(sum(counts), inputs)


def _shape(entry: Named, behind: Sequence[int]) -> tuple[Dim, ...]:
    """The shape that an input is fed in: the first dimension is the rows where it has no fixed size, and `behind` are
    the sizes of others that have none.
    """
    sizes = [STEPS if n is None else n for n in entry.shape]
    if len(behind) == len(sizes) - 1:
        sizes[1:] = [n if own is None else own for n, own in zip(behind, entry.shape[1:], strict=True)]
    return tuple(Size(1, 0) if i == 0 and entry.shape[0] is None else n for i, n in enumerate(sizes))


def _is_rows(shape: tuple[Dim, ...]) -> bool:
    return bool(shape) and isinstance(shape[0], Size) and (shape[0].each, shape[0].fixed) == (1, 0)
