"""The record of a run on disk, `rows.jsonl`: one row per epoch, read with care, since a file can hold anything."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from lamina.schema import Row

NUMBERS = ("loss", "lr", "validation_loss", "score", "rate", "seconds", "left")
TYPES = {"epoch": int, "step": int, "steps": int, "score_name": str, "weights": str, "best": bool}


def read(path: Path) -> tuple[list[Row], int]:
    """The rows of a record in order, and how many lines are none of its own.

    Epochs follow one another and have as many steps each, but the last, so lines of another run are told apart unless
    it was as long. A last line that was cut short by a kill is not counted.
    """
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    parsed = [_row(line) for line in lines]
    ratios = Counter(row["step"] / row["epoch"] for row in parsed if row)
    per_epoch = ratios.most_common(1)[0][0] if ratios else 0.0
    rows, foreign, last = list[Row](), 0, max((i for i, row in enumerate(parsed) if row), default=0)
    for i, row in enumerate(parsed[:-1] if parsed and parsed[-1] is None else parsed):
        if row and _follows(row, rows, foreign) and (row["step"] == row["epoch"] * per_epoch or i == last):
            rows.append(row)
        else:
            foreign += 1
    return rows, foreign


def _follows(row: Row, rows: list[Row], gap: int) -> bool:
    """Whether a row comes next, or as many later as there were lines between."""
    return not rows or 0 < row["epoch"] - rows[-1]["epoch"] <= gap + 1


def _row(line: bytes) -> Row | None:
    """One line as a row of training; None where it is not."""
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and _is_epoch(row) else None


def _is_epoch(row: dict[str, Any]) -> bool:
    numbers = all(type(row.get(name)) in (int, float) for name in NUMBERS)
    others = all(type(row.get(name)) is kind for name, kind in TYPES.items())
    notes, preview = row.get("notes", []), row.get("preview", "")
    remarks = isinstance(notes, list) and all(isinstance(note, str) for note in [*notes, preview])
    return row.get("at") == "epoch" and numbers and others and remarks and row["epoch"] > 0
