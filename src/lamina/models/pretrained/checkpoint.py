"""Networks of Hugging Face that others trained to the end: what they read and answer, and as they are, to be served."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Literal

from torch import Tensor, nn

from lamina.data._checkpoint import Checkpoint
from lamina.models.pretrained import causal, hub, huggingface, images, texts
from lamina.models.pretrained.onnx_graph import fault
from lamina.models.pretrained.settings import Config
from lamina.preprocess.text import subwords
from lamina.schema import Spec

Reads = Literal["text", "image"]
SORTS: dict[str, tuple[Reads, str, str]] = {  # ends of the names of architectures: what is read, the head, the class
    "ForSequenceClassification": ("text", "logits", "AutoModelForSequenceClassification"),
    "ForImageClassification": ("image", "logits", "AutoModelForImageClassification"),
    "ForCausalLM": ("text", "tokens", "AutoModelForCausalLM"),
    "LMHeadModel": ("text", "tokens", "AutoModelForCausalLM"),
}


def read(name: str) -> Checkpoint:
    """What the network of a folder, or of a name on the hub, reads and answers. Errors: RecipeError."""
    hub.import_transformers()
    folder = hub.find(name)
    config = hub.settings(folder / "config.json", name)
    (architecture, *_) = config.get("architectures") or ["a network without a head"]
    sort = next((sort for end, sort in SORTS.items() if str(architecture).endswith(end)), None)
    if sort is None:
        ends = ", ".join(f"...{end}" for end in SORTS)
        cure = f"Name one of {ends}, or train a head on it: lamina train DATA --model pretrained"
        raise fault(name, f"is {architecture}, which answers nothing that is known here", cure)
    reads, head, _ = sort
    if reads == "text" and not (folder / subwords.FILE).is_file():
        cure = "Write it with AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR), which needs transformers"
        raise fault(name, f"the folder has no {subwords.FILE}", cure)
    labels = _labels(config) if head == "logits" else ()
    if config.get("problem_type") == "multi_label_classification":
        head = "multilabel"
    elif len(labels) == 1:
        head = "value"
    if reads == "image":
        height, width = huggingface.image_size(name, None)
        column = {"size": [height, width], "channels": int(config.get("num_channels", 3)), "fit": "stretch"}
        return Checkpoint(name, str(architecture), reads, head, column, labels)
    length = texts.length(folder, name)
    column = {"tokenizer": "pretrained", "file": name, "length": min(length, texts.USUAL)}
    return Checkpoint(name, str(architecture), reads, head, column, labels, length)


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of what is answered, in order; numbered where there are none."""
    names = config.get("id2label")
    if isinstance(names, dict) and names:
        return tuple(str(names[key]) for key in sorted(names, key=int))
    return tuple(f"LABEL_{i}" for i in range(int(config.get("num_labels", 2))))


def model(checkpoint: Checkpoint, spec: Spec) -> nn.Module:
    """The network as it is, for a spec. Errors: RecipeError where it cannot be read."""
    end = next(end for end in SORTS if checkpoint.architecture.endswith(end))
    ((name, feed),) = spec.inputs.items()
    if checkpoint.head == "tokens":
        return causal.Causal(causal.load(checkpoint.name), spec)
    folder, auto = hub.find(checkpoint.name), SORTS[end][2]
    if checkpoint.reads == "image":
        settings = SimpleNamespace(**huggingface.image_settings(checkpoint.name))
        front = images.Front(feed, Config(name=checkpoint.name), settings)
        return Classifier(hub.network(folder, checkpoint.name, auto), front, name, spec.output.size)
    network = hub.network(folder, checkpoint.name, auto, attn_implementation="eager")
    return Classifier(network, texts.Masked(network, feed.padding, checkpoint.length), name, spec.output.size)


class Classifier(nn.Module):
    """A whole network of others: rows to its raw answers; of two classes that exclude one another, their difference."""

    parts = ("",)

    def __init__(self, network: Any, front: nn.Module, name: str, size: int):
        super().__init__()
        self.network, self.front, self.name, self.size = network, front, name, size

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        values = self.front(inputs[self.name])
        answer = self.network(**values) if isinstance(values, dict) else self.network(pixel_values=values)
        logits = answer.logits.float()
        return {"target": logits[:, 1:] - logits[:, :1] if self.size == 1 < logits.shape[1] else logits}  # (rows, size)
