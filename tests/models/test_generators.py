"""Networks that make images or rows: whatever is found in the folder learns, makes what is asked for, and exports.

Every test runs over every architecture with the head `sample`, for small images and rows, with classes and without.
"""

import functools
import itertools
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save

import lamina
from generator_tools import BLOCKS, CLASSES, ROWS, SHAPES, blocks, codes, images, spec_of
from lamina import models
from lamina.config import RecipeError, parse
from lamina.data import Sources, arrays
from lamina.deploy import onnx_export
from lamina.deploy.onnx_runtime import onnx_runtime
from lamina.plugins import available, plugin
from lamina.recipe import build
from lamina.schema import Batch, Collected, Output, Spec
from lamina.tasks import generation
from lamina.tasks.generation import experiment, monitor, sampling
from lamina.tasks.generation.metrics import frechet
from lamina.train import checkpoint, progress, settings
from lamina.train.device import decide
from lamina.train.fit import Hooks, fit, outputs
from lamina.train.settings import Examples

ARCHITECTURES = [name for name in available("models") if "sample" in vars(plugin("models", name)).get("HEADS", ())]
SMALL = {"width": 8, "hidden": 32, "latent": 6}  # where an architecture has settings of these names
LATENT = SMALL["latent"]
COUNTS = {"with classes": 3, "without": 0}


def data(sort: str, classes: int, count: int = ROWS, seed: int = 0) -> Examples:
    code = codes(count, seed)
    own = {"row": blocks(code, seed)} if sort == "rows" else {"image0": images(SHAPES[sort], code, seed)}
    return Examples(({"condition": code[:, None]} if classes else {}) | own, code * bool(classes))


def choice(name: str, spec: Spec) -> Any:
    module, faults = plugin("models", name), list[str]()
    said = vars(module)["example"](spec) if "example" in vars(module) else {}
    small = {key: value for key, value in SMALL.items() if key in module.Config.model_fields}
    cfg = parse(module.Config, {"kind": name, **small, **said}, name, faults)
    assert cfg is not None, faults
    return cfg


CASES = [
    (name, sort, classes)
    for name in ARCHITECTURES
    for sort in (*SHAPES, "rows")
    for classes in COUNTS
    if models.suits(name, spec_of(sort, COUNTS[classes]))
]
each = pytest.mark.parametrize(("name", "sort", "classes"), CASES, ids=lambda value: value.replace(" ", "-"))
SOME = [case for case in CASES if case[1] != "colour" and case[2] == "with classes"]
some = pytest.mark.parametrize(("name", "sort", "classes"), SOME, ids=lambda value: value.replace(" ", "-"))
each_architecture = pytest.mark.parametrize("name", ARCHITECTURES)


def built(name: str, sort: str, classes: str, seed: int = 0) -> Any:
    spec = spec_of(sort, COUNTS[classes])
    return models.build(choice(name, spec), spec, seed)


def quick(raw: dict[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
    return monitor.validate(raw)


def settled(name: str, sort: str, classes: str, said: dict[str, Any]) -> settings.Config:
    spec = spec_of(sort, COUNTS[classes])
    own = data(sort, COUNTS[classes])
    selection = {"device": "cpu", "threads": 1, "precision": "fp32", "batch_size": 64, **said}
    return decide(selection, models.training(choice(name, spec), spec), built(name, sort, classes), own)


def held(sort: str, classes: str) -> Examples:
    return data(sort, COUNTS[classes], 64, seed=1)


@functools.cache
def trained(name: str, sort: str, classes: str, precision: str = "fp32") -> tuple[Any, dict[str, Any], list[Any]]:
    """The network after a few epochs, its weights before, and the epochs."""
    model = built(name, sort, classes)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    cfg = settled(name, sort, classes, {"epochs": 3, "precision": precision})
    rows = list(fit(model, data(sort, COUNTS[classes]), held(sort, classes), cfg, Hooks(quick)))
    return model, before, [row for row in rows if row["at"] == "epoch"]


def request_inputs(sort: str, classes: str, count: int, start: int = 0) -> dict[str, np.ndarray]:
    """What a generator is fed: noise, and a class for each."""
    facts = {"condition": (np.arange(count) % 3)[:, None]} if COUNTS[classes] else {}
    return {"noise": sampling.noise(range(start, start + count), LATENT)} | facts


def answers(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    tensors = {key: torch.from_numpy(value) for key, value in inputs.items()}
    (result,) = outputs(models.served(model)["model"], Batch(tensors)).values()
    return result


# the file


@each_architecture
def test_a_generator_is_named_by_its_file_and_makes_images_or_rows(name):
    module = plugin("models", name)
    assert module.Config.model_fields["kind"].default == name
    assert module.__doc__
    assert any(case[0] == name for case in CASES), "it suits neither images nor rows"
    assert "latent" in module.Config.model_fields


@each_architecture
def test_a_generator_is_never_taken_for_a_task_that_wants_answers(name):
    ordinary = spec_of("grey", 0).model_copy(
        update={"output": Output(head="logits", size=1, loss="binary_cross_entropy")}
    )
    assert models.suits(name, ordinary) == 0


@pytest.mark.parametrize("name", [name for name in available("models") if name not in ARCHITECTURES])
def test_a_network_that_answers_is_refused_for_generation_in_a_sentence(name):
    spec = spec_of("grey", 3)
    assert models.suits(name, spec) == 0
    cfg = plugin("models", "fnn").Config()
    with pytest.raises(RecipeError, match=f"fnn cannot take these inputs.*Use one of .*{ARCHITECTURES[0]}"):
        models.build(cfg, spec, 0)


@each_architecture
@pytest.mark.parametrize("count", [0, 1, 12, 1_000, 1_000_000])
def test_suggested_train_settings_are_valid_for_any_number_of_rows(name, count):
    sort = next(case[1] for case in CASES if case[0] == name)
    spec, faults = spec_of(sort, 3, count), list[str]()
    assert parse(settings.Config, models.training(choice(name, spec), spec), "train", faults), faults


# the network


@each
def test_every_parameter_of_every_part_receives_a_gradient(name, sort, classes):
    model, own = built(name, sort, classes), data(sort, COUNTS[classes], 32)
    model.train()
    batch = Batch({k: torch.from_numpy(v) for k, v in own.inputs.items()}, torch.from_numpy(own.target))
    moved: dict[str, set[str]] = {part: set() for part in model.parts}
    for _ in range(3):  # what starts at zero is moved from the second step on
        for part, loss in model.losses(batch):
            params = {n: p for n, p in model.get_submodule(part).named_parameters() if p.requires_grad}
            grads = torch.autograd.grad(loss, list(params.values()), allow_unused=True)
            assert all(torch.isfinite(g).all() for g in grads if g is not None)
            with torch.no_grad():
                for (key, value), grad in zip(params.items(), grads, strict=True):
                    if grad is not None and grad.any():
                        moved[part].add(key)
                        value -= 1e-3 * grad
    for part in model.parts:
        expected = {n for n, p in model.get_submodule(part).named_parameters() if p.requires_grad}
        assert moved[part] == expected, f"part '{part}': no gradient for {sorted(expected - moved[part])}"


@each
def test_training_changes_every_trainable_tensor_and_stays_finite(name, sort, classes):
    model, before, epochs = trained(name, sort, classes)
    after = model.state_dict()
    assert all(torch.isfinite(value.float()).all() for value in after.values())
    same = [n for n, p in model.named_parameters() if p.requires_grad and torch.equal(before[n], after[n])]
    assert not same, f"training left {same} as they were"
    assert all(np.isfinite(row["loss"]) and np.isfinite(row["validation_loss"]) for row in epochs)
    assert epochs[0]["score_name"].isidentifier() and not epochs[0]["score_name"].endswith("_")


@some
def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(name, sort, classes):
    first, before, epochs = trained(name, sort, classes)
    again = built(name, sort, classes)
    cfg = settled(name, sort, classes, {"epochs": 3})
    rows = list(fit(again, data(sort, COUNTS[classes]), held(sort, classes), cfg, Hooks(quick)))
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in first.state_dict().items())
    assert [row["loss"] for row in rows if row["at"] == "epoch"] == [row["loss"] for row in epochs]
    other = built(name, sort, classes, seed=1).state_dict()
    assert any(not torch.equal(value, other[key]) for key, value in before.items())


@each
def test_the_exported_graph_makes_what_the_network_makes(name, sort, classes):
    model, *_ = trained(name, sort, classes)
    graph, reason = onnx_export.onnx(models.served(model)["model"], request_inputs(sort, classes, 24))
    assert graph is not None, reason
    run = onnx_runtime(graph)
    for count in (1, 2, 7, 40):
        inputs = request_inputs(sort, classes, count, start=100)
        expected, (result,) = answers(model, inputs), run(inputs).values()
        assert np.abs(result - expected).max() <= 1e-4 * max(1.0, float(np.abs(expected).max()))


@each
def test_images_have_the_shape_and_range_of_the_originals_and_rows_the_width(name, sort, classes):
    result = answers(trained(name, sort, classes)[0], request_inputs(sort, classes, 20))
    if sort == "rows":
        assert result.shape in ((20, sum(BLOCKS)), (20, sum(BLOCKS) + BLOCKS.count(1)))  # with the spread of each way
    else:
        assert result.shape == (20, *SHAPES[sort])
        assert result.min() >= -0.5 and result.max() <= 255.5


@each
def test_neither_neighbours_nor_batch_size_change_what_is_made(name, sort, classes):
    model, inputs = trained(name, sort, classes)[0], request_inputs(sort, classes, 17)
    together = answers(model, inputs)
    single = np.concatenate([answers(model, {k: v[i : i + 1] for k, v in inputs.items()}) for i in range(17)])
    np.testing.assert_allclose(single, together, rtol=1e-4, atol=1e-2 if sort != "rows" else 1e-4)


@each
def test_other_noise_makes_something_else(name, sort, classes):
    inputs = request_inputs(sort, classes, 2)
    inputs = {k: np.repeat(v[:1], 2, axis=0) if k == "condition" else v for k, v in inputs.items()}
    one, other = answers(trained(name, sort, classes)[0], inputs)
    assert np.abs(one - other).max() > 1e-3


@some
def test_weights_read_back_make_the_same(name, sort, classes):
    model, *_ = trained(name, sort, classes)
    spec = spec_of(sort, COUNTS[classes])
    config = choice(name, spec).model_dump(mode="json")
    weights = save({k: v.contiguous() for k, v in model.state_dict().items()})
    run = models.runtime(name, config, spec.model_copy(update={"rows": 0}), weights)
    inputs = request_inputs(sort, classes, 9)
    assert np.array_equal(next(iter(run(inputs).values())), answers(model, inputs))


@some
def test_the_summary_counts_every_parameter(name, sort, classes):
    model, spec = built(name, sort, classes), spec_of(sort, COUNTS[classes])
    result = models.summary(model, spec)
    assert sum(layer["parameters"] for layer in result) == sum(p.numel() for p in model.parameters())


@some
def test_half_precision_trains_as_well(name, sort, classes):
    model, _, _ = trained(name, sort, classes, "bf16")
    assert all(v.dtype != torch.bfloat16 and torch.isfinite(v.float()).all() for v in model.state_dict().values())


@some
def test_twelve_rows_are_enough_to_train_on(name, sort, classes):
    model, own = built(name, sort, classes), data(sort, COUNTS[classes], 12)
    cfg = settled(name, sort, classes, {"epochs": 2, "batch_size": 5})
    list(fit(model, own, held(sort, classes), cfg, Hooks(quick)))
    assert all(torch.isfinite(v.float()).all() for v in model.state_dict().values())


# killed and gone on with


def lasting(rows: list[Any]) -> list[Any]:
    """The record of a run without the clock; an epoch told again by a later process replaces the first telling."""
    clock = ("rate", "seconds", "left")
    remaining = {row["epoch"]: {k: v for k, v in row.items() if k not in clock} for row in rows if row["at"] == "epoch"}
    return [remaining[epoch] for epoch in sorted(remaining)]


@some
def test_a_run_killed_at_random_steps_ends_in_the_same_bits(name, sort, classes, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "TICK", -1.0)  # a row and a checkpoint after every step
    cfg, draw = settled(name, sort, classes, {"epochs": 3, "checkpoint_every": 1e-9, "ema": 0.9}), random.Random(name)
    own = data(sort, COUNTS[classes])
    single = built(name, sort, classes)
    expected = list(fit(single, own, held(sort, classes), cfg, Hooks(quick, 7, tmp_path / "alone")))
    told: list[Any] = []
    for drop in (draw.randint(1, 4), draw.randint(1, 4), draw.randint(1, 4), 1000):
        other = built(name, sort, classes, seed=100 if told else 0)  # what is saved must replace it all
        going: Any = fit(other, own, held(sort, classes), cfg, Hooks(quick, 7, tmp_path / "killed"))
        told += itertools.islice(going, drop)
        going.close()
    assert told[-1]["at"] == "end"
    assert lasting(told) == lasting(expected)
    both = [checkpoint.read(tmp_path / which) for which in ("alone", "killed")]
    assert both[0] is not None and both[1] is not None
    (mine, _, _), (theirs, _, _) = both
    assert mine.keys() == theirs.keys()
    parts = {key.split("/")[1].split(".")[0] for key in mine if key.startswith("optimizer/")}
    assert parts == set(single.parts), "every part has an optimizer of its own"
    assert all(mine[key].numpy().tobytes() == theirs[key].numpy().tobytes() for key in mine)


# what is asked for is made


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


LEARNED: dict[tuple[str, str], lamina.Estimator] = {}


def learned(name: str, sort: str, folder: Path) -> lamina.Estimator:
    """A generator trained through the public door, for a quarter of the steps that it suggests."""
    if (name, sort) not in LEARNED:
        code, label = codes(300, 3), np.array(CLASSES)[codes(300, 3)]
        if sort == "rows":
            rng = np.random.default_rng(3)
            rows = {"size": (code - 1) * 10 + rng.normal(0, 1, 300), "place": np.array(["a", "b", "c"])[code]}
        else:
            rows = {"image": images(SHAPES[sort], code, 3)}
        module = plugin("models", name).Config.model_fields
        small = {key: value for key, value in SMALL.items() if key in module}
        recipe = {
            "task": "generation",
            "model": {"kind": name, **small},
            "train": {"epochs": 100, "threads": 1, "batch_size": 64, "patience": 100},
        }
        out = folder / f"{name}-{sort}"
        LEARNED[name, sort] = lamina.fit({**rows, "class": label}, "class", recipe=recipe, out=out)
    return LEARNED[name, sort]


@pytest.mark.parametrize(
    ("name", "sort", "classes"),
    [pytest.param(*case, marks=[pytest.mark.slow] * (case[0] == "gan")) for case in SOME if case[1] != "rows"],
)
def test_a_class_of_images_that_is_asked_for_is_made(name, sort, classes):
    model, own = built(name, sort, classes), data(sort, COUNTS[classes])
    cfg = settled(name, sort, classes, {"epochs": 100, "patience": 100})
    list(fit(model, own, held(sort, classes), cfg, Hooks(quick)))
    models.finalize(model, own)
    height = SHAPES[sort][0]
    third = height // 3
    for k in range(3):
        inputs = request_inputs(sort, classes, 60) | {"condition": np.full((60, 1), k)}
        result = answers(model.eval(), inputs)
        bands = [result[:, height - (i + 1) * third : height - i * third].mean((1, 2, 3)) for i in range(3)]
        assert (np.argmax(bands, axis=0) == k).mean() > 0.5  # by chance a third


@pytest.mark.slow  # the report on made rows takes its time
@pytest.mark.parametrize(("name", "sort", "classes"), [case for case in SOME if case[1] == "rows"])
def test_a_class_of_rows_that_is_asked_for_is_made(name, sort, classes, folder):
    estimator = learned(name, sort, folder)
    for k, label in enumerate(CLASSES):
        result = estimator.generate(60, seed=k, label=label)
        assert isinstance(result, pa.Table)
        assert set(result["class"].to_pylist()) == {label}
        right = np.array(result["place"].to_pylist()) == "abc"[k]
        near = np.abs(result["size"].to_numpy() - (k - 1) * 10) < 5
        assert right.mean() > 0.7 and near.mean() > 0.7


@pytest.mark.slow  # the report on made rows takes its time
@pytest.mark.parametrize(("name", "sort", "classes"), [case for case in SOME if case[1] == "rows"])
def test_classes_come_as_often_as_in_training_when_none_is_asked_for(name, sort, classes, folder):
    estimator = learned(name, sort, folder)
    samples = sampling.sample_labels(sampling.seeds(0, 3000), estimator.predictor.state)
    counts = np.array(estimator.predictor.state.counts)
    shares = np.array([samples.count(label) for label in CLASSES]) / len(samples)
    assert np.abs(shares - counts / counts.sum()).max() < 0.03


# the task


def test_classes_are_those_of_training_in_their_own_order_and_others_are_unknown():
    state = generation.Task.fit(pa.array(["10", "9", "9", "-1"]), generation.Config())
    task = generation.Task(generation.Config(), state)
    assert (state.classes, state.counts) == (("-1", "9", "10"), (1, 2, 1))
    assert task.encode(pa.array(["9", "10"])).tolist() == [1, 2]
    assert task.unknown(pa.array(["9", "7"])).tolist() == [False, True]
    assert generation.State.model_validate_json(state.model_dump_json()) == state
    assert task.output().size == 3
    assert generation.Task.fit(None, generation.Config()).classes == ()


@pytest.mark.parametrize("values", [["yes", "no"] * 9, list(range(30)), ["a"] * 9])
def test_generation_is_never_the_task_that_a_target_suggests(values):
    sources = Sources(Collected(pa.table({"target": values})), arrays.Config())
    recipe = build({"data": {"kind": "arrays"}, "target": "target"})
    assert experiment.Experiment.suits("generation", recipe, sources).score == 0


def test_the_distance_of_two_normal_clouds_is_that_of_their_means_and_spreads():
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(200_000, 2))
    assert frechet(cloud, cloud) == pytest.approx(0, abs=1e-9)
    assert frechet(cloud, cloud + np.array([3, 4])) == pytest.approx(25, rel=1e-6)
    assert frechet(cloud, 3 * cloud) == pytest.approx(2 * (3 - 1) ** 2, rel=0.02)


def test_the_cheap_scores_of_a_generator_are_a_loss_and_a_number_with_a_name():
    rng = np.random.default_rng(0)
    clouds = {"real": rng.normal(size=(50, 4)), "fake": rng.normal(size=(50, 4))}
    assert list(quick(clouds, np.zeros(50))) == ["loss", "frechet_distance", "spread"]
    parts = {"loss": np.full((5, 1), 3.0), "reconstruction": np.full((5, 1), 2.0), "divergence": np.ones((5, 1))}
    assert quick(parts, np.zeros(5)) == {"loss": 3.0, "reconstruction": 2.0}
    assert quick({"loss": np.ones((5, 1))}, np.zeros(5)) == {"loss": 1.0, "nats": 1.0}
