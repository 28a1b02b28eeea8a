"""Rows, images or stretches of a recording that are unlike those of training, and what about them is.

What serves: `state` (settings, and what was learned), `task`, `operation` (`predict`, and `heatmap` of images) and
what these call: `scoring`, `detector`, `recording`. What trains and evaluates: `experiment`.
"""

from lamina.tasks.anomaly_detection.state import Config, State
from lamina.tasks.anomaly_detection.task import Task

__all__ = ["Config", "State", "Task"]
