"""Long short-term memory, of Hochreiter and Schmidhuber 1997: gates decide what a cell takes, keeps and shows."""

from typing import Literal

from lamina.models import _recurrent

HEADS = _recurrent.HEADS
Model, suits, training, example = _recurrent.Model, _recurrent.suits, _recurrent.training, _recurrent.example
column_settings, step_inputs = _recurrent.column_settings, _recurrent.step_inputs


class Config(_recurrent.Settings):
    kind: Literal["lstm"] = "lstm"
