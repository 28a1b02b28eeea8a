"""A linear forecast in closed form, for networks to begin from: ridge regression of the future on the past.

How strongly weights are held back is decided by validation windows. Weights that see all of the history, its nearer
half and its nearest quarter are averaged, as far as they do about as well: each errs in another way.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from lamina.layers.horizon import SMALLEST, Level, LinearForecast, ReversibleNorm
from lamina.schema import Batch

PENALTIES = tuple(10.0**power for power in range(-4, 5))  # in units of the mean square of the past
PACE = 0.05  # of the learning rate, for weights that are nearly right from the start
MOST_STEPS = 2048  # of history; beyond, solving takes longer than training
MOST_ROWS = 60_000  # windows, counted once per target
CHUNK = 1 << 23  # numbers gathered at once
WORSE = 1.2  # times the best validation error, up to which a reach takes part in the average
WILDEST = 20.0  # spreads of the past that the future may leave it by, to be learned from
MEASURED = 0.5  # of the steps ahead, at least


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
    norm: tuple[Level, bool] = level.level, level.spread
    sets = [[i] for i in range(targets)] if len(parts[0].weight) > 1 else [list(range(targets))]
    for place, own in enumerate(sets):
        weight = ridge(train, validation, own, *norm)
        if weight is None:
            continue
        bias = error_quantiles(weight, validation, own, norm, levels) if levels else np.zeros((horizon, 1))
        weights = np.repeat(weight[:, :, None], max(1, len(levels)), axis=2).reshape(len(weight), -1)
        with torch.no_grad():
            for part in parts:
                part.weight[place] = torch.from_numpy(weights).to(part.weight)
                part.weight.lr_scale = PACE  # pyright: ignore[reportAttributeAccessIssue] - read by train.optim
            parts[0].bias[place, 0] = torch.from_numpy(bias.ravel()).to(parts[0].bias)


def ridge(train: Batch, validation: Batch, targets: list[int], level: Level, spread: bool) -> np.ndarray | None:
    """Weights (steps, horizon) from the past to the future of some targets, both relative to level and spread of their
    window; nothing where the history is too long, or hardly anything was measured.
    """
    steps, horizon = train.inputs["history"].shape[1], train.target.shape[1]
    if steps > MOST_STEPS:
        return None
    train_sums = _sums(train, targets, (level, spread), own=False)
    validation_sums = _sums(validation, targets, (level, spread), own=True)
    if train_sums is None or validation_sums is None:
        return None
    solutions = []
    for reach in sorted({steps, max(1, steps // 2), max(1, steps // 4)}):
        weight, error = _solve(train_sums, validation_sums, reach)
        solutions.append((error, np.concatenate([np.zeros((steps - reach, horizon)), weight])))
    best = min(error for error, _ in solutions)
    return np.mean([weight for error, weight in solutions if error <= WORSE * best], axis=0)


def _solve(train: Sums, validation: Sums, reach: int) -> tuple[np.ndarray, float]:
    """The weights of the nearest steps whose penalty gives the least validation error, and that error."""
    values, vectors = np.linalg.eigh(train.past[-reach:, -reach:])
    unit = max(float(values.mean()), 1e-12)
    rotation = vectors.T @ train.both[-reach:]
    best: tuple[np.ndarray, float] = (np.zeros_like(rotation), validation.future)
    for penalty in PENALTIES:
        weight = vectors @ (rotation / (np.maximum(values, 0) + penalty * unit)[:, None])
        gain = (
            2 * (weight * validation.both[-reach:]).sum()
            - (weight * (validation.past[-reach:, -reach:] @ weight)).sum()
        )
        error = max(validation.future - float(gain), 0.0)
        if error < best[1]:
            best = weight, error
    return best


def _sums(data: Batch, targets: list[int], norm: tuple[Level, bool], own: bool) -> Sums | None:
    """Of windows spread evenly over a part; `own`: in the unit of the series, and not relative to a window's spread."""
    steps, horizon = data.inputs["history"].shape[1], data.target.shape[1]
    past, both, future = np.zeros((steps, steps)), np.zeros((steps, horizon)), 0.0
    for rows in chunks(data, targets, norm):
        x, y = (rows.past * rows.spread, rows.future * rows.spread) if own else (rows.past, rows.future)
        past += x.T @ x
        both += x.T @ y
        future += float(np.square(y, dtype=np.float64).sum())
    return Sums(past, both, future) if future > 0 and past.any() else None


def chunks(data: Batch, targets: list[int], norm: tuple[Level, bool]) -> Iterator[Rows]:
    """Windows spread evenly over a part, some at a time, each target of a window a row of its own."""
    history, count = data.inputs["history"], len(data.target)
    most = max(1, min(count, MOST_ROWS // len(targets)))
    places = np.linspace(0, count - 1, most).astype(int)
    size = max(1, CHUNK // (history.shape[1] * history.shape[2] + data.target.shape[1] * data.target.shape[2]))
    for at in range(0, most, size):
        some = places[at : at + size]
        yield _relative(history[some][:, :, targets], data.target[some][:, :, targets], *norm)


def _relative(history: np.ndarray, target: np.ndarray, level: Level, spread: bool) -> Rows:
    """(windows, steps, targets) as rows of one target each; few gaps in the future are bridged by the value before."""
    past, future = (part.transpose(0, 2, 1).reshape(-1, part.shape[1]) for part in (history, target))
    there = ~np.isnan(future)
    last = np.maximum.accumulate(np.where(there, np.arange(1, there.shape[1] + 1), 0), axis=1)
    bridge = np.take_along_axis(np.concatenate([past[:, -1:], future], axis=1), last, axis=1)
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
    weight: np.ndarray, data: Batch, targets: list[int], norm: tuple[Level, bool], levels: tuple[float, ...]
) -> np.ndarray:
    """What a linear forecast was wrong by, at each step ahead: (horizon, quantiles) relative to the window's spread."""
    errors = [rows.future - rows.past @ weight for rows in chunks(data, targets, norm)]
    return np.quantile(np.concatenate(errors), levels, axis=0).T
