"""Values of series as a network sees them, and its numbers back as values: log-returns, scale, quantiles, intervals."""

import numpy as np

from lamina.config import DataError
from lamina.schema import LARGEST
from lamina.tasks.forecasting import price_detection
from lamina.tasks.forecasting.state import Config, State, TargetColumn, Transform

FLAT = 1e-9  # of the deviation of values, a naive error that counts as none
STILL, SMALLEST = 1e-12, 1e-100  # of the largest number, a deviation that counts as none; and the smallest of all
MIN_SCALE_ONE, MIN_SCALE_MANY = 0.3, 1e-6  # training deviations a history scatters by, at least: of one series, of many

SMALL_MANY = 1e-3  # of a deviation, that the last value of one of many series counts as at least

# learned from training steps


def choose_transform(series: list[np.ndarray], names: tuple[str, ...], cfg: Config) -> Transform:
    """What is done to the targets: log-returns where each looks like a price. Errors: DataError."""
    if cfg.transform == "auto":
        return "log_return" if price_detection.are_prices(series, names) else "none"
    if cfg.transform == "log_return" and any(np.nanmin(values, initial=np.inf) <= 0 for values in series):
        raise DataError("task.transform: log_return needs numbers above 0. Use none.")
    return cfg.transform


def fit_targets(
    series: list[np.ndarray], names: tuple[str, ...], transform: Transform, season: int
) -> tuple[TargetColumn, ...]:
    """What is learned of the targets from the training steps of each series, (steps, targets) with NaN for gaps: their
    mean, deviation and naive error. Errors: DataError for a target without a number.
    """
    changes = np.concatenate([apply(values, transform) for values in series])
    targets = []
    for i, name in enumerate(names):
        finite = changes[:, i][np.isfinite(changes[:, i])]
        if not len(finite):
            raise DataError(f"target: column '{name}' has no number in the training rows (of at most {LARGEST:g}).")
        naive = [np.abs(values[season:, i] - values[:-season, i]) for values in series if len(values) > season]
        errors = np.concatenate(naive) if naive else np.array([])
        errors = errors[np.isfinite(errors)]
        values = np.concatenate([values[:, i] for values in series])
        fallback = float(np.nanstd(values)) or 1.0
        error = float(errors.mean()) if len(errors) and errors.mean() > FLAT * fallback else fallback
        std, flat = float(finite.std()), max(STILL * float(np.abs(finite).max()), SMALLEST)
        targets.append(TargetColumn(name=name, mean=float(finite.mean()), std=std if std > flat else 1.0, naive=error))
    return tuple(targets)


# values to what a network is fed


def apply(values: np.ndarray, transform: Transform) -> np.ndarray:
    """What is forecast of a stretch (steps, targets) of one series: the values, or each step's log-return.

    NaN stays NaN, and so does what is not positive. A log-return is measured from the last value there was: what
    happened over a gap is the return of the first step after it. The first step, with nothing before it, has none.
    """
    if transform == "none":
        return values
    positive = values > 0  # False for NaN
    logs = np.log(np.where(positive, values, 1.0))
    before = np.maximum.accumulate(np.where(positive, np.arange(len(values))[:, None], -1), axis=0)[:-1]
    defined = positive[1:] & (before >= 0)
    returns = logs[1:] - np.take_along_axis(logs, np.maximum(before, 0), axis=0)
    return np.concatenate([np.full((min(len(values), 1), values.shape[1]), np.nan), np.where(defined, returns, np.nan)])


def standardize(values: np.ndarray, state: State) -> np.ndarray:
    """Transformed values (..., targets) in training deviations, float32."""
    mean, std = _mean_std(state)
    return np.clip((values - mean) / std, -1e9, 1e9).astype(np.float32)


def no_change(state: State) -> np.ndarray:
    """What a network is fed (targets,) for a step at which a price was not measured: it has not moved."""
    return standardize(np.zeros(len(state.targets)), state)


def scale(history: np.ndarray, state: State) -> np.ndarray:
    """How widely the targets of each encoded history (rows, context, channels) scatter, (rows, 1, targets) in own
    units: what errors of a forecast from it are in proportion to, be it of a large series or of a small one.
    """
    targets = history[:, :, : len(state.targets)].astype(np.float64)
    least = MIN_SCALE_ONE if state.series is None else MIN_SCALE_MANY
    std = np.array([target.std for target in state.targets])
    return np.sqrt(targets.var(axis=1, keepdims=True) + least**2) * std


def magnitude(history: np.ndarray, state: State) -> np.ndarray:
    """How large the last values of each encoded history are, (rows, 1, targets) in own units: of one series, and of
    changes, as large as any; what is left to go by where a history is too short to scatter.
    """
    mean, std = _mean_std(state)
    if state.series is None or state.transform != "none":
        return np.broadcast_to(std, (len(history), 1, len(std)))
    return np.abs(history[:, -1:, : len(std)].astype(np.float64) * std + mean) + SMALL_MANY * std


# a network's numbers to values


def levels(standardized: np.ndarray, state: State) -> np.ndarray:
    """(rows, horizon, targets) in training deviations, to own units; of log-returns to their sums from the origin, of
    which a step that is NaN has none.
    """
    mean, std = _mean_std(state)
    values = standardized.astype(np.float64) * std + mean
    if state.transform == "none":
        return values
    return np.where(np.isnan(values), np.nan, np.nancumsum(values, axis=1))


def invert(level: np.ndarray, last: np.ndarray, state: State) -> np.ndarray:
    """Levels as values: a sum of log-returns moves the last value (rows, targets) that was measured."""
    if state.transform == "none":
        return level
    return last[:, None] * np.exp(np.clip(level, -700, 700))


def reshape(outputs: np.ndarray, state: State) -> np.ndarray:
    """Raw outputs (rows, size) as (rows, horizon, targets, numbers), quantiles in rising order."""
    numbers = outputs.reshape(-1, state.horizon, len(state.targets), max(1, len(state.quantiles)))
    return np.sort(numbers, axis=3) if state.quantiles else numbers


def point(outputs: np.ndarray, state: State) -> np.ndarray:
    """The forecast (rows, horizon, targets) in training deviations: the only number, or the median."""
    numbers = reshape(outputs, state)
    if not state.quantiles:
        return numbers[..., 0]
    return np.stack([_interpolate(state.quantiles, numbers, 0.5)])[0]


def interval(outputs: np.ndarray, state: State) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the interval as levels, before `half_widths`: the outermost quantiles, or the point itself."""
    if not state.quantiles or state.transform == "log_return":
        level = levels(point(outputs, state), state)
        return level, level
    numbers = reshape(outputs, state)
    return levels(numbers[..., 0], state), levels(numbers[..., -1], state)


def _interpolate(quantiles: tuple[float, ...], values: np.ndarray, share: float) -> np.ndarray:
    """A quantile by the straight line between its neighbours, or the nearest."""
    order = np.sort(np.array(quantiles))
    right = int(np.clip(np.searchsorted(order, share), 0, len(order) - 1))
    left = max(right - 1, 0) if order[right] > share else right
    weight = 0.0 if left == right else (share - order[left]) / (order[right] - order[left])
    return values[..., left] * (1 - weight) + values[..., right] * weight


def _mean_std(state: State) -> tuple[np.ndarray, np.ndarray]:
    return np.array([target.mean for target in state.targets]), np.array([target.std for target in state.targets])
