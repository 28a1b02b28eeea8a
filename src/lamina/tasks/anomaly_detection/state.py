"""What anomaly detection is set to, and what it has learned: how rows are encoded, and what scores mean."""

from typing import Literal

from pydantic import Field

from lamina import config
from lamina.tasks._unlabelled.row_layout import Layout
from lamina.tasks.anomaly_detection.detector import Tails
from lamina.tasks.anomaly_detection.recording import Recording

TRIM = 0.1  # of contaminated training rows, left out of what normal rows are learned from
LARGEST_WINDOW = 4096


class Config(config.Config):
    """`training`: whether training rows are normal ones only (`clean`) or have anomalies among them (`contaminated`).

    `false_alarm_rate`: the share of normal rows that is flagged. `contamination`: the share of rows that are anomalies,
    where it is known; as many are flagged instead. `normal`: the label of normal rows; by default
    the most frequent one. `dimensions`: latent numbers of the network. `time`: the column by which the rows are one
    recording, scored by windows of so many steps as `window` says; `none` for rows that are each scored by itself.
    """

    kind: Literal["anomaly_detection"] = "anomaly_detection"
    training: Literal["auto", "clean", "contaminated"] = "auto"
    false_alarm_rate: float = Field(default=0.01, gt=0, lt=0.5)
    contamination: float | None = Field(default=None, gt=0, lt=0.5)
    normal: str | None = None
    dimensions: int | None = Field(default=None, ge=1, le=4096)
    time: str | None = None
    window: int | None = Field(default=None, ge=2, le=LARGEST_WINDOW)

    @property
    def trim(self) -> float:
        """The share of training rows that is left out of what normal rows are learned from."""
        if self.training == "clean":
            return 0.0
        return TRIM if self.contamination is None else max(TRIM, self.contamination)


class State(config.Config):
    """How a row becomes a vector (None: an image or a series), how many latent numbers there are, what the label of
    normal rows is, how a recording is cut, what distances mean, from which score on a row is flagged, and how many
    deviations out a number is at most that the network sees (None in bundles of earlier versions: any).
    """

    layout: Layout | None = None
    size: int = Field(default=8, ge=1, le=4096)
    normal: str | None = None
    recording: Recording | None = None
    tails: Tails | None = None
    threshold: float = Field(default=2.0, ge=0, le=1000)
    limit: float | None = Field(default=None, gt=0)
