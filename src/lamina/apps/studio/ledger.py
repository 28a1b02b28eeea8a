"""The runs of the folder, as their files tell of them: nothing of a run is remembered elsewhere."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lamina import experiment, recipe
from lamina.apps.studio import processes
from lamina.config import LaminaError, load_yaml
from lamina.evaluate.metrics import higher
from lamina.plugins import available
from lamina.resources import disk
from lamina.run import Run, fresh_folder
from lamina.schema import Row

RUNS = Path("runs")
FIRST_RECIPE, OUTPUT, LOCK = "started.yaml", "output.log", ".process"
FAULT = "lamina: "  # before each sentence on what went wrong

State = Literal["running", "finished", "stopped"]


class Entry(NamedTuple):
    """A run with what it is doing: the number of its process, and what its report says, where there is one."""

    run: Run
    process: int | None
    report: Row

    @property
    def name(self) -> str:
        return self.run.folder.name

    @property
    def state(self) -> State:
        return "running" if self.process else "finished" if self.run.done.exists() else "stopped"

    @property
    def recipe_file(self) -> Path:
        """The recipe with every choice; before there is one, that by which it was started."""
        return self.run.recipe_file if self.run.recipe_file.exists() else self.run.folder / FIRST_RECIPE

    @property
    def changed(self) -> float:
        """When it was finished, or came as far as it is."""
        files = (self.run.done, self.run.rows_file, self.recipe_file)
        return next((file.stat().st_mtime for file in files if file.exists()), 0.0)

    def faults(self) -> list[str]:
        """Why it ended early, as the command line says it."""
        lines = processes.lines(self.run.folder / OUTPUT)
        return [line.removeprefix(FAULT) for line in lines if line.startswith(FAULT)]


def entry(name: str) -> Entry | None:
    """The run of a name; None where there is none."""
    folder = RUNS / name
    run = Run(folder)
    if (
        name in ("", ".", "..")
        or "/" in name
        or not any((folder / file).exists() for file in (FIRST_RECIPE, run.recipe_file.name, run.done.name))
    ):
        return None
    process = processes.holder(folder / LOCK) or processes.holder(folder / ".lock")
    return Entry(run, process, _report(folder / "report.json") if run.done.exists() else {})


def entries() -> list[Entry]:
    """All of them, the newest first."""
    names = [path.name for path in RUNS.iterdir() if path.is_dir()] if RUNS.is_dir() else []
    runs = [one for name in names if (one := entry(name))]
    return sorted(runs, key=lambda one: one.changed, reverse=True)


def _report(path: Path) -> Row:
    try:
        report = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):  # of a run whose files somebody took away
        return {}
    return report if isinstance(report, dict) else {}


def start(text: str, name: str) -> str:
    """Train by a recipe in a new run, in a process of its own; returns the name of the run.

    Errors: LaminaError where the folder cannot be written.
    """
    run = Run.create(fresh_folder(name))
    disk.write_text(run.folder / FIRST_RECIPE, text, overwrite=False)
    words = ["train", str(run.folder / FIRST_RECIPE), "--out", str(run.folder)]
    processes.start(words, run.folder / LOCK, run.folder / OUTPUT)
    return run.folder.name


def resume(one: Entry) -> None:
    """Go on with a run that was stopped; one that never got as far as training begins again."""
    folder = one.run.folder
    again = ["train", str(folder / FIRST_RECIPE), "--out", str(folder)]
    words = ["train", "--resume", str(folder)] if one.run.recipe_file.exists() else again
    processes.start(words, folder / LOCK, folder / OUTPUT)


def values(one: Entry) -> Row:
    """Its recipe as plain values; empty where it cannot be read."""
    try:
        settings = load_yaml(one.recipe_file.read_text("utf-8"), str(one.recipe_file))
    except (OSError, LaminaError):
        return {}
    return settings if isinstance(settings, dict) else {}


def comparison(runs: Sequence[Entry]) -> list[Row]:
    """A row for each run: what it is, what it is worth beside the best of its baselines, and what it took."""
    return [_row(one) for one in runs]


def _row(one: Entry) -> Row:
    report, settings = one.report, values(one)
    primary, scores = report.get("primary", ""), report.get("scores", {})
    interval = report.get("interval") or (None, None)
    return {
        "run": one.name,
        "state": one.state,
        "task": report.get("task") or _kind(settings.get("task")),
        "target": report.get("target") or settings.get("target") or "",
        "model": report.get("model", {}).get("kind") or _kind(settings.get("model")),
        "score": primary,
        "value": scores.get(primary),
        "low": interval[0],
        "high": interval[1],
        "baseline": best_baseline(report),
        "seconds": report.get("training", {}).get("seconds"),
        "size": _size(one.run.bundle) or None,
        "changed": datetime.fromtimestamp(one.changed),
    }


def best_baseline(report: Row) -> float | None:
    """The best score of a baseline by the main score of a run."""
    task, primary = report.get("task"), report.get("primary", "")
    if task in available("tasks"):
        experiment.of(task)  # a task has scores of its own, which say whether more is better
    scores = [value for one in report.get("baselines", {}).values() if (value := one.get(primary)) is not None]
    return None if not scores else max(scores) if higher(primary) else min(scores)


def _kind(value: Any) -> str:
    return value if isinstance(value, str) else value.get("kind", "") if isinstance(value, dict) else ""


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) if folder.is_dir() else 0


def recipe_text(one: Entry) -> str:
    """Its recipe as YAML."""
    return recipe.to_yaml(values(one))
