"""Recurrent layers in training on a CPU, with gradients written by hand.

Each is one function: all numbers of a layer stand in a few buffers, a step does a handful of operations in place, and
the gradients of the weights are one product over all steps. `last` asks for the state after the last step alone. Only
what a step gave is needed to go back, because the slopes of sigmoid, tanh and relu are known from their values.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lamina.layers.basic import ActivationName

Gradients = tuple[Tensor | None, ...]


def _slope(name: ActivationName, of: Tensor) -> Tensor:
    """The derivative of tanh or relu, from what it gave."""
    return 1 - of * of if name == "tanh" else (of > 0).to(of.dtype)


class RNNFunction(torch.autograd.Function):
    """h_t = act(W_ih x_t + W_hh h_{t-1} + b), all in place in one buffer (steps * rows, units)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b: Tensor, name: ActivationName, last: bool) -> Tensor:
        rows, steps, _ = x.shape
        inputs = x.transpose(0, 1).flatten(0, 1)  # (steps * rows, n)
        states = torch.addmm(b, inputs, w_ih.t())
        w, act = w_hh.t().contiguous(), torch.tanh_ if name == "tanh" else torch.relu_
        first, *rest = states.split(rows)
        h = act(first)
        for now in rest:
            h = act(now.addmm_(h, w))
        ctx.save_for_backward(inputs, states, w_ih, w_hh)
        ctx.rows, ctx.name, ctx.last = rows, name, last
        return h.clone() if last else states.view(steps, rows, -1).transpose(0, 1).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Gradients:  # pyrefly: ignore[bad-override]
        inputs, states, w_ih, w_hh = ctx.saved_tensors
        d, rows = _slope(ctx.name, states), ctx.rows
        pieces, space = d.split(rows), torch.empty_like(d[:rows])
        grads = (grad,) if ctx.last else grad.transpose(0, 1).contiguous().unbind(0)
        now = pieces[-1].mul_(grads[-1])
        for t in range(len(pieces) - 2, -1, -1):
            torch.mm(now, w_hh, out=space)
            now = pieces[t].mul_(space if ctx.last else space.add_(grads[t]))
        flat = d.t()
        x_grad = None
        if ctx.needs_input_grad[0]:
            x_grad = (d @ w_ih).view(len(pieces), rows, -1).transpose(0, 1)
        return x_grad, flat @ inputs, flat[:, rows:] @ states[:-rows], d.sum(0), None, None


class LSTMFunction(torch.autograd.Function):
    """An LSTM whose activation is relu or tanh, with rows as the last dimension: all gates are whole blocks then.

    `stack` holds, for each step, the state before it, its input, and 1 for the bias: one product gives all gates.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, b: Tensor, name: ActivationName, last: bool) -> Tensor:
        rows, steps, n_in = x.shape
        units = w_hh.shape[1]
        weights = _output_before_cell(torch.cat([w_hh, w_ih, b[:, None]], 1), units)
        stack = x.new_ones(steps + 1, units + n_in + 1, rows)
        stack[0, :units] = 0
        stack[:-1, units:-1] = x.permute(1, 2, 0)
        gates, cells, outputs = x.new_empty(steps, 4 * units, rows), x.new_empty(steps, units, rows), None
        outputs = torch.empty_like(cells)
        i, f, o, g = (part.unbind(0) for part in gates.view(steps, 4, units, rows).unbind(1))
        together, gate_steps = gates[:, : 3 * units].unbind(0), gates.unbind(0)
        states, c, a, before = stack[:, :units].unbind(0), cells.unbind(0), outputs.unbind(0), stack.unbind(0)
        relu = name == "relu"
        for t in range(steps):
            torch.mm(weights, before[t], out=gate_steps[t])
            together[t].sigmoid_()
            torch.mul(i[t], g[t].relu_() if relu else g[t].tanh_(), out=c[t])
            if t:
                c[t].addcmul_(f[t], c[t - 1])
            visible = torch.clamp_min(c[t], 0, out=a[t]) if relu else torch.tanh(c[t], out=a[t])
            torch.mul(visible, o[t], out=states[t + 1])
        ctx.save_for_backward(stack, gates, cells, outputs, weights)
        ctx.name, ctx.last = name, last
        return states[-1].t().contiguous() if last else stack[1:, :units].permute(2, 0, 1).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Gradients:  # pyrefly: ignore[bad-override]
        stack, gates, cells, outputs, weights = ctx.saved_tensors
        steps, units, rows = cells.shape
        i, f, o, g = gates.view(steps, 4, units, rows).unbind(1)
        d = torch.empty_like(gates)  # what a gate's change does to the cell or, for the output gate, to the state
        open_, own = gates[:, : 3 * units], d.view(steps, 4, units, rows)
        torch.mul(open_, 1 - open_, out=d[:, : 3 * units])
        own[:, 0].mul_(g)
        own[1:, 1].mul_(cells[:-1])
        own[0, 1] = 0
        own[:, 2].mul_(outputs)
        torch.mul(i, _slope(ctx.name, g), out=own[:, 3])
        visible = (_slope(ctx.name, outputs).mul_(o)).unbind(0)
        forget, whole, of_output = f.unbind(0), d.unbind(0), own[:, 2].unbind(0)
        inner, cell = own[:, :2].unbind(0), own[:, 3].unbind(0)
        w, grads = weights[:, :units].t().contiguous(), grad if ctx.last else grad.permute(1, 2, 0).contiguous()
        dh = grads.t().contiguous() if ctx.last else grads[-1]
        dc, space = torch.zeros_like(dh), torch.empty_like(dh)
        for t in range(steps - 1, -1, -1):
            dc.addcmul_(dh, visible[t])
            inner[t].mul_(dc)
            cell[t].mul_(dc)
            of_output[t].mul_(dh)
            if t:
                torch.mm(w, whole[t], out=space)
                dh = space if ctx.last else space.add_(grads[t - 1])
                dc.mul_(forget[t])
        flat = d.transpose(0, 1).reshape(4 * units, -1)  # (gates, steps * rows)
        all_ = _output_before_cell(flat @ stack[:-1].transpose(1, 2).reshape(steps * rows, -1), units)
        x_grad = None
        if ctx.needs_input_grad[0]:
            x_grad = torch.matmul(weights[:, units:-1].t(), d).permute(2, 0, 1)
        return x_grad, all_[:, units:-1], all_[:, :units], all_[:, -1], None, None


def _output_before_cell(weights: Tensor, units: int) -> Tensor:
    """Input, forget, cell, output to input, forget, output, cell (and back): what sigmoid squashes stands together."""
    return torch.cat([weights[: 2 * units], weights[3 * units :], weights[2 * units : 3 * units]])


class GRUFunction(torch.autograd.Function):
    """r and z are gates, n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = n + z (h - n); rows are the last dimension.

    `stack` holds, for each step, the state before it, its input, and 1 for the biases. Its product with `weights`
    gives r, z, and apart what n is made of: from the state, and from the input.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_ih: Tensor, w_hh: Tensor, *rest: Any) -> Tensor:
        b_ih, b_hh, _, last = rest
        rows, steps, n_in = x.shape
        units = w_hh.shape[1]
        weights = x.new_zeros(4 * units, units + n_in + 1)
        weights[: 3 * units, :units] = w_hh
        weights[: 2 * units, units:-1], weights[3 * units :, units:-1] = w_ih[: 2 * units], w_ih[2 * units :]
        weights[: 3 * units, -1], weights[3 * units :, -1] = b_hh, b_ih[2 * units :]
        weights[: 2 * units, -1] += b_ih[: 2 * units]
        stack = x.new_ones(steps + 1, units + n_in + 1, rows)
        stack[0, :units] = 0
        stack[:-1, units:-1] = x.permute(1, 2, 0)
        products, news = x.new_empty(steps, 4 * units, rows), x.new_empty(steps, units, rows)
        r, z, own, from_input = (part.unbind(0) for part in products.view(steps, 4, units, rows).unbind(1))
        whole, gates, new = products.unbind(0), products[:, : 2 * units].unbind(0), news.unbind(0)
        states, before = stack[:, :units].unbind(0), stack.unbind(0)
        for t in range(steps):
            torch.mm(weights, before[t], out=whole[t])
            gates[t].sigmoid_()
            torch.addcmul(from_input[t], r[t], own[t], out=new[t]).tanh_()
            torch.lerp(new[t], states[t], z[t], out=states[t + 1])
        ctx.save_for_backward(stack, products, news, weights)
        ctx.last = last
        return states[-1].t().contiguous() if last else stack[1:, :units].permute(2, 0, 1).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Gradients:  # pyrefly: ignore[bad-override]
        stack, products, new, weights = ctx.saved_tensors
        steps, units, rows = new.shape
        r, z, own, _ = products.view(steps, 4, units, rows).unbind(1)
        d = torch.empty_like(products)  # what a change of each row of the product does to the state
        of_r, of_z, of_own, of_hidden = d.view(steps, 4, units, rows).unbind(1)
        torch.mul(1 - z, 1 - new * new, out=of_hidden)
        torch.mul(of_hidden, r, out=of_own)
        torch.mul(of_own, own, out=of_r).mul_(1 - r)
        torch.mul(stack[:-1, :units] - new, z, out=of_z).mul_(1 - z)
        w, grads = weights[:, :units].t().contiguous(), grad if ctx.last else grad.permute(1, 2, 0).contiguous()
        each, whole, forget = d.view(steps, 4, units, rows).unbind(0), d.unbind(0), z.unbind(0)
        dh = grads.t().contiguous() if ctx.last else grads[-1]
        for t in range(steps - 1, -1, -1):
            each[t].mul_(dh)
            if t:
                dh = torch.addmm(dh * forget[t], w, whole[t])
                if not ctx.last:
                    dh += grads[t - 1]
        all_ = d.transpose(0, 1).reshape(4 * units, -1) @ stack[:-1].transpose(1, 2).reshape(steps * rows, -1)
        of_input = torch.cat([all_[: 2 * units], all_[3 * units :]])
        x_grad = torch.matmul(weights[:, units:-1].t(), d).permute(2, 0, 1) if ctx.needs_input_grad[0] else None
        return (
            x_grad,
            of_input[:, units:-1],
            all_[: 3 * units, :units],
            of_input[:, -1],
            all_[: 3 * units, -1],
            None,
            None,
        )
