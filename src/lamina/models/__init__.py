"""Stage 3: architectures. One file is one architecture, named by the file, with

- `Config`: its settings, with `kind: Literal["<name>"]`;
- `training(cfg, spec) -> dict`: train settings that suit it (used where the recipe says nothing);
- `HEADS`: what it can answer, a frozenset of the heads in `schema.Output`; any that are a `target` (rows, size) where
  it says nothing;
- `suits(spec) -> float`, where it is made for something: how well, 0 to 1, and 0 for inputs it cannot take; the one
  that suits best is taken where the recipe names none, and `fnn` where none is made for the data;
- `ALIASES`, where other tools have other names for it;
- `example(spec) -> dict`, where a setting has no default or the usual network is large: settings to try it with, for
  the contract tests;
- `column_settings(cfg) -> dict`: by kind, settings of the columns it is fed, used where the recipe says none;
- `example_rows(count, seed) -> (Spec, Batch)`, where its head is its own: what it is built for, and arrays of rows to
  learn from, for the contract tests;
- `folds(cfg) -> int`, where networks in it leave rows out: into how many parts the rows are cut. Its batches then have
  the input `fold` (rows,), the part of each row; asked with it, it answers by what has not learned from the row;
- `PRESETS`, where another architecture is taken when the data decide: by preset, the name of that one;
- `EVALUATE_CORRUPTIONS = True`, where the report is to say what compressed, blurred and shrunk images do to its
  answers;
- `EARLIER_NAMES = {"critic": "discriminator"}`, where sub-modules had other names in bundles of earlier versions;
- `GRAPH_ONLY = True`, where the network cannot be built again from a bundle alone: it is then served by its graph;
- `Model(cfg, spec)`: an `nn.Module` with `parts`, `forward(inputs) -> {"target": (rows, size)}` and
  `losses(batch)`, which yields `(part, loss)`; the loop steps that part and resumes the generator.

An ordinary network has one part, the module itself: `parts = ("",)`. A GAN names two sub-modules:

    parts = ("discriminator", "generator")

    def losses(self, batch):
        fake = self.generator(self.noise(batch))
        yield "discriminator", self.discriminator_loss(batch, fake.detach())
        yield "generator", self.generator_loss(fake)          # sees the updated discriminator

`losses.loss(spec.output)` is the loss that the task names. Where only a part of a network is served, or several parts
by themselves, it says which; each is exported as a graph of its own, and `model` is the one that answers:

    def served(self):
        return {"model": self.generator, "discriminator": self.scores}

A network with the head `sample` has a setting `latent`, the numbers that something new is made of. Its
`forward(inputs)` evaluates rows that there are: first the `loss` of each, (rows, 1), then by other names what it is
made of or features (rows, features) of the `real` ones and of as many `fake` ones. Served as `model` is what makes new
ones: from `noise` (rows, latent) and, where there are classes, `condition` (rows, 1) int64, to `image` (rows, height,
width, channels), 0 to 255, or to `row` (rows, width), where a choice is scores; as many numbers more as there are ways
say the logarithm of the spread of each. Served as `discriminator` may be what tells real ones from fake ones: from rows
as the network is fed, as float32, and their `condition` to a `score` (rows, 1), the higher the realer.

A network with the head `tokens` reads ids of tokens and says how likely each next one was: `forward({"tokens": (rows,
steps + 1)})` gives `nll` (rows, steps), the negative log likelihood in nats of each token after the first, 0 where that
is padding, id 0, and `best`, that of the most likely token there. It serves that as `model`, and `step`: from `tokens`
(rows, 1), `state0`, `state1` ... (rows, ...) float32, zeros at first, and perhaps `position` (rows, 1), the number of
tokens before, to the `logits` (rows, vocabulary) of the next one and the new states, by the same names. Its module says
with `step_inputs(cfg, spec)` what `step` takes beside `tokens`: by name, the sizes behind the rows.

A network may learn from rows that go on from batch to batch: it then says `stateful = True`, and keeps in `state`, a
list of tensors, what a batch with `continues` goes on from. Checkpoints hold it.

Four more methods, each where it is needed:

    def initialize(self, train, validation):  # better weights than chance to begin from, found in batches of all rows
        ...                                   # (NumPy arrays, or windows of a series)

    def finalize(self, inputs):               # what is learned at once from training rows, when the weights are found
        ...

    def learner(self):                        # of a network that is frozen in part: the module that is trained, with
        return self.head                      # `parts`, `forward` and `losses` of its own

    def precompute(self, inputs):             # and arrays of all rows to the arrays that `learner` takes, once
        return {"features": ...}
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lamina.config import BundleError, RecipeError, parse
from lamina.plugins import Settings, available, plugin, setting_names, settings_of
from lamina.schema import TARGET_HEADS, Batch, Column, Preset, Spec

DEFAULT, GENERAL = "fnn", 0.1
EFFORT: Mapping[Preset, float] = {"fast": 0.3, "default": 1.0, "accurate": 3.0}  # of the epochs that suit

Raw = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def suits(name: str, spec: Spec) -> float:
    """How well an architecture fits some inputs and a head, 0 when it cannot take them."""
    module = vars(plugin("models", name))
    if spec.output.head not in module.get("HEADS", TARGET_HEADS):
        return 0.0
    return module["suits"](spec) if "suits" in module else GENERAL


def choice(cfg: Any, spec: Spec, preset: Preset = "default") -> Any:
    """The settings of a recipe, or the architecture that suits best, with the settings that name none. Where that has
    another one for the `preset`, and this has all of these settings, it is taken.

    Errors: RecipeError where that architecture has no such setting.
    """
    if cfg is not None and not isinstance(cfg, Settings):
        return cfg
    best = max((DEFAULT, *available("models")), key=lambda name: suits(name, spec))
    other = vars(plugin("models", best)).get("PRESETS", {}).get(preset, best)
    if suits(other, spec) and (cfg is None or cfg.values.keys() <= setting_names("models", other)):
        best = other

    def cure() -> str:
        values = cfg.values if cfg else {}
        others = [name for name in available("models") if values.keys() <= setting_names("models", name)]
        other = max(others, key=lambda name: suits(name, spec), default=best)
        able = best not in others and suits(other, spec)
        another = f" Name another one that has it: --model {other}" if able else ""
        return f"The network is {best}, which suits these data best.{another}"

    return settings_of("models", best, cfg, "model", cure)


def columns_for(cfg: Any, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Columns with the settings that the architecture of a recipe wants for their kinds, where none are said."""
    module = {} if cfg is None or "kind" not in vars(cfg) else vars(plugin("models", cfg.kind))
    usual = module["column_settings"](cfg) if "column_settings" in module else {}
    return tuple(c.model_copy(update={"settings": {**usual.get(c.kind, {}), **c.settings}}) for c in columns)


def build(cfg: Any, spec: Spec, seed: int) -> Any:
    """The network of a checked model choice, for a spec; the same seed gives the same weights."""
    import torch

    check_inputs(cfg, spec)
    torch.manual_seed(seed)
    return plugin("models", cfg.kind).Model(cfg, spec)


def check_inputs(cfg: Any, spec: Spec) -> None:
    """Errors: RecipeError where an architecture is not for these inputs or this head."""
    if not suits(cfg.kind, spec):
        raise RecipeError([_refusal(cfg.kind, spec)])


def _refusal(name: str, spec: Spec) -> str:
    """Why an architecture is not for these inputs or this head, and which are."""
    able = [other for other in available("models") if suits(other, spec)]
    if not able:
        cure = "Install a plug-in that has this head, or choose another task"
        return f"model: no architecture gives '{spec.output.head}' for these inputs. {cure}."
    inputs = ", ".join(sorted({feed.kind for feed in spec.inputs.values()}))
    return f"model: {name} cannot take these inputs ({inputs}). Use one of {', '.join(able)}."


def served(model: Any) -> dict[str, Any]:
    """The parts of a network that are exported, by the name of their graph; `model` is the one that answers."""
    return model.served() if _has(model, "served") else {"model": model}


def step_inputs(cfg: Any, spec: Spec) -> dict[str, tuple[int, ...]]:
    """What the graph `step` of an architecture takes beside `tokens`: by name, the sizes behind the rows."""
    return plugin("models", cfg.kind).step_inputs(cfg, spec)


def is_stateful(model: Any) -> bool:
    """Whether a network can go on from its `state` after the batch before."""
    return _has(model, "stateful")


def learner(model: Any) -> Any:
    """What is trained: the network itself, or what follows the part of it that `precompute` computes."""
    return model.learner() if _has(model, "learner") else model


def precompute(model: Any, examples: Any, device: Any = "cpu") -> Any:
    """Examples (a dataclass with `inputs`) as `learner` takes them, computed on a device by a network that stays on the
    CPU.
    """
    if not _has(model, "precompute"):
        return examples
    inputs = model.to(device).precompute(examples.inputs)
    model.to("cpu")
    return replace(examples, inputs=inputs)


def initialize(model: Any, train: Any, validation: Any) -> None:
    """Let a network look at the rows for weights to begin from, where it can."""
    if _has(model, "initialize"):
        model.initialize(*(Batch(part.inputs, part.target, part.lengths) for part in (train, validation)))


def finalize(model: Any, examples: Any, most: int = 20_000) -> None:
    """What is learned at once, from tensors of at most as many training rows, evenly spread, after all steps."""
    if not _has(model, "finalize"):
        return
    import torch

    every = max(1, -(-len(examples.target) // most))
    device = next(model.parameters()).device
    model.finalize(
        {n: torch.from_numpy(np.ascontiguousarray(v[::every])).to(device) for n, v in examples.inputs.items()}
    )


def _has(model: Any, name: str) -> bool:
    """Whether the class of a network, or one it inherits from, defines a method of the contract."""
    return any(name in vars(cls) for cls in type(model).__mro__)


def evaluates_corruptions(name: str) -> bool:
    """Whether the report of this architecture says what damaged images do to its answers."""
    return bool(vars(plugin("models", name)).get("EVALUATE_CORRUPTIONS"))


def is_graph_only(name: str) -> bool:
    """Whether a bundle of this architecture can be opened by its graph only."""
    return bool(vars(plugin("models", name)).get("GRAPH_ONLY"))


def training(cfg: Any, spec: Spec, preset: Preset = "default") -> dict[str, Any]:
    """Train settings that suit an architecture and a size of data: epochs by the preset, but for an ensemble, which
    takes more time for its networks.
    """
    settings, effort = plugin("models", cfg.kind).training(cfg, spec), EFFORT[preset]
    if preset == "default" or (effort > 1 and folds(cfg)):
        return settings
    scaled = {name: max(1, round(settings[name] * effort)) for name in ("epochs", "patience") if settings.get(name)}
    return {**settings, **scaled}


def folds(cfg: Any) -> int:
    """Into how many parts an architecture wants the rows to be cut; 0 where all of it learns from all of them."""
    module = vars(plugin("models", cfg.kind))
    return module["folds"](cfg) if "folds" in module else 0


def weights(model: Any) -> dict[str, Any]:
    """The tensors that a bundle holds: all of a network but those of its losses, which only training needs."""
    from lamina.losses import without_losses

    return without_losses(model)


def load_network(kind: str, config: dict[str, Any], spec: Spec, body: bytes) -> Any:
    """The network of a bundle that answers, with its weights. Sizes are checked before memory is given."""
    import torch
    from safetensors.torch import load

    if is_graph_only(kind):
        cure = "Get a bundle that asks for onnx."
        raise BundleError("model.json", "runtime", f"is torch, and {kind} is served by its graph only", cure)
    faults: list[str] = []
    cfg = parse(plugin("models", kind).Config, config, "config", faults)
    if cfg is None:
        raise BundleError("model.json", "config", faults[0].rstrip("."), "Get a fresh copy of the bundle.")
    with torch.device("meta"):
        shapes = {k: (v.shape, v.dtype) for k, v in weights(plugin("models", kind).Model(cfg, spec)).items()}
    tensors = {_current_name(kind, name): value for name, value in load(body).items()}
    finite = all(torch.isfinite(v).all() for v in tensors.values())
    if not finite or shapes != {k: (v.shape, v.dtype) for k, v in tensors.items()}:
        cure = "Get a fresh copy of the bundle."
        raise BundleError("weights.safetensors", "", "does not hold the finite tensors that model.json implies", cure)
    model = build(cfg, spec, 0)
    model.load_state_dict(tensors, strict=False)  # all but a loss, which nothing here asks
    return served(model.eval())["model"]


def _current_name(kind: str, tensor: str) -> str:
    top, dot, rest = tensor.partition(".")
    return vars(plugin("models", kind)).get("EARLIER_NAMES", {}).get(top, top) + dot + rest


def runtime(kind: str, config: dict[str, Any], spec: Spec, body: bytes) -> Raw:
    """Run a network by torch: for networks that no exporter takes."""
    import torch

    network = load_network(kind, config, spec, body)

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            raw = network({name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in inputs.items()})
        return {name: value.float().numpy() for name, value in raw.items()}

    return run


def summary(model: Any, spec: Spec) -> list[dict[str, Any]]:
    """The layers of a network in the order of computation: `layer`, `output` and `parameters`."""
    from lamina.models import _summary

    return _summary.summary(model, spec)
