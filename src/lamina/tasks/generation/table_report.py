"""What is told of made rows of a table: a sentence, tables and small histograms."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.evaluate.markup import escape, number, table
from lamina.evaluate.metrics import label
from lamina.evaluate.plots.canvas import ACCENT, GREYS, figure, panel, style, svg, text

NAMES = {"real": "real rows", "made": "the network’s rows", "smote": "SMOTE’s rows"}
METRICS = ("accuracy", "roc_auc", "f1")
SIZE, GAP, ACROSS = (230, 150), 24, 3
EVEN = 0.005  # of a score: less is no difference


def verdict(judged: Mapping[str, Any]) -> str:
    """Whether the rows are worth learning from, whether SMOTE's are better, and how they are told from real ones."""
    copied = (
        f"{judged['copies']:.1%} of them are copies of a training row ({judged['held']['copies']:.1%} of real rows are)"
    )
    seen = f"A detector tells its rows from real ones with ROC AUC {number(judged['detector_auc'])} (0.5 is chance)"
    if "trained_on" not in judged:
        return f"{seen}; {copied}."
    found, rival = judged["trained_on"], judged["smote"]["detector_auc"]
    name = "roc_auc" if all(scores["roc_auc"] is not None for scores in found.values()) else "f1"
    own, real, smote = (found[key][name] for key in ("made", "real", "smote"))
    better = "SMOTE is better to learn from" if smote > own + EVEN else "the network is better to learn from than SMOTE"
    better = "the network and SMOTE are equally good to learn from" if abs(smote - own) <= EVEN else better
    return (
        f"A classifier that learns from the network’s rows reaches {label(name)} {number(own)} on real ones; from real "
        f"rows {number(real)}, from SMOTE’s {number(smote)}: {better}. {seen}, SMOTE’s with {number(rival)}; {copied}."
    )


def piece(judged: Mapping[str, Any]) -> str:
    """The tables and the histograms, as HTML."""
    parts = []
    if "trained_on" in judged:
        rows = [
            [NAMES[name], *(number(judged["trained_on"][name][metric]) for metric in METRICS)]
            for name in ("real", "made", "smote")
        ]
        told = "A fixed classifier (gradient boosting) that learned from them, on real rows that nobody has seen:"
        heads = ["learned from", *(escape(label(metric)) for metric in METRICS)]
        parts.append(f'<p class="quiet">{told}</p>{table(heads, rows, range(1, 4), 1)}')
    parts.append(table(["how like real rows", "the network", "SMOTE", "real rows"], _likeness(judged), range(1, 4)))
    parts.append(histograms(judged["columns"]))
    return "".join(parts)


def _likeness(judged: Mapping[str, Any]) -> list[list[str]]:
    told = {
        "detector_auc": "detector, ROC AUC (0.5: cannot be told apart)",
        "column_distance": "distance of columns, mean (0: the same)",
        "pair_difference": "difference of pairs of columns, mean (0: the same)",
        "copies": "share that is a training row",
        "nearest": "distance to the nearest training row, median",
    }
    sources = (judged, judged.get("smote", {}), judged["held"])
    rows = [[escape(said), *(number(source.get(name)) for source in sources)] for name, said in told.items()]
    return [*rows, ["share of cells that cannot be", number(judged["invalid"]), "", ""]]


def histograms(columns: Sequence[Mapping[str, Any]]) -> str:
    """Real and made shares of some columns side by side: real grey, made blue."""
    columns = [column for column in columns if column.get("real")]
    if not columns:
        return ""
    lines = -(-len(columns) // ACROSS)
    width, height = ACROSS * (SIZE[0] + GAP) + GAP, lines * (SIZE[1] + 60) + 10
    with style():
        fig = figure(width, height)
        for i, column in enumerate(columns):
            left, top = GAP + (i % ACROSS) * (SIZE[0] + GAP), 34 + (i // ACROSS) * (SIZE[1] + 60)
            box = (left, top, width - left - SIZE[0], height - top - SIZE[1])
            axes = panel(fig, box, f"{text(column['column'], 20)}  ({column['distance']:.3f})")
            at = np.arange(len(column["real"]))
            axes.bar(at - 0.2, column["real"], 0.4, color=GREYS[2])
            axes.bar(at + 0.2, column["made"], 0.4, color=ACCENT)
            shown = at[:: max(1, len(at) // 3)]
            axes.set_xticks(shown, [text(column["names"][k], 9) for k in shown])
            axes.set_yticks([])
        caption = "Grey is real, blue is made; the number is the distance of the column, 0 to 1."
        return f"<figure>{svg(fig, 'rows', 'Columns of real and made rows')}<figcaption>{caption}</figcaption></figure>"
