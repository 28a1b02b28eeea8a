"""The parameters of one part of a network, their optimizers, and the flag that stops a step that is not finite."""

import torch
from torch import Tensor, nn

from lamina.train import optim, settings


class ParameterGroup:
    """The sub-module that one optimizer step moves; for an ordinary network, all of it."""

    def __init__(self, module: nn.Module, single: bool, cfg: settings.Config, where: torch.device):
        self.params = [p for p in module.parameters() if p.requires_grad]
        self.single, self.clip = single, cfg.clip
        self.bad = torch.zeros((), device=where)
        self.skipped = torch.zeros((), device=where)
        self.last_move = (0, 0)  # skipped and all updates, when last seen to move
        self.one = torch.ones((), device=where)
        self.optimizers = optim.build(module, cfg, self.bad)

    def backward(self, loss: Tensor) -> None:
        loss.backward(inputs=None if self.single else self.params)

    def step(self, lr: float) -> None:
        """One update; nothing changes where a gradient is not finite."""
        grads = [p.grad for p in self.params if p.grad is not None]
        self.bad.zero_()
        torch._amp_foreach_non_finite_check_and_unscale_(grads, self.bad, self.one)
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self.params, self.clip, foreach=True)
        for optimizer in self.optimizers:
            optimizer.step(lr)
        self.skipped += self.bad
        for p in self.params:
            p.grad = None

    def stuck(self, updates: int) -> int:
        """How many updates in a row, up to now, were left out; exact to the time between two looks."""
        skipped = int(self.skipped.item())
        if skipped - self.last_move[0] < updates - self.last_move[1]:
            self.last_move = (skipped, updates)
        return updates - self.last_move[1]
