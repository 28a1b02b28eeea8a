"""What a network is made of, layer by layer, as one pass over two rows shows it."""

from typing import Any

import torch
from torch import Tensor, nn

from lamina.schema import Spec


def example(spec: Spec, rows: int = 2) -> dict[str, Tensor]:
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
    for name, module in model.named_modules():
        if name and not any(module.children()) and not name.startswith("loss"):
            handles.append(module.register_forward_hook(_note(rows, name, module)))
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    model({name: value.to(device) for name, value in example(spec).items()})
    model.train(was_training)
    for handle in handles:
        handle.remove()
    counted = sum(row["parameters"] for row in rows)
    total = sum(p.numel() for p in model.parameters())
    if total != counted:
        rows.append({"layer": "other weights", "output": "", "parameters": total - counted})
    return rows


def _note(rows: list[dict[str, Any]], name: str, module: nn.Module) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
        label = f"{type(module).__name__} {name}"
        rows.append(
            {
                "layer": label,
                "output": " x ".join(map(str, shape)),
                "parameters": sum(p.numel() for p in module.parameters(recurse=False)),
            }
        )

    return hook
