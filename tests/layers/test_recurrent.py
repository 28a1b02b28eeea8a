"""Recurrent networks: padding is not read, both directions are exact, and the fast ways give the slow ones' answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lamina import models
from lamina.config import RecipeError, parse
from lamina.deploy import onnx_export
from lamina.deploy.predictor import onnx_runtime
from lamina.layers.recurrent import FUNCTIONS, Recurrence, reverse_steps
from lamina.models._recurrent import Pool, Stack
from lamina.plugins import plugin
from lamina.schema import Batch, Input, Output, Spec
from lamina.train.device import decide
from lamina.train.fit import Hooks, fit, outputs
from lamina.train.settings import Examples

KINDS = ("rnn", "lstm", "gru")
FORECASTS = ("forecast_mse", "forecast_mae", "forecast_huber", "pinball")
STEPS, CHANNELS = 9, 3
CLASSES = Output(head="logits", size=3, loss="cross_entropy")
SERIES = Spec(inputs={"series0": Input(kind="series", shape=(STEPS, CHANNELS), dtype="float32")}, output=CLASSES)
RECURRENT = {"units": 4, "return_sequences": True}
DENSE = {"dense": 3}
LAYERS: list[list[Any]] = [
    [{"simple_rnn": 5}, DENSE],
    [{"lstm": {"units": 5, "activation": "relu"}}, DENSE],
    [{"gru": {"units": 5, "go_backwards": True}}, DENSE],
    [{"lstm": RECURRENT}, {"dropout": 0.1}, {"lstm": 4}, DENSE],
    [{"bidirectional": {"lstm": {"units": 4}}}, DENSE],
    [{"Bidirectional": {"GRU": 4}}, DENSE],
    [{"bidirectional": {"simple_rnn": RECURRENT, "merge_mode": "sum"}}, "batchnorm", "GlobalMaxPooling1D", DENSE],
    [
        {"conv1d": {"filters": 6, "activation": "relu"}},
        {"maxpool1d": 2},
        {"conv1d": {"filters": 4, "kernel_size": 2}},
        "global_average_pooling1d",
        DENSE,
    ],
    [
        {"conv1d": {"filters": 4, "padding": "causal", "dilation_rate": 2}},
        "layernorm",
        {"avgpool1d": 2},
        {"gru": 4},
        DENSE,
    ],
    [
        {"conv1d": {"filters": 4, "padding": "same", "strides": 2}},
        {"activation": "tanh"},
        {"dense": 2},
        "flatten",
        DENSE,
    ],
]


def said(name: str, **settings: Any) -> Any:
    faults: list[str] = []
    cfg = parse(plugin("models", name).Config, {"kind": name, **settings}, "model", faults)
    assert cfg is not None, faults
    return cfg


def built(name: str, spec: Spec = SERIES, **settings: Any) -> Any:
    return models.build(said(name, **settings), spec, 0).eval()


def padded(count: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Series of 4 to 9 steps, NaN behind the end, and their lengths."""
    rng = np.random.default_rng(seed)
    series, lengths = rng.normal(size=(count, STEPS, CHANNELS)).astype(np.float32), rng.integers(4, STEPS + 1, count)
    series[np.arange(STEPS) >= lengths[:, None]] = np.nan
    return series, lengths


def longer(spec: Spec, more: int) -> Spec:
    feed = spec.inputs["series0"].model_copy(update={"shape": (STEPS + more, CHANNELS)})
    return spec.model_copy(update={"inputs": {"series0": feed}})


def answers(model: Any, **inputs: np.ndarray) -> np.ndarray:
    return outputs(model, Batch({name: torch.from_numpy(values) for name, values in inputs.items()}))["target"]


def exported(model: Any, **inputs: np.ndarray) -> np.ndarray:
    graph, reason = onnx_export.onnx(model, inputs)
    assert graph is not None, reason
    return onnx_runtime(graph)(inputs)["target"]


# padding


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("name", KINDS)
def test_neither_more_nor_less_padding_changes_an_answer(name, pooling):
    said = {"pooling": pooling, "bidirectional": True, "depth": 2, "width": 6}
    (series, lengths), model, wider = padded(), built(name, **said), built(name, longer(SERIES, 7), **said)
    wider.load_state_dict(model.state_dict())
    more = np.concatenate([series, np.full((len(series), 7, CHANNELS), np.nan, np.float32)], axis=1)
    expected = answers(model, series0=series)
    np.testing.assert_allclose(answers(wider, series0=more), expected, rtol=1e-5, atol=1e-6)
    short = lengths == lengths.min()
    less = built(name, longer(SERIES, int(lengths.min()) - STEPS), **said)
    less.load_state_dict(model.state_dict())
    np.testing.assert_allclose(
        answers(less, series0=series[short, : lengths.min()]), expected[short], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("layers", [layers for layers in LAYERS if "flatten" not in layers], ids=str)
def test_padding_changes_no_answer_of_layers_either(layers):
    (series, _), model, wider = padded(), built("sequential", layers=layers), None
    wider = built("sequential", longer(SERIES, 5), layers=layers)
    wider.load_state_dict(model.state_dict())
    more = np.concatenate([series, np.full((len(series), 5, CHANNELS), np.nan, np.float32)], axis=1)
    np.testing.assert_allclose(answers(wider, series0=more), answers(model, series0=series), rtol=1e-5, atol=1e-6)


def test_a_series_without_one_step_is_answered():
    series = np.full((2, STEPS, CHANNELS), np.nan, np.float32)
    for pooling in ("last", "mean", "max", "attention"):
        assert np.isfinite(answers(built("gru", pooling=pooling, width=4, bidirectional=True), series0=series)).all()
    for layers in LAYERS:
        assert np.isfinite(answers(built("sequential", layers=layers), series0=series)).all()


# directions and pooling, by hand


def test_the_backward_direction_is_the_forward_one_on_each_series_reversed():
    series, lengths = padded()
    model = built("lstm", bidirectional=True, pooling="last", width=5)
    forward, backward = model.net.series["series0"].stack.layers[0]
    for row, length in zip(series, lengths, strict=True):
        own = torch.from_numpy(row[None, :length])
        states = torch.cat([forward(own)[:, -1], backward(own.flip(1))[:, -1]], 1)
        expected = model.net.head(states).detach().numpy()
        np.testing.assert_allclose(answers(model, series0=row[None]), expected, rtol=1e-5, atol=1e-6)


def test_each_pooling_is_what_its_name_says():
    states, lengths = torch.randn(4, 6, 4), torch.tensor([6, 1, 3, 5])
    pools = {name: Pool(name, 4, 1) for name in ("last", "mean", "max", "attention")}
    for i, length in enumerate(lengths.tolist()):
        own = states[i, :length]
        score = pools["attention"].score
        assert score is not None
        expected = {
            "last": own[-1],
            "mean": own.mean(0),
            "max": own.amax(0),
            "attention": (score(own).softmax(0) * own).sum(0),
        }
        for name, pool in pools.items():
            torch.testing.assert_close(pool(states, lengths)[i], expected[name])


def test_a_turned_series_turned_again_is_the_series():
    series, lengths = torch.randn(5, 7, 2), torch.tensor([7, 1, 2, 5, 6])
    assert torch.equal(reverse_steps(reverse_steps(series, lengths), lengths), series)
    assert torch.equal(reverse_steps(series, lengths)[3, :5], series[3, :5].flip(0))


# the layer


@pytest.mark.parametrize("kind", KINDS)
def test_weights_start_gate_by_gate(kind):
    torch.manual_seed(0)
    layer, gates = Recurrence(kind, 40, 30), {"rnn": 1, "lstm": 4, "gru": 3}[kind]
    for ih, hh in zip(layer.weight_ih.chunk(gates), layer.weight_hh.chunk(gates), strict=True):
        torch.testing.assert_close(hh @ hh.T, torch.eye(30), rtol=0, atol=1e-5)
        assert 0.9 * (6 / 70) ** 0.5 < ih.abs().max() <= (6 / 70) ** 0.5
    forget = layer.bias_ih[30:60] if kind == "lstm" else torch.ones(30)
    rest = layer.bias_ih.detach().clone()
    rest[30:60] = 0
    assert (forget == 1).all() and not rest.any() and not layer.bias_hh.any()


@pytest.mark.parametrize(
    ("kind", "theirs", "name"),
    [("rnn", nn.RNN, "tanh"), ("rnn", nn.RNN, "relu"), ("lstm", nn.LSTM, "tanh"), ("gru", nn.GRU, "tanh")],
)
def test_a_layer_is_pytorchs_own_fused_by_hand_and_step_by_step(kind, theirs, name):
    layer, x = Recurrence(kind, 4, 6, name).double(), torch.randn(5, 8, 4, dtype=torch.float64)
    nn.init.normal_(layer.bias_ih)
    own = theirs(4, 6, batch_first=True, **({"nonlinearity": name} if kind == "rnn" else {})).double()
    own.load_state_dict({f"{key}_l0": value for key, value in layer.state_dict().items()})
    expected = own(x)[0]
    torch.testing.assert_close(layer.eval()(x), expected)
    torch.testing.assert_close(layer.train()(x), expected)
    torch.testing.assert_close(layer(x, True), expected[:, -1])
    torch.testing.assert_close(torch.stack(layer._stepwise(x, [])[0], 1), expected)


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(("kind", "name"), [*FUNCTIONS, ("lstm", "tanh")])
def test_gradients_written_by_hand_are_those_of_autograd(kind, name, last):
    torch.manual_seed(1)
    layer, by_hand = Recurrence(kind, 3, 4, name).double(), FUNCTIONS[kind, "relu" if kind == "lstm" else name]
    x = torch.randn(3, 6, 3, dtype=torch.float64, requires_grad=True)
    leaves = [x, *layer.parameters()]
    for bias in leaves[3:]:
        nn.init.normal_(bias)

    def fast(*values: Tensor) -> Any:
        return by_hand.apply(*values, name, last)

    slow = layer._stepwise(x, [])[0]
    slow = slow[-1] if last else torch.stack(slow, 1)
    torch.testing.assert_close(fast(*leaves), slow)
    weight = torch.randn_like(slow)
    expected = torch.autograd.grad((slow * weight).sum(), leaves)
    torch.testing.assert_close(torch.autograd.grad((fast(*leaves) * weight).sum(), leaves), expected)
    assert torch.autograd.gradcheck(fast, leaves)


def test_many_rows_are_answered_in_parts(monkeypatch):
    layer, x = Recurrence("gru", 3, 4).eval(), torch.randn(11, 5, 3)
    with torch.no_grad():
        whole = layer(x)
        monkeypatch.setattr("lamina.layers.recurrent.AT_ONCE", 2 * 5 * 4)
        torch.testing.assert_close(layer(x), whole)


def test_layers_from_the_second_on_add_to_what_they_were_given():
    stack, x = Stack(said("gru", depth=2, width=4, layer_norm=False), 3).eval(), torch.randn(2, 5, 3)
    first = stack.layers[0][0](x)
    torch.testing.assert_close(stack(x, None), first + stack.layers[1][0](first))
    torch.testing.assert_close(stack(x, None, True), stack(x, None)[:, -1])


# export


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("rnn", {"bidirectional": True, "depth": 2, "pooling": "last"}),
        ("rnn", {"activation": "relu", "pooling": "mean"}),
        ("lstm", {"bidirectional": True, "depth": 2, "pooling": "attention"}),
        ("lstm", {"activation": "relu", "depth": 2}),
        ("gru", {"bidirectional": True, "depth": 3, "pooling": "last", "layer_norm": False}),
        ("gru", {"activation": "elu", "pooling": "max"}),
    ],
    ids=str,
)
def test_every_design_exports(name, settings):
    (series, _), model = padded(), built(name, width=5, **settings)
    np.testing.assert_allclose(exported(model, series0=series), answers(model, series0=series), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layers", LAYERS, ids=str)
def test_layers_of_series_learn_and_export(layers):
    (series, _), model = padded(), built("sequential", layers=layers)
    model.train()
    ((_, loss),) = model.losses(Batch({"series0": torch.from_numpy(series)}, torch.arange(20) % 3))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())
    model.eval()
    np.testing.assert_allclose(exported(model, series0=series), answers(model, series0=series), rtol=1e-5, atol=1e-5)


# layer by layer


def test_the_classic_networks_have_as_many_weights_as_in_keras():
    history = Input(kind="series", shape=(30, 8), dtype="float32", targets=1)
    output = Output(head="horizon", size=1, loss="forecast_mse", settings={"horizon": 1, "targets": 1, "quantiles": []})
    spec = Spec(inputs={"history": history}, output=output)
    for layer, expected in (({"simple_rnn": 50}, 2950), ({"lstm": {"units": 50, "activation": "relu"}}, 11800)):
        model = built("sequential", spec, layers=[layer, {"dense": 1}])
        assert [row["parameters"] for row in models.summary(model, spec) if row["parameters"]] == [expected, 51]
    gru = built("sequential", spec, layers=[{"GRU": 50}, {"dense": 1}])
    assert sum(p.numel() for p in gru.parameters()) == 9000 + 51


@pytest.mark.parametrize(
    ("layers", "word"),
    [
        ([{"lstm": {"units": 4, "return_sequences": True}}, {"dense": 3}], "Put flatten or a recurrent layer without"),
        ([{"lstm": 4}, {"lstm": 4}, {"dense": 3}], "lstm takes series .*return_sequences: true before it"),
        ([{"conv2d": 4}, {"dense": 3}], "takes images .*Use the layers for series"),
        ([{"conv1d": {"filters": 4, "kernel_size": 10}}, "flatten", {"dense": 3}], "a window of 10 steps does not fit"),
        ([{"lstm": 4}], "the task needs 3"),
    ],
)
def test_layers_that_do_not_fit_a_series_are_a_sentence(layers, word):
    with pytest.raises(RecipeError, match=word):
        built("sequential", layers=layers)


@pytest.mark.parametrize("inside", [{}, {"lstm": 4, "gru": 4}, {"dense": 4}, {"lstm": {"unit": 4}}])
def test_what_is_not_one_recurrent_layer_cannot_be_bidirectional(inside):
    faults: list[str] = []
    layers = [{"bidirectional": inside}, {"dense": 3}]
    assert parse(plugin("models", "sequential").Config, {"layers": layers}, "model", faults) is None
    assert "bidirectional" in faults[0]


# forecasts


def forecast_spec(loss: str, quantiles: list[float], future: bool = True, targets: int = 1, steps: int = 12) -> Spec:
    settings: dict[str, Any] = {"horizon": 5, "targets": targets, "quantiles": quantiles}
    inputs = {"history": Input(kind="series", shape=(steps, targets + 1), dtype="float32", targets=targets)}
    if future:
        inputs["future"] = Input(kind="series", shape=(5, 2), dtype="float32")
    size = 5 * targets * max(1, len(quantiles))
    return Spec(inputs=inputs, output=Output(head="horizon", size=size, loss=loss, settings=settings))


def told(count: int, seed: int) -> Examples:
    """Noise whose next steps are written in the future, and nowhere else."""
    rng = np.random.default_rng(seed)
    future = rng.normal(size=(count, 5, 2)).astype(np.float32)
    history = 0.3 * rng.normal(size=(count, 12, 2)).astype(np.float32)
    return Examples({"history": history, "future": future}, 2 * np.abs(future[:, :, :1]) - future[:, :, 1:])


def squared(raw: dict[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
    return {"mse": float(((raw["target"].reshape(target.shape) - target) ** 2).mean()), "score": 0.0}


@pytest.mark.parametrize("name", [*KINDS, "linear", "fnn", "sequential"])
def test_what_is_known_of_the_future_is_used(name):
    spec = forecast_spec("forecast_mse", []).model_copy(update={"rows": 512})
    layers = {"layers": [{"dense": {"units": 32, "activation": "relu"}}, {"dense": 5}]} if name == "sequential" else {}
    cfg = said(name, **layers)
    model, train, held_out = models.build(cfg, spec, 0), told(512, 0), told(200, 1)
    pace = {"device": "cpu", "threads": 1, "epochs": 30, "lr": 3e-2 if name == "linear" else 1e-2}
    how = decide(pace, models.training(cfg, spec), model, train)
    best = list(fit(model, train, held_out, how, Hooks(squared)))[-1]["best"]
    mean = float(held_out.target.var())  # a straight line explains the second part of it, 1 of 2.5
    assert best < (0.75 if name == "linear" else 0.4) * mean


@pytest.mark.parametrize("settings", [{}, {"decompose": True}, {"individual": True}, {"covariates": True}], ids=str)
@pytest.mark.parametrize("loss", FORECASTS)
def test_a_linear_forecast_starts_by_repeating_the_last_value_and_exports(loss, settings):
    quantiles = [0.1, 0.5, 0.9] if loss == "pinball" else []
    spec = forecast_spec(loss, quantiles, targets=2)
    model, rng = built("linear", spec, **settings), np.random.default_rng(0)
    history = rng.normal(size=(6, 12, 3)).astype(np.float32)
    inputs = {"history": history, "future": rng.normal(size=(6, 5, 2)).astype(np.float32)}
    result = answers(model, **inputs).reshape(6, 5, 2, -1)
    np.testing.assert_allclose(result, np.broadcast_to(history[:, -1, None, :2, None], result.shape), atol=1e-6)
    for p in model.parameters():
        nn.init.normal_(p)
    np.testing.assert_allclose(exported(model, **inputs), answers(model, **inputs), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(  # what is added to all of a history is added to its forecast
        answers(model, **{**inputs, "history": history + np.array([3, 3, 0], np.float32)}),
        answers(model, **inputs) + 3,
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_linear_forecast_has_the_weights_of_its_kind():
    spec = forecast_spec("forecast_mse", [], future=False, targets=3)
    count = {"shared": {}, "each": {"individual": True}, "two": {"decompose": True}, "beside": {"covariates": True}}
    result = {k: sum(p.numel() for p in built("linear", spec, **v).parameters()) for k, v in count.items()}
    assert result == {"shared": 65, "each": 195, "two": 130, "beside": 65 + 12 * 15}
    with pytest.raises(RecipeError, match="decompose: is for forecasts"):
        built("linear", decompose=True)


@pytest.mark.parametrize(
    "settings", [{"skip": False}, {"depth": 2, "bidirectional": True}, {"pooling": "mean"}], ids=str
)
@pytest.mark.parametrize("name", KINDS)
def test_recurrent_forecasts_export_with_and_without_a_future(name, settings):
    rng = np.random.default_rng(0)
    for future in (False, True):
        model = built(name, forecast_spec("pinball", [0.1, 0.9], future, 2), width=6, **settings)
        inputs = {"history": rng.normal(size=(7, 12, 3)).astype(np.float32)}
        if future:
            inputs["future"] = rng.normal(size=(7, 5, 2)).astype(np.float32)
        np.testing.assert_allclose(exported(model, **inputs), answers(model, **inputs), rtol=1e-5, atol=1e-5)


def test_forecasts_are_taken_by_those_who_can():
    spec = forecast_spec("forecast_mse", [])
    suits = {name: models.suits(name, spec) for name in ("linear", "rnn", "lstm", "gru", "fnn", "sequential")}
    assert suits["linear"] == max(suits.values()) and min(suits.values()) > 0
    assert not any(models.suits(name, spec) for name in ("cnn", "combine", "pretrained"))


@pytest.mark.parametrize("recipe", ["classic_rnn", "classic_lstm"])
def test_the_classic_recurrent_recipes_run(recipe, tmp_path):
    from lamina import pipeline
    from lamina.recipe import read
    from lamina.run import Run

    made = read(Path(__file__).parents[2] / "recipes" / f"{recipe}.yaml")
    made = made.model_copy(update={"train": {**made.train, "epochs": 40, "ema": None}})
    result = list(pipeline.run(made, Run.create(tmp_path / "run")))[-1]
    assert result["scores"]["mase"] < 0.9 * min(one["mase"] for one in result["baselines"].values())
