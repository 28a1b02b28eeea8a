"""Principal components beside the network: as many numbers for each row, by scikit-learn, on the same inputs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lamina.evaluate import baselines, metrics
from lamina.experiment import Baseline
from lamina.tasks.dimensionality_reduction import coordinates, evaluation

MOST, NUMBERS = 20_000, 1 << 26  # training rows, and numbers of theirs, that components are found of
CURVE = 50  # components of the curve beside the network
FULL = 1_500  # numbers of a row, up to which all components are found exactly

baselines.register("pca", "PCA", "PCA with as many numbers")


class Components(NamedTuple):
    """PCA with as many numbers as the network has, and the variance that 1, 2 ... components keep of test rows."""

    baseline: Baseline
    curve: np.ndarray


def fit(train: Mapping[str, Any], target: np.ndarray, answers: metrics.Answers, dimensions: int) -> Components:
    """Fitted on training inputs, evaluated on the rows (rows, numbers) by which the network is evaluated."""
    from sklearn.decomposition import PCA

    (values,) = train.values()
    width = target.shape[1]
    rows = np.sort(np.random.default_rng(0).permutation(len(values))[: min(MOST, max(1, NUMBERS // width))])
    some = coordinates.flat({"": np.asarray(values)[rows]})
    mean = np.where(np.isnan(some), 0, some).sum(0) / np.maximum((~np.isnan(some)).sum(0), 1)
    count = min(max(dimensions, CURVE), width, len(some))
    solver = "covariance_eigh" if width <= FULL else "full" if len(some) <= FULL else "randomized"
    with np.errstate(all="ignore"):  # of rows that are all alike
        model = PCA(count, svd_solver=solver, random_state=0)  # pyrefly: ignore[bad-argument-type] - newer than its stubs
        model.fit(np.where(np.isnan(some), 0, some - mean))
    centred = np.where(np.isnan(target), 0, target - mean)
    latent = model.transform(centred)  # (rows, components)
    used, axes = min(dimensions, count), np.asarray(model.components_)
    padded = np.zeros((len(target), dimensions), latent.dtype)
    padded[:, :used] = latent[:, :used]
    back = model.mean_ + latent[:, :used] @ axes[:used]
    own = dict(answers) | {"latent": padded, "error": _error(target - mean, back)}
    own.pop("elbo", None)
    return Components(Baseline(evaluation.scores(target, own), own), _curve(model, target - mean, latent, answers))


def _error(target: np.ndarray, back: np.ndarray) -> np.ndarray:
    """(rows,) mean squared error over what is there."""
    present = ~np.isnan(target)
    return np.where(present, (target - back) ** 2, 0).sum(1) / np.maximum(present.sum(1), 1)


def _curve(model: Any, target: np.ndarray, latent: np.ndarray, answers: metrics.Answers) -> np.ndarray:
    """(components,) explained variance of test rows by the first components; of rows that are whole."""
    rest = np.nan_to_num(target) - model.mean_
    squares = (rest**2).sum(1).mean() - np.cumsum((latent**2).mean(0))
    total = answers["spread"].mean() * target.shape[1]
    return 1 - np.maximum(squares, 0) / total if total > 0 else np.zeros(len(squares))
