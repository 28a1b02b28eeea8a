"""The parts of the page that tell of forecasts, from the facts and pieces of `report`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lamina.evaluate.baselines import label
from lamina.evaluate.markup import escape, figure, number, section, table
from lamina.experiment import Section
from lamina.schema import Row
from lamina.tasks.forecasting import attribution_report
from lamina.tasks.forecasting.directional_accuracy import percent
from lamina.tasks.forecasting.error_breakdown import NETWORK
from lamina.tasks.forecasting.fans import MAX_PAIRS

Pieces = Mapping[str, str]

_OTHERS = {"rmse": "RMSE", "mae": "MAE", "smape": "sMAPE", "coverage": "coverage"}
_FANS = (
    "Black: what was measured. Blue: the forecast, made without knowing what comes after the dashed line; its band is "
    "made to hold nine of ten. The first of each series and target goes on after the end of the data."
)
_COVERAGE = "The interval is made to hold 90 of 100 truths; what lies below the line promises too much."
_STEPS = "A line that rises: the further ahead, the less is known. 1 is the mean error of the seasonal naive forecast."
_WALK = "1 is the mean error of the last value, one step ahead, on training rows."
_AUTOCORRELATION = (
    "Errors one step ahead. Bars inside the blue band may be chance; a bar that sticks out says that an error tells "
    "something of the error that many steps later."
)


def sections(facts: Row, pieces: Pieces) -> Iterator[Section]:
    """The random walk of prices, fans, the backtest, and what errors still hold."""
    if "prices" in facts:
        yield Section("prices", "Beside the random walk", "comparison", _prices(facts["prices"]))
    body = f'<div class="beside">{pieces["whole"]}</div>' if pieces["whole"] else ""
    yield Section("whole_series", "The whole series", "comparison", section("The whole series", "whole-series", body))
    yield Section("forecasts", "Forecasts", "comparison", _fans(facts, pieces))
    yield Section("backtest", "Backtest", "comparison", _backtest(facts, pieces))
    html = attribution_report.html(facts["attributions"])
    yield Section("attributions", "Attributions", "comparison", html)
    if "autocorrelation" in pieces:
        drawing = f'<div class="beside">{figure(pieces["autocorrelation"], _AUTOCORRELATION)}</div>'
        lead = f'<p class="lead">{escape(facts["residuals"]["sentence"], 500)}</p>'
        title = "What the errors still hold"
        yield Section("residuals", title, "comparison", section(title, "residuals", lead, drawing))


def _fans(facts: Row, pieces: Pieces) -> str:
    """Forecasts beside what came."""
    if not pieces["fans"]:
        return ""
    many = max(facts["of"].values()) > MAX_PAIRS
    few = " Shown are the one that comes first and those forecast best and worst." if many else ""
    lead = f'<p class="quiet lead">{_FANS}{few}</p>'
    return section("Forecasts", "forecasts", lead, f'<div class="beside">{pieces["fans"]}</div>')


def _prices(prices: Row) -> str:
    """What a forecast of prices is worth: the random walk, and the direction of moves."""
    walk = prices["walk"]
    doubt = ", too few forecasts for an interval"
    if walk["interval"]:
        chance = "" if walk["beats"] else ": it does not show that the network is better"
        doubt = f", with a 95 % interval of {_pair(walk['interval'])}{chance}"
    comparison = (
        f"MASE {number(walk['network'])} of the network, {number(walk['walk'])} of the {label(walk['rival'])}: "
        f"a difference of {number(walk['network'] - walk['walk'])}{doubt}."
    )
    style = "lead" if walk["beats"] else "callout"
    rows = [_moves(f"{row['step']:,}", row) for row in prices["steps"]]
    if len(rows) > 1:
        rows.append(_moves("<b>all</b>", prices["all"]))
    heads = ["step ahead", "directional accuracy", "95 % interval", "always up", "moves"]
    note = (
        "Forecasts that overlap are counted as one for the interval, and so are series that move together. A move is "
        "measured from the last value seen. Costs of trading are in none of these numbers."
    )
    return section(
        "Beside the random walk",
        "prices",
        f'<p class="{style}">{comparison}</p>',
        f'<p class="lead">{escape(prices["sentence"], 400)}</p>',
        table(heads, rows, range(1, 5)),
        f'<p class="quiet">{note}</p>',
    )


def _moves(name: str, row: Row) -> list[str]:
    ends = f"{percent(row['low'])} to {percent(row['high'])}" if row["low"] is not None else number(None)
    return [name, percent(row["right"]), ends, percent(row["up"]), number(row["moves"])]


def _pair(ends: Sequence[float]) -> str:
    return f"{number(ends[0])} to {number(ends[1])}"


def _backtest(facts: Row, pieces: Pieces) -> str:
    """Errors by step ahead, by stretch of time, by target and by series."""
    captions = (("by_step", _WALK if "prices" in facts else _STEPS), ("coverage_by_step", _COVERAGE))
    figures = [figure(pieces[name], caption) for name, caption in captions if name in pieces]
    folds = _table("forecasts that begin", facts["folds"], lambda row: f"{row['from']} to {row['to']}", True)
    targets = _table("target", facts["targets"], lambda row: row["name"], False)
    series = _table("series", facts["series"], lambda row: row["name"], True)
    return section(
        "Backtest",
        "backtest",
        f'<div class="beside">{"".join(figures)}</div>' if figures else "",
        f"<h3>In order of time</h3>{folds}" if folds else "",
        f"<h3>By target{_of(facts, 'targets')}</h3>{targets}" if targets else "",
        f"<h3>By series, the best first{_of(facts, 'series')}</h3>{series}" if series else "",
    )


def _of(facts: Row, what: str) -> str:
    """How many there are where only some are shown."""
    rows, count = len(facts[what]), facts["of"][what]
    return f" ({rows // 2} best and {rows // 2} worst of {count:,})" if count > rows else ""


def _table(head: str, rows: Sequence[Row], name: Callable[[Row], Any], with_count: bool) -> str:
    """MASE of every method, then what else there is of the network's forecasts."""
    if not rows:
        return ""
    methods = list(rows[0]["scores"])
    others = {key: title for key, title in _OTHERS.items() if rows[0]["scores"][NETWORK].get(key) is not None}
    heads = [head, *(["number"] if with_count else []), "MASE", *(escape(label(m)) for m in methods[1:])]
    heads += list(others.values())
    lines = []
    for row in rows:
        scores = row["scores"]
        mase = {method: scores[method]["mase"] for method in methods}
        best = min((v for v in mase.values() if v is not None), default=None)
        cells = [f"<b>{number(v)}</b>" if v is not None and v == best else number(v) for v in mase.values()]
        count = [number(row["forecasts"])] if with_count else []
        first = f'<span class="keep">{escape(name(row), 60)}</span>'
        lines.append([first, *count, *cells, *(number(scores[NETWORK].get(key)) for key in others)])
    return table(heads, lines, range(1, len(heads)))
