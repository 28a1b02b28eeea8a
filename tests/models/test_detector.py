"""Real or generated: traces of upsampling are found, damage is told of, and JPEG is what JPEG does."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import lamina
from lamina import models
from lamina.models.generated_image_detector import Config, Residual, Spectrum
from lamina.schema import Input, Output, Spec
from lamina.train import jpeg_compression

SIDE = 24


def smooth(count: int, seed: int, side: int = SIDE) -> np.ndarray:
    """Soft random shapes with the grain of a camera."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 1, (count, 5, 5, 1))
    result = np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC)[..., None] for one in coarse])
    return (128 + 45 * result + rng.normal(0, 6, result.shape)).clip(0, 255).astype(np.uint8)


def upsampled(count: int, seed: int) -> np.ndarray:
    """The same at half the size, doubled as many generators do it: neighbours are alike in pairs."""
    small = smooth(count, seed, SIDE // 2).astype(float).repeat(2, 1).repeat(2, 2)
    rng = np.random.default_rng([seed, 1])
    return (small + rng.normal(0, 3, small.shape)).clip(0, 255).astype(np.uint8)


def told_apart(count: int, seed: int) -> dict[str, np.ndarray]:
    result = np.arange(count) % 2 == 1
    rows = np.where(result[:, None, None, None], upsampled(count, seed), smooth(count, seed + 100))
    return {"image": rows, "label": np.where(result, "generated", "real")}


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> lamina.Estimator:
    recipe = {"model": {"kind": "detector", "width": 4, "most": 16}, "train": {"epochs": 12, "threads": 1}}
    return lamina.fit(told_apart(300, 0), "label", recipe=recipe, out=tmp_path_factory.mktemp("detector") / "run")


def test_what_was_upsampled_is_told_from_what_was_not(detector):
    assert detector.evaluate(told_apart(200, 7))["accuracy"] > 0.9


def test_the_report_says_what_damage_does_to_the_answers(detector):
    report = json.loads((Path(detector.result["run"]) / "report.json").read_text())
    assert [row["damage"] for row in report["damage"]] == [
        "none",
        "JPEG, quality 75",
        "JPEG, quality 50",
        "blur of 1 pixel",
        "half the size and back",
    ]
    assert report["damage"][0]["accuracy"] == pytest.approx(report["scores"]["accuracy"])
    tests = detector.result["parts"]["test"]
    assert all(0 <= row["accuracy"] <= 1 and row["rows"] == tests for row in report["damage"])
    assert report["damage"][4]["accuracy"] < report["damage"][0]["accuracy"]  # the trace is what shrinking takes away
    page = Path(detector.result["report"]).read_text("utf-8")
    assert "Corrupted images" in page and "JPEG, quality 50" in page


def test_a_detector_has_to_be_named():
    feed = Input(kind="image", shape=(SIDE, SIDE, 1), dtype="uint8")
    spec = Spec(inputs={"image0": feed}, output=Output(head="logits", size=1, loss="binary_cross_entropy"), rows=100)
    assert models.choice(None, spec).kind == "cnn"
    assert models.build(Config(), spec, 0)


def test_the_spectrum_is_that_of_numpy():
    layer = Spectrum(12, 10).eval()
    image = np.random.default_rng(0).normal(size=(1, 1, 12, 10)).astype(np.float32)
    own = (image[0, 0] - image[0, 0].mean()) * layer.window.numpy()
    strength = np.log(np.abs(np.fft.rfft2(own)) ** 2 + 1e-4).ravel()
    expected = strength @ layer.share.numpy()
    seen = {}
    layer.norm.register_forward_hook(lambda module, inputs, output: seen.update(found=inputs[0]))
    layer(torch.from_numpy(image))
    np.testing.assert_allclose(seen["found"][0, : layer.rings].numpy(), expected, rtol=1e-3, atol=1e-3)
    assert layer.share.sum(0).numpy() == pytest.approx(np.ones(layer.rings), abs=1e-5)


def test_an_even_image_and_an_even_slope_leave_no_residual():
    layer = Residual(1).eval()
    slope = torch.arange(16.0)[None, None, None].expand(1, 1, 16, 16)
    for image in (torch.full((1, 1, 16, 16), 7.0), slope):
        result = torch.nn.functional.conv2d(image, layer.filters)
        assert result[:, [0, 1, 3]].abs().max() < 1e-4
    assert torch.nn.functional.conv2d(torch.randn(1, 1, 16, 16), layer.filters).abs().min(1).values.max() > 0.1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("quality", [95, 75, 50, 20])
def test_the_jpeg_of_augmentation_is_that_of_the_library(channels, quality):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:37, 0:45]  # no multiple of 8
    soft = np.stack([127 + 80 * np.sin(x / (3 + k) + y / (5 - k) + k) for k in range(channels)], -1)
    image = (soft + rng.normal(0, 6, soft.shape)).clip(0, 255).astype(np.uint8)
    done, body = cv2.imencode(".jpg", image[..., ::-1].copy(), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    theirs = cv2.imdecode(body, cv2.IMREAD_UNCHANGED).reshape(image.shape)[..., ::-1].astype(float)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    mine = jpeg_compression.compress(tensor, torch.tensor([float(quality)]))[0].permute(1, 2, 0).numpy()
    error = np.abs(image - theirs).mean()
    assert np.abs(mine - theirs).mean() < 0.3 * error
    assert np.abs(mine - theirs).mean() < 2


def test_each_image_is_compressed_by_its_own_quality():
    images = torch.from_numpy(smooth(2, 0)[[0, 0]]).permute(0, 3, 1, 2).float()
    both = jpeg_compression.compress(images, torch.tensor([95.0, 10.0]))
    for row, quality in enumerate((95.0, 10.0)):
        assert torch.equal(both[row], jpeg_compression.compress(images[:1], torch.tensor([quality]))[0])
    assert (both[0] - images[0]).abs().mean() < (both[1] - images[1]).abs().mean()
