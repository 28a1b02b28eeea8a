"""A cross-fitted ensemble for tables: networks that each leave other rows out, and answer together.

The rows are cut into `folds`; each network learns from all but one of them (van der Laan et al. 2007, cross-fitting, as
in AutoGluon's bagging, Erickson et al. 2020). A row of training is evaluated by the network that has not learned from
it, so that none has to be kept apart to choose the epoch: all rows are learned from by all networks but one.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.layers.basic import mean_of_members
from lamina.models import fnn
from lamina.schema import FOLD, ROW_HEADS, Batch, OutputActivation, Spec

HEADS = ROW_HEADS


class Config(config.Config):
    kind: Literal["ensemble"] = "ensemble"
    folds: int = Field(
        default=5, ge=2, le=50, description="networks, and parts of the rows that one of them leaves out"
    )
    network: fnn.Config = Field(default=fnn.Config(), description="each of the networks: settings of fnn")


def suits(spec: Spec) -> float:
    """Tables; it costs as many times the time of a network as it has, so that others are made for all of them."""
    return 0.0 if any(feed.kind == "image" for feed in spec.inputs.values()) else 0.01


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """As each network is trained alone."""
    return fnn.training(cfg.network, spec)


def folds(cfg: Config) -> int:
    """Into how many parts the rows are to be cut."""
    return cfg.folds


class Model(nn.Module):
    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        self.networks = nn.ModuleList(fnn.Model(cfg.network, spec) for _ in range(cfg.folds))
        self.activation: OutputActivation = spec.output.activation

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The mean of all networks; with `fold` (rows,) the answer of the one that has not learned from a row."""
        own = {name: value for name, value in inputs.items() if name != FOLD}
        if FOLD not in inputs:
            return {"target": mean_of_members(torch.cat(list(self._members(own))), self.activation)}
        each = torch.stack([mean_of_members(raw, self.activation) for raw in self._members(own)])
        return {"target": each[inputs[FOLD], torch.arange(each.shape[1], device=each.device)]}  # (rows, size)

    def _members(self, inputs: Mapping[str, Tensor]) -> Iterator[Tensor]:
        for network in self.networks:
            assert isinstance(network, fnn.Model)
            yield network.members(inputs)  # (members, rows, size)

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """The mean over networks of the losses of the rows that they learn from."""
        fold, each = batch.inputs.get(FOLD), list[Tensor]()
        for place, network in enumerate(self.networks):
            rows = batch if fold is None else _select(batch, (fold != place).nonzero()[:, 0])
            if len(rows.target):
                each += [loss for _, loss in network.losses(rows)]  # pyrefly: ignore[not-callable]
        yield "", torch.stack(each).mean()


def _select(batch: Batch, rows: Tensor) -> Batch:
    """Some rows of a batch, without their folds."""
    inputs = {name: value[rows] for name, value in batch.inputs.items() if name != FOLD}
    lengths = None if batch.lengths is None else batch.lengths[rows]
    return Batch(inputs, batch.target[rows], lengths)
