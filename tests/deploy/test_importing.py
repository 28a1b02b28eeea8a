"""`lamina import`: a Hugging Face checkpoint becomes a bundle that answers as the checkpoint does."""

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1]))
import huggingface_tools as tools
import lamina
from lamina.cli import app
from lamina.config import RecipeError
from lamina.deploy.bundle import open_bundle
from lamina.resources.disk import StorageError

pytestmark = pytest.mark.skipif(
    find_spec("transformers") is None, reason="transformers is not installed: pip install 'lamina[huggingface]'"
)
TEXTS = ["a good film with music", "dull", "the story and the end of the actor were slow and cold " * 9, "", "☃ 一 \0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    tools.write(root / "reviews", "bert", "AutoModelForSequenceClassification", id2label=tools.LABELS)
    tools.write(root / "two", "distilbert", "AutoModelForSequenceClassification")
    several = {"id2label": tools.LABELS, "problem_type": "multi_label_classification"}
    tools.write(root / "several", "bert", "AutoModelForSequenceClassification", **several)
    tools.write(root / "pictures", "vit", "AutoModelForImageClassification")
    tools.write(root / "gpt2", "gpt2", "AutoModelForCausalLM")
    tools.write(root / "llama", "llama", "AutoModelForCausalLM")
    tools.write(root / "body", "bert")
    return root


def theirs(path: Path, auto: str, texts: list[str]) -> np.ndarray:
    """Logits of texts by transformers and tokenizers, one by one."""
    import transformers
    from tokenizers import Tokenizer

    network = getattr(transformers, auto).from_pretrained(path).eval()
    tokenizer, rows = Tokenizer.from_file(str(path / "tokenizer.json")), []
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            rows.append(network(input_ids=ids).logits[0].numpy())
    return np.array(rows)


def probabilities(answers: list[dict[str, Any]]) -> np.ndarray:
    return np.array([list(answer["probabilities"].values()) for answer in answers])


@pytest.mark.parametrize("name", ["reviews", "two"])
def test_a_classifier_of_texts_answers_as_it_does_elsewhere(name, folder, tmp_path):
    model = lamina.import_model(folder / name, tmp_path / "bundle")
    texts = [*TEXTS[:2], TEXTS[4]]
    logits = theirs(folder / name, "AutoModelForSequenceClassification", texts)
    expected = torch.from_numpy(logits).softmax(1).numpy()
    mine = model.predict([{"text": text} for text in texts])
    np.testing.assert_allclose(probabilities(mine), expected, atol=1e-4)
    labels = list(tools.LABELS.values()) if name == "reviews" else ["LABEL_0", "LABEL_1"]
    assert [answer["prediction"] for answer in mine] == [labels[i] for i in expected.argmax(1)]
    assert model.result["task"] == "classification"
    assert "by its architecture" in model.result["notes"][0]
    rows = [{"text": text} for text in TEXTS]
    single = [model.predict([row])[0] for row in rows]
    np.testing.assert_allclose(probabilities(single), probabilities(model.predict(rows)), atol=1e-5)


def test_a_classifier_of_images_answers_as_it_does_elsewhere(folder, tmp_path):
    from transformers import AutoModelForImageClassification

    model = lamina.import_model(folder / "pictures", tmp_path / "bundle", task="classification")
    images = np.random.default_rng(0).integers(0, 256, (3, tools.SIDE, tools.SIDE, 3), np.uint8)
    normal = (images / 255 - np.array([0.5, 0.4, 0.6])) / np.array([0.2, 0.3, 0.25])
    network = AutoModelForImageClassification.from_pretrained(folder / "pictures").eval()
    with torch.no_grad():
        expected = network(pixel_values=torch.from_numpy(normal).permute(0, 3, 1, 2).float()).logits.softmax(1)
    np.testing.assert_allclose(probabilities(model.predict(list(images))), expected.numpy(), atol=1e-4)


def test_several_labels_at_once_are_the_task_of_several_labels(folder, tmp_path):
    model = lamina.import_model(folder / "several", tmp_path / "bundle")
    assert model.result["task"] == "multilabel"
    logits = theirs(folder / "several", "AutoModelForSequenceClassification", TEXTS[:2])
    np.testing.assert_allclose(
        probabilities(model.predict([{"text": text} for text in TEXTS[:2]])), 1 / (1 + np.exp(-logits)), atol=1e-4
    )


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_language_model_writes_what_it_writes_elsewhere_step_by_step(name, folder, tmp_path):
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    model = lamina.import_model(folder / name, tmp_path / "bundle", task="language-modelling")
    assert model.predictor.graphs == {"model", "step"}
    network = AutoModelForCausalLM.from_pretrained(folder / name).eval()
    tokenizer = Tokenizer.from_file(str(folder / name / "tokenizer.json"))
    ids = [tokenizer.token_to_id("<|endoftext|>"), *tokenizer.encode("a good film").ids]
    nll = model.predictor.run({"tokens": np.array([(ids * 20)[: model.predictor.state.context + 1]])})["nll"][0]
    with torch.no_grad():
        row = torch.tensor([(ids * 20)[: model.predictor.state.context + 1]])
        logits = network(row[:, :-1]).logits
        expected = torch.nn.functional.cross_entropy(logits[0], row[0, 1:], reduction="none")
        np.testing.assert_allclose(nll, expected.numpy(), atol=1e-4)
        context, states = model.predictor.state.context, model.predictor.state.step
        inputs = {k: np.zeros((1, *shape), np.float32) for k, shape in states.items() if k != "position"}
        for place, token in enumerate(ids):
            position = {"position": np.array([[place]]), "tokens": np.array([[token]])}
            inputs = model.predictor.run({**inputs, **position}, "step")
            last = inputs.pop("logits")
        whole = network(torch.tensor([ids])).logits[0, -1].numpy()
    np.testing.assert_allclose(last[0, : len(whole)], whole, atol=1e-4)
    assert context == tools.LONGEST
    assert isinstance(model.generate(prompt="a good film", length=80, seed=1), str)


def test_a_language_model_whose_tokenizer_has_no_token_between_texts_writes_too(folder, tmp_path):
    """Texts begin with padding then, of which no piece of text comes."""
    copy = shutil.copytree(folder / "gpt2", tmp_path / "gpt2")
    tokenizer = json.loads((copy / "tokenizer.json").read_text("utf-8"))
    tokenizer["added_tokens"] = []
    del tokenizer["model"]["vocab"]["<|endoftext|>"]
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    lamina.import_model(str(copy), tmp_path / "bundle")
    model = lamina.load(tmp_path / "bundle")
    state = model.predictor.task.state
    assert state.end == state.start == state.tokenizer.padding
    assert model.generate(prompt="", length=5) != model.generate(prompt="a good film", length=5)


def test_the_command_imports_and_the_bundle_is_evaluated_and_asked_like_any_other(folder, tmp_path):
    run = CliRunner().invoke
    out, rows, answers = tmp_path / "bundle", tmp_path / "rows.csv", tmp_path / "answers.csv"
    done = run(app, ["import", str(folder / "reviews"), "-o", str(out), "--column", "review", "--target", "mood"])
    assert done.exit_code == 0, done.output
    assert f"Wrote {out}" in " ".join(done.output.split())
    rows.write_text("review,mood\na good film,good\nso dull,bad\nthe end,so so\n")
    scores = run(app, ["evaluate", str(out), str(rows), "--json"])
    assert json.loads(scores.output)["rows"] == 3
    assert run(app, ["predict", str(out), str(rows), "-o", str(answers)]).exit_code == 0
    assert len(answers.read_text().splitlines()) == 4
    opened = open_bundle(out)
    assert opened.training["imported"] == {"name": "reviews", "architecture": "BertForSequenceClassification"}
    assert b"nothing here has evaluated it" in opened.files["CARD.md"]


def test_nothing_is_overwritten_unasked(folder, tmp_path):
    out = tmp_path / "bundle"
    lamina.import_model(folder / "two", out)
    with pytest.raises(StorageError, match="not empty"):
        lamina.import_model(folder / "reviews", out)
    assert lamina.import_model(folder / "reviews", out, overwrite=True).result["labels"] == ["bad", "so so", "good"]
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "letter.txt").write_text("dear")
    with pytest.raises(StorageError, match="holds other files than a bundle"):
        lamina.import_model(folder / "two", tmp_path / "papers", overwrite=True)
    with pytest.raises(StorageError, match="must be a folder"):
        lamina.import_model(folder / "two", tmp_path / "bundle.lamina")


def test_what_cannot_be_imported_is_a_sentence(folder, tmp_path):
    def refused(path: Path, sentence: str, **settings: Any) -> None:
        with pytest.raises(RecipeError, match=sentence):
            lamina.import_model(path, tmp_path / "bundle", **settings)
        assert not (tmp_path / "bundle").exists()

    refused(folder / "body", r"is BertModel, which answers nothing that is known here\. Name one of \.\.\.ForSequence")
    refused(folder / "reviews", r"does not do regression\. Say task='classification'\.", task="regression")
    refused(folder / "reviews", r"task: there is no 'clasification'\. Did you mean", task="clasification")
    refused(folder / "reviews", r"target: 'text' is the column that is read", target="text")
    refused(tmp_path / "nothing", "there is no such folder")
    copy = shutil.copytree(folder / "reviews", tmp_path / "copy")
    (copy / "tokenizer.json").unlink()
    refused(copy, r"the folder has no tokenizer\.json\. Write it with AutoTokenizer")
    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")
    refused(copy, r"the folder has no weights as \.safetensors")
