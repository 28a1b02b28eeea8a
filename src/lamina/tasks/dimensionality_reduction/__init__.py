"""Dimensionality reduction: each row of a table, image or series as a few numbers, and these numbers back.

What serves: `state` (what was learned), `task` (what a network is built for), `operation` (`predict` and
`inverse_transform`) and what these call. What trains and evaluates: `experiment`.
"""

from lamina.tasks.dimensionality_reduction.state import Config, State
from lamina.tasks.dimensionality_reduction.task import Task

__all__ = ["Config", "State", "Task"]
