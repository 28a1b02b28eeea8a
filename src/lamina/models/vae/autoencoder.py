"""What a variational autoencoder of images and one of rows share: codes, and the two halves of the loss."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lamina.layers.random_features import content_noise
from lamina.models.vae.config import Config
from lamina.schema import Batch, Spec


class Autoencoder(nn.Module):
    """Rows to a few normal numbers by `encoder`, and back by `generator`, the decoder, which is what is served.

    The generator gives `raw(codes, condition)` and `reconstruction_cost(raw, rows)`, in nats (rows,).
    """

    parts = ("",)
    encoder: nn.Module
    generator: Any
    turn: Tensor  # steps so far

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        ((self.name, self.feed),) = ((name, feed) for name, feed in spec.inputs.items() if name != "condition")
        self.cfg, self.classes = cfg, spec.output.size
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))

    @abstractmethod
    def code_cost(self, mean: Tensor, spread: Tensor, codes: Tensor, condition: Tensor | None) -> Tensor:
        """Nats (rows,) that the code of each row costs."""

    def pressure(self) -> float:
        """Weight of the cost of codes."""
        return self.cfg.beta

    def encode(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Where the code of each row lies, and the logarithm of its variance, (rows, latent) each."""
        mean, spread = self.encoder(inputs[self.name], inputs.get("condition")).chunk(2, 1)
        return mean, spread.clamp(-8, 8)

    def costs(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Nats (rows,) to reconstruct each row and for its code, which is drawn at random in training only."""
        rows, condition = inputs[self.name], inputs.get("condition")
        mean, spread = self.encode(inputs)
        noise = torch.randn_like(mean) if self.training else content_noise(rows, self.cfg.latent)
        codes = mean + noise * (0.5 * spread).exp()
        raw = self.generator.raw(codes, condition)
        code = self.code_cost(mean, spread, codes, condition)
        return self.generator.reconstruction_cost(raw, rows), code

    def served(self) -> dict[str, nn.Module]:
        return {"model": self.generator}

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        reconstruction, code = self.costs(inputs)
        return {"loss": (reconstruction + code)[:, None], "reconstruction": reconstruction[:, None]}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        reconstruction, code = self.costs(batch.inputs)
        self.turn += 1
        yield "", reconstruction.mean() + self.pressure() * code.mean()
