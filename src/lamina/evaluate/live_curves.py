"""The curves of a run while it goes on, in the output of a notebook's cell: one display, which changes."""

import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from lamina.evaluate import notebook
from lamina.evaluate.markup import number, seconds
from lamina.evaluate.metrics import label
from lamina.schema import Row

PAUSE = 0.5  # seconds between changes of the display


class Curves:
    """What is shown of a run so far: as HTML in a notebook, as a line of text elsewhere."""

    def __init__(self) -> None:
        self.epochs: list[Row] = []
        self.notes: dict[str, None] = {}
        self.head, self.tail, self.planned = "Reading the rows.", "", ""

    def add(self, row: Row) -> None:
        """Take in one row of a run."""
        self.notes |= dict.fromkeys(map(str, row.get("notes", ())))
        match row["at"]:
            case "collect":
                parts = f"{row['train']:,} to train, {row['validation']:,} to validate, {row['test']:,} to test"
                self.head = f"{row['used']:,} rows: {parts}; {row['skipped']:,} skipped."
            case "design":
                parameters = sum(layer["parameters"] for layer in row["layers"])
                self.head += f" Training {row['kind']} with {parameters:,} parameters."
                self.planned = "" if row["train"].budget or row["train"].plan else f"/{row['train'].epochs:,}"
            case "epoch":
                self.epochs.append({name: value for name, value in row.items() if name != "preview"})
                self.tail = f"Epoch {row['epoch']:,}{self.planned}: loss {number(row['loss'])}, validation loss "
                self.tail += f"{number(row['validation_loss'])}, {label(row['score_name'])} {number(row['score'])}; "
                self.tail += f"{seconds(row['seconds'])}, ETA {seconds(row['left'])}."
            case "end":
                self.tail = f"Best after epoch {row['best_epoch']:,}, {seconds(row['elapsed'])}: {row['done']}."
            case "done":
                self.tail = f"{self.tail} Evaluated, and written as a bundle: {seconds(row['seconds'])} in all."

    def _repr_html_(self) -> str:
        return notebook.progress(self.head, self.epochs, self.tail, list(self.notes))

    def __repr__(self) -> str:
        return f"{self.head} {self.tail}".strip()


def show(rows: Iterator[Row], verbose: bool | None = None) -> Iterator[Row]:
    """The rows of a run as they come, with its curves below the cell of a notebook, or lines of text in a terminal.

    `verbose`: True for lines where there is neither, as in a file; False for nothing at all.
    """
    display = None if verbose is False else _display()
    if display is not None:
        yield from _in_display(rows, display)
    elif verbose or (verbose is None and sys.stderr.isatty()):
        yield from _in_lines(rows)
    else:
        yield from rows


def _in_display(rows: Iterator[Row], display: Any) -> Iterator[Row]:
    """With a display that changes."""
    curves, last = Curves(), time.monotonic()
    handle = display(curves, display_id=True)
    try:
        for row in rows:
            curves.add(row)
            if row["at"] != "step" and (row["at"] != "epoch" or time.monotonic() - last >= PAUSE):
                handle.update(curves)
                last = time.monotonic()
            yield row
    finally:
        handle.update(curves)


def _in_lines(rows: Iterator[Row]) -> Iterator[Row]:
    """With lines on standard error: what is trained, epochs with a pause between, and how it ended."""
    curves, last = Curves(), 0.0
    for row in rows:
        curves.add(row)
        if row["at"] == "design":
            print(curves.head, file=sys.stderr)
        elif row["at"] in ("end", "done") or (row["at"] == "epoch" and time.monotonic() - last >= PAUSE):
            print(curves.tail, file=sys.stderr)
            last = time.monotonic()
        yield row


def _display() -> Any:
    """The function that shows a thing in a notebook; None outside of one. IPython is there already, or not at all."""
    modules: Mapping[str, Any] = sys.modules
    shell = modules["IPython"].get_ipython() if "IPython" in modules else None
    if shell is None or not hasattr(shell, "kernel"):  # the shell of a terminal has none
        return None
    from IPython.display import display

    return display
