"""Language modelling: what comes next in a text, token by token, and new text that goes on from a prompt.

What serves: `state` (what was learned), `task` (what a network is built for and what can be asked), `operation`
(`generate`, `stream_text` and `perplexity`) and what these call. What trains and evaluates: `experiment`.
"""

from lamina.tasks.language_modelling.state import Config, State
from lamina.tasks.language_modelling.task import Task

__all__ = ["Config", "State", "Task"]
