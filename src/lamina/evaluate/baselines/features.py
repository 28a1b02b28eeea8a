"""A network's own inputs as rows of numbers for classical methods, and which rows are near one another."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lamina.schema import Spec

Features = Mapping[str, np.ndarray]

MAX_IMAGES, SIDE = 10_000, 12  # to fit on, and the pixels a side that they are shrunk to
MAX_SERIES = 10_000  # to fit on
PIECES = 256  # means of a channel that a series is shrunk to
TOPICS = 16  # numbers that the words of a text are shrunk to, for trees


def count(features: Features) -> int:
    return len(next(iter(features.values())))


def names_of_kind(features: Features, spec: Spec, kind: str) -> list[str]:
    return [name for name in features if spec.inputs[name].kind == kind]


def dense(features: Features, names: list[str]) -> np.ndarray:
    return np.concatenate([features[name].astype(np.float32) for name in names], axis=1)


def columns(train: Features, spec: Spec) -> Callable[[Features], Any]:
    """A function from features to one sparse matrix (n, columns); word weights are learned from `train`."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfTransformer

    words: dict[str, Any] = {
        name: TfidfTransformer(sublinear_tf=True).fit(counts(train[name], spec.inputs[name].sizes[0]))
        for name in names_of_kind(train, spec, "tokens")
    }
    numbers, categories = names_of_kind(train, spec, "number"), names_of_kind(train, spec, "category")
    images, series = names_of_kind(train, spec, "image"), names_of_kind(train, spec, "series")
    if not numbers + categories + images + series + list(words):
        raise ValueError("there are no numbers, categories, words, images or series to learn from")

    def matrix(features: Features) -> Any:
        blocks = [csr_matrix(features[name], dtype=np.float64) for name in numbers]
        blocks += [_one_hot(features[name], spec.inputs[name].sizes) for name in categories]
        blocks += [weigh.transform(counts(features[name], weigh.n_features_in_)) for name, weigh in words.items()]
        blocks += [csr_matrix(_shrink(features[name]), dtype=np.float64) for name in images]
        blocks += [csr_matrix(pieces(features[name]), dtype=np.float64) for name in series]
        return hstack(blocks).tocsr()

    return matrix


def topics(codes: np.ndarray, size: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from word ids (n, words) to the main directions (n, at most 16) of their TF-IDF, both learned from
    `codes`. Deerwester et al. 1990, "Indexing by Latent Semantic Analysis".
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfTransformer

    rows = counts(codes, size)
    common = np.flatnonzero(rows.getnnz(axis=0) > 1)  # a word of one row says nothing of another
    if len(common) < 2:
        return lambda codes: np.zeros((len(codes), 0), np.float32)
    weigh = TfidfTransformer(sublinear_tf=True).fit(rows[:, common])
    shrink = TruncatedSVD(min(TOPICS, len(common) - 1), random_state=0).fit(weigh.transform(rows[:, common]))
    return lambda codes: shrink.transform(weigh.transform(counts(codes, size)[:, common])).astype(np.float32)


def _shrink(images: np.ndarray) -> np.ndarray:
    """Images (rows, height, width, channels) uint8 as the grey means of at most 12 x 12 parts, -1 to 1."""
    rows, height, width = images.shape[:3]
    tops, lefts = (np.unique(np.linspace(0, n, min(n, SIDE), endpoint=False).astype(int)) for n in (height, width))
    areas = np.outer(np.diff([*tops, height]), np.diff([*lefts, width]))
    parts = []
    for start in range(0, rows, 512):
        grey = images[start : start + 512].mean(axis=3, dtype=np.float32)
        parts.append(np.add.reduceat(np.add.reduceat(grey, tops, axis=1), lefts, axis=2) / areas)
    return np.concatenate(parts).reshape(rows, -1) / 127.5 - 1


def _one_hot(codes: np.ndarray, sizes: Sequence[int]) -> Any:
    from scipy.sparse import csr_matrix

    n, width = codes.shape
    starts = np.concatenate([[0], np.cumsum(sizes)])
    columns = (codes + starts[:-1]).ravel()
    return csr_matrix((np.ones(n * width), columns, np.arange(0, n * width + 1, width)), shape=(n, int(starts[-1])))


def counts(codes: np.ndarray, size: int) -> Any:
    """How often each word id occurs in each row, padding left out: (n, size) sparse."""
    from scipy.sparse import csr_matrix

    words = codes > 0
    starts = np.concatenate([[0], np.cumsum(words.sum(axis=1))])
    counts = csr_matrix((np.ones(int(starts[-1])), codes[words], starts), shape=(len(codes), size))
    counts.sum_duplicates()
    return counts


def pieces(series: np.ndarray) -> np.ndarray:
    """Series (rows, steps, channels) as the means of at most 256 pieces of each channel; zero behind their ends."""
    rows, steps = series.shape[:2]
    starts = np.unique(np.linspace(0, steps, min(steps, PIECES), endpoint=False).astype(int))
    sums = np.add.reduceat(np.nan_to_num(series), starts, axis=1)
    return (sums / np.diff([*starts, steps])[:, None]).reshape(rows, -1)


def side_by_side(series: Sequence[np.ndarray]) -> np.ndarray:
    """All steps of all series side by side, zero behind their ends."""
    return np.concatenate([np.nan_to_num(one).reshape(len(one), -1) for one in series], axis=1)


def nearest(rows: np.ndarray, points: np.ndarray, itself: bool = True) -> np.ndarray:
    """Which of `points` each row is nearest to; not the one at its own place where `itself` is false."""
    squares, places = np.square(points, dtype=np.float64).sum(axis=1), []
    for start in range(0, len(rows), 1024):
        part = rows[start : start + 1024]
        distances = squares - 2 * (part @ points.T).astype(np.float64)
        if not itself:
            distances[np.arange(len(part)), start + np.arange(len(part))] = np.inf
        places.append(distances.argmin(axis=1))
    return np.concatenate(places) if places else np.zeros(0, np.int64)
