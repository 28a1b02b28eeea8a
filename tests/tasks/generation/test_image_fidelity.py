"""New images: networks for any size of image, a game that resumes to the bit, an honest evaluate of what is made."""

import itertools
import json
import random

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import lamina
from lamina import models
from lamina.cli import commands
from lamina.config import parse
from lamina.deploy import onnx_export
from lamina.deploy.onnx_runtime import onnx_runtime
from lamina.layers.random_features import content_noise
from lamina.models.gan import diffaugment
from lamina.models.vae.images import CLOUDS, likelihood
from lamina.plugins import plugin
from lamina.schema import Batch, Input, Output, Spec
from lamina.tasks.generation import memorization, monitor
from lamina.train import checkpoint, fit, progress, settings
from lamina.train.image_classifier import ImageClassifier
from lamina.train.settings import Examples

SIDE = 8
SHAPES = {"digits": (28, 28, 1), "odd": (13, 9, 3), "small": (8, 8, 1), "wide": (10, 40, 3), "large": (72, 72, 3)}
WAYS = {
    "gan": ("gan", {"width": 8, "penalty_every": 2}),
    "gan, dcgan": ("gan", {"width": 8, "preset": "dcgan"}),
    "gan, wgan_gp": ("gan", {"width": 8, "preset": "wgan_gp"}),
    "vae": ("vae", {"width": 8, "latent": 8}),
}
each_way = pytest.mark.parametrize("way", WAYS)


def bars(count, seed):
    """Images of a bright bar on the left or on the right, and which of the two it is."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2, count)
    images = rng.integers(0, 40, (count, SIDE, SIDE, 1))
    for image, code, at, tone in zip(
        images, codes, rng.integers(0, 3, count), rng.integers(150, 215, count), strict=True
    ):
        image[1:-1, code * 5 + at] += tone
    return images.astype(np.uint8), codes


def spec_of(shape, classes=2, rows=64):
    channels = shape[2]
    image = Input(kind="image", shape=shape, dtype="uint8", mean=(0.5,) * channels, std=(0.25,) * channels)
    condition = {"condition": Input(kind="category", shape=(1,), dtype="int64", sizes=(classes,))} if classes else {}
    return Spec(
        inputs={**condition, "image": image}, output=Output(head="sample", size=classes, loss="generation"), rows=rows
    )


def built(way, spec, seed=0):
    name, sentence = WAYS[way]
    faults = []
    cfg = parse(plugin("models", name).Config, {"kind": name, **sentence}, "model", faults)
    assert not faults
    return models.build(cfg, spec, seed), cfg


def fed(shape, classes, count, seed=0):
    rng = torch.Generator().manual_seed(seed)
    inputs = {"image": torch.randint(0, 256, (count, *shape), generator=rng, dtype=torch.uint8)}
    if classes:
        inputs["condition"] = torch.arange(count)[:, None] % classes
    return inputs


# networks


@each_way
@pytest.mark.parametrize("size", SHAPES)
def test_images_of_any_size_are_read_and_made(way, size):
    shape = SHAPES[size]
    classes = 0 if size == "odd" else 3
    model, cfg = built(way, spec_of(shape, classes))
    inputs = fed(shape, classes, 6)
    losses = [loss for _, loss in model.losses(Batch(inputs))]
    assert all(loss.isfinite() for loss in losses)
    model.eval()
    request = {"noise": torch.randn(4, cfg.latent)} | ({"condition": inputs["condition"][:4]} if classes else {})
    result = model.generator(request)["image"]
    assert result.shape == (4, *shape)
    assert result.min() >= 0 and result.max() <= 255


@each_way
def test_every_parameter_of_every_part_learns(way):
    model, _ = built(way, spec_of((28, 28, 1), 3))
    seen = set()
    for part, loss in model.losses(Batch(fed((28, 28, 1), 3, 12))):
        params = dict(model.get_submodule(part).named_parameters())
        loss.backward(inputs=list(params.values()), retain_graph=True)
        later = {n for n in params if "second" in n}  # blocks begin as nothing, so what is before them waits
        first = {n for n in params if n.endswith((".first.weight", ".first.bias")) and "layers" in n}
        assert not [n for n, p in params.items() if n not in later | first and (p.grad is None or not p.grad.any())]
        assert all(params[n].grad.any() for n in later)
        seen.add(part)
    assert seen == set(model.parts)


@each_way
def test_the_exported_generator_makes_what_the_network_makes(way):
    classes = 0 if way == "vae" else 3
    model, cfg = built(way, spec_of((13, 9, 3), classes))
    request = {"noise": np.random.default_rng(0).normal(size=(8, cfg.latent)).astype(np.float32)}
    if classes:
        request["condition"] = np.arange(8)[:, None] % classes
    graph, reason = onnx_export.onnx(model.generator, request)
    assert graph is not None, reason
    got = onnx_runtime(graph)({n: v[:3] for n, v in request.items()})["image"]
    expected = model.generator({n: torch.from_numpy(v[:3]) for n, v in request.items()})["image"].detach().numpy()
    assert np.abs(got - expected).max() < 0.01


@each_way
def test_evaluating_a_network_touches_no_random_state_and_heeds_no_neighbour(way):
    model, _ = built(way, spec_of((28, 28, 1), 3))
    model.eval()
    inputs, before = fed((28, 28, 1), 3, 9), torch.get_rng_state()
    with torch.no_grad():
        together = model(inputs)
        single = [model({n: v[i : i + 1] for n, v in inputs.items()}) for i in range(9)]
    assert torch.equal(torch.get_rng_state(), before)
    name = "fake" if "fake" in together else "reconstruction"
    np.testing.assert_allclose(torch.cat([one[name] for one in single]), together[name], rtol=2e-2, atol=1e-3)


def test_noise_by_content_is_normal_and_differs_from_row_to_row():
    samples = content_noise(torch.randint(0, 3, (4000, 30), dtype=torch.uint8), 16)
    assert abs(samples.mean()) < 0.02
    assert abs(samples.std() - 1) < 0.02
    assert np.abs(np.corrcoef(samples.numpy(), rowvar=False) - np.eye(16)).max() < 0.08
    assert len(samples[:, 0].unique()) > 3990
    rows = torch.rand(10, 5)
    assert torch.equal(content_noise(rows, 4)[3:4], content_noise(rows[3:4], 4))


def test_what_the_discriminator_sees_changed_keeps_its_gradient():
    torch.manual_seed(0)
    x = torch.rand(64, 3, 16, 16, requires_grad=True)
    changed = diffaugment.augment(x)
    changed.sum().backward()
    assert changed.shape == x.shape
    assert x.grad is not None and (x.grad != 0).float().mean() > 0.3
    assert not torch.equal(changed, x)


def test_nearly_black_and_white_images_are_yes_or_no_at_each_pixel():
    cfg = plugin("models", "vae").Config()
    digits = Input(kind="image", shape=(28, 28, 1), dtype="uint8", mean=(0.1307,), std=(0.3081,))
    assert likelihood(cfg, digits) == "bernoulli"
    assert likelihood(cfg, digits.model_copy(update={"std": (0.2,)})) == "normal"
    assert likelihood(cfg, digits.model_copy(update={"mean": (0.5,) * 3, "std": (0.5,) * 3})) == "normal"


def test_codes_are_drawn_from_where_those_of_the_class_lie():
    model, _ = built("vae", spec_of((8, 8, 1), 2))
    rng = torch.Generator().manual_seed(0)
    condition = torch.arange(4000)[:, None] % 2
    mix = torch.randn(8, 8, generator=rng)
    mean = torch.randn(4000, 8, generator=rng) @ mix + 3 * (2 * condition - 1)
    model.generator.fit_codes(mean, torch.full_like(mean, -4.0), condition)
    samples = model.generator.codes(torch.randn(4000, 8, generator=rng), condition)
    for code in (0, 1):
        mine, theirs = samples[condition[:, 0] == code], mean[condition[:, 0] == code]
        assert (mine.mean(0) - theirs.mean(0)).abs().max() < 0.3
        assert (torch.cov(mine.T) - torch.cov(theirs.T)).abs().max() < 0.2 * torch.cov(theirs.T).abs().max()


def test_without_classes_codes_are_drawn_from_several_clouds():
    model, _ = built("vae", spec_of((8, 8, 1), 0))
    rng = torch.Generator().manual_seed(0)
    which = (torch.rand(4000, generator=rng) < 0.25).long()
    mean = torch.randn(4000, 8, generator=rng) * 0.3 + 6 * (2 * which[:, None] - 1)
    model.generator.fit_codes(mean, torch.full_like(mean, -6.0), None)
    assert model.generator.edges[-1] == 1 and len(model.generator.edges) == CLOUDS + 1
    samples = model.generator.codes(torch.randn(4000, 8, generator=rng), None)
    assert (samples.mean(1).abs() - 6).abs().max() < 2, "nothing is drawn from between the clouds"
    assert abs((samples.mean(1) > 0).float().mean() - 0.25) < 0.04


# training


@pytest.mark.parametrize("way", ["gan", "vae"])
def test_a_run_dropped_at_random_steps_ends_in_the_same_bits(way, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "TICK", -1.0)
    images, codes = bars(96, 0)
    own, held_out = Examples({"condition": codes[:64, None], "image": images[:64]}, codes[:64]), slice(64, None)
    others = Examples({"condition": codes[held_out, None], "image": images[held_out]}, codes[held_out])
    said = {"epochs": 3, "batch_size": 16, "threads": 1, "precision": "fp32", "checkpoint_every": 1e-9, "ema": 0.9}
    cfg = parse(
        settings.Config, {**models.training(built(way, spec_of((8, 8, 1)))[1], spec_of((8, 8, 1))), **said}, "train", []
    )
    latent = built(way, spec_of((8, 8, 1)))[1].latent
    request = {"noise": np.zeros((2, latent), np.float32), "condition": np.array([[0], [1]])}

    def going(folder, seed=0):
        model = built(way, spec_of((8, 8, 1)), seed)[0]
        preview = settings.Preview(request, lambda values: "") if folder == "dropped" else None
        validate = lambda outputs, target: monitor.validate(outputs)  # noqa: E731
        hooks = fit.Hooks(validate, 7, tmp_path / folder, preview=preview)
        return model, fit.fit(model, own, others, cfg, hooks)

    single, rows = going("alone")
    list(rows)
    draw, told = random.Random(0), []
    for drop in (*(draw.randint(1, 6) for _ in range(4)), 1000):
        other, rows = going("dropped", seed=100 if (tmp_path / "dropped").exists() else 0)
        told += itertools.islice(rows, drop)
        rows.close()
    assert told[-1]["at"] == "end"
    (mine, _, _), (theirs, _, _) = checkpoint.read(tmp_path / "dropped"), checkpoint.read(tmp_path / "alone")
    assert mine.keys() == theirs.keys()
    assert any(name.startswith("optimizer/generator") for name in mine) == (way == "gan")
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())
    assert all(torch.equal(v, single.state_dict()[n]) for n, v in other.state_dict().items())


def test_a_generator_that_collapses_says_so_once():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 4))
    result = monitor.validate({"real": real, "fake": real * 0.1})
    assert "all alike" in monitor.warning(result, result["loss"], 3)
    fine = monitor.validate({"real": real, "fake": rng.normal(size=(200, 4))})
    assert monitor.warning(fine, fine["loss"], 3) == ""
    assert "since epoch 2" in monitor.warning(fine | {"loss": 100 * fine["loss"]}, fine["loss"], 2)


# evaluating


def test_training_images_made_again_are_noticed():
    rng = np.random.default_rng(0)
    training, held_out = bars(800, 1)[0], bars(400, 2)[0]
    fresh = memorization.measure(bars(400, 3)[0], held_out, training)
    copies = training[rng.permutation(800)[:100]]
    again = memorization.measure(copies, held_out, training)
    assert fresh.closer < 0.05 and fresh.near < 0.06
    assert again.closer == 1.0
    assert np.array_equal(training[again.nearest], copies)


def test_a_classifier_knows_the_classes_of_what_it_has_never_seen():
    (images, codes), (fresh, expected) = bars(300, 0), bars(100, 1)
    classifier = ImageClassifier(spec_of((SIDE, SIDE, 1)).inputs["image"], 2)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    cfg = settings.Config(threads=1, precision="fp32", device="cpu")
    classifier.fit((images[:240], codes[:240]), (images[240:], codes[240:]), 2_000, cfg)
    assert torch.equal(torch.get_rng_state(), before)
    seen = classifier.predict(fresh)
    assert (seen.probabilities.argmax(1) == expected).mean() > 0.95
    assert len(seen.features) == 100


@pytest.fixture(scope="module", params=["vae", pytest.param("gan", marks=pytest.mark.slow)])
def run(request, tmp_path_factory):
    """A run directory of a generator of bars, each of which was told where it is."""
    folder = tmp_path_factory.mktemp("bars")
    images, codes = bars(400, 0)
    np.savez(folder / "bars.npz", images=images, labels=np.array(["left", "right"])[codes])
    words = ["train", str(folder / "bars.npz"), "--task", "generation", "--model", request.param]
    sets = ["model.width=16", "train.epochs=18", "train.batch_size=32", "train.threads=1", "train.lr=2e-3"]
    words += ["--out", str(folder / "run"), *(w for s in sets for w in ("--set", s))]
    done = CliRunner().invoke(commands.app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder / "run"


def test_the_class_that_is_asked_for_is_made_and_the_report_says_what_it_is_worth(run):
    report = json.loads((run / "report.json").read_text())
    result = report["synthetic_images"]
    assert result["features"] == "classifier" and result["classifier_accuracy"] > 0.95
    assert result["covered"] == 2 and sum(result["counts"].values()) == 1000
    assert result["as_asked"] > 0.9
    assert report["scores"]["frechet_distance"] > report["baselines"]["held_out"]["frechet_distance"] > 0
    assert "of the class asked for" in report["verdict"]
    page = (run / "report.html").read_text()
    assert page.count('<img class="sheet"') == 4 + 5, "made, real, ways, pairs; epochs 1, 2, 4, 8 and 16"
    generated = lamina.load(run / "bundle").generate(40, seed=3, label="left")
    assert (generated[:, :, :4].mean((1, 2, 3)) > generated[:, :, 4:].mean((1, 2, 3))).mean() > 0.9


@pytest.mark.parametrize("name", ["gan", "vae"])
def test_shapes_on_white_are_learned_and_not_the_white_alone(name):
    rng = np.random.default_rng(0)
    images = np.full((200, 16, 16, 3), 255, np.uint8)
    for image, (top, left), colour in zip(
        images, rng.integers(1, 9, (200, 2)), rng.integers(0, 200, (200, 3)), strict=True
    ):
        image[top : top + 6, left : left + 6] = colour
    recipe = {"task": "generation", "model": {"kind": name, "width": 8}, "train": {"epochs": 15}}
    result = lamina.fit(images, recipe=recipe).generate(100)
    assert result.std(0).mean() > 0.5 * images.std(0).mean()
