"""What a forecast of prices is worth: beside the random walk, and in the direction of the move."""

from collections.abc import Mapping

import numpy as np

from lamina.evaluate.baselines import LABELS
from lamina.evaluate.markup import number
from lamina.schema import Row
from lamina.tasks.forecasting.backtest import DRAWS, Backtest

Z = 1.96
SHOWN = 10  # steps ahead in the table
WALKS = ("random_walk", "drift")
WARNING = "No forecast of these prices should be traded on."


def judged(test: Backtest, rivals: Mapping[str, Backtest]) -> Row:
    """The comparison with the random walk, the direction of moves by step ahead, and the verdict."""
    found: Row = {"walk": beside(test, rivals), "all": direction(test)}
    horizon = test.state.horizon
    steps = np.unique(np.linspace(0, horizon - 1, min(SHOWN, horizon)).round().astype(int))
    return found | {"steps": [{"step": int(s) + 1, **direction(test, int(s))} for s in steps]}


def beside(test: Backtest, rivals: Mapping[str, Backtest]) -> Row:
    """MASE of the network and of the better of the two random walks, and the 95 % interval of the difference.

    Forecasts of neighbouring days err alike, and so do series on one day: stretches of time are drawn, as long as the
    horizon, with all series in them (Kuensch 1989; a paired test as that of Diebold and Mariano 1995).
    """
    own, times = _scaled(test), _times(test)
    walks = {name: _scaled(rivals[name]) for name in WALKS if name in rivals}
    count = np.maximum((~np.isnan(own)).sum(), 1)
    name = min(walks, key=lambda walk: np.nansum(walks[walk]))
    each = np.nansum(own - walks[name], axis=(1, 2))
    weight = (~np.isnan(own)).sum(axis=(1, 2)).astype(float)
    ends = _drawn(np.bincount(times, each), np.bincount(times, weight), test.state.horizon + 1)
    mine, walk = float(np.nansum(own) / count), float(np.nansum(walks[name]) / count)
    beats = bool(ends is not None and ends[1] < 0 and mine < walk)
    return {"rival": name, "network": mine, "walk": walk, "interval": ends, "beats": beats}


def _scaled(test: Backtest) -> np.ndarray:
    return np.abs(test.answers["prediction"] - test.truth) / np.array([one.naive for one in test.state.targets])


def _times(test: Backtest) -> np.ndarray:
    """The number of each origin's time among all times at which a forecast begins."""
    return np.unique(test.frames.index[test.origins], return_inverse=True)[1]


def _drawn(each: np.ndarray, weight: np.ndarray, block: int) -> tuple[float, float] | None:
    """95 % interval of a mean over times; None where there are fewer than four blocks."""
    count = len(each)
    if count < 4 * block:
        return None
    starts = np.random.default_rng(0).integers(0, count - block + 1, (5 * DRAWS, -(-count // block)))
    total, counted = (np.concatenate([[0.0], np.cumsum(values)]) for values in (each, weight))
    sums = (total[starts + block] - total[starts]).sum(1)
    drawn = sums / np.maximum((counted[starts + block] - counted[starts]).sum(1), 1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def direction(test: Backtest, step: int | None = None) -> Row:
    """How often the direction of the move from the last value was right, with a 95 % interval, and how often it was up.

    Moves of forecasts that overlap are not independent: only one forecast per horizon counts (per step, one per that
    many steps), and series that are right and wrong together count as fewer. The interval is Wilson's (1927).
    """
    last = test.seen[test.origins - 1][:, None]
    which = slice(None) if step is None else slice(step, step + 1)
    truth = np.sign(test.truth[:, which] - last)
    said = np.sign(test.answers["prediction"][:, which] - last)
    moved = np.isfinite(truth) & (truth != 0)
    if not moved.any():
        return {"right": None, "low": None, "high": None, "up": None, "moves": 0}
    times, right = _times(test), (said == truth) & moved
    hits, moves = (np.bincount(times, one.sum(axis=(1, 2)).astype(float)) for one in (right, moved))
    hits, moves = hits[moves > 0], moves[moves > 0]
    share = float(hits.sum() / moves.sum())
    apart = len(hits) / (test.state.horizon if step is None else step + 1)
    spread = float(np.average((hits / moves - share) ** 2, weights=moves))
    alone = share * (1 - share) / spread if spread > 0 else 1.0
    low, high = _wilson(share, max(apart * max(alone, 1.0), 1.0))
    up = float((truth[moved] > 0).mean())
    return {"right": share, "low": low, "high": high, "up": up, "moves": int(moved.sum())}


def _wilson(share: float, count: float) -> tuple[float, float]:
    centre = (share + Z * Z / (2 * count)) / (1 + Z * Z / count)
    half = Z * np.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count)) / (1 + Z * Z / count)
    return float(centre - half), float(centre + half)


def verdict(found: Row, target: str, scores: Mapping[str, Mapping[str, float | None]]) -> str:
    """Whether the network beats the random walk, in a sentence or two."""
    walk = found["walk"]
    rival, ends = LABELS[walk["rival"]], walk["interval"]
    told = f"MASE {number(walk['network'])} against {number(walk['walk'])}"
    told += " with drift" if walk["rival"] == "drift" and not walk["beats"] else ""
    within = f"95 % interval of the difference: {number(ends[0])} to {number(ends[1])}" if ends else ""
    if not walk["beats"]:
        why = ""
        if walk["network"] < walk["walk"]:
            why = f", a difference that may be chance ({within})" if ends else ", on too few forecasts to tell chance"
        return f"The network does not beat the random walk: {told}{why}. {WARNING}"
    others = {name: value for name, one in scores.items() if (value := one.get("mase")) is not None}
    best = min(others, key=lambda name: others[name])
    better = ""
    if others[best] < walk["network"]:
        better = f" {LABELS[best][0].upper()}{LABELS[best][1:]} is better still: {number(others[best])}."
    return f"The network forecasts {target} better than the {rival}: {told} ({within}).{better}"


def percent(share: float | None) -> str:
    return number(None) if share is None else f"{100 * share:.1f} %"


def sentence(found: Row) -> str:
    """What the direction of moves is worth."""
    one = found["all"]
    if one["right"] is None:
        return "No price moved, so there is no direction to tell."
    told = (
        f"The direction of the move was right in {percent(one['right'])} of {one['moves']:,} cases (95 % interval "
        f"{percent(one['low'])} to {percent(one['high'])}); always saying up is right in {percent(one['up'])}."
    )
    constant = max(one["up"], 1 - one["up"])
    first = found["steps"][0]
    if one["low"] <= 0.5 and len(found["steps"]) > 1 and (first["low"] or 0) > 0.5:
        alone = f"{percent(first['right'])} ({percent(first['low'])} to {percent(first['high'])})"
        return f"{told} Over all steps that is no better than tossing a coin; one step ahead it is right in {alone}."
    if one["low"] <= 0.5:
        return f"{told} That is no better than tossing a coin."
    if one["low"] <= constant:
        return f"{told} That is more than a coin gives, and no more than always giving one answer."
    return told
