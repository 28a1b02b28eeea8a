"""Backbones of `.onnx` files: run by ONNX Runtime in training, and spliced into the graph of the bundle.

`onnx_graph` cuts the file at the features and rewrites it; its floating weights are weights of the model.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from lamina.models.pretrained import onnx_graph
from lamina.models.pretrained.onnx_graph import fault, first_line

Pooling = Literal["auto", "cls", "mean"]
DOMAIN, OPERATOR, PREFIX = "lamina", "Backbone", "backbone/"
FLOATS, BYTES = (1, 10, 11), (2, 3)  # float, half, double; weights of 8 bits
AGREE = 1e-3
EXPORTED = (11, 18)  # versions of the operators that the exporter writes here


class OnnxFile(nn.Module):
    """Pixels (rows, channels, height, width) to features (rows, width); runs frozen."""

    whole = True  # one row in the table of layers
    rows_at_once = 32

    def __init__(self, graph: Any, images: dict[str, Any], pooling: Pooling):
        super().__init__()
        self.size: tuple[int, int] = images["size"]
        self.channels: int = images["channels"]
        self.last: bool = images["last"]
        self.mean = self.std = None
        self.flip = False
        self.pooling, self.graph, self.body = pooling, graph, graph.SerializeToString()
        for i, tensor in enumerate(t for t in graph.graph.initializer if t.data_type in FLOATS):
            self.register_buffer(f"weight_{i}", torch.from_numpy(onnx_graph.tensor_values(tensor)))
        for i, tensor in enumerate(t for t in graph.graph.initializer if t.data_type in BYTES):
            self.register_buffer(f"byte_{i}", torch.from_numpy(onnx_graph.tensor_values(tensor)))
        self.session: Any = None

    def forward(self, pixels: Tensor) -> Tensor:
        features = _Call.apply(pixels.permute(0, 2, 3, 1) if self.last else pixels, self)
        assert isinstance(features, Tensor)
        if features.ndim == 4:
            return features.mean((1, 2) if self.last else (2, 3))
        if features.ndim == 3:  # (rows, tokens, width)
            return features.mean(1) if self.pooling == "mean" else features[:, 0]
        return features

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """The features of some pixels, by ONNX Runtime."""
        if self.session is None:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            options.intra_op_num_threads = torch.get_num_threads()
            self.session = onnxruntime.InferenceSession(self.body, options, ["CPUExecutionProvider"])
        return np.asarray(self.session.run(None, {self.graph.graph.input[0].name: pixels})[0])

    def identity(self) -> bytes:
        """What decides the features beside the weights."""
        return self.body + self.pooling.encode()

    @property
    def opset(self) -> int:
        return self.graph.opset_import[0].version


class _Call(torch.autograd.Function):
    """The file as one operation: run by ONNX Runtime, and one node in an exported graph."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, network: OnnxFile) -> Tensor:
        features = network.run(np.ascontiguousarray(pixels.detach().float().cpu().numpy()))
        return torch.from_numpy(features).to(pixels.device)

    @staticmethod
    def symbolic(g: Any, pixels: Any, network: OnnxFile) -> Any:
        with torch.no_grad():
            shape = (1, *network.size, network.channels) if network.last else (1, network.channels, *network.size)
            like = network.run(np.zeros(shape, np.float32))
        return g.op(f"{DOMAIN}::{OPERATOR}", pixels).setType(pixels.type().with_sizes([None, *like.shape[1:]]))


def opset(model: nn.Module, usual: int) -> int:
    """The version of the operators to export a model with: that of the file inside, within what the exporter writes."""
    versions = [module.opset for module in model.modules() if isinstance(module, OnnxFile)]
    return min(max(versions[0], EXPORTED[0]), EXPORTED[1]) if versions else usual


def splice(body: bytes, model: nn.Module) -> bytes:
    """An exported graph with the file's own nodes in the place of the one that stands for them."""
    files = [module for module in model.modules() if isinstance(module, OnnxFile)]
    if not files:
        return body
    import onnx
    from onnx import compose

    outer, inner = onnx.load_from_string(body), compose.add_prefix(files[0].graph, PREFIX)
    at, node = next((i, n) for i, n in enumerate(outer.graph.node) if n.domain == DOMAIN)
    names = {inner.graph.input[0].name: node.input[0], inner.graph.output[0].name: node.output[0]}
    for own in inner.graph.node:
        own.input[:] = [names.get(name, name) for name in own.input]
        own.output[:] = [names.get(name, name) for name in own.output]
    nodes = [*outer.graph.node[:at], *inner.graph.node, *outer.graph.node[at + 1 :]]
    del outer.graph.node[:], outer.graph.value_info[:], outer.opset_import[:]
    outer.graph.node.extend(nodes)
    outer.graph.initializer.extend(inner.graph.initializer)
    outer.opset_import.append(onnx.helper.make_opsetid("", max(files[0].opset, opset(model, 0))))
    outer.ir_version = max(outer.ir_version, inner.ir_version)
    return outer.SerializeToString()


def image_size(path: Path, side: int | None) -> tuple[int, int]:
    """Height and width of the images that the network of a file takes."""
    return onnx_graph.image_settings(onnx_graph.read_graph(path), path, side)["size"]


def load(path: Path, side: int | None, pooling: Pooling, layer: str | None) -> OnnxFile:
    """The network of a file, cut at its features, checked by two passes; every fault is a `RecipeError`."""
    graph = onnx_graph.read_graph(path)
    onnx_graph.check_plain(graph, path)
    images = onnx_graph.image_settings(graph, path, side)
    onnx_graph.store_tensors(graph)
    name = onnx_graph.feature_tensor(graph, path, layer)
    onnx_graph.cut_at(graph, name)
    onnx_graph.allow_any_rows(graph)
    backbone = OnnxFile(graph, images, pooling)
    size, channels = backbone.size, backbone.channels
    shape = (*size, channels) if backbone.last else (channels, *size)
    two = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    try:
        first, both = backbone.run(two[:1]), backbone.run(two)
    except Exception as error:  # ONNX Runtime raises its own classes and plain RuntimeError
        raise fault(path, f"cannot be run ({first_line(error)})", "Export it again, for any number of rows") from None
    if first.shape[:1] != (1,) or both.shape != (2, *first.shape[1:]) or not np.allclose(both[:1], first, atol=AGREE):
        raise fault(path, "takes one image at a time", "Export it again, for any number of rows")
    if not 2 <= both.ndim <= 4 or both.dtype != np.float32:
        raise fault(path, f"'{name}' gives {both.dtype} {both.shape}, no features", "Name another with model.layer")
    return backbone
