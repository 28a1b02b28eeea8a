"""Generative adversarial network: a generator against a discriminator that tells real from fake. Goodfellow et al.
2014.

Both learn in turn, in the one training loop: `parts = ("discriminator", "generator")`. Both are served: the generator
makes, the discriminator scores what there is. Their weights are averaged over training.
"""

from typing import Any

from lamina.models.gan import images, tables
from lamina.models.gan.adversarial import Adversarial
from lamina.models.gan.config import Config
from lamina.schema import Spec

HEADS = frozenset({"sample"})
EARLIER_NAMES = {"critic": "discriminator"}


def suits(spec: Spec) -> float:
    """One column of images, or rows of a table."""
    return 0.7 if _kinds(spec) in (["image"], ["row"]) else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 6,500 steps of 64 images, or 4,000 of up to 500 rows."""
    return (images if _kinds(spec) == ["image"] else tables).training(cfg, spec)


def Model(cfg: Config, spec: Spec) -> Adversarial:  # noqa: N802 - the name of the contract, whatever is built
    """A GAN of images, or one of rows."""
    return images.ImageGAN(cfg, spec) if _kinds(spec) == ["image"] else tables.TableGAN(cfg, spec)


def _kinds(spec: Spec) -> list[str]:
    return [feed.kind for name, feed in spec.inputs.items() if name != "condition"]
