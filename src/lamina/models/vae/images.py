"""Images by an encoder and a decoder. Here are the networks and what an image costs.

Once trained, the decoder learns where the codes of training images really lie, for each class or as a mixture of
several clouds, and draws new codes from there: codes drawn from the normal distribution that they were pressed towards
fall between them (Ghosh et al. 2020, ex-post density estimation).
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.layers.basic import Pixels
from lamina.layers.residual import Grower, Plan, Reader
from lamina.models.vae.autoencoder import Autoencoder
from lamina.models.vae.config import Config
from lamina.schema import Input, Spec

STEPS, CHUNK = 2_000, 512
NEARLY_BINARY = 0.7  # of the spread that black and white would have
APART = 64  # classes, up to which each has a shape of its own and not only a place
CLOUDS, EACH = 16, 20  # at most, where there is no class; and codes per number of a code that each needs
ROUNDS = 30
RENEWAL = 0.05  # share of the variance that a batch renews


def likelihood(cfg: Config, feed: Input) -> str:
    """`bernoulli` for grey images that are nearly black and white, else `normal`, unless a recipe says which."""
    if cfg.likelihood != "auto":
        return cfg.likelihood
    if len(feed.mean) != 1 or len(feed.std) != 1:
        return "normal"
    most = feed.mean[0] * (1 - feed.mean[0])
    return "bernoulli" if feed.std[0] ** 2 > NEARLY_BINARY * most else "normal"


class Encoder(nn.Module):
    """Images, and their classes, to mean and log-variance (rows, 2 * latent)."""

    def __init__(self, cfg: Config, feed: Input, classes: int):
        super().__init__()
        plan = Plan(feed, cfg.width)
        self.pixels, self.body = Pixels(feed), Reader(plan)
        self.head = nn.Linear(plan.flat, 2 * cfg.latent)
        self.named = nn.Embedding(classes, 2 * cfg.latent) if classes else None
        for layer in (self.head, self.named):
            if layer is not None:
                nn.init.normal_(layer.weight, std=0.1 / math.sqrt(plan.flat))

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        code = self.head(self.body(self.pixels(x))).float()
        return code if self.named is None or condition is None else code + self.named(condition[:, 0])


class Decoder(nn.Module):
    """Noise and a class to an image (rows, height, width, channels), 0 to 255."""

    def __init__(self, cfg: Config, feed: Input, classes: int):
        super().__init__()
        self.body, self.clouds = Grower(Plan(feed, cfg.width), cfg.latent, classes), 1 if classes else CLOUDS
        self.likelihood, channels = likelihood(cfg, feed), feed.shape[-1] or 1
        self.middle: Tensor  # of normal pixels and how they spread, so that an untrained network is right on average
        self.spread: Tensor
        self.register_buffer("middle", torch.tensor(feed.mean or (0.5,) * channels).view(1, -1, 1, 1))
        self.register_buffer("spread", torch.tensor(feed.std or (0.25,) * channels).view(1, -1, 1, 1))
        self.variance: Tensor  # of what is left unexplained, over the last batches
        self.register_buffer("variance", self.spread.square().mean().clamp(min=1e-6))
        places, shapes = (classes, classes if classes <= APART else 1) if classes else (CLOUDS, CLOUDS)
        self.edges: Tensor
        self.centres: Tensor
        self.factors: Tensor
        if self.clouds > 1:
            self.register_buffer("edges", torch.linspace(0, 1, CLOUDS + 1))
        self.register_buffer("centres", torch.zeros(places, cfg.latent))
        self.register_buffer("factors", torch.eye(cfg.latent).repeat(shapes, 1, 1))

    def raw(self, codes: Tensor, condition: Tensor | None) -> Tensor:
        """Logits of pixels, or pixels of mean 0 and spread 1, (rows, channels, height, width)."""
        return self.body(codes, condition)

    def reconstruction_cost(self, raw: Tensor, x: Tensor) -> Tensor:
        """Nats per row to tell an image (rows, height, width, channels), 0 to 255, by raw pixels."""
        target = x.permute(0, 3, 1, 2).float() / 255
        if self.likelihood == "bernoulli":
            return F.binary_cross_entropy_with_logits(raw.float(), target, reduction="none").sum((1, 2, 3))
        error = (self.visible(raw) - target).square()
        best = error.mean().clamp(min=1e-6)
        if self.training:
            self.variance.lerp_(best.detach(), RENEWAL)
        variance = best if self.training else self.variance  # a row that is evaluated heeds no neighbour
        return (0.5 * error / variance + 0.5 * variance.log()).sum((1, 2, 3))

    def visible(self, raw: Tensor) -> Tensor:
        """Raw pixels as they are seen, 0 to 1; normal ones may lie beyond, so that white never lacks a gradient."""
        return torch.sigmoid(raw.float()) if self.likelihood == "bernoulli" else raw.float() * self.spread + self.middle

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        condition = inputs.get("condition")
        images = self.visible(self.raw(self.codes(inputs["noise"], condition), condition).float()).clamp(0, 1)
        return {"image": images.permute(0, 2, 3, 1) * 255}

    def codes(self, noise: Tensor, condition: Tensor | None) -> Tensor:
        """Normal numbers (rows, latent) to codes such as training images have."""
        if self.clouds > 1:
            which, noise = self._cloud(noise)
        else:
            which = noise.new_zeros(len(noise), dtype=torch.int64) if condition is None else condition[:, 0]
        shape = which if len(self.factors) > 1 else which * 0
        return self.centres[which] + (self.factors[shape] @ noise[:, :, None])[:, :, 0]

    def _cloud(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The first number says which cloud (rows,); what it says beyond that makes it a normal number again."""
        uniform = 0.5 * (1 + torch.erf(noise[:, :1] / math.sqrt(2)))  # (rows, 1), 0 to 1
        which = (uniform >= self.edges[1:-1]).sum(1)
        low, high = self.edges[which][:, None], self.edges[which + 1][:, None]
        inside = ((uniform - low) / (high - low).clamp(min=1e-6)).clamp(1e-5, 1 - 1e-5)
        return which, torch.cat([_normal(inside), noise[:, 1:]], 1)

    @torch.no_grad()
    def fit_codes(self, mean: Tensor, spread: Tensor, condition: Tensor | None) -> None:
        """Learn where codes lie: their `mean` and log-variance `spread`, (rows, latent) each, and the class of each."""
        own = spread.exp()
        if self.clouds > 1:
            _mixture(self, mean, own)
            return
        groups = mean.new_zeros(len(mean), dtype=torch.int64) if condition is None else condition[:, 0]
        within = torch.zeros_like(mean)
        for group in groups.unique().tolist():
            rows = groups == group
            self.centres[group] = mean[rows].mean(0)
            within[rows] = mean[rows] - mean[rows].mean(0)
            if len(self.factors) > 1:
                self.factors[group] = _factor(within[rows], own[rows])
        if len(self.factors) == 1:
            self.factors[0] = _factor(within, own)


class ImageVAE(Autoencoder):
    """Images by an encoder and a decoder."""

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__(cfg, spec)
        self.encoder = Encoder(cfg, self.feed, self.classes)
        self.generator = Decoder(cfg, self.feed, self.classes)

    def code_cost(self, mean: Tensor, spread: Tensor, codes: Tensor, condition: Tensor | None) -> Tensor:
        cost = 0.5 * (mean.square() + spread.exp() - 1 - spread)
        return cost.clamp(min=self.cfg.free_bits if self.training else 0.0).sum(1)

    def pressure(self) -> float:
        """It grows over the first steps."""
        early = int(self.turn) < self.cfg.warmup
        return self.cfg.beta * (int(self.turn) / self.cfg.warmup if early else 1.0)

    @torch.no_grad()
    def finalize(self, inputs: Mapping[str, Tensor]) -> None:
        """Learn where the codes of training images lie, so that new ones are drawn from there."""
        count = len(inputs[self.name])
        codes = [self.encode({n: v[at : at + CHUNK] for n, v in inputs.items()}) for at in range(0, count, CHUNK)]
        mean, spread = (torch.cat(values) for values in zip(*codes, strict=True))
        self.generator.fit_codes(mean, spread, inputs.get("condition"))


def training(rows: int) -> dict[str, Any]:
    """About 2,000 steps of 128, more epochs where there are few."""
    size = max(1, min(128, rows // 4))
    epochs = max(3, min(300, math.ceil(STEPS / math.ceil(rows / size))))
    patience = max(5, epochs // 5)
    return {"epochs": epochs, "batch_size": size, "lr": 1e-3, "ema": 0.998, "clip": 10.0, "patience": patience}


def _factor(within: Tensor, own: Tensor) -> Tensor:
    """The lower triangle that turns normal numbers into codes as spread as these, each of which is a cloud itself.

    Few codes say little of how numbers go together: so much less of that is believed.
    """
    rows, latent = within.shape
    cov = within.T @ within / max(rows, 1)
    trust = rows / (rows + latent)
    cov = trust * cov + (1 - trust) * torch.diag(cov.diagonal()) + torch.diag(own.mean(0))
    return torch.linalg.cholesky(cov + 1e-6 * torch.eye(latent, device=cov.device))


def _mixture(decoder: Decoder, mean: Tensor, own: Tensor) -> None:
    """Clouds by expectation and maximisation; those that a small set does not need are never drawn."""
    rows, latent = mean.shape
    count = max(1, min(CLOUDS, rows // (EACH * latent)))
    rng = torch.Generator().manual_seed(0)
    centres = mean[torch.randperm(rows, generator=rng)[:count].to(mean.device)]
    belongs = F.one_hot(torch.cdist(mean, centres).argmin(1), count).float()  # (rows, clouds)
    for _ in range(ROUNDS):
        scores = []
        for k in range(count):
            share = belongs[:, k : k + 1]
            total = share.sum().clamp(min=1e-6)
            decoder.centres[k] = (share * mean).sum(0) / total
            within = (mean - decoder.centres[k]) * share.sqrt() * (rows / total).sqrt()
            decoder.factors[k] = _factor(within, own * share * (rows / total))
            distance = torch.linalg.solve_triangular(decoder.factors[k], (mean - decoder.centres[k]).T, upper=False)
            size = decoder.factors[k].diagonal().log().sum()
            scores.append((total / rows).log() - size - 0.5 * distance.square().sum(0))
        belongs = torch.stack(scores, 1).softmax(1)
    shares = belongs.mean(0)
    decoder.edges.fill_(1.0)
    decoder.edges[: count + 1] = torch.cat([shares.new_zeros(1), shares.cumsum(0)])
    decoder.edges[count] = 1.0


def _normal(uniform: Tensor) -> Tensor:
    """The normal number below which a share of them lies, to 4e-4 (Hastings 1955): exporters know no erfinv."""
    t = (-2 * torch.minimum(uniform, 1 - uniform).log()).sqrt()
    top = 2.515517 + t * (0.802853 + t * 0.010328)
    size = t - top / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    return torch.where(uniform < 0.5, -size, size)
