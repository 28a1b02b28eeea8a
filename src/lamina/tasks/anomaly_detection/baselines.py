"""What tells anomalies without a network, by the same numbers: neighbours, principal components, random trees."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from lamina.evaluate import baselines as registry
from lamina.experiment import Baseline, Finding
from lamina.tasks.anomaly_detection import detector_fit, metrics, tail_probability
from lamina.tasks.anomaly_detection.evaluation import Details
from lamina.tasks.anomaly_detection.state import Config

BEYOND = 1e100  # a score of rows that are beyond all numbers
MOST, NEIGHBOURS, EXPLAINED = 20_000, 5, 0.9
LEAST_NOISE = 1e-6  # of the variance, beside principal components

Scores = Callable[[np.ndarray], np.ndarray]

registry.register("nearest_neighbours", "5 nearest neighbours", "the distance to 5 neighbours")
registry.register("principal_components", "principal components", "principal component analysis")
registry.register("isolation_forest", "isolation forest", "the isolation forest")
registry.register("moving_z_score", "moving z-score", "the moving z-score")


def nearest_neighbours(train: np.ndarray, seed: int) -> Scores:
    """The mean distance to the five nearest training rows (Ramaswamy et al. 2000; Angiulli and Pizzuti 2002)."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(train))).fit(train)
    return lambda rows: near.kneighbors(rows)[0].mean(axis=1)


def principal_components(train: np.ndarray, seed: int) -> Scores:
    """Minus the likelihood under probabilistic principal components (Tipping and Bishop 1999)."""
    from sklearn.decomposition import PCA

    pca = PCA(EXPLAINED, svd_solver="full").fit(train)
    least = LEAST_NOISE * float(train.var(axis=0).mean() or 1.0)
    pca.noise_variance_ = max(pca.noise_variance_, least)  # none is left where rows lie in a plane: no row is likely
    return lambda rows: -pca.score_samples(rows)


def isolation_forest(train: np.ndarray, seed: int) -> Scores:
    """How few random cuts tell a row from others (Liu et al. 2008)."""
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(random_state=seed).fit(train)
    return lambda rows: -forest.score_samples(rows)


METHODS: dict[str, Callable[[np.ndarray, int], Scores]] = {
    "nearest_neighbours": nearest_neighbours,
    "principal_components": principal_components,
    "isolation_forest": isolation_forest,
}


def moving_z_score(windows: np.ndarray, places: int) -> np.ndarray:
    """How far the last step of windows (windows, steps * places) is from the mean of those before it, in deviations: of
    several numbers the furthest.
    """
    steps = windows.reshape(len(windows), -1, places).astype(np.float64)
    before, last = steps[:, :-1], steps[:, -1]
    spread = np.maximum(before.std(axis=1), 1e-6)
    return (np.abs(last - before.mean(axis=1)) / spread).max(axis=1)


def flags(before: np.ndarray, scores: np.ndarray, cfg: Config) -> np.ndarray:
    """(rows,) bool: what is flagged by the same rule as for the network; `before`: scores of validation rows."""
    before, scores = (np.minimum(values, BEYOND, dtype=np.float64) for values in (before, scores))  # of rows in a plane
    if cfg.contamination is not None:
        return scores >= np.quantile(before, 1 - cfg.contamination)
    surprise = tail_probability.surprise(tail_probability.fit(before, cfg.trim), scores)
    return surprise >= -np.log10(cfg.false_alarm_rate)


def fit(finding: Finding, parts: Sequence[np.ndarray], notes: list[str]) -> dict[str, Baseline]:
    """Scores of the baselines on test rows. `parts`: rows of training, validation and test, as the network is fed."""
    experiment, evaluation = finding.experiment, finding.evaluation
    train, validation, test = (detector_fit.small(values) for values in parts)
    if len(train) > MOST:
        notes.append(f"Baselines were fitted on {MOST:,} of the {len(train):,} training rows, evenly spread.")
        train = train[np.linspace(0, len(train) - 1, MOST).astype(int)]
    methods = {name: method(train, experiment.recipe.seed) for name, method in METHODS.items()}
    rows = {name: (method(validation), method(test)) for name, method in methods.items()}
    state = experiment.task.state
    if state.recording is not None:
        places = state.layout.width
        rows["moving_z_score"] = (moving_z_score(validation, places), moving_z_score(test, places))
    details = cast(Details, evaluation.details)
    results = dict[str, Baseline]()
    for name, (before, scores) in rows.items():
        scores = scores if state.recording is not None else scores[details.has_score]
        flag = flags(before, scores, experiment.task.cfg)
        answers = {"score": scores, "flag": flag, "promise": evaluation.answers["promise"]}
        results[name] = Baseline(metrics.scores(state, evaluation.target, answers), answers)
    return results
