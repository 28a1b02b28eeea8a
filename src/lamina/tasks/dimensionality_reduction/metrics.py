"""Scores of coordinates on rows that have never been learned from.

The target are the rows themselves, (rows, numbers), as a network is fed. Answers by row: `latent` (rows, dimensions),
`error` (mean squared error of the reconstruction), `spread` (mean squared distance to the mean row), `label` (codes, -1
where a row has none) where a column is named by which coordinates are evaluated, `elbo` (nats) of a variational
network.
"""

from typing import Any

import numpy as np

from lamina.evaluate.metrics import Answers, metric

NAMES = (
    "reconstruction_error",
    "explained_variance",
    "trustworthiness",
    "continuity",
    "nearest_neighbour_accuracy",
    "elbo",
)
NEIGHBOURS = 12
MOST = 2_000  # rows whose neighbours are compared, which takes their square in memory


def _means(target: np.ndarray, answers: Answers, rng: np.random.Generator, draws: int) -> np.ndarray:
    """Means of redrawn rows, drawn one after the other, so that memory is that of one."""
    error = answers["error"]
    return np.array([error[rng.integers(len(error), size=len(error))].mean() for _ in range(draws)])


@metric(False, "error", label="reconstruction MSE", resample=_means)
def reconstruction_error(target: np.ndarray, answers: Answers) -> Any:
    """Mean squared error of the rows that coordinates become again."""
    return answers["error"].mean(dtype=np.float64)


@metric(True, "error", "spread")
def explained_variance(target: np.ndarray, answers: Answers) -> Any:
    """Share of the variance of rows that their coordinates keep: 1 - MSE / variance; None where rows are all alike."""
    spread = answers["spread"].mean(dtype=np.float64)
    return 1 - answers["error"].mean(dtype=np.float64) / spread if spread > 0 else None


@metric(True, "latent")
def trustworthiness(target: np.ndarray, answers: Answers) -> Any:
    """Whether the 12 nearest by coordinates are near as rows, too: 1 at best (Venna and Kaski 2001)."""
    some = subset(len(target))
    return _neighbour_overlap(target[some], answers["latent"][some])


@metric(True, "latent")
def continuity(target: np.ndarray, answers: Answers) -> Any:
    """Whether the 12 nearest rows are near by coordinates, too: 1 at best (Venna and Kaski 2001)."""
    some = subset(len(target))
    return _neighbour_overlap(answers["latent"][some], target[some])


@metric(True, "latent", "label", label="1-NN accuracy")
def nearest_neighbour_accuracy(target: np.ndarray, answers: Answers) -> Any:
    """Share of rows whose nearest other row by coordinates has the same label."""
    return same_label(answers["latent"], answers["label"])


@metric(True, "elbo", label="ELBO (nats)")
def elbo(target: np.ndarray, answers: Answers) -> Any:
    """Lower bound of the log-likelihood of a row by a variational network (Kingma and Welling 2014)."""
    return answers["elbo"].mean(dtype=np.float64)


def same_label(vectors: np.ndarray, labels: np.ndarray) -> float | None:
    """Share of rows whose nearest other row has the same label; None where there are not two labels."""
    from sklearn.neighbors import NearestNeighbors

    labelled = labels >= 0
    vectors, labels = vectors[labelled], labels[labelled]
    if len(np.unique(labels)) < 2:
        return None
    nearest = np.asarray(NearestNeighbors(n_neighbors=1).fit(vectors).kneighbors(return_distance=False))[:, 0]
    return float((labels[nearest] == labels).mean())


def subset(rows: int) -> np.ndarray:
    """Places of at most 2,000 rows, evenly spread."""
    return np.linspace(0, rows - 1, min(rows, MOST)).astype(np.int64)


def _neighbour_overlap(vectors: np.ndarray, others: np.ndarray) -> float | None:
    """1, less what rows near by `others` are wrongly near, by their rank by `vectors`."""
    from sklearn.manifold import trustworthiness as share

    count = min(NEIGHBOURS, (len(vectors) - 1) // 2)
    if count < 1:
        return None
    return float(share(np.nan_to_num(vectors), np.nan_to_num(others), n_neighbors=count))
