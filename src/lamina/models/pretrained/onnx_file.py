"""Backbones of `.onnx` files: run by ONNX Runtime in training, and spliced into the graph of the bundle.

The file is cut at the features and rewritten so that a bundle may hold it: one flat graph, for any number of rows,
its floating weights plain tensors that are weights of the model.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from lamina.config import RecipeError, nearest

Pooling = Literal["auto", "cls", "mean"]
DOMAIN, OPERATOR, PREFIX = "lamina", "Backbone", "backbone/"
CLOSING = ("Softmax", "LogSoftmax", "Sigmoid", "Identity", "Reshape", "Flatten", "Squeeze", "Cast", "Add")
FLOATS = (1, 10, 11)  # float, half, double
OLDEST, SIDE, AGREE = 11, 224, 1e-3
EXPORTED = (11, 18)  # versions of the operators that the exporter writes here


class OnnxFile(nn.Module):
    """Pixels (rows, channels, height, width) to features (rows, width); runs frozen."""

    whole = True  # one row in the table of layers

    def __init__(self, graph: Any, told: dict[str, Any], pooling: Pooling):
        super().__init__()
        self.size: tuple[int, int] = told["size"]
        self.channels: int = told["channels"]
        self.last: bool = told["last"]
        self.mean = self.std = None
        self.pooling, self.graph, self.body = pooling, graph, graph.SerializeToString()
        for i, tensor in enumerate(t for t in graph.graph.initializer if t.data_type in FLOATS):
            self.register_buffer(f"weight_{i}", torch.from_numpy(_values(tensor)))
        self.session: Any = None

    def forward(self, pixels: Tensor) -> Tensor:
        given = pixels.permute(0, 2, 3, 1) if self.last else pixels
        found = _Call.apply(given, self)
        assert isinstance(found, Tensor)
        if found.ndim == 4:
            return found.mean((1, 2) if self.last else (2, 3))
        if found.ndim == 3:  # (rows, tokens, width)
            return found.mean(1) if self.pooling == "mean" else found[:, 0]
        return found

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """The features of some pixels, by ONNX Runtime."""
        if self.session is None:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            options.intra_op_num_threads = torch.get_num_threads()
            self.session = onnxruntime.InferenceSession(self.body, options, ["CPUExecutionProvider"])
        return self.session.run(None, {self.graph.graph.input[0].name: pixels})[0]

    def identity(self) -> bytes:
        """What decides the features beside the weights."""
        return self.body + self.pooling.encode()

    @property
    def opset(self) -> int:
        return self.graph.opset_import[0].version


class _Call(torch.autograd.Function):
    """The file as one operation: run by ONNX Runtime, and one node in an exported graph."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, network: OnnxFile) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        found = network.run(np.ascontiguousarray(pixels.detach().float().cpu().numpy()))
        return torch.from_numpy(found).to(pixels.device)

    @staticmethod
    def symbolic(g: Any, pixels: Any, network: OnnxFile) -> Any:
        with torch.no_grad():
            shape = (1, *network.size, network.channels) if network.last else (1, network.channels, *network.size)
            like = network.run(np.zeros(shape, np.float32))
        return g.op(f"{DOMAIN}::{OPERATOR}", pixels).setType(pixels.type().with_sizes([None, *like.shape[1:]]))


def opset(model: nn.Module, usual: int) -> int:
    """The version of the operators to export a model with: that of the file inside, within what the exporter writes."""
    found = [module.opset for module in model.modules() if isinstance(module, OnnxFile)]
    return min(max(found[0], EXPORTED[0]), EXPORTED[1]) if found else usual


def spliced(body: bytes, model: nn.Module) -> bytes:
    """An exported graph with the file's own nodes in the place of the one that stands for them."""
    found = [module for module in model.modules() if isinstance(module, OnnxFile)]
    if not found:
        return body
    import onnx
    from onnx import compose

    outer, inner = onnx.load_from_string(body), compose.add_prefix(found[0].graph, PREFIX)
    at, node = next((i, n) for i, n in enumerate(outer.graph.node) if n.domain == DOMAIN)
    names = {inner.graph.input[0].name: node.input[0], inner.graph.output[0].name: node.output[0]}
    for own in inner.graph.node:
        own.input[:] = [names.get(name, name) for name in own.input]
        own.output[:] = [names.get(name, name) for name in own.output]
    nodes = [*outer.graph.node[:at], *inner.graph.node, *outer.graph.node[at + 1 :]]
    del outer.graph.node[:], outer.graph.value_info[:], outer.opset_import[:]
    outer.graph.node.extend(nodes)
    outer.graph.initializer.extend(inner.graph.initializer)
    outer.opset_import.append(onnx.helper.make_opsetid("", max(found[0].opset, opset(model, 0))))
    outer.ir_version = max(outer.ir_version, inner.ir_version)
    return outer.SerializeToString()


def load(path: Path, side: int | None, pooling: Pooling, layer: str | None) -> OnnxFile:
    """The network of a file, cut at its features, checked by two passes; every fault is a `RecipeError`."""
    graph = _read(path)
    _plain(graph, path)
    told = _told(graph, path, side)
    _tensors_apart(graph)
    name = _features(graph, path, layer)
    _cut(graph, name)
    _any_rows(graph)
    found = OnnxFile(graph, told, pooling)
    rng = np.random.default_rng(0)
    shape = (*found.size, found.channels) if found.last else (found.channels, *found.size)
    two = rng.normal(size=(2, *shape)).astype(np.float32)
    try:
        alone, both = found.run(two[:1]), found.run(two)
    except Exception as error:  # ONNX Runtime raises its own classes and plain RuntimeError
        raise _fault(path, f"cannot be run ({_first(error)})", "Export it again, for any number of rows") from None
    if alone.shape[:1] != (1,) or both.shape != (2, *alone.shape[1:]) or not np.allclose(both[:1], alone, atol=AGREE):
        raise _fault(path, "takes one picture at a time", "Export it again, for any number of rows")
    if not 2 <= both.ndim <= 4 or both.dtype != np.float32:
        raise _fault(path, f"'{name}' gives {both.dtype} {both.shape}, no features", "Name another with model.layer")
    return found


def _read(path: Path) -> Any:
    try:
        import onnx
    except ImportError:
        raise RecipeError(["model.name: needs onnx, which is not installed. pip install 'lamina[train]'."]) from None
    from onnx import inliner

    if not path.is_file():
        raise _fault(path, "there is no such file", "Name an .onnx file")
    try:
        graph = onnx.load(path)
        onnx.checker.check_model(graph)
        if graph.functions:
            graph = inliner.inline_local_functions(graph)
        version = next(o.version for o in graph.opset_import if o.domain in ("", "ai.onnx"))
        if version < OLDEST:
            graph = onnx.version_converter.convert_version(graph, OLDEST)
    except Exception as error:  # protobuf and onnx raise anything at all
        raise _fault(path, f"cannot be read as ONNX ({_first(error)})", "Get a fresh copy of it") from None
    return graph


def _plain(graph: Any, path: Path) -> None:
    """A bundle's graph is flat and of standard operators; the file must be too."""
    own = sorted({n.domain for n in graph.graph.node} - {"", "ai.onnx"})
    if own:
        raise _fault(path, f"asks for operators of '{own[0]}'", "Export it again with standard operators")
    if any(a.type in (5, 10) for n in graph.graph.node for a in n.attribute) or graph.graph.sparse_initializer:
        raise _fault(path, "holds a loop, a condition or sparse tensors", "Export it again without")
    rest = [o for o in graph.opset_import if o.domain in ("", "ai.onnx")]
    del graph.opset_import[:]
    graph.opset_import.extend(rest)


def _told(graph: Any, path: Path, side: int | None) -> dict[str, Any]:
    """Size and channels of the pictures, by the one input of the file."""
    stored = {t.name for t in graph.graph.initializer}
    inputs = [i for i in graph.graph.input if i.name not in stored]
    wanted = "floating pictures: (rows, channels, height, width) or (rows, height, width, channels)"
    shapes = [[d.dim_value for d in i.type.tensor_type.shape.dim] for i in inputs]
    if len(inputs) != 1 or len(shapes[0]) != 4 or inputs[0].type.tensor_type.elem_type != 1:
        got = ", ".join(f"{i.name} {tuple(n or '?' for n in s)}" for i, s in zip(inputs, shapes, strict=True))[:200]
        raise _fault(path, f"takes no pictures (its inputs are: {got})", f"Name a network that takes {wanted}")
    dims = shapes[0]
    last = dims[3] in (1, 3) and dims[1] not in (1, 3)
    channels = (dims[3] if last else dims[1]) or 3
    if channels not in (1, 3):
        raise _fault(path, f"takes pictures of {channels} channels", "Name a network for 1 or 3")
    height, width = dims[1:3] if last else dims[2:]
    if side and any(n not in (0, side) for n in (height, width)):
        raise RecipeError([f"model.side: {path} takes {height} x {width} pixels and no others. Leave it out."])
    del graph.graph.input[:]
    graph.graph.input.append(inputs[0])
    return {"size": (height or side or SIDE, width or side or SIDE), "channels": channels, "last": last}


def _values(tensor: Any) -> np.ndarray:
    from onnx import numpy_helper

    return np.array(numpy_helper.to_array(tensor))


def _tensors_apart(graph: Any) -> None:
    """Constants become stored tensors, and every stored tensor plain bytes, so that they can be compared."""
    from onnx import numpy_helper

    stored, nodes = list(graph.graph.initializer), []
    for node in graph.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            stored.append(node.attribute[0].t)
            stored[-1].name = node.output[0]
        else:
            nodes.append(node)
    plain = [numpy_helper.from_array(_values(t), t.name) for t in stored]
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(plain)
    graph.graph.node.extend(nodes)


def _features(graph: Any, path: Path, layer: str | None) -> str:
    """The tensor named, else what the closing layer of a classifier takes, else the first output."""
    made = {name: node for node in graph.graph.node for name in node.output}
    if layer is not None:
        named = {node.name: node.output[0] for node in graph.graph.node if node.name}
        if layer not in made and layer not in named:
            raise RecipeError([f"model.layer: {path} has no tensor '{layer}'. {nearest(layer, made)[:300]}"])
        return layer if layer in made else named[layer]
    stored = {t.name for t in graph.graph.initializer}
    end = name = graph.graph.output[0].name
    while name in made:
        node = made[name]
        inputs = [i for i in node.input if i not in stored]
        if node.op_type in ("Gemm", "MatMul") and len(inputs) == 1:
            return inputs[0]
        if node.op_type not in CLOSING or len(inputs) != 1:
            return end
        name = inputs[0]
    return end


def _cut(graph: Any, name: str) -> None:
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


def _any_rows(graph: Any) -> None:
    """A file for one row takes any number: where it reshapes to one row, it keeps the rows there are."""
    from onnx import numpy_helper

    first = graph.graph.input[0].type.tensor_type.shape.dim[0]
    if first.dim_value == 1:
        targets = {node.input[1] for node in graph.graph.node if node.op_type == "Reshape"}
        for tensor in graph.graph.initializer:
            values = _values(tensor) if tensor.name in targets else np.zeros(0, np.int64)
            if values.size > 1 and values[0] == 1:
                values[0] = 0
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    first.dim_param = "rows"


def tiny(folder: Path) -> Path:
    """A file of a few random filters with a closing classifier, for 16 x 16 pictures; the same bytes every time."""
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
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    return file


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def _fault(path: Path, reason: str, cure: str) -> RecipeError:
    return RecipeError([f"model.name: {path}: {reason}. {cure}."])
