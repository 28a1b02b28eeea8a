"""New images or rows like those of the data, of a class where one is asked for.

What serves: `state` (what was learned), `task` (what a network is built for and what can be asked), `operation`
(`generate`, and `predict` where there is a discriminator) and what these call. What trains and evaluates: `experiment`.
"""

from lamina.tasks.generation.state import Config, State
from lamina.tasks.generation.task import Task

__all__ = ["Config", "State", "Task"]
