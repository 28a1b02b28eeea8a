"""The serving half of tasks that predict one column, each row by itself: `predict`."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from lamina.config import MissingColumn
from lamina.data.arrays import json_rows
from lamina.deploy.explain import EXPLAIN
from lamina.preprocess import Broken
from lamina.schema import Row
from lamina.task import CSV, Answers, Chart, Example, Line, Operation, Request, Session, Task

Arrays = Mapping[str, np.ndarray]


def decoded(session: Session, rows: pa.Table, broken: list[Broken] | None = None) -> dict[str, np.ndarray]:
    """Answers as arrays (probabilities, predictions ...), before they get names; cells of no use go to `broken`.

    Errors: DataError where not one column is of the bundle.
    """
    if rows.num_columns and not set(rows.column_names) & {c.name for c in session.prep.columns}:
        expected = ", ".join(c.name for c in session.prep.columns[:5])
        got = ", ".join(filter(None, rows.column_names[:5])) or "none"
        cure = f"This bundle was trained on {expected} ..."
        raise MissingColumn(f"rows: not one of the columns is known (got {got}). {cure}")
    with np.errstate(all="ignore"):
        return _task(session).decode(session.raw(rows, broken))


def _task(session: Session) -> "SupervisedTask":
    assert isinstance(session.task, SupervisedTask)
    return session.task


def predict(session: Session, rows: pa.Table | None, request: Request) -> Answers:
    """One answer for each row, in order."""
    assert rows is not None
    broken = list[Broken]()
    return Answers(_task(session).table(decoded(session, rows, broken)), (), tuple(broken))


def predict_inputs(session: Session, inputs: Arrays, request: Request) -> list[Row]:
    """The same for rows that are encoded already."""
    with np.errstate(all="ignore"):
        return _task(session).rows(_task(session).decode(session.run(inputs)))


def example(session: Session) -> Example:
    """The golden row with the fewest gaps, and its answer."""
    row = session.example_row()
    return Example([row], json_rows(predict(session, session.rows([row]), Request()).table))


def chart(session: Session) -> Chart:
    """The numbers that a task's answers are, with their intervals; none for labels."""
    return Chart(_task(session).lines)


PREDICT = Operation(
    name="predict",
    summary="Send raw rows, get one prediction for each. Columns may be missing, extra or in any order.",
    answer=predict,
    example=example,
    takes=(CSV,),
    answer_inputs=predict_inputs,
    chart=chart,
)


@dataclass(frozen=True)
class SupervisedTask(Task):
    """One column is predicted, each row by itself. A task of this sort is one file with `Config`, `State` and `Task`.

    `target_kind`: the column kind by which the target is parsed, with `target_settings` of it. `metrics` (the first is
    primary), `baselines`, `plots`, `calibration` and `class_table` are names of what evaluates it, in
    `lamina.evaluate`. `lines` are the numbers of its answers that are drawn.
    """

    operations = (PREDICT, EXPLAIN)

    target_kind: ClassVar[str]
    target_settings: ClassVar[Mapping[str, Any]] = {}
    metrics: ClassVar[tuple[str, ...]]
    baselines: ClassVar[tuple[str, ...]] = ()
    plots: ClassVar[tuple[str, ...]] = ("comparison", "learning")
    calibration: ClassVar[str] = ""
    class_table: ClassVar[str] = ""
    lines: ClassVar[tuple[Line, ...]] = ()

    @classmethod
    @abstractmethod
    def suits(cls, values: pa.Array) -> float:
        """How well a raw target column fits, 0 to 1; text of which every cell is a number comes as numbers."""

    @classmethod
    @abstractmethod
    def fit(cls, values: pa.Array, cfg: Any) -> Any:
        """The state that typed training targets (without nulls) teach."""

    @abstractmethod
    def encode(self, values: pa.Array) -> np.ndarray:
        """Typed targets as the loss wants them, (rows, ...)."""

    @abstractmethod
    def unknown(self, values: pa.Array) -> np.ndarray:
        """(rows,) bool: typed targets that it cannot take, such as labels never seen in training."""

    @abstractmethod
    def truth(self, encoded: np.ndarray) -> np.ndarray:
        """Encoded targets as metrics want them: class codes, or numbers in their own unit."""

    @abstractmethod
    def decode(self, outputs: Arrays) -> dict[str, np.ndarray]:
        """Raw outputs of the network to answers as arrays, (rows, ...) each."""

    @abstractmethod
    def table(self, answers: Arrays) -> pa.Table:
        """Answers as a person reads them, one row each."""

    def rows(self, answers: Arrays) -> list[Row]:
        """The same as plain values of JSON; a task that is asked for single rows has a short way."""
        return json_rows(self.table(answers))

    @abstractmethod
    def validate(self, outputs: Arrays, target: np.ndarray) -> dict[str, float]:
        """Two cheap numbers: the first is minimised, the second is shown."""

    # what a report shows of single rows and of classes

    def losses(self, answers: Arrays, target: np.ndarray) -> np.ndarray | None:
        """(rows,) how bad each answer is; None where rows have no single answer."""
        return None

    def label(self, value: Any) -> str | float:
        """One true target, as `truth` gives it: a name, or a number."""
        return float(value) if np.ndim(value) == 0 else ""

    def spoken(self, answers: Arrays, row: int) -> tuple[str | float, float | None]:
        """One answer, a name or a number, and how sure it is where that is a probability."""
        return float(answers["prediction"][row]), None

    def chances(self, answers: Arrays) -> np.ndarray | None:
        """(rows, classes) probabilities of classes that exclude one another; None where there are none."""
        return None

    def remarks(self, scores: Mapping[str, float | None]) -> list[str]:
        """Sentences on what scores hide, such as rare classes."""
        return []
