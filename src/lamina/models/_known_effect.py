"""What is known ahead, in closed form, for networks to begin from: its effects, beside errors that go on in time.

A value is what known columns add to it and a rest that its past foretells. Each is found from what the other leaves, a
few times in turn (Cochrane and Orcutt 1949): the rest by ridge regression on its past, the effects by ridge regression
of what came unforeseen on what changed unforeseen. Validation windows choose penalties, and how long an effect lasts.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from lamina.layers.horizon import KnownEffect, ReversibleNorm
from lamina.models import _ridge_init
from lamina.models._ridge_init import PACE, Relation, Sums
from lamina.schema import Batch, Windows

ROUNDS = 4
MOST_NUMBERS = 1 << 31  # multiplied in one round
MOST_COLUMNS = 512  # of known values and those before them, beyond which only those of a step itself count
LONGER = 0.98  # times the validation error, below which an effect lasts longer than its own step


class Surprise(NamedTuple):
    """What the past does not foretell, one step ahead: of targets (rows, targets), of known values and those before
    them (rows, columns, LAGS); the spread of each window (rows, targets).
    """

    targets: np.ndarray
    inputs: np.ndarray
    spread: np.ndarray


def initialize(level: ReversibleNorm, train: Batch, validation: Batch) -> None:
    """Put the effects of what is known beforehand into a network that has them."""
    effect = level.effect
    if effect is None:
        return
    parts = [_one_step(part) for part in (train, validation)]
    for _ in range(ROUNDS):
        relation = Relation(level.level, level.spread, effect)
        weight = _ridge_init.ridge(parts[0], parts[1], list(range(level.targets)), relation)
        kernel = _filter(weight, relation, parts[0].inputs["history"].shape[1])
        sums = [_sums(part, kernel, effect) for part in parts]
        for target, (train_sums, validation_sums) in enumerate(zip(*sums, strict=True)):
            values = _solve(train_sums, validation_sums, effect)
            with torch.no_grad():
                effect.weight[:, target] = torch.from_numpy(values).to(effect.weight)
    effect.weight.lr_scale = PACE  # pyrefly: ignore[missing-attribute] - read by train.optim


def _one_step(data: Batch) -> Batch:
    """The same windows with one step ahead."""
    inputs = {"history": data.inputs["history"], "future": _first(data.inputs["future"])}
    return Batch(inputs, _first(data.target))


def _first(steps: Windows | np.ndarray) -> Windows | np.ndarray:
    return Windows(steps.values, steps.starts, 1) if isinstance(steps, Windows) else steps[:, :1]


def _filter(weight: np.ndarray | None, relation: Relation, steps: int) -> np.ndarray:
    """What a step is beyond the forecast of it, as weights (steps + 1,) of the history and the step."""
    past = np.zeros(steps) if weight is None else weight[:, 0].astype(np.float64)
    rest = 1 - past.sum()
    if relation.level == "last":
        past = past + rest * (np.arange(steps) == steps - 1)
    elif relation.level == "mean":
        past = past + rest / steps
    return np.append(-past, 1.0)


def _surprises(data: Batch, kernel: np.ndarray, effect: KnownEffect) -> Iterator[Surprise]:
    """Some windows at a time, spread evenly over a part."""
    history, count = data.inputs["history"], len(data.target)
    targets, columns, lags = effect.weight.shape[1:]
    cost = len(kernel) * columns * lags + targets * (2 * columns * lags) ** 2
    most = max(1, min(count, MOST_NUMBERS // cost))
    places = np.linspace(0, count - 1, most).astype(int)
    shifts = np.zeros((len(kernel) + lags - 1, lags))
    for lag in range(lags):
        shifts[lags - 1 - lag : len(shifts) - lag, lags - 1 - lag] = kernel  # in the order of the layer: the step last
    size = max(1, _ridge_init.CHUNK // (len(shifts) * history.shape[2]))
    for at in range(0, most, size):
        past, future, target = (x[places[at : at + size]] for x in (history, data.inputs["future"], data.target))
        own = past[:, :, :targets].astype(np.float64)
        values = np.concatenate([past[:, :, past.shape[2] - columns :], future], axis=1).transpose(0, 2, 1)
        values = np.concatenate([np.repeat(values[:, :, :1], lags - 1, axis=2), values], axis=2)
        error = np.concatenate([own, target], axis=1).transpose(0, 2, 1) @ kernel
        yield Surprise(error, values @ shifts, own.std(axis=1))


def _sums(data: Batch, kernel: np.ndarray, effect: KnownEffect) -> list[Sums]:
    """Of each target: products of known values, as they are and times the spread, and of them with the target."""
    _, targets, columns, lags = effect.weight.shape
    width = 2 * columns * lags
    sums = [Sums(np.zeros((width, width)), np.zeros((width, 1)), 0.0) for _ in range(targets)]
    for surprise in _surprises(data, kernel, effect):
        inputs = surprise.inputs.reshape(len(surprise.inputs), -1)
        for target in range(targets):
            y = surprise.targets[:, target]
            there = ~np.isnan(y)
            x = np.concatenate([inputs, inputs * surprise.spread[:, target : target + 1]], axis=1)[there]
            past, both, future = sums[target]
            sums[target] = Sums(past + x.T @ x, both + x.T @ y[there, None], future + float(np.square(y[there]).sum()))
    return sums


def _solve(train: Sums, validation: Sums, effect: KnownEffect) -> np.ndarray:
    """The weights (2, columns, LAGS) of one target: those of each step itself, unless more of them foretell clearly
    better.
    """
    _, _, columns, lags = effect.weight.shape
    places = np.arange(2 * columns * lags).reshape(2, columns, lags)
    values, best = np.zeros(places.size), np.inf
    for reach, factor in ((1, 1.0), (lags, LONGER)):
        if reach > 1 and 2 * columns * reach > MOST_COLUMNS:
            continue
        some = places[:, :, lags - reach :].ravel()
        parts = (Sums(s.past[np.ix_(some, some)], s.both[some], s.future) for s in (train, validation))
        weight, error = _ridge_init.solve(*parts)
        if error < factor * best:
            best, values = error, np.zeros(places.size)
            values[some] = weight[:, 0]
    return values.reshape(places.shape)
