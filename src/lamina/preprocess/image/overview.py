"""What a column of images holds, before anything is trained: how many of which class, sizes, what is broken."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.preprocess.image import cells as _cells
from lamina.preprocess.image import codec, frames, headers
from lamina.preprocess.image.levels import Reading
from lamina.preprocess.image.stderr import quiet

MOST = 5000  # images decoded; the rest is only counted
FEW = 64  # images looked at for the note beside a column
MAX_NAMES = 20
LINES = 5  # of files that are shown

Lines = list[tuple[str, ...]]


class Facts(NamedTuple):
    """What one image is; `more`: it is the first of several in its file."""

    height: int
    width: int
    grey: bool
    form: str
    more: bool


class Line(NamedTuple):
    """A line for people: its label, what follows, and whether it is a warning."""

    label: str
    text: str
    warns: bool = False


def note(values: pa.Array, most: int, reading: Reading) -> str:
    """Sizes and colours of a sample of cells `{path, bytes}`, in a few words: width x height."""
    facts = [one for one in _measure(values.drop_null(), FEW, most, reading)[1] if isinstance(one, Facts)]
    if not facts:
        return "no image of a sample can be decoded"
    (low_y, high_y), (low_x, high_x) = ((min(n), max(n)) for n in ([f.height for f in facts], [f.width for f in facts]))
    alike = (low_y, low_x) == (high_y, high_x)
    size = f"{low_x} x {low_y} px" if alike else f"{low_x}-{high_x} x {low_y}-{high_y} px"
    grey = sum(one.grey for one in facts)
    first = "; of files with several frames or pages the first is read" if any(one.more for one in facts) else ""
    return f"{size}, {'grey' if grey == len(facts) else 'some grey' if grey else 'colour'}{first}"


def survey(values: pa.Array, most: int, reading: Reading, labels: list[Any], parts: list[Any]) -> dict[str, Any]:
    """Plain values about images (cells `{path, bytes}`); `labels` and `parts` may be empty.

    At most 5,000 images, evenly spaced, are decoded, none above `most` pixels: `looked` says how many. Files of the
    same bytes are found among all of them; only those of the same length are read for it.
    """
    rows, results = _measure(values, MOST, most, reading)
    sound = [one for one in results if isinstance(one, Facts)]
    broken = [(row, one) for row, one in zip(rows, results, strict=True) if isinstance(one, str)]
    return {
        "images": len(values) - values.null_count,
        "sample_size": len(rows),
        "width": _span([one.width for one in sound]),
        "height": _span([one.height for one in sound]),
        "grey": sum(one.grey for one in sound),
        "colour": sum(not one.grey for one in sound),
        "formats": dict(Counter(one.form for one in sound).most_common()),
        "classes": _classes(labels, parts),
        "broken": len(broken),
        "reasons": [{"file": _name(values, row), "reason": reason} for row, reason in broken[:MAX_NAMES]],
        "twice": _duplicates(values, labels, parts),
    }


def _measure(values: pa.Array, count: int, most: int, reading: Reading) -> tuple[list[int], list[Facts | str | None]]:
    """Rows, evenly spaced, and what each holds; the reason where it cannot be used, None where it is missing."""

    column = _cells.cells(values)

    def one(row: int) -> Facts | str | None:
        if not values[row].is_valid:
            return None
        body, reason = _cells.body(column, row)
        pixels = None
        if body is not None:
            pixels, reason = codec.pixels(body, most, reading=reading)
        if pixels is None or body is None:
            return reason
        spread = pixels.max(axis=2) - pixels.min(axis=2)
        form = headers.format_of(body) or ""
        return Facts(pixels.shape[0], pixels.shape[1], not (spread > 2).any(), form, frames.has_more(body))

    rows = (
        np.unique(np.linspace(0, len(values) - 1, min(len(values), count)).astype(int)).tolist() if len(values) else []
    )
    codec.opencv()
    with quiet(), ThreadPoolExecutor(os.cpu_count()) as pool:
        return rows, list(pool.map(one, rows))


def _span(sides: list[int]) -> list[int]:
    """Smallest, median and largest."""
    return [min(sides), int(np.median(sides)), max(sides)] if sides else []


def _classes(labels: list[Any], parts: list[Any]) -> list[dict[str, Any]]:
    """Images of each class, by part where there are any."""
    counts: dict[str, Counter] = defaultdict(Counter)
    for label, part in zip(labels, parts or ["all"] * len(labels), strict=True):
        counts[str(label)][str(part)] += 1
    names = sorted(counts, key=lambda label: (not label.isdigit(), int(label) if label.isdigit() else 0, label))
    return [{"class": label, "all": counts[label].total(), "parts": dict(counts[label])} for label in names]


def _name(values: pa.Array, row: int) -> str:
    return values[row].as_py()["path"] or f"image {row + 1}"


def _duplicates(values: pa.Array, labels: list[Any], parts: list[Any]) -> dict[str, Any]:
    """Groups of images with the very same bytes; which of them differ in label, or stand in different parts."""
    column = _cells.cells(values)
    lengths: dict[int, list[int]] = defaultdict(list)
    for row, cell in enumerate(values):
        if cell.is_valid:
            lengths[_length(cell)].append(row)
    groups: dict[bytes, list[int]] = defaultdict(list)
    for rows in lengths.values():
        for row in rows if len(rows) > 1 else ():
            body, _ = _cells.body(column, row)
            if body:
                groups[hashlib.blake2b(body, digest_size=16).digest()].append(row)
    same = [rows for rows in groups.values() if len(rows) > 1]
    unlike = [rows for rows in same if labels and len({labels[row] for row in rows}) > 1]
    across = [rows for rows in same if parts and len({parts[row] for row in rows}) > 1]
    first = sorted(same, key=lambda rows: rows not in unlike)[:MAX_NAMES]
    return {
        "groups": len(same),
        "copies": sum(len(rows) - 1 for rows in same),
        "different_labels": len(unlike),
        "across_parts": len(across),
        "files": [[_name(values, row) for row in rows[:4]] for rows in first],
    }


def _length(cell: pa.Scalar) -> int:
    value = cell.as_py()
    if value["bytes"] is not None:
        return len(value["bytes"])
    try:
        return os.stat(value["path"]).st_size
    except (OSError, ValueError):
        return -1


def summarize(facts: Mapping[str, Any]) -> tuple[list[Lines], list[Line]]:
    """What `survey` gave, for people: counts by class and part as a table, and lines."""
    classes, count = facts["classes"], facts["images"]
    tables = [_class_table(classes)] if 1 < len(classes) <= count // 2 else []
    sampled = "" if facts["sample_size"] >= count else f" ({facts['sample_size']:,} of them looked at)"
    formats = ", ".join(f"{number:,} {form}" for form, number in facts["formats"].items())
    lines = [Line(facts["column"], f"  {count:,} images{sampled}: {formats or 'none can be decoded'}")]
    for side in ("width", "height") if facts["width"] else ():
        low, middle, high = facts[side]
        size = f"{low:,} px" if low == high else f"{low:,} to {high:,} px, median {middle:,}"
        lines.append(Line("", f"  {side:<8}{size}"))
    if facts["width"]:
        mixed = f"{facts['colour']:,} in colour, {facts['grey']:,} grey"
        lines.append(
            Line(
                "", f"  colours {mixed if facts['colour'] and facts['grey'] else 'all' if facts['colour'] else 'grey'}"
            )
        )
    twice = facts["twice"]
    if twice["groups"]:
        which = f"{twice['across_parts']:,} across parts, {twice['different_labels']:,} with different labels"
        lines.append(Line("twice", f"   {twice['copies']:,} images are exact copies of another: {which}", True))
        lines += [Line("", f"          {' = '.join(files)}") for files in twice["files"][:LINES]]
    if facts["broken"]:
        lines.append(Line("broken", f"  {facts['broken']:,} images cannot be used", True))
        lines += [Line("", f"          {one['file']}: {one['reason']}") for one in facts["reasons"][:LINES]]
    return tables, lines


def _class_table(classes: list[dict[str, Any]]) -> Lines:
    """Heads and a row for each class: how many images, by part where there is more than one."""
    parts = sorted({part for c in classes for part in c["parts"]}, key=lambda part: (part == "test", part))
    parts = parts if len(parts) > 1 else []
    rows = [(c["class"], *(f"{c['parts'].get(part, 0):,}" for part in parts), f"{c['all']:,}") for c in classes]
    return [("class", *parts, "images"), *rows]
