"""Series cut in time into train, validation and test: at one time in all of them, where they share most of it."""

from typing import NamedTuple

import numpy as np

from lamina.config import DataError, RecipeError
from lamina.data._splits import Auto, Split, TimeSplit, in_time
from lamina.tasks.forecasting import transform
from lamina.tasks.forecasting.panel import Panel
from lamina.tasks.forecasting.state import Config, Transform

EMBARGO_SHARE = 20  # of prices, an embargo is at most one such part of a series


class Cut(NamedTuple):
    """`edges` (series, 6): where train, validation and test begin and end, as steps of the panel; the season and the
    transform that go with them.
    """

    edges: np.ndarray
    season: int
    transform: Transform


def cut(
    panel: Panel, names: tuple[str, ...], cfg: Config, split: Split, season: int, horizon: int, test_row: int | None
) -> Cut:
    """Cut by the recipe's split; prices have no season, and a horizon is left out between two parts of them.

    `test_row`: the first row of the table that is one to evaluate on, where these come separately. Errors: DataError,
    RecipeError for a split that is not one in time.
    """
    split = in_order(split)
    edges = _edges(panel, split, horizon, test_row)
    certain = np.maximum(edges[:, 1] - 2 * horizon, edges[:, 0])  # what is of training with an embargo too
    train = [panel.values[a:b] for a, b in zip(edges[:, 0], certain, strict=True)]
    kind = transform.choose_transform(train, names, cfg)
    if kind == "none":
        return Cut(edges, season, kind)
    if split.embargo is None:
        gap = min(horizon, int(np.median(np.diff(panel.bounds))) // EMBARGO_SHARE)
        edges = _edges(panel, split.model_copy(update={"embargo": gap}), horizon, test_row)
    return Cut(edges, cfg.season or 1, kind)


def in_order(split: Split) -> TimeSplit:
    """The split as one in time. Errors: RecipeError for one that draws rows."""
    if isinstance(split, TimeSplit):
        return split
    if isinstance(split, Auto):
        return in_time(split)
    raise RecipeError([f"split.kind: a forecast is evaluated on what comes later, not on {split.kind} rows. Use time."])


def _edges(panel: Panel, split: TimeSplit, horizon: int, test_row: int | None) -> np.ndarray:
    """Where the parts of each series begin and end, (series, 6).

    Of a series too short for three parts all is for training. With separate test rows, those before are cut in two.
    """
    firsts, lasts = panel.index[panel.bounds[:-1]], panel.index[panel.bounds[1:] - 1]
    low, high = int(firsts.min()), int(lasts.max()) + 1
    long = bool(((lasts - firsts + 1) >= 0.5 * (high - low)).all())
    shared = long and panel.frequency.unit != "row" and test_row is None
    edges, faults = [], list[DataError]()
    for span, first, last in zip(panel.spans, firsts, lasts, strict=True):
        begin, length = (low, high - low) if shared else (first, int(last - first) + 1)
        end = length if test_row is None else _first_test(panel.source[span], test_row)
        least = min(2 * horizon, max(horizon, length // 4))
        try:
            sizes = split.sizes if test_row is None else split.halves
            train, validation, test = sizes(end, least)
        except DataError as error:
            faults.append(error)
            train, validation, test = end, -split.gap, length - end - split.gap
        test = test if test_row is None else length - end - split.gap
        steps = np.cumsum([0, train, split.gap, validation, split.gap, test]) + begin
        edges.append(np.clip(steps - first, 0, span.stop - span.start) + span.start)
    if faults and len(faults) == len(edges):
        raise faults[0]
    return np.array(edges)


def _first_test(source: np.ndarray, test_row: int) -> int:
    """The first step of a series whose row is one to evaluate on."""
    tests = np.flatnonzero(source >= test_row)
    first = int(tests[0]) if len(tests) else len(source)
    if (source[first:][source[first:] >= 0] < test_row).any():
        raise DataError("test: its rows must come after those to learn from. Give later ones, or let the data be cut.")
    return first
