"""What a terminal shows while a run goes on: one line that moves, instead of a line for each epoch."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from conftest import customers
from lamina import pipeline
from lamina.cli import console, progress
from lamina.data.arrays import table
from lamina.recipe import build
from lamina.run import Run
from lamina.schema import Collected

RECIPE = {"data": {"kind": "arrays"}, "target": "left", "model": {"kind": "fnn", "width": 8, "members": 1}}


@pytest.fixture
def terminal(monkeypatch) -> io.StringIO:
    """Everything that is written to a terminal of 100 columns."""
    text = io.StringIO()
    monkeypatch.setattr(progress, "out", Console(file=text, force_terminal=True, width=100, color_system=None))
    return text


def run_of(folder, epochs: int):
    recipe = build({**RECIPE, "train": {"epochs": epochs, "batch_size": 64}})
    return pipeline.run(recipe, Run.create(folder), (Collected(table(customers(160))), None))


def test_a_terminal_shows_the_run_in_one_line_that_moves(terminal, tmp_path):
    result = progress.training(run_of(tmp_path / "run", 3), tmp_path / "run", quiet=False)
    text = terminal.getvalue()
    assert result["bundle"] == str(tmp_path / "run" / "bundle")
    assert "rows: " in text and "to validate" in text and "Training fnn for 3 epochs" in text
    assert "validation 0." in text and "steps/s" in text and "ETA 0:0" in text
    assert "epoch 3/3  loss" not in text.splitlines()[-1] and "Best after epoch" in text
    assert "\x1b[2K" in text, "the line is drawn anew, not written below"


def test_a_run_that_stops_gives_the_terminal_back(terminal, tmp_path):
    def failing():
        for row in run_of(tmp_path / "run", 3):
            yield row
            if row["at"] == "epoch":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        progress.training(failing(), tmp_path / "run", quiet=False)
    assert terminal.getvalue().endswith("\x1b[?25h") or "\x1b[?25h" in terminal.getvalue()[-80:], "the cursor is back"


def test_no_number_is_cut_where_the_terminal_is_narrow(monkeypatch):
    text = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=text, width=50, color_system=None))
    heads = ("score", "network", *(f"baseline\nnumber {i}" for i in range(6)))
    rows = [(f"a score {n}", *(f"0.{n}{i}34567" for i in range(7))) for n in range(3)]
    console.compare(heads, rows)
    shown = text.getvalue()
    assert "…" not in shown
    assert all(cell in shown for row in rows for cell in row)
    assert max(map(len, shown.splitlines())) <= 50


def test_epochs_are_counted_and_the_time_left_knows_of_patience():
    cfg = SimpleNamespace(epochs=20, patience=5, budget=None, plan=None)
    standing = progress.Standing()
    standing.add({"at": "design", "train": cfg})
    row = standing.add({"at": "epoch", "epoch": 4, "best": True, "step": 40, "steps": 200, "left": 16.0})
    assert (row["of"], row["least"], row["left"]) == (20, 5.0, 16.0)
    row = standing.add({"at": "epoch", "epoch": 8, "best": False, "step": 80, "steps": 200, "left": 12.0})
    assert row["least"] == pytest.approx(1.0)
