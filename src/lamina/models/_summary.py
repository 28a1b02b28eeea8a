"""What a network is made of, layer by layer, as one pass over a few rows shows it."""

from typing import Any

import torch
from torch import Tensor, nn

from lamina.schema import Spec

ROWS = 7  # a number that no layer is likely to have as a size, so that the batch can be told from the rest


def example(spec: Spec, rows: int = ROWS) -> dict[str, Tensor]:
    """Inputs of zeros of the right shapes and types; an open dimension is 8 long."""
    dtypes = {"float32": torch.float32, "int64": torch.int64, "uint8": torch.uint8}
    return {
        name: torch.zeros((rows, *(8 if n is None else n for n in feed.shape)), dtype=dtypes[feed.dtype])
        for name, feed in spec.inputs.items()
    }


@torch.no_grad()
def summary(model: nn.Module, spec: Spec) -> list[dict[str, Any]]:
    """Rows of `layer`, `output` (shape of one row) and `parameters`, in the order of computation."""
    rows: list[dict[str, Any]] = []
    handles = []
    inside = [f"{name}." for name, module in model.named_modules() if _whole(module)]
    for name, module in model.named_modules():
        if name and not name.startswith(("loss", *inside)) and (_whole(module) or not any(module.children())):
            handles.append(module.register_forward_hook(_note(rows, name, module)))
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    model({name: value.to(device) for name, value in example(spec).items()})
    model.train(was_training)
    for handle in handles:
        handle.remove()
    called = {row.pop("name") for row in rows}
    for name, module in model.named_modules():
        idle = not any(module.children()) and name not in called and not name.startswith(("loss", *inside))
        if idle and not _whole(module):  # a discriminator, which only training asks
            rows += [_own(name, key, p) for key, p in module.named_parameters(recurse=False)]
            continue
        bare = any(module.children()) or isinstance(module, nn.ParameterList)  # what is never called itself
        if bare and not _whole(module) and not name.startswith(tuple(inside)):
            rows += [_own(name, key, p) for key, p in module.named_parameters(recurse=False)]
    return rows


def _whole(module: nn.Module) -> bool:
    """A module whose class says `whole = True` is one row, whatever it is made of."""
    return bool(vars(type(module)).get("whole"))


def _own(module: str, name: str, weight: Tensor) -> dict[str, Any]:
    """A weight that belongs to no layer."""
    label = f"{module}.{name}" if module else name
    return {"layer": label, "output": "", "parameters": weight.numel()}


def _note(rows: list[dict[str, Any]], name: str, module: nn.Module) -> Any:
    parameters = sum(p.numel() for p in module.parameters(recurse=_whole(module)))

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if parameters and any(row["name"] == name for row in rows):  # called again, as a cell is for each step
            return
        output = output[0] if isinstance(output, tuple) else output
        shape = list(output.shape) if isinstance(output, Tensor) else []
        if ROWS in shape:
            shape.remove(ROWS)
        label = f"{name} ({type(module).__name__})"
        rows.append(
            {
                "name": name,
                "layer": label,
                "output": " x ".join(map(str, shape)),
                "parameters": parameters,
            }
        )

    return hook
