"""The serving half of anomaly detection: what a network is built for, what can be asked, what a bundle must hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lamina import task
from lamina.preprocess import Preprocessor
from lamina.schema import Input, Output, Row
from lamina.task import Asset, Operation, Session, alike
from lamina.tasks._unlabelled import row_layout
from lamina.tasks.anomaly_detection import bounds, detector, operation, scoring
from lamina.tasks.anomaly_detection.operation import HEATMAP, PREDICT, PREDICT_STEPS
from lamina.tasks.anomaly_detection.state import Config, State

RELATIVE = ABSOLUTE = 1e-3  # of a golden score, between machines
LARGEST = 1 << 26  # bytes of what is fitted of the network's outputs


@dataclass(frozen=True)
class Task(task.Task):
    cfg: Config
    state: State

    operations = (PREDICT, HEATMAP)
    assets = {detector.ASSET: Asset("covariance of errors and means of groups of rows", LARGEST)}

    def output(self) -> Output:
        return Output(head="reconstruction", size=self.state.size, loss="reconstruction")

    def inputs(self, prep: Preprocessor) -> dict[str, Input]:
        """A vector for each row, or for each window of a recording; one column of images or series as it is."""
        inputs = row_layout.inputs(prep, self.state.layout)
        if self.state.recording is None:
            return inputs
        window = self.state.recording.window
        (one,) = inputs.values()
        return {"row": one.model_copy(update={"shape": ((one.shape[0] or 0) * window,), "sizes": one.sizes * window})}

    def offered(self, session: Session) -> tuple[Operation, ...]:
        """Steps of a recording are answered together."""
        first = PREDICT if self.state.recording is None else PREDICT_STEPS
        return (first, *(one for one in super().offered(session) if one is not PREDICT))

    def about(self, session: Session) -> Row:
        """What is flagged, and what a score can be attributed to."""
        names, _ = scoring.owners(self.state, next(iter(session.spec.inputs.values())))
        facts: Row = {
            "training": self.cfg.training,
            "threshold": round(self.state.threshold, 4),
            "false_alarm_rate": self.cfg.false_alarm_rate,
            "contamination": self.cfg.contamination,
            "features": names,
        }
        recording = self.state.recording
        return facts | ({"time": recording.time, "window": recording.window} if recording else {})

    def check(self, session: Session) -> None:
        bounds.check(session)

    def replay(self, session: Session, requests: Sequence[Row]) -> list[Row]:
        """Scores alone: of two columns with nearly the same attribution, another machine may name the other first."""
        rows = list(requests)
        if self.state.recording is not None and rows:
            rows = operation.steps(session, self.state.recording.window + len(rows) - 1)
        scores = scoring.score_rows(session, session.rows(rows)).score
        return [{"score": float(score)} for score in scores[len(rows) - len(requests) :]]

    def agrees(self, mine: Any, theirs: Any) -> bool:
        return alike(mine, theirs, RELATIVE, ABSOLUTE)
