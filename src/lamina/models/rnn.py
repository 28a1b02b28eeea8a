"""The plain recurrent network, of Elman 1990: each state follows from the one before and from what is new.

It forgets within some tens of steps, because its gradients fade (Bengio et al. 1994); `lstm` and `gru` remember longer.
"""

from typing import Literal

from lamina.models import _recurrent
from lamina.schema import Spec

HEADS = _recurrent.HEADS
Model, training, example = _recurrent.Model, _recurrent.training, _recurrent.example
column_settings, step_inputs = _recurrent.column_settings, _recurrent.step_inputs


class Config(_recurrent.Settings):
    kind: Literal["rnn"] = "rnn"


def suits(spec: Spec) -> float:
    """As the others do, a little less."""
    return 0.8 * _recurrent.suits(spec)
