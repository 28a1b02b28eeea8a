"""Gated recurrent units, of Cho et al. 2014: as good as an LSTM on most series, with three quarters of its weights."""

from typing import Literal

from lamina.models import _recurrent

HEADS = _recurrent.HEADS
Model, suits, training = _recurrent.Model, _recurrent.suits, _recurrent.training


class Config(_recurrent.Settings):
    kind: Literal["gru"] = "gru"
