"""Architectures: whatever is found in the folder learns, answers each row by itself, and exports.

Every test runs over every architecture, for every sort of input and of answer. One that has settings without a
default says what to try it with in a function `example(spec)` of its file; one with a head of its own says in
`example_rows(count)` for what it is built and what it learns from. Generators have a contract of their own.
"""

import functools
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from lamina import models
from lamina.config import BundleError, Config, parse
from lamina.data import arrays
from lamina.deploy import onnx_export
from lamina.deploy.predictor import onnx_runtime
from lamina.layers.basic import ACTIVATIONS
from lamina.plugins import available, plugin
from lamina.preprocess.number import edges
from lamina.schema import TARGET_HEADS, Batch, Input, Output, Spec
from lamina.train import batches, settings
from lamina.train.device import decide
from lamina.train.fit import Hooks, fit, outputs
from lamina.train.settings import Examples

ARCHITECTURES = [
    name for name in available("models") if vars(plugin("models", name)).get("HEADS", TARGET_HEADS) & TARGET_HEADS
]
OWN_HEADS = [name for name in available("models") if "example_rows" in vars(plugin("models", name))]
EVERY = list(dict.fromkeys((*ARCHITECTURES, *OWN_HEADS)))
ROWS = 256
OUTPUTS = {
    "two classes": Output(head="logits", size=1, loss="binary_cross_entropy"),
    "three classes": Output(head="logits", size=3, loss="cross_entropy"),
    "a number": Output(head="value", size=1, loss="mse"),
}
STEPS, HORIZON, TARGETS, QUANTILES = 12, 4, 2, [0.1, 0.5, 0.9]
FORECASTS = {
    "a forecast": Output(
        head="horizon",
        size=HORIZON * TARGETS,
        loss="forecast_mse",
        settings={"horizon": HORIZON, "targets": TARGETS, "quantiles": []},
    ),
    "quantiles": Output(
        head="horizon",
        size=HORIZON * TARGETS * len(QUANTILES),
        loss="pinball",
        settings={"horizon": HORIZON, "targets": TARGETS, "quantiles": QUANTILES},
    ),
}
SORTS = {"numbers": ("number",), "categories": ("category",), "words": ("tokens3",), "pictures": ("image4",)}
SORTS["series"] = ("series5",)
SORTS["everything"] = tuple(name for names in SORTS.values() for name in names)
SORTS["a history and a future"] = ("history", "future")
SIZES = (4, 30)  # few enough for one-hot, and too many
WORDS = 40
SIDE = 8

PAIRS = [(sort, answer) for sort in SORTS for answer in (FORECASTS if "history" in SORTS[sort] else OUTPUTS)]
OWN = [(name, name) for name in OWN_HEADS]
SOME = [(sort, answer) for sort, answer in PAIRS if sort == "everything" or answer in ("two classes", *FORECASTS)]


def rows(count: int, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Encoded inputs of each sort, and for each what it adds to the answer: about -1 to 1."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(count, 3)).astype(np.float32)
    codes = np.stack([rng.integers(1, size, count) for size in SIZES], axis=1)
    words = rng.integers(1, WORDS, (count, 6)) * (rng.random((count, 6)) < 0.8)
    words[:, 0] = np.maximum(words[:, 0], 1)
    inputs = {"category": codes, "number": numbers, "tokens3": words}
    tint = rng.uniform(-1, 1, count)
    red, blue = np.array([1, 0, 0]), np.array([0, 0, 1])
    images = 128 + 50 * (tint[:, None, None, None] * (red - blue)) + 10 * rng.normal(size=(count, SIDE, SIDE, 3))
    inputs["image4"] = images.clip(0, 255).astype(np.uint8)
    lengths, slope = rng.integers(4, STEPS + 1, count), rng.uniform(-1, 1, count)
    rise = slope[:, None, None] * np.array([1.0, 0.0]) * np.minimum(np.arange(STEPS) - 1, 4)[:, None] / 2
    series = (rise + 0.4 * rng.normal(size=(count, STEPS, 2))).astype(np.float32)
    series[np.arange(STEPS) >= lengths[:, None]] = np.nan  # behind the ends
    inputs["series5"] = series
    parts = {
        "series5": 1.8 * slope,
        "image4": 1.8 * tint,
        "number": 0.8 * numbers @ [1.0, -0.7, 0.5],
        "category": np.array([0.0, -1.0, 0.0, 1.0])[codes[:, 0]] + np.where(codes[:, 1] % 2, 0.6, -0.6),
        "tokens3": 2.6 * np.where(words % 2, 1, -1 * (words > 0)).sum(1) / (words > 0).sum(1),
    }
    return inputs, parts


def windows(count: int, seed: int) -> Examples:
    """Waves of any phase and level, and a future that moves the first target; a tenth of the answers not measured."""
    rng = np.random.default_rng(seed)
    phase, level = rng.uniform(0, 6.3, (count, 1, 2)), 3 * rng.normal(size=(count, 1, 2))
    steps = np.arange(STEPS + HORIZON)[:, None]
    waves = np.sin(steps * 0.8 + phase) + level + 0.1 * rng.normal(size=(count, STEPS + HORIZON, 2))
    other, future = rng.normal(size=(count, STEPS, 1)), rng.normal(size=(count, HORIZON, 1))
    target = waves[:, STEPS:] + future * np.array([0.7, 0.0])
    target[rng.random(target.shape) < 0.1] = np.nan
    history = np.concatenate([waves[:, :STEPS], other], axis=2)
    inputs = {"future": future.astype(np.float32), "history": history.astype(np.float32)}
    return Examples(inputs, target.astype(np.float32))


def data(sort: str, answer: str, count: int = ROWS, seed: int = 0) -> Examples:
    """A task that a straight line can nearly do."""
    if sort in OWN_HEADS:
        _, batch = plugin("models", sort).example_rows(count, seed)
        return Examples(batch.inputs, batch.target, batch.lengths)
    if answer in FORECASTS:
        return windows(count, seed)
    inputs, parts = rows(count, seed)
    names = sorted(SORTS[sort])
    score = sum(parts[name] for name in names) / np.sqrt(len(names))
    if answer == "two classes":
        target = (score > 0).astype(np.float32)
    else:
        target = np.digitize(score, [-0.45, 0.45]) if answer == "three classes" else score.astype(np.float32)
    return Examples({name: inputs[name] for name in names}, target)


@functools.cache
def number_edges() -> tuple[tuple[float, ...], ...]:
    """Between which values of numbers a network tells apart."""
    return tuple(edges(values, 8) for values in rows(ROWS, 0)[0]["number"].T)


def spec_of(sort: str, answer: str, count: int = ROWS) -> Spec:
    """What a network is built for; an architecture with a head of its own is the sort and the answer at once."""
    if sort in OWN_HEADS:
        return plugin("models", sort).example_rows(1, 0)[0].model_copy(update={"rows": count})
    known = {
        "number": Input(kind="number", shape=(3,), dtype="float32", edges=number_edges()),
        "category": Input(kind="category", shape=(2,), dtype="int64", sizes=SIZES),
        "tokens3": Input(kind="tokens", shape=(6,), dtype="int64", sizes=(WORDS,)),
        "image4": Input(kind="image", shape=(SIDE, SIDE, 3), dtype="uint8", mean=(0.5,) * 3, std=(0.2,) * 3),
        "series5": Input(kind="series", shape=(STEPS, 2), dtype="float32"),
        "history": Input(kind="series", shape=(STEPS, TARGETS + 1), dtype="float32", targets=TARGETS),
        "future": Input(kind="series", shape=(HORIZON, 1), dtype="float32"),
    }
    return Spec(inputs={n: known[n] for n in sorted(SORTS[sort])}, output=(OUTPUTS | FORECASTS)[answer], rows=count)


def takes(name: str, sort: str) -> bool:
    return models.suits(name, spec_of(sort, next(answer for other, answer in (*PAIRS, *OWN) if other == sort))) > 0


def widest(name: str) -> str:
    """Everything together, or the one sort that an architecture is made for."""
    if name not in ARCHITECTURES:
        return name
    return next(sort for sort in ("everything", "series", *SORTS) if takes(name, sort))


def over(pairs: list[tuple[str, str]]) -> pytest.MarkDecorator:
    """Every architecture for some sorts of input and answer."""
    cases = [(name, *pair) for name in EVERY for pair in pairs if takes(name, pair[0])]
    return pytest.mark.parametrize(("name", "sort", "answer"), cases, ids=lambda value: value.replace(" ", "-"))


each = over(PAIRS + OWN)
each_trained = over(SOME + OWN)
each_scored = over(SOME)
each_whole = over(SOME + [pair for pair in OWN if "served" not in vars(plugin("models", pair[0]).Model)])
each_file = pytest.mark.parametrize("name", EVERY)
each_architecture = pytest.mark.parametrize("name", ARCHITECTURES)


def choice(name: str, spec: Spec) -> Any:
    """The architecture's settings: its defaults and, where it has none, its example."""
    module, faults = plugin("models", name), list[str]()
    said = vars(module)["example"](spec) if "example" in vars(module) else {}
    cfg = parse(module.Config, {"kind": name, **said}, name, faults)
    needs = f"models/{name}.py: give every setting a default, or say what to try it with in example(spec) -> dict"
    assert cfg is not None, f"{needs} ({'; '.join(faults)})"
    return cfg


def built(name: str, sort: str, answer: str, seed: int = 0) -> tuple[Any, Any, Spec]:
    spec = spec_of(sort, answer)
    cfg = choice(name, spec)
    return models.build(cfg, spec, seed), cfg, spec


def quick(raw: dict[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
    """The loss that is minimised, by the plain formulas, and accuracy or the root of the squared error."""
    logits = raw["target"].astype(np.float64)
    if target.ndim == 3:
        return {"loss": missed(logits, target), "rmse": missed(logits, target) ** 0.5}
    if target.dtype == np.int64:
        own = logits[np.arange(len(target)), target]
        loss = float((np.logaddexp.reduce(logits, axis=1) - own).mean())
        return {"loss": loss, "accuracy": float((logits.argmax(1) == target).mean())}
    if set(np.unique(target)) == {0, 1}:
        loss = float(np.logaddexp(0, np.where(target > 0, -1, 1) * logits[:, 0]).mean())
        return {"loss": loss, "accuracy": float(((logits[:, 0] > 0) == target).mean())}
    error = float(((logits[:, 0] - target) ** 2).mean())
    return {"loss": error, "rmse": error**0.5}


def size(raw: dict[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
    """Two numbers for a head of which nothing is known but that its answers are finite."""
    first = next(iter(raw.values()))
    return {"loss": float(np.abs(first).mean()), "spread": float(first.std())}


def missed(raw: np.ndarray, target: np.ndarray) -> float:
    """The mean squared error of a forecast, or the mean pinball loss of its quantiles, over what was measured."""
    error = target[..., None] - raw.reshape(*target.shape, -1)
    if error.shape[-1] == 1:
        return float(np.nanmean(error**2))
    levels = np.array(QUANTILES)
    return float(np.nanmean(np.maximum(levels * error, (levels - 1) * error)))


class Trained(NamedTuple):
    model: Any
    before: dict[str, torch.Tensor]
    epochs: list[dict[str, Any]]


def trained(name: str, sort: str, answer: str, said: dict[str, Any] | None = None, count: int = ROWS) -> Trained:
    """One run with the settings that the architecture suggests."""
    model, cfg, spec = built(name, sort, answer)
    own = data(sort, answer, count)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    suggested = models.training(cfg, spec.model_copy(update={"rows": count}))
    how = decide({"device": "cpu", "threads": 1, **(said or {})}, suggested, model, own)
    steps = list(fit(model, own, data(sort, answer, 64, seed=1), how, Hooks(size if sort in OWN_HEADS else quick)))
    return Trained(model, before, [row for row in steps if row["at"] == "epoch"])


@functools.cache
def learned(name: str, sort: str, answer: str) -> Trained:
    """As a user would get it for two classes from everything together; fewer passes elsewhere, and over series, which
    the tests of series train in full.
    """
    as_suggested = sort == widest(name) != "series" and answer == "two classes"
    return trained(name, sort, answer, None if as_suggested else {"epochs": 20})


def tensors(inputs: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in inputs.items()}


def answers(model: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    raw = outputs(model, Batch(tensors(inputs)))
    return raw["target"] if "target" in raw else next(iter(raw.values()))


# the file


@each_file
def test_an_architecture_is_named_by_its_file(name):
    module = plugin("models", name)
    assert issubclass(module.Config, Config)
    assert module.Config.model_fields["kind"].default == name
    assert module.__doc__


@each_file
@pytest.mark.parametrize("count", [0, 1, 12, 1_000, 1_000_000])
def test_suggested_train_settings_are_valid_for_any_number_of_rows(name, count):
    spec = spec_of(widest(name), "two classes", count)
    faults: list[str] = []
    assert parse(settings.Config, models.training(choice(name, spec), spec), "train", faults), faults


@each_file
def test_a_setting_that_does_not_exist_is_refused_with_the_nearest_name(name):
    module, faults = plugin("models", name), list[str]()
    known = choice(name, spec_of(widest(name), "a number")).model_dump(mode="json")
    setting = next((field for field in known if field != "kind"), "kind")
    assert parse(module.Config, {**known, f"{setting}x": 1}, "model", faults) is None
    assert faults == [f"model.{setting}x: unknown setting. Did you mean '{setting}'?"]


# the network


@each
def test_every_parameter_of_every_part_receives_a_gradient(name, sort, answer):
    model, _, _ = built(name, sort, answer)
    own = data(sort, answer)
    model.train()
    lengths = None if own.lengths is None else torch.from_numpy(own.lengths)
    batch = Batch(tensors(own.inputs), torch.from_numpy(own.target), lengths)
    yielded = set()
    for part, loss in model.losses(batch):
        params = {n: p for n, p in model.get_submodule(part).named_parameters() if p.requires_grad}
        assert params
        model.zero_grad()
        loss.backward()
        without = [n for n, p in params.items() if p.grad is None or not p.grad.any()]
        assert not without, f"part '{part}': no gradient for {without}"
        assert all(torch.isfinite(p.grad).all() for p in params.values())
        yielded.add(part)
    assert yielded == set(model.parts)


@each_trained
def test_training_changes_every_trainable_tensor_and_stays_finite(name, sort, answer):
    result = learned(name, sort, answer)
    after = result.model.state_dict()
    assert all(torch.isfinite(v).all() for v in after.values())
    same = [
        n for n, p in result.model.named_parameters() if p.requires_grad and torch.equal(result.before[n], after[n])
    ]
    assert not same, f"training left {same} as they were"
    assert all(np.isfinite(row["loss"]) and np.isfinite(row["validation_loss"]) for row in result.epochs)


@each_scored
def test_a_learnable_answer_is_learned_better_than_the_majority_the_mean_or_the_last_value(name, sort, answer):
    fresh = data(sort, answer, 400, seed=2)
    result = quick({"target": answers(learned(name, sort, answer).model, fresh.inputs)}, fresh.target)
    if answer in FORECASTS:
        last = fresh.inputs["history"][:, -1:, :TARGETS, None]  # repeated: better only by waves and by the future
        many = FORECASTS[answer].size // (HORIZON * TARGETS)
        repeated = np.broadcast_to(last, (len(last), HORIZON, TARGETS, many)).reshape(len(last), -1)
        assert result["loss"] < (0.5 if many == 1 else 0.7) * missed(repeated, fresh.target)
    elif answer == "a number":
        assert result["rmse"] < 0.8 * fresh.target.std()
    else:
        _, counts = np.unique(fresh.target, return_counts=True)
        share = counts / counts.sum()
        assert result["accuracy"] > share.max() + 0.15
        assert result["loss"] < 0.9 * -(share * np.log(share)).sum()


@each_architecture
@pytest.mark.parametrize("answer", OUTPUTS)
def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(name, answer):
    first, again = (trained(name, widest(name), answer, {"epochs": 2}, count=64) for _ in range(2))
    assert all(torch.equal(v, again.model.state_dict()[k]) for k, v in first.model.state_dict().items())
    assert [r["loss"] for r in first.epochs] == [r["loss"] for r in again.epochs]
    other, _, _ = built(name, widest(name), answer, seed=1)
    assert any(not torch.equal(v, other.state_dict()[k]) for k, v in first.before.items())


@each_whole  # what is served by parts is compared with its graphs where its task is tested
def test_the_exported_graph_gives_the_answers_of_the_network(name, sort, answer):
    model, own = learned(name, sort, answer).model, data(sort, answer, 30, seed=3).inputs
    graph, reason = onnx_export.onnx(model, own)
    assert graph is not None, reason
    run = onnx_runtime(graph)
    for count in (1, 2, 7, 400):
        inputs = data(sort, answer, count, seed=count + 3).inputs
        expected = answers(model, inputs)
        scale = max(1.0, np.abs(expected).max())
        assert np.abs(next(iter(run(inputs).values())) - expected).max() <= 1e-5 * scale


@each_trained
def test_neither_neighbours_nor_batch_size_change_an_answer(name, sort, answer):
    model, inputs = learned(name, sort, answer).model, data(sort, answer, 33, seed=4).inputs
    together = answers(model, inputs)
    single = np.concatenate([answers(model, {k: v[i : i + 1] for k, v in inputs.items()}) for i in range(33)])
    order = np.random.default_rng(0).permutation(33)
    shuffled = answers(model, {k: v[order] for k, v in inputs.items()})
    assert len(together) == 33
    assert sort in OWN_HEADS or together.shape[-1] == spec_of(sort, answer).output.size
    np.testing.assert_allclose(single, together, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(shuffled, together[order], rtol=1e-5, atol=1e-5)


@each_architecture
@pytest.mark.parametrize("answer", OUTPUTS)
def test_twelve_rows_are_enough_to_train_on(name, answer):
    result = trained(name, widest(name), answer, {"epochs": 12}, count=12)
    assert all(torch.isfinite(v).all() for v in result.model.state_dict().values())


@each_architecture
@pytest.mark.parametrize("answer", OUTPUTS)
def test_batches_of_one_row_can_be_trained_on(name, answer):
    result = trained(name, widest(name), answer, {"batch_size": 1, "epochs": 1}, count=5)
    assert np.isfinite(result.epochs[-1]["loss"])


@each
def test_the_summary_counts_every_parameter(name, sort, answer):
    model, _, spec = built(name, sort, answer)
    model.train()
    result = models.summary(model, spec)
    weights = models.weights(model)  # a loss may have others, which are not of the network
    sizes = [p.numel() for key, p in model.named_parameters() if key in weights]
    assert sum(layer["parameters"] for layer in result) == sum(sizes)
    assert all(layer["layer"] and isinstance(layer["output"], str) for layer in result)
    assert model.training, "looking at a network puts it back into the mode it was in"


@each_whole
def test_weights_read_back_give_the_same_network(name, sort, answer):
    from safetensors.torch import save

    model, own = learned(name, sort, answer).model, data(sort, answer, 9, seed=5).inputs
    spec = spec_of(sort, answer)
    config = choice(name, spec).model_dump(mode="json")
    weights = save({k: v.contiguous() for k, v in models.weights(model).items()})
    lean = Spec.model_validate_json(spec.model_copy(update={"rows": 0}).model_dump_json())
    if models.is_graph_only(name):
        with pytest.raises(BundleError, match="served by its graph only"):
            models.runtime(name, config, lean, weights)
    else:
        mine = next(iter(models.runtime(name, config, lean, weights)(own).values()))
        assert np.array_equal(mine, answers(model, own))


@each_architecture
def test_missing_and_unseen_codes_are_answered(name):
    model = learned(name, widest(name), "two classes").model
    inputs, _ = rows(2, 0)
    inputs["category"][:] = [[0, 0], [1, 1]]
    inputs["tokens3"][:] = 0
    inputs["image4"][:] = 128
    assert np.isfinite(answers(model, {sort: inputs[sort] for sort in SORTS[widest(name)]})).all()


@each_architecture
def test_half_precision_trains_as_well(name):
    result = trained(name, widest(name), "two classes", {"precision": "bf16", "epochs": 2}, count=64)
    assert all(
        v.dtype != torch.bfloat16 and torch.isfinite(v.float()).all() for v in result.model.state_dict().values()
    )


# activations


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", ["fnn", "sequential"])
def test_every_activation_works_by_name_and_exports(name, activation):
    spec = spec_of("numbers", "three classes")
    said: dict[str, Any] = {"fnn": {"activation": activation, "width": 16}, "sequential": {}}[name]
    if name == "sequential":
        said = {"layers": [{"dense": {"units": 8, "activation": activation}}, {"activation": activation}, {"dense": 3}]}
    faults: list[str] = []
    cfg = parse(plugin("models", name).Config, {"kind": name, **said}, name, faults)
    assert not faults
    model, inputs = models.build(cfg, spec, 0), data("numbers", "three classes", 20).inputs
    graph, reason = onnx_export.onnx(model, inputs)
    assert graph is not None, reason
    np.testing.assert_allclose(onnx_runtime(graph)(inputs)["target"], answers(model, inputs), rtol=1e-5, atol=1e-5)


def test_the_twelve_activations_are_those_of_the_field():
    x = np.array([[-2.0, -0.5, 0.0, 0.5, 3.0]], np.float32)
    exp = np.exp(x)
    by_hand = {
        "relu": np.maximum(x, 0),
        "sigmoid": 1 / (1 + np.exp(-x)),
        "tanh": np.tanh(x),
        "softmax": exp / exp.sum(),
        "leaky_relu": np.where(x > 0, x, 0.01 * x),
        "elu": np.where(x > 0, x, exp - 1),
        "softplus": np.log1p(exp),
        "silu": x / (1 + np.exp(-x)),
        "mish": x * np.tanh(np.log1p(exp)),
        "linear": x,
    }
    assert set(by_hand) | {"gelu", "selu"} == set(ACTIVATIONS)
    for name, expected in by_hand.items():
        np.testing.assert_allclose(
            ACTIVATIONS[name]()(torch.from_numpy(x)).numpy(), expected, rtol=1e-5, atol=1e-6, err_msg=name
        )


# layer by layer


def sequential(*layers: Any) -> Any:
    faults: list[str] = []
    cfg = parse(plugin("models", "sequential").Config, {"layers": list(layers)}, "model", faults)
    assert not faults, faults
    return cfg


@pytest.mark.parametrize(
    ("layers", "word"),
    [
        ([{"dens": 3}], "there is no layer 'dens'. Did you mean 'dense'?"),
        ([{"dense": {"unit": 3}}], "unknown setting. Did you mean 'units'?"),
        ([{"dense": {"units": 0}}], "dense.units"),
        ([{"dense": 3, "dropout": 0.5}], "one layer per entry"),
        ([{"dropout": 1.5}], "dropout.rate"),
        ([{}], "one layer per entry"),
        ([{"dense": {"units": 3, "activation": "rellu"}}], "dense.activation"),
        ([], "layers"),
        ("dense", "layers"),
        ([3], "layers"),
    ],
)
def test_a_wrong_layer_is_a_sentence_that_says_where(layers, word):
    faults: list[str] = []
    assert parse(plugin("models", "sequential").Config, {"layers": layers}, "model", faults) is None
    assert any(word in fault for fault in faults), faults
    assert all(fault.startswith("model.layers") for fault in faults)


def test_keras_names_of_layers_are_understood():
    cfg = sequential("Flatten", {"Dense": 4}, "BatchNormalization", {"Dropout": 0.1}, "batchnorm", {"Dense": 1})
    model = models.build(cfg, spec_of("numbers", "two classes"), 0)
    assert [type(m).__name__ for m in model.layers][:3] == ["Flatten", "Linear", "BatchNorm"]


def test_a_closing_sigmoid_or_softmax_is_the_same_function_as_none():
    for answer, ends in (
        (
            "two classes",
            [[{"dense": {"units": 1, "activation": "sigmoid"}}], [{"dense": 1}, {"activation": "sigmoid"}]],
        ),
        (
            "three classes",
            [[{"dense": {"units": 3, "activation": "softmax"}}], [{"dense": 3}, {"activation": "softmax"}]],
        ),
    ):
        spec, inputs = spec_of("numbers", answer), data("numbers", answer, 20).inputs
        plain = models.build(sequential({"dense": 4}, {"dense": spec.output.size}), spec, 0)
        for end in ends:
            model = models.build(sequential({"dense": 4}, *end), spec, 0)
            assert np.array_equal(answers(model, inputs), answers(plain, inputs))


def test_two_softmax_units_answer_two_classes():
    spec, inputs = spec_of("numbers", "two classes"), data("numbers", "two classes", 20).inputs
    model = models.build(sequential({"dense": {"units": 2, "activation": "softmax"}}), spec, 0)
    assert answers(model, inputs).shape == (20, 1)


def test_a_last_layer_of_the_wrong_size_is_refused_before_training():
    from lamina.config import RecipeError

    with pytest.raises(RecipeError, match=r"model.layers: the last layer gives .*5.* the task needs 3"):
        models.build(sequential({"dense": 5}), spec_of("numbers", "three classes"), 0)


def test_batch_normalization_takes_batches_of_one_row():
    model = models.build(sequential({"dense": 4}, "batchnorm", {"dense": 1}), spec_of("numbers", "a number"), 0)
    own = data("numbers", "a number", 5)
    how = decide({"batch_size": 1, "epochs": 1, "device": "cpu"}, {}, model, own)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(list(fit(model, own, own, how, Hooks(quick)))[-1]["best"])


def test_the_classic_design_runs_as_a_recipe(tmp_path):
    from lamina import pipeline
    from lamina.recipe import read
    from lamina.run import Run
    from lamina.schema import Collected

    (tmp_path / "classic.yaml").write_text(
        """\
data: {kind: arrays}
target: y
model:
  kind: sequential
  layers:
    - dense: {units: 64, activation: relu}
    - dense: {units: 32, activation: relu}
    - dense: {units: 1, activation: sigmoid}
train: {optimizer: adam, epochs: 10, batch_size: 32}
"""
    )
    inputs, parts = rows(400, 0)
    columns = {f"x{i}": values for i, values in enumerate(inputs["number"].T)}
    table = arrays.table({**columns, "y": np.where(parts["number"] > 0, "up", "down")})
    out = list(pipeline.run(read(tmp_path / "classic.yaml"), Run.create(tmp_path / "run"), (Collected(table), None)))
    epochs = [row for row in out if row["at"] == "epoch"]
    design = next(row for row in out if row["at"] == "design")
    assert [layer["parameters"] for layer in design["layers"] if layer["parameters"]] == [256, 2080, 33]
    assert (len(epochs), epochs[-1]["step"]) == (10, 10 * 9)
    assert design["train"].optimizer.kind == "adam"
    assert out[-1]["scores"]["accuracy"] > 0.85


def test_the_loop_gives_every_row_once_per_epoch():
    own = Batch({"x": torch.arange(70)}, torch.arange(70))
    for size in (1, 7, 23, 64, 69, 70, 500):
        seen = torch.cat([batch.inputs["x"] for batch in batches.epoch(own, size, 0, 3)])
        assert sorted(seen.tolist()) == list(range(70))
