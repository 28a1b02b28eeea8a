"""Autoencoder: rows, pictures or series to a few numbers and back, never worse than principal component analysis.

Beside the layers there is a linear path from the input to the code and back, which begins as principal component
analysis of the training rows while the layers add nothing; where nothing that was learned is better on validation
rows, it is what remains. With `noise` or `masking` clean rows are to be given back for corrupted ones (Vincent et al.
2008); with `sparsity` codes are pressed towards zero (Ng 2011).

With `neighbors`, codes of rows that are nearest neighbours are drawn together and others pushed apart, as in parametric
UMAP (Sainburg et al. 2021): for maps of two or three numbers to look at. A task that wants such a map says so in the
setting `neighbors` of its output.
"""

import numpy as np

from lamina.models.autoencoder.config import Config
from lamina.models.autoencoder.network import Autoencoder
from lamina.models.autoencoder.settings import training
from lamina.schema import Batch, Input, Output, Spec

HEADS = frozenset({"reconstruction"})
KINDS = ("row", "image", "series")

Model = Autoencoder


def suits(spec: Spec) -> float:
    """Rows of a table as vectors, or one column of pictures or series."""
    return 0.8 if [feed.kind for feed in spec.inputs.values()] in [[kind] for kind in KINDS] else 0.0


def example_rows(count: int, seed: int) -> tuple[Spec, Batch]:
    """Rows that two numbers say nearly all of, and a choice of three."""
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(count, 2))
    numbers = np.tanh(codes @ [[1, 0.5, -1, 0.3], [0, 1, 0.7, -0.9]]) + 0.05 * rng.normal(size=(count, 4))
    rows = np.concatenate([numbers, np.eye(3)[np.digitize(codes[:, 0], [-0.5, 0.5])]], axis=1).astype(np.float32)
    feed = Input(kind="row", shape=(7,), dtype="float32", sizes=(1, 1, 1, 1, 3))
    output = Output(head="reconstruction", size=2, loss="reconstruction")
    return Spec(inputs={"row": feed}, output=output, rows=count), Batch({"row": rows}, np.zeros(count, np.float32))


__all__ = ["HEADS", "Config", "Model", "example_rows", "suits", "training"]
