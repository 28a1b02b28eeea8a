"""ONNX files of others, read and rewritten so that a bundle may hold them: one flat graph of standard operators, cut at
the features, for any number of rows, its floating weights plain tensors.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lamina.config import RecipeError, nearest
from lamina.resources import disk

CLOSING = ("Softmax", "LogSoftmax", "Sigmoid", "Identity", "Reshape", "Flatten", "Squeeze", "Cast", "Add")
OLDEST, SIDE = 11, 224


def read_graph(path: Path) -> Any:
    try:
        import onnx
    except ImportError:
        raise RecipeError(["model.name: needs onnx, which is not installed. pip install 'lamina[train]'."]) from None
    from onnx import inliner

    if not path.is_file():
        raise fault(path, "there is no such file", "Name an .onnx file")
    try:
        graph = onnx.load(path)
        onnx.checker.check_model(graph)
        if graph.functions:
            graph = inliner.inline_local_functions(graph)
        version = next(o.version for o in graph.opset_import if o.domain in ("", "ai.onnx"))
        if version < OLDEST:
            graph = onnx.version_converter.convert_version(graph, OLDEST)
    except Exception as error:  # protobuf and onnx raise anything at all
        raise fault(path, f"cannot be read as ONNX ({first_line(error)})", "Get a fresh copy of it") from None
    return graph


def check_plain(graph: Any, path: Path) -> None:
    """A bundle's graph is flat and of standard operators; the file must be too."""
    domains = sorted({n.domain for n in graph.graph.node} - {"", "ai.onnx"})
    if domains:
        raise fault(path, f"asks for operators of '{domains[0]}'", "Export it again with standard operators")
    if any(a.type in (5, 10) for n in graph.graph.node for a in n.attribute) or graph.graph.sparse_initializer:
        raise fault(path, "holds a loop, a condition or sparse tensors", "Export it again without")
    rest = [o for o in graph.opset_import if o.domain in ("", "ai.onnx")]
    del graph.opset_import[:]
    graph.opset_import.extend(rest)


def image_settings(graph: Any, path: Path, side: int | None) -> dict[str, Any]:
    """Size and channels of the images, by the one input of the file."""
    stored = {t.name for t in graph.graph.initializer}
    inputs = [i for i in graph.graph.input if i.name not in stored]
    expected = "floating images: (rows, channels, height, width) or (rows, height, width, channels)"
    shapes = [[d.dim_value for d in i.type.tensor_type.shape.dim] for i in inputs]
    if len(inputs) != 1 or len(shapes[0]) != 4 or inputs[0].type.tensor_type.elem_type != 1:
        got = ", ".join(f"{i.name} {tuple(n or '?' for n in s)}" for i, s in zip(inputs, shapes, strict=True))[:200]
        raise fault(path, f"takes no images (its inputs are: {got})", f"Name a network that takes {expected}")
    dims = shapes[0]
    last = dims[3] in (1, 3) and dims[1] not in (1, 3)
    channels = (dims[3] if last else dims[1]) or 3
    if channels not in (1, 3):
        raise fault(path, f"takes images of {channels} channels", "Name a network for 1 or 3")
    height, width = dims[1:3] if last else dims[2:]
    if side and any(n not in (0, side) for n in (height, width)):
        raise RecipeError([f"model.side: {path} takes {height} x {width} pixels and no others. Leave it out."])
    del graph.graph.input[:]
    graph.graph.input.append(inputs[0])
    return {"size": (height or side or SIDE, width or side or SIDE), "channels": channels, "last": last}


def tensor_values(tensor: Any) -> np.ndarray:
    from onnx import numpy_helper

    return np.array(numpy_helper.to_array(tensor))


def store_tensors(graph: Any) -> None:
    """Constants become stored tensors, and every stored tensor plain bytes, so that they can be compared."""
    from onnx import numpy_helper

    stored, nodes = list(graph.graph.initializer), []
    for node in graph.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            stored.append(node.attribute[0].t)
            stored[-1].name = node.output[0]
        else:
            nodes.append(node)
    plain = [numpy_helper.from_array(tensor_values(t), t.name) for t in stored]
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(plain)
    graph.graph.node.extend(nodes)


def feature_tensor(graph: Any, path: Path, layer: str | None) -> str:
    """The tensor named, else what the closing layer of a classifier takes, else the first output."""
    producers = {name: node for node in graph.graph.node for name in node.output}
    if layer is not None:
        nodes = {node.name: node.output[0] for node in graph.graph.node if node.name}
        if layer not in producers and layer not in nodes:
            raise RecipeError([f"model.layer: {path} has no tensor '{layer}'. {nearest(layer, producers)[:300]}"])
        return layer if layer in producers else nodes[layer]
    stored = {t.name for t in graph.graph.initializer}
    end = name = graph.graph.output[0].name
    while name in producers:
        node = producers[name]
        inputs = [i for i in node.input if i not in stored]
        if node.op_type in ("Gemm", "MatMul") and len(inputs) == 1:
            return inputs[0]
        if node.op_type not in CLOSING or len(inputs) != 1:
            return end
        name = inputs[0]
    return end


def cut_at(graph: Any, name: str) -> None:
    """Keep what the features depend on."""
    import onnx

    needed, nodes = {name}, []
    for node in reversed(graph.graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            nodes.append(node)
    stored = [t for t in graph.graph.initializer if t.name in needed]
    del graph.graph.node[:], graph.graph.initializer[:], graph.graph.output[:], graph.graph.value_info[:]
    graph.graph.node.extend(reversed(nodes))
    graph.graph.initializer.extend(stored)
    graph.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))


def allow_any_rows(graph: Any) -> None:
    """A file for one row takes any number: where it reshapes to one row, it keeps the rows there are."""
    from onnx import numpy_helper

    first = graph.graph.input[0].type.tensor_type.shape.dim[0]
    if first.dim_value == 1:
        targets = {node.input[1] for node in graph.graph.node if node.op_type == "Reshape"}
        for tensor in graph.graph.initializer:
            values = tensor_values(tensor) if tensor.name in targets else np.zeros(0, np.int64)
            if values.size > 1 and values[0] == 1:
                values[0] = 0
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    first.dim_param = "rows"


def tiny_file(folder: Path) -> Path:
    """A file of a few random filters with a closing classifier, for 16 x 16 images; the same bytes every time."""
    from onnx import TensorProto, helper, numpy_helper

    file, rng = folder / "tiny.onnx", np.random.default_rng(0)
    weights = {
        "filters": rng.normal(size=(16, 3, 3, 3)) * 0.3,
        "bias": rng.normal(size=16) * 0.1,
        "matrix": rng.normal(size=(256, 10)) * 0.05,
    }
    nodes = [
        helper.make_node("Conv", ["pixels", "filters", "bias"], ["maps"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["lit"]),
        helper.make_node("AveragePool", ["lit"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("MatMul", ["features", "matrix"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 3, 16, 16])],
        [helper.make_tensor_value_info("shares", TensorProto.FLOAT, ["rows", 10])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    body = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    if not file.is_file() or file.read_bytes() != body:
        disk.write_bytes(file, body)
    return file


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def fault(name: Path | str, reason: str, cure: str) -> RecipeError:
    return RecipeError([f"model.name: {name}: {reason}. {cure}."])
