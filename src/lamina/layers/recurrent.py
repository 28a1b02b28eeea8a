"""One recurrent layer, its directions, and the ends of short series: PyTorch's kernels, and faster training where those
are slow.

PyTorch trains plain layers and GRUs through autograd, several nodes per step; and no kernel of it knows an LSTM with
relu. These are trained by gradients written by hand. Everything else that has no kernel goes step by step.
"""

import functools
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.layers.basic import ActivationName, activation
from lamina.layers.recurrent_autograd import GRUFunction, LSTMFunction, RNNFunction

Kind = Literal["rnn", "lstm", "gru"]

GATES: dict[Kind, int] = {"rnn": 1, "lstm": 4, "gru": 3}  # in the order of PyTorch: input, forget, cell, output
FUSED: dict[tuple[str, str], Any] = {
    ("rnn", "tanh"): torch._VF.rnn_tanh,
    ("rnn", "relu"): torch._VF.rnn_relu,
    ("lstm", "tanh"): torch._VF.lstm,
    ("gru", "tanh"): torch._VF.gru,
}
FUNCTIONS: dict[tuple[str, str], Any] = {
    ("rnn", "tanh"): RNNFunction,
    ("rnn", "relu"): RNNFunction,
    ("lstm", "relu"): LSTMFunction,
    ("gru", "tanh"): GRUFunction,
}
AT_ONCE = 1 << 22  # hidden numbers computed at once without gradients: a bound on memory


class Recurrence(nn.Module):
    """Series (rows, steps, n) to the state after each step (rows, steps, units), or to the last alone (rows, units).

    Input weights start by Glorot and Bengio 2010 and recurrent ones orthogonal (Saxe et al. 2014), gate by gate; biases
    at 0, that of the forget gate at 1 (Jozefowicz et al. 2015).
    """

    whole = True

    def __init__(self, kind: Kind, n_in: int, units: int, name: ActivationName = "tanh"):
        super().__init__()
        self.kind, self.units, self.name, gates = kind, units, name, GATES[kind]
        self.weight_ih = nn.Parameter(torch.empty(gates * units, n_in))
        self.weight_hh = nn.Parameter(torch.empty(gates * units, units))
        self.bias_ih = nn.Parameter(torch.zeros(gates * units))
        self.bias_hh: Tensor
        if kind == "gru":  # the only one whose second bias is not the first again
            self.bias_hh = nn.Parameter(torch.zeros(gates * units))
        else:
            self.register_buffer("bias_hh", torch.zeros(gates * units))
        for ih, hh in zip(self.weight_ih.chunk(gates), self.weight_hh.chunk(gates), strict=True):
            nn.init.xavier_uniform_(ih)
            nn.init.orthogonal_(hh)
        if kind == "lstm":
            nn.init.ones_(self.bias_ih[units : 2 * units])
        self.activation = activation(name)

    def forward(self, x: Tensor, last: bool = False) -> Tensor:
        if torch.is_grad_enabled() or torch.jit.is_tracing() or x.numel() // x.shape[2] * self.units <= AT_ONCE:
            return self._states(x, last)
        size = max(1, AT_ONCE // (x.shape[1] * self.units))
        return torch.cat([self._states(part, last) for part in x.split(size)])

    def carry(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The state after each step, going on from a `state` [h] or, of an LSTM, [h, cell], each (rows, units), and the
        one to go on from. An empty one is zeros.
        """
        if (self.kind, self.name) in FUSED:
            half = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
            if not half or self.kind != "lstm" or has_half_lstm():
                return self._fused(x, state)
            with torch.autocast("cpu", enabled=False):
                return self._fused(x.float(), [part.float() for part in state])
        steps, ends = self._stepwise(x, state)
        return torch.stack(steps, 1), ends

    def _states(self, x: Tensor, last: bool) -> Tensor:
        function = FUNCTIONS.get((self.kind, self.name))
        if function and self.training and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
            biases = (self.bias_ih, self.bias_hh) if self.kind == "gru" else (self.bias_ih,)
            return function.apply(x, self.weight_ih, self.weight_hh, *biases, self.name, last)
        if (self.kind, self.name) in FUSED:
            states = self.carry(x, [])[0]
            return states[:, -1] if last else states
        steps, _ = self._stepwise(x, [])
        return steps[-1] if last else torch.stack(steps, 1)

    def _zeros(self, x: Tensor) -> list[Tensor]:
        return [x.new_zeros(x.shape[0], self.units) for _ in range(2 if self.kind == "lstm" else 1)]

    def _fused(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        state = state or self._zeros(x)
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        first = [part.unsqueeze(0) for part in state]
        kernel = FUSED[self.kind, self.name]
        states, *ends = kernel(
            x, first if self.kind == "lstm" else first[0], weights, True, 1, 0.0, self.training, False, True
        )
        return states, [end.squeeze(0) for end in ends]

    def _stepwise(self, x: Tensor, state: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Any activation, by the formulas."""
        state = state or self._zeros(x)
        states, h, cell = list[Tensor](), state[0], state[-1]
        projection = F.linear(x, self.weight_ih, self.bias_ih)
        for now in projection.unbind(1):
            own = F.linear(h, self.weight_hh, self.bias_hh)
            if self.kind == "rnn":
                h = self.activation(now + own)
            elif self.kind == "lstm":
                i, f, g, o = (now + own).chunk(4, 1)
                cell = f.sigmoid() * cell + i.sigmoid() * self.activation(g)
                h = o.sigmoid() * self.activation(cell)
            else:
                (r, z), new = (now + own)[:, : 2 * self.units].sigmoid().chunk(2, 1), now[:, 2 * self.units :]
                new = self.activation(new + r * own[:, 2 * self.units :])
                h = new + z * (h - new)
            states.append(h)
        return states, [h, cell] if self.kind == "lstm" else [h]


@functools.cache
def has_half_lstm() -> bool:
    """Whether this processor has an LSTM in bf16: oneDNN has none for processors without AVX-512. Where it has not,
    the layer is computed in fp32, and what is around it is not.
    """
    try:
        weights = [torch.zeros(size, requires_grad=True) for size in ((4, 1), (4, 1), (4,), (4,))]
        with torch.autocast("cpu", torch.bfloat16):
            state = [torch.zeros(1, 1, 1)] * 2
            FUSED["lstm", "tanh"](torch.zeros(1, 1, 1), state, weights, True, 1, 0.0, True, False, True)
    except RuntimeError:  # how PyTorch says so
        return False
    return True


def run_directions(directions: nn.Module, x: Tensor, lengths: Tensor | None, last: bool = False) -> Tensor:
    """One layer from the start to the end and, where it has two directions, from the end to the start beside it."""
    assert isinstance(directions, nn.ModuleList)
    forward, *backward = directions
    states = forward(x, last)
    if not backward:
        return states
    return torch.cat([states, *(reverse_steps(layer(reverse_steps(x, lengths)), lengths) for layer in backward)], 2)


def reverse_steps(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Series (rows, steps, n), each backwards over its own length; what lies behind stays there."""
    if lengths is None:
        return x.flip(1)
    step = torch.arange(x.shape[1], device=x.device)
    back = lengths[:, None] - 1 - step
    return x.gather(1, torch.where(back < 0, step, back).unsqueeze(2).expand(-1, -1, x.shape[2]))


def last_step(x: Tensor, lengths: Tensor | None) -> Tensor:
    """The last step that is there of each series: (rows, steps, n) to (rows, n)."""
    if lengths is None:
        return x[:, -1]
    return x.gather(1, (lengths - 1)[:, None, None].expand(-1, 1, x.shape[2]))[:, 0]


def padding_mask(x: Tensor, lengths: Tensor) -> Tensor:
    """True for the steps behind the end of each series, (rows, steps, 1)."""
    return (torch.arange(x.shape[1], device=x.device) >= lengths[:, None]).unsqueeze(2)
