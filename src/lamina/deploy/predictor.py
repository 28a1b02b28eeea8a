"""Bundle and raw rows in, answers out: the one thing that evaluation, command line and servers all call. No torch."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from lamina import models
from lamina.config import DataError, sentences
from lamina.data import _python_rows
from lamina.data.arrays import select
from lamina.deploy.bundle import Bundle, from_files, open_bundle
from lamina.deploy.bundle.strict_json import guarded
from lamina.deploy.golden import replay
from lamina.deploy.input_policy import FilePolicies
from lamina.deploy.onnx_runtime import Run, deadline, onnx_runtime
from lamina.deploy.session import Session
from lamina.preprocess import Broken, Policy
from lamina.resources import memory
from lamina.task import Answers, Operation, Request

MAX_REASONS = 5  # broken cells in one error


class MissingOperation(DataError, AttributeError):
    """A bundle is asked for something that its task does not offer."""


class Predictor(Session):
    """Answers for raw rows. `Predictor(path)` opens, checks and self-tests a bundle."""

    def __init__(self, path: str | Path | Bundle, threads: int | None = None):
        self._threads = threads
        self.bundle = bundle = path if isinstance(path, Bundle) else open_bundle(path)
        with deadline(bundle.files):
            super().__init__(bundle.task, bundle.prep, bundle.model.spec, bundle.model.config, _runs(bundle, threads))
            self.id, self.golden, self.assets = bundle.id, bundle.golden.rows, bundle.assets
            replay(self, bundle.golden.rows, bundle.golden.answers)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by the files of the bundle, which are checked and self-tested again where it is opened."""
        return _reopen, (dict(self.bundle.files), str(self.bundle.path), self._threads, dict(self.prep.policies))

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What this bundle can be asked; the first is the main one."""
        return self.task.offered(self)

    def operation(self, name: str) -> Operation:
        """One of the operations. Errors: MissingOperation naming those there are."""
        for operation in self.operations:
            if operation.name == name:
                return operation
        offers = "; ".join(f"{o.name} ({summary(o, self).rstrip('.')})" for o in self.operations)
        raise MissingOperation(f"{name}: this bundle is for {self.task.kind}, and does not do that. It has: {offers}.")

    def predict(self, rows: Any) -> Any:
        """Answers in the caller's own type, in order.

        `rows`: a list of dicts, a dict of columns, Arrow, pandas, polars or NumPy. Columns may be absent, extra or
        in any order; missing, unseen and malformed values mean what they meant in training. One row, a dict of cells or
        a pandas Series, gets one answer; so does a text where that is all a bundle reads. A file is a path or bytes;
        an image may be a uint8 array (red first) or a PIL image, and where it is all a bundle asks for, a list or an
        array of images will do. Errors: DataError naming each file that cannot be used.
        """
        return self.ask("predict", rows)

    def ask(self, name: str, rows: Any = None, **settings: Any) -> Any:
        """Run an operation: `settings` are those of its request. Answers come in the caller's own type.

        With `output`, a path, what it answers is written there by an operation that has an own way into files.
        Errors: MissingOperation, DataError naming each setting that is wrong.
        """
        operation, output = self.operation(name), settings.pop("output", None)
        writes = operation.write if output is not None else None
        request = _request((operation.options or operation.request) if writes else operation.request, settings, name)
        if operation.call is not None and not writes:
            return operation.call(self, request)
        names, files = operation.names(self), [column.name for column in operation.prep(self).files]
        rows = self._with_names(rows)
        one = _python_rows.one_row(rows, names) if operation.rows == "each" else None
        rows = rows if one is None else one
        table = None if operation.rows == "none" else self.task.read(select(rows, names), files)
        table = self._with_policies(operation, table)
        if writes:
            return writes(self, table, request, Path(str(output)))
        pieces = self.pieces(operation, table, request)
        if operation.rows == "each":
            pieces = map(whole, pieces)
        if operation.gives != "application/json":
            return (self.task.like(piece.table, rows) for piece in pieces)
        answers = pa.concat_tables([piece.table for piece in pieces])
        answers = answers if rows is None else self.task.like(answers, rows)
        return answers if one is None else _python_rows.first(answers)

    def _with_policies(self, operation: Operation, table: pa.Table | None) -> pa.Table | None:
        """Rows as the policies of columns have them. Errors: DataError naming each cell that is rejected."""
        policies = FilePolicies(operation.prep(self))
        if table is None or not policies:
            return table
        table, refusals = policies.apply(table)
        if policies.warnings:
            cells = "; ".join(
                f"{one['column']}: {one['kind']}, {one['cells']:,} cell{'s' * (one['cells'] > 1)}"
                for one in policies.warnings
            )
            warnings.warn(f"rows: cells that training had none of ({cells}).", stacklevel=4)
        return whole(Answers(table, broken=tuple(refusals))).table

    def reads_text(self, rows: Any) -> bool:
        """Whether rows are a text, or texts, and a text is all that the bundle reads."""
        only = len(self.prep.columns) == 1 and all(feed.kind == "tokens" for feed in self.spec.inputs.values())
        return only and (isinstance(rows, str) or _python_rows.is_texts(rows))

    def _with_names(self, rows: Any) -> Any:
        """Texts by themselves under the name of the column that is read."""
        if not self.reads_text(rows):
            return rows
        name = self.prep.columns[0].name
        return {name: rows} if isinstance(rows, str) else [{name: text} for text in rows]

    def pieces(self, operation: Operation, rows: pa.Table | None, request: Any) -> Iterator[Answers]:
        """Answers of an operation, a piece at a time; most have one."""
        with memory.guard(operation.name, "Ask for fewer rows at a time, or use a larger machine."):
            answers = operation.answer(self, rows, request)
            yield from (answers,) if isinstance(answers, Answers) else answers

    def checked(self, rows: pa.Table) -> Answers:
        """What `predict` answers for an Arrow table of raw rows, with the cells that cannot be used."""
        operation = self.operation("predict")
        (answers,) = self.pieces(operation, rows, operation.request())
        return answers

    def answers(self, rows: pa.Table) -> pa.Table:
        """Answers for an Arrow table of raw rows; a file that cannot be used counts as missing."""
        return self.checked(rows).table


def _reopen(files: dict[str, bytes], path: str, threads: int | None, policies: Mapping[str, Policy]) -> Predictor:
    return Predictor(from_files(files, Path(path)), threads).with_policies(policies)


def _request(cls: type[Request], settings: dict[str, Any], name: str) -> Request:
    """Settings given in Python, checked. Errors: DataError, a sentence for each fault."""
    try:
        return cls.model_validate(settings, strict=False)
    except ValidationError as error:
        raise DataError("\n".join(sentences(cls, name, error))) from None


def whole(answers: Answers) -> Answers:
    """The answers, if every cell could be used. Errors: DataError naming each that could not."""
    if answers.broken:
        broken: tuple[Broken, ...] = answers.broken
        lines = "\n".join(f"rows[{row}].{name}: {reason}." for row, name, reason in broken[:MAX_REASONS])
        more = f"\n... and {len(broken) - MAX_REASONS:,} more." if len(broken) > MAX_REASONS else ""
        raise DataError(f"{lines}{more}\nLeave these rows out; None is a cell that is missing.")
    return answers


def summary(operation: Operation, session: Session) -> str:
    """What an operation of this bundle is, in a sentence or two."""
    return operation.describe(session) if operation.describe else operation.summary


def _runs(bundle: Bundle, threads: int | None) -> dict[str, Run]:
    """A function from encoded inputs to raw outputs for each network of a bundle."""
    graphs = {name: body for name, body in bundle.files.items() if name.endswith(".onnx")}
    runs = {
        name.removesuffix(".onnx"): onnx_runtime(body, threads, name, bundle.costs[name])
        for name, body in graphs.items()
        if name != "model.onnx"
    }
    model = bundle.model
    if model.runtime == "onnx":
        return {"model": onnx_runtime(graphs["model.onnx"], threads, price=bundle.costs["model.onnx"]), **runs}
    weights = bundle.files["weights.safetensors"]
    return {
        "model": guarded("model.json", lambda: models.runtime(model.kind, model.config, model.spec, weights)),
        **runs,
    }
