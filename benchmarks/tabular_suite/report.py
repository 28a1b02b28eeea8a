"""The report: each table, ratios to LightGBM, ranks and seconds, as Markdown."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from tabular_suite import runs, store
from tabular_suite.scores import error
from tabular_suite.store import Result
from tabular_suite.tables import Table

ANCHOR = "lightgbm"
MARGIN = 0.02  # what counts as a loss to the best of the others, of the score itself

Fits = dict[str, dict[int, Result]]  # by competitor, then split
Ratios = dict[str, dict[str, float]]  # by table, then competitor


def fits(results: Sequence[Result], table: Table, names: Sequence[str]) -> Fits:
    """The fits of one table that came to a score; of a label with several sets of options, the last one."""
    scores: Fits = {name: {} for name in names}
    for result in results:
        if result.table == table.name and result.competitor in scores and result.score is not None:
            scores[result.competitor][result.split] = result
    return {name: splits for name, splits in scores.items() if splits}


def mean_score(splits: dict[int, Result], among: Sequence[int]) -> float:
    return statistics.mean(splits[split].score or 0.0 for split in among)


def ratio(mine: dict[int, Result], anchor: dict[int, Result], kind: str) -> float | None:
    """Geometric mean over the splits that both have of one error by the other."""
    both = sorted(mine.keys() & anchor.keys())
    if not both:
        return None
    logs = [math.log(error(mine[i].score or 0.0, kind) / error(anchor[i].score or 0.0, kind)) for i in both]
    return math.exp(statistics.mean(logs))


def geometric(values: Sequence[float]) -> float:
    return math.exp(statistics.mean(math.log(value) for value in values)) if values else math.nan


def ranks(ratios: dict[str, float]) -> dict[str, float]:
    """Places from the best; equals share the mean of theirs."""
    order = sorted(ratios.values())
    return {name: order.index(value) + (order.count(value) + 1) / 2 for name, value in ratios.items()}


def loss(mine: dict[int, Result], others: Fits, kind: str) -> tuple[float, str]:
    """How much of the score is lost to the best of the others, on the splits that both have, and who that is."""
    worst = (-math.inf, "")
    for name, theirs in others.items():
        both = sorted(mine.keys() & theirs.keys())
        if both:
            a, b = mean_score(mine, both), mean_score(theirs, both)
            worst = max(worst, (a / b - 1 if kind == "regression" else (b - a) / b, name))
    return worst


def line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"


def cell(splits: dict[int, Result] | None, by: float | None) -> str:
    """The mean score of a competitor and its ratio; how many splits where it is not all three."""
    if not splits:
        return ""
    times = "" if by is None else f" ({by:.3f})"
    return number(mean_score(splits, sorted(splits))) + times + ("" if len(splits) == 3 else f" ×{len(splits)}")


def totals(
    ratios: dict[str, dict[str, float]], by_table: dict[str, Fits], names: Sequence[str], numbers: set[str]
) -> str:
    """Of each competitor the geometric mean of its ratios, its mean rank and what a fit takes."""
    places = {table: ranks(values) for table, values in ratios.items()}
    lines = [
        line(["competitor", "tables", "geometric mean", "classes", "numbers", "mean rank", "CPU seconds a fit"]),
        line(["---"] * 7),
    ]
    for name in names:
        mine = {table: values[name] for table, values in ratios.items() if name in values}
        if not mine:
            continue
        seconds = [result.cpu for here in by_table.values() for result in here.get(name, {}).values()]
        cells = [
            *(name, str(len(mine)), f"{geometric(list(mine.values())):.3f}"),
            f"{geometric([value for table, value in mine.items() if table not in numbers]):.3f}",
            f"{geometric([value for table, value in mine.items() if table in numbers]):.3f}",
            f"{statistics.mean(places[table][name] for table in mine):.2f}",
            f"{statistics.mean(seconds):.1f}",
        ]
        lines.append(line(cells))
    return "\n".join(lines)


def losses(by_table: dict[str, Fits], tables: Sequence[Table], labels: Sequence[str]) -> str:
    """The tables where a label is more than 2 % of the score behind the best of the others."""
    lines = []
    for table in tables:
        here = by_table[table.name]
        others = {name: splits for name, splits in here.items() if name in runs.PEERS}
        for label in labels:
            much, whom = loss(here.get(label, {}), others, table.kind)
            if much > MARGIN:
                lines.append(f"- {label} on {table.name}: {100 * much:.1f} % to {whom}")
    if not lines:
        return "No table more than 2 % of the score behind the best of the others."
    return "More than 2 % of the score behind the best of the others:\n\n" + "\n".join(lines)


def notes(results: Sequence[Result], tables: Sequence[Table], names: Sequence[str]) -> str:
    """Fits that came to nothing, and scores that Lamina's own report gives otherwise."""
    choice = {table.name for table in tables}
    last = {(result.table, result.split, result.competitor): result for result in results}
    return "\n".join(
        f"- {name} on {table}, split {split}: {result.note}"
        for (table, split, name), result in last.items()
        if result.note and table in choice and name in names
    )


def markdown(cache: Path, tables: Sequence[Table], labels: Sequence[str]) -> str:
    """A row per table, and what they come to; works with what is there so far."""
    results, about = store.read(cache), runs.facts(cache)
    everybody = [*labels, *runs.PEERS]
    by_table = {table.name: fits(results, table, everybody) for table in tables}
    names = [name for name in everybody if any(name in here for here in by_table.values())]
    ratios: Ratios = {}
    rows = [line(["table", "kind", "rows", "columns", *names]), line(["---"] * (4 + len(names)))]
    for table in sorted(tables, key=lambda table: (table.kind, table.name)):
        here, fact = by_table[table.name], about[table.name]
        times = {name: ratio(splits, here.get(ANCHOR, {}), table.kind) for name, splits in here.items()}
        ratios[table.name] = {name: value for name, value in times.items() if value is not None}
        cells = [cell(here.get(name), times.get(name)) for name in names]
        rows.append(line([table.name, table.kind, f"{fact['rows']:,}", str(fact["columns"]), *cells]))
    parts = [
        "Mean score (ratio of the error to LightGBM's): AUC and 1 - AUC, of numbers RMSE. ×1: on one split of three.",
        "\n".join(rows),
        totals(ratios, by_table, names, {table.name for table in tables if table.kind == "regression"}),
        losses(by_table, tables, labels) if labels else "",
        notes(results, tables, names),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
