"""Losses and heads as plug-ins: a stranger's loss has weights of its own, a stranger's head needs no edit of ours."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from lamina import losses, models
from lamina.config import RecipeError, parse
from lamina.deploy import onnx_export
from lamina.deploy.bundle import onnx_graph
from lamina.deploy.bundle.tensors import weights
from lamina.deploy.predictor import onnx_runtime
from lamina.plugins import available, plugin
from lamina.schema import Batch, Input, Output, Spec
from lamina.train import batches, checkpoint, settings
from lamina.train.device import decide
from lamina.train.fit import Hooks, fit
from lamina.train.settings import Examples

CENTRES = '''
"""Distance to a learned centre of each class: the centres are weights of the loss."""

import torch
from torch import nn


class Loss(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.centres = nn.Parameter(torch.eye(output.size))

    def forward(self, raw, target):
        return (raw - self.centres[target]).square().sum(-1).mean()
'''

TAGGER = '''
"""Scores of several words for each row, one row after the other."""

from typing import Any, Literal

import torch.nn.functional as F
from torch import nn

from lamina import config, losses
from lamina.layers.basic import Flat

HEADS = frozenset({"tags"})


class Config(config.Config):
    kind: Literal["toytagger"] = "toytagger"


def training(cfg, spec) -> dict[str, Any]:
    return {"epochs": 30, "batch_size": 16, "lr": 0.05}


class Model(nn.Module):
    parts = ("",)

    def __init__(self, cfg, spec):
        super().__init__()
        self.flat, self.size = Flat(spec), spec.output.size
        self.head = nn.Linear(self.flat.width, 3 * self.size)
        self.loss = losses.loss(spec.output)

    def forward(self, inputs):
        return {"tags": self.head(self.flat(inputs)).unflatten(1, (3, self.size))}

    def losses(self, batch):
        yield "", self.loss(self(batch.inputs)["tags"], batch.target, batch.lengths)
'''

RAGGED = '''
"""Cross-entropy of as many words as each row has."""

import torch
import torch.nn.functional as F
from torch import nn


class Loss(nn.Module):
    def __init__(self, output):
        super().__init__()

    def forward(self, raw, target, lengths):
        assert ((target >= 0).sum(1) == lengths).all()
        return F.cross_entropy(raw.flatten(0, 1), target.flatten(), ignore_index=-1)
'''

NUMBERS = {"number": Input(kind="number", shape=(3,), dtype="float32", edges=((-1.0, 0.0, 1.0),) * 3)}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder of plug-ins, which no other test sees."""
    for name, body in (("losses/toycentres", CENTRES), ("losses/toyragged", RAGGED), ("models/toytagger", TAGGER)):
        file = tmp_path / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(body.lstrip())
    paths = {package: list(package.__path__) for package in (losses, models)}
    monkeypatch.setenv("LAMINA_PLUGINS", str(tmp_path))
    yield tmp_path
    for package, path in paths.items():
        package.__path__[:] = path
    for name in [name for name in sys.modules if ".toy" in name]:
        del sys.modules[name]


def examples(count: int, seed: int) -> Examples:
    x = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    return Examples({"number": x}, x.argmax(1))


def hooks(folder: Path | None = None) -> Hooks:
    def validate(raw: dict[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
        wrong = float((next(iter(raw.values())).argmax(-1) != target).mean())
        return {"loss": wrong, "wrong": wrong}

    return Hooks(validate, folder=folder)


def trained(spec: Spec, name: str, train: Examples, folder: Path | None = None) -> tuple[Any, dict[str, torch.Tensor]]:
    faults: list[str] = []
    cfg = parse(plugin("models", name).Config, {"kind": name}, "model", faults)
    assert cfg is not None, faults
    model = models.build(cfg, spec, 0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    how = decide({"epochs": 5, "device": "cpu", "threads": 1}, models.training(cfg, spec), model, train)
    list(fit(model, train, train, how, hooks(folder)))
    return model, before


def test_every_loss_is_a_file_with_a_class_and_unknown_ones_are_a_sentence():
    for name in available("losses"):
        assert plugin("losses", name).__doc__
        assert issubclass(plugin("losses", name).Loss, torch.nn.Module)
    with pytest.raises(RecipeError, match=r"there is no 'cross_entropi'\. Did you mean 'cross_entropy'"):
        losses.loss(Output(head="logits", size=3, loss="cross_entropi"))


@pytest.mark.parametrize("name", ["linear", "fnn"])
def test_weights_of_a_loss_are_trained_and_kept_in_checkpoints_and_never_served(folder, name):
    spec = Spec(inputs=NUMBERS, output=Output(head="value", size=3, loss="toycentres"))
    model, before = trained(spec, name, examples(64, 0), folder / "checkpoints")
    key = "loss.one.centres"
    assert not torch.equal(before[key], model.state_dict()[key])
    saved = checkpoint.read(folder / "checkpoints")
    assert saved is not None
    assert {f"model/{key}", f"best/{key}"} <= set(saved[0])
    assert any(n.startswith("optimizer/") and v.shape == (3, 3) and v.any() for n, v in saved[0].items())

    served, body = models.weights(model), save({k: v.contiguous() for k, v in models.weights(model).items()})
    assert key not in served and set(served) == set(model.state_dict()) - {key}
    inputs = examples(20, 1).inputs
    graph, reason = onnx_export.onnx(models.served(model)["model"], dict(inputs))
    assert graph is not None, reason
    onnx_graph.check(graph, weights(body))
    config = plugin("models", name).Config().model_dump(mode="json")
    answers = [run(dict(inputs))["target"] for run in (onnx_runtime(graph), models.runtime(name, config, spec, body))]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)
    assert not any("centres" in row["layer"] for row in models.summary(model, spec))


def test_a_head_of_ones_own_is_learned_and_no_other_network_takes_it(folder):
    spec = Spec(inputs=NUMBERS, output=Output(head="tags", size=4, loss="toyragged"))
    assert [name for name in available("models") if models.suits(name, spec)] == ["toytagger"]
    assert models.choice(None, spec).kind == "toytagger"
    plain = Spec(inputs=NUMBERS, output=Output(head="logits", size=4, loss="cross_entropy"))
    assert models.suits("toytagger", plain) == 0
    with pytest.raises(RecipeError, match=r"fnn cannot take these inputs \(number\)\. Use one of toytagger"):
        models.build(plugin("models", "fnn").Config(), spec, 0)
    inputs = examples(96, 0)
    words = np.stack([inputs.target, (inputs.target + 1) % 3, np.full(96, 3)], axis=1)
    lengths = np.random.default_rng(0).integers(1, 4, 96)
    words[np.arange(3) >= lengths[:, None]] = -1
    model, _ = trained(spec, "toytagger", Examples(inputs.inputs, words, lengths))
    raw = model({"number": torch.from_numpy(examples(200, 1).inputs["number"])})["tags"].argmax(2).numpy()
    assert (raw[:, 0] == examples(200, 1).target).mean() > 0.8


def test_a_head_that_nobody_has_is_a_sentence():
    spec = Spec(inputs=NUMBERS, output=Output(head="boxes", size=4, loss="mse"))
    with pytest.raises(RecipeError, match="no architecture gives 'boxes'"):
        models.build(plugin("models", "fnn").Config(), spec, 0)


def test_lengths_of_a_ragged_target_stay_with_their_rows():
    target, lengths = np.full((50, 6), -1), np.random.default_rng(0).integers(0, 7, 50)
    for row, length in enumerate(lengths):
        target[row, :length] = row
    data = batches.tensors({"number": np.arange(50, dtype=np.float32)[:, None]}, target, torch.device("cpu"), lengths)
    seen = 0
    for batch in batches.epoch(data, 8, 0, 0):
        assert torch.equal((batch.target >= 0).sum(1), batch.lengths)
        assert all((row[row >= 0] == x).all() for row, x in zip(batch.target, batch.inputs["number"], strict=True))
        seen += len(batch.lengths)
    assert seen == 50
    plain = batches.tensors({"number": np.zeros((5, 1), np.float32)}, np.zeros(5), torch.device("cpu"))
    assert all(batch.lengths is None for batch in batches.epoch(plain, 2, 0, 0))
    assert Batch({}).lengths is None
    assert settings.Examples({}, target).lengths is None
