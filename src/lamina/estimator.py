"""The Python face: `fit` a table in memory, then `predict`, `evaluate`, `save`; `load` a bundle from disk."""

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lamina.data import arrays
from lamina.deploy import bundle
from lamina.deploy.predictor import Predictor
from lamina.plugins import kind, plugin
from lamina.recipe import Recipe, build
from lamina.schema import Collected, Row


class Estimator:
    """A trained network with its preprocessing. Answers come in the type the rows came in."""

    def __init__(self, predictor: Predictor, result: Row | None = None):
        self.predictor = predictor
        self.result = result or {}

    def predict(self, rows: Any) -> Any:
        """Answers, one per row: `prediction`, and `probabilities` by class or the interval `low` to `high`; of a
        forecast one per step after the rows, which are the history.

        `rows`: pandas or polars frame, Arrow table, list of dicts, dict of columns, or 2-D NumPy array. Columns may be
        absent, extra or in any order. A picture is a path, bytes, a uint8 array (red first) or a PIL image.

        A `gan` says how real its critic finds pictures or rows: `score`, the share of held-out real ones that it finds
        less real (0 to 1), and `raw`, what it gave. The class is looked at where the rows have it.
        """
        return self.predictor.predict(rows)

    def generate(self, count: int, seed: int = 0, label: Any = None, where: Any = None) -> Any:
        """New pictures (count, height, width, channels) uint8, red first, or rows as an Arrow table.

        `label`: the class of all, or several that are taken in turn; as often as in training when left out. `where`:
        what every row has to meet, as `["Contract=Two year", "tenure>=24"]` or as values by column, `{"Contract":
        "Two year"}`. The same seed makes the same, here, on the command line and on a server. Only for a bundle of the
        task generation.
        """
        return self.predictor.generate(count, seed, label, where)

    def evaluate(self, rows: Any) -> dict[str, float | None]:
        """Scores by metric on rows that hold the target too; the first is the primary one. Of a generator: how near
        what it makes is to these rows.
        """
        from lamina.tasks._supervised.evaluation import judged

        if self.predictor.framed:
            rows = arrays.timed(rows, self.predictor.state.time[0] if len(self.predictor.state.time) == 1 else None)
        return judged(self.predictor, Collected(arrays.table(rows, self.predictor.pictures)), arrays.Config())["scores"]

    def save(self, path: str | Path) -> Path:
        """Write the bundle: a directory, or one file when the name ends in `.lamina`."""
        path = Path(path)
        if path.suffix == ".lamina":
            return bundle.pack(self.predictor.bundle.path, path)
        if path.exists():
            shutil.rmtree(path)
        return Path(shutil.copytree(self.predictor.bundle.path, path))

    def __repr__(self) -> str:
        found = self.predictor.bundle
        of = f" of '{self.predictor.target}'" if self.predictor.target else ""
        return f"<lamina {found.task.kind}{of} by {found.model.kind}, bundle {found.id}>"


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
    temporary one that lives as long as the estimator. Raises `LaminaError` with a sentence for anything that cannot be
    done.
    """
    said = {} if target is None else {"target": target}
    choices = build({**(recipe or {}), "data": {"kind": "arrays"}, **said})
    if _in_time(choices, rows):
        rows, test = arrays.timed(rows), arrays.timed(test)
    given = _collected(rows), _collected(test) if test is not None else None
    if out:
        return _fitted(choices, Path(out), given)
    home = Path(tempfile.mkdtemp(prefix="lamina-"))
    try:
        estimator = _fitted(choices, home / "run", given)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    weakref.finalize(estimator, shutil.rmtree, home, ignore_errors=True)
    return estimator


def _collected(rows: Any) -> Collected:
    """Rows in memory; an array of pictures is the column `image`."""
    alone = isinstance(rows, np.ndarray) and rows.dtype == np.uint8 and rows.ndim in (3, 4)
    return Collected(arrays.table({"image": rows} if alone else rows))


def _in_time(recipe: Recipe, rows: Any) -> bool:
    """Whether times in an index are data: for a forecast, and beside a single column, which leaves nothing else."""
    if recipe.task is not None:
        return bool(vars(plugin("tasks", kind(recipe.task))).get("framed"))
    given = arrays.timed(rows)
    return given is not rows and given.shape[1] == 2


def _fitted(choices: Recipe, folder: Path, given: tuple[Collected, Collected | None]) -> Estimator:
    from lamina import pipeline
    from lamina.run import Run

    run = Run.create(folder)
    with run.locked():
        *_, last = pipeline.run(choices, run, given)
    return Estimator(Predictor(run.bundle), {k: v for k, v in last.items() if k != "at"})


def load(path: str | Path) -> Estimator:
    """Open a bundle (a directory, a `.lamina` file, or the run directory that holds one), checked and self-tested."""
    return Estimator(Predictor(located(path)))


def located(path: str | Path) -> Path:
    """The bundle itself, when a run directory was named."""
    inside = Path(path) / "bundle"
    return inside if inside.is_dir() else Path(path)
