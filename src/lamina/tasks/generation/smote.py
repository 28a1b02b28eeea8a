"""New rows between neighbours of a class: the simple way to make rows, beside which a network has to stand.

SMOTE and, for columns of text, SMOTE-NC: Chawla et al. 2002. A new row lies at random between a row and one of its five
nearest of the same class; its texts are those most of the five have.
"""

import numpy as np

NEIGHBOURS = 5
MOST = 10_000  # rows of a class among which neighbours are searched


def smote(cells: np.ndarray, texts: np.ndarray, classes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` rows like those of `cells` (rows, columns), where NaN is missing, and their classes.

    `texts`: a mask of the columns that hold codes of texts. Classes come as often as there are.
    """
    rng = np.random.default_rng(0)
    codes = rng.choice(classes, count)
    rows = np.empty((count, cells.shape[1]))
    scaled = _scale(cells, texts)
    for code in np.unique(codes):
        own, target = np.flatnonzero(classes == code), np.flatnonzero(codes == code)
        own = rng.permutation(own)[:MOST]
        rows[target] = _between(cells[own], texts, scaled[own], len(target), rng)
    return rows, codes


def _scale(cells: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Columns to measure distances by: numbers by their spread, each text that differs as far as a median spread."""
    numbers = cells[:, ~texts]
    numbers = np.where(np.isnan(numbers), np.nanmedian(numbers, axis=0, keepdims=True), numbers) if len(numbers) else 0
    spread = np.std(numbers, axis=0)
    blocks = [numbers / np.where(spread > 0, spread, 1)]
    for column in cells[:, texts].T:
        codes = np.nan_to_num(column, nan=-1).astype(np.int64) + 1
        blocks.append(np.eye(codes.max() + 1)[codes] / np.sqrt(2))
    return np.concatenate(blocks, axis=1).astype(np.float32)


def _between(
    cells: np.ndarray, texts: np.ndarray, scaled: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """`count` rows of one class: each on the way from a row to a neighbour."""
    from sklearn.neighbors import NearestNeighbors

    start = rng.integers(0, len(cells), count)
    few = min(NEIGHBOURS, len(cells) - 1)
    if not few:
        return cells[start]
    unique, back = np.unique(start, return_inverse=True)
    search = NearestNeighbors(n_neighbors=few + 1, algorithm="brute").fit(scaled)
    neighbours = np.asarray(search.kneighbors(scaled[unique], return_distance=False))
    around = neighbours[:, 1:][back]  # (count, few); the first is the row itself
    other = cells[around[np.arange(count), rng.integers(0, few, count)]]
    rows = cells[start] + rng.random((count, 1)) * (other - cells[start])
    for column in np.flatnonzero(texts):
        rows[:, column] = _mode(cells[around, column])
    return rows


def _mode(values: np.ndarray) -> np.ndarray:
    """The value that most of each row (rows, few) are."""
    codes = np.nan_to_num(values, nan=-1)
    votes = (codes[:, :, None] == codes[:, None, :]).sum(2)
    return values[np.arange(len(values)), votes.argmax(1)]
