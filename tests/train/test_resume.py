"""A run that is killed at any moment and gone on with is the run that was left alone, bit for bit."""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import service_tools
import warm_python
from conftest import customers, write_csv
from lamina import models
from lamina.config import Interrupted, LaminaError, RecipeError, TrainingError, parse
from lamina.deploy.bundle import open_bundle
from lamina.models import cnn
from lamina.plugins import plugin
from lamina.recipe import build
from lamina.run import Run
from lamina.schema import Batch, Input, Output, Row, Spec
from lamina.train import checkpoint, fit, loop, progress, settings
from lamina.train.settings import Examples

ROWS, BATCH = 200, 32
CLOCK = ("rate", "seconds", "left")
KILL = Path(__file__).parents[2] / "benchmarks" / "kill.py"
SPEC = Spec(
    inputs={
        "category": Input(kind="category", shape=(2,), dtype="int64", sizes=(4, 14)),
        "number": Input(kind="number", shape=(3,), dtype="float32", edges=((-1.0, 0.0, 1.0),) * 3),
        "tokens2": Input(kind="tokens", shape=(5,), dtype="int64", sizes=(40,)),
    },
    output=Output(head="logits", size=1, loss="binary_cross_entropy"),
)
IMAGES = SPEC.model_copy(update={"inputs": {"image3": Input(kind="image", shape=(8, 8, 3), dtype="uint8")}})
LAYERS = [{"dense": {"units": 16, "activation": "relu"}}, "batchnorm", {"dropout": 0.3}, {"dense": 1}]
NETWORKS: dict[str, dict[str, Any]] = {
    "fnn": {"kind": "fnn", "width": 16, "depth": 1, "members": 2, "dropout": 0.3},
    "linear": {"kind": "linear"},
    "cnn": {"kind": "cnn", "width": 4},
    "gru": {"kind": "gru", "width": 8, "depth": 2, "dropout": 0.3},
    "sequential": {"kind": "sequential", "layers": LAYERS},
}
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "adam": ("linear", {"optimizer": "adam"}),
    "adamw, clip, average, cosine, dropout": ("fnn", {"optimizer": "adamw", "clip": 0.5, "ema": 0.9}),
    "sgd with momentum": ("fnn", {"optimizer": "sgd", "lr": 0.05}),
    "sgd without momentum": ("linear", {"optimizer": {"kind": "sgd", "momentum": 0.0}}),
    "muon": ("fnn", {"optimizer": "muon", "lr": 0.02, "schedule": "linear"}),
    "three batches a step": ("fnn", {"accumulate": 3, "ema": 0.9}),
    "three batches a step, sgd": ("linear", {"accumulate": 3, "optimizer": "sgd"}),
    "batch norm": ("sequential", {"ema": 0.9, "schedule": "one_cycle"}),
    "images, turned and mixed": (
        "cnn",
        {
            "optimizer": "muon",
            "lr": 0.1,
            "augment": ["flip", "rotate", "shift", "colour", "erase", "mixup"],
            "ema": 0.9,
        },
    ),
    "images, trivially augmented": ("cnn", {"augment": ["trivial_augment", "blur", "cutmix"]}),
    "words in order": ("gru", {"clip": 1.0, "ema": 0.9}),
    "patience": ("linear", {"lr": 3.0, "patience": 1, "schedule": "constant"}),
    "two parts": ("two", {"optimizer": "adam", "ema": 0.9}),
}


class TwoParts(nn.Module):
    """A discriminator and a generator in turn; each has dropout, and the second loss sees new weights."""

    parts = ("discriminator", "generator")

    def __init__(self):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.Linear(8, 3))
        self.discriminator = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"target": self.discriminator(self.generator(inputs["number"]))}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        result = self.generator(batch.inputs["number"] + torch.randn(3))
        real, fake = self.discriminator(batch.inputs["number"]), self.discriminator(result.detach())
        yield "discriminator", fake.mean() - real.mean() + (real**2).mean() + (fake**2).mean()
        yield "generator", (self.discriminator(result).squeeze(1) - batch.target).square().mean()


def network(name: str, seed: int = 0) -> nn.Module:
    if name == "two":
        torch.manual_seed(seed)
        return TwoParts()
    faults: list[str] = []
    cfg = parse(plugin("models", name).Config, NETWORKS[name], "model", faults)
    assert not faults
    return models.build(cfg, IMAGES if name == "cnn" else SPEC, seed)


def chosen(**said: Any) -> settings.Config:
    faults: list[str] = []
    exact = {"threads": 1, "precision": "fp32", "device": "cpu"}
    base = {"epochs": 3, "batch_size": BATCH, "checkpoint_every": 1e-9, **exact}
    cfg = parse(settings.Config, base | said, "train", faults)
    assert cfg is not None, faults
    return cfg


def rows_of(count: int, seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    inputs = {
        "category": rng.integers(0, (4, 14), (count, 2)),
        "number": rng.normal(size=(count, 3)).astype(np.float32),
        "tokens2": rng.integers(0, 40, (count, 5)),
    }
    return Examples(inputs, (inputs["number"][:, 0] + rng.normal(size=count) > 0).astype(np.float32))


def images_of(count: int, seed: int) -> Examples:
    result = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return Examples({"image3": result}, (result[:, :, :, 0].mean((1, 2)) > 127).astype(np.float32))


TRAIN, HELD_OUT = rows_of(ROWS, 1), rows_of(80, 2)
TRAIN_IMAGES, HELD_OUT_IMAGES = images_of(ROWS, 1), images_of(80, 2)


def seen_by(model: nn.Module) -> tuple[Examples, Examples]:
    """The rows to train on and those held out."""
    return (TRAIN_IMAGES, HELD_OUT_IMAGES) if isinstance(model, cnn.Model) else (TRAIN, HELD_OUT)


def score(raw: dict[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
    error = (raw["target"][:, 0].astype(np.float64) - target) ** 2
    return {"loss": float(error.mean()), "rmse": float(error.mean() ** 0.5)}


def home(folder: Path | None, stop: Callable[[], bool] = lambda: False) -> fit.Hooks:
    return fit.Hooks(score, 7, folder, stop)


def run(model: nn.Module, cfg: settings.Config, folder: Path | None, train: Examples | None = None) -> list[Row]:
    own, held_out = seen_by(model)
    return list(fit.fit(model, train or own, held_out, cfg, home(folder)))


@pytest.fixture(autouse=True)
def _at_every_step(monkeypatch) -> None:
    """A row, a look at the stop flag and a checkpoint after every step."""
    monkeypatch.setattr(progress, "TICK", -1.0)


def lasting(rows: list[Row]) -> list[Row]:
    """The record of a run without the clock; an epoch told again by a later process replaces the first telling."""
    remaining = {row["epoch"]: {k: v for k, v in row.items() if k not in CLOCK} for row in rows if row["at"] == "epoch"}
    return [remaining[epoch] for epoch in sorted(remaining)]


def state(folder: Path) -> tuple[dict[str, Tensor], Row]:
    """Everything of the last checkpoint but the clock."""
    result = checkpoint.read(folder)
    assert result is not None
    tensors, saved, notes = result
    assert not notes
    return tensors, {k: v for k, v in saved["progress"].items() if k != "elapsed"}


def same(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert value.dtype == theirs[name].dtype, name
        assert value.numpy().tobytes() == theirs[name].numpy().tobytes(), name


@pytest.mark.parametrize("way", WAYS)
def test_a_run_dropped_at_random_steps_ends_in_the_same_bits(way, tmp_path):
    name, sentence = WAYS[way]
    cfg, draw = chosen(**sentence), random.Random(way)
    single = network(name)
    expected = run(single, cfg, tmp_path / "alone")
    records: list[Row] = []
    for drop in (*(draw.randint(1, 8) for _ in range(6)), 1000):
        other = network(name, seed=100 if (tmp_path / "dropped").exists() else 0)  # what is saved must replace it all
        going = fit.fit(other, *seen_by(other), cfg, home(tmp_path / "dropped"))
        records += itertools.islice(going, drop)
        going.close()
    assert records[-1]["at"] == "end"
    assert lasting(records) == lasting(expected)
    same(other.state_dict(), single.state_dict())
    (tensors, progress), (tensors_alone, progress_alone) = state(tmp_path / "dropped"), state(tmp_path / "alone")
    same(tensors, tensors_alone)
    assert progress == progress_alone


@pytest.mark.parametrize("way", ["adamw, clip, average, cosine, dropout", "three batches a step", "two parts"])
def test_a_run_asked_to_stop_says_so_and_ends_in_the_same_bits(way, tmp_path):
    name, sentence = WAYS[way]
    cfg = chosen(**sentence)
    single = network(name)
    run(single, cfg, None)
    stops = iter([False] * 4 + [True] + [False] * 6 + [True])
    for _ in range(2):
        with pytest.raises(Interrupted, match=r"stopped and saved at step \d+"):
            list(fit.fit(network(name), TRAIN, HELD_OUT, cfg, home(tmp_path, lambda: next(stops))))
    other = network(name, seed=5)
    run(other, cfg, tmp_path)
    same(other.state_dict(), single.state_dict())


def test_stopping_in_the_middle_of_an_accumulation_keeps_its_gradients(tmp_path):
    cfg = chosen(accumulate=3, optimizer="sgd")
    going = fit.fit(network("linear"), TRAIN, HELD_OUT, cfg, home(tmp_path))
    for row in going:
        if row.get("step") == 3:
            break
    going.close()
    tensors, progress = state(tmp_path)
    assert progress["step"] == 2
    assert any(name.startswith("grad/") for name in tensors)


def test_going_on_with_a_run_that_is_trained_gives_its_best_weights_again(tmp_path):
    cfg, single, other = chosen(epochs=2), network("fnn"), network("fnn", seed=9)
    run(single, cfg, tmp_path)
    records = run(other, cfg, tmp_path)
    assert [row["at"] for row in records] == ["end"]
    same(other.state_dict(), single.state_dict())


# --- a budget


def by_plan(cfg: settings.Config, rows: list[Row]) -> settings.Config:
    """Training by the plan that a run came to, which ends in as many steps on any machine."""
    return cfg.with_plan(rows[-1]["plan"])


@pytest.mark.parametrize("name", ["fnn", "two"])
def test_a_run_with_a_budget_is_the_same_again_by_its_plan(name, tmp_path):
    cfg, single, again = chosen(budget=0.4, epochs=100_000, ema=0.9), network(name), network(name)
    expected = run(single, cfg, None)
    assert expected[-1]["done"] == "time budget used"
    assert expected[-1]["elapsed"] < 5
    records = run(again, by_plan(cfg, expected), tmp_path)
    assert records[-1]["done"] == "all planned steps done"
    assert records[-1]["step"] == expected[-1]["step"] > 1
    assert lasting(records) == lasting(expected)
    same(again.state_dict(), single.state_dict())


def test_a_run_with_a_budget_that_is_dropped_at_random_steps_is_the_run_of_its_plan(tmp_path):
    cfg, records = chosen(budget=0.4, epochs=100_000), list[Row]()
    draw = random.Random(3)
    for drop in (*(draw.randint(1, 8) for _ in range(6)), 100_000):
        other = network("fnn", seed=100 if (tmp_path / "dropped").exists() else 0)
        going = fit.fit(other, TRAIN, HELD_OUT, cfg, home(tmp_path / "dropped"))
        records += itertools.islice(going, drop)
        going.close()
    single = network("fnn")
    expected = run(single, by_plan(cfg, records), tmp_path / "alone")
    assert lasting(records) == lasting(expected)
    same(other.state_dict(), single.state_dict())
    (tensors, progress), (tensors_alone, progress_alone) = state(tmp_path / "dropped"), state(tmp_path / "alone")
    same(tensors, tensors_alone)
    assert [list(pair) for pair in progress["plan"]] == [list(pair) for pair in progress_alone["plan"]]


def test_the_learning_rate_of_a_run_with_a_budget_comes_down():
    rows = lasting(run(network("fnn"), chosen(budget=0.5, epochs=100_000, lr=1.0), None))
    assert rows[-1]["lr"] < 0.2 < max(row["lr"] for row in rows)


def test_a_plan_is_a_function_of_steps_that_never_goes_back():
    plan = progress.Plan([(0, 1000), (10, 110), (60, 70), (65, 200)])
    shares = [plan.share(step) for step in range(200)]
    assert shares[0] == 0.0
    assert shares[10] == 0.01
    assert shares == sorted(shares)
    assert shares[199] < 1 == plan.share(200)
    assert not plan.over(199) and plan.over(200)


def test_a_run_whose_time_was_up_early_says_so():
    records = lasting(run(network("fnn"), chosen(epochs=100, plan=[[0, 20], [10, 10]]), None))
    assert "Time was up at 50% of the schedule" in records[-1]["notes"][-1]
    assert "notes" not in lasting(run(network("fnn"), chosen(epochs=100, plan=[[0, 10]]), None))[-1]


@pytest.mark.parametrize("plan", [[[1, 4]], [[0, 0]], [[0, 5], [3, 2]], [[0, 5], [7, 9], [6, 9]], [[0, 5, 6]], [], "x"])
def test_a_plan_that_is_none_is_refused_in_a_sentence(plan):
    with pytest.raises(RecipeError, match=r"train\.plan"):
        build({"data": "a.csv", "train": {"plan": plan}})


def test_a_recipe_with_the_plan_of_a_budget_trains_the_same_network(tmp_path):
    rows = write_csv(tmp_path / "rows.csv", [{k: r[k] for k in ("months", "plan", "left")} for r in customers(300)])
    sets = ["train.epochs=100000", "train.patience=100000", "model.width=16"]
    words = ["train", rows, "--target", "left", "--model", "fnn", *(word for one in sets for word in ("--set", one))]
    one, other = tmp_path / "one", tmp_path / "other"
    code, _, output = service_tools.command(*words, "--budget", "0.5s", "--out", one)
    assert code == 0, output
    code, _, output = service_tools.command("train", one / "recipe.yaml", "--out", other)
    assert code == 0, output
    files, others = open_bundle(one / "bundle").files, open_bundle(other / "bundle").files
    assert files["weights.safetensors"] == others["weights.safetensors"]
    recipe = json.loads(files["training.json"])["recipe"]["train"]
    assert "budget" not in recipe and recipe["plan"][0][0] == 0
    code, _, output = service_tools.command("train", one / "recipe.yaml", "--budget", "9s", "--out", tmp_path / "third")
    assert code == 1
    assert "the budget would be ignored. Take the plan away with --set train.plan=" in " ".join(output.split())


# --- what a crash leaves behind


def truncated(path: Path) -> None:
    file = path / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flipped(path: Path) -> None:
    file = path / "tensors.safetensors"
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(bytes(body))


def flipped_state(path: Path) -> None:
    file = path / "state.json"
    file.write_bytes(file.read_bytes().replace(b'"epoch": 0', b'"epoch": 1'))


def zeros(path: Path) -> None:
    for file in path.iterdir():
        file.write_bytes(b"\0" * file.stat().st_size)


def without(name: str) -> Callable[[Path], None]:
    def remove(path: Path) -> None:
        (path / name).unlink()

    return remove


def without_hash(path: Path) -> None:
    for file in path.iterdir():
        if file.stat().st_size == 0:
            file.unlink()


def empty(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


def a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("step")


DAMAGE = {
    "truncated": truncated,
    "flipped": flipped,
    "flipped state": flipped_state,
    "zeros after a power cut": zeros,
    "no tensors": without("tensors.safetensors"),
    "no state": without("state.json"),
    "no hash": without_hash,
    "empty": empty,
    "a file": a_file,
}


def stopped(folder: Path, steps: int = 5) -> settings.Config:
    """A run that was dropped after some steps; there are two checkpoints of it."""
    cfg = chosen()
    going = fit.fit(network("fnn"), TRAIN, HELD_OUT, cfg, home(folder))
    for _ in range(steps + 1):
        next(going)
    going.close()
    assert sorted(p.name for p in folder.iterdir()) == [f"step-{n:09d}" for n in (steps - 1, steps)]
    return cfg


@pytest.fixture(scope="module")
def left_alone() -> tuple[dict[str, Tensor], list[Row]]:
    model = network("fnn")
    records = run(model, chosen(), None)
    return {k: v.clone() for k, v in model.state_dict().items()}, lasting(records)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_is_used(damage, tmp_path, left_alone):
    cfg = stopped(tmp_path)
    DAMAGE[damage](tmp_path / "step-000000005")
    model = network("fnn", seed=3)
    records = run(model, cfg, tmp_path)
    assert next(row["step"] for row in records) == 5  # the fifth step again
    (note,) = [note for row in lasting(records) for note in row.get("notes", ())]
    assert "step-000000005" in note
    assert "going on from the checkpoint before it" in note
    same(model.state_dict(), left_alone[0])
    state(tmp_path)  # and the damaged one is gone


@pytest.mark.parametrize("damage", DAMAGE)
def test_when_all_checkpoints_are_damaged_the_run_starts_again_and_says_so(damage, tmp_path, left_alone):
    cfg = stopped(tmp_path)
    for path in tmp_path.iterdir():
        DAMAGE[damage](path)
    going = fit.fit(network("fnn"), TRAIN, HELD_OUT, cfg, home(tmp_path))
    assert [next(going)["step"] for _ in range(3)] == [1, 2, 3]
    going.close()
    assert state(tmp_path)[1]["step"] == 2  # new checkpoints are not hidden by the damaged later ones
    model = network("fnn", seed=3)
    notes = [note for row in lasting(run(model, cfg, tmp_path)) for note in row.get("notes", ())]
    assert any("starting again from the first step" in note for note in notes)
    same(model.state_dict(), left_alone[0])


def test_what_a_killed_writer_left_is_not_a_checkpoint_and_is_swept_away(tmp_path, left_alone):
    cfg = stopped(tmp_path)
    shutil.copytree(tmp_path / "step-000000005", tmp_path / ".writing")
    (tmp_path / ".writing" / "state.json").unlink()
    (tmp_path / "step-000000005").rename(tmp_path / ".writing-old")  # killed between two renames
    model = network("fnn", seed=3)
    records = run(model, cfg, tmp_path)
    assert records[0]["step"] == 5
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    same(model.state_dict(), left_alone[0])
    assert lasting(records) == left_alone[1]


@pytest.mark.parametrize("call", ["fsync", "mkdir", "rename"])
def test_a_full_disk_is_a_sentence_and_leaves_the_last_checkpoint_as_it_was(call, tmp_path, monkeypatch):
    cfg = stopped(tmp_path)
    before = state(tmp_path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os if call == "fsync" else Path, call, full)
        with pytest.raises(TrainingError, match=r"a checkpoint cannot be written .No space left on device; .* MB"):
            run(network("fnn"), cfg, tmp_path)
    after = state(tmp_path)
    same(after[0], before[0])
    assert after[1] == before[1]


@pytest.mark.parametrize(("name", "sentence"), [("linear", {}), ("fnn", {"optimizer": "sgd"}), ("fnn", {"ema": 0.9})])
def test_another_network_or_optimizer_than_the_saved_one_is_refused_in_a_sentence(name, sentence, tmp_path):
    stopped(tmp_path)
    with pytest.raises(TrainingError, match="what was saved does not fit this recipe"):
        run(network(name), chosen(**sentence), tmp_path)


# --- losses that are not finite


def spoilt(model: nn.Module, bad: Callable[[int], bool], factor: float = float("nan")) -> nn.Module:
    """The network, with the loss of some steps (counted from 1) multiplied by NaN or infinity."""
    count, losses = [0], model.losses

    def lost(batch: Batch) -> Iterator[tuple[str, Tensor]]:
        count[0] += 1
        for part, loss in losses(batch):
            yield part, loss * factor if bad(count[0]) else loss

    model.losses = lost
    return model


def finite(model: nn.Module) -> bool:
    return all(bool(torch.isfinite(v).all()) for v in model.state_dict().values())


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
@pytest.mark.parametrize("way", WAYS)
def test_one_loss_that_is_not_finite_costs_one_step(way, factor, step, tmp_path):
    name, sentence = WAYS[way]
    cfg, model = chosen(**{**sentence, "lr": 0.01}), spoilt(network(name), lambda n: n == step, factor)
    records = run(model, cfg, None)
    assert finite(model)
    (note,) = [note for row in lasting(records) for note in row.get("notes", ())]
    lost = 2 if name == "two" else 1
    assert note.startswith(f"{lost} of ")
    assert records[-1]["skipped"] == lost
    assert all(np.isfinite(row["loss"]) and np.isfinite(row["validation_loss"]) for row in lasting(records))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "muon"])
def test_a_step_left_out_leaves_no_trace_in_weights_or_optimizer(optimizer):
    """A first step that is not finite, then the others: the same weights as those others alone."""
    torch.manual_seed(0)
    one, other = (spoilt(network("linear"), lambda n, first=first: n == first) for first in (1, 0))
    loops = [loop.Loop(model, chosen(optimizer=optimizer), torch.device("cpu")) for model in (one, other)]
    batches = [Batch({k: torch.from_numpy(v[i::3]) for k, v in TRAIN.inputs.items()}) for i in range(3)]
    for i, batch in enumerate(batches):
        batch.target = torch.from_numpy(TRAIN.target[i::3])
    junk = [torch.full((p.numel(),), 7e8) for p in one.parameters() for _ in range(20)]
    del junk  # what freed memory holds must not become momentum
    for batch, targets in ((batches[0], loops[:1]), (batches[1], loops), (batches[2], loops)):
        for each in targets:
            each.step(batch, 0.5)
    same(one.state_dict(), other.state_dict())


def test_a_batch_that_is_not_finite_does_not_poison_batch_norm():
    train = Examples({k: v.copy() for k, v in TRAIN.inputs.items()}, TRAIN.target)
    train.inputs["number"][17] = np.nan
    model = network("sequential")
    records = run(model, chosen(), None, train)
    assert finite(model)
    notes = [note for row in lasting(records) for note in row.get("notes", ())]
    assert len(notes) == 3
    assert all("The data holds values that are not finite" in note for note in notes)


@pytest.mark.parametrize("epochs", [2, 20])
@pytest.mark.parametrize("way", ["adam", "sgd with momentum", "muon", "three batches a step", "two parts"])
def test_losses_that_are_never_finite_end_the_run_with_a_sentence(way, epochs):
    name, sentence = WAYS[way]
    model = spoilt(network(name), lambda n: True)
    with pytest.raises(TrainingError, match=r"train: no.*finite.*(try|lamina inspect)"):
        run(model, chosen(**sentence, epochs=epochs), None)
    assert finite(model)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "muon"])
@pytest.mark.parametrize("name", ["linear", "fnn", "sequential"])
def test_an_absurd_learning_rate_ends_in_a_sentence_or_in_finite_weights(name, optimizer):
    model = network(name)
    try:
        run(model, chosen(optimizer=optimizer, lr=1e6, schedule="constant", epochs=20), None)
    except TrainingError as error:
        assert "train.lr" in str(error)
    else:
        assert finite(model)


def test_more_batches_per_step_than_the_run_has_is_refused():
    with pytest.raises(TrainingError, match=r"train\.accumulate: 500 batches make one step"):
        run(network("linear"), chosen(accumulate=500), None)


def test_what_a_run_says_of_steps_left_out_does_not_depend_on_the_clock(monkeypatch, tmp_path):
    def records(tick: float) -> list[Row]:
        monkeypatch.setattr(progress, "TICK", tick)
        return lasting(run(spoilt(network("fnn"), lambda n: n % 4 == 0), chosen(), None))

    assert records(-1.0) == records(1e9)


# --- the run directory


def training(*words: object) -> warm_python.Process:
    """`lamina train` in a process of its own."""
    return warm_python.Process("-m", "lamina", "train", *words)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A small run, done, by the command line."""
    folder = tmp_path_factory.mktemp("finished")
    rows = write_csv(folder / "rows.csv", [{k: r[k] for k in ("months", "plan", "left")} for r in customers(300)])
    sets = ["model.width=16", "train.epochs=4", "train.ema=0.9", "model.dropout=0.2"]
    chosen_sets = [word for choice in sets for word in ("--set", choice)]
    out = folder / "run"
    code, _, output = service_tools.command(
        "train", rows, "--target", "left", "--model", "fnn", *chosen_sets, "--out", out
    )
    assert code == 0, output
    return out


def test_a_run_killed_after_training_and_before_its_bundle_is_finished_by_resume(finished, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    expected = open_bundle(out / "bundle")
    (out / "DONE").unlink()
    (out / "report.html").unlink()
    (out / "bundle").rename(out / ".bundle-4194305")  # killed while the bundle was being written
    code, _, output = service_tools.command("train", "--resume", out)
    assert code == 0, output
    got = open_bundle(out / "bundle")
    for name in ("weights.safetensors", "model.onnx", "preprocess.json", "task.json"):
        assert got.files[name] == expected.files[name], name
    assert (out / "rows.jsonl").read_bytes() == (finished / "rows.jsonl").read_bytes()
    assert (out / "report.html").exists()
    assert (out / "DONE").exists()
    assert not list(out.glob(".bundle*"))


def foreign(lines: list[bytes]) -> list[bytes]:
    """Lines that a record of epochs may hold by accident, or that somebody wrote into it."""
    other = json.loads(lines[1])
    return [
        b"\xff\xfe\x00\x01 not text\n",
        b"\0" * 4096 + b"\n",
        b"[1, 2]\n",
        b"{}\n",
        b"null\n",
        b"\n",
        b"[" * 100_000 + b"\n",
        b'{"at": "epoch", "epoch": "x"}\n',
        lines[1][:50] + b"\n",
        lines[2].replace(b'"epoch": 3', b'"epoch": 40'),
        json.dumps({**other, "step": 7, "loss": 99.0}).encode() + b"\n",  # of a run with other batches
        json.dumps({**other, "notes": [1]}).encode() + b"\n",
    ]


def test_lines_that_are_not_of_a_run_are_left_out_of_its_record_and_said(finished, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    (out / "DONE").unlink()
    first, *rest = lines = (out / "rows.jsonl").read_bytes().splitlines(keepends=True)
    junk = foreign(lines)
    (out / "rows.jsonl").write_bytes(b"".join([first, *junk, *rest, *lines, rest[0][:30]]))
    code, records, output = service_tools.command("train", "--resume", out)
    assert code == 0, output
    assert f"{len(junk) + len(lines)} lines are not of this run" in " ".join((records + output).split())
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert [row["loss"] for row in report["training"]["rows"]] == [json.loads(line)["loss"] for line in lines]


def test_going_on_writes_a_record_of_its_own_lines_alone(tmp_path):
    out = Run.create(tmp_path / "run")
    records = [row for row in run(network("fnn"), chosen(epochs=6), None) if row["at"] == "epoch"]
    for row in records[:4]:
        out.log(row)
    lines = out.rows_file.read_bytes().splitlines(keepends=True)
    out.rows_file.write_bytes(b"".join([*foreign(lines), *lines]))
    later = Run(out.folder)
    for row in records[3:]:  # from the checkpoint on
        later.log(row)
    assert [json.loads(line) for line in out.rows_file.read_bytes().splitlines()] == records == later.rows()
    assert later.notes() == []


def test_a_run_in_use_is_refused_by_name(finished, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    (out / "DONE").unlink()
    with Run(out).locked():
        refused = training("--resume", out)
        message = " ".join(refused.communicate()[1].split())
    assert refused.returncode == 1
    assert f"{out} is in use by process {os.getpid()}" in message


def epoch_row(number: int) -> dict[str, Any]:
    """A row of training, of ten steps."""
    numbers = dict.fromkeys(("loss", "lr", "validation_loss", "score", "rate", "seconds", "left"), 1 / number)
    words = {"score_name": "rmse", "weights": "raw", "best": True}
    return {"at": "epoch", "epoch": number, "step": 10 * number, "steps": 60, **numbers, **words}


def test_epoch_rows_are_neither_lost_nor_doubled_by_going_on(tmp_path):
    run_folder = Run(tmp_path)
    rows = [epoch_row(n) for n in range(1, 7)]
    for row in rows[:5]:
        run_folder.log(row)
    with open(run_folder.rows_file, "a") as file:
        file.write('{"at": "epoch", "epoch": 6, "lo')  # killed while writing
    assert run_folder.rows() == rows[:5]
    run_folder = Run(tmp_path)
    for row in rows[3:]:  # gone on from the checkpoint after epoch 3
        run_folder.log(row)
    assert [json.loads(line) for line in run_folder.rows_file.read_text().splitlines()] == rows


def test_going_on_with_a_finished_run_says_that_nothing_is_left_to_do(finished):
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    code, output, _ = service_tools.command("train", "--resume", finished)
    assert code == 0
    assert "is finished, there is nothing to go on with" in " ".join(output.split())
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before
    _, output, _ = service_tools.command("train", "--resume", finished, "--json")
    assert json.loads(output)["bundle"] == str(finished / "bundle")


@pytest.mark.parametrize("at", [1, 4])
def test_a_forecast_stopped_and_gone_on_with_ends_in_the_same_bits(at, tmp_path):
    """Windows of a series, drawn in the same order, from the step at which it was stopped."""
    from lamina import pipeline

    exact = {"threads": 1, "device": "cpu"}
    said = {"epochs": 3, "batch_size": BATCH, "checkpoint_every": 1e-9, "ema": 0.9, **exact}
    task = {"kind": "forecasting", "horizon": 4, "context": 12, "calendar": True}
    recipe = build(
        {"data": "toy:airline", "target": "Passengers", "task": task, "model": NETWORKS["fnn"], "train": said}
    )
    *_, whole = pipeline.run(recipe, Run.create(tmp_path / "whole"))
    asked, run = itertools.count(), Run.create(tmp_path / "cut")
    with pytest.raises(Interrupted):
        list(pipeline.run(recipe, run, stop=lambda: next(asked) >= at))
    resumed = Run.resume(tmp_path / "cut")
    *_, cut = pipeline.run(resumed.recipe(), resumed)
    one, other = (open_bundle(Path(result["bundle"])).files for result in (whole, cut))
    assert one["weights.safetensors"] == other["weights.safetensors"]
    assert one["task.json"] == other["task.json"]
    assert cut["scores"] == whole["scores"]


@pytest.mark.parametrize(("number", "mark"), [(signal.SIGTERM, "step-"), (signal.SIGINT, "data.sha256")])
def test_a_run_asked_to_stop_outside_of_training_ends_with_75(finished, number, mark, tmp_path):
    """Once when it is trained and has no bundle yet, once before its first step."""
    for attempt in range(5):  # on a busy machine the run may be over before it is asked
        out = tmp_path / f"run{attempt}"
        words = (finished.parent / "rows.csv", "--target", "left", "--model", "linear", "--set", "train.epochs=2")
        process = training(*words, "--out", out)
        while process.poll() is None and not any(path.name.startswith(mark) for path in out.rglob("*")):
            time.sleep(0.001)
        process.send_signal(number)
        message = " ".join(process.communicate()[1].split())
        if not (out / "DONE").exists():
            break
    assert process.returncode == 75, message
    assert f"--resume {out}" in message


def test_what_a_run_remembers_is_whole_or_not_there(tmp_path, monkeypatch):
    """A kill between opening a file and closing it."""
    run_folder = Run.create(tmp_path)
    for epoch in (1, 2, 3):
        run_folder.log(epoch_row(epoch))
    content = run_folder.rows_file.read_bytes()

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killed)
        for call in (lambda: run_folder.same_data("abc"), lambda: Run(tmp_path).log(epoch_row(2))):
            with pytest.raises(KeyboardInterrupt):
                call()
    assert run_folder.rows_file.read_bytes() == content
    run_folder.same_data("abc")


def test_a_try_that_never_trained_does_not_hold_the_folder_to_its_data(tmp_path):
    first, other = "1" * 64, "2" * 64
    Run.create(tmp_path).same_data(first)
    Run.create(tmp_path).same_data(other)
    Run(tmp_path).recipe_file.write_text("data: toy:wine")
    with pytest.raises(LaminaError, match="the rows are not those"):
        Run(tmp_path).same_data(first)


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path):
    with pytest.raises(LaminaError, match="holds no run"):
        Run.resume(tmp_path)


GAN = {"kind": "gan", "width": 8, "hidden": 32, "latent": 6, "penalty_every": 3}
GAMES: dict[str, list[float]] = {"pictures": [0.4], "rows": [0.3]}  # the share of the steps after which to kill
TURNS = 12  # epochs


def game(sort: str, folder: Path) -> Path:
    """A recipe of a generator against a discriminator, told a class, and its data."""
    remaining = {
        "batch_size": 16,
        "threads": 1,
        "precision": "fp32",
        "device": "cpu",
        "checkpoint_every": 1e-9,
        "ema": 0.9,
        "optimizer": "adam",
    }
    recipe: dict[str, Any] = {"task": "generation", "model": GAN, "train": {"epochs": TURNS, **remaining}}
    if sort == "pictures":  # of one class: no classifier is trained to evaluate them
        np.savez(folder / "some.npz", images=images_of(120, 3).inputs["image3"], labels=np.full(120, "one"))
        recipe |= {"data": str(folder / "some.npz"), "target": "label"}
    else:
        rows = [{name: row[name] for name in ("months", "plan", "left")} for row in customers(120)]
        recipe |= {"data": str(write_csv(folder / "some.csv", rows)), "target": "left"}
    (folder / "recipe.yaml").write_text(json.dumps(recipe), "utf-8")
    return folder / "recipe.yaml"


@pytest.mark.parametrize("sort", GAMES)
def test_a_game_of_two_networks_killed_for_real_ends_in_the_same_bits(sort, tmp_path, monkeypatch):
    """Weights of discriminator and generator, both optimizers, averages, turn, epochs and the bundle."""
    monkeypatch.undo()  # checkpoints after epochs are enough
    from lamina import pipeline
    from lamina.recipe import read

    recipe = game(sort, tmp_path)
    *_, _ = pipeline.run(read(recipe), Run.create(tmp_path / "alone"))
    (expected, progress_alone), out = state(tmp_path / "alone" / "checkpoints"), tmp_path / "killed"
    for share in GAMES[sort]:
        words = ("--resume", out) if (out / "recipe.yaml").exists() else (recipe, "--out", out)
        process = training(*words)
        while process.poll() is None and reached(out) < share * progress_alone["step"]:
            time.sleep(0.0005)
        process.kill()
        said = process.communicate()[1]
        assert process.returncode == -signal.SIGKILL, said
        assert reached(out) < progress_alone["step"], "it was killed while it learned"
    done = Run.resume(out)
    *_, _ = pipeline.run(done.recipe(), done)
    tensors, progress = state(out / "checkpoints")
    for part in ("discriminator", "generator"):
        assert any(key.startswith(f"optimizer/{part}.") for key in tensors), "each part has an optimizer of its own"
        assert any(key.startswith(f"ema/{part}.") for key in tensors)
    assert int(tensors["model/turn"]) == progress["step"] == int(tensors["ema/turn"])
    same(tensors, expected)
    assert progress == progress_alone
    epochs = [
        [{k: v for k, v in row.items() if k not in CLOCK} for row in run.rows()]
        for run in (done, Run(tmp_path / "alone"))
    ]
    assert epochs[0] == epochs[1] and len(epochs[0]) == TURNS
    one, other = (open_bundle(run / "bundle").files for run in (out, tmp_path / "alone"))
    names = ("weights.safetensors", "model.onnx", "discriminator.onnx", "task.json", "golden.json")
    assert [name for name in names if one[name] != other[name]] == []


def reached(out: Path) -> int:
    """The step of the newest checkpoint."""
    return max((int(path.name.removeprefix("step-")) for path in (out / "checkpoints").glob("step-*")), default=0)


@pytest.mark.parametrize("kills", [1, *(pytest.param(count, marks=pytest.mark.slow) for count in (3, 20))])
def test_a_process_killed_for_real_at_random_moments_ends_in_the_same_bits(kills, tmp_path):
    rows = write_csv(tmp_path / "rows.csv", customers(300))
    words = ["--epochs", "60", "--source", rows, "--target", "left"] if kills < 20 else []
    words += ["--warm"] if kills == 1 else []
    done = subprocess.run(
        [sys.executable, KILL, "--kills", str(kills), "--seed", "3", *words],
        check=False,
        capture_output=True,
        text=True,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"killed {kills} times" in done.stdout


@pytest.mark.slow
def test_a_run_with_a_budget_that_is_killed_for_real_is_the_run_of_its_plan(tmp_path):
    rows = write_csv(tmp_path / "rows.csv", customers(300))
    words = ["--kills", "4", "--seed", "3", "--budget", "10", "--source", rows, "--target", "left"]
    done = subprocess.run([sys.executable, KILL, *words], check=False, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_language_model_killed_twenty_times_ends_in_the_same_bits(tmp_path):
    text = tmp_path / "text.txt"
    draw = random.Random(0)
    text.write_text("".join(draw.choice(("the ", "cat ", "sat\n", "on ", "mats. ")) for _ in range(30_000)), "utf-8")
    words = ["--kills", "20", "--seed", "3", "--epochs", "20", "--network", "lstm", "--source", text]
    done = subprocess.run([sys.executable, KILL, *words], check=False, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed 20 times" in done.stdout and "step.onnx" in done.stdout


@pytest.mark.slow
def test_a_game_of_two_networks_killed_twenty_times_ends_in_the_same_bits(tmp_path):
    rows = write_csv(tmp_path / "rows.csv", customers(300))
    said = ["--kills", "20", "--seed", "3", "--epochs", "600", "--network", "gan"]
    words = [*said, "--source", rows, "--target", "left"]
    done = subprocess.run([sys.executable, KILL, *words], check=False, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed 20 times" in done.stdout and "discriminator.onnx" in done.stdout
