"""The general parts of the page, in reading order. Each takes the page's content and gives HTML, or "" when absent."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, get_args

from lamina.evaluate.baselines import label as baseline_label
from lamina.evaluate.markup import bullets, code, escape, facts, figure, number, seconds, section, table
from lamina.evaluate.metrics import higher, label
from lamina.experiment import Conclusion, Place, Section
from lamina.schema import Row
from lamina.task import Usage

NETWORK = "the network"
ABOUT = ("column", "kind", "target", "single")  # of statistics, what a report has elsewhere
_ROWS = {"read": "read", "used": "used", "skipped": "skipped"}  # names on the page: keys of report.json
SHARES = 4  # of values, in the table of columns
_BAND = "The band is the 95 % interval of the network’s score: a method inside it may be as good by chance."
_CAPTIONS = {
    "comparison": "",
    "confusion": "Blue is right, orange is mistaken; the stronger, the larger the share of the actual class.",
    "roc": "By threshold: the share of the class that is found, by the share of the others taken for it.",
    "precision_recall": "By threshold: the share of a class’s predictions that are right (precision), by recall.",
    "reliability": "On the line, 80 of 100 predictions of 80 % confidence are right; below it, confidence is too high.",
    "residuals": "On the line, predicted equals actual. The outermost bars also hold the largest 1 % of the errors.",
    "class_balance": "",
    "learning": "The weights of the marked epoch are the ones in the bundle.",
}


class Page(NamedTuple):
    """What a page is made of: the report as in `report.json`, plots by name, the task's own sections and words, and how
    each operation of the bundle is used. `served`: whether one of them can be asked over HTTP.
    """

    report: Row
    plots: Mapping[str, str] = {}
    sections: tuple[Section, ...] = ()
    conclusion: Conclusion = Conclusion("", "")
    usages: Mapping[str, Usage] = {}
    served: bool = True


def render(page: Page) -> Iterator[str]:
    """The parts one after the other, each followed by the task's own that stand behind it."""
    for general in GENERAL:
        yield general(page)
        yield from (own.html for own in page.sections if own.after == general.__name__)


def _figures(page: Page, *names: str) -> str:
    return "".join(figure(page.plots[name], _CAPTIONS.get(name, "")) for name in names if name in page.plots)


def _side_by_side(*parts: str) -> str:
    """Parts side by side where the page is wide enough."""
    return f'<div class="beside">{"".join(parts)}</div>' if any(parts) else ""


def headline(page: Page) -> str:
    """What was asked, when, and the verdict."""
    report = page.report
    name = escape(report.get("name") or "Report", 80)
    task = " of ".join(escape(report[key], 60) for key in ("task", "target") if report.get(key))
    created = str(report.get("created") or "").replace("T", " ").replace("+00:00", " UTC")
    top = " · ".join(part for part in (f"<b>{name}</b>", task, escape(created, 40) if created else "") if part)
    verdict = escape(report.get("verdict") or report.get("name") or "Report", 600)
    return f'<header><p class="eyebrow">{top}</p>\n<h1>{verdict}</h1></header>'


def _defined(values: Mapping[str, Any], primary: Any) -> list[str]:
    """Metrics that have a value, the primary one first even when it has none."""
    return sorted((m for m in values if values[m] is not None or m == primary), key=lambda metric: metric != primary)


def scores(page: Page) -> str:
    """The scores as big figures, the primary one first and with its interval."""
    report = page.report
    values, primary, interval = report.get("scores") or {}, report.get("primary"), report.get("interval")
    tiles = []
    for name in _defined(values, primary):
        own = name == primary
        under = "" if higher(name) else "lower is better"
        if own and interval:
            under = f"95 % interval: {number(interval[0])} to {number(interval[1])}"
        top = f'<span class="name">{escape(label(name))}</span><b>{number(values[name])}</b>'
        below = f'<span class="under">{under}</span>' if under else ""
        main = " main" if own else ""
        tiles.append(f'<div class="tile{main}">{top}{below}</div>')
    test = ((report.get("data") or {}).get("rows") or {}).get("test")
    measured = page.conclusion.measured or (
        f"Measured on {number(test)} test rows that played no part in training." if test else ""
    )
    line = f'<p class="quiet">{escape(measured, 600)}</p>' if measured else ""
    return f'<section id="scores"><div class="tiles">{"".join(tiles)}</div>\n{line}</section>' if tiles else ""


def comparison(page: Page) -> str:
    """The network beside the baselines, metric by metric, and a plain sentence when it does not win."""
    report, words = page.report, page.conclusion
    values, baselines, primary = report.get("scores") or {}, report.get("baselines") or {}, report.get("primary", "")
    sign = 1 if higher(primary) else -1
    rows = {NETWORK: values, **{baseline_label(name): scores for name, scores in baselines.items()}}

    def rank(name: str) -> float:
        value = rows[name].get(primary)
        return float("inf") if value is None else -sign * value

    ranking = sorted(rows, key=rank)
    metrics = _defined(values, primary)
    cells = [
        [f'<span class="keep">{escape(name)}</span>', *(_cell(metric, name, rows) for metric in metrics)]
        for name in ranking
    ]
    heads = [escape(words.method), *(escape(label(metric)) for metric in metrics)]
    methods = table(heads, cells, range(1, len(heads)), ranking.index(NETWORK)) if baselines else ""
    best, warning = ranking[0], ""
    if words.warns and values.get(primary) is not None and rank(best) < rank(NETWORK):
        warning = _warning(best, rows[best][primary], page)
    svg = page.plots.get("comparison")
    plot = figure(svg, _BAND if report.get("interval") else "") if svg else ""
    return section(escape(words.comparison), "comparison", warning, _side_by_side(plot), methods)


def _warning(better: str, value: float, page: Page) -> str:
    primary, interval = page.report["primary"], page.report.get("interval")
    own = page.report["scores"][primary]
    scores = f"{escape(label(primary))} {number(value)} against {number(own)} for the network"
    doubt = escape(page.conclusion.doubt, 300) if page.conclusion.doubt else ""
    if interval:
        within = interval[0] <= value <= interval[1]
        doubt = ", a difference inside the 95 % interval: chance may explain it" if within else ""
        doubt = doubt or ". The difference is larger than chance explains"
    return f'<p class="callout"><b>{escape(better[0].upper() + better[1:])} is better here:</b> {scores}{doubt}.</p>'


def _cell(metric: str, name: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The value, in bold when no other method has a better one."""
    value = rows[name].get(metric)
    values = [v for r in rows.values() if (v := r.get(metric)) is not None]
    top = len(values) > 1 and value == (max if higher(metric) else min)(values)
    return f"<b>{number(value)}</b>" if top else number(value)


def errors(page: Page) -> str:
    """Confusion matrix or residuals, and metrics by class."""
    numbers = ("precision", "recall", "f1", "support", "predicted")
    rows = [
        [escape(c.get("class"), 60), *(number(c.get(key)) for key in numbers)]
        for c in page.report.get("per_class") or []
    ]
    heads = ["class", "precision", "recall", "F1", "rows", "predicted"]
    classes = table(heads, rows, range(1, 6))
    title = "Confusion matrix and errors" if "confusion" in page.plots else "Errors"
    return section(title, "errors", _side_by_side(_figures(page, "confusion", "residuals"), classes))


def confidence(page: Page) -> str:
    """ROC, precision and recall by threshold, and calibration."""
    calibration: Row = page.report.get("calibration") or {}
    pairs = [(escape(key.replace("_", " ")), escape(v)) for key, v in calibration.items()]
    title = "ROC, PR and calibration" if "roc" in page.plots else "Calibration"
    figures = _figures(page, "roc", "precision_recall", "reliability")
    return section(title, "confidence", _side_by_side(figures, facts(pairs)))


def training(page: Page) -> str:
    """How the training went, and with which settings."""
    values: Row = page.report.get("training") or {}
    best = values.get("best") or {}
    weights = {"ema": ", their moving average", "raw": ""}.get(str(best.get("weights")), "")
    epoch = f"epoch {escape(best['epoch'])}{weights}" if best.get("epoch") is not None else ""
    pairs = facts([
        ("time", seconds(values["seconds"]) if values.get("seconds") is not None else ""),
        ("epochs", escape(max((row.get("epoch") or 0 for row in values.get("rows") or []), default=None))),
        ("weights kept", epoch),
        ("stopped", escape(values.get("stopped"))),
        ("steps skipped", escape(values.get("skipped") or None)),
        ("device", escape(values.get("device"))),
        ("arithmetic", escape(values.get("precision"))),
        ("seed", escape(str(values["seed"])) if values.get("seed") is not None else ""),
    ])  # fmt: skip
    recipe = code(str(page.report["recipe"])) if page.report.get("recipe") else ""
    details = f"<details><summary>The recipe: every setting of this run</summary>{recipe}</details>" if recipe else ""
    return section("Training", "training", _side_by_side(_figures(page, "learning")), pairs, details)


def data(page: Page) -> str:
    """Which rows were read, used and skipped, and what each column holds."""
    values: Row = page.report.get("data") or {}
    rows = values.get("rows") or {}
    pairs = facts([
        ("source", f'<span class="path">{escape(values.get("source"))}</span>' if values.get("source") else ""),
        *((f"rows {name}", number(rows.get(key))) for name, key in _ROWS.items()),
        *((f"{key} rows", number(rows.get(key))) for key in ("train", "validation", "test")),
    ])  # fmt: skip
    columns = [_column(c, rows.get("train")) for c in values.get("columns") or []]
    heads = ["column", "kind", "missing", "distinct", "statistics", "examples", "note"]
    holds = table(heads, columns, (2, 3))
    holds += '<p class="quiet">Missing and distinct are counted in the training rows.</p>' if columns else ""
    notes = bullets(values.get("notes") or [])
    balance = _side_by_side(_figures(page, "class_balance"))
    return section("The data", "data", pairs, notes, balance, holds, skipped_rows(values))


def _column(column: Mapping[str, Any], rows: Any) -> list[str]:
    name, kind = escape(column.get("name"), 60), escape(column.get("kind"))
    note = f'<span class="long">{escape(column["note"], 300)}</span>' if column.get("note") else ""
    examples = " <i>·</i> ".join(escape(example, 40) for example in column.get("examples") or [])
    count = column.get("missing")
    missing = f"{number(count)} <small>({count / rows:.1%})</small>" if count and rows else number(count)
    return [
        f"<b>{name}</b>",
        kind,
        missing,
        number(column.get("distinct")),
        f'<span class="stats">{_statistics(column.get("statistics") or {})}</span>',
        f'<span class="examples">{examples}</span>',
        note,
    ]


def _statistics(values: Row) -> str:
    texts = ((escape(name, 24), escape(text)) for name, text in statistics_pairs(values))
    return " ".join(f'<span class="stat"><small>{name}</small> {text}</span>' for name, text in texts)


def statistics_pairs(values: Row) -> list[tuple[str, str]]:
    """Of a column's statistics numbers and texts with their names, and the largest shares of values."""
    present = max(values.get("rows", 0) - values.get("missing", 0), 1)
    others = (*ABOUT, "rows", "missing", "values", "counts")
    plain = {name: value for name, value in values.items() if name not in others}
    shares = [(name, f"{count / present:.1%}") for name, count in list(values.get("counts", {}).items())[:SHARES]]
    return [(name, value if isinstance(value, str) else number(value)) for name, value in plain.items()] + shares


def skipped_rows(data: Mapping[str, Any]) -> str:
    """The first rows that could not be used, each with its place and reason."""
    bad = data.get("skipped_rows") or []
    rows = [
        [
            f'<span class="path">{escape(q.get("file"))}</span>',
            number(q.get("line")),
            escape(q.get("column"), 60),
            f'<span class="long">{escape(q.get("reason"), 300)}</span>',
        ]
        for q in bad[:20]
    ]
    total = max((data.get("rows") or {}).get("skipped") or 0, len(bad))
    more = f'<p class="quiet">The first {len(rows)} of {number(total)}.</p>' if total > len(rows) else ""
    first = table(["file", "line", "column", "reason"], rows, (1,))
    return f"<h3>Skipped rows</h3>\n{first}{more}" if rows else ""


def design(page: Page) -> str:
    """The network, layer by layer."""
    values: Row = page.report.get("model") or {}
    rows = [
        [
            f'<span class="long">{escape(row.get("layer"), 80)}</span>',
            f"<code>{escape(row.get('output'), 60)}</code>",
            number(row.get("parameters")),
        ]
        for row in values.get("layers") or []
    ]
    pairs = facts([("model", escape(values.get("kind"))), ("parameters", number(values.get("parameters")))])
    return section("The network", "network", pairs, table(["layer", "output shape", "parameters"], rows, (2,)))


def usage(page: Page) -> str:
    """Commands that put the bundle to work, with a row of the data to try."""
    bundle, usages = page.report.get("bundle"), page.usages
    if not bundle or not usages:
        return ""
    lines = [line for one in usages.values() for line in one.shell.splitlines()]
    lines += [f"lamina serve {shlex.quote(str(bundle))}"] if page.served else []
    parts = [code("\n".join(dict.fromkeys(lines)), "Command line")]
    for name, one in usages.items():
        own = f": {name}" if len(usages) > 1 else ""
        texts = {"Over HTTP, once it is served": one.http, "Python": one.python, "What comes back": one.answer}
        parts += [code(text, f"{title}{own}") for title, text in texts.items() if text]
    return section("Use it", "use", *parts)


def versions(page: Page) -> str:
    """Versions of the software."""
    values: Row = page.report.get("versions") or {}
    return section("Versions", "versions", facts([(escape(name), escape(str(v))) for name, v in values.items()]))


def other(page: Page) -> str:
    """Plots that no other part has a place for."""
    names = [name for name in page.plots if name not in _CAPTIONS]
    return section("More plots", "more", _side_by_side(_figures(page, *names)))


GENERAL: tuple[Callable[[Page], str], ...] = (
    headline, scores, comparison, errors, confidence, other, training, data, design, usage, versions,
)  # fmt: skip
assert set(get_args(Place)) <= {part.__name__ for part in GENERAL}
