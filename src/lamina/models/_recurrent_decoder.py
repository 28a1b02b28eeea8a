"""The next token of a text by `rnn`, `lstm` or `gru`: a state that is carried from token to token.

In training, gradients go back through one window, and the state goes on into the next one (truncated back-propagation
through time, Williams and Peng 1990). Layers are joined as in Stack: each adds to the one before.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from lamina.config import Config, RecipeError
from lamina.layers.basic import ActivationName
from lamina.layers.recurrent import Kind, Recurrence
from lamina.models._next_token import NextToken, schedule
from lamina.plugins import kind
from lamina.schema import Batch, Spec

WIDTH = 512


class Settings(Protocol):
    """What is read of the settings of all three."""

    @property
    def width(self) -> int | None: ...
    @property
    def depth(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def activation(self) -> ActivationName: ...
    @property
    def bidirectional(self) -> bool: ...


def training(cfg: Settings, spec: Spec) -> dict[str, Any]:
    """AdamW with a gradient of norm 1 at most."""
    return {
        **schedule(spec),
        "lr": 6e-3,
        "optimizer": {"kind": "adamw", "weight_decay": 1e-2, "betas": [0.9, 0.99]},
        "schedule": {"kind": "cosine", "warmup": 0.02},
        "clip": 1.0,
    }


def step_inputs(cfg: Settings) -> dict[str, tuple[int, ...]]:
    """The states of each layer; a cell of lstm has two."""
    each = 2 if kind(cast(Config, cfg)) == "lstm" else 1
    return {f"state{i}": (cfg.width or WIDTH,) for i in range(each * cfg.depth)}


class LockedDropout(nn.Module):
    """The same numbers of all steps of a row are zeroed. Gal and Ghahramani 2016."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        mask = torch.rand(x.shape[0], 1, x.shape[2], device=x.device) >= self.rate
        return x * mask.to(x.dtype).div_(1 - self.rate)


class Carried(nn.Module):
    """One recurrent layer that goes on from a state: states (rows, steps, width), and the one to go on from."""

    whole = True

    def __init__(self, cell: Kind, width: int, activation: ActivationName):
        super().__init__()
        self.layer = Recurrence(cell, width, width, activation)

    def forward(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        return self.layer.carry(x, state)


class Decoder(NextToken):
    stateful = True

    def __init__(self, cfg: Settings, spec: Spec):
        width = cfg.width or WIDTH
        super().__init__(spec, width)
        if cfg.bidirectional:
            raise RecipeError(["model.bidirectional: the next token is not read from the end. Set it to false."])
        cell = cast(Kind, kind(cast(Config, cfg)))
        self.layers = nn.ModuleList(Carried(cell, width, cfg.activation) for _ in range(cfg.depth))
        self.norm, self.dropout = nn.LayerNorm(width), LockedDropout(cfg.dropout)
        self.state = list[Tensor]()

    def hidden(self, tokens: Tensor, carried: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        x, states = self.tokens(tokens), list[Tensor]()
        each = len(carried) // len(self.layers)
        for i, layer in enumerate(self.layers):
            after, ends = layer(self.dropout(x), carried[i * each : (i + 1) * each])
            x = self.norm(after) if not i else x + self.norm(after)
            states += ends
        return self.dropout(x), states

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        tokens = batch.inputs[self.name]
        x, ends = self.hidden(tokens[:, :-1], self.state if batch.continues else [])
        self.state = [end.detach().float() for end in ends]
        yield "", self.loss(self.tokens.logits(x), tokens[:, 1:])

    def served(self) -> dict[str, nn.Module]:
        return {"model": self, "step": Step(self)}


class Step(nn.Module):
    """One token and the states of all layers to scores of the next one, and new states."""

    def __init__(self, decoder: Decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`tokens` (rows, 1), `state0` and on (rows, width)."""
        carried = [inputs[f"state{i}"] for i in range(len(inputs) - 1)]
        x, states = self.decoder.hidden(inputs["tokens"], carried)
        logits = self.decoder.tokens.logits(x[:, 0]).float()
        return {"logits": logits, **{f"state{i}": state for i, state in enumerate(states)}}
