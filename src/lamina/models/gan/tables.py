"""Rows of a table by a generator and a discriminator. Here are the networks and what they minimise.

After CTGAN (Xu et al. 2019): a residual generator, choices drawn by Gumbel-softmax (Jang et al. 2017), a discriminator
that evaluates several rows at once (PacGAN, Lin et al. 2018), so that fake rows have to differ. Beside the
discriminator, means and covariances of a batch have to be those of real rows (the information loss of Zhao et al. 2021,
CTAB-GAN, on rows).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.config import RecipeError
from lamina.layers.one_hot_blocks import Blocks, with_condition
from lamina.models.gan.adversarial import Adversarial
from lamina.models.gan.config import Config
from lamina.schema import Batch, Input, Spec

STEPS = 4_000
MOMENTS = 10.0  # weight of means and covariances
STEEP = 0.1  # of `penalty`: rows are wide and near each other
PACK = 4  # rows that are evaluated together
HEAT = 0.2  # of the softmax that stands for a draw
WGAN_PENALTY = 10.0
SLOPE = 0.2


class Generator(nn.Module):
    """Noise and a class to a row: ways in (-1, 1), scores of choices."""

    def __init__(self, cfg: Config, feed: Input, classes: int):
        super().__init__()
        self.classes, self.blocks = classes, Blocks(feed.sizes)
        first, hidden = cfg.latent + classes, cfg.hidden
        self.layers = nn.ModuleList(nn.Linear(first + i * hidden, hidden) for i in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(2))
        self.last = nn.Linear(first + 2 * hidden, self.blocks.width)

    def raw(self, noise: Tensor, condition: Tensor | None) -> Tensor:
        x = with_condition(noise, condition, self.classes)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = torch.cat([F.relu(norm(layer(x))), x], 1)
        return self.last(x)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raw = self.raw(inputs["noise"], inputs.get("condition"))
        return {"row": self.blocks.join(torch.tanh(raw[:, self.blocks.way]), raw[:, self.blocks.column])}

    def sample(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """Rows with every choice made, by uniform numbers as many as there are scores; gradients are those of choices
        that are nearly made (straight through, Jang et al. 2017).
        """
        blocks = self.blocks
        scores = (raw[:, blocks.column] - torch.log(-torch.log(uniform))) / HEAT
        ways = torch.tanh(raw[:, blocks.way])
        soft = blocks.scores(blocks.join(ways, scores)).exp()
        return blocks.join(ways, soft + (blocks.harden(soft) - soft).detach())


class Discriminator(nn.Module):
    """Rows and their classes, several at once, to a score for each lot: the higher the realer."""

    def __init__(self, cfg: Config, feed: Input, classes: int):
        super().__init__()
        self.classes, hidden = classes, cfg.hidden
        self.layers = nn.Sequential(
            nn.Linear(PACK * ((feed.shape[0] or 1) + classes), hidden), nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, hidden), nn.LeakyReLU(SLOPE), nn.Linear(hidden, 1, bias=False),
        )  # fmt: skip

    def forward(self, rows: Tensor, condition: Tensor | None) -> Tensor:
        return self.layers(with_condition(rows, condition, self.classes).reshape(len(rows) // PACK, -1))[:, 0]


class ServedDiscriminator(nn.Module):
    """The discriminator as it is exported: rows (rows, width) and classes (rows, 1) to a score (rows, 1), each as if it
    stood there four times. Beside other rows, fake or real, real ones were told from fake ones no better.
    """

    def __init__(self, discriminator: Discriminator, name: str):
        super().__init__()
        self.discriminator, self.name = discriminator, name

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        pack = with_condition(inputs[self.name], inputs.get("condition"), self.discriminator.classes).repeat(1, PACK)
        return {"score": self.discriminator.layers(pack)}


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 4,000 steps of up to 500."""
    rows, wgan = max(spec.rows, 1), cfg.preset == "wgan_gp"
    size = max(PACK, min(500, rows // 10))
    return {
        "epochs": max(2, min(2000, -(-STEPS * size // rows))),
        "batch_size": size,
        "lr": 2e-4 if wgan else 1e-3,
        "optimizer": {"kind": "adam", "betas": (0.5, 0.9) if wgan else (0.0, 0.99)},
        "schedule": {"kind": "cosine", "warmup": 0.01},
        "ema": 0.999,
    }


class TableGAN(Adversarial):
    """Rows of a table by a generator and a discriminator."""

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__(cfg, spec)
        if cfg.preset == "dcgan":
            raise RecipeError(["model.preset: dcgan makes images. Use relativistic or wgan_gp for rows."])
        self.generator = Generator(cfg, self.feed, self.classes)
        self.discriminator = Discriminator(cfg, self.feed, self.classes)

    def served(self) -> dict[str, nn.Module]:
        return {"model": self.generator, "discriminator": ServedDiscriminator(self.discriminator, self.name)}

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Real rows, and as many fake ones with every choice made, always by the same numbers."""
        real, condition, generator = inputs[self.name], inputs.get("condition"), self.generator
        rng = torch.Generator().manual_seed(0)
        noise = torch.randn(len(real), self.cfg.latent, generator=rng).to(real)
        uniform = torch.rand(len(real), len(generator.blocks.column), generator=rng).clamp(1e-6, 1 - 1e-6).to(real)
        fake = generator.sample(generator.raw(noise, condition), uniform)
        return {"real": self._with(real, condition), "fake": self._with(fake, condition)}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Of the discriminator, then of the generator."""
        real, condition = _packs(batch.inputs[self.name], batch.inputs.get("condition"))
        generator, discriminator = self.generator, self.discriminator
        noise = torch.randn(len(real), self.cfg.latent, device=real.device)
        uniform = torch.rand(len(real), len(generator.blocks.column), device=real.device).clamp(1e-6, 1 - 1e-6)
        samples = generator.sample(generator.raw(noise, condition), uniform)
        fake = samples.detach()
        if self.cfg.preset == "wgan_gp":
            distance = discriminator(fake, condition).mean() - discriminator(real, condition).mean()
            yield "discriminator", distance + _gradient_penalty(discriminator, real, fake, condition)
            moments = _moment_loss(self._with(real, condition), self._with(samples, condition))
            yield "generator", MOMENTS * moments - discriminator(samples, condition).mean()
            return
        self.turn += 1
        lazy = self.penalty_due()
        real, fake = real.detach().requires_grad_(lazy), fake.requires_grad_(lazy)
        real_score, fake_score = discriminator(real, condition), discriminator(fake, condition)
        loss = F.softplus(fake_score - real_score).mean()
        if lazy:
            weight = self.cfg.penalty_every * STEEP * self.cfg.penalty / 2
            loss = loss + weight * (_squared_gradient(real_score, real) + _squared_gradient(fake_score, fake))
        yield "discriminator", loss
        real = real.detach()
        loss = F.softplus(discriminator(real, condition) - discriminator(samples, condition)).mean()
        yield "generator", loss + MOMENTS * _moment_loss(self._with(real, condition), self._with(samples, condition))

    def _with(self, rows: Tensor, condition: Tensor | None) -> Tensor:
        return with_condition(rows, condition, self.classes)


def _packs(rows: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """As many rows as fill whole packs; of too few, such as a last small batch, the same rows again."""
    count = max(1, len(rows) // PACK) * PACK
    if len(rows) < PACK:
        places = torch.arange(count, device=rows.device) % len(rows)
        rows, condition = rows[places], None if condition is None else condition[places]
    return rows[:count], None if condition is None else condition[:count]


def _moment_loss(real: Tensor, fake: Tensor) -> Tensor:
    """How far the means of all numbers, and of all products of two, are from each other."""
    means = [rows.mean(0) for rows in (real, fake)]
    products = [(rows - mean).T @ (rows - mean) / len(rows) for rows, mean in zip((real, fake), means, strict=True)]
    return (means[0] - means[1]).square().sum() + (products[0] - products[1]).square().sum()


def _squared_gradient(score: Tensor, rows: Tensor) -> Tensor:
    """Mean squared length of the gradient of a pack's score by its rows."""
    (gradient,) = torch.autograd.grad(score.sum(), rows, create_graph=True)
    return gradient.square().sum() / len(score)


def _gradient_penalty(discriminator: Discriminator, real: Tensor, fake: Tensor, condition: Tensor | None) -> Tensor:
    """How far from 1 the slope is on the way from real to fake packs: Gulrajani et al. 2017."""
    share = torch.rand(len(real) // PACK, 1, device=real.device).repeat_interleave(PACK, 0)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(between, condition).sum(), between, create_graph=True)
    return WGAN_PENALTY * (gradient.reshape(len(real) // PACK, -1).norm(dim=1) - 1).square().mean()
