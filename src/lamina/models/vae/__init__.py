"""Variational autoencoder: images or rows to a few normal numbers and back. Kingma and Welling 2014.

The spread of what is decoded is the best one for each batch (Rybkin et al. 2021, sigma-VAE), so that no weight has to
be found between the two halves of the loss; images that are nearly black and white are yes or no at each pixel.
`free_bits` per latent number are not pressed out (Kingma et al. 2016), and the pressure grows over the first steps
(Sonderby et al. 2016).

Where rows are to be given back, and no new ones made, the code of a row is the mean of its distribution, and a bound on
the likelihood of each row is told.
"""

from typing import Any

from lamina.models._reconstruction import training as _training
from lamina.models.vae import images, tables
from lamina.models.vae.autoencoder import Autoencoder
from lamina.models.vae.config import Config
from lamina.models.vae.reconstruction import ReconstructionVAE
from lamina.schema import Spec

RECONSTRUCTION = "reconstruction"
HEADS = frozenset({"sample", RECONSTRUCTION})


def suits(spec: Spec) -> float:
    """One column of images, or rows of a table; series to be given back."""
    if spec.output.head == RECONSTRUCTION:
        return 0.6 if _kinds(spec) in (["image"], ["row"], ["series"]) else 0.0
    return 0.8 if _kinds(spec) in (["image"], ["row"]) else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 2,000 steps of 128 images, more where there are few; or as rows want it."""
    if spec.output.head == RECONSTRUCTION:
        return _training.training(spec)
    return (images if _kinds(spec) == ["image"] else tables).training(max(spec.rows, 1))


def Model(cfg: Config, spec: Spec) -> Autoencoder | ReconstructionVAE:  # noqa: N802 - the name of the contract
    """An autoencoder of images, or one of rows; or one that gives back what it is fed."""
    if spec.output.head == RECONSTRUCTION:
        return ReconstructionVAE(cfg, spec)
    return images.ImageVAE(cfg, spec) if _kinds(spec) == ["image"] else tables.TableVAE(cfg, spec)


def _kinds(spec: Spec) -> list[str]:
    return [feed.kind for name, feed in spec.inputs.items() if name != "condition"]


__all__ = ["HEADS", "Config", "Model", "suits", "training"]
