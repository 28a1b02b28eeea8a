"""Networks of Hugging Face that say the next token of a text: GPT-2, Llama and their kin, to be fine-tuned or served.

A step of one token goes on from the keys and values of the tokens before it, as many as the context, so that it costs
the same however long a text is. Where a text is longer than the network has positions for, the last one is used again.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lamina.config import RecipeError
from lamina.models.pretrained import fine_tuning, hub, texts
from lamina.models.pretrained.onnx_graph import fault
from lamina.models.pretrained.settings import Config
from lamina.schema import Batch, Spec

AT_ONCE = 1 << 13  # tokens of rows at once, without gradients
NEVER = -1e4  # the score of an id that the network does not know


def load(name: str) -> Any:
    """The network of a folder or a name. Errors: RecipeError that says the cure."""
    hub.import_transformers()
    network = hub.network(hub.find(name), name, "AutoModelForCausalLM", attn_implementation="eager")
    if network.main_input_name != "input_ids":
        raise fault(name, f"takes {network.main_input_name}, not texts", "Name a network of texts")
    table, scores = network.get_input_embeddings(), network.get_output_embeddings()
    if isinstance(scores, nn.Linear) and scores.weight is table.weight and scores.bias is None:
        network.set_output_embeddings(TiedScores(table))
    return network


class TiedScores(nn.Module):
    """Scores by the table of the embedding, which is a weight of the network once."""

    def __init__(self, table: nn.Embedding):
        super().__init__()
        self.tables = [table]  # in a list, which modules do not look into

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.tables[0].weight)


def check_context(name: str, spec: Spec) -> None:
    """Errors: RecipeError for windows of more tokens than the network has positions for."""
    (feed,) = spec.inputs.values()
    context, most = (feed.shape[0] or 2) - 1, texts.length(hub.find(name), name)
    if context > most:
        raise RecipeError([f"task.context: {name} takes {most} tokens at a time (got {context}). Set it to {most}."])


def state_shape(name: str, spec: Spec) -> dict[str, tuple[int, ...]]:
    """What one step takes beside its token: the position, and keys and values (heads, context, width) of each layer."""
    config = (
        hub.import_transformers().AutoConfig.from_pretrained(hub.find(name), local_files_only=True).get_text_config()
    )
    (feed,) = spec.inputs.values()
    values = config.to_dict()
    heads = values.get("num_key_value_heads") or config.num_attention_heads
    width = values.get("head_dim") or config.hidden_size // config.num_attention_heads
    shape = (heads, (feed.shape[0] or 2) - 1, width)
    return {"position": (1,), **{f"state{i}": shape for i in range(2 * config.num_hidden_layers)}}


class Causal(nn.Module):
    parts = ("",)

    def __init__(self, network: Any, spec: Spec, cfg: Config | None = None):
        """`cfg`: how it is fine-tuned; none where it is served as it is."""
        super().__init__()
        ((self.name, feed),) = spec.inputs.items()
        self.context, self.padding, self.size = (feed.shape[0] or 2) - 1, feed.padding, spec.output.size
        self.ids = int(network.get_input_embeddings().num_embeddings)
        self.positions = int(network.config.to_dict().get("n_positions") or network.config.max_position_embeddings)
        self.lora = cfg is not None and cfg.lora is not None
        if cfg is not None and cfg.lora is not None:
            network = fine_tuning.add_lora(network, cfg.lora)
        self.network = network

    def logits(self, tokens: Tensor, **others: Any) -> tuple[Tensor, Any]:
        """Scores (rows, steps, size) of each next token, and all that the network answers."""
        output = self.network(input_ids=torch.where(tokens < self.ids, tokens, 0), **others)
        scores = output.logits.float()[..., : self.size]
        missing = self.size - scores.shape[-1]
        return (nn.functional.pad(scores, (0, missing), value=NEVER) if missing else scores), output

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        tokens = inputs[self.name]
        size = max(1, AT_ONCE // tokens.shape[1])
        if torch.is_grad_enabled() or torch.jit.is_tracing() or len(tokens) <= size:
            return self._nll(tokens)
        parts = [self._nll(part) for part in tokens.split(size)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _nll(self, tokens: Tensor) -> dict[str, Tensor]:
        """(rows, steps) negative log likelihoods: of each token after the first, and of the most likely one there."""
        target = tokens[:, 1:]
        behind = torch.full((target.shape[1],) * 2, torch.finfo(torch.float32).min, device=tokens.device).triu(1)
        mask = behind[None, None]  # of all rows: padding stands behind, where nothing looks
        scores, _ = self.logits(tokens[:, :-1], attention_mask=mask, use_cache=False)
        total, absent = scores.logsumexp(2), target == self.padding
        best = {"nll": scores.gather(2, target.unsqueeze(2)).squeeze(2), "best": scores.amax(2)}
        return {name: (total - own).masked_fill(absent, 0.0) for name, own in best.items()}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        tokens = batch.inputs[self.name]
        there = (tokens[:, 1:] != self.padding).sum()
        yield "", self._nll(tokens)["nll"].sum() / there.clamp(min=1)

    def finalize(self, inputs: Mapping[str, Tensor]) -> None:
        """Low-rank changes become part of the weights."""
        if self.lora:
            self.network, self.lora = fine_tuning.merge_lora(self.network), False

    def served(self) -> dict[str, nn.Module]:
        return {"model": self, "step": Step(self)}


class Step(nn.Module):
    """One token and the keys and values of those before it to scores of the next one, and new keys and values."""

    def __init__(self, causal: Causal):
        super().__init__()
        self.causal = causal

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`tokens` and `position` (rows, 1), `state0` and on (rows, heads, context, width), the latest token last."""
        from transformers import DynamicCache

        causal, position = self.causal, inputs["position"]
        names = [f"state{i}" for i in range(sum(name.startswith("state") for name in inputs))]
        past = DynamicCache()
        for layer, (key, value) in enumerate(zip(names[::2], names[1::2], strict=True)):
            past.update(inputs[key], inputs[value], layer)
        age = torch.arange(causal.context, -1, -1, device=position.device)
        absent = age > position  # (rows, context + 1)
        mask = torch.zeros_like(absent, dtype=torch.float32).masked_fill(absent, torch.finfo(torch.float32).min)
        place = position.clamp(max=causal.positions - 1)
        scores, output = causal.logits(
            inputs["tokens"],
            attention_mask=mask[:, None, None],
            position_ids=place,
            past_key_values=past,
            use_cache=True,
        )
        layers = output.past_key_values.layers
        states = [part[:, :, 1:] for layer in layers for part in (layer.keys, layer.values)]
        return {"logits": scores[:, -1], **dict(zip(names, states, strict=True))}
