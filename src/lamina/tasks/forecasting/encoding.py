"""Series as a network is fed them: one code for training and serving.

Before a network sees it, a value that was not measured is the last one that was; of prices, one that has not moved.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError
from lamina.preprocess import Preprocessor
from lamina.schema import Input, Windows
from lamina.tasks.forecasting import transform
from lamina.tasks.forecasting.panel import Panel, latest
from lamina.tasks.forecasting.state import State
from lamina.tasks.forecasting.time_index import DAY, to_times

MAX_NUMBERS, MAX_WINDOW = 1 << 28, 1 << 24  # numbers that may be made of the caller's rows, and of one window
MAX_TARGETS = 1 << 24  # numbers to compare forecasts with; more windows are thinned out evenly


class EncodedSteps(NamedTuple):
    """What a network sees of each step of a panel, (steps, channels) each: all of it as `history`, of that what is
    known beforehand as `future`, and the `target` (steps, targets) in training deviations, NaN where nothing was
    measured.
    """

    history: np.ndarray
    future: np.ndarray
    target: np.ndarray

    def windows(self, origins: np.ndarray, state: State) -> dict[str, Windows]:
        """What a network is fed to forecast from some first steps ahead, as views of the encoded steps."""
        history = {"history": Windows(self.history, origins - state.context, state.context)}
        return history | ({"future": Windows(self.future, origins, state.horizon)} if self.future.shape[1] else {})


def inputs(prep: Preprocessor, state: State) -> dict[str, Input]:
    """The inputs of a network that forecasts: `history` and, where something is known beforehand, `future`.

    Errors: DataError where a window of them would be too large.
    """
    future_width = sum(channel_counts(prep, state.known)) + calendar_channels(state)
    width = len(state.targets) + sum(channel_counts(prep, state.past)) + future_width
    if (state.context + state.horizon) * width > MAX_WINDOW:
        raise DataError(
            f"task.context: {state.context:,} steps of {width:,} channels are more than a network can be fed. Ask for "
            "a smaller context, or set columns to ignore."
        )
    history = Input(kind="series", shape=(state.context, width), dtype="float32", targets=len(state.targets))
    future = Input(kind="series", shape=(state.horizon, future_width), dtype="float32")
    return {"future": future, "history": history} if future_width else {"history": history}


def encode(panel: Panel, prep: Preprocessor, state: State) -> EncodedSteps:
    """All steps of a panel as a network is fed them."""
    target = np.concatenate([transform.apply(panel.values[span], state.transform) for span in panel.spans])
    target = transform.standardize(target, state)
    if state.transform == "none":
        values = target[latest(~np.isnan(target), panel.bounds), np.arange(target.shape[1])]
    else:
        values = np.where(np.isnan(target), transform.no_change(state), target)
    past = _covariates(panel, prep, state.past)
    future = future_covariates(panel, prep, state)
    return EncodedSteps(np.nan_to_num(np.concatenate([values, past, future], axis=1)), future, target)


def future_covariates(panel: Panel, prep: Preprocessor, state: State) -> np.ndarray:
    """What is known beforehand of each step (steps, channels): columns, and the place in the cycles of the calendar."""
    return np.concatenate([_covariates(panel, prep, state.known), calendar(panel.index, state)], axis=1)


def thin(origins: np.ndarray, numbers: int) -> np.ndarray:
    """As many windows, evenly spread, as keep their numbers within bounds."""
    most = max(1, MAX_TARGETS // numbers)
    return origins if len(origins) <= most else origins[np.linspace(0, len(origins) - 1, most).astype(int)]


def _covariates(panel: Panel, prep: Preprocessor, names: Sequence[str]) -> np.ndarray:
    """Columns as their kinds encode them, codes as zeros and ones: (steps, channels)."""
    if not names:
        return np.zeros((len(panel.index), 0), np.float32)
    blocks = []
    for name in names:
        column = panel.table[name].combine_chunks()
        measured = pc.is_valid(column).to_numpy(zero_copy_only=False)[:, None]
        column = column.take(pa.array(latest(measured, panel.bounds)[:, 0]))
        values, feed = prep.encode_column(name, column), prep.feed(name)
        blocks.append(values if feed.kind == "number" else _one_hot(values, feed.sizes))
    return np.concatenate(blocks, axis=1).astype(np.float32)


def channel_counts(prep: Preprocessor, names: Sequence[str]) -> list[int]:
    """How many channels each of some columns is fed as."""
    feeds = [prep.feed(name) for name in names]
    return [feed.shape[0] or 0 if feed.kind == "number" else sum(feed.sizes) for feed in feeds]


def _one_hot(codes: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    begins = np.cumsum([0, *sizes])
    if len(codes) * int(begins[-1]) > MAX_NUMBERS:
        raise DataError(f"rows: {len(codes):,} steps of {begins[-1]:,} categories are too many. Send fewer rows.")
    ones = np.zeros((len(codes), begins[-1]), np.float32)
    for i in range(len(sizes)):
        ones[np.arange(len(codes)), begins[i] + codes[:, i]] = 1
    return ones


def _cycles(state: State) -> tuple[str, ...]:
    """The cycles of the calendar that a step leaves visible."""
    step = state.step
    if not state.calendar or step.unit in ("number", "row"):
        return ()
    if step.unit == "month":
        return ("year",) if step.count < 12 else ()
    seconds = DAY if step.unit == "business" else step.count
    return tuple(name for name, longest in (("year", 31 * DAY), ("week", DAY), ("day", 43_200)) if seconds <= longest)


def calendar_channels(state: State) -> int:
    """How many channels the calendar is fed as."""
    return 2 * len(_cycles(state))


def calendar(index: np.ndarray, state: State) -> np.ndarray:
    """Sine and cosine of the place in each cycle, (steps, 2 per cycle)."""
    cycles = _cycles(state)
    if not cycles:
        return np.zeros((len(index), 0), np.float32)
    stamps = to_times(index, state.step)
    seconds = stamps.astype(np.int64)
    year = stamps.astype("M8[Y]")
    length = ((year + 1).astype("M8[s]") - year.astype("M8[s]")).astype(np.int64)
    share = {
        "year": (stamps - year.astype("M8[s]")).astype(np.int64) / length,
        "week": (seconds // DAY + 3) % 7 / 7,
        "day": seconds % DAY / DAY,
    }
    angles = [2 * np.pi * share[name] for name in cycles]
    return np.stack([f(angle) for angle in angles for f in (np.sin, np.cos)], axis=1).astype(np.float32)
