"""A bundle's network as a program of `torch.export`, which PyTorch opens without Lamina.

The program is what is between encoded inputs and raw outputs; how columns become inputs is the bundle's.
"""

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor, nn

from lamina import models
from lamina.config import BundleError
from lamina.deploy.bundle import Bundle
from lamina.deploy.bundle.strict_json import first_line
from lamina.deploy.exporting import model_card
from lamina.deploy.predictor import Predictor
from lamina.deploy.session import Session
from lamina.resources import disk
from lamina.schema import Spec

AGREE = 1e-5  # of the largest answer
ONNX = "Export with --format onnx."
README = """# {title} as a program of PyTorch

`model.pt2` is the network alone, written by `torch.export`; it opens without Lamina:

```python
import torch
from safetensors.torch import load_file

network = torch.export.load("model.pt2").module()
example = load_file("example.safetensors")
inputs = {{name[3:]: values for name, values in example.items() if name.startswith("in.")}}
outputs = network(inputs)
for name, values in outputs.items():
    assert torch.allclose(values, example["out." + name], atol=1e-4)
```

It takes a dict of encoded inputs, with any number of rows:

| input | shape | type |
| --- | --- | --- |
{inputs}

and gives raw outputs: {outputs}. How columns become these inputs, and outputs become answers, is not in the program:
the bundle does it (`preprocess.json`, `task.json`), by `lamina.load` in Python.
"""


def write(bundle: Bundle, path: Path) -> None:
    """Write the program, inputs with their outputs to check it by, how to open it, and the card of the model.

    Errors: BundleError where the network is had as a graph only, or gives other answers as a program.
    """
    model, predictor = bundle.model, Predictor(bundle)
    if models.is_graph_only(model.kind):
        raise BundleError(str(bundle.path), "", f"{model.kind} is served by its graph only", ONNX)
    network = models.load_network(model.kind, model.config, model.spec, bundle.files["weights.safetensors"])
    inputs, outputs = _example(predictor)
    try:
        program = _export(network, inputs, model.spec)
    except Exception as error:  # the exporter raises anything at all
        reason = f"cannot be written as a program ({first_line(error)})"
        raise BundleError(str(bundle.path), "", reason, ONNX) from None
    _check(program.module(), inputs, outputs, bundle)
    file = io.BytesIO()
    torch.export.save(program, file)
    disk.write_bytes(path / "model.pt2", file.getvalue())
    example = {f"in.{name}": values for name, values in inputs.items()}
    example |= {f"out.{name}": values for name, values in outputs.items()}
    body = save({name: np.ascontiguousarray(values) for name, values in example.items()})
    disk.write_bytes(path / "example.safetensors", body)
    rows = [f"| {name} | {_shape(model.spec, name, values)} | {values.dtype} |" for name, values in inputs.items()]
    readme = README.format(title=predictor.id, inputs="\n".join(rows), outputs=", ".join(f"`{n}`" for n in outputs))
    disk.write_text(path / "README.md", readme)
    model_card.write(bundle, path / "MODEL_CARD.md")


def _shape(spec: Spec, name: str, values: np.ndarray) -> str:
    sizes = spec.inputs[name].shape if name in spec.inputs else values.shape[1:]
    return ", ".join(("rows", *("any" if size is None else str(size) for size in sizes)))


def _example(predictor: Predictor) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What the golden rows are as inputs of the network, and what it gives for them: at least two rows."""
    calls = list[dict[str, np.ndarray]]()

    def record(inputs: Any) -> dict[str, np.ndarray]:
        calls.append(dict(inputs))
        return predictor.run(inputs)

    runs: dict[str, Any] = {name: partial(predictor.run, graph=name) for name in predictor.graphs}
    session = Session(predictor.task, predictor.prep, predictor.spec, predictor.config, {**runs, "model": record})
    session.assets, session.golden = predictor.assets, predictor.golden
    session.task.replay(session, predictor.golden)
    inputs = {name: np.repeat(values, 2, 0)[: max(2, len(values))] for name, values in calls[0].items()}
    return inputs, predictor.run(inputs)


def _export(network: nn.Module, inputs: dict[str, np.ndarray], spec: Spec) -> torch.export.ExportedProgram:
    """The program, with any number of rows, and any size where inputs have it."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in inputs.items()}
    rows = torch.export.Dim("rows")
    shapes = {name: {0: rows} | _varying(spec, name) for name in tensors}
    return torch.export.export(network, (tensors,), dynamic_shapes=(shapes,))


def _varying(spec: Spec, name: str) -> dict[int, Any]:
    sizes = spec.inputs[name].shape if name in spec.inputs else ()
    return {axis: torch.export.Dim.AUTO for axis, size in enumerate(sizes, 1) if size is None}


def _check(program: Any, inputs: dict[str, np.ndarray], outputs: dict[str, np.ndarray], bundle: Bundle) -> None:
    """Errors: BundleError where the program does not give the bundle's own answers, to all rows and to one alone."""
    for rows in (slice(None), slice(0, 1)):
        tensors = {name: torch.from_numpy(np.ascontiguousarray(values[rows])) for name, values in inputs.items()}
        with torch.inference_mode():
            answers: dict[str, Tensor] = program(tensors)
        for name, values in outputs.items():
            worst = float(np.abs(answers[name].float().numpy() - values[rows]).max())
            if not worst <= AGREE * max(1.0, float(np.abs(values).max())):
                reason = f"has other answers as a program ({name} differs by {worst:.1e})"
                raise BundleError(str(bundle.path), "", reason, ONNX)
