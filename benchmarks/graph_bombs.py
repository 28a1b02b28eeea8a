"""Graphs of a kilobyte that fill memory or time, each added to a good graph so that its answers stay the same."""

from collections.abc import Callable
from typing import Any

import numpy as np

Node = tuple[str, list[str], list[str], dict[str, Any]]
INT, FLOAT, TEXT, BYTE = 7, 1, 8, 2  # kinds of tensors


def bomb(nodes: list[Node], last: str, tensors: dict[str, Any] | None = None) -> Callable[[bytes], bytes]:
    """A good graph with more nodes, whose result `last` is made a zero and added to the first output.

    `one` is the number 1.0, and `rows` the shape of the first input.
    """

    def apply(body: bytes) -> bytes:
        from onnx import TensorProto, helper, load_from_string, numpy_helper

        model = load_from_string(body)
        graph, output = model.graph, model.graph.output[0].name
        for node in graph.node:
            node.output[:] = ["answer" if name == output else name for name in node.output]
            node.input[:] = ["answer" if name == output else name for name in node.input]
        stored = {"one": np.float32(1), "zero": np.float32(0)} | (tensors or {})
        for name, value in stored.items():
            if isinstance(value, bytes):
                graph.initializer.append(TensorProto(name=name, data_type=TEXT, dims=[1], string_data=[value]))
            elif isinstance(value, TensorProto):
                graph.initializer.append(value)
            else:
                graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        graph.node.append(helper.make_node("Shape", [graph.input[0].name], ["rows"]))
        graph.node.append(helper.make_node("ReduceMax", [graph.input[0].name], ["peak"], keepdims=0))
        for kind, inputs, outputs, settings in nodes:
            graph.node.append(helper.make_node(kind, inputs, outputs, **settings))
        tail: list[Node] = [
            ("Cast", [last], ["as float"], {"to": FLOAT}),
            ("ReduceMax", ["as float"], ["largest"], {"keepdims": 0}),
            ("Mul", ["largest", "zero"], ["nothing"], {}),
            ("Add", ["answer", "nothing"], [output], {}),
        ]
        for kind, inputs, outputs, settings in tail:
            graph.node.append(helper.make_node(kind, inputs, outputs, **settings))
        return model.SerializeToString()

    return apply


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def doubling(times: int) -> list[Node]:
    start: list[Node] = [("Unsqueeze", ["one", "axis"], ["d0"], {})]
    return start + [("Concat", [f"d{i}"] * 2, [f"d{i + 1}"], {"axis": 0}) for i in range(times)]


def repeated(kind: str, times: int, other: list[str], first: list[Node]) -> list[Node]:
    """A chain of one operator, each link fed by the one before."""
    return first + [(kind, [f"m{i}", *other], [f"m{i + 1}"], {}) for i in range(times)]


def graph_of(nodes: list[Node], inputs: list[Any], outputs: list[Any]) -> Any:
    from onnx import helper

    return helper.make_graph([helper.make_node(k, i, o, **s) for k, i, o, s in nodes], "inner", inputs, outputs)


def endless_loop(body: bytes) -> bytes:
    from onnx import helper

    value = helper.make_tensor_value_info
    inner = graph_of(
        [("Identity", ["going"], ["goes_on"], {}), ("Add", ["sum", "one"], ["more"], {})],
        [value("turn", INT, []), value("going", 9, []), value("sum", FLOAT, [])],
        [value("goes_on", 9, []), value("more", FLOAT, [])],
    )
    return bomb([("Loop", ["", "true", "one"], ["end"], {"body": inner})], "end", {"true": np.bool_(True)})(body)


def endless_scan(body: bytes) -> bytes:
    from onnx import helper

    value = helper.make_tensor_value_info
    inner = graph_of(
        [("Add", ["sum", "item"], ["more"], {}), ("Identity", ["more"], ["copy"], {})],
        [value("sum", FLOAT, []), value("item", FLOAT, [])],
        [value("more", FLOAT, []), value("copy", FLOAT, [])],
    )
    nodes: list[Node] = [
        ("Expand", ["one", "size"], ["long"], {}),
        ("Scan", ["zero", "long"], ["end", "all"], {"body": inner, "num_scan_inputs": 1}),
    ]
    return bomb(nodes, "end", {"size": ints(10**9)})(body)


def branch(body: bytes) -> bytes:
    from onnx import helper

    out = helper.make_tensor_value_info
    big = graph_of([("Expand", ["one", "size"], ["b"], {})], [], [out("b", FLOAT, None)])
    small = graph_of([("Identity", ["one"], ["s"], {})], [], [out("s", FLOAT, None)])
    nodes: list[Node] = [("If", ["true"], ["end"], {"then_branch": big, "else_branch": small})]
    return bomb(nodes, "end", {"size": ints(2 * 10**9), "true": np.bool_(True)})(body)


def sequence(times: int) -> Callable[[bytes], bytes]:
    """A list of tensors that doubles when it is joined and put into itself."""
    nodes: list[Node] = [("Unsqueeze", ["one", "axis"], ["s0"], {})]
    for i in range(times):
        nodes += [
            ("SequenceConstruct", [f"s{i}", f"s{i}"], [f"q{i}"], {}),
            ("ConcatFromSequence", [f"q{i}"], [f"s{i + 1}"], {"axis": 0}),
        ]
    return bomb(nodes, f"s{times}", {"axis": ints(0)})


def hidden(array: Any, kind: int = FLOAT) -> Callable[[bytes], bytes]:
    """Numbers that nothing compares with the weights, and that the graph uses."""
    return bomb([("Cast", ["hidden"], ["out"], {"to": kind})], "out", {"hidden": array})


def hidden_floats(body: bytes) -> bytes:
    values = {"value_floats": [0.5] * 100_000}
    return bomb([("Constant", [], ["out"], values)], "out")(body)


def many_small(body: bytes) -> bytes:
    """Numbers in constants of 16, each too small to be compared."""
    from onnx import numpy_helper

    part = numpy_helper.from_array(np.full(16, 0.5, np.float32))
    nodes: list[Node] = [("Constant", [], [f"p{i}"], {"value": part}) for i in range(3000)]
    return bomb([*nodes, ("Concat", [f"p{i}" for i in range(3000)], ["out"], {"axis": 0})], "out")(body)


def unfilled(body: bytes) -> bytes:
    """A tensor that says it is large and holds nothing."""
    from onnx import TensorProto

    tensor = TensorProto(name="hidden", data_type=BYTE, dims=[1 << 33])
    return bomb([("Cast", ["hidden"], ["out"], {"to": FLOAT})], "out", {"hidden": tensor})(body)


def split_in_two(body: bytes) -> bytes:
    """A constant whose tensor is there in two parts, which a reader of protobuf joins."""
    from onnx import TensorProto, helper, numpy_helper

    whole = numpy_helper.from_array(np.full(4096, 0.5, np.float32))
    head = TensorProto(data_type=FLOAT, dims=[4096]).SerializeToString()
    tail = TensorProto(raw_data=whole.raw_data).SerializeToString()
    node = helper.make_node("Constant", [], ["out"], value=numpy_helper.from_array(np.zeros((), np.float32)))
    old = node.attribute[0].t.SerializeToString()
    attribute = node.attribute[0].SerializeToString().replace(_field(5, old), _field(5, head) + _field(5, tail))
    raw = node.SerializeToString().replace(_field(5, node.attribute[0].SerializeToString()), _field(5, attribute))
    grown = bomb([("Neg", ["out"], ["minus"], {})], "minus")(body)
    return grown + _field(7, _field(1, raw))  # merged into the graph


def _field(number: int, body: bytes) -> bytes:
    size, packed = len(body), b""
    while size >= 0x80:
        packed, size = packed + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + packed + bytes([size]) + body


BIG = {"size": ints(2 * 10**9)}
SQUARE = {"size": ints(4096, 4096)}
ROWS: list[Node] = [("Gather", ["rows", "index"], ["r"], {})]
GRAPHS: dict[str, Callable[[bytes], bytes]] = {
    "ConstantOfShape": bomb([("ConstantOfShape", ["size"], ["out"], {})], "out", BIG),
    "ConstantOfShape, many of 100 MB": bomb(
        [("ConstantOfShape", ["size"], [f"c{i}"], {}) for i in range(40)]
        + [("Concat", [f"c{i}" for i in range(40)], ["out"], {"axis": 0})], "out", {"size": ints(25_000_000)}),
    "Expand": bomb([("Expand", ["peak", "size"], ["out"], {})], "out", BIG),
    "Expand of a constant": bomb([("Expand", ["one", "size"], ["out"], {})], "out", {"size": ints(250_000_000)}),
    "Tile": bomb([("Unsqueeze", ["peak", "axis"], ["p"], {}), ("Tile", ["p", "size"], ["out"], {})], "out",
                 BIG | {"axis": ints(0)}),
    "Concat doubling": bomb(doubling(31), "d31", {"axis": ints(0)}),
    "Range": bomb([("Range", ["a", "b", "c"], ["out"], {})], "out",
                  {"a": np.int64(0), "b": np.int64(10**9), "c": np.int64(1)}),
    "Range as long as a cell says": bomb(
        [("Mul", ["peak", "many"], ["limit"], {}), ("Range", ["zero", "limit", "one"], ["out"], {})], "out",
        {"many": np.float32(1e7)}),
    "Pad": bomb([("Unsqueeze", ["peak", "axis"], ["p"], {}), ("Pad", ["p", "pads"], ["out"], {})], "out",
                {"axis": ints(0), "pads": ints(0, 2 * 10**9)}),
    "Resize": bomb([("Unsqueeze", ["peak", "axis"], ["p"], {}), ("Resize", ["p", "", "", "sizes"], ["out"], {})], "out",
                   {"axis": ints(0, 1, 2, 3), "sizes": ints(1, 1, 40_000, 40_000)}),
    "OneHot": bomb([("Cast", ["peak"], ["w"], {"to": INT}), ("Unsqueeze", ["w", "axis"], ["i"], {}),
                    ("Concat", ["z", "z"], ["pair"], {"axis": 0}),
                    ("OneHot", ["i", "depth", "pair"], ["out"], {"axis": -1})],
                   "out", {"depth": np.int64(2 * 10**9), "z": np.zeros(1, np.float32), "axis": ints(0)}),
    "MatMul outer product": bomb(
        [("Expand", ["peak", "tall"], ["t"], {}), ("Expand", ["peak", "wide"], ["w"], {}),
         ("MatMul", ["t", "w"], ["out"], {})], "out", {"tall": ints(40_000, 1), "wide": ints(1, 40_000)}),
    "Add of a row and a column": bomb(
        [("Expand", ["peak", "tall"], ["t"], {}), ("Expand", ["peak", "wide"], ["w"], {}),
         ("Add", ["t", "w"], ["out"], {})], "out", {"tall": ints(40_000, 1), "wide": ints(1, 40_000)}),
    "Einsum": bomb([("Expand", ["peak", "size"], ["t"], {}), ("Einsum", ["t", "t"], ["out"], {"equation": "i,j->ij"})],
                   "out", {"size": ints(40_000)}),
    "Gather of one row, often": bomb(
        [("Expand", ["index", "size"], ["many"], {}), ("Expand", ["peak", "wide"], ["w"], {}),
         ("Gather", ["w", "many"], ["out"], {"axis": 0})], "out",
        {"index": np.int64(0), "size": ints(40_000), "wide": ints(1, 40_000)}),
    "ConvTranspose": bomb(
        [("Expand", ["peak", "size"], ["p"], {}),
         ("ConvTranspose", ["p", "p"], ["out"], {"strides": [30_000, 30_000], "kernel_shape": [2, 2]})], "out",
        {"size": ints(1, 1, 2, 2)}),
    "EyeLike": bomb([("Expand", ["peak", "size"], ["p"], {}), ("EyeLike", ["p"], ["out"], {})], "out",
                    {"size": ints(40_000, 40_000)}),
    "RandomNormal": bomb([("RandomNormal", [], ["out"], {"shape": [2 * 10**9]})], "out"),
    "NonZero": bomb([("Expand", ["peak", "size"], ["p"], {}), ("NonZero", ["p"], ["out"], {})], "out",
                    {"size": ints(30_000, 30_000)}),
    "HannWindow": bomb([("HannWindow", ["many"], ["out"], {})], "out", {"many": np.int64(10**9)}),
    "rows by rows": bomb(
        [*ROWS, ("Mul", ["r", "many"], ["k"], {}), ("Unsqueeze", ["k", "axis"], ["s"], {}),
         ("Expand", ["peak", "s"], ["e"], {}), ("Unsqueeze", ["e", "axis"], ["row"], {}),
         ("Unsqueeze", ["e", "last"], ["column"], {}), ("MatMul", ["column", "row"], ["out"], {})], "out",
        {"index": np.int64(0), "many": np.int64(1000), "axis": ints(0), "last": ints(1)}),
    "large for 39 rows only": bomb(
        [*ROWS, ("Equal", ["r", "count"], ["is"], {}), ("Cast", ["is"], ["i"], {"to": INT}),
         ("Mul", ["i", "many"], ["k"], {}), ("Unsqueeze", ["k", "axis"], ["s"], {}),
         ("Expand", ["one", "s"], ["e"], {}), ("Concat", ["e", "end"], ["out"], {"axis": 0})], "out",
        {"index": np.int64(0), "count": np.int64(39), "many": np.int64(10**9), "axis": ints(0),
         "end": np.zeros(1, np.float32)}),
    "500 products of 4096 x 4096": bomb(
        repeated("MatMul", 500, ["m0"], [("Expand", ["peak", "size"], ["m0"], {})]), "m500", SQUARE),
    "500 products of constants": bomb(
        repeated("MatMul", 500, ["m0"], [("Expand", ["zero", "size"], ["m0"], {})]), "m500", SQUARE),
    "2,000 sines of 16,777,216": bomb(repeated("Sin", 2000, [], [("Expand", ["peak", "size"], ["m0"], {})]), "m2000",
                                      SQUARE),
    "100,000 nodes": bomb(repeated("Neg", 100_000, [], [("Identity", ["peak"], ["m0"], {})]), "m100000"),
    "a node of 300,000 inputs": bomb(
        [("Unsqueeze", ["peak", "axis"], ["p"], {}), ("Concat", ["p"] * 300_000, ["out"], {"axis": 0})], "out",
        {"axis": ints(0)}),
    "CumSum, long": bomb([("Expand", ["peak", "size"], ["p"], {}), ("CumSum", ["p", "axis"], ["out"], {})], "out",
                         {"size": ints(500_000_000), "axis": np.int64(0)}),
    "LSTM of a million steps": bomb(
        [("Expand", ["peak", "x"], ["px"], {}), ("Expand", ["peak", "w"], ["pw"], {}),
         ("Expand", ["peak", "r"], ["pr"], {}), ("LSTM", ["px", "pw", "pr"], ["out"], {"hidden_size": 256})], "out",
        {"x": ints(1_000_000, 1, 1), "w": ints(1, 1024, 1), "r": ints(1, 1024, 256)}),
    "Conv, wide": bomb(
        [("Expand", ["peak", "x"], ["px"], {}), ("Expand", ["peak", "w"], ["pw"], {}),
         ("Conv", ["px", "pw"], ["out"], {"pads": [32, 32, 32, 32]})], "out",
        {"x": ints(1, 16, 1024, 1024), "w": ints(16, 16, 65, 65)}),
    "Loop without end": endless_loop,
    "Scan of 1,000,000,000": endless_scan,
    "If": branch,
    "sequences, doubling": sequence(31),
    "8 MB of uint8": hidden(np.full(8_000_000, 1, np.uint8)),
    "8 MB of int64": hidden(np.full(1_000_000, 1, np.int64)),
    "8 MB of int8": hidden(np.full(8_000_000, 1, np.int8)),
    "a text": hidden(b"0"),
    "100,000 floats of an attribute": hidden_floats,
    "48,000 floats in small constants": many_small,
    "a tensor of 8 GB that is not there": unfilled,
    "a tensor in two parts": split_in_two,
}  # fmt: skip
