"""A variational autoencoder that gives back what it is fed: rows, images or series.

The spread of what is given back is learned, of each number of a row, of each channel otherwise (Rybkin et al. 2021).
The bound on the likelihood of a row is the mean over a few fixed codes of its distribution, so that it is always the
same and does not depend on other rows.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.config import RecipeError
from lamina.layers.basic import ActivationName
from lamina.models._reconstruction import codec
from lamina.models._reconstruction.codec import Decoder, Encoder, Rebuilding, Served
from lamina.models._reconstruction.layers import Network
from lamina.models._reconstruction.values import Values
from lamina.models.vae.config import Config
from lamina.models.vae.images import likelihood
from lamina.schema import Batch, Spec

NARROWEST = {"row": 1e-3, "series": 1e-3, "image": 1e-5}  # variance
DRAWS = 4  # codes by which the bound of a row is told, in pairs about the mean


class Layers(NamedTuple):
    """What encoder and decoder are made of."""

    hidden: tuple[int, ...]
    width: int
    network: Network | None = None
    activation: ActivationName = "silu"


class ReconstructionVAE(Rebuilding):
    """Values to normal numbers and back; the code of a row is their mean."""

    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        ((self.name, feed),) = spec.inputs.items()
        self.cfg, self.size, self.view = cfg, spec.output.size, Values(feed)
        if cfg.latent not in (Config.model_fields["latent"].default, self.size):
            sizes = f"{self.size:,} (got {cfg.latent:,})"
            raise RecipeError([f"model.latent: how many numbers a code has, the task says: {sizes}. Leave it out."])
        self.bernoulli = feed.kind == "image" and likelihood(cfg, feed) == "bernoulli"
        parts = Layers((cfg.hidden, cfg.hidden), cfg.width)
        self.encoder = Encoder(parts, feed, self.size, not self.bernoulli, extra=self.size)
        self.decoder = Decoder(parts, feed, self.size, not self.bernoulli, "sigmoid" if self.bernoulli else "linear")
        self.narrowest = math.log(NARROWEST[feed.kind])
        own = self.view.shape if feed.kind == "row" else (self.view.shape[-1],)
        self.spread = None if self.bernoulli else nn.Parameter(torch.zeros(own))  # logarithm of the variance
        draws = np.sign(np.random.default_rng(0).standard_normal((DRAWS // 2, 1, self.size)))
        self.draws: Tensor  # as far from the mean as a deviation
        self.register_buffer("draws", torch.from_numpy(np.concatenate([draws, -draws])).float(), persistent=False)
        self.turn: Tensor  # steps so far
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))

    def encode(self, values: Tensor, there: Tensor | None) -> tuple[Tensor, Tensor]:
        """The mean of the code of each row, and the logarithm of its variance, (rows, size) each."""
        mean, spread = self.encoder(values, there).float().chunk(2, 1)
        return mean, spread.clamp(-12, 8)

    def cost(self, codes: Tensor, values: Tensor, there: Tensor | None) -> Tensor:
        """Nats (rows,) to tell values by codes."""
        raw = self.decoder.raw(codes).float()
        if self.spread is None:
            nats = F.softplus(raw) - raw * values  # the cross-entropy of a logit, of which graphs have no NaN
            return nats.flatten(1).sum(1)
        spread = self.spread.clamp(min=self.narrowest)
        nats = 0.5 * ((raw - values).square() * (-spread).exp() + spread + math.log(2 * math.pi))
        return (nats if there is None else nats * there).flatten(1).sum(1)

    def rebuild(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        values, there = self.view(inputs[self.name])
        mean, spread = self.encode(values, there)
        reconstruction = self.decoder.values(mean)
        error = self.view.error(reconstruction, values, there)
        deviation = (0.5 * spread).exp()
        costs = sum(self.cost(mean + draw * deviation, values, there) for draw in self.draws.unbind()) / DRAWS
        divergence = _divergence(mean, spread).sum(1)
        elbo = -(costs + divergence)[:, None]
        return {"latent": mean, "reconstruction": reconstruction, "error": error, "elbo": elbo}

    def served(self) -> dict[str, nn.Module]:
        return {"model": Served(self), "decoder": self.decoder}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Minus the bound, per number; the pressure on codes grows over the first steps, and some bits are free."""
        values, there = self.view(batch.inputs[self.name])
        mean, spread = self.encode(values, there)
        codes = mean + torch.randn_like(mean) * (0.5 * spread).exp()
        early = int(self.turn) < self.cfg.warmup
        pressure = self.cfg.beta * (int(self.turn) / self.cfg.warmup if early else 1.0)
        self.turn += 1
        divergence = _divergence(mean, spread).clamp(min=self.cfg.free_bits).sum(1)
        yield "", (self.cost(codes, values, there) + pressure * divergence).mean() / self.view.size

    @torch.no_grad()
    def initialize(self, train: Batch, validation: Batch) -> None:
        """Begin as probabilistic principal component analysis (Tipping and Bishop 1999)."""
        if self.spread is None:
            return
        of = codec.components(self.view, train.inputs[self.name], self.size)
        codec.restore(self.encoder, self.decoder, codec.start(of, self.size, whiten=True))
        squares = np.square(of.deviations[: self.size])
        rest = max(of.variance - squares.sum() / self.view.size, 1e-3 * of.variance, math.exp(self.narrowest))
        self.spread.fill_(math.log(rest))
        last = self.encoder.layers.last
        assert isinstance(last, nn.Linear)
        last.bias[self.size :] = 0.0  # where a component is no more than noise, nothing is known of it
        last.bias[self.size : self.size + len(squares)] = torch.from_numpy(np.log(rest / (squares + rest))).float()


def _divergence(mean: Tensor, spread: Tensor) -> Tensor:
    """Nats of each number of a code, (rows, size)."""
    return 0.5 * (mean.square() + spread.exp() - 1 - spread)
