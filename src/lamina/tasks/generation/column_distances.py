"""How far columns of generated rows are from real ones, each by itself and in pairs."""

from collections.abc import Sequence

import numpy as np

from lamina import privacy
from lamina.schema import Row
from lamina.tasks.generation.table_cells import Cells

BARS = 12  # of a histogram


def distances(own: Cells, real: Cells) -> list[float]:
    """The distance of each column, 0 to 1."""
    return [
        (_total_variation if text else _kolmogorov_smirnov)(own.numbers[:, i], real.numbers[:, i])
        for i, text in enumerate(own.texts)
    ]


def histogram(own: np.ndarray, real: np.ndarray, words: Sequence[str] | None, times: bool) -> Row:
    """Names of bars, and the shares of real and of generated cells (rows,) that fall in each; `words` of a text."""
    if words is not None:
        counts = [
            np.bincount(np.nan_to_num(v, nan=len(words)).astype(int), minlength=len(words) + 1) for v in (real, own)
        ]
        order = np.argsort(-counts[0], kind="stable")[:BARS]
        order = order[((counts[0] >= privacy.MIN_ROWS) | (counts[1] > 0))[order]]
        names = [words[k] if k < len(words) else "missing" for k in order.tolist()]
        counts = [c[order] for c in counts]
    else:
        present = np.concatenate([real[~np.isnan(real)], own[~np.isnan(own)]])
        few = min(0.5, max(0.005, privacy.MIN_ROWS / max(len(present), 1)))  # the ends are nobody's
        low, high = np.quantile(privacy.coarse(present), [few, 1 - few]) if len(present) else (0, 1)
        edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
        counts = [np.histogram(np.clip(v[~np.isnan(v)], edges[0], edges[-1]), edges)[0] for v in (real, own)]
        names = [_edge(float(edge), times, float(high - low)) for edge in edges[:-1]]
    shares = [(c / len(v)).round(5).tolist() for c, v in zip(counts, (real, own), strict=True)]
    return {"names": names, "real": shares[0], "generated": shares[1]}


def _edge(value: float, times: bool, span: float) -> str:
    if times:
        return str(np.datetime64(int(value), "s").astype("datetime64[D]"))
    return f"{value:,.0f}" if span > 2 * BARS else f"{value:.3g}"


def _total_variation(own: np.ndarray, real: np.ndarray) -> float:
    """Of two columns of codes; missing is one more."""
    codes = [np.nan_to_num(v, nan=-1).astype(np.int64) + 1 for v in (own, real)]
    size = max(c.max() for c in codes) + 1
    first, second = (np.bincount(c, minlength=size) / len(c) for c in codes)
    return float(np.abs(first - second).sum() / 2)


def _kolmogorov_smirnov(own: np.ndarray, real: np.ndarray) -> float:
    """Distance of two columns of numbers, and of the shares that are missing."""
    first, second = (np.sort(v[~np.isnan(v)]) for v in (own, real))
    if not len(first) or not len(second):
        return float(len(first) != len(second))
    at = np.concatenate([first, second])
    ranks = [np.searchsorted(v, at, side="right") / len(v) for v in (first, second)]
    return float(max(np.abs(ranks[0] - ranks[1]).max(), abs(np.isnan(own).mean() - np.isnan(real).mean())))


def pair_associations(cells: Cells) -> np.ndarray:
    """How each pair of columns hangs together, above the diagonal: Pearson's correlation of numbers, Cramer's V of
    texts, the root of the explained share of a number by a text.
    """
    numbers, texts = cells.numbers, cells.texts
    present = ~np.isnan(numbers)
    middle = np.where(present, numbers, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
    filled = np.where(present, numbers, middle)
    values = list[float]()
    for i in range(len(texts)):
        for j in range(i):
            a, b = (j, i) if texts[j] else (i, j)
            if texts[a] and texts[b]:
                values.append(_cramer(numbers[:, a], numbers[:, b]))
            elif texts[a]:
                values.append(_correlation_ratio(numbers[:, a], filled[:, b]))
            else:
                values.append(_pearson(filled[:, a], filled[:, b]))
    return np.array(values)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else 0.0


def _cramer(a: np.ndarray, b: np.ndarray) -> float:
    first, second = (np.unique(np.nan_to_num(v, nan=-1), return_inverse=True)[1] for v in (a, b))
    rows, columns = first.max() + 1, second.max() + 1
    table = np.bincount(first * columns + second, minlength=rows * columns).reshape(rows, columns)
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    least = min(rows, columns) - 1
    return float(np.sqrt(((table - expected) ** 2 / expected).sum() / table.sum() / least)) if least else 0.0


def _correlation_ratio(codes: np.ndarray, numbers: np.ndarray) -> float:
    group = np.unique(np.nan_to_num(codes, nan=-1), return_inverse=True)[1]
    counts, spread = np.bincount(group), numbers.var()
    means = np.bincount(group, numbers) / counts
    return float(np.sqrt((counts * (means - numbers.mean()) ** 2).sum() / len(numbers) / spread)) if spread else 0.0
