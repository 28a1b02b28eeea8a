"""Pictures by a generator and a critic. `gan` has the settings; here are the networks and what each of them minimises.

- `relativistic`: which of two pictures is the real one, with both gradient penalties, which makes the game converge
  (Huang et al. 2024, R3GAN); the penalties every few steps (Karras et al. 2020).
- `dcgan`: real or not, with batch normalisation (Radford et al. 2016).
- `wgan_gp`: how much more real, with a penalty on the way between pictures (Gulrajani et al. 2017).

A class is told to the generator by an embedding and to the critic by a projection (Miyato and Koyama 2018).
"""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.layers import random_features as _fixed
from lamina.layers.images import last
from lamina.layers.residual import SLOPE, Grower, Plan, Reader, scaled
from lamina.models.gan import diffaugment as _diffaugment
from lamina.schema import Batch, Input, Spec

if TYPE_CHECKING:
    from lamina.models.gan import Config, Model

STEPS = 6_500
BETAS = {"relativistic": (0.0, 0.99), "dcgan": (0.5, 0.999), "wgan_gp": (0.0, 0.9)}
CRITIC_STEPS = 5  # of wgan_gp, each on its own share of the batch
WGAN_PENALTY = 10.0
LEAK = 0.05  # of what a pixel is beyond black or white
PENALISED = 0.25  # share of a batch on which lazy penalties are taken


class Generator(nn.Module):
    """Noise and a class to a picture (rows, height, width, channels), 0 to 255."""

    def __init__(self, cfg: "Config", feed: Input, classes: int):
        super().__init__()
        plan = Plan(feed, cfg.width)
        make = _ClassicGrower if cfg.preset == "dcgan" else Grower
        self.body, self.limited = make(plan, cfg.latent, classes), cfg.preset == "dcgan"

    def raw(self, noise: Tensor, condition: Tensor | None) -> Tensor:
        """Pixels (rows, channels, height, width), -1 to 1 and a little beyond: at a limit, white would not learn."""
        found = self.body(noise, condition)
        if self.limited:  # DCGAN is as it was published
            return torch.tanh(found)
        inside = found.clamp(-1, 1)
        return inside + LEAK * (found - inside)

    def shown(self, noise: Tensor, condition: Tensor | None) -> Tensor:
        """The same within the limits."""
        return self.raw(noise, condition).float().clamp(-1, 1)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        made = self.shown(inputs["noise"], inputs.get("condition"))
        return {"image": (made.permute(0, 2, 3, 1) + 1) * 127.5}


class Critic(nn.Module):
    """Pictures (rows, channels, height, width), -1 to 1, and their classes to a score (rows,): higher is realer."""

    def __init__(self, cfg: "Config", feed: Input, classes: int):
        super().__init__()
        plan, self.hidden = Plan(feed, cfg.width), 4 * cfg.width
        self.body = _ClassicReader(plan) if cfg.preset == "dcgan" else Reader(plan)
        self.dense = nn.Linear(plan.flat, self.hidden)
        self.head = nn.Parameter(torch.randn(self.hidden) / math.sqrt(self.hidden))
        self.named = nn.Embedding(classes, self.hidden) if classes else None
        if self.named is not None:
            nn.init.normal_(self.named.weight, std=1 / math.sqrt(self.hidden))

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        x = F.leaky_relu(self.dense(self.body(x)), SLOPE).float()  # (rows, hidden)
        head = self.head if self.named is None or condition is None else self.head + self.named(condition[:, 0])
        return (x * head).sum(1)  # elementwise, so that scores are never rounded to half precision


class Judge(nn.Module):
    """The critic as it is exported: pictures (rows, height, width, channels), 0 to 255, and classes (rows, 1) to a
    score (rows, 1).
    """

    def __init__(self, model: "Model"):
        super().__init__()
        self.critic, self.name = model.critic, model.name

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"score": self.critic(scaled(inputs[self.name]), inputs.get("condition"))[:, None]}


def training(cfg: "Config", spec: Spec) -> dict[str, Any]:
    """About 6,500 steps of 64."""
    rows = max(spec.rows, 1)
    size = max(1, min(64, rows // 4)) * (CRITIC_STEPS if cfg.preset == "wgan_gp" else 1)
    return {
        "epochs": max(2, min(2000, math.ceil(STEPS / math.ceil(rows / size)))),
        "batch_size": size,
        "lr": {"relativistic": 5e-4, "dcgan": 2e-4, "wgan_gp": 2e-4}[cfg.preset],
        "optimizer": {"kind": "adam", "betas": BETAS[cfg.preset]},
        "schedule": {"kind": "cosine", "warmup": 0.01},
        "ema": 0.999,
    }


def changed(model: "Model", pictures: Tensor) -> Tensor:
    """Pictures as the critic sees them."""
    return _diffaugment.changed(pictures) if model.augmented else pictures


def features(model: "Model", inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What fixed filters see in the real pictures, and in one made for each of them."""
    real, filters = inputs[model.name], model.loss_filters
    assert filters is not None
    made = _generator(model).shown(_fixed.noise(real, model.cfg.latent), inputs.get("condition"))
    return {"real": filters(scaled(real)), "fake": filters(made)}


def losses(model: "Model", batch: Batch) -> Iterator[tuple[str, Tensor]]:
    """The critic's loss, then the generator's, which sees the critic after its step."""
    real, condition = scaled(batch.inputs[model.name]), batch.inputs.get("condition")
    if model.cfg.preset == "wgan_gp":
        yield from _wasserstein(model, real, condition)
        return
    fake = _generator(model).raw(noise(model, len(real)), condition)
    relative = model.cfg.preset == "relativistic"
    shown, made = changed(model, real), changed(model, fake.detach())
    mine, theirs = _scores(model, shown, made, condition)
    lost = F.softplus(theirs - mine) if relative else F.softplus(-mine) + F.softplus(theirs)
    loss = lost.mean()
    if relative and int(model.turn) % model.cfg.penalty_every == 0:
        few = max(1, round(PENALISED * len(real)))
        told = None if condition is None else condition[:few]
        penalties = sum(_steepness(model, x[:few], told).square().sum((1, 2, 3)).mean() for x in (shown, made))
        loss = loss + 0.5 * model.cfg.penalty * model.cfg.penalty_every * penalties
    model.turn += 1
    yield "critic", loss
    theirs = model.critic(changed(model, fake), condition)
    if not relative:
        yield "generator", F.softplus(-theirs).mean()
        return
    yield "generator", F.softplus(mine.detach() - theirs).mean()  # scores of before the step: as good, and a pass less


def _scores(model: "Model", real: Tensor, fake: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
    """Of real and made pictures, in one pass where no normalisation mixes them."""
    if model.cfg.preset == "dcgan":
        return model.critic(real, condition), model.critic(fake, condition)
    both = None if condition is None else torch.cat([condition, condition])
    mine, theirs = model.critic(torch.cat([real, fake.to(real.dtype)]), both).chunk(2)
    return mine, theirs


def _wasserstein(model: "Model", real: Tensor, condition: Tensor | None) -> Iterator[tuple[str, Tensor]]:
    """Several steps of the critic, each on a share of the batch, then one of the generator."""
    count = min(CRITIC_STEPS, len(real))
    told = [None] * count if condition is None else condition.chunk(count)
    shares = list(zip(real.chunk(count), told, strict=False))
    for some, own in shares:
        with torch.no_grad():
            fake = _generator(model).raw(noise(model, len(some)), own).float()
        shown, made = changed(model, some), changed(model, fake)
        mine, theirs = _scores(model, shown, made, own)
        between = torch.rand(len(some), 1, 1, 1, device=some.device)
        steep = _steepness(model, shown * between + made * (1 - between), own)
        penalty = (steep.square().sum((1, 2, 3)).add(1e-12).sqrt() - 1).square().mean()
        yield "critic", theirs.mean() - mine.mean() + WGAN_PENALTY * penalty
    some, own = shares[-1]
    yield "generator", -model.critic(changed(model, _generator(model).raw(noise(model, len(some)), own)), own).mean()


def _steepness(model: "Model", x: Tensor, condition: Tensor | None) -> Tensor:
    """The gradient of scores by pixels, in full precision: half of it is too coarse to be differentiated again."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.detach().float().requires_grad_()
        (steep,) = torch.autograd.grad(model.critic(x, condition).sum(), x, create_graph=True)
    return steep


def _generator(model: "Model") -> Generator:
    assert isinstance(model.generator, Generator)
    return model.generator


def noise(model: "Model", rows: int) -> Tensor:
    return torch.randn(rows, model.cfg.latent, device=model.turn.device)


class _ClassicGrower(Grower):
    """Upsampling and convolution with batch normalisation; the rest as `Grower`."""

    def __init__(self, plan: Plan, entrance: int, classes: int):
        super().__init__(plan, entrance, classes)
        widths = plan.widths
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for before, after in pairwise(widths):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Upsample(scale_factor=2), nn.Conv2d(widths[-1], plan.channels, 5, 1, 2))
        _normal(self)


class _ClassicReader(nn.Module):
    """Strided convolutions with batch normalisation; the rest as `Reader`."""

    def __init__(self, plan: Plan):
        super().__init__()
        self.plan, widths = plan, plan.widths[::-1]
        layers: list[nn.Module] = [nn.Conv2d(plan.channels, widths[0], 4, 2, 1), nn.LeakyReLU(SLOPE)]
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers)
        _normal(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.plan.pad(x)).flatten(1)


def _normal(module: nn.Module) -> None:
    """Filters as DCGAN starts them, laid out as pictures are in memory."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
    last(module)
