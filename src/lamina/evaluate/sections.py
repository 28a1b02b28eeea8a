"""The parts of the page, in reading order. Each takes the report and the plots and gives HTML, or "" when absent."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lamina.evaluate.baselines import LABELS
from lamina.evaluate.markup import code, escape, facts, figure, listed, number, seconds, section, table
from lamina.evaluate.metrics import HIGHER, label
from lamina.tasks._supervised import external_report as elsewhere
from lamina.tasks.forecasting import report_sections as _forecasts

Report = Mapping[str, Any]
Plots = Mapping[str, str]

PICTURES = ("augmented", "worst", "confused", "heat", "duplicates", "made_pictures", "made_rows")  # made HTML
SERIES = ("class_means", "worst_series")  # HTML that `_series_shots` made
_OWN = "the network"
_BAND = "The band is the 95 % interval of the network’s score: a method inside it may be as good by chance."
_CAPTIONS = {
    "comparison": "",
    "confusion": "Blue is right, orange is mistaken; the stronger, the larger the share of the actual class.",
    "roc": "As the threshold moves: the share of the class that is found, by the share of the others taken for it.",
    "precision_recall": "As the threshold moves: the share of alarms that are right, by the share of the class found.",
    "reliability": "On the line, 80 of 100 answers of 80 % confidence are right; below it, confidence is too high.",
    "residuals": "On the line, predicted equals actual. The outermost bars also hold the largest 1 % of the errors.",
    "learning": "The weights of the marked epoch are the ones in the bundle.",
}


def _figures(plots: Plots, *names: str) -> str:
    return "".join(figure(plots[name], _CAPTIONS.get(name, "")) for name in names if name in plots)


def _beside(*parts: str) -> str:
    """Parts side by side where the page is wide enough."""
    return f'<div class="beside">{"".join(parts)}</div>' if any(parts) else ""


def headline(report: Report, plots: Plots) -> str:
    """What was asked, when, and the verdict."""
    name = escape(report.get("name") or "Report", 80)
    task = " of ".join(escape(report[key], 60) for key in ("task", "target") if report.get(key))
    created = str(report.get("created") or "").replace("T", " ").replace("+00:00", " UTC")
    top = " · ".join(part for part in (f"<b>{name}</b>", task, escape(created, 40) if created else "") if part)
    verdict = escape(report.get("verdict") or report.get("name") or "Report", 600)
    return f'<header><p class="eyebrow">{top}</p>\n<h1>{verdict}</h1></header>'


def _defined(values: Mapping[str, Any], primary: Any) -> list[str]:
    """Metrics that have a value, the primary one first even when it has none."""
    return sorted((m for m in values if values[m] is not None or m == primary), key=lambda metric: metric != primary)


def scores(report: Report, plots: Plots) -> str:
    """The scores as big figures, the primary one first and with its interval."""
    values, primary, interval = report.get("scores") or {}, report.get("primary"), report.get("interval")
    tiles = []
    for name in _defined(values, primary):
        own = name == primary
        under = "" if HIGHER.get(name, True) else "lower is better"
        if own and interval:
            under = f"95 % interval: {number(interval[0])} to {number(interval[1])}"
        named = f'<span class="name">{escape(label(name))}</span><b>{number(values[name])}</b>'
        below = f'<span class="under">{under}</span>' if under else ""
        main = " main" if own else ""
        tiles.append(f'<div class="tile{main}">{named}{below}</div>')
    test = ((report.get("data") or {}).get("rows") or {}).get("test")
    told = f"Measured on {number(test)} test rows that played no part in training." if test else ""
    told = escape((report.get("forecast") or {}).get("told") or told, 600) if told else ""
    seen = f'<p class="quiet">{told}</p>' if told else ""
    return f'<section id="scores"><div class="tiles">{"".join(tiles)}</div>\n{seen}</section>' if tiles else ""


def comparison(report: Report, plots: Plots) -> str:
    """The network beside the baselines, metric by metric, and a plain sentence when it does not win."""
    values, baselines, primary = report.get("scores") or {}, report.get("baselines") or {}, report.get("primary", "")
    sign = 1 if HIGHER.get(primary, True) else -1
    rows = {_OWN: values, **{LABELS.get(name, name): scored for name, scored in baselines.items()}}

    def rank(name: str) -> float:
        value = rows[name].get(primary)
        return float("inf") if value is None else -sign * value

    ranked = sorted(rows, key=rank)
    metrics = _defined(values, primary)
    cells = [
        [f'<span class="keep">{escape(name)}</span>', *(_best(metric, name, rows) for metric in metrics)]
        for name in ranked
    ]
    heads = ["what" if report.get("task") == "generation" else "method", *(escape(label(metric)) for metric in metrics)]
    shown = table(heads, cells, range(1, len(heads)), ranked.index(_OWN)) if baselines else ""
    warning, made = "", report.get("task") == "generation"
    told = made or "prices" in (report.get("forecast") or {})  # beside real ones, or the random walk
    if not told and ranked[0] != _OWN and values.get(primary) is not None and rank(ranked[0]) < rank(_OWN):
        warning = _warning(ranked[0], rows[ranked[0]][primary], report)
    title = "Beside real ones" if made else "Beside simpler methods"
    return section(title, "comparison", warning, _beside(_compared(report, plots)), shown)


def _compared(report: Report, plots: Plots) -> str:
    drawn = plots.get("comparison")
    return figure(drawn, _BAND if report.get("interval") else "") if drawn else ""


def _warning(better: str, value: float, report: Report) -> str:
    primary, interval = report["primary"], report.get("interval")
    told = f"{escape(label(primary))} {number(value)} against {number(report['scores'][primary])} for the network"
    few = ", on too few forecasts to tell it from chance" if report.get("forecast") else ""
    doubt = few if not interval else ". The difference is larger than chance explains"
    if interval and interval[0] <= value <= interval[1]:
        doubt = ", a difference inside the 95 % interval: chance may explain it"
    return f'<p class="callout"><b>{escape(better[0].upper() + better[1:])} is better here:</b> {told}{doubt}.</p>'


def _best(metric: str, name: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The value, in bold when no other method has a better one."""
    value = rows[name].get(metric)
    values = [v for r in rows.values() if (v := r.get(metric)) is not None]
    top = len(values) > 1 and value == (max if HIGHER.get(metric, True) else min)(values)
    return f"<b>{number(value)}</b>" if top else number(value)


def errors(report: Report, plots: Plots) -> str:
    """Where the network is right and where it is mistaken."""
    numbers = ("precision", "recall", "f1", "support", "predicted")
    rows = [
        [escape(c.get("class"), 60), *(number(c.get(key)) for key in numbers)] for c in report.get("per_class") or []
    ]
    heads = ["class", "precision", "recall", "F1", "rows", "predicted"]
    classes = table(heads, rows, range(1, 6))
    return section("Where it is right and wrong", "errors", _beside(_figures(plots, "confusion", "residuals"), classes))


def confidence(report: Report, plots: Plots) -> str:
    """Ranking, thresholds, and whether stated confidence can be believed."""
    known = [(escape(key.replace("_", " ")), escape(v)) for key, v in (report.get("calibration") or {}).items()]
    title = "Ranking and confidence" if "roc" in plots else "Confidence"
    drawn = _figures(plots, "roc", "precision_recall", "reliability")
    return section(title, "confidence", _beside(drawn, facts(known)))


def training(report: Report, plots: Plots) -> str:
    """How the training went, and with which settings."""
    told = report.get("training") or {}
    best = told.get("best") or {}
    weights = {"ema": ", their moving average", "raw": ""}.get(str(best.get("weights")), "")
    kept = f"epoch {escape(best['epoch'])}{weights}" if best.get("epoch") is not None else ""
    known = facts([
        ("time", seconds(told["seconds"]) if told.get("seconds") is not None else ""),
        ("epochs", escape(max((row.get("epoch") or 0 for row in told.get("rows") or []), default=None))),
        ("weights kept", kept),
        ("stopped", escape(told.get("stopped"))),
        ("steps skipped", escape(told.get("skipped") or None)),
        ("device", escape(told.get("device"))),
        ("arithmetic", escape(told.get("precision"))),
        ("seed", escape(str(told["seed"])) if told.get("seed") is not None else ""),
    ])  # fmt: skip
    recipe = code(str(report["recipe"])) if report.get("recipe") else ""
    folded = f"<details><summary>The recipe: every setting of this run</summary>{recipe}</details>" if recipe else ""
    return section("Training", "training", _beside(_figures(plots, "learning")), known, folded)


def data(report: Report, plots: Plots) -> str:
    """Which rows were read, used and put aside, and what each column holds."""
    told = report.get("data") or {}
    rows = told.get("rows") or {}
    known = facts([
        ("source", f'<span class="path">{escape(told.get("source"))}</span>' if told.get("source") else ""),
        *((f"rows {key}", number(rows.get(key))) for key in ("read", "used", "quarantined")),
        *((f"{key} rows", number(rows.get(key))) for key in ("train", "validation", "test")),
    ])  # fmt: skip
    columns = [_column(c, rows.get("train")) for c in told.get("columns") or []]
    heads = ["column", "kind", "missing", "distinct", "examples", "note"]
    shown = table(heads, columns, (2, 3))
    shown += '<p class="quiet">Missing and distinct are counted in the training rows.</p>' if columns else ""
    twins = ((report.get("pictures") or {}).get("duplicates") or {}).get("told")
    notes = [*(told.get("notes") or []), *([twins] if twins and "duplicates" not in plots else [])]
    return section("The data", "data", known, listed(notes), shown, quarantine(told))


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
        f'<span class="examples">{examples}</span>',
        note,
    ]


def quarantine(told: Mapping[str, Any]) -> str:
    """The first rows that could not be used, each with its place and reason."""
    bad = told.get("quarantine") or []
    rows = [
        [
            f'<span class="path">{escape(q.get("file"))}</span>',
            number(q.get("line")),
            escape(q.get("column"), 60),
            f'<span class="long">{escape(q.get("reason"), 300)}</span>',
        ]
        for q in bad[:20]
    ]
    total = max((told.get("rows") or {}).get("quarantined") or 0, len(bad))
    more = f'<p class="quiet">The first {len(rows)} of {number(total)}.</p>' if total > len(rows) else ""
    shown = table(["file", "line", "column", "reason"], rows, (1,))
    return f"<h3>Rows put aside</h3>\n{shown}{more}" if rows else ""


def design(report: Report, plots: Plots) -> str:
    """The network, layer by layer."""
    told = report.get("model") or {}
    rows = [
        [
            f'<span class="long">{escape(row.get("layer"), 80)}</span>',
            f"<code>{escape(row.get('output'), 60)}</code>",
            number(row.get("parameters")),
        ]
        for row in told.get("layers") or []
    ]
    known = facts([("model", escape(told.get("kind"))), ("parameters", number(told.get("parameters")))])
    return section("The network", "network", known, table(["layer", "output shape", "parameters"], rows, (2,)))


def usage(report: Report, plots: Plots) -> str:
    """Commands that put the bundle to work, with a row of the data to try."""
    if not report.get("bundle"):
        return ""
    if report.get("task") == "generation":
        return _making(report)
    bundle, example = str(report["bundle"]), report.get("example") or {}
    if "rows" in example:
        return _forecasts.usage(bundle, example, str(report.get("history")))
    row, path, pictures = example.get("row") or {}, shlex.quote(bundle), example.get("pictures") or []
    alone = bool(pictures) and len(row) == 1
    rows, of = ("pictures/", "picture") if alone else ("rows.csv", "row")
    shell = f"lamina predict {path} {rows} -o answers.csv\nlamina serve {path}"
    shell += f"\nlamina explain {path} picture.jpg -o why.png" if pictures else ""
    answer = json.dumps(example["answer"], ensure_ascii=False, indent=2) if example.get("answer") is not None else ""
    return section(
        "Use it",
        "use",
        code(shell, "Command line"),
        code(_curl(row, pictures), "Over HTTP, once it is served") if row else "",
        code(f"import lamina\n\npredictor = lamina.load({bundle!r})\npredictor.predict([{row!r}])", "Python")
        if row
        else "",
        code(answer, f"The answer to {'a test' if pictures else 'that'} {of}") if answer else "",
    )


def _making(report: Report) -> str:
    """The same for a generator, which answers no rows."""
    bundle, row = str(report["bundle"]), (report.get("example") or {}).get("row") or {}
    label = next((str(value) for name, value in row.items() if name != "seed"), None)
    pictures = bool((report.get("example") or {}).get("made") == "pictures")
    path, wish = shlex.quote(bundle), {"count": 4, "seed": 1, **({"label": label} if label else {})}
    chosen = f" --label {shlex.quote(label)}" if label else ""
    shell = f"lamina generate {path} -n 64 -o {'made' if pictures else 'made.csv'}{chosen}\nlamina serve {path}"
    if report.get("critic"):
        shell += f"\nlamina predict {path} {'pictures/' if pictures else 'rows.csv'} -o scores.csv"
    body = shlex.quote(json.dumps(wish, ensure_ascii=False))
    curl = f"curl -s http://127.0.0.1:8000/generate -H 'Content-Type: application/json' -d {body}"
    python = f"import lamina\n\nlamina.load({bundle!r}).generate(64, seed=1{f', label={label!r}' if label else ''})"
    return section(
        "Use it",
        "use",
        code(shell, "Command line"),
        code(curl, "Over HTTP, once it is served"),
        code(python, "Python"),
    )


def _curl(row: Mapping[str, Any], pictures: Sequence[str]) -> str:
    """The request for one row: as JSON, or as a form where pictures go as files."""
    if not pictures:
        body = shlex.quote(json.dumps({"rows": [row]}, ensure_ascii=False))
        return f"curl -s http://127.0.0.1:8000/predict -H 'Content-Type: application/json' -d {body}"
    fields = []
    for name, value in row.items():
        if name in pictures:
            fields.append(f"-F {shlex.quote(f'{name}=@picture.jpg')}")
        elif value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            plain = text[:1] not in ("@", "<") and ";" not in text  # which curl would read as files and types
            fields.append(f"{'-F' if plain else '--form-string'} {shlex.quote(f'{name}={text}')}")
    return f"curl -s {' '.join(fields)} http://127.0.0.1:8000/predict"


def versions(report: Report, plots: Plots) -> str:
    """What this was made with."""
    told = report.get("versions") or {}
    return section("Made with", "versions", facts([(escape(name), escape(str(v))) for name, v in told.items()]))


def other(report: Report, plots: Plots) -> str:
    """Plots that no other part has a place for."""
    placed = (*_CAPTIONS, *PICTURES, *SERIES, *_forecasts.PIECES)
    own = [name for name in plots if name not in placed]
    return section("More plots", "more", _beside(_figures(plots, *own)))


def pictures(report: Report, plots: Plots) -> str:
    """Test pictures: those with the worst answers, what is confused with what, and what answers hang on."""
    return section("Test pictures", "pictures", *(plots.get(name, "") for name in ("confused", "worst", "heat")))


def made_pictures(report: Report, plots: Plots) -> str:
    """Pictures that were made, beside real ones."""
    return section("The pictures it makes", "made-pictures", plots.get("made_pictures", ""))


def made_rows(report: Report, plots: Plots) -> str:
    """Rows of a table that were made, beside real ones and SMOTE's."""
    return section("The rows it makes", "made-rows", plots.get("made_rows", ""))


def damage(report: Report, plots: Plots) -> str:
    """What is left when pictures are compressed, blurred or shrunk."""
    told = report.get("damage") or []
    names = [name for name in (told[0] if told else {}) if name not in ("damage", "rows")]
    rows = [[escape(row["damage"]), *(number(row.get(name)) for name in names)] for row in told]
    heads = ["done to the test pictures", *(escape(label(name)) for name in names)]
    return section("Damaged pictures", "damage", table(heads, rows, range(1, len(heads))))


def series(report: Report, plots: Plots) -> str:
    """What the series of each answer look like, and the test series with the worst answers."""
    return section("The series", "series", *(plots.get(name, "") for name in SERIES))


def augmented(report: Report, plots: Plots) -> str:
    """Training pictures as the network sees them."""
    return section("What the network saw", "augmented", plots.get("augmented", ""))


def duplicates(report: Report, plots: Plots) -> str:
    """Pictures that stand in training and in what is judged."""
    return section("The same picture twice", "duplicates", plots.get("duplicates", ""))


ORDER: tuple[Callable[[Report, Plots], str], ...] = (
    headline, scores, comparison, elsewhere.page, *_forecasts.ORDER, made_pictures, made_rows, duplicates, errors,
    pictures, damage, series, confidence, other, training, augmented, data, design, usage, versions,
)  # fmt: skip
