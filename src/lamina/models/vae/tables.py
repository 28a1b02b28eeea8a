"""The two halves of a variational autoencoder for rows of a table, after TVAE (Xu et al. 2019).

A choice costs its cross-entropy; a way costs what it does under a normal distribution whose spread is told with it, and
nothing where a cell has no way. What is made comes from a learned distribution and not from the normal one (a flow of
affine couplings, Dinh et al. 2017; for autoencoders Chen et al. 2017): what the encoder leaves empty is not drawn from.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lamina.layers.one_hot_blocks import Blocks, with_condition
from lamina.models.vae.autoencoder import Autoencoder
from lamina.models.vae.config import Config
from lamina.schema import Input, Spec

NARROWEST, WIDEST = -5.0, 1.0  # logarithm of the spread of a way
COUPLINGS = 4
STEPS = 4_000


def training(rows: int) -> dict[str, Any]:
    """About 4,000 steps of up to 256."""
    size = max(8, min(256, rows // 16))
    epochs = max(5, min(300, -(-STEPS * size // rows)))
    return {
        "epochs": epochs,
        "batch_size": size,
        "lr": 2e-3,
        "ema": 0.999,
        "clip": 1.0,
        "patience": max(5, epochs // 5),
    }


def layers(entrance: int, hidden: int, end: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(entrance, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, end)
    )


class Encoder(nn.Module):
    """Rows and their classes to mean and log-variance (rows, 2 * latent)."""

    def __init__(self, latent: int, hidden: int, feed: Input, classes: int):
        super().__init__()
        self.classes = classes
        self.layers = layers((feed.shape[0] or 1) + classes, hidden, 2 * latent)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        return self.layers(with_condition(x, condition, self.classes))


class Decoder(nn.Module):
    """Normal numbers and a class to a row: ways in (-1, 1), scores of choices, then the log-spread of each way."""

    def __init__(self, latent: int, hidden: int, feed: Input, classes: int):
        super().__init__()
        self.classes, self.blocks = classes, Blocks(feed.sizes)
        self.prior = nn.ModuleList(
            _Coupling(latent, hidden // 2, classes) for _ in range(COUPLINGS if latent > 1 else 0)
        )
        self.layers = layers(latent + classes, hidden, self.blocks.width + self.blocks.ways)

    def raw(self, hidden: Tensor, condition: Tensor | None) -> Tensor:
        """A row as it leaves the last layer, of what the encoder gives."""
        return self.layers(with_condition(hidden, condition, self.classes))

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        x, condition = inputs["noise"], inputs.get("condition")
        for coupling in self.prior:
            x = coupling(x, condition)
        raw, blocks = self.raw(x, condition), self.blocks
        ways, spreads = torch.tanh(raw[:, blocks.way]), raw[:, blocks.width :].clamp(NARROWEST, WIDEST)
        return {"row": torch.cat([blocks.join(ways, raw[:, blocks.column]), spreads], 1)}

    def neg_log_density(self, hidden: Tensor, condition: Tensor | None) -> Tensor:
        """Minus the log-density of what the encoder gives, in nats, up to a constant: (rows,)."""
        cost = torch.zeros_like(hidden[:, 0])
        for coupling in reversed(self.prior):
            assert isinstance(coupling, _Coupling)
            hidden, log_stretch = coupling.inverse(hidden, condition)
            cost = cost + log_stretch
        return 0.5 * hidden.square().sum(1) + cost

    def reconstruction_cost(self, raw: Tensor, x: Tensor) -> Tensor:
        """Nats it costs to tell each row, (rows,)."""
        blocks = self.blocks
        cost = -(x[:, blocks.column] * blocks.scores(raw[:, : blocks.width])).sum(1)
        if not blocks.ways:
            return cost
        target, spread = x[:, blocks.way], raw[:, blocks.width :].clamp(NARROWEST, WIDEST)
        error = (torch.tanh(raw[:, blocks.way]) - target) / spread.exp()
        return cost + ((0.5 * error.square() + spread) * (target != 0)).sum(1)


class TableVAE(Autoencoder):
    """Rows of a table by an encoder and a decoder."""

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__(cfg, spec)
        self.encoder = Encoder(cfg.latent, cfg.hidden, self.feed, self.classes)
        self.generator = Decoder(cfg.latent, cfg.hidden, self.feed, self.classes)

    def code_cost(self, mean: Tensor, spread: Tensor, codes: Tensor, condition: Tensor | None) -> Tensor:
        return self.generator.neg_log_density(codes, condition) - 0.5 * (1 + spread).sum(1)


class _Coupling(nn.Module):
    """Stretches and moves one half of the numbers by how much the other half and the class say; the halves change
    places.
    """

    def __init__(self, latent: int, hidden: int, classes: int):
        super().__init__()
        self.classes, self.count = classes, latent // 2
        self.layers = layers(self.count + classes, hidden, 2 * (latent - self.count))
        with torch.no_grad():
            [*self.layers.parameters()][-2].mul_(0.01)

    def _stretch(self, half: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        stretch, move = self.layers(with_condition(half, condition, self.classes)).chunk(2, 1)
        return torch.tanh(stretch), move

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        half, other = x[:, : self.count], x[:, self.count :]
        stretch, move = self._stretch(half, condition)
        return torch.cat([other * stretch.exp() + move, half], 1)

    def inverse(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """What `forward` made `x` of, and the logarithm of the stretch (rows,)."""
        other, half = x[:, : -self.count], x[:, -self.count :]
        stretch, move = self._stretch(half, condition)
        return torch.cat([half, (other - move) * (-stretch).exp()], 1), stretch.sum(1)
