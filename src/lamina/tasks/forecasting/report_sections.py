"""The parts of the page that tell of forecasts, from the facts and pieces of `outlook`."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lamina.evaluate.baselines import LABELS
from lamina.evaluate.markup import code, escape, figure, number, section, table
from lamina.tasks.forecasting.directional_accuracy import percent

Report = Mapping[str, Any]
Plots = Mapping[str, str]

PIECES = ("fans", "by_step", "coverage_by_step", "autocorrelation")
NETWORK = "network"
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
PICKED = 3  # series or targets that have fans of their own
ANSWERED = 3  # steps of the answer that are shown


def fans(report: Report, plots: Plots) -> str:
    """Forecasts beside what came."""
    if not plots.get("fans"):
        return ""
    of = report["forecast"]["of"]
    few = " Shown are the one that comes first and those forecast best and worst." if max(of.values()) > PICKED else ""
    lead = f'<p class="quiet lead">{_FANS}{few}</p>'
    return section("Forecasts", "forecasts", lead, f'<div class="beside">{plots["fans"]}</div>')


def prices(report: Report, plots: Plots) -> str:
    """What a forecast of prices is worth: the random walk, and the direction of moves."""
    told = (report.get("forecast") or {}).get("prices")
    if not told:
        return ""
    walk = told["walk"]
    doubt = ", too few forecasts for an interval"
    if walk["interval"]:
        chance = "" if walk["beats"] else ": it does not show that the network is better"
        doubt = f", with a 95 % interval of {_pair(walk['interval'])}{chance}"
    facts = (
        f"MASE {number(walk['network'])} of the network, {number(walk['walk'])} of the {LABELS[walk['rival']]}: "
        f"a difference of {number(walk['network'] - walk['walk'])}{doubt}."
    )
    kind = "lead" if walk["beats"] else "callout"
    rows = [_moves(f"{row['step']:,}", row) for row in told["steps"]]
    if len(rows) > 1:
        rows.append(_moves("<b>all</b>", told["all"]))
    heads = ["step ahead", "right direction", "95 % interval", "always up", "moves"]
    note = (
        "Forecasts that overlap are counted as one for the interval, and so are series that move together. A move is "
        "measured from the last value seen. Costs of trading are in none of these numbers."
    )
    return section(
        "Beside the random walk",
        "prices",
        f'<p class="{kind}">{facts}</p>',
        f'<p class="lead">{escape(told["told"], 400)}</p>',
        table(heads, rows, range(1, 5)),
        f'<p class="quiet">{note}</p>',
    )


def _moves(name: str, row: Mapping[str, Any]) -> list[str]:
    ends = f"{percent(row['low'])} to {percent(row['high'])}" if row["low"] is not None else number(None)
    return [name, percent(row["right"]), ends, percent(row["up"]), number(row["moves"])]


def _pair(ends: Sequence[float]) -> str:
    return f"{number(ends[0])} to {number(ends[1])}"


def backtest(report: Report, plots: Plots) -> str:
    """Errors by step ahead, by stretch of time, by target and by series."""
    told = report.get("forecast") or {}
    if not told:
        return ""
    steps = _WALK if "prices" in told else _STEPS
    figures = [figure(plots[n], c) for n, c in (("by_step", steps), ("coverage_by_step", _COVERAGE)) if n in plots]
    folds = _table("forecasts that begin", told.get("folds") or [], lambda row: f"{row['from']} to {row['to']}", True)
    targets = _table("target", told.get("targets") or [], lambda row: row["name"], False)
    series = _table("series", told.get("series") or [], lambda row: row["name"], True)
    return section(
        "Backtest",
        "backtest",
        f'<div class="beside">{"".join(figures)}</div>' if figures else "",
        f"<h3>In order of time</h3>{folds}" if folds else "",
        f"<h3>By target{_of(told, 'targets')}</h3>{targets}" if targets else "",
        f"<h3>By series, the best first{_of(told, 'series')}</h3>{series}" if series else "",
    )


def _of(told: Mapping[str, Any], what: str) -> str:
    """How many there are where only some are shown."""
    shown, count = len(told[what]), told["of"][what]
    return f" ({shown // 2} best and {shown // 2} worst of {count:,})" if count > shown else ""


def _table(
    head: str, rows: Sequence[Mapping[str, Any]], name: Callable[[Mapping[str, Any]], str], counted: bool
) -> str:
    """MASE of every method, then what else is known of the network's forecasts."""
    if not rows:
        return ""
    methods = list(rows[0]["scores"])
    others = {key: label for key, label in _OTHERS.items() if rows[0]["scores"][NETWORK].get(key) is not None}
    heads = [head, *(["number"] if counted else []), "MASE", *(escape(LABELS.get(m, m)) for m in methods[1:])]
    heads += list(others.values())
    lines = []
    for row in rows:
        scores = row["scores"]
        mase = {method: scores[method]["mase"] for method in methods}
        best = min((v for v in mase.values() if v is not None), default=None)
        shown = [f"<b>{number(v)}</b>" if v is not None and v == best else number(v) for v in mase.values()]
        count = [number(row["forecasts"])] if counted else []
        lines.append(
            [
                f'<span class="keep">{escape(name(row), 60)}</span>',
                *count,
                *shown,
                *(number(scores[NETWORK].get(key)) for key in others),
            ]
        )
    return table(heads, lines, range(1, len(heads)))


def residuals(report: Report, plots: Plots) -> str:
    """What the errors still hold."""
    told = ((report.get("forecast") or {}).get("residuals") or {}).get("told")
    if not told or "autocorrelation" not in plots:
        return ""
    shown = f'<div class="beside">{figure(plots["autocorrelation"], _AUTOCORRELATION)}</div>'
    return section("What the errors still hold", "residuals", f'<p class="lead">{escape(told, 500)}</p>', shown)


def usage(bundle: str, example: Mapping[str, Any], file: str) -> str:
    """Commands that go on from a history, with the rows to try them."""
    rows, answer, path = example["rows"], example["answer"], shlex.quote(bundle)
    shell = f"lamina predict {path} history.csv -o forecast.csv\nlamina serve {path}"
    curl = f"curl -s http://127.0.0.1:8000/predict -H 'Content-Type: application/json' -d @{shlex.quote(file)}"
    python = (
        "import json\n\nimport lamina\n\n"
        f'with open({file!r}, encoding="utf-8") as file:\n    history = json.load(file)["rows"]\n'
        f"predictor = lamina.load({bundle!r})\nforecast = predictor.predict(history)"
    )
    lead = (
        f"A forecast goes on from the rows it is given: the last {example['context']:,} steps of each series or more, "
        "in the columns of the training data. A shorter history is extended backwards by its first value. "
        f"{file} holds the last rows of the data for a try."
    )
    return section(
        "Use it",
        "use",
        f'<p class="lead">{escape(lead, 900)}</p>',
        code(shell, "Command line"),
        code(curl, "Over HTTP, once it is served"),
        code(_some("rows", rows, -2), f"What is sent: {len(rows):,} rows of history, the last two of them here"),
        code(python, "Python"),
        code(_some("", answer, ANSWERED), f"The answer: {len(answer):,} rows, one per step ahead and series"),
    )


def _some(name: str, rows: Sequence[Any], count: int) -> str:
    """The first or, with a negative count, last of many rows as JSON, and dots for the others."""
    left = len(rows) > abs(count)
    picked = rows[count:] if count < 0 else rows[:count]
    lines = [json.dumps(row, ensure_ascii=False) for row in picked]
    lines = [*(["..."] if left and count < 0 else []), *lines, *(["..."] if left and count > 0 else [])]
    inner = ",\n  ".join(lines)
    return f'{{"{name}": [\n  {inner}\n]}}' if name else f"[\n  {inner}\n]"


ORDER: tuple[Callable[[Report, Plots], str], ...] = (prices, fans, backtest, residuals)
