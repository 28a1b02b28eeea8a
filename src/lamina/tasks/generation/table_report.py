"""What is said of generated rows: a sentence, tables and small histograms."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.evaluate.markup import cell, escape, number, table
from lamina.evaluate.markup import figure as card
from lamina.evaluate.metrics import label
from lamina.evaluate.plots.canvas import ACCENT, GREYS, figure, panel, style, svg, text

SOURCES = {"real": "real rows", "generated": "the network’s rows", "smote": "SMOTE’s rows"}
METRICS = ("accuracy", "roc_auc", "f1")
SIZE, GAP, ACROSS = (230, 150), 24, 3
EVEN = 0.005  # of a score: less is no difference


def verdict(facts: Mapping[str, Any]) -> str:
    """Whether the rows are worth learning from, whether SMOTE's are better, and how they are told from real ones."""
    copies = (
        f"{facts['copies']:.1%} of them are copies of a training row ({facts['held']['copies']:.1%} of real rows are)"
    )
    detector = (
        f"A classifier tells its rows from real ones with ROC AUC {number(facts['detector_auc'])} (0.5 is chance)"
    )
    if "trained_on" not in facts:
        return f"{detector}; {copies}."
    scores, rival = facts["trained_on"], facts["smote"]["detector_auc"]
    name = "roc_auc" if all(of["roc_auc"] is not None for of in scores.values()) else "f1"
    own, real, smote = (scores[key][name] for key in ("generated", "real", "smote"))
    better = "SMOTE is better to learn from" if smote > own + EVEN else "the network is better to learn from than SMOTE"
    better = "the network and SMOTE are equally good to learn from" if abs(smote - own) <= EVEN else better
    return (
        f"A classifier that learns from the network’s rows reaches {label(name)} {number(own)} on real ones; from real "
        f"rows {number(real)}, from SMOTE’s {number(smote)}: {better}. {detector}, SMOTE’s with {number(rival)}; "
        f"{copies}."
    )


def lines(facts: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    """What a classifier reaches that learned from each sort of rows, for the terminal; () without classes."""
    if "trained_on" not in facts:
        return ()
    heads = ("a classifier that learned from", *map(label, METRICS))
    cells = (
        (name.replace("’", "'"), *(cell(facts["trained_on"][key][metric]) for metric in METRICS))
        for key, name in SOURCES.items()
    )
    return (heads, *cells)


def html(facts: Mapping[str, Any]) -> str:
    """The tables and the histograms."""
    parts = list[str]()
    if "trained_on" in facts:
        rows = [
            [name, *(number(facts["trained_on"][key][metric]) for metric in METRICS)] for key, name in SOURCES.items()
        ]
        lead = "A fixed classifier (gradient boosting) that learned from them, on real rows that nobody has seen:"
        heads = ["learned from", *(escape(label(metric)) for metric in METRICS)]
        parts.append(f'<p class="quiet">{lead}</p>{table(heads, rows, range(1, 4), 1)}')
    parts.append(table(["how like real rows", "the network", "SMOTE", "real rows"], _likeness(facts), range(1, 4)))
    if relations := facts.get("relations"):
        rows = [[escape(one["relation"]), f"{one['broken']:,}"] for one in relations]
        parts.append(
            table(["holds in all training rows", f"broken in {relations[0]['rows']:,} generated rows"], rows, [1])
        )
    parts.append(_samples(facts.get("samples") or []))
    parts.append(histograms(facts["columns"]))
    return "".join(parts)


def _samples(rows: Sequence[Mapping[str, str]]) -> str:
    """A few generated rows, as they are written."""
    if not rows:
        return ""
    cells = [[f'<span class="keep">{escape(cell, 40)}</span>' if cell else "" for cell in row.values()] for row in rows]
    lead = "Some of the generated rows; none of them is a row of the data."
    return f'<h3>Synthetic rows</h3><p class="quiet lead">{lead}</p>{table([escape(n, 40) for n in rows[0]], cells)}'


def _likeness(facts: Mapping[str, Any]) -> list[list[str]]:
    measures = {
        "detector_auc": "real or generated, by a classifier: ROC AUC (0.5: cannot be told apart)",
        "column_distance": "distance of columns, mean (0: the same)",
        "pair_difference": "difference of pairs of columns, mean (0: the same)",
        "copies": "share that is a training row",
        "nearest": "distance to the nearest training row, median",
    }
    sources = (facts, facts.get("smote", {}), facts["held"])
    rows = [[escape(words), *(number(source.get(name)) for source in sources)] for name, words in measures.items()]
    return [*rows, ["share of cells that cannot be", number(facts["invalid"]), "", ""]]


def histograms(columns: Sequence[Mapping[str, Any]]) -> str:
    """Real and generated shares of some columns side by side: real grey, generated blue."""
    columns = [column for column in columns if column.get("real")]
    if not columns:
        return ""
    count = -(-len(columns) // ACROSS)
    width, height = ACROSS * (SIZE[0] + GAP) + GAP, count * (SIZE[1] + 60) + 10
    with style():
        fig = figure(width, height)
        for i, column in enumerate(columns):
            left, top = GAP + (i % ACROSS) * (SIZE[0] + GAP), 34 + (i // ACROSS) * (SIZE[1] + 60)
            box = (left, top, width - left - SIZE[0], height - top - SIZE[1])
            axes = panel(fig, box, f"{text(column['column'], 20)}  ({column['distance']:.3f})")
            at = np.arange(len(column["real"]))
            axes.bar(at - 0.2, column["real"], 0.4, color=GREYS[2])
            axes.bar(at + 0.2, column["generated"], 0.4, color=ACCENT)
            ticks = at[:: max(1, len(at) // 3)]
            axes.set_xticks(ticks, [text(column["names"][k], 9) for k in ticks])
            axes.set_yticks([])
        caption = "Grey is real, blue is generated; the number is the distance of the column, 0 to 1."
        return "<h3>Columns</h3>" + card(svg(fig, "rows", "Columns of real and generated rows"), caption)
