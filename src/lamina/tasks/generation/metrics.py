"""Scores of what is generated, beside real rows: both as features (rows, features)."""

from typing import Any

import numpy as np

from lamina.evaluate.metrics import Answers, metric

NAMES = ("frechet_distance", "fidelity", "diversity")
NEIGHBOURS = 3
BATCH = 256


@metric(False, "features")
def frechet_distance(target: np.ndarray, answers: Answers) -> Any:
    """Distance of what was made to real rows, both as clouds of features (Heusel et al. 2017)."""
    return frechet(target, answers["features"])


@metric(True, "features")
def fidelity(target: np.ndarray, answers: Answers) -> Any:
    """Share of what was made that lies among real rows (Kynkaanniemi et al. 2019, precision)."""
    return _share_among(answers["features"], target)


@metric(True, "features")
def diversity(target: np.ndarray, answers: Answers) -> Any:
    """Share of real rows that lie among what was made (Kynkaanniemi et al. 2019, recall)."""
    return _share_among(target, answers["features"])


def frechet(real: np.ndarray, fake: np.ndarray) -> float:
    """Distance of two clouds (rows, features) as if each were normal: Heusel et al. 2017, without the square root."""
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    gap = real.mean(0) - fake.mean(0)
    first, second = (np.atleast_2d(np.cov(values, rowvar=False)) for values in (real, fake))
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    mixed = np.sqrt(np.clip(np.linalg.eigvalsh(root @ second @ root), 0, None)).sum()
    return float(gap @ gap + np.trace(first) + np.trace(second) - 2 * mixed)


def _share_among(some: np.ndarray, others: np.ndarray) -> float:
    """Share of `some` that are no farther from one of `others` than that one is from its third neighbour."""
    from sklearn.neighbors import NearestNeighbors

    neighbours = NearestNeighbors(n_neighbors=min(NEIGHBOURS + 1, len(others))).fit(others)
    reach = neighbours.kneighbors(others)[0][:, -1]
    inside = np.zeros(len(some), bool)
    for start in range(0, len(some), BATCH):
        part = some[start : start + BATCH]
        gaps = (part**2).sum(1)[:, None] + (others**2).sum(1) - 2 * part @ others.T
        inside[start : start + BATCH] = (gaps <= reach**2 + 1e-9).any(axis=1)
    return float(inside.mean())
