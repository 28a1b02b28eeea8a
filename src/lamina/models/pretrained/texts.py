"""Networks of texts of Hugging Face transformers: ids of tokens to one vector for each text.

Each layer of a network says something else of a text; frozen, the means of several lie side by side (as in Peters et
al. 2018, ELMo), which is worth more to a linear head than the last one alone.
"""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lamina.models.pretrained import hub
from lamina.models.pretrained.onnx_graph import fault, first_line
from lamina.preprocess.text import subwords
from lamina.schema import Input

Pooling = Literal["auto", "cls", "mean"]
Layers = Literal["last", "all"]
UNUSED = ("pooler", "classifier", "lm_head", "cls.")  # weights that features can do without
POOLING, SENTENCES = "1_Pooling/config.json", "sentence_bert_config.json"  # files of sentence-transformers
USUAL = 512  # tokens of a text at most, where a network takes any number
MOST_LAYERS = 7  # whose means are taken
AT_ONCE = {"cpu": 1 << 12}  # tokens, padding included, that go through a network together
AT_ONCE_ELSEWHERE = 1 << 16


class Masked(nn.Module):
    """Ids (rows, steps) to what networks of texts take by name; padding is not looked at, and of a text without any
    token the first step alone is, so that its answer does not hang on how long others are.
    """

    def __init__(self, network: Any, padding: int, longest: int):
        super().__init__()
        self.padding, self.longest = padding, longest
        self.filler = padding if padding < network.get_input_embeddings().num_embeddings else 0

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        ids = ids[:, : self.longest]
        mask = ids != self.padding  # (rows, steps)
        first = torch.arange(ids.shape[1], device=ids.device) == 0
        return {"input_ids": torch.where(mask, ids, self.filler), "attention_mask": (mask | first).long()}


class TextNetwork(nn.Module):
    """Ids of tokens (rows, steps) to features (rows, width); what is padding counts for nothing."""

    whole = True  # one row in the table of layers
    rows_at_once = 2048  # it cuts them into smaller groups by itself

    def __init__(self, network: Any, pooling: Pooling, layers: Layers, padding: int, longest: int):
        super().__init__()
        self.network, self.pooling, self.padding = network, pooling, padding
        self.masked = Masked(network, padding, longest)
        count = int(network.config.num_hidden_layers)
        every = max(1, -(-count // (MOST_LAYERS - 1)))
        self.layers = range(count, -1, -every) if layers == "all" else range(count, count - 1, -1)

    def forward(self, ids: Tensor) -> Tensor:
        if torch.jit.is_tracing() or torch.compiler.is_exporting():
            return self._features(ids)
        order, groups = self._groups(ids)
        features = torch.cat([self._features(ids[rows, :steps]) for rows, steps in groups])
        return features[order.argsort()]

    def _groups(self, ids: Tensor) -> tuple[Tensor, list[tuple[Tensor, int]]]:
        """Rows by length, and cut into groups of not too many tokens with their longest: padding costs little."""
        places = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        lengths = ((ids != self.padding) * places).amax(1)
        order = lengths.argsort(stable=True, descending=True)
        most, sizes = AT_ONCE.get(ids.device.type, AT_ONCE_ELSEWHERE), lengths[order].tolist()
        groups, start = list[tuple[Tensor, int]](), 0
        while start < len(sizes):
            steps = max(1, sizes[start])
            stop = start + max(1, most // steps)
            groups.append((order[start:stop], steps))
            start = stop
        return order, groups

    def _features(self, ids: Tensor) -> Tensor:
        mask = ids[:, : self.masked.longest] != self.padding  # (rows, steps)
        output = self.network(**self.masked(ids), output_hidden_states=len(self.layers) > 1)
        last = output.last_hidden_state
        states = [last, *(output.hidden_states[layer] for layer in self.layers[1:])]  # (rows, steps, width) each
        weights = mask.unsqueeze(2).to(last.dtype)
        if self.pooling == "cls":
            return torch.cat([_standard(state[:, 0] * weights[:, 0]) for state in states], dim=1)
        total = weights.sum(1).clamp(min=1)
        return torch.cat([_standard((state * weights).sum(1) / total) for state in states], dim=1)

    def identity(self) -> bytes:
        """What decides the features beside the weights."""
        parts = (self.pooling, self.padding, self.masked.longest, tuple(self.layers))
        return repr((self.network.config.to_json_string(use_diff=False), *parts)).encode()


def _standard(x: Tensor) -> Tensor:
    """Each row at mean 0 and spread 1, so that no layer outweighs another."""
    x = x - x.mean(1, keepdim=True)
    return x / (x.square().mean(1, keepdim=True) + 1e-6).sqrt()  # (rows, width)


def load(name: str, pooling: Pooling, layers: Layers, feed: Input) -> TextNetwork:
    """The network of a folder or a name, for ids of its own tokenizer, checked by a first pass.

    Errors: RecipeError that says the cure.
    """
    hub.import_transformers()
    folder = hub.find(name)
    tokenizer = subwords.read(str(folder))
    if (feed.sizes[0], feed.padding) != (tokenizer.size, tokenizer.padding):
        cure = "Leave the tokenizer of the column out"
        raise fault(name, "the column is cut into tokens by another tokenizer than the network's own", cure)
    longest = length(folder, name)
    if feed.max_length > longest:
        cure = f"Set the column's length to {longest}, or leave it out"
        raise fault(name, f"takes {longest} tokens of a text, and the column has up to {feed.max_length}", cure)
    network = hub.network(folder, name, "AutoModel", UNUSED, attn_implementation="eager")
    if network.main_input_name != "input_ids":
        raise fault(name, f"takes {network.main_input_name}, not texts", "Name a network of texts")
    if network.get_input_embeddings().num_embeddings < tokenizer.size - (tokenizer.padding == tokenizer.size - 1):
        raise fault(name, "its tokenizer has more ids than the network knows", "Get a fresh copy of the folder")
    if "pooler" in dict(network.named_children()):
        network.pooler = None
    how = _pooling(folder, name) if pooling == "auto" else pooling
    backbone = TextNetwork(network, how, layers, tokenizer.padding, longest)
    try:
        with torch.no_grad():
            backbone(torch.zeros((2, 8), dtype=torch.int64))
    except Exception as error:
        kind = network.config.model_type
        reason = f"{kind} gives no features of a text alone ({first_line(error)})"
        raise fault(name, reason, "Name an encoder, such as BERT") from None
    return backbone


def length(folder: Path, name: str) -> int:
    """How many tokens of a text the network of a folder takes, by the files beside its weights."""
    config = hub.settings(folder / "config.json", name)
    most = config.get("max_position_embeddings") or config.get("n_positions") or USUAL
    if config.get("pad_token_id") == 1 and most > 2:
        most -= 2  # of RoBERTa and its kin, which count positions from behind the padding
    for file, key in ((SENTENCES, "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        own = hub.settings(folder / file, name).get(key) if (folder / file).is_file() else None
        most = min(most, own) if isinstance(own, int) and own > 0 else most
    return int(most)


def _pooling(folder: Path, name: str) -> Pooling:
    """What a network of sentences was trained with; the mean where nothing says it."""
    file = folder / POOLING
    return "cls" if file.is_file() and hub.settings(file, name).get("pooling_mode_cls_token") is True else "mean"
