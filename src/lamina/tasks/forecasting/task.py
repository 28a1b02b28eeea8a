"""The next steps of one or several series, each a number with an interval that holds the truth nine times in ten."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lamina import task
from lamina.data import arrays
from lamina.preprocess import Preprocessor
from lamina.schema import Input, Output, Row
from lamina.task import Session
from lamina.tasks.forecasting import encoding, time_index
from lamina.tasks.forecasting.attributions import EXPLAIN
from lamina.tasks.forecasting.operation import PREDICT
from lamina.tasks.forecasting.state import Config, State


@dataclass(frozen=True)
class Task(task.Task):
    """Rows are steps of series, and no row is answered by itself: `predict` continues the series that it is given."""

    cfg: Config
    state: State

    operations = (PREDICT, EXPLAIN)
    target_kind = "number"

    def output(self) -> Output:
        """One number, or one per quantile, for each step ahead and target."""
        state, loss = self.state, self.cfg.loss
        settings: dict[str, float | list[float]] = {
            "horizon": float(state.horizon),
            "targets": float(len(state.targets)),
            "quantiles": list(state.quantiles),
            **({"changes": 1.0} if state.transform == "log_return" else {}),
            **({"known_effect": 1.0} if state.effects else {}),
        }
        size = state.horizon * len(state.targets) * max(1, len(state.quantiles))
        loss = loss if loss == "pinball" else f"forecast_{loss}"
        return Output(head="horizon", size=size, loss=loss, settings=settings)

    def inputs(self, prep: Preprocessor) -> dict[str, Input]:
        """`history` and, where something is known beforehand, `future`."""
        return encoding.inputs(prep, self.state)

    @property
    def required(self) -> frozenset[str]:
        """The columns of time and series."""
        return frozenset((*self.state.time, *([self.state.series] if self.state.series else [])))

    def about(self, session: Session) -> Row:
        """What the rows of a history are. Each row is a step of a series."""
        state = self.state
        facts: Row = {
            "context": state.context,  # steps of history that are looked at: more do no harm, fewer are extended
            "horizon": state.horizon,
            "step": time_index.describe(state.step),
            "time": list(state.time),
            "series": state.series,
            "targets": state.names,
            "known": list(state.known),  # to be given for the steps ahead too, in rows behind the last target
        }
        return {"forecast": facts}

    # times in the index of a pandas frame are a column, and answers keep them there

    @classmethod
    def frame(cls, rows: Any) -> Any:
        return arrays.timed(rows)

    def read(self, rows: Any, files: Sequence[str]) -> pa.Table:
        return arrays.table(arrays.timed(rows, self.state.time_column), files)

    def like(self, answers: pa.Table, rows: Any) -> Any:
        """Steps ahead in the type that the history came in; where its times were an index, so are those ahead."""
        time = self.state.time_column
        history = arrays.timed(rows, time)
        forecasts = arrays.like(answers, history, aligned=False)
        indexed = time is not None and history is not rows and time in forecasts
        return forecasts.set_index(time) if indexed and self.state.series is None else forecasts
