"""Bin edges of a number, for encodings that are piecewise linear."""

import numpy as np

NARROWEST = 1e-5  # of the whole range: narrower bins make steep, useless slopes


def edges(values: np.ndarray, bins: int) -> tuple[float, ...]:
    """Increasing edges: quantiles of the rows together with quantiles of the *distinct* values (all, if few).

    Quantiles of rows alone waste every edge on a column that is nearly always zero. `values`: (rows,) finite; at
    most 2 x `bins` pieces. Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep Learning".
    """
    values = values.astype(np.float32)
    distinct, grid = np.unique(values), np.linspace(0, 1, bins + 1)
    if len(distinct) < 2:
        middle = float(distinct[0]) if len(distinct) else 0.0
        return (middle - 0.5, middle + 0.5)
    of_values = np.quantile(distinct, grid) if len(distinct) > bins else distinct
    chosen = np.unique(np.concatenate([np.quantile(values, grid), of_values]).astype(np.float32))
    kept, gap = [chosen[0]], (chosen[-1] - chosen[0]) * NARROWEST
    for edge in chosen[1:]:
        if edge - kept[-1] > gap:
            kept.append(edge)
    return tuple(float(v) for v in kept)
