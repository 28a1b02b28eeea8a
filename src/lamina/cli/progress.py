"""A run while it goes on: what was collected and designed, and how training stands."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from lamina.cli import column_statistics
from lamina.cli.console import columns, err, layers, notes, out, skipped_rows
from lamina.evaluate.markup import number
from lamina.evaluate.metrics import label
from lamina.evaluate.report import column_notes
from lamina.schema import Row

SETTING = "--set"  # in a note that says how to choose otherwise, which the table of columns may cut short
NARROW, WIDE = 8, 96  # characters of the shortest bar, and of a terminal that has room for all words
LIVE = ("step", "epoch")  # rows that are shown in one line that changes


def training(rows: Iterator[Row], folder: Path, quiet: bool) -> Row:
    """Pull the rows of a run, showing where it stands; returns its result."""
    console = err if quiet else out
    row: Row = {}
    live: Live | None = None
    sentences = set[str]()
    stand = Standing()
    try:
        for row in rows:
            row = stand.add(row)
            if row["at"] in LIVE and console.is_terminal:
                if live is None:
                    live = Live(console=console, refresh_per_second=8, transient=True)
                    live.start()
                live.update(_progress(row, console.width))
            elif live is not None and row["at"] not in LIVE:
                live.stop()
                live = None
            notes([note for note in row.get("notes", ()) if note not in sentences], console)
            sentences |= {*row.get("notes", ()), *(column_notes(row["schema"].columns) if "schema" in row else ())}
            _show(console, row, folder, quiet)
    finally:
        if live is not None:
            live.stop()
    return {name: value for name, value in row.items() if name != "at"}


class Standing:
    """How many epochs a run will have, and how long it goes on at least: until its patience is over, where no epoch is
    better any more.
    """

    def __init__(self) -> None:
        self.epochs, self.patience, self.best, self.budget = 0, 0, 0, False

    def add(self, row: Row) -> Row:
        """A row of training with `of`, the epochs in all, and `least`, the seconds left until an early end."""
        if row["at"] == "design":
            cfg = row["train"]
            self.epochs, self.patience, self.budget = cfg.epochs, cfg.patience or 0, bool(cfg.budget or cfg.plan)
        if row["at"] not in LIVE:
            return row
        if row["at"] == "epoch" and self.budget and row["step"]:
            self.epochs = max(row["epoch"], round(row["steps"] * row["epoch"] / row["step"]))
        self.best = row["epoch"] if row.get("best") else self.best
        over = row["step"] / max(row["steps"], 1) * self.epochs
        early = min(self.epochs, self.best + self.patience) if self.patience and not self.budget else self.epochs
        share = max(0.0, early - over) / (self.epochs - over) if over < self.epochs else 1.0
        return {**row, "of": self.epochs, "least": row["left"] * min(1.0, share)}


def _show(console: Console, row: Row, folder: Path, quiet: bool) -> None:
    at = row["at"]
    if at == "collect" and not quiet:
        parts = f"{row['train']:,} to train, {row['validation']:,} to validate, {row['test']:,} to test"
        console.print(f"[bold]{row['used']:,} rows[/]: {parts}; {row['skipped']:,} skipped")
        console.print(f"task: {row['task']} of {escape(row['subject'])}")
        skipped_rows(row["reasons"])
        console.print(columns([c.model_dump(mode="json") for c in row["schema"].columns]))
        column_statistics.show(row["statistics"], console)
        notes([note for note in column_notes(row["schema"].columns) if SETTING in note], console)
    elif at == "design" and not quiet:
        console.print(layers(row["layers"]))
        cfg = row["train"]
        until = f"{cfg.plan[-1][1]:,} steps" if cfg.plan else f"{cfg.epochs} epochs"
        until = f"{cfg.budget:g} s" if cfg.budget else until
        console.print(
            f"Training [bold]{row['kind']}[/] for {until} of batches of {cfg.batch_size} on {cfg.device} "
            f"({cfg.precision}, {cfg.threads} thread{'s' if cfg.threads != 1 else ''}), into {escape(str(folder))}"
        )
    elif at == "epoch" and not console.is_terminal:
        console.print(_line(row), soft_wrap=True)
    elif at == "evaluate" and not quiet:
        console.print("Evaluating on the test rows, beside baselines ...")
    elif at == "end" and not quiet:
        best = f"Best after epoch {row['best_epoch']} ({row['best_weights']} weights)"
        console.print(f"{best}, {row['elapsed']:.1f} s: {row['done']}")


def _line(row: Row) -> str:
    return (
        f"epoch {row['epoch']}/{row['of']}  loss {row['loss']:.4f}  validation {row['validation_loss']:.4f}  "
        f"{label(row['score_name'])} {number(row['score'])}  {row['rate']:,.0f} steps/s  {row['seconds']:.1f} s  "
        f"ETA {_left(row)}{'  *' if row['best'] else ''}"
    )


def _progress(row: Row, width: int) -> Table:
    line = Table.grid(padding=(0, 2))
    share = row["seconds"] / max(row["seconds"] + row["left"], 1e-9)
    words = [f"epoch {row['epoch']}/{row['of']}", f"loss {row['loss']:.4f}"]
    if row["at"] == "epoch":
        words += [f"validation {row['validation_loss']:.4f}", f"{label(row['score_name'])} {number(row['score'])}"]
    words += [f"{row['rate']:,.0f} steps/s"] if width >= WIDE else []
    words += [f"ETA {_left(row)}"]
    while len(text := "  ".join(words)) > width and len(words) > 2:
        del words[1]  # no number is cut: what matters most stands first and last
    room = min(24, width - len(text) - 2)
    bar = [ProgressBar(total=1.0, completed=share, width=room)] if room >= NARROW else []
    line.add_row(*bar, text)
    return line


def _left(row: Row) -> str:
    """The time that is left (ETA), at least and at most where training may end early."""
    least, most = _time(row["least"]), _time(row["left"])
    return most if least == most else f"{least} to {most}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
