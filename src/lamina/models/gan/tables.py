"""Rows of a table by a generator and a critic. `gan` has the settings; here are the networks and what they minimise.

After CTGAN (Xu et al. 2019): a residual generator, choices drawn by Gumbel-softmax (Jang et al. 2017), a critic that
judges several rows at once (PacGAN, Lin et al. 2018), so that made rows have to differ. Beside the critic, means and
covariances of a batch have to be those of real rows (the information loss of Zhao et al. 2021, CTAB-GAN, on rows).
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.layers.one_hot_blocks import Blocks
from lamina.models.vae.tables import told
from lamina.schema import Batch, Input, Spec

if TYPE_CHECKING:
    from lamina.models.gan import Config, Model

MOMENTS = 10.0  # weight of means and covariances
STEEP = 0.1  # of `penalty`: rows are wide and near each other
PACK = 4  # rows that are judged together
HEAT = 0.2  # of the softmax that stands for a draw
WGAN_PENALTY = 10.0
SLOPE = 0.2


class Generator(nn.Module):
    """Noise and a class to a row: ways in (-1, 1), scores of choices."""

    def __init__(self, cfg: "Config", feed: Input, classes: int):
        super().__init__()
        self.classes, self.blocks = classes, Blocks(feed.sizes)
        first, hidden = cfg.latent + classes, cfg.hidden
        self.layers = nn.ModuleList(nn.Linear(first + i * hidden, hidden) for i in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(2))
        self.last = nn.Linear(first + 2 * hidden, self.blocks.width)

    def raw(self, noise: Tensor, condition: Tensor | None) -> Tensor:
        x = told(noise, condition, self.classes)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = torch.cat([F.relu(norm(layer(x))), x], 1)
        return self.last(x)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raw = self.raw(inputs["noise"], inputs.get("condition"))
        return {"row": self.blocks.joined(torch.tanh(raw[:, self.blocks.way]), raw[:, self.blocks.column])}

    def drawn(self, raw: Tensor, uniform: Tensor) -> Tensor:
        """Rows with every choice made, by uniform numbers as many as there are scores; gradients are those of choices
        that are nearly made (straight through, Jang et al. 2017).
        """
        blocks = self.blocks
        scores = (raw[:, blocks.column] - torch.log(-torch.log(uniform))) / HEAT
        ways = torch.tanh(raw[:, blocks.way])
        soft = blocks.scores(blocks.joined(ways, scores)).exp()
        return blocks.joined(ways, soft + (blocks.made(soft) - soft).detach())


class Critic(nn.Module):
    """Rows and their classes, several at once, to a score for each lot: the higher the realer."""

    def __init__(self, cfg: "Config", feed: Input, classes: int):
        super().__init__()
        self.classes, hidden = classes, cfg.hidden
        self.layers = nn.Sequential(
            nn.Linear(PACK * ((feed.shape[0] or 1) + classes), hidden), nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, hidden), nn.LeakyReLU(SLOPE), nn.Linear(hidden, 1, bias=False),
        )  # fmt: skip

    def forward(self, rows: Tensor, condition: Tensor | None) -> Tensor:
        return self.layers(told(rows, condition, self.classes).reshape(len(rows) // PACK, -1))[:, 0]


class Judge(nn.Module):
    """The critic as it is exported: rows (rows, width) and classes (rows, 1) to a score (rows, 1), each as if it stood
    there four times. Beside other rows, made or real, real ones were told from made ones no better.
    """

    def __init__(self, model: "Model"):
        super().__init__()
        assert isinstance(model.critic, Critic)
        self.critic, self.name = model.critic, model.name

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        again = told(inputs[self.name], inputs.get("condition"), self.critic.classes).repeat(1, PACK)
        return {"score": self.critic.layers(again)}


def losses(model: "Model", batch: Batch) -> Iterator[tuple[str, Tensor]]:
    """Of the critic, then of the generator."""
    real, condition = batch.inputs[model.name], batch.inputs.get("condition")
    lots = max(1, len(real) // PACK) * PACK
    if len(real) < PACK:  # a last small batch: the same rows again
        again = torch.arange(lots, device=real.device) % len(real)
        real, condition = real[again], None if condition is None else condition[again]
    real, condition = real[:lots], None if condition is None else condition[:lots]
    generator, critic = model.generator, model.critic
    assert isinstance(generator, Generator) and isinstance(critic, Critic)

    noise = torch.randn(lots, model.cfg.latent, device=real.device)
    uniform = torch.rand(lots, len(generator.blocks.column), device=real.device).clamp(1e-6, 1 - 1e-6)
    made = generator.drawn(generator.raw(noise, condition), uniform)
    fake = made.detach()
    if model.cfg.preset == "wgan_gp":
        yield (
            "critic",
            critic(fake, condition).mean() - critic(real, condition).mean() + _between(critic, real, fake, condition),
        )
        apart = _apart(*(told(rows, condition, generator.classes) for rows in (real, made)))
        yield "generator", MOMENTS * apart - critic(made, condition).mean()
        return
    model.turn += 1
    every = model.cfg.penalty_every
    lazy = int(model.turn) % every == 0
    real, fake = real.detach().requires_grad_(lazy), fake.requires_grad_(lazy)
    first, second = critic(real, condition), critic(fake, condition)
    loss = F.softplus(second - first).mean()
    if lazy:
        loss = loss + every * STEEP * model.cfg.penalty / 2 * (_steepness(first, real) + _steepness(second, fake))
    yield "critic", loss
    real = real.detach()
    loss = F.softplus(critic(real, condition) - critic(made, condition)).mean()
    yield "generator", loss + MOMENTS * _apart(*(told(rows, condition, generator.classes) for rows in (real, made)))


def _apart(real: Tensor, made: Tensor) -> Tensor:
    """How far the means of all numbers, and of all products of two, are from each other."""
    middles = [rows.mean(0) for rows in (real, made)]
    both = [(rows - middle).T @ (rows - middle) / len(rows) for rows, middle in zip((real, made), middles, strict=True)]
    return (middles[0] - middles[1]).square().sum() + (both[0] - both[1]).square().sum()


def _steepness(score: Tensor, rows: Tensor) -> Tensor:
    """Mean squared length of the gradient of a lot's score by its rows."""
    (slope,) = torch.autograd.grad(score.sum(), rows, create_graph=True)
    return slope.square().sum() / len(score)


def _between(critic: Critic, real: Tensor, fake: Tensor, condition: Tensor | None) -> Tensor:
    """How far from 1 the slope is on the way from real to made lots: Gulrajani et al. 2017."""
    share = torch.rand(len(real) // PACK, 1, device=real.device).repeat_interleave(PACK, 0)
    way = (share * real + (1 - share) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(way, condition).sum(), way, create_graph=True)
    return WGAN_PENALTY * (slope.reshape(len(real) // PACK, -1).norm(dim=1) - 1).square().mean()


def features(model: "Model", inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Real rows, and as many made ones with every choice made, always by the same numbers."""
    real, condition, generator = inputs[model.name], inputs.get("condition"), model.generator
    assert isinstance(generator, Generator)
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(len(real), model.cfg.latent, generator=rng).to(real)
    uniform = torch.rand(len(real), len(generator.blocks.column), generator=rng).clamp(1e-6, 1 - 1e-6).to(real)
    made = generator.drawn(generator.raw(noise, condition), uniform)
    classes = generator.classes
    return {"real": told(real, condition, classes), "fake": told(made, condition, classes)}


def training(cfg: "Config", spec: Spec) -> dict[str, Any]:
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


STEPS = 4_000
