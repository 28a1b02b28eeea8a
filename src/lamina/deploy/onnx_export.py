"""A trained network as an ONNX graph, kept only if it gives the network's own answers."""

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from lamina.config import BundleError
from lamina.deploy.bundle import onnx_graph
from lamina.deploy.bundle.strict_json import guarded
from lamina.deploy.bundle.tensors import weights
from lamina.deploy.onnx_runtime import after, onnx_runtime
from lamina.models.pretrained import onnx_file

AGREE = 1e-5
OPSET = 18
Varying = Mapping[str, tuple[int, ...]]
NOTHING: Varying = MappingProxyType({})
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal


class _Positional(nn.Module):
    """Exporters want positional tensors in and a tuple out."""

    def __init__(self, model: nn.Module, names: list[str]):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model(dict(zip(self.names, values, strict=True))).values())


def onnx(model: nn.Module, inputs: dict[str, np.ndarray], varying: Varying = NOTHING) -> tuple[bytes | None, str]:
    """The graph as bytes, or None and the reason why no exporter reproduced the network.

    `inputs`: real encoded rows (at least two); agreement is asked for on all of them, and on the first alone,
    within 1e-5 of the largest answer. The graph must hold the network's own weights, as a bundle is checked for. The
    trace-based exporter goes first: it takes a tenth of a second where the other takes four.

    `varying`: by input, its axes of any size, such as the steps of a text or the sides of an image; agreement is asked
    for on other sizes too.
    """
    model = model.eval().cpu()
    tensors = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in inputs.items()}
    examples = [(own, _answers(model, own)) for own in _widths(inputs, varying)]
    expected = examples[0][1]
    stored = weights(save({name: value.detach().clone().contiguous() for name, value in model.state_dict().items()}))
    reasons = []
    for export in (_traced, _unfolded, _dynamo):
        try:
            names = [after(name) if name in tensors else name for name in expected]
            graph = _quietly(export, _Positional(model, list(tensors)), tensors, names, varying)
        except Exception as error:  # exporters raise anything at all; the next one, or torch, takes over
            reasons.append(f"{export.__name__[1:]}: {_first_line(error)}")
            continue
        try:
            guarded("model.onnx", lambda graph=graph: onnx_graph.check(graph, stored))
            if worst := max(_disagreement(graph, *example) for example in examples):
                reasons.append(f"{export.__name__[1:]}: answers differ by {worst:.1e}")
                continue
        except BundleError as error:
            reasons.append(f"{export.__name__[1:]}: {error.reason}")
            continue
        return graph, ""
    return None, "; ".join(reasons)


def _answers(model: nn.Module, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        outputs = model({name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in inputs.items()})
    return {name: value.float().numpy() for name, value in outputs.items()}


def _widths(inputs: dict[str, np.ndarray], varying: Varying) -> list[dict[str, np.ndarray]]:
    """The inputs, and where sizes vary the same with larger and with smaller ones."""
    if not varying:
        return [inputs]
    longer, shorter = dict(inputs), dict(inputs)
    for name, axes in varying.items():
        for axis in axes:
            size = inputs[name].shape[axis]
            longer[name] = np.concatenate([longer[name]] * 3, axis).take(np.arange(2 * size + 5), axis)
            shorter[name] = shorter[name].take(np.arange(max(1, size - 3)), axis)
    return [inputs, longer, shorter]


def _disagreement(graph: bytes, inputs: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """The largest difference, relative to the largest answer, where it is beyond what is allowed; else 0."""
    run, worst = onnx_runtime(graph), 0.0
    for rows in (slice(None), slice(0, 1)):
        got = run({name: values[rows] for name, values in inputs.items()})
        for name, theirs in expected.items():
            scale = max(1.0, float(np.abs(theirs).max()))
            worst = max(worst, float(np.abs(got[name] - theirs[rows]).max()) / scale)
    return worst if not worst <= AGREE else 0.0


def _unfolded(model: nn.Module, tensors: dict[str, Tensor], outputs: list[str], varying: Varying) -> bytes:
    """With every weight as it is stored, where folding would compute new ones, such as tables of positions."""
    return _traced(model, tensors, outputs, varying, fold=False)


def _traced(
    model: nn.Module, tensors: dict[str, Tensor], outputs: list[str], varying: Varying, fold: bool = True
) -> bytes:
    file = io.BytesIO()
    torch.onnx.export(
        model,
        tuple(tensors.values()),
        file,  # pyrefly: ignore[bad-argument-type] - the trace-based exporter takes a file object
        dynamo=False,
        input_names=list(tensors),
        output_names=outputs,
        dynamic_axes={name: {0: "rows"} | _steps(name, varying) for name in (*tensors, *outputs)},
        opset_version=onnx_file.opset(model, OPSET),
        do_constant_folding=fold,
        training=torch.onnx.TrainingMode.PRESERVE,  # batch norm stays apart from the layer before it
    )
    return onnx_file.splice(file.getvalue(), model)


def _steps(name: str, varying: Varying) -> dict[int, str]:
    return {axis: f"size{axis}_{name}" for axis in varying.get(name, ())}


def _dynamo(model: nn.Module, tensors: dict[str, Tensor], outputs: list[str], varying: Varying) -> bytes:
    rows = torch.export.Dim("rows")
    shapes = {
        name: {place: torch.export.Dim(axis) for place, axis in _steps(name, varying).items()} for name in tensors
    }
    program = torch.onnx.export(
        model,
        tuple(tensors.values()),
        dynamo=True,
        input_names=list(tensors),
        output_names=outputs,
        dynamic_shapes=(tuple({0: rows} | shapes[name] for name in tensors),),
        verbose=False,
    )
    assert program is not None
    return program.model_proto.SerializeToString()


def _first_line(error: Exception) -> str:
    """What an exporter has to say, without colours."""
    lines = COLOURS.sub("", str(error)).splitlines()
    return lines[0][:150] if lines else type(error).__name__


def _quietly(export: Callable[..., bytes], *args: Any) -> bytes:
    """Exporters talk on every channel about their own future; none of it is for the user."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            return export(*args)
        finally:
            logging.disable(logging.NOTSET)
