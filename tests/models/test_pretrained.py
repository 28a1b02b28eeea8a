"""Pretrained backbones: from a folder or an .onnx file to a bundle that needs neither, and what is said when not."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import lamina
from lamina import models
from lamina.config import BundleError, LaminaError, RecipeError, parse
from lamina.deploy.bundle import open_bundle
from lamina.deploy.predictor import Predictor
from lamina.plugins import plugin
from lamina.preprocess import image
from lamina.schema import Input, Output, Spec

needs_transformers = pytest.mark.skipif(
    find_spec("transformers") is None, reason="transformers is not installed: pip install 'lamina[huggingface]'"
)
SIDE = 32
HUGGING = ("vit", "dinov2", "resnet", "convnext", "swin")
WIDTHS = [16, 16, 32, 32]
QUICK = {"epochs": 6, "threads": 1}


def stripes(count: int, seed: int = 0, side: int = SIDE, channels: int = 3) -> list[dict[str, Any]]:
    """Images of lying or standing stripes, as files in memory: dim, noisy, of a random colour."""
    rng, rows = np.random.default_rng(seed), []
    for i in range(count):
        wave = np.sin(np.arange(side) * rng.uniform(0.8, 1.6) + rng.uniform(0, 6))
        grid = np.broadcast_to(wave if i % 2 else wave[:, None], (side, side))
        pixels = (
            128 + 60 * grid[..., None] * rng.uniform(0.5, 1, channels) + rng.normal(size=(side, side, channels)) * 9
        )
        head = f"P{'6' if channels == 3 else '5'}\n{side} {side}\n255\n".encode()
        body = head + pixels.clip(0, 255).astype(np.uint8).tobytes()
        rows.append({"image": body, "label": "standing" if i % 2 else "lying"})
    return rows


def configs(name: str) -> Any:
    import transformers as t

    small = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": SIDE, "patch_size": 8}
    windows = {"image_size": SIDE, "patch_size": 4, "embed_dim": 16, "window_size": 4}
    return {
        "vit": lambda: t.ViTConfig(**small, intermediate_size=64),
        "dinov2": lambda: t.Dinov2Config(**small, mlp_ratio=2),
        "resnet": lambda: t.ResNetConfig(embedding_size=16, hidden_sizes=WIDTHS, depths=[1] * 4, layer_type="basic"),
        "convnext": lambda: t.ConvNextConfig(hidden_sizes=WIDTHS, depths=[1] * 4),
        "swin": lambda: t.SwinConfig(**windows, depths=[2, 2], num_heads=[2, 2]),
        "bert": lambda: t.BertConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16, vocab_size=20
        ),
    }[name]()  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Callable[[str], Path]:
    """The folder of a tiny Hugging Face network whose every number is random, as `hf download` would leave it."""
    root = tmp_path_factory.mktemp("networks")

    def made(name: str) -> Path:
        import transformers

        path = root / name
        if not path.exists():
            transformers.utils.logging.disable_progress_bar()
            torch.manual_seed(1)
            network = transformers.AutoModel.from_config(configs(name))
            with torch.no_grad():
                for p in network.parameters():
                    p.add_(torch.randn_like(p) * 0.05)
                for b in network.buffers():
                    if b.is_floating_point():
                        b.add_(torch.rand_like(b) * 0.1)
            network.save_pretrained(path)
            facts = {
                "size": {"height": SIDE, "width": SIDE},
                "image_mean": [0.5, 0.4, 0.6],
                "image_std": [0.2, 0.3, 0.25],
            }
            (path / "preprocessor_config.json").write_text(json.dumps(facts))
        return path

    return made


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fitted(name: object, out: Path, model: dict[str, Any] | None = None, **train: Any) -> lamina.Estimator:
    settings = {"kind": "pretrained", "name": str(name), **(model or {})}
    return lamina.fit(stripes(120), "label", recipe={"model": settings, "train": {**QUICK, **train}}, out=out)


def spec(side: int = SIDE, channels: int = 3) -> Spec:
    image = Input(kind="image", shape=(side, side, channels), dtype="uint8", mean=(0.5,), std=(0.2,))
    return Spec(inputs={"image": image}, output=Output(head="logits", size=1, loss="binary_cross_entropy"), rows=100)


def built(name: object, said: dict[str, Any] | None = None, wanted: Spec | None = None) -> Any:
    faults: list[str] = []
    cfg = parse(plugin("models", "pretrained").Config, {"name": str(name), **(said or {})}, "model", faults)
    assert cfg is not None, faults
    return models.build(cfg, wanted or spec(), 0)


def images(count: int = 5, side: int = SIDE, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels), np.uint8)


# .onnx files


def network(**settings: Any) -> onnx.ModelProto:
    """A convolution, its mean and a classifier; `settings` changes one thing about it."""
    rng = np.random.default_rng(0)
    last, rows, flat = settings.get("last", False), settings.get("rows", "rows"), settings.get("flat", [0, -1])
    stored = {
        "filters": (rng.normal(size=(24, settings.get("channels", 3), 5, 5)) * 0.3).astype(np.float32),
        "flat": np.array(flat, np.int64),
        "matrix": (rng.normal(size=(24, 7)) * 0.5).astype(np.float32),
        "bias": (rng.normal(size=7) * 0.5).astype(np.float32),
    }
    tensors = [numpy_helper.from_array(v, k) for k, v in stored.items()]
    start = [helper.make_node("Transpose", ["pixels"], ["turned"], perm=[0, 3, 1, 2])] if last else []
    start += settings.get("nodes", [])
    first = settings.get("first") or ("turned" if last else "pixels")
    nodes = [
        *start,
        helper.make_node("Conv", [first, "filters"], ["maps"], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["lit"], name="act"),
        helper.make_node("GlobalAveragePool", ["lit"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "flat"], ["features"]),
        helper.make_node("MatMul", ["features", "matrix"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
        helper.make_node("Softmax", ["sum"], ["shares"]),
    ]
    if settings.get("constants"):
        nodes = [helper.make_node("Constant", [], [t.name], value=t) for t in tensors] + nodes
        tensors = []
    channels = settings.get("channels", 3)
    shape = settings.get("shape") or ([rows, SIDE, SIDE, channels] if last else [rows, channels, SIDE, SIDE])
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("pixels", settings.get("type", TensorProto.FLOAT), shape)],
        [helper.make_tensor_value_info("shares", TensorProto.FLOAT, [rows, 7])],
        tensors,
    )
    opsets = [helper.make_opsetid("", settings.get("opset", 17)), *settings.get("opsets", [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def saved(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


FORMS = {
    "plain": {},
    "one row": {"rows": 1, "flat": [1, -1]},
    "rows apart": {"rows": 1, "flat": [1, 24]},
    "channels last": {"last": True},
    "grey": {"channels": 1},
    "weights as constants": {"constants": True},
    "operators of 11": {"opset": 11},
    "operators of 20": {"opset": 20},
}


@pytest.mark.parametrize("form", FORMS)
def test_an_onnx_file_becomes_part_of_a_graph_that_gives_the_same_answers(form, tmp_path, cache):
    from lamina.deploy import onnx_export as export
    from lamina.deploy.predictor import onnx_runtime

    channels = FORMS[form].get("channels", 3)
    model = built(saved(tmp_path / "net.onnx", network(**FORMS[form])), None, spec(40, channels))
    inputs = {"image": images(6, 40, channels)}
    assert model.precompute(inputs)["features"].shape == (6, 24), "features are what the classifier takes"
    graph, reason = export.onnx(model, inputs)
    assert graph is not None, reason
    with torch.inference_mode():
        expected = model({"image": torch.from_numpy(inputs["image"])})["target"].numpy()
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(onnx_runtime(graph)(inputs)["target"], expected, rtol=1e-4, atol=1e-5)


def test_features_are_the_tensor_that_is_named(tmp_path, cache):
    file = saved(tmp_path / "net.onnx", network())
    for layer, width in (("sum", 7), ("lit", 24), ("act", 24), ("shares", 7)):
        assert built(file, {"layer": layer}).head.layers[-1].in_features == width


def test_a_network_without_a_classifier_gives_its_output(tmp_path, cache):
    model = network()
    del model.graph.node[-3:], model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", 24]))
    assert built(saved(tmp_path / "net.onnx", model)).head.layers[-1].in_features == 24


# from images to a bundle


SERVE = """
import json, sys
sys.modules.update(dict.fromkeys(("torch", "transformers", "onnx", "huggingface_hub")))
from lamina.deploy.predictor import Predictor
sys.path.insert(0, sys.argv[1])
from rows import ROWS
print(json.dumps([Predictor(path).predict(ROWS) for path in sys.argv[2:]]))
"""


def served_elsewhere(bundles: list[Path], rows: list[dict[str, Any]], scratch: Path) -> list[Any]:
    """Answers of bundles in a process that has neither torch nor transformers."""
    (scratch / "rows.py").write_text(f"ROWS = {rows!r}")
    command = [sys.executable, "-c", SERVE, str(scratch), *map(str, bundles)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_an_onnx_backbone_is_served_without_torch_and_without_its_file(tmp_path, cache):
    file = saved(tmp_path / "net.onnx", network())
    result = fitted(file, tmp_path / "run", {"hidden": 16}, epochs=30)
    rows = [{"image": row["image"]} for row in stripes(20, seed=5)]
    mine = result.predict(rows)
    file.unlink()
    shutil.rmtree(cache)
    (theirs,) = served_elsewhere([Path(result.result["bundle"])], rows, tmp_path)
    assert [a["prediction"] for a in theirs] == [a["prediction"] for a in mine]
    labels = [row["label"] for row in stripes(20, seed=5)]
    assert np.mean([a["prediction"] == label for a, label in zip(mine, labels, strict=True)]) > 0.8
    opened = open_bundle(result.result["bundle"])
    assert opened.model.runtime == "onnx"
    assert opened.files["weights.safetensors"].count(numpy_helper.to_array(network().graph.initializer[0]).tobytes())


@needs_transformers
@pytest.mark.parametrize(
    "names",
    [("vit", "resnet"), pytest.param(HUGGING, marks=pytest.mark.slow)],
    ids=["two", "all"],
)
def test_hugging_face_backbones_are_served_without_torch_and_without_their_folders(names, folder, tmp_path, cache):
    rows, mine, bundles = [{"image": row["image"]} for row in stripes(8, seed=5)], [], []
    for name in names:
        copy = shutil.copytree(folder(name), tmp_path / name)
        result = fitted(copy, tmp_path / f"run-{name}")
        mine.append(result.predict(rows))
        bundles.append(Path(result.result["bundle"]))
        assert open_bundle(bundles[-1]).model.runtime == "onnx", name
        shutil.rmtree(copy)
    theirs = served_elsewhere(bundles, rows, tmp_path)
    for name, one, other in zip(names, mine, theirs, strict=True):
        assert [a["prediction"] for a in one] == [a["prediction"] for a in other], name


def test_images_of_another_size_and_without_colour_are_brought_to_what_the_network_wants(tmp_path, cache):
    file = saved(tmp_path / "net.onnx", network())
    rows = stripes(60, side=70, channels=1)
    recipe = {"model": {"kind": "pretrained", "name": str(file)}, "train": QUICK}
    result = lamina.fit(rows, "label", recipe=recipe, out=tmp_path / "run")
    assert open_bundle(result.result["bundle"]).model.spec.inputs["image0"].shape == (SIDE, SIDE, 1)
    assert len(result.predict(rows[:3])) == 3


# features


def test_features_are_computed_once_and_found_again_by_the_next_run(tmp_path, cache):
    file = saved(tmp_path / "net.onnx", network())
    fitted(file, tmp_path / "first")
    first = {p.name: p.stat().st_mtime_ns for p in (cache / "features").iterdir()}
    assert len(first) == 2, "one file for the training images and one for those of validation"
    fitted(file, tmp_path / "second", {"hidden": 8, "dropout": 0.5})
    assert {p.name: p.stat().st_mtime_ns for p in (cache / "features").iterdir()} == first
    fitted(file, tmp_path / "third", {"mean": [0.4, 0.4, 0.4]})
    assert len(list((cache / "features").iterdir())) == 4


def test_a_file_of_features_that_is_cut_short_is_made_again(tmp_path, cache):
    model, inputs = built(saved(tmp_path / "net.onnx", network())), {"image": images()}
    expected = model.precompute(inputs)["features"]
    (file,) = (cache / "features").iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    assert np.array_equal(model.precompute(inputs)["features"], expected)
    assert np.array_equal(np.load(file), expected)


def test_the_head_gives_on_features_what_the_network_gives_on_images(tmp_path, cache):
    model, inputs = built(saved(tmp_path / "net.onnx", network())).eval(), {"image": images()}
    features = torch.from_numpy(models.learner(model).eval() and model.precompute(inputs)["features"])
    whole = model({"image": torch.from_numpy(inputs["image"])})["target"]
    assert torch.allclose(models.learner(model)({"features": features})["target"], whole, atol=1e-6)


@needs_transformers
def test_a_frozen_backbone_answers_in_training_as_in_service_and_never_moves(folder, tmp_path, cache):
    from safetensors.numpy import load, load_file

    model, x = built(folder("resnet")), torch.from_numpy(images())
    assert torch.equal(model.train().features(x), model.eval().features(x))
    result = fitted(folder("resnet"), tmp_path / "run")
    stored = load(open_bundle(result.result["bundle"]).files["weights.safetensors"])
    for name, value in load_file(folder("resnet") / "model.safetensors").items():
        assert np.array_equal(stored[f"backbone.network.{name}"], value), name


@needs_transformers
def test_class_token_and_mean_are_different_features(folder, cache):
    x = torch.from_numpy(images())
    result = {how: built(folder("vit"), {"pooling": how}).eval().features(x) for how in ("auto", "cls", "mean")}
    assert torch.equal(result["auto"], result["cls"])
    assert not torch.allclose(result["cls"], result["mean"], atol=1e-3)


PROCESSORS = {
    "as it was": ({"image_mean": [0.5, 0.4, 0.6], "image_std": [0.2, 0.3, 0.25]}, "vit"),
    "not rescaled": ({"do_rescale": False, "image_mean": [120, 110, 100], "image_std": [50, 60, 70]}, "vit"),
    "another factor": ({"rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]}, "vit"),
    "the mean of its class": ({}, "vit"),
    "not normalised": ({"do_normalize": False}, "vit"),
    "one mean for all": ({"image_mean": 0.5, "image_std": 0.5}, "vit"),
    "blue first": ({"do_flip_channel_order": True, "do_center_crop": False}, "mobilevit"),
    "from below": ({"rescale_factor": 1 / 127.5, "rescale_offset": True, "include_top": False}, "efficientnet"),
}


@needs_transformers
@pytest.mark.parametrize("form", PROCESSORS)
def test_a_network_is_fed_what_its_own_processor_would_feed_it(form, folder, tmp_path, cache):
    from transformers import AutoImageProcessor

    settings, family = PROCESSORS[form]
    kinds = {"vit": "ViT", "mobilevit": "MobileViT", "efficientnet": "EfficientNet"}
    size = {"height": SIDE, "width": SIDE} if family != "mobilevit" else {"shortest_edge": SIDE}
    copy = shutil.copytree(folder("vit"), tmp_path / "network")
    own = {"image_processor_type": f"{kinds[family]}ImageProcessor", "size": size, **settings}
    (copy / "preprocessor_config.json").write_text(json.dumps(own))
    theirs = AutoImageProcessor.from_pretrained(copy, backend="pil")
    expected = theirs(list(images(3)), do_resize=False, input_data_format="channels_last", return_tensors="pt")
    mine = built(copy).front(torch.from_numpy(images(3)))
    assert torch.allclose(mine, expected["pixel_values"].float(), atol=1e-4)


@needs_transformers
def test_larger_images_are_read_at_the_size_that_the_network_takes_and_smaller_ones_as_they_are(folder, tmp_path):
    faults: list[str] = []
    cfg = parse(plugin("models", "pretrained").Config, {"name": str(folder("vit"))}, "model", faults)
    assert plugin("models", "pretrained").column_settings(cfg) == {"image": {"largest": [SIDE, SIDE]}}
    for side, read in ((48, SIDE), (20, 20)):
        cells = image.parse(pa.array([row["image"] for row in stripes(4, side=side)]), image.Config())
        assert image.fit(cells, image.Config(largest=(SIDE, SIDE))).shape[:2] == (read, read)


# fine-tuning


@needs_transformers
def test_fine_tuning_moves_the_backbone_and_the_bundle_holds_it(folder, tmp_path, cache):
    from safetensors.numpy import load, load_file

    result = fitted(folder("resnet"), tmp_path / "run", {"frozen": False}, epochs=2, augment=["flip"])
    assert not (cache / "features").exists()
    opened = open_bundle(result.result["bundle"])
    stored, before = load(opened.files["weights.safetensors"]), load_file(folder("resnet") / "model.safetensors")
    moved = [name for name, value in before.items() if not np.array_equal(stored[f"backbone.network.{name}"], value)]
    assert set(moved) == set(before)
    assert len(Predictor(opened).predict(stripes(3))) == 3


@needs_transformers
@pytest.mark.parametrize("name", HUGGING)
def test_learning_rates_fall_from_the_head_to_the_first_block(name, folder, cache):
    model = built(folder(name), {"frozen": False, "decay": 0.5})
    rates = {n: p.__dict__["lr_scale"] for n, p in model.backbone.named_parameters() if ".pooler." not in n}
    inner = [rate for n, rate in rates.items() if any(word.isdigit() for word in n.split("."))]
    assert inner == sorted(inner), "each block learns at least as fast as the one before it"
    assert min(rates.values()) == next(iter(rates.values())) < max(rates.values()) <= 0.5
    assert len(set(rates.values())) >= 5
    assert all("lr_scale" not in p.__dict__ for p in model.head.parameters())


# what is said


def test_the_network_is_for_one_image_a_row_and_is_never_taken_unasked():
    module = plugin("models", "pretrained")
    number = Input(kind="number", shape=(3,), dtype="float32")
    other = spec().model_copy(update={"inputs": {**spec().inputs, "age": number}})
    assert module.suits(spec()) > 0
    assert module.suits(other) == module.suits(spec().model_copy(update={"inputs": {"age": number}})) == 0
    assert models.choice(None, spec()).kind == "cnn"


OWN = helper.make_node("Fancy", ["pixels"], ["turned"], domain="com.somebody")
BAD = {
    "two inputs": (
        lambda m: m.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1])),
        {},
        "takes no images",
    ),
    "no image": (None, {"shape": ["rows", 3, SIDE]}, "takes no images (its inputs are: pixels ('?', 3, 32))"),
    "many channels": (None, {"shape": ["rows", 12, SIDE, SIDE]}, "takes images of 12 channels"),
    "bytes": (None, {"type": TensorProto.UINT8}, "takes no images"),
    "own operators": (
        None,
        {"nodes": [OWN], "first": "turned", "opsets": [helper.make_opsetid("com.somebody", 1)]},
        "asks for operators of 'com.somebody'",
    ),
    "one row for good": (None, {"rows": 1, "flat": [-1, 6]}, "takes one image at a time"),
}


@pytest.mark.parametrize("fault", BAD)
def test_an_onnx_file_that_cannot_be_a_backbone_is_refused_in_a_sentence(fault, tmp_path, cache):
    change, sentence, words = BAD[fault]
    model = network(**sentence)
    if change:
        change(model)
    with pytest.raises(RecipeError) as caught:
        built(saved(tmp_path / "net.onnx", model), {"layer": "features"})
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"model.name: {tmp_path / 'net.onnx'}: ")


def test_a_damaged_or_absent_onnx_file_is_a_sentence(tmp_path, cache):
    with pytest.raises(RecipeError, match=r"net\.onnx: there is no such file\. Name an \.onnx file\."):
        built(tmp_path / "net.onnx")
    (tmp_path / "net.onnx").write_bytes(network().SerializeToString()[:-400])
    with pytest.raises(RecipeError, match=r"net\.onnx: cannot be read as ONNX .* Get a fresh copy of it\."):
        built(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ({"layer": "feature"}, r"model\.layer: .* has no tensor 'feature'\. Did you mean 'features'\?"),
        ({"side": 64}, r"model\.side: .* takes 32 x 32 pixels and no others\. Leave it out\."),
        ({"frozen": False}, r"model\.frozen: an \.onnx file cannot be fine-tuned\. Set it to true"),
        ({"mean": [0.1, 0.2]}, r"model\.mean, model\.std: must be 3 numbers \(got 2\)"),
        ({"std": [0.1, 0.2, 0.0]}, r"model\.std: must be above 0"),
    ],
)
def test_a_setting_that_does_not_fit_the_file_is_a_sentence(message, sentence, tmp_path, cache):
    with pytest.raises(RecipeError, match=sentence):
        built(saved(tmp_path / "net.onnx", network()), message)


def test_coloured_images_do_not_fit_a_grey_network(tmp_path, cache):
    with pytest.raises(RecipeError, match=r"takes images of 1 channel, and these have 3\. Say columns:"):
        built(saved(tmp_path / "net.onnx", network(channels=1)))


def test_augmentation_with_a_frozen_backbone_is_refused(tmp_path, cache):
    file = saved(tmp_path / "net.onnx", network())
    with pytest.raises(RecipeError, match=r"train\.augment: there are no images to change.*model\.frozen=false"):
        fitted(file, tmp_path / "run", augment=["flip"])
    assert fitted(file, tmp_path / "other", augment=[]).result["scores"]


def test_a_network_that_cannot_be_exported_leaves_no_bundle(tmp_path, cache):
    noise = helper.make_node("RandomNormalLike", ["pixels"], ["noise"], scale=1e-3, seed=1.0)
    noisy = network(nodes=[noise, helper.make_node("Add", ["pixels", "noise"], ["turned"])], first="turned")
    with pytest.raises(LaminaError, match=r"bundle: no exporter could write this network .*RandomNormalLike, which no"):
        fitted(saved(tmp_path / "net.onnx", noisy), tmp_path / "run")
    assert not (tmp_path / "run" / "bundle").exists()


def test_a_bundle_that_asks_for_the_original_network_is_refused():
    with pytest.raises(
        BundleError, match=r"model\.json: runtime: is torch, and pretrained is served by its graph only"
    ):
        models.runtime("pretrained", {"name": "/etc"}, spec(), b"")


@needs_transformers
def test_folders_that_hold_no_network_of_images_are_sentences(folder, tmp_path, cache):
    def refused(path: object, sentence: str, said: dict[str, Any] | None = None) -> None:
        with pytest.raises(RecipeError, match=sentence):
            built(path, said)

    copy = shutil.copytree(folder("vit"), tmp_path / "vit")
    refused(copy, r"model\.side: .* cannot take 48 pixels a side", {"side": 48})
    refused(copy, r"model\.layer: names a tensor of an \.onnx file", {"layer": "x"})
    refused(folder("resnet"), r"model\.pooling: .* has no class token\. Use mean or auto\.", {"pooling": "cls"})
    refused(folder("bert"), r"bert takes input_ids, not images alone")
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[:-1000])
    refused(copy, r"vit: cannot be read \(.*\)\. Get a fresh copy of the folder\.")
    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")
    refused(copy, r"vit: the folder has no weights as \.safetensors\. Get those; others are not opened\.")
    (copy / "config.json").write_text("{")
    shutil.copy(folder("vit") / "model.safetensors", copy)
    refused(copy, r"vit: config\.json cannot be read")
    (copy / "config.json").unlink()
    refused(copy, r"vit: the folder has no config\.json\. Name the folder that `hf download` wrote\.")
    refused(tmp_path / "nothing", r"nothing: there is no such folder")


@needs_transformers
def test_weights_that_lack_a_tensor_are_never_made_up(folder, tmp_path, cache):
    from safetensors.numpy import load_file, save_file

    copy = shutil.copytree(folder("vit"), tmp_path / "vit")
    result = load_file(copy / "model.safetensors")
    lost = next(name for name in result if "layer.1." in name)
    save_file({k: v for k, v in result.items() if k != lost}, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        RecipeError, match=r"the weights lack 1 tensors, such as layers\.1\..*\. Get a fresh copy of them\."
    ):
        built(copy)


OFFLINE = """
import socket, sys, time
def refuse(*args, **kwargs): raise OSError("no network here")
socket.getaddrinfo = socket.socket.connect = refuse
from lamina.models.pretrained.images import Config, load
start = time.perf_counter()
try: load(Config(name="someone/some-network"))
except Exception as error: print(type(error).__name__, round(time.perf_counter() - start), error)
"""


@needs_transformers
def test_a_name_that_is_nowhere_on_a_machine_without_network_says_where_to_get_it(tmp_path):
    env = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub")}
    command = [sys.executable, "-c", OFFLINE]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env, timeout=120)
    name, seconds, sentence = done.stdout.split(" ", 2)
    assert (name, int(seconds) < 30) == ("RecipeError", True), done
    assert sentence.strip() == (
        f"model.name: someone/some-network: is not a folder, is not in {tmp_path / 'hub'}, and the hub cannot be "
        "reached. On a connected machine: hf download someone/some-network --local-dir DIR, then name DIR."
    )


def test_without_transformers_the_cure_is_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(RecipeError, match=r"needs transformers, .* pip install 'lamina\[huggingface\]', or name an"):
        built(tmp_path)
