"""Optimizers by name, and schedules as functions of progress from 0 to 1."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lamina.train import settings
from lamina.train.device import multiplies_bf16


def lr_scale(schedule: settings.Schedule, progress: float) -> float:
    """The factor on the learning rate at `progress` of the run, 0 to 1."""
    if isinstance(schedule, settings.OneCycle):
        if progress < schedule.peak:
            return 0.04 + 0.96 * _cosine(1 - progress / schedule.peak)
        return _cosine((progress - schedule.peak) / (1 - schedule.peak))
    if progress < schedule.warmup:
        return progress / schedule.warmup
    after = (progress - schedule.warmup) / (1 - schedule.warmup)
    if isinstance(schedule, settings.Cosine):
        return _cosine(after)
    return 1.0 if isinstance(schedule, settings.Constant) else 1 - after


def _cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


class Adam:
    """Adam and AdamW by PyTorch's fused kernel, called directly: the wrapper around it costs twice the kernel on
    small networks. A step with `bad` set leaves weights, moments and step count alone.
    """

    def __init__(self, groups: list["Group"], betas: tuple[float, float], decoupled: bool, bad: Tensor):
        self.groups, self.betas, self.bad = groups, betas, bad
        self.kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
        self.slots = [
            (
                [torch.zeros_like(p) for p in g.params],
                [torch.zeros_like(p) for p in g.params],
                [torch.zeros((), device=p.device) for p in g.params],
            )
            for g in groups
        ]

    @torch.no_grad()
    def step(self, lr: float) -> None:
        for group, slots in zip(self.groups, self.slots, strict=True):
            live = [i for i, p in enumerate(group.params) if p.grad is not None]
            first, second, steps = slots if len(live) == len(group.params) else ([s[i] for i in live] for s in slots)
            params = [group.params[i] for i in live]
            if not params:
                continue
            torch._foreach_add_(steps, 1)
            self.kernel(  # pyrefly: ignore[no-matching-overload]
                params,
                [p.grad for p in params],
                first,
                second,
                [],
                steps,
                lr=lr * group.scale,
                beta1=self.betas[0],
                beta2=self.betas[1],
                weight_decay=group.decay,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
                found_inf=self.bad,
            )
            torch._foreach_sub_(steps, [self.bad] * len(steps))

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by name, for a checkpoint."""
        return {
            f"{g}/{kind}/{i}": value
            for g, slots in enumerate(self.slots)
            for kind, values in zip(("first", "second", "steps"), slots, strict=True)
            for i, value in enumerate(values)
        }

    def load(self, tensors: dict[str, Tensor]) -> None:
        for name, value in self.tensors().items():
            value.copy_(tensors[name])


class Muon(ABC):
    """Weights moved by orthogonal momentum, without asking whether gradients are finite, which would wait for the
    device: both are computed. `update` says what becomes of one tensor.
    """

    place = "{}"  # of a moment among the tensors of a checkpoint

    def __init__(self, params: Sequence[Tensor], momentum: float, bad: Tensor):
        self.params, self.momentum, self.bad = params, momentum, bad
        self.moments = [torch.zeros_like(p) for p in params]

    @abstractmethod
    def update(self, p: Tensor, grad: Tensor, moment: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        """The weights and the momentum after a step."""

    @torch.no_grad()
    def step(self, lr: float) -> None:
        stay = self.bad > 0
        for p, moment in zip(self.params, self.moments, strict=True):
            if p.grad is not None:
                weights, new = self.update(p, p.grad, moment, lr)
                moment.copy_(torch.where(stay, moment, new))
                p.copy_(torch.where(stay, p, weights))

    def tensors(self) -> dict[str, Tensor]:
        return {self.place.format(i): moment for i, moment in enumerate(self.moments)}

    def load(self, tensors: dict[str, Tensor]) -> None:
        for name, moment in self.tensors().items():
            moment.copy_(tensors[name])


class Filters(Muon):
    """Muon for filters (out, in, height, width): Nesterov momentum made orthogonal by three Newton-Schulz steps, and
    each weight kept at the norm of the root of its outputs, which the batch norm behind it does not mind.
    """

    def update(self, p: Tensor, grad: Tensor, moment: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        new = moment.mul(self.momentum).add_(grad)
        direction = grad.add(new, alpha=self.momentum).reshape(len(p), -1)
        weights = p.mul(len(p) ** 0.5 / p.norm().clamp(min=1e-7))
        return weights.add_(_orthogonal(direction).reshape(p.shape), alpha=-lr), new


class Matrices(Muon):
    """Muon for hidden matrices (out, in) with decoupled weight decay, as `torch.optim.Muon` has it, but in the
    precision that the processor is fast at.
    """

    place = "{}/momentum_buffer"

    def __init__(self, params: Sequence[Tensor], momentum: float, decay: float, bad: Tensor):
        super().__init__(params, momentum, bad)
        self.decay = decay

    def update(self, p: Tensor, grad: Tensor, moment: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        new = moment.lerp(grad, 1 - self.momentum)
        direction = _orthogonal(grad.lerp(new, self.momentum), steps=5)
        weights = p.mul(1 - lr * self.decay)
        return weights.add_(direction, alpha=-lr * max(1.0, p.shape[0] / p.shape[1]) ** 0.5), new


def _orthogonal(matrix: Tensor, steps: int = 3) -> Tensor:
    """The nearest matrix whose singular values are about one, for which bf16 is exact enough. Jordan et al. 2024."""
    x = matrix.bfloat16() if matrix.device.type != "cpu" or multiplies_bf16() else matrix
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = torch.addmm(x, torch.addmm(a, a, a, beta=-4.775, alpha=2.0315), x, beta=3.4445)
    return (x.T if tall else x).to(matrix.dtype)


class Plain:
    """One of PyTorch's own optimizers behind the same three calls."""

    def __init__(self, optimizer: torch.optim.Optimizer, bad: Tensor, scale: float = 1.0):
        self.optimizer, self.bad, self.scale = optimizer, bad, scale
        self.fused = bool(optimizer.defaults.get("fused"))
        for group in optimizer.param_groups if optimizer.defaults.get("momentum") else ():
            for p in group["params"]:  # PyTorch takes memory as it finds it when the very first step is left out
                optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
        if self.fused:
            optimizer.found_inf = bad  # pyrefly: ignore[missing-attribute] - the fused kernels read it

    def step(self, lr: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = lr * self.scale * group.get("scale", 1.0)
        if self.fused or not self.bad.item():  # others cannot read the flag: a sync, beside much longer work
            self.optimizer.step()

    def tensors(self) -> dict[str, Tensor]:
        state = self.optimizer.state_dict()["state"]
        return {f"{i}/{k}": v for i, slots in state.items() for k, v in slots.items() if isinstance(v, Tensor)}

    def load(self, tensors: dict[str, Tensor]) -> None:
        packed = self.optimizer.state_dict()
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            index, _, slot = name.partition("/")
            slots.setdefault(int(index), {})[slot] = value
        packed["state"] = slots
        self.optimizer.load_state_dict(packed)


class Group(NamedTuple):
    """Parameters that share a factor on the learning rate and a weight decay."""

    params: list[nn.Parameter]
    scale: float
    decay: float


def build(module: nn.Module, cfg: settings.Config, bad: Tensor) -> list[Adam | Muon | Plain]:
    """The optimizers of one part; none of them moves a weight while `bad` is set.

    Weight decay applies to matrices only. A parameter may carry `lr_scale`, set by an architecture whose layers
    want another pace.
    """
    choice, params = cfg.optimizer, [p for p in module.parameters() if p.requires_grad]
    if isinstance(choice, settings.AdamW):
        return [Adam(_groups(params, choice.weight_decay), choice.betas, True, bad)]
    if isinstance(choice, settings.Adam):
        return [Adam(_groups(params, 0.0), choice.betas, False, bad)]
    if isinstance(choice, settings.SGD):
        groups = [
            {"params": g.params, "weight_decay": g.decay, "scale": g.scale}
            for g in _groups(params, choice.weight_decay)
        ]
        momentum = choice.momentum
        return [Plain(torch.optim.SGD(groups, cfg.lr, momentum=momentum, nesterov=momentum > 0, fused=True), bad)]
    filters = [p for p in params if p.__dict__.get("orthogonal", False)]
    hidden = [m.weight for m in module.modules() if isinstance(m, nn.Linear) and m.weight.requires_grad]
    hidden = hidden if not filters else []
    inside = {id(p) for p in (*hidden, *filters)}
    rest = _groups([p for p in params if id(p) not in inside], choice.weight_decay)
    slower = [g._replace(scale=g.scale * choice.rest) for g in rest]
    optimizers: list[Adam | Muon | Plain] = [Adam(slower, (0.9, 0.98), True, bad)] if slower else []
    if filters:
        optimizers.append(Filters(filters, choice.momentum, bad))
    if hidden:
        optimizers.append(Matrices(hidden, choice.momentum, choice.weight_decay, bad))
    return optimizers


def _groups(params: list[nn.Parameter], decay: float) -> list[Group]:
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for p in params:
        key = p.__dict__.get("lr_scale", 1.0), decay if p.ndim >= 2 else 0.0
        groups.setdefault(key, []).append(p)
    return [Group(own, scale, own_decay) for (scale, own_decay), own in groups.items()]
