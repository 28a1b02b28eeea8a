"""Images by a generator and a discriminator. Here are the networks and what each of them minimises.

- `relativistic`: which of two images is the real one, with both gradient penalties, which makes the game converge
  (Huang et al. 2024, R3GAN); the penalties every few steps (Karras et al. 2020).
- `dcgan`: real or not, with batch normalisation (Radford et al. 2016).
- `wgan_gp`: how much more real, with a penalty on the way between images (Gulrajani et al. 2017).

A class is told to the generator by an embedding and to the discriminator by a projection (Miyato and Koyama 2018).
"""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.layers.images import channels_last
from lamina.layers.random_features import Filters, content_noise
from lamina.layers.residual import SLOPE, Grower, Plan, Reader, scale_pixels
from lamina.models.gan import diffaugment
from lamina.models.gan.adversarial import Adversarial
from lamina.models.gan.config import Config
from lamina.schema import Batch, Input, Spec

STEPS = 6_500
BETAS = {"relativistic": (0.0, 0.99), "dcgan": (0.5, 0.999), "wgan_gp": (0.0, 0.9)}
DISCRIMINATOR_STEPS = 5  # of wgan_gp, each on its own share of the batch
WGAN_PENALTY = 10.0
LEAK = 0.05  # of what a pixel is beyond black or white
PENALTY_SHARE = 0.25  # of a batch, on which lazy penalties are taken
SMALL = 20_000  # images, below which the discriminator would learn them by heart


class Generator(nn.Module):
    """Noise and a class to an image (rows, height, width, channels), 0 to 255."""

    def __init__(self, cfg: Config, feed: Input, classes: int):
        super().__init__()
        plan = Plan(feed, cfg.width)
        make = _ClassicGrower if cfg.preset == "dcgan" else Grower
        self.body, self.tanh = make(plan, cfg.latent, classes), cfg.preset == "dcgan"

    def raw(self, noise: Tensor, condition: Tensor | None) -> Tensor:
        """Pixels (rows, channels, height, width), -1 to 1 and a little beyond: at a limit, white would not learn."""
        x = self.body(noise, condition)
        if self.tanh:  # DCGAN is as it was published
            return torch.tanh(x)
        inside = x.clamp(-1, 1)
        return inside + LEAK * (x - inside)

    def pixels(self, noise: Tensor, condition: Tensor | None) -> Tensor:
        """The same within the limits."""
        return self.raw(noise, condition).float().clamp(-1, 1)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        fake = self.pixels(inputs["noise"], inputs.get("condition"))
        return {"image": (fake.permute(0, 2, 3, 1) + 1) * 127.5}


class Discriminator(nn.Module):
    """Images (rows, channels, height, width), -1 to 1, and their classes to a score (rows,): higher is realer."""

    def __init__(self, cfg: Config, feed: Input, classes: int):
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


class ServedDiscriminator(nn.Module):
    """The discriminator as it is exported: images (rows, height, width, channels), 0 to 255, and classes (rows, 1) to a
    score (rows, 1).
    """

    def __init__(self, discriminator: Discriminator, name: str):
        super().__init__()
        self.discriminator, self.name = discriminator, name

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"score": self.discriminator(scale_pixels(inputs[self.name]), inputs.get("condition"))[:, None]}


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 6,500 steps of 64."""
    rows = max(spec.rows, 1)
    size = max(1, min(64, rows // 4)) * (DISCRIMINATOR_STEPS if cfg.preset == "wgan_gp" else 1)
    return {
        "epochs": max(2, min(2000, math.ceil(STEPS / math.ceil(rows / size)))),
        "batch_size": size,
        "lr": {"relativistic": 5e-4, "dcgan": 2e-4, "wgan_gp": 2e-4}[cfg.preset],
        "optimizer": {"kind": "adam", "betas": BETAS[cfg.preset]},
        "schedule": {"kind": "cosine", "warmup": 0.01},
        "ema": 0.999,
    }


class ImageGAN(Adversarial):
    """Images by a generator and a discriminator."""

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__(cfg, spec)
        self.diffaugment = cfg.diffaugment if cfg.diffaugment is not None else spec.rows < SMALL
        self.generator = Generator(cfg, self.feed, self.classes)
        self.discriminator = Discriminator(cfg, self.feed, self.classes)
        self.loss_filters = Filters(self.feed.shape[-1] or 1)

    def served(self) -> dict[str, nn.Module]:
        return {"model": self.generator, "discriminator": ServedDiscriminator(self.discriminator, self.name)}

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What fixed filters see in the real images, and in one made for each of them."""
        real, condition = inputs[self.name], inputs.get("condition")
        fake = self.generator.pixels(content_noise(real, self.cfg.latent), condition)
        return {"real": self.loss_filters(scale_pixels(real)), "fake": self.loss_filters(fake)}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """The discriminator's loss, then the generator's, which sees the discriminator after its step."""
        real, condition = scale_pixels(batch.inputs[self.name]), batch.inputs.get("condition")
        if self.cfg.preset == "wgan_gp":
            yield from self._wasserstein(real, condition)
            return
        fake = self.generator.raw(self._noise(len(real)), condition)
        relative = self.cfg.preset == "relativistic"
        images, fakes = self._augment(real), self._augment(fake.detach())
        real_score, fake_score = self._scores(images, fakes, condition)
        each = F.softplus(fake_score - real_score) if relative else F.softplus(-real_score) + F.softplus(fake_score)
        loss = each.mean()
        if relative and self.penalty_due():
            few = max(1, round(PENALTY_SHARE * len(real)))
            own = None if condition is None else condition[:few]
            penalties = sum(self._gradient(x[:few], own).square().sum((1, 2, 3)).mean() for x in (images, fakes))
            loss = loss + 0.5 * self.cfg.penalty * self.cfg.penalty_every * penalties
        self.turn += 1
        yield "discriminator", loss
        fake_score = self.discriminator(self._augment(fake), condition)
        if not relative:
            yield "generator", F.softplus(-fake_score).mean()
            return
        # scores of before the step: as good, and a pass less
        yield "generator", F.softplus(real_score.detach() - fake_score).mean()

    def _wasserstein(self, real: Tensor, condition: Tensor | None) -> Iterator[tuple[str, Tensor]]:
        """Several steps of the discriminator, each on a share of the batch, then one of the generator."""
        count = min(DISCRIMINATOR_STEPS, len(real))
        conditions = [None] * count if condition is None else condition.chunk(count)
        shares = list(zip(real.chunk(count), conditions, strict=False))
        for some, own in shares:
            with torch.no_grad():
                fake = self.generator.raw(self._noise(len(some)), own).float()
            images, fakes = self._augment(some), self._augment(fake)
            real_score, fake_score = self._scores(images, fakes, own)
            between = torch.rand(len(some), 1, 1, 1, device=some.device)
            gradient = self._gradient(images * between + fakes * (1 - between), own)
            penalty = (gradient.square().sum((1, 2, 3)).add(1e-12).sqrt() - 1).square().mean()
            yield "discriminator", fake_score.mean() - real_score.mean() + WGAN_PENALTY * penalty
        some, own = shares[-1]
        fake = self.generator.raw(self._noise(len(some)), own)
        yield "generator", -self.discriminator(self._augment(fake), own).mean()

    def _noise(self, rows: int) -> Tensor:
        return torch.randn(rows, self.cfg.latent, device=self.turn.device)

    def _augment(self, images: Tensor) -> Tensor:
        """Images as the discriminator sees them."""
        return diffaugment.augment(images) if self.diffaugment else images

    def _scores(self, real: Tensor, fake: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of real and fake images, in one pass where no normalisation mixes them."""
        if self.cfg.preset == "dcgan":
            return self.discriminator(real, condition), self.discriminator(fake, condition)
        both = None if condition is None else torch.cat([condition, condition])
        real_score, fake_score = self.discriminator(torch.cat([real, fake.to(real.dtype)]), both).chunk(2)
        return real_score, fake_score

    def _gradient(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """The gradient of scores by pixels, in full precision: half of it is too coarse to be differentiated again."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.detach().float().requires_grad_()
            (gradient,) = torch.autograd.grad(self.discriminator(x, condition).sum(), x, create_graph=True)
        return gradient


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
    """Filters as DCGAN starts them, laid out as images are in memory."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
    channels_last(module)
