"""Autoencoder: rows, images or series to a few numbers and back, never worse than principal component analysis.

Beside the layers there is a linear path from the input to the code and back, which begins as principal component
analysis of the training rows while the layers add nothing; where nothing that was learned is better on validation
rows, it is what remains. With `noise` or `masking` clean rows are to be given back for corrupted ones (Vincent et al.
2008); with `sparsity` codes are pressed towards zero (Ng 2011).

With `neighbors`, codes of rows that are nearest neighbours are drawn together and others pushed apart, as in parametric
UMAP (Sainburg et al. 2021): for maps of two or three numbers to look at. A task that wants such a map says so in the
setting `neighbors` of its output; in the setting `trim`, what share of each batch is not learned from: the rows that
are given back worst, which may be of another sort than those that are to be learned.
"""

from typing import Any

from lamina.models._reconstruction import training as _training
from lamina.models._reconstruction.training import example_rows
from lamina.models.autoencoder.config import Config, neighbor_count
from lamina.models.autoencoder.network import Autoencoder
from lamina.schema import Spec

HEADS = frozenset({"reconstruction"})

Model = Autoencoder


def suits(spec: Spec) -> float:
    """Rows of a table as vectors, or one column of images or series."""
    return 0.8 if [feed.kind for feed in spec.inputs.values()] in (["row"], ["image"], ["series"]) else 0.0


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """About 4,000 steps of rows, 2,500 of images and series; larger steps where neighbours are to stay together."""
    if not neighbor_count(cfg, spec):
        return _training.training(spec)
    return {**_training.training(spec, largest=256), "lr": 4e-3}


__all__ = ["HEADS", "Config", "Model", "example_rows", "suits", "training"]
