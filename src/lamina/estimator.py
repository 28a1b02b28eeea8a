"""The Python face of a bundle: `load` it from disk, then `predict`, `evaluate`, `save`."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

import lamina
from lamina import data
from lamina.config import Config, DataError, LaminaError
from lamina.data import _python_rows, arrays
from lamina.deploy import batch, bundle, input_policy
from lamina.deploy.predictor import MissingOperation, Predictor
from lamina.schema import Collected, Row
from lamina.task import Operation

INSTEAD = {  # what other libraries call it
    "score": "evaluate(rows) has every score, the first is the primary one",
    "predict_proba": "predict(rows) has the probabilities of each class, `classes` says which there are",
    "classes_": "it is called `classes`",
    "feature_names_in_": "it is called `columns`",
    "transform": "predict(rows) gives what a bundle has for each row",
}


class Result(dict[str, Any]):
    """What a run came to: scores, those of baselines, notes, and where everything is."""

    def _repr_html_(self) -> str:
        from lamina.evaluate import notebook

        return notebook.result(self)


class Scores(dict[str, float | None]):
    """Scores by metric, None where the rows do not define one."""

    def _repr_html_(self) -> str:
        from lamina.evaluate import notebook

        return notebook.scores(self)


class Layers(list[Row]):
    """The layers of a network in the order of computation: `layer`, `output` (shape of one row) and `parameters`."""

    def __repr__(self) -> str:
        lines = [("layer", "output", "parameters")]
        lines += [(row["layer"], row["output"], f"{row['parameters']:,}") for row in self]
        lines += [("total", "", f"{self.parameters:,}")]
        wide = [max(len(line[i]) for line in lines) for i in range(3)]
        return "\n".join(f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}".rstrip() for a, b, c in lines)

    @property
    def parameters(self) -> int:
        """Of all layers together."""
        return sum(row["parameters"] for row in self)

    def _repr_html_(self) -> str:
        from lamina.evaluate import notebook

        return notebook.layers(self, self.parameters)


class LearningCurves:
    """Losses and the score by epoch, drawn in a notebook."""

    def __init__(self, history: Mapping[str, Sequence[Any]], best: int) -> None:
        self._history, self._best = history, best

    def __repr__(self) -> str:
        epochs = len(self._history["epoch"])
        return f"Learning curves of {epochs:,} epochs, the best one {self._best:,}; a notebook draws them."

    def _repr_html_(self) -> str:
        from lamina.evaluate import notebook

        return notebook.curves(self._history)


class Report:
    """The report of a run, the page itself in a notebook; `path` is where it lies."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Report: {self.path}"

    def _repr_html_(self) -> str:
        from lamina.evaluate import notebook

        return notebook.page(self.path.read_text("utf-8"))


class Estimator:
    """A trained network with its preprocessing. Answers come in the type the rows came in.

    What a bundle can be asked beside `predict` are methods too: `model.generate(64, seed=1)`. They take rows first,
    where they take rows, then the settings of a request, by position or by name; `model.operations` lists them.
    """

    def __init__(self, predictor: Predictor, result: Row | None = None):
        self.predictor, self._result = predictor, result

    @property
    def result(self) -> Result:
        """What its run came to. Of a bundle that was loaded: where it lies in its run, that of the run; else the scores
        and the verdict that it brings.
        """
        if self._result is None:
            files, task = self.predictor.bundle, self.predictor.task
            run = lamina.Run(files.path.parent)
            there = run.result() if run.bundle == files.path else {}
            own = {name: self._training.get(name) for name in ("scores", "baselines", "verdict")}
            self._result = there or {"bundle": str(files.path), "task": task.kind, **own}
        return Result(self._result)

    @property
    def operations(self) -> dict[str, str]:
        """What can be asked, by name, each with a sentence."""
        return {operation.name: operation.summary for operation in self.predictor.operations}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns it reads."""
        return tuple(column.name for column in self.predictor.prep.columns)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels it answers with, in the order of their probabilities; empty where there are none."""
        return tuple(self.predictor.task.classes)

    @property
    def scores(self) -> Scores:
        """Scores by metric on the test rows of its training; the first is the primary one."""
        return Scores(self._training.get("scores", {}))

    @property
    def baselines(self) -> Any:
        """The network and what it was to beat, on the same test rows: a pandas frame by `method`, a column for each
        metric; an Arrow table where pandas is not installed.
        """
        methods = {"network": self.scores, **self._training.get("baselines", {})}
        names = dict.fromkeys(name for scores in methods.values() for name in scores)
        columns = {name: [scores.get(name) for scores in methods.values()] for name in names}
        return _indexed(pa.table({"method": list(methods), **columns}))

    @property
    def history(self) -> Any:
        """Losses, the score of validation rows and the learning rate by `epoch`: a pandas frame; an Arrow table where
        pandas is not installed. `model.history[["loss", "validation_loss"]].plot()` draws it.
        """
        return _indexed(pa.table(self._recorded("history")))

    def plot_history(self) -> LearningCurves:
        """The losses and the score by epoch, drawn in a notebook."""
        return LearningCurves(self._recorded("history"), self._training.get("best", {}).get("epoch", 0))

    def summary(self) -> Layers:
        """The layers of the network with the shapes of what they give and their parameters."""
        return Layers(self._recorded("layers"))

    @property
    def report(self) -> Report:
        """The report of its run, shown in a notebook. Errors: LaminaError where the bundle is away from its run."""
        path = self.result.get("report")
        if not path or not Path(path).exists():
            raise LaminaError(
                "report: this bundle is away from its run, which holds report.html. Load the run instead."
            )
        return Report(Path(path))

    @property
    def _training(self) -> Mapping[str, Any]:
        return self.predictor.bundle.training

    def _recorded(self, name: str) -> Any:
        if name not in self._training:
            raise LaminaError(f"{name}: this bundle does not say; an earlier version wrote it, or it was imported.")
        return self._training[name]

    def predict(self, rows: Any) -> Any:
        """Answers, one per row: `prediction`, and `probabilities` by class or the interval `low` to `high`; of a
        forecast one per step after the rows, which are the history.

        `rows`: pandas or polars frame, Arrow table, list of dicts, dict of columns, 2-D NumPy array, or the path of a
        file, which gives a frame. One row (a dict of cells, a pandas Series) gets one answer; so does one text, where a
        text is all it reads. Columns may be absent, extra or in any order. An image is a path, bytes, a uint8 array
        (red first) or a PIL image.
        """
        return self._ask("predict", rows)

    def _ask(self, name: str, rows: Any, **settings: Any) -> Any:
        predictor = self.predictor
        operation = predictor.operation(name)
        if operation.rows == "none" or not _python_rows.is_path(rows) or predictor.reads_text(rows):
            return predictor.ask(name, rows, **settings)
        files = operation.prep(predictor).files
        if len(files) == 1 and Path(rows).suffix.lower() in operation.prep(predictor).file_kind(files[0].name).suffixes:
            return predictor.ask(name, rows, **settings)
        answers = predictor.ask(name, self._table(rows, operation), **settings)
        return arrays.frame(answers) if isinstance(answers, pa.Table) else answers

    def _table(self, path: str | os.PathLike[str], operation: Operation) -> pa.Table:
        """The rows of a file or a folder. Errors: DataError for rows that cannot be read, which would get no answer."""
        whole = batch.read(self.predictor, _source(path, self.predictor), operation)
        if whole.skipped_rows:
            row = whole.skipped_rows[0]
            count, line = len(whole.skipped_rows), f"line {row.line}: {row.reason}" if row.line else row.reason
            cure = f"Mend it, or let them be left out: lamina {operation.name} BUNDLE {path} -o predictions.csv"
            raise DataError(f"{path}: {count:,} rows cannot be read ({line}). {cure}")
        return whole.table

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """The other operations of the bundle. Errors: MissingOperation, an AttributeError, naming those there are."""
        if (name.startswith("_") or name == "predictor") and name not in INSTEAD:
            raise AttributeError(name)
        if name in INSTEAD and name not in self.operations:
            raise MissingOperation(f"{name}: a model of Lamina does not have it; {INSTEAD[name]}.")
        operation = self.predictor.operation(name)
        fields = list(operation.request.model_fields)
        fields = fields if operation.rows == "none" else ["rows", *fields]

        def ask(*values: Any, **settings: Any) -> Any:
            if len(values) > len(fields):
                raise DataError(f"{name}: takes {', '.join(fields) or 'nothing'} (got {len(values)} values).")
            by_name = dict(zip(fields, values, strict=False))
            if twice := sorted(by_name.keys() & settings.keys()):
                raise DataError(f"{name}.{twice[0]}: is given twice. Give it by position or by name.")
            by_name |= settings
            if operation.rows != "none" and "rows" not in by_name:
                raise DataError(f"{name}: needs rows. Give {arrays.KINDS}.")
            return self._ask(name, by_name.pop("rows", None), **by_name)

        ask.__name__, ask.__doc__ = name, operation.summary
        return ask

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.operations]

    def evaluate(self, rows: Any, target: Any = None) -> Scores:
        """Scores by metric on rows that hold the target too, or whose `target` values are given apart; the first is the
        primary one. Of a generator: how near what it makes is to these rows. `rows`: as `predict` takes them.
        """
        task, predictor = self.predictor.task, self.predictor
        if target is not None:
            if predictor.target is None:
                raise DataError(f"target: a bundle for {task.kind} has none. Give the rows alone.")
            rows, _ = _python_rows.with_target(rows, target, predictor.target)
        if _python_rows.is_path(rows):
            source = _source(rows, predictor)
            return Scores(lamina.evaluate_source(predictor, data.load(source), source).scores)
        collected = Collected(task.read(arrays.with_label_sets(rows, predictor.target), predictor.files))
        return Scores(lamina.evaluate_source(predictor, collected, arrays.Config()).scores)

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """Write the bundle: a directory, one file where the name ends in `.lamina`, or its graph alone (`.onnx`), as
        `lamina export` does, which has other forms too.

        An earlier bundle there is replaced; anything else only with `overwrite`. Errors: StorageError.
        """
        return bundle.save(self.predictor.bundle, _python_rows.as_path(path, "save"), overwrite)

    def __repr__(self) -> str:
        files = self.predictor.bundle
        of = f" of '{self.predictor.target}'" if self.predictor.target else ""
        return f"<lamina {files.task.kind}{of} by {files.model.kind}, bundle {files.id}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: what it is, how good, its columns, and how to use it."""
        from lamina.evaluate import notebook

        title = repr(self)[1:-1]
        return notebook.model(self.predictor, self._training, title, self.result)


def _indexed(table: pa.Table) -> Any:
    """A frame of pandas with its first column as index; the table itself where pandas is not installed."""
    frame = arrays.frame(table)
    return frame if frame is table else frame.set_index(table.column_names[0])


def _source(path: str | os.PathLike[str], predictor: Predictor) -> Config:
    """Where rows lie, as the settings of a source."""
    return data.expecting(lamina.from_words([os.fspath(path)], trains=False).data, predictor.names)


def load(path: str | Path, policies: Mapping[str, str] | None = None) -> Estimator:
    """Open a bundle (a directory, a `.lamina` file, or the run directory that holds one), checked and self-tested.

    `policies`: by column, or `*` for all, what becomes of cells that training had none of, in place of what the bundle
    says: "reject", "impute" or "flag". Errors: BundleError, LaminaError for a column or a policy that there is not.
    """
    predictor = Predictor(bundle.locate(_python_rows.as_path(path, "load")))
    if policies:
        own = input_policy.policies_of((f"{name}={policy}" for name, policy in policies.items()), "policies")
        input_policy.check_names([predictor.prep], own, "policies")
        predictor = predictor.with_policies(input_policy.applied(predictor.prep, own).policies)
    return Estimator(predictor)
