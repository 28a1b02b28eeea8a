"""A linear forecast in closed form, for networks to begin from: ridge regression of the future on the past.

How strongly weights are held back is decided by validation windows. Weights that see all of the history or its nearer
parts, that are held back to the last value or to the mean, with windows all alike or by their spread, are averaged, as
far as they do about as well: each errs in another way.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from lamina.layers.horizon import SMALLEST, KnownEffect, Level, LinearForecast, ReversibleNorm, spread_of
from lamina.schema import Batch

PENALTIES = tuple(10.0**power for power in range(-4, 5))  # in units of the mean square of the past
PACE = 0.05  # of the learning rate, for weights that are nearly right from the start
MOST_STEPS = 2048  # of history; beyond, solving takes longer than training
MOST_ROWS = 60_000  # windows, counted once per target
CHUNK = 1 << 23  # numbers gathered at once
REACHES = (1, 2, 4, 8, 16)  # parts of the history, of which the nearest is looked at
WORSE = 1.2  # times the best validation error, up to which weights take part in the average
WILDEST = 20.0  # spreads of the past that the future may leave it by, to be learned from
MEASURED = 0.5  # of the steps ahead, at least


class Relation(NamedTuple):
    """What a window is relative to: its level and spread, without the effect of what is known beforehand."""

    level: Level
    spread: bool
    effect: KnownEffect | None = None


class Rows(NamedTuple):
    """Past (n, steps) and future (n, horizon), relative to level and spread (n, 1) of their window."""

    past: np.ndarray
    future: np.ndarray
    spread: np.ndarray


class Sums(NamedTuple):
    """Squares of the past (steps, steps), its products with the future (steps, horizon), squares of the future."""

    past: np.ndarray
    both: np.ndarray
    future: float


def initialize(level: ReversibleNorm, parts: list[LinearForecast], train: Batch, validation: Batch) -> None:
    """Put the weights of a linear forecast into each of `parts`, whose inputs add up to the normalised past; quantiles
    begin as far from it as it was wrong on the validation windows.
    """
    horizon, targets, _ = parts[0].shape
    levels = parts[0].quantiles
    relation = Relation(level.level, level.spread, level.effect)
    sets = [[i] for i in range(targets)] if len(parts[0].weight) > 1 else [list(range(targets))]
    for place, own in enumerate(sets):
        weight = ridge(train, validation, own, relation)
        if weight is None:
            continue
        bias = error_quantiles(weight, validation, own, relation, levels) if levels else np.zeros((horizon, 1))
        weights = np.repeat(weight[:, :, None], max(1, len(levels)), axis=2).reshape(len(weight), -1)
        with torch.no_grad():
            for part in parts:
                part.weight[place] = torch.from_numpy(weights).to(part.weight)
                part.weight.lr_scale = PACE  # pyrefly: ignore[missing-attribute] - read by train.optim
            parts[0].bias[place, 0] = torch.from_numpy(bias.ravel()).to(parts[0].bias)


def ridge(train: Batch, validation: Batch, targets: list[int], relation: Relation) -> np.ndarray | None:
    """Weights (steps, horizon) from the past to the future of some targets, both relative to their window; nothing
    where the history is too long, or hardly anything was measured.
    """
    steps, horizon = train.inputs["history"].shape[1], train.target.shape[1]
    if steps > MOST_STEPS:
        return None
    held_out = _sums(validation, targets, relation, own=True)
    solutions = []
    for own in (False, True) if relation.spread else (False,):
        sums = _sums(train, targets, relation, own)
        if sums is None or held_out is None:
            return None
        for reach in sorted({max(1, steps // part) for part in REACHES}):
            for prior in _priors(relation.level, reach, horizon):
                weight, error = solve(*(_beyond(_nearest(one, reach), prior) for one in (sums, held_out)))
                solutions.append((error, np.concatenate([np.zeros((steps - reach, horizon)), weight + prior])))
    best = min(error for error, _ in solutions)
    return np.mean([weight for error, weight in solutions if error <= WORSE * best], axis=0)


def _priors(level: Level, reach: int, steps: int) -> list[np.ndarray]:
    """What weights are held back to: the level itself, and where that is the last value, the mean of the history."""
    last = np.zeros((reach, steps))
    return [last, last + 1 / reach] if level == "last" else [last]


def _beyond(sums: Sums, prior: np.ndarray) -> Sums:
    """Of the future less a weighted sum of the past."""
    product = sums.past @ prior
    future = sums.future - 2 * float((prior * sums.both).sum()) + float((prior * product).sum())
    return Sums(sums.past, sums.both - product, max(future, 0.0))


def _nearest(sums: Sums, reach: int) -> Sums:
    """Of the nearest steps alone."""
    return Sums(sums.past[-reach:, -reach:], sums.both[-reach:], sums.future)


def solve(train: Sums, validation: Sums) -> tuple[np.ndarray, float]:
    """The weights whose penalty gives the least validation error, and that error."""
    values, vectors = np.linalg.eigh(train.past)
    unit = max(float(values.mean()), 1e-12)
    rotation = vectors.T @ train.both
    best: tuple[np.ndarray, float] = (np.zeros_like(rotation), validation.future)
    for penalty in PENALTIES:
        weight = vectors @ (rotation / (np.maximum(values, 0) + penalty * unit)[:, None])
        gain = 2 * (weight * validation.both).sum() - (weight * (validation.past @ weight)).sum()
        error = max(validation.future - float(gain), 0.0)
        if error < best[1]:
            best = weight, error
    return best


def _sums(data: Batch, targets: list[int], relation: Relation, own: bool) -> Sums | None:
    """Of windows spread evenly over a part; `own`: in the unit of the series, and not relative to a window's spread."""
    steps, horizon = data.inputs["history"].shape[1], data.target.shape[1]
    past, both, future = np.zeros((steps, steps)), np.zeros((steps, horizon)), 0.0
    for rows in chunks(data, targets, relation):
        x, y = (rows.past * rows.spread, rows.future * rows.spread) if own else (rows.past, rows.future)
        past += x.T @ x
        both += x.T @ y
        future += float(np.square(y, dtype=np.float64).sum())
    return Sums(past, both, future) if future > 0 and past.any() else None


def chunks(data: Batch, targets: list[int], relation: Relation) -> Iterator[Rows]:
    """Windows spread evenly over a part, some at a time, each target of a window a row of its own."""
    history, count = data.inputs["history"], len(data.target)
    most = max(1, min(count, MOST_ROWS // len(targets)))
    places = np.linspace(0, count - 1, most).astype(int)
    size = max(1, CHUNK // (history.shape[1] * history.shape[2] + data.target.shape[1] * data.target.shape[2]))
    for at in range(0, most, size):
        some = places[at : at + size]
        past, future = history[some], data.target[some]
        if relation.effect is not None:
            past, future = _without_effect(past, future, data.inputs["future"][some], relation.effect)
        yield _relative(past[:, :, targets], future[:, :, targets], relation)


def _without_effect(
    history: np.ndarray, target: np.ndarray, known: np.ndarray, effect: KnownEffect
) -> tuple[np.ndarray, np.ndarray]:
    """History and target (windows, steps, targets) without what known columns add to them."""
    steps, targets = history.shape[1], target.shape[2]
    past, future = (torch.from_numpy(np.ascontiguousarray(x)) for x in (history, known))
    with torch.no_grad():
        added = effect(past, future, spread_of(past[:, :, :targets])).numpy()
    return history[:, :, :targets] - added[:, :steps], target - added[:, steps:]


def _relative(history: np.ndarray, target: np.ndarray, relation: Relation) -> Rows:
    """(windows, steps, targets) as rows of one target each; few gaps in the future are bridged by the value before."""
    past, future = (part.transpose(0, 2, 1).reshape(-1, part.shape[1]) for part in (history, target))
    there = ~np.isnan(future)
    last = np.maximum.accumulate(np.where(there, np.arange(1, there.shape[1] + 1), 0), axis=1)
    bridge = np.take_along_axis(np.concatenate([past[:, -1:], future], axis=1), last, axis=1)
    level, spread, _ = relation
    future = np.where(there, future, 0.0) if level == "none" else bridge
    mean = past.mean(axis=1, keepdims=True)
    centre = past[:, -1:] if level == "last" else mean if level == "mean" else np.zeros_like(mean)
    scale = np.ones_like(mean)
    if spread:
        scale = np.sqrt(np.square(past - mean).mean(axis=1, keepdims=True) + SMALLEST**2)
    past, future = (past - centre) / scale, (future - centre) / scale
    usable = (there.mean(axis=1) >= MEASURED) & (np.abs(future).max(axis=1) <= (WILDEST if spread else np.inf))
    return Rows(past[usable], future[usable], scale[usable])


def error_quantiles(
    weight: np.ndarray, data: Batch, targets: list[int], relation: Relation, levels: tuple[float, ...]
) -> np.ndarray:
    """What a linear forecast was wrong by, at each step ahead: (horizon, quantiles) relative to the window's spread."""
    errors = [rows.future - rows.past @ weight for rows in chunks(data, targets, relation)]
    return np.quantile(np.concatenate(errors), levels, axis=0).T
