"""The Python face of a bundle: `load` it from disk, then `predict`, `evaluate`, `save`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lamina
from lamina.data import arrays
from lamina.deploy import bundle
from lamina.deploy.predictor import Predictor
from lamina.schema import Collected, Row


class Result(dict[str, Any]):
    """What a run came to: scores, those of baselines, notes, and where everything is. A table in a notebook."""

    def _repr_html_(self) -> str:
        from lamina.evaluate import notebook

        return notebook.result(self)


class Scores(dict[str, float | None]):
    """Scores by metric, None where the rows do not define one. A table in a notebook."""

    def _repr_html_(self) -> str:
        from lamina.evaluate import notebook

        return notebook.scores(self)


class Estimator:
    """A trained network with its preprocessing. Answers come in the type the rows came in.

    What a bundle can be asked beside `predict` are methods too: `model.generate(64, seed=1)`. They take rows first,
    where they take rows, then the settings of a request, by position or by name; `model.operations` lists them.
    """

    def __init__(self, predictor: Predictor, result: Row | None = None):
        self.predictor = predictor
        self.result = Result(result or {})

    @property
    def operations(self) -> dict[str, str]:
        """What can be asked, by name, each with a sentence."""
        return {operation.name: operation.summary for operation in self.predictor.operations}

    def predict(self, rows: Any) -> Any:
        """Answers, one per row: `prediction`, and `probabilities` by class or the interval `low` to `high`; of a
        forecast one per step after the rows, which are the history.

        `rows`: pandas or polars frame, Arrow table, list of dicts, dict of columns, or 2-D NumPy array. Columns may be
        absent, extra or in any order. A picture is a path, bytes, a uint8 array (red first) or a PIL image.
        """
        return self.predictor.predict(rows)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The other operations of the bundle. Errors: MissingOperation, an AttributeError, naming those there are."""
        if name.startswith("_") or name in ("predictor", "result"):
            raise AttributeError(name)
        operation = self.predictor.operation(name)
        fields = list(operation.request.model_fields)

        def ask(*values: Any, **settings: Any) -> Any:
            rows, values = (None, values) if operation.rows == "none" else (values[0], values[1:])
            return self.predictor.ask(name, rows, **dict(zip(fields, values, strict=False)), **settings)

        ask.__name__, ask.__doc__ = name, operation.summary
        return ask

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.operations]

    def evaluate(self, rows: Any) -> Scores:
        """Scores by metric on rows that hold the target too; the first is the primary one. Of a generator: how near
        what it makes is to these rows.
        """
        task, predictor = self.predictor.task, self.predictor
        collected = Collected(task.read(arrays.with_label_sets(rows, predictor.target), predictor.files))
        return Scores(lamina.evaluate_source(predictor, collected, arrays.Config()).scores)

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write the bundle: a directory, one file where the name ends in `.lamina`, or its graph alone (`.onnx`).

        An earlier bundle there is replaced; anything else only with `overwrite`. Errors: StorageError.
        """
        return bundle.save(self.predictor.bundle, Path(path), overwrite)

    def __repr__(self) -> str:
        opened = self.predictor.bundle
        of = f" of '{self.predictor.target}'" if self.predictor.target else ""
        return f"<lamina {opened.task.kind}{of} by {opened.model.kind}, bundle {opened.id}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: what it is, how good, its columns, and how to use it."""
        from lamina.evaluate import notebook

        title = repr(self)[1:-1]
        return notebook.model(self.predictor, self.predictor.bundle.training, title, self.result)


def load(path: str | Path) -> Estimator:
    """Open a bundle (a directory, a `.lamina` file, or the run directory that holds one), checked and self-tested."""
    return Estimator(Predictor(bundle.locate(path)))
