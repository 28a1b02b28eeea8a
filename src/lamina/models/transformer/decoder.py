"""The next token of a text from up to `context` tokens before it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lamina.layers.attention import Block, Places, Rotary, causal_mask
from lamina.models._next_token import NextToken, schedule
from lamina.models.transformer.config import Config
from lamina.schema import Spec

WIDTH, DEPTH, DROPOUT = 192, 4, 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """Muon for the matrices, AdamW for the table of tokens."""
    return {
        **schedule(spec),
        "lr": 2e-2,
        "optimizer": {"kind": "muon", "weight_decay": 1e-2},
        "schedule": {"kind": "cosine", "warmup": 0.02},
        "clip": 1.0,
    }


def step_inputs(cfg: Config, spec: Spec) -> dict[str, tuple[int, ...]]:
    """Keys and values of each block, and the position."""
    (width, depth, _), (feed,) = cfg.sizes(WIDTH, DEPTH, DROPOUT), spec.inputs.values()
    shape = cfg.heads, (feed.shape[0] or 2) - 1, width // cfg.heads
    return {**{f"state{i}": shape for i in range(2 * depth)}, "position": (1,)}


class Decoder(NextToken):
    def __init__(self, cfg: Config, spec: Spec):
        width, depth, dropout = cfg.sizes(WIDTH, DEPTH, DROPOUT)
        super().__init__(spec, width)
        self.norm = nn.LayerNorm(width)
        self.rotary = Rotary(width // cfg.heads)
        self.blocks = nn.ModuleList(Block(width, cfg.heads, dropout) for _ in range(depth))

    def hidden(self, tokens: Tensor, carried: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        x = self.norm(self.tokens(tokens))
        places, mask = self.rotary(tokens.shape[1]), causal_mask(tokens.shape[1]).to(x.device)
        for block in self.blocks:
            x = block(x, places, mask)
        return self.norm(x), []

    def served(self) -> dict[str, nn.Module]:
        return {"model": self, "step": Step(self)}


class Step(nn.Module):
    """One token and the keys and values of those before it to scores of the next one, and new keys and values."""

    def __init__(self, decoder: Decoder):
        super().__init__()
        self.decoder = decoder
        self.age: Tensor
        self.register_buffer("age", torch.arange(decoder.context - 1, -1, -1), persistent=False)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`tokens` and `position` (rows, 1), `state0` and on (rows, heads, context, size), the latest token last."""
        decoder = self.decoder
        x = decoder.norm(decoder.tokens(inputs["tokens"][:, 0]))
        absent = self.age > inputs["position"]  # (rows, context)
        mask = torch.zeros_like(absent, dtype=x.dtype).masked_fill(absent, float("-inf"))[:, None, :, None]
        cos, sin = decoder.rotary.at(inputs["position"][:, 0])
        places, states = Places(cos.unsqueeze(1), sin.unsqueeze(1)), dict[str, Tensor]()
        for i, block in enumerate(decoder.blocks):
            names = f"state{2 * i}", f"state{2 * i + 1}"
            x, *new = block.step(x, places, mask, *(inputs[name] for name in names))  # pyrefly: ignore[not-callable]
            states |= zip(names, new, strict=True)
        return {"logits": decoder.tokens.logits(decoder.norm(x)).float(), **states}
