"""What a column of texts holds, before anything is trained: how long they are, words they share, what is twice."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina import privacy
from lamina.preprocess.text.hashing import plain_words

MOST = 200_000  # texts whose words are counted; the rest is only compared
CLASSES = 20  # in the table

Lines = list[tuple[str, ...]]


class Line(NamedTuple):
    """A line for people: its label, what follows, and whether it is a warning."""

    label: str
    text: str
    warns: bool = False


def survey(values: pa.Array, labels: list[Any], parts: list[Any]) -> dict[str, Any]:
    """Plain values about texts; `labels` and `parts` may be empty."""
    blank = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(values, "")), "").to_numpy(zero_copy_only=False)
    lists = plain_words(values.slice(0, MOST))
    words = lists.flatten().filter(pc.not_equal(lists.flatten(), ""))
    rows = np.repeat(np.arange(len(lists)), np.diff(lists.offsets.to_numpy()))
    rows = rows[pc.not_equal(lists.flatten(), "").to_numpy(zero_copy_only=False)]
    counts = np.bincount(rows, minlength=len(lists))
    table = pa.table({"row": rows, "word": words}).group_by(["row", "word"]).aggregate([])
    often = table["word"].combine_chunks().value_counts().field("counts").to_numpy()
    there = counts[~blank[: len(counts)]]
    return {
        "texts": int((~blank).sum()),
        "empty": int(blank.sum()),
        "sample_size": len(lists),
        "words": [int(np.quantile(there, at)) for at in (0.05, 0.5, 0.95, 1)] if len(there) else [],
        "different": len(often),
        "shared": int((often >= privacy.MIN_ROWS).sum()),
        "classes": _classes(counts, labels),
        "twice": _twice(values, labels, parts, blank),
    }


def _classes(counts: np.ndarray, labels: list[Any]) -> list[dict[str, Any]]:
    """Texts of each class and the median of their words."""
    names = np.array([str(label) for label in labels[: len(counts)]], object)
    return [
        {"class": name, "texts": int((names == name).sum()), "words": int(np.median(counts[names == name]))}
        for name in sorted(set(names.tolist()))[: CLASSES + 1]
    ]


def _twice(values: pa.Array, labels: list[Any], parts: list[Any], blank: np.ndarray) -> dict[str, int]:
    """Texts that come again, letter by letter but for case and blanks at their ends; of which labels and parts."""
    groups: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(pc.utf8_lower(pc.utf8_trim_whitespace(values)).to_pylist()):
        if not blank[row]:
            groups[text].append(row)
    same = [rows for rows in groups.values() if len(rows) > 1]
    return {
        "copies": sum(len(rows) - 1 for rows in same),
        "different_labels": sum(len({str(labels[row]) for row in rows}) > 1 for rows in same) if labels else 0,
        "across_parts": sum(len({parts[row] for row in rows}) > 1 for rows in same) if parts else 0,
    }


def summarize(facts: Mapping[str, Any]) -> tuple[list[Lines], list[Line]]:
    """What `survey` gave, for people: texts by class as a table, and lines."""
    classes, count = facts["classes"], facts["texts"]
    heads = (f"{facts['column']}, by class", "texts", "median words")
    rows: Lines = [(c["class"], f"{c['texts']:,}", f"{c['words']:,}") for c in classes]
    tables = [[heads, *rows]] if 1 < len(classes) <= CLASSES else []
    sampled = "" if facts["sample_size"] >= count + facts["empty"] else f" ({facts['sample_size']:,} of them looked at)"
    lines = [Line(facts["column"], f"  {count:,} texts{sampled}")]
    if facts["words"]:
        low, middle, high, most = facts["words"]
        usual = f"{middle:,} of a text (median), {low:,} to {high:,} of nine in ten, {most:,} at most"
        lines.append(Line("", f"  words   {usual}"))
        different = f"{facts['different']:,} different ones, {facts['shared']:,} of which five texts or more have"
        lines.append(Line("", f"          {different}"))
    twice = facts["twice"]
    if twice["copies"]:
        across = f"{twice['across_parts']:,} across parts, " if twice["across_parts"] else ""
        which = f"{across}{twice['different_labels']:,} with different labels"
        are = "text is a copy" if twice["copies"] == 1 else "texts are copies"
        lines.append(Line("twice", f"   {twice['copies']:,} {are} of another: {which}", True))
    if facts["empty"]:
        are = "text is" if facts["empty"] == 1 else "texts are"
        lines.append(Line("empty", f"   {facts['empty']:,} {are} missing or blank", True))
    return tables, lines
