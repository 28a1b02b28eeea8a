"""Stage 3: architectures. One file is one architecture, named by the file, with

- `Config`: its settings, with `kind: Literal["<name>"]`;
- `training(cfg, spec) -> dict`: train settings that suit it (used where the recipe says nothing);
- `suits(spec) -> float`, where it is made for something: how well, 0 to 1, and 0 for what it cannot take; the one that
  suits best is taken where the recipe names none, and `fnn` where none is made for the data;
- `example(spec) -> dict`, only where a setting has no default: settings to try it with, for the contract tests;
- `tried_by_damage = True`, where the report is to say what compressed, blurred and shrunk pictures do to its answers;
- `GRAPH_ONLY = True`, where the network cannot be built again from a bundle alone: it is then served by its graph;
- `Model(cfg, spec)`: an `nn.Module` with `parts`, `forward(inputs) -> {"target": (rows, size)}` and
  `losses(batch)`, which yields `(part, loss)`; the loop steps that part and resumes the generator.

An ordinary network has one part, the module itself: `parts = ("",)`. A GAN names two sub-modules:

    parts = ("critic", "generator")

    def losses(self, batch):
        fake = self.generator(self.noise(batch))
        yield "critic", self.critic_loss(batch, fake.detach())
        yield "generator", self.generator_loss(fake)          # sees the updated critic

A network that makes pictures or rows says `generates = True` in its file and has a setting `latent`, the numbers that
something new is made of. Its `forward(inputs)` judges rows that there are: first the `loss` of each, (rows, 1), and by
other names what it is made of, or features (rows, features) of the `real` ones and of as many `fake` ones. Its part
`generator` is what is exported: from `noise` (rows, latent) and, where there are classes, `condition` (rows, 1) int64,
to `image` (rows, height, width, channels), 0 to 255, or to `row` (rows, width), where a choice is scores; as many
numbers more as there are ways say the logarithm of the spread of each.

Where another part of it tells real ones from made ones, a method `judge()` gives the module that does. It is exported
too: from rows as the network is fed, as float32, and their `condition` to a `score` (rows, 1), the higher the realer.

A network that learns something at once from training rows, when its weights are found, has a method `settle(inputs)`.

A network that is frozen in part may compute that part once, before training, with two more methods:

    def learner(self):                  # the module that is trained, with `parts`, `forward` and `losses` of its own
        return self.head

    def prepared(self, inputs):         # arrays of all rows to the arrays that `learner` takes
        return {"features": ...}

A network that knows better weights to begin from than chance puts them in place with one more:

    def begin(self, train, validation): # batches of all rows, as NumPy arrays or windows of a series
        ...
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lamina.config import BundleError, RecipeError, parse
from lamina.plugins import available, plugin
from lamina.schema import Batch, Spec

DEFAULT, GENERAL = "fnn", 0.1
GENERATION = "generation"  # the loss of a task that wants more of what there is

Raw = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def suits(name: str, spec: Spec) -> float:
    """How well an architecture fits some inputs, 0 when it cannot take them."""
    module = vars(plugin("models", name))
    if (spec.output.loss == GENERATION) != ("generates" in module):
        return 0.0
    return module["suits"](spec) if "suits" in module else GENERAL


def choice(cfg: Any, spec: Spec) -> Any:
    """The settings said, or those of the architecture that suits best."""
    if cfg is not None:
        return cfg
    best = max((DEFAULT, *available("models")), key=lambda name: suits(name, spec))
    return plugin("models", best).Config()


def build(cfg: Any, spec: Spec, seed: int) -> Any:
    """The network of a checked model choice, for a spec; the same seed gives the same weights."""
    import torch

    if not suits(cfg.kind, spec):
        inputs = ", ".join(sorted({feed.kind for feed in spec.inputs.values()}))
        able = [name for name in available("models") if suits(name, spec)]
        raise RecipeError([f"model: {cfg.kind} cannot take these inputs ({inputs}). Use one of {', '.join(able)}."])
    torch.manual_seed(seed)
    return plugin("models", cfg.kind).Model(cfg, spec)


def learner(model: Any) -> Any:
    """What is trained: the network itself, or what follows the part of it that `prepared` computes."""
    return model.learner() if "learner" in vars(type(model)) else model


def prepared(model: Any, data: Any) -> Any:
    """A part of the data (a dataclass with `inputs`) as `learner` takes it."""
    return replace(data, inputs=model.prepared(data.inputs)) if "prepared" in vars(type(model)) else data


def settled(model: Any, data: Any, most: int = 20_000) -> None:
    """What is learned at once, from tensors of at most as many training rows, evenly spread, after all steps."""
    if "settle" not in vars(type(model)):
        return
    import torch

    every = max(1, -(-len(data.target) // most))
    where = next(model.parameters()).device
    model.settle({n: torch.from_numpy(np.ascontiguousarray(v[::every])).to(where) for n, v in data.inputs.items()})


def judge(model: Any) -> Any:
    """What tells real pictures or rows from made ones, where a network has that; else None."""
    return model.judge() if "judge" in vars(type(model)) else None


def tried_by_damage(name: str) -> bool:
    """Whether the report of this architecture says what damaged pictures do to its answers."""
    return bool(vars(plugin("models", name)).get("tried_by_damage"))


def begun(model: Any, train: Any, validation: Any) -> None:
    """Let a network look at the rows for weights to begin from, where it can."""
    if "begin" in vars(type(model)):
        model.begin(*(Batch(part.inputs, part.target) for part in (train, validation)))


def graph_only(name: str) -> bool:
    """Whether a bundle of this architecture can be opened by its graph only."""
    return bool(vars(plugin("models", name)).get("GRAPH_ONLY"))


def training(cfg: Any, spec: Spec) -> dict[str, Any]:
    """Train settings that suit an architecture and a size of data."""
    return plugin("models", cfg.kind).training(cfg, spec)


def runtime(kind: str, config: dict[str, Any], spec: Spec, weights: bytes) -> Raw:
    """Run a network by torch: for networks that no exporter takes. Sizes are checked before memory is given."""
    import torch
    from safetensors.torch import load

    if graph_only(kind):
        cure = "Get a bundle that asks for onnx."
        raise BundleError("model.json", "runtime", f"is torch, and {kind} is served by its graph only", cure)
    faults: list[str] = []
    cfg = parse(plugin("models", kind).Config, config, "config", faults)
    if cfg is None:
        raise BundleError("model.json", "config", faults[0].rstrip("."), "Get a fresh copy of the bundle.")
    with torch.device("meta"):
        wanted = {k: (v.shape, v.dtype) for k, v in plugin("models", kind).Model(cfg, spec).state_dict().items()}
    tensors = load(weights)
    finite = all(torch.isfinite(v).all() for v in tensors.values())
    if not finite or wanted != {k: (v.shape, v.dtype) for k, v in tensors.items()}:
        cure = "Get a fresh copy of the bundle."
        raise BundleError("weights.safetensors", "", "does not hold the finite tensors that model.json implies", cure)
    model = build(cfg, spec, 0)
    model.load_state_dict(tensors)
    model.eval()
    model = model.generator if spec.output.loss == GENERATION else model

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            found = model({name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in inputs.items()})
        return {name: value.float().numpy() for name, value in found.items()}

    return run


def summary(model: Any, spec: Spec) -> list[dict[str, Any]]:
    """The layers of a network in the order of computation: `layer`, `output` and `parameters`."""
    from lamina.models import _summary

    return _summary.summary(model, spec)
