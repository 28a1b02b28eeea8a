"""The Python face of training: `fit` rows in memory, a file, or a recipe."""

import json
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from lamina import pipeline
from lamina.config import LaminaError, RecipeError
from lamina.data import _python_rows, arrays
from lamina.deploy import importing
from lamina.deploy.predictor import Predictor
from lamina.estimator import Estimator
from lamina.evaluate import live_curves
from lamina.evaluate.python_words import in_python
from lamina.plugins import Settings, kind, plugin
from lamina.recipe import Recipe, build, from_words, read
from lamina.resources import disk
from lamina.run import Run
from lamina.schema import Collected, text_columns

RECIPES = (".yaml", ".yml")


def fit(  # noqa: PLR0913 - one argument per option of the command line
    rows: Any,
    target: Any = None,
    *,
    test: Any = None,
    recipe: str | Path | Mapping[str, Any] | None = None,
    task: str | Mapping[str, Any] | None = None,
    model: str | Mapping[str, Any] | None = None,
    columns: Mapping[str, Any] | None = None,
    preset: str | None = None,
    budget: str | float | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    verbose: bool | None = None,
) -> Estimator:
    """Train on rows and return what predicts, or what generates, for which no target is needed.

    `rows`: a pandas or polars frame, an Arrow table, a dict of columns, a list of dicts, arrays; or the path of a file,
    a folder or a recipe, as on the command line. `target`: the name of a column, or one value for each row:
    `fit(X, y)`. `test`: rows kept for evaluating only, or a pair of X and y. Times in the index of a pandas frame are a
    column for a forecast.

    `recipe` holds any other choice, as plain values or as the path of a recipe, such as that of an earlier run; the
    options beside it, called as those of `lamina train`, stand over it: `fit(rows, "y", model="fnn", budget="60s")`.
    The run directory is `out`, or a temporary one that lives as long as the estimator.

    A notebook shows the curves meanwhile, a terminal a line for epochs; `verbose=False` nothing, `verbose=True` lines
    anywhere. Raises `LaminaError` with a sentence for anything that cannot be done.
    """
    with _sentences():
        if target is not None and not isinstance(target, str | int | np.integer):
            rows, target = _python_rows.with_target(rows, target)
            if isinstance(test, tuple) and len(test) == 2:
                test, _ = _python_rows.with_target(*test, target)
        options = {"task": task, "model": model, "columns": columns, "preset": preset, "train.budget": budget}
        options |= {"train.epochs": epochs, "train.batch_size": batch_size, "train.lr": lr, "seed": seed}
        options |= {"target": target if target is None else str(target)}
        choices, sources = _choices(rows, test, recipe, options)
        if out is not None:
            return _fit(choices, _python_rows.as_path(out, "out"), sources, verbose)
        folder = disk.temporary_folder()
        try:
            estimator = _fit(choices, folder / "run", sources, verbose)
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
    with _sentences():
        result = importing.write(str(path), Path(out), task, importing.Names(column, target), overwrite)
        return Estimator(Predictor(Path(out)), result)


def _choices(
    rows: Any, test: Any, recipe: Any, options: Mapping[str, Any]
) -> tuple[Recipe, tuple[Collected | None, Collected | None]]:
    """The recipe with options over it, and the rows that are in memory."""
    if _python_rows.is_path(rows):
        if recipe is not None and _python_rows.as_path(rows, "rows").suffix in RECIPES:
            raise RecipeError(["recipe: is given twice, as rows and as recipe. Give one of them."])
        if test is not None and not _python_rows.is_path(test):
            raise RecipeError([f"test: must be a path, as the rows are (got '{type(test).__name__}'). Give one."])
        overrides = _overrides({**options, "data.test": None if test is None else os.fspath(test)})
        if recipe is None:
            return from_words([str(_python_rows.as_path(rows, "rows"))], overrides), (None, None)
        return _recipe(recipe, [f"data={json.dumps(os.fspath(rows), ensure_ascii=False)}", *overrides]), (None, None)
    if _python_rows.is_path(test):
        raise RecipeError(["test: is a path, and the rows are in memory. Give both in one way."])
    choices = _recipe({} if recipe is None else recipe, ['data={"kind": "arrays"}', *_overrides(options)])
    return choices, (_collected(rows, choices), None if test is None else _collected(test, choices))


def _recipe(recipe: Any, overrides: Sequence[str]) -> Recipe:
    if _python_rows.is_path(recipe):
        return read(Path(recipe), overrides)
    return build(_plain(recipe, "recipe"), overrides)


def _overrides(options: Mapping[str, Any]) -> list[str]:
    plain = {key: _plain(value, key) for key, value in options.items() if value is not None}
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in plain.items()]


def _plain(value: Any, place: str) -> Any:
    """A choice as plain values. Errors: RecipeError for one that is none."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, date | os.PathLike):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(one, f"{place}.{name}") for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, f"{place}[{i}]") for i, one in enumerate(value)]
    raise RecipeError(
        [f"{place}: must be a plain value, a list or a dict (got '{type(value).__name__}'). Write it out."]
    )


def _collected(rows: Any, recipe: Recipe) -> Collected:
    """Rows in memory; an array of images is the column `image`, and times in an index are a column where a task says
    so, or where they stand beside a single column, which leaves nothing else.
    """
    rows = _python_rows.as_columns(arrays.with_label_sets(rows, recipe.target))
    image_columns = [name for name, cfg in recipe.columns.items() if kind(cfg) == "image"]
    if recipe.task is not None and not isinstance(recipe.task, Settings):
        table = arrays.table(plugin("tasks", kind(recipe.task)).Task.frame(rows), image_columns)
        return Collected(table, literal=text_columns(table))
    with_times = arrays.timed(rows)
    lone = with_times is not rows and with_times.shape[1] == 2
    table = arrays.table(with_times if lone else rows, image_columns)
    return Collected(table, literal=text_columns(table))


def _fit(
    choices: Recipe, folder: Path, sources: tuple[Collected | None, Collected | None], verbose: bool | None
) -> Estimator:
    run = Run.create(folder)
    with run.locked():
        *_, last = live_curves.show(pipeline.run(choices, run, sources), verbose)
    return Estimator(Predictor(run.bundle), {k: v for k, v in last.items() if k != "at"})


@contextmanager
def _sentences() -> Iterator[None]:
    """Within it, errors name what is to be given in Python, and not the options of the command line."""
    try:
        yield
    except LaminaError as error:
        error.args = tuple(in_python(text) if isinstance(text, str) else text for text in error.args)
        raise
