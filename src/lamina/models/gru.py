"""Gated recurrent units, of Cho et al. 2014: as good as an LSTM on most series, with three quarters of its weights."""

from typing import Literal

from lamina.models import _recurrent

HEADS = _recurrent.HEADS
Model, suits, training, example = _recurrent.Model, _recurrent.suits, _recurrent.training, _recurrent.example
column_settings, step_inputs = _recurrent.column_settings, _recurrent.step_inputs


class Config(_recurrent.Settings):
    kind: Literal["gru"] = "gru"
