"""The next steps of one or several series, each a number with an interval that holds the truth nine times in ten.

Rows are steps of a series here, and no rows of their own: what is learned from are windows of them, `context` steps of
history before `horizon` steps to come. `panel` makes rows series, `encoding` makes series windows, `transform` and
`decoding` make numbers of a network forecasts; `operation` is what can be asked. `experiment` trains and evaluates.
"""

from lamina.tasks.forecasting.state import Config, State
from lamina.tasks.forecasting.task import Task

__all__ = ["Config", "State", "Task"]
