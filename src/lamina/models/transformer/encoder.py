"""One answer for each row from its texts, in which each step looks at all others, and from what stands beside them."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lamina.layers.attention import Block, Rotary
from lamina.layers.basic import Dropout, Flat, token_table
from lamina.models._single_part import SinglePart
from lamina.models.transformer.config import Config
from lamina.schema import Input, Spec

WIDTH, DEPTH, DROPOUT = 128, 2, 0.1
STEPS = 1500  # of training


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 1,500 steps in 3 to 40 epochs; AdamW with a gradient of norm 1 at most, moving average of weights."""
    rows = max(spec.rows, 1)
    size = min(64, max(16, 2 ** round(math.log2(max(rows / 60, 1)))))
    return {
        "epochs": max(3, min(40, math.ceil(STEPS / math.ceil(rows / size)))),
        "batch_size": size,
        "lr": 1e-3,
        "optimizer": {"kind": "adamw", "weight_decay": 5e-2},
        "schedule": {"kind": "cosine", "warmup": 0.1},
        "clip": 1.0,
        "ema": 0.99,
        "patience": 10,
    }


class Text(nn.Module):
    """Tokens (rows, steps) to the mean of what the steps came to, (rows, width)."""

    def __init__(self, cfg: Config, feed: Input):
        super().__init__()
        self.width, depth, dropout = cfg.sizes(WIDTH, DEPTH, DROPOUT)
        self.table, self.padding = token_table(feed, self.width), feed.padding
        self.rotary = Rotary(self.width // cfg.heads)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(Block(self.width, cfg.heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(self.width)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.dropout(self.table(tokens))
        first = torch.arange(tokens.shape[1], device=x.device) == 0  # of no token at all, the padding is looked at
        present = (tokens != self.padding) | first
        mask = torch.zeros_like(present, dtype=x.dtype).masked_fill(~present, -math.inf)[:, None, None]
        places = self.rotary(tokens.shape[1])
        for block in self.blocks:
            x = block(x, places, mask)
        share = present.to(x.dtype).unsqueeze(2)
        return (self.norm(x) * share).sum(1) / share.sum(1)


class Encoder(SinglePart):
    def __init__(self, cfg: Config, spec: Spec):
        super().__init__(spec.output)
        texts = {name: feed for name, feed in spec.inputs.items() if feed.kind == "tokens"}
        rest = {name: feed for name, feed in spec.inputs.items() if feed.kind != "tokens"}
        self.texts = nn.ModuleDict({name: Text(cfg, feed) for name, feed in texts.items()})
        self.rest = Flat(spec.model_copy(update={"inputs": rest})) if rest else None
        width, _, dropout = cfg.sizes(WIDTH, DEPTH, DROPOUT)
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(len(texts) * width + (self.rest.width if self.rest else 0), spec.output.size)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        features = [text(inputs[name]) for name, text in self.texts.items()]
        if self.rest is not None:
            features.append(self.rest({name: inputs[name] for name in self.rest.order}))
        return {"target": self.head(self.dropout(torch.cat(features, 1))).float()}  # (rows, size)
