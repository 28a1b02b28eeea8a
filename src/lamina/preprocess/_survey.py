"""What a column of pictures holds, before anything is trained: how many of which class, sizes, what is broken."""

import hashlib
import os
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.preprocess import _decode, image

MOST = 5000  # pictures decoded; the rest is only counted
NAMED = 20


def survey(values: pa.Array, cfg: image.Config, labels: list[Any], parts: list[Any]) -> dict[str, Any]:
    """Plain values about pictures (cells `{path, bytes}`); `labels` and `parts` may be empty.

    At most 5,000 pictures, evenly spaced, are decoded: `looked` says how many. Files of the same bytes are found among
    all of them; only those of the same length are read for it.
    """
    cells = values.to_pylist()
    rows = np.unique(np.linspace(0, len(cells) - 1, min(len(cells), MOST)).astype(int)).tolist() if cells else []
    seen = image.threaded(lambda row: _looked(cells[row], cfg.max_pixels), rows)
    sound = [found for found in seen if isinstance(found, tuple)]
    broken = [(row, found) for row, found in zip(rows, seen, strict=True) if isinstance(found, str)]
    heights, widths = [found[0] for found in sound], [found[1] for found in sound]
    return {
        "pictures": len(cells) - values.null_count,
        "looked": len(rows),
        "width": _span(widths),
        "height": _span(heights),
        "grey": sum(found[2] for found in sound),
        "colour": sum(not found[2] for found in sound),
        "formats": dict(Counter(found[3] for found in sound).most_common()),
        "classes": _classes(labels, parts),
        "broken": len(broken),
        "reasons": [{"file": _name(cells[row], row), "reason": reason} for row, reason in broken[:NAMED]],
        "twice": _twice(cells, labels, parts),
    }


def _looked(cell: dict[str, Any] | None, most: int) -> tuple[int, int, bool, str] | str | None:
    """Height, width, whether grey, and format; or the reason why there is none."""
    if cell is None:
        return None
    body, reason = image.body(cell)
    pixels = None
    if body is not None:
        pixels, reason = _decode.pixels(body, most)
    if pixels is None or body is None:
        return reason
    return pixels.shape[0], pixels.shape[1], image.is_grey(pixels), _decode.format_of(body) or ""


def _span(sides: list[int]) -> list[int]:
    """Smallest, median and largest."""
    return [min(sides), int(np.median(sides)), max(sides)] if sides else []


def _classes(labels: list[Any], parts: list[Any]) -> list[dict[str, Any]]:
    """Pictures of each class, by part where there are any."""
    found: dict[str, Counter] = defaultdict(Counter)
    for label, part in zip(labels, parts or ["all"] * len(labels), strict=True):
        found[str(label)][str(part)] += 1
    named = sorted(found, key=lambda label: (not label.isdigit(), int(label) if label.isdigit() else 0, label))
    return [{"class": label, "all": found[label].total(), "parts": dict(found[label])} for label in named]


def _name(cell: dict[str, Any] | None, row: int) -> str:
    return (cell or {}).get("path") or f"picture {row + 1}"


def _twice(cells: list[Any], labels: list[Any], parts: list[Any]) -> dict[str, Any]:
    """Groups of pictures with the very same bytes; which of them differ in label, or stand in different parts."""
    lengths: dict[int, list[int]] = defaultdict(list)
    for row, cell in enumerate(cells):
        if cell is not None:
            lengths[_length(cell)].append(row)
    groups: dict[bytes, list[int]] = defaultdict(list)
    for rows in lengths.values():
        for row in rows if len(rows) > 1 else ():
            body, _ = image.body(cells[row])
            if body:
                groups[hashlib.blake2b(body, digest_size=16).digest()].append(row)
    same = [rows for rows in groups.values() if len(rows) > 1]
    unlike = [rows for rows in same if labels and len({labels[row] for row in rows}) > 1]
    across = [rows for rows in same if parts and len({parts[row] for row in rows}) > 1]
    first = sorted(same, key=lambda rows: rows not in unlike)[:NAMED]
    return {
        "groups": len(same),
        "copies": sum(len(rows) - 1 for rows in same),
        "different_labels": len(unlike),
        "across_parts": len(across),
        "files": [[_name(cells[row], row) for row in rows[:4]] for rows in first],
    }


def _length(cell: dict[str, Any]) -> int:
    if cell["bytes"] is not None:
        return len(cell["bytes"])
    try:
        return os.stat(cell["path"]).st_size
    except (OSError, ValueError):
        return -1
