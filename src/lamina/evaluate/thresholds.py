"""From which probability on a label is answered, where a row may have several."""

import numpy as np

_ENOUGH = 5  # rows of a label from which on it has a threshold of its own


def thresholds(probabilities: np.ndarray, target: np.ndarray) -> tuple[float, ...]:
    """For each label the probability from which on to answer it, so that its F1 on these rows is largest.

    `probabilities` (n, classes), `target` bool of the same shape. A label with fewer than 5 rows here tells too little
    of itself: it gets the threshold that is best over all labels together. Lipton et al. 2014.
    """
    shared = best_threshold(probabilities.ravel(), target.ravel())
    return tuple(
        best_threshold(chances, hits) if hits.sum() >= _ENOUGH else shared
        for chances, hits in zip(probabilities.T, target.T, strict=True)
    )


def best_threshold(chances: np.ndarray, hits: np.ndarray) -> float:
    """Halfway between the last probability that counts as a yes and the next; one half where there is no yes."""
    order = np.argsort(-chances, kind="stable")
    chances, found = chances[order].astype(np.float64), np.cumsum(hits[order])
    last = np.append(chances[1:] < chances[:-1], True)  # only between different probabilities can a line be drawn
    f1 = np.where(last, 2 * found / (np.arange(1, len(found) + 1) + max(found[-1], 1)), -1.0)
    if not found[-1]:
        return 0.5
    best = int(f1.argmax())
    below = chances[best + 1] if best + 1 < len(chances) else 0.0
    return float((chances[best] + below) / 2)
