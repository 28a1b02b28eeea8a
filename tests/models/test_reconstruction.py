"""Networks that give back what they are fed: rows, images and series, dense, convolutional and recurrent.

What holds for every architecture, `test_models` tests for rows; here are other inputs, and what autoencoders promise.
"""

import functools
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from lamina import models
from lamina.config import RecipeError, parse
from lamina.deploy import onnx_export
from lamina.deploy.onnx_runtime import onnx_runtime
from lamina.plugins import available, plugin
from lamina.schema import Batch, Input, Output, Spec, Windows
from lamina.train.device import decide
from lamina.train.fit import Hooks, fit, outputs
from lamina.train.settings import Examples

NAMES = [name for name in available("models") if "reconstruction" in vars(plugin("models", name)).get("HEADS", ())]
SIZE = 3
FEEDS = {
    "row": Input(kind="row", shape=(9,), dtype="float32", sizes=(1,) * 6 + (3,)),
    "image": Input(kind="image", shape=(9, 8, 1), dtype="uint8", mean=(0.5,), std=(0.2,)),
    "series": Input(kind="series", shape=(21, 2), dtype="float32"),
}
SMALL = {"hidden": [16], "width": 8}
CASES = [
    *((name, kind, None) for name in NAMES for kind in FEEDS),
    ("autoencoder", "image", "dense"),
    ("autoencoder", "series", "dense"),
    ("autoencoder", "series", "recurrent"),
]
each = pytest.mark.parametrize(("name", "kind", "network"), CASES)
each_name = pytest.mark.parametrize("name", NAMES)
each_kind = pytest.mark.parametrize("kind", FEEDS)


def rows(kind: str, count: int, seed: int = 0) -> np.ndarray:
    """What three numbers say nearly all of, on a curve that no plane follows."""
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(count, SIZE)) * [1.0, 0.7, 0.5]
    mixing = np.random.default_rng(1)
    if kind == "row":
        curve = np.sin(2 * codes @ mixing.normal(size=(SIZE, 6))) + 0.1 * rng.normal(size=(count, 6))
        return np.concatenate([curve, np.eye(3)[np.digitize(codes[:, 0], [-0.5, 0.5])]], axis=1).astype(np.float32)
    if kind == "image":
        waves = np.sin(1.5 * codes @ mixing.normal(size=(SIZE, 72))) * 80 + 8 * rng.normal(size=(count, 72))
        return (128 + waves).clip(0, 255).astype(np.uint8).reshape(count, 9, 8, 1)
    steps = np.arange(21)[:, None] / 4
    series = np.sin(steps + codes[:, :1, None]) * codes[:, 1:2, None] + codes[:, 2:, None] * [1.0, -1.0]
    series = (series + 0.05 * rng.normal(size=series.shape)).astype(np.float32)
    series[np.arange(21) >= rng.integers(12, 22, count)[:, None]] = np.nan
    return series


def spec_of(kind: str, count: int = 256, size: int = SIZE) -> Spec:
    output = Output(head="reconstruction", size=size, loss="reconstruction")
    return Spec(inputs={"x": FEEDS[kind]}, output=output, rows=count)


def choice(name: str, **settings: Any) -> Any:
    faults: list[str] = []
    small = {**SMALL, "hidden": 16} if name == "vae" else SMALL
    values = {"kind": name, **small, **{k: v for k, v in settings.items() if v is not None}}
    cfg = parse(plugin("models", name).Config, values, "model", faults)
    assert cfg is not None, faults
    return cfg


def validate(raw: dict[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
    error = float(raw["error"].mean())
    return {"loss": error, "rmse": error**0.5}


def train(cfg: Any, spec: Spec, own: np.ndarray, validation_rows: np.ndarray, **settings: Any) -> Any:
    """The network as `pipeline` trains it."""
    model = models.build(cfg, spec, 0)
    examples, validation = (Examples({"x": x}, np.zeros(len(x), np.float32)) for x in (own, validation_rows))
    models.initialize(model, examples, validation)
    how = decide({"device": "cpu", "threads": 1, **settings}, models.training(cfg, spec), model, examples)
    list(fit(model, examples, validation, how, Hooks(validate)))
    models.finalize(model, examples)
    return model.eval()


@functools.cache
def example_model(name: str, kind: str, network: str | None) -> Any:
    cfg = choice(name, network=network)
    return train(cfg, spec_of(kind), rows(kind, 256), rows(kind, 64, 1), epochs=3, batch_size=64)


def answers(model: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """As it is served."""
    return outputs(models.served(model)["model"], Batch({"x": torch.from_numpy(x)}))


def values(kind: str, x: np.ndarray) -> np.ndarray:
    """The numbers that are to be given back."""
    return x.astype(np.float64) / 255 if kind == "image" else np.nan_to_num(x.astype(np.float64))


def principal_component_error(kind: str, train: np.ndarray, test: np.ndarray, size: int = SIZE) -> float:
    """What principal component analysis leaves of test rows, by the singular vectors of training rows."""
    own, new = (values(kind, x).reshape(len(x), -1) for x in (train, test))
    axes = np.linalg.svd(own - own.mean(0), full_matrices=False)[2][:size]
    squares = np.square(new - own.mean(0) - (new - own.mean(0)) @ axes.T @ axes)
    there = ~np.isnan(test.astype(float)).reshape(len(test), -1)
    return float(np.nanmean(np.where(there, squares, np.nan), axis=1).mean())


@each
def test_a_code_is_decoded_to_what_is_given_back_and_the_error_is_its_mean_square(name, kind, network):
    model, x = example_model(name, kind, network), rows(kind, 20, 2)
    output = answers(model, x)
    assert output["latent"].shape == (20, SIZE)
    assert output["reconstruction"].shape == x.shape
    decoder_output = outputs(models.served(model)["decoder"], Batch({"latent": torch.from_numpy(output["latent"])}))
    np.testing.assert_allclose(decoder_output["reconstruction"], output["reconstruction"], rtol=1e-5, atol=1e-6)
    squares = np.where(np.isnan(x.astype(float)), np.nan, np.square(output["reconstruction"] - values(kind, x)))
    np.testing.assert_allclose(output["error"][:, 0], np.nanmean(squares.reshape(20, -1), axis=1), rtol=1e-4)


@each
def test_graphs_of_the_network_and_of_its_decoder_give_its_answers(name, kind, network):
    model, x = example_model(name, kind, network), rows(kind, 20, 2)
    output = answers(model, x)
    for part, inputs in (("model", {"x": x}), ("decoder", {"latent": output["latent"]})):
        graph, reason = onnx_export.onnx(models.served(model)[part], inputs)
        assert graph is not None, reason
        run = onnx_runtime(graph)
        for count in (1, 2, 20):
            graph_output = run({key: value[:count] for key, value in inputs.items()})
            for key, value in graph_output.items():
                scale = max(1.0, float(np.abs(output[key]).max()))
                assert np.abs(value - output[key][:count]).max() <= 1e-5 * scale, (part, key)


@each
def test_neither_neighbours_nor_batch_size_change_an_answer(name, kind, network):
    model, x = example_model(name, kind, network), rows(kind, 12, 3)
    together = answers(model, x)
    for i in (0, 5, 11):
        for key, value in answers(model, x[i : i + 1]).items():
            np.testing.assert_allclose(value, together[key][i : i + 1], rtol=1e-4, atol=1e-5)


@each
def test_training_changes_every_parameter_and_weights_are_read_back(name, kind, network):
    cfg, spec = choice(name, network=network), spec_of(kind)
    after = dict(example_model(name, kind, network).named_parameters())
    assert not [k for k, p in models.build(cfg, spec, 0).named_parameters() if torch.equal(p, after[k])]
    body = save({k: v.contiguous() for k, v in models.weights(example_model(name, kind, network)).items()})
    again = models.runtime(name, cfg.model_dump(mode="json"), spec, body)({"x": rows(kind, 5, 4)})
    for key, value in answers(example_model(name, kind, network), rows(kind, 5, 4)).items():
        assert np.array_equal(again[key], value)


@each_kind
def test_an_autoencoder_begins_as_principal_component_analysis(kind):
    train_rows, test_rows = rows(kind, 200), rows(kind, 50, 1)
    model = models.build(choice("autoencoder"), spec_of(kind), 0)
    models.initialize(model, *(Examples({"x": x}, np.zeros(len(x))) for x in (train_rows, test_rows)))
    error = float(answers(model, test_rows)["error"].mean())
    assert error == pytest.approx(principal_component_error(kind, train_rows, test_rows), rel=1e-4)


@pytest.mark.parametrize("kind", ["row", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("image", "series"))])
def test_an_autoencoder_learns_what_no_plane_can_say(kind):
    train_rows, test_rows = rows(kind, 256), rows(kind, 64, 1)
    cfg = choice("autoencoder", hidden=[64])
    model = train(cfg, spec_of(kind), train_rows, test_rows, epochs=40, batch_size=32, lr=5e-3)
    error = float(answers(model, test_rows)["error"].mean())
    assert error < 0.9 * principal_component_error(kind, train_rows, test_rows)


@pytest.mark.parametrize("count", [2, 12])
@each_kind
def test_validation_error_is_never_above_that_of_principal_component_analysis(kind, count):
    train_rows, validation_rows = rows(kind, count), rows(kind, 40, 1)
    model = train(choice("autoencoder"), spec_of(kind, count), train_rows, validation_rows, epochs=4, lr=0.05, ema=None)
    error = float(answers(model, validation_rows)["error"].mean())
    assert error <= 1.0001 * principal_component_error(kind, train_rows, validation_rows, min(SIZE, count - 1))


def test_windows_of_a_recording_are_learned_from_as_they_are():
    recording = np.sin(np.arange(400) / 3)[:, None].astype(np.float32) * [1.0, 0.5]
    windows = Windows(recording.astype(np.float32), np.arange(0, 379), 21)
    model = models.build(choice("autoencoder", neighbors=3), spec_of("series"), 0)
    models.initialize(model, *(Examples({"x": windows}, np.zeros(379, np.float32)) for _ in range(2)))
    assert float(answers(model, windows[:50])["error"].mean()) < 1e-4, "two axes say all of a wave"
    assert model.origin.validation is windows


def test_random_projections_find_the_components_of_wide_rows():
    from lamina.models._reconstruction import principal_components

    rng = np.random.default_rng(0)
    wide = (rng.normal(size=(60, 5)) * [9, 7, 5, 3, 2]) @ rng.normal(size=(5, 1500)) + 0.1 * rng.normal(size=(60, 1500))
    of = principal_components.fit(lambda places: wide[places].astype(np.float32), 60, 1500, 4)
    singular, axes = np.linalg.svd(wide - wide.mean(0), full_matrices=False)[1:]
    np.testing.assert_allclose(of.deviations, singular[:4] / np.sqrt(60), rtol=1e-3)
    assert np.abs(np.sum(of.axes * axes[:4], axis=1)).min() > 0.999


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("what", ["one row", "equal rows", "missing all along", "more numbers than columns"])
def test_the_least_there_can_be_is_learned_without_a_number_that_is_none(name, what):
    x = rows("row", 1 if what == "one row" else 20)
    x = {"equal rows": np.repeat(x[:1], 20, axis=0), "missing all along": np.zeros_like(x)}.get(what, x)
    spec = spec_of("row", len(x), 12 if what == "more numbers than columns" else SIZE)
    model = train(choice(name), spec, x, x, epochs=2)
    assert all(np.isfinite(value).all() for value in answers(model, x).values())
    assert all(np.isfinite(value).all() for value in answers(model, np.full_like(x, 1e6)).values())


def test_noise_masking_and_sparsity_are_for_training_alone():
    cfg = choice("autoencoder", noise=0.3, masking=0.2, sparsity=0.1)
    model = train(cfg, spec_of("row"), rows("row", 200), rows("row", 50, 1), epochs=2)
    x = rows("row", 30, 2)
    assert all(np.array_equal(value, answers(model, x)[key]) for key, value in answers(model, x).items())
    batch = Batch({"x": torch.from_numpy(x)})
    losses = [loss.item() for _ in range(2) for _, loss in model.losses(batch)]
    assert losses[0] != losses[1]


def test_sparse_codes_are_smaller():
    sizes = []
    for sparsity in (0.0, 1.0):
        cfg = choice("autoencoder", sparsity=sparsity)
        model = train(cfg, spec_of("row"), rows("row", 200), rows("row", 50, 1), epochs=8, keep="last", lr=2e-2)
        latent = answers(model, rows("row", 50, 2))["latent"]
        sizes.append(float(np.abs(latent).mean() / latent.std()))
    assert sizes[1] < sizes[0]


def test_codes_of_neighbours_lie_together_where_a_plane_mixes_them():
    rng = np.random.default_rng(0)
    centres = 3 * rng.normal(size=(12, 9))
    label = np.arange(360) % 12
    x = (centres[label] + rng.normal(size=(360, 9)) * 0.9).astype(np.float32)
    accuracies = []
    for neighbors in (0, 10):
        cfg = choice("autoencoder", neighbors=neighbors, hidden=[64])
        model = train(cfg, spec_of("row", 300, 2), x[:300], x[300:], epochs=60, batch_size=64, lr=5e-3)
        codes = answers(model, x)["latent"]
        nearest = np.linalg.norm(codes[300:, None] - codes[:300], axis=2).argmin(1)
        accuracies.append(float((label[:300][nearest] == label[300:]).mean()))
    assert accuracies[1] > max(0.85, accuracies[0])


def test_neighbours_by_blocks_are_those_of_all_distances(monkeypatch):
    from lamina.models.autoencoder import neighbors

    points = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 4))).float()
    distances = torch.cdist(points, points).fill_diagonal_(torch.inf)
    monkeypatch.setattr(neighbors, "BLOCK", 300)
    far = neighbors.nearest(points, 5)[1]
    np.testing.assert_allclose(far.numpy(), distances.topk(5, largest=False).values.numpy(), rtol=1e-3, atol=1e-4)
    weights = neighbors.fuzzy_weights(far)
    assert torch.equal(weights[:, 0], torch.ones(50)) and (weights.diff() <= 0).all()
    np.testing.assert_allclose(weights.sum(1).numpy(), np.log2(6), rtol=1e-3)


def test_the_bound_of_a_row_is_its_likelihood_where_rows_are_normal():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(4000, 3)) * [2, 1, 0.7] @ np.linalg.qr(rng.normal(size=(9, 3)))[0].T).astype(np.float32)
    x += 0.3 * rng.normal(size=x.shape).astype(np.float32)
    model = models.build(choice("vae"), spec_of("row"), 0)
    models.initialize(model, *(Examples({"x": x}, np.zeros(len(x))) for _ in range(2)))
    bound = float(answers(model, x)["elbo"].mean())
    covariance = np.cov(x.T)
    likelihood = -0.5 * (9 * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1] + 9)
    assert likelihood - 0.6 < bound < likelihood + 0.1


def test_the_pressure_on_codes_grows_and_some_bits_are_free():
    model = models.build(choice("vae", warmup=10, free_bits=0.0), spec_of("row"), 0).train()
    batch = Batch({"x": torch.from_numpy(rows("row", 64))})
    for _ in range(3):
        list(model.losses(batch))
    assert int(model.turn) == 3
    free = models.build(choice("vae", warmup=0, free_bits=50.0), spec_of("row"), 0).train()
    ((_, loss),) = free.losses(batch)
    assert loss.item() > 50 * SIZE / 9


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("row", {"network": "convolutional"}, "model.network: convolutional is for images and series"),
        ("image", {"network": "recurrent"}, "model.network: recurrent is for series"),
        ("row", {"output_activation": "sigmoid", "linear": False}, "model.output_activation: numbers of a row"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(kind, settings, words):
    with pytest.raises(RecipeError, match=words):
        models.build(choice("autoencoder", **settings), spec_of(kind), 0)


def test_a_linear_path_has_no_activation():
    faults: list[str] = []
    assert parse(plugin("models", "autoencoder").Config, {"latent_activation": "relu"}, "model", faults) is None
    assert "with latent_activation set linear to false" in faults[0]


def test_the_size_of_a_code_is_said_by_the_task():
    with pytest.raises(RecipeError, match=r"model.latent: .* the task says: 3 \(got 8\)"):
        models.build(choice("vae", latent=8), spec_of("row"), 0)
