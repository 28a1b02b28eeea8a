"""One recurrent layer in one direction: PyTorch's fused kernels, and faster training where those are slow.

PyTorch trains its plain recurrent network through autograd, one node per step; written by hand, as one function with
the gradients of all weights in one product each, a step takes half as long. The same is done for an LSTM whose
activation is relu, which no fused kernel knows. Everything else that has no kernel goes step by step.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lamina.models._layers import ActivationName, activation

Kind = Literal["rnn", "lstm", "gru"]

Gradients = tuple[Tensor | None, ...]

GATES: dict[Kind, int] = {"rnn": 1, "lstm": 4, "gru": 3}  # in the order of PyTorch: input, forget, cell, output
FUSED: dict[tuple[str, str], Any] = {
    ("rnn", "tanh"): torch._VF.rnn_tanh,  # pyright: ignore[reportAttributeAccessIssue]
    ("rnn", "relu"): torch._VF.rnn_relu,  # pyright: ignore[reportAttributeAccessIssue]
    ("lstm", "tanh"): torch._VF.lstm,  # pyright: ignore[reportAttributeAccessIssue]
    ("gru", "tanh"): torch._VF.gru,  # pyright: ignore[reportAttributeAccessIssue]
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

    def _states(self, x: Tensor, last: bool) -> Tensor:
        by_hand = HAND.get((self.kind, self.name))
        if by_hand and self.training and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
            return by_hand.apply(x, self.weight_ih, self.weight_hh, self.bias_ih, self.name, last)
        if (self.kind, self.name) in FUSED:
            states = self._fused(x)
            return states[:, -1] if last else states
        found = self._stepwise(x)
        return found[-1] if last else torch.stack(found, 1)

    def _fused(self, x: Tensor) -> Tensor:
        start = x.new_zeros(1, x.shape[0], self.units)
        weights = [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]
        state = (start, start) if self.kind == "lstm" else start
        kernel = FUSED[self.kind, self.name]
        return kernel(x, state, weights, True, 1, 0.0, self.training, False, True)[0]

    def _stepwise(self, x: Tensor) -> list[Tensor]:
        """Any activation, by the formulas."""
        states, h = list[Tensor](), x.new_zeros(x.shape[0], self.units)
        cell, given = h, F.linear(x, self.weight_ih, self.bias_ih)
        for now in given.unbind(1):
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
        return states


def _slope(name: ActivationName, of: Tensor) -> Tensor:
    """The derivative of tanh or relu, from what it gave."""
    return 1 - of * of if name == "tanh" else (of > 0).to(of.dtype)


class Plain(torch.autograd.Function):
    """h_t = act(W_ih x_t + W_hh h_{t-1} + b), all in place in one buffer (steps * rows, units)."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b: Tensor, name: ActivationName, last: bool
    ) -> Tensor:
        rows, steps, _ = x.shape
        given = x.transpose(0, 1).flatten(0, 1)  # (steps * rows, n)
        states = torch.addmm(b, given, w_ih.t())
        w, act = w_hh.t().contiguous(), torch.tanh_ if name == "tanh" else torch.relu_
        first, *rest = states.split(rows)
        h = act(first)
        for now in rest:
            h = act(now.addmm_(h, w))
        ctx.save_for_backward(given, states, w_ih, w_hh)
        ctx.rows, ctx.name, ctx.last = rows, name, last
        return h.clone() if last else states.view(steps, rows, -1).transpose(0, 1).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        given, states, w_ih, w_hh = ctx.saved_tensors
        d, rows = _slope(ctx.name, states), ctx.rows
        pieces, space = d.split(rows), torch.empty_like(d[:rows])
        grads = (grad,) if ctx.last else grad.transpose(0, 1).contiguous().unbind(0)
        now = pieces[-1].mul_(grads[-1])
        for t in range(len(pieces) - 2, -1, -1):
            torch.mm(now, w_hh, out=space)
            now = pieces[t].mul_(space if ctx.last else space.add_(grads[t]))
        flat = d.t()
        gave = None
        if ctx.needs_input_grad[0]:
            gave = (d @ w_ih).view(len(pieces), rows, -1).transpose(0, 1)
        return gave, flat @ given, flat[:, rows:] @ states[:-rows], d.sum(0), None, None


class Gated(torch.autograd.Function):
    """An LSTM whose activation is relu or tanh, with rows as the last dimension: all gates are whole blocks then.

    `joined` holds, for each step, the state before it, its input, and 1 for the bias: one product gives all gates.
    """

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b: Tensor, name: ActivationName, last: bool
    ) -> Tensor:
        rows, steps, n_in = x.shape
        units = w_hh.shape[1]
        weights = _output_before_cell(torch.cat([w_hh, w_ih, b[:, None]], 1), units)
        joined = x.new_ones(steps + 1, units + n_in + 1, rows)
        joined[0, :units] = 0
        joined[:-1, units:-1] = x.permute(1, 2, 0)
        gates, cells, acted = x.new_empty(steps, 4 * units, rows), x.new_empty(steps, units, rows), None
        acted = torch.empty_like(cells)
        i, f, o, g = (part.unbind(0) for part in gates.view(steps, 4, units, rows).unbind(1))
        together, pushed = gates[:, : 3 * units].unbind(0), gates.unbind(0)
        states, c, a, before = joined[:, :units].unbind(0), cells.unbind(0), acted.unbind(0), joined.unbind(0)
        relu = name == "relu"
        for t in range(steps):
            torch.mm(weights, before[t], out=pushed[t])
            together[t].sigmoid_()
            torch.mul(i[t], g[t].relu_() if relu else g[t].tanh_(), out=c[t])
            if t:
                c[t].addcmul_(f[t], c[t - 1])
            shown = torch.clamp_min(c[t], 0, out=a[t]) if relu else torch.tanh(c[t], out=a[t])
            torch.mul(shown, o[t], out=states[t + 1])
        ctx.save_for_backward(joined, gates, cells, acted, weights)
        ctx.name, ctx.last = name, last
        return states[-1].t().contiguous() if last else joined[1:, :units].permute(2, 0, 1).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Gradients:  # pyright: ignore[reportIncompatibleMethodOverride]
        joined, gates, cells, acted, weights = ctx.saved_tensors
        steps, units, rows = cells.shape
        i, f, o, g = gates.view(steps, 4, units, rows).unbind(1)
        d = torch.empty_like(gates)  # what a gate's change does to the cell or, for the output gate, to the state
        open_, own = gates[:, : 3 * units], d.view(steps, 4, units, rows)
        torch.mul(open_, 1 - open_, out=d[:, : 3 * units])
        own[:, 0].mul_(g)
        own[1:, 1].mul_(cells[:-1])
        own[0, 1] = 0
        own[:, 2].mul_(acted)
        torch.mul(i, _slope(ctx.name, g), out=own[:, 3])
        shown = (_slope(ctx.name, acted).mul_(o)).unbind(0)
        kept, whole, of_output = f.unbind(0), d.unbind(0), own[:, 2].unbind(0)
        inner, cell = own[:, :2].unbind(0), own[:, 3].unbind(0)
        w, grads = weights[:, :units].t().contiguous(), grad if ctx.last else grad.permute(1, 2, 0).contiguous()
        dh = grads.t().contiguous() if ctx.last else grads[-1]
        dc, space = torch.zeros_like(dh), torch.empty_like(dh)
        for t in range(steps - 1, -1, -1):
            dc.addcmul_(dh, shown[t])
            inner[t].mul_(dc)
            cell[t].mul_(dc)
            of_output[t].mul_(dh)
            if t:
                torch.mm(w, whole[t], out=space)
                dh = space if ctx.last else space.add_(grads[t - 1])
                dc.mul_(kept[t])
        flat = d.transpose(0, 1).reshape(4 * units, -1)  # (gates, steps * rows)
        all_ = _cell_before_output(flat @ joined[:-1].transpose(1, 2).reshape(steps * rows, -1), units)
        gave = None
        if ctx.needs_input_grad[0]:
            gave = torch.matmul(weights[:, units:-1].t(), d).permute(2, 0, 1)
        return gave, all_[:, units:-1], all_[:, :units], all_[:, -1], None, None


def _output_before_cell(weights: Tensor, units: int) -> Tensor:
    """Input, forget, cell, output to input, forget, output, cell: what is squashed by sigmoid stands together."""
    return torch.cat([weights[: 2 * units], weights[3 * units :], weights[2 * units : 3 * units]])


def _cell_before_output(weights: Tensor, units: int) -> Tensor:
    return _output_before_cell(weights, units)  # a swap is its own inverse


HAND: dict[tuple[str, str], Any] = {("rnn", "tanh"): Plain, ("rnn", "relu"): Plain, ("lstm", "relu"): Gated}
