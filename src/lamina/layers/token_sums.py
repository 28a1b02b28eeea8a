"""Sums of the vectors of many tokens a row, out of a large table."""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Bag(NamedTuple):
    """The tokens of `total` rows one behind the other: `ids`, the `share` each counts by, and the row of each."""

    ids: Tensor
    share: Tensor
    rows: Tensor
    total: int


def bag(ids: Tensor, share: Tensor) -> Bag:
    """Of ids (rows, length), those whose share is not zero."""
    places = share.flatten().nonzero().squeeze(1)
    rows = torch.div(places, ids.shape[1], rounding_mode="floor")
    return Bag(ids.flatten()[places], share.flatten()[places], rows, len(ids))


class Sums(torch.autograd.Function):
    """As `F.embedding_bag`, whose own gradient sorts all ids, which takes seven times as long on a CPU."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, share: Tensor, rows: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(ids, share, rows)
        ctx.shape = weight.shape
        offsets = torch.searchsorted(rows, torch.arange(count, device=rows.device))
        return F.embedding_bag(ids, weight, offsets, mode="sum", per_sample_weights=share)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        ids, share, rows = ctx.saved_tensors
        values = F.embedding(rows, grads[0]) * share.unsqueeze(1)
        if ctx.shape[1] == 1:  # ten times as fast as a vector of one
            return values.new_zeros(ctx.shape[0]).index_add_(0, ids, values[:, 0]).unsqueeze(1), None, None, None, None
        return values.new_zeros(ctx.shape).index_add_(0, ids, values), None, None, None, None


class TokenSums(nn.Module):
    """A vector for each id below `size`, and its sum over the ids of each row, (rows, width).

    Where `size` x `width` numbers would be more than `largest`, neighbours share a vector.
    """

    def __init__(self, size: int, width: int, largest: int):
        super().__init__()
        self.step = max(1, math.ceil(size * width / largest))
        self.weight = nn.Parameter(torch.zeros(math.ceil(size / self.step), width))

    def forward(self, ids: Tensor, share: Tensor, scale: Tensor | None = None) -> Tensor:
        """Of ids (rows, length), each counted by its `share`; `scale` multiplies the weights."""
        if torch.onnx.is_in_onnx_export():  # a gather, which every runtime has
            places = torch.div(ids, self.step, rounding_mode="floor") if self.step > 1 else ids
            return (F.embedding(places, self.weight) * share.unsqueeze(2)).sum(1)
        flat = bag(ids, share)
        places = torch.div(flat.ids, self.step, rounding_mode="floor") if self.step > 1 else flat.ids
        weight = self.weight if scale is None else self.weight * scale
        return Sums.apply(weight, places, flat.share, flat.rows, flat.total)
