"""How often training had what, in a few pieces of a column: what incoming rows are compared with."""

from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from lamina.config import Config

DIGITS = 4  # of shares
PIECES = 10  # of numbers


class Histogram(Config):
    """Shares of the training rows in each piece of a column; of numbers with the inner `edges` of the pieces."""

    rows: int = Field(ge=1)
    shares: tuple[float, ...] = Field(min_length=1)
    edges: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not all(0 <= share <= 1 for share in self.shares):
            raise ValueError("shares must be between 0 and 1")
        if not all(low < high for low, high in pairwise(self.edges)):
            raise ValueError("edges must increase")
        return self


class Reference(NamedTuple):
    """What is known of a column: training rows, the share of them in each piece, and what the pieces are called. The
    first `apart`, such as what is missing, are never counted together with others, however few they are.
    """

    rows: int
    shares: tuple[float, ...]
    names: tuple[str, ...]
    apart: int


def histogram(pieces: np.ndarray, count: int, edges: tuple[float, ...] = ()) -> Histogram | None:
    """Of the pieces (rows,) that training rows are in, out of so many; None of no rows."""
    if not len(pieces):
        return None
    shares = np.bincount(pieces, minlength=count) / len(pieces)
    return Histogram(rows=len(pieces), shares=tuple(np.round(shares, DIGITS).tolist()), edges=edges)


def inner_edges(values: np.ndarray) -> tuple[float, ...]:
    """Between which values (rows,) about a tenth of them each is; none where all are alike."""
    distinct = np.unique(values.astype(np.float32))
    quantiles = np.quantile(values, np.arange(1, PIECES) / PIECES, method="lower").astype(np.float32)
    places = np.unique(np.searchsorted(distinct, quantiles))
    places = places[places < len(distinct) - 1]
    middles = (distinct[places].astype(float) + distinct[places + 1].astype(float)) / 2
    return tuple(np.unique(middles).tolist())


def stratified(weights: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """So many places, each about as often as its weight says, in random order: one from each of `count` equal parts of
    all the weight, so that few are as good as many at random. McKay, Beckman and Conover 1979 (Latin hypercube).
    """
    weights = weights if weights.sum() > 0 else np.ones(len(weights))
    shares = np.cumsum(weights) / weights.sum()
    return rng.permutation(np.searchsorted(shares[:-1], (np.arange(count) + 0.5) / count, side="right"))
