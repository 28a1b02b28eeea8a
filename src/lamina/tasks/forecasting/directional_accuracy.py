"""What a forecast of prices is worth: beside the random walk, and in the direction of the move."""

from collections.abc import Mapping

import numpy as np

from lamina.evaluate.baselines import label
from lamina.evaluate.markup import number
from lamina.schema import Row
from lamina.tasks.forecasting.backtest import DRAWS, Backtest, moving_blocks

Z = 1.96
MAX_ROWS = 10  # steps ahead in the table
WALKS = ("random_walk", "drift")
WARNING = "No forecast of these prices should be traded on."


def facts(test: Backtest, baselines: Mapping[str, Backtest]) -> Row:
    """The comparison with the random walk, the direction of moves by step ahead, and a sentence on it."""
    horizon = test.state.horizon
    steps = np.unique(np.linspace(0, horizon - 1, min(MAX_ROWS, horizon)).round().astype(int))
    numbers: Row = {"walk": compare(test, baselines), "all": direction(test)}
    numbers["steps"] = [{"step": int(step) + 1, **direction(test, int(step))} for step in steps]
    return numbers | {"sentence": sentence(numbers)}


def compare(test: Backtest, baselines: Mapping[str, Backtest]) -> Row:
    """MASE of the network and of the better of the two random walks, and the 95 % interval of the difference.

    Forecasts of neighbouring days err alike, and so do series on one day: stretches of time are drawn, as long as the
    horizon, with all series in them (Kuensch 1989; a paired test as that of Diebold and Mariano 1995).
    """
    errors, times = test.scaled_errors, _times(test)
    walks = {name: baselines[name].scaled_errors for name in WALKS if name in baselines}
    count = np.maximum((~np.isnan(errors)).sum(), 1)
    name = min(walks, key=lambda walk: np.nansum(walks[walk]))
    differences = np.nansum(errors - walks[name], axis=(1, 2))
    weights = (~np.isnan(errors)).sum(axis=(1, 2)).astype(float)
    sums, weights = np.bincount(times, differences), np.bincount(times, weights)
    block = test.state.horizon + 1
    ends = moving_blocks(sums, weights, block, 5 * DRAWS) if len(sums) >= 4 * block else None
    network, walk = float(np.nansum(errors) / count), float(np.nansum(walks[name]) / count)
    beats = bool(ends is not None and ends[1] < 0 and network < walk)
    return {"rival": name, "network": network, "walk": walk, "interval": ends, "beats": beats}


def _times(test: Backtest) -> np.ndarray:
    """The number of each origin's time among all times at which a forecast begins."""
    return np.unique(test.panel.index[test.origins], return_inverse=True)[1]


def direction(test: Backtest, step: int | None = None) -> Row:
    """How often the direction of the move from the last value was right, with a 95 % interval, and how often it was up.

    Moves of forecasts that overlap are not independent: only one forecast per horizon counts (per step, one per that
    many steps), and series that are right and wrong together count as fewer. The interval is Wilson's (1927).
    """
    last = test.last[:, None]
    steps = slice(None) if step is None else slice(step, step + 1)
    truth = np.sign(test.truth[:, steps] - last)
    forecast = np.sign(test.answers["prediction"][:, steps] - last)
    moves = np.isfinite(truth) & (truth != 0)
    if not moves.any():
        return {"right": None, "low": None, "high": None, "up": None, "moves": 0}
    times, right = _times(test), (forecast == truth) & moves
    hits, counts = (np.bincount(times, which.sum(axis=(1, 2)).astype(float)) for which in (right, moves))
    hits, counts = hits[counts > 0], counts[counts > 0]
    share = float(hits.sum() / counts.sum())
    apart = len(hits) / (test.state.horizon if step is None else step + 1)
    variance = float(np.average((hits / counts - share) ** 2, weights=counts))
    independent = share * (1 - share) / variance if variance > 0 else 1.0
    low, high = _wilson(share, max(apart * max(independent, 1.0), 1.0))
    up = float((truth[moves] > 0).mean())
    return {"right": share, "low": low, "high": high, "up": up, "moves": int(moves.sum())}


def _wilson(share: float, count: float) -> tuple[float, float]:
    centre = (share + Z * Z / (2 * count)) / (1 + Z * Z / count)
    half = Z * np.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count)) / (1 + Z * Z / count)
    return float(centre - half), float(centre + half)


def verdict(prices: Row, target: str, scores: Mapping[str, Mapping[str, float | None]]) -> str:
    """Whether the network beats the random walk, in a sentence or two."""
    walk = prices["walk"]
    rival, ends = label(walk["rival"]), walk["interval"]
    numbers = f"MASE {number(walk['network'])} against {number(walk['walk'])}"
    numbers += " with drift" if walk["rival"] == "drift" and not walk["beats"] else ""
    within = f"95 % interval of the difference: {number(ends[0])} to {number(ends[1])}" if ends else ""
    if not walk["beats"]:
        why = ""
        if walk["network"] < walk["walk"]:
            why = f", a difference that may be chance ({within})" if ends else ", on too few forecasts to tell chance"
        return f"The network does not beat the random walk: {numbers}{why}. {WARNING}"
    others = {name: value for name, baseline in scores.items() if (value := baseline.get("mase")) is not None}
    best = min(others, key=lambda name: others[name])
    better = ""
    if others[best] < walk["network"]:
        better = f" {label(best)[0].upper()}{label(best)[1:]} is better still: {number(others[best])}."
    return f"The network forecasts {target} better than the {rival}: {numbers} ({within}).{better}"


def percent(share: float | None) -> str:
    """A share as a person writes it, a dash for none."""
    return number(None) if share is None else f"{100 * share:.1f} %"


def sentence(prices: Row) -> str:
    """What the direction of moves is worth."""
    whole = prices["all"]
    if whole["right"] is None:
        return "No price moved, so there is no direction to tell."
    text = (
        f"The direction of the move was right in {percent(whole['right'])} of {whole['moves']:,} cases (95 % interval "
        f"{percent(whole['low'])} to {percent(whole['high'])}); always saying up is right in {percent(whole['up'])}."
    )
    constant = max(whole["up"], 1 - whole["up"])
    first = prices["steps"][0]
    if whole["low"] <= 0.5 and len(prices["steps"]) > 1 and (first["low"] or 0) > 0.5:
        share = f"{percent(first['right'])} ({percent(first['low'])} to {percent(first['high'])})"
        return f"{text} Over all steps that is no better than tossing a coin; one step ahead it is right in {share}."
    if whole["low"] <= 0.5:
        return f"{text} That is no better than tossing a coin."
    if whole["low"] <= constant:
        return f"{text} That is more than a coin gives, and no more than always predicting one direction."
    return text
