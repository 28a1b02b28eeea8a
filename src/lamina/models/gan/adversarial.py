"""What a GAN of images and one of rows share: a generator and a discriminator, which learn in turn."""

import torch
from torch import Tensor, nn

from lamina.models.gan.config import Config
from lamina.schema import Spec


class Adversarial(nn.Module):
    """Two parts, and a count of the steps so far, because some things come every few.

    Whoever inherits gives `generator` and `discriminator`, `forward` (features of real and fake rows), `losses` and
    `served`.
    """

    parts = ("discriminator", "generator")
    turn: Tensor

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        ((self.name, self.feed),) = ((name, feed) for name, feed in spec.inputs.items() if name != "condition")
        self.cfg, self.classes = cfg, spec.output.size
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))

    def penalty_due(self) -> bool:
        """Whether the lazy penalties are taken in this step."""
        return int(self.turn) % self.cfg.penalty_every == 0
