"""What a terminal shows while a run goes on: one line that moves, instead of a line for each epoch."""

import io

import pytest
from rich.console import Console

from conftest import customers
from lamina import pipeline
from lamina.cli import progress
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
    assert "validation 0." in text and "steps/s" in text and "left 0:0" in text
    assert "epoch 3  loss" not in text.splitlines()[-1] and "Best after epoch" in text
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
