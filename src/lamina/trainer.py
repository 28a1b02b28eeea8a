"""The Python face of training: `fit` a table in memory."""

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamina import pipeline
from lamina.data import arrays
from lamina.deploy import importing
from lamina.deploy.predictor import Predictor
from lamina.estimator import Estimator
from lamina.evaluate import live_curves
from lamina.plugins import Settings, kind, plugin
from lamina.recipe import Recipe, build
from lamina.resources import disk
from lamina.run import Run
from lamina.schema import Collected, text_columns


def fit(
    rows: Any,
    target: str | None = None,
    *,
    test: Any = None,
    recipe: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
) -> Estimator:
    """Train on rows in memory and return what predicts, or what generates, for which no target is needed.

    `recipe` holds any other choice as plain values: `{"model": "fnn", "train": {"budget": "60s"}}`. `test`: rows kept
    for judging only. Times in the index of a pandas frame are a column for a forecast. The run directory is `out`, or a
    temporary one that lives as long as the estimator. A notebook shows the curves meanwhile. Raises `LaminaError` with
    a sentence for anything that cannot be done.
    """
    choices = build({**(recipe or {}), "data": {"kind": "arrays"}, **({} if target is None else {"target": target})})
    sources = _collected(rows, choices), _collected(test, choices) if test is not None else None
    if out:
        return _fit(choices, Path(out), sources)
    folder = disk.temporary_folder()
    try:
        estimator = _fit(choices, folder / "run", sources)
    except BaseException:
        disk.remove(folder)
        raise
    weakref.finalize(estimator, disk.remove, folder)
    return estimator


def import_model(
    path: str | Path,
    out: str | Path,
    *,
    task: str | None = None,
    column: str | None = None,
    target: str = importing.LABEL,
    overwrite: bool = False,
) -> Estimator:
    """Make a bundle of a network of Hugging Face that others trained, without training, and return what predicts.

    `path`: its folder, or its name on the hub; `out`: where the bundle is written. `task` is known by its architecture
    when left out; `column` is the name of what it reads, `text` or `image`, and `target` that of the labels in rows
    that have some. Raises `LaminaError` with a sentence for anything that cannot be done.
    """
    result = importing.write(str(path), Path(out), task, importing.Names(column, target), overwrite)
    return Estimator(Predictor(Path(out)), result)


def _collected(rows: Any, recipe: Recipe) -> Collected:
    """Rows in memory; an array of pictures is the column `image`, and times in an index are a column where a task says
    so, or where they stand beside a single column, which leaves nothing else.
    """
    rows = arrays.with_label_sets(rows, recipe.target)
    pictures = [name for name, cfg in recipe.columns.items() if kind(cfg) == "image"]
    if isinstance(rows, np.ndarray) and rows.dtype == np.uint8 and rows.ndim in (3, 4):
        return Collected(arrays.table({"image": rows}))
    if recipe.task is not None and not isinstance(recipe.task, Settings):
        table = arrays.table(plugin("tasks", kind(recipe.task)).Task.frame(rows), pictures)
        return Collected(table, literal=text_columns(table))
    with_times = arrays.timed(rows)
    lone = with_times is not rows and with_times.shape[1] == 2
    table = arrays.table(with_times if lone else rows, pictures)
    return Collected(table, literal=text_columns(table))


def _fit(choices: Recipe, folder: Path, sources: tuple[Collected, Collected | None]) -> Estimator:
    run = Run.create(folder)
    with run.locked():
        *_, last = live_curves.show(pipeline.run(choices, run, sources))
    return Estimator(Predictor(run.bundle), {k: v for k, v in last.items() if k != "at"})
