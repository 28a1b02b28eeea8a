"""A row of a table as a network sees it: ways of width 1 and scores of choices; and its class."""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Blocks(nn.Module):
    """Where in a row (rows, width) the ways and the choices are; all choices are worked on at once."""

    places: Tensor
    back: Tensor
    way: Tensor
    column: Tensor
    order: Tensor

    def __init__(self, sizes: tuple[int, ...]):
        super().__init__()
        starts = [0, *itertools.accumulate(sizes)][:-1]
        ways = [at for at, size in zip(starts, sizes, strict=True) if size == 1]
        choices = [(at, size) for at, size in zip(starts, sizes, strict=True) if size > 1]
        self.width, self.ways, longest = sum(sizes), len(ways), max((size for _, size in choices), default=0)
        grid = [[at + i if i < size else self.width for i in range(longest)] for at, size in choices]
        back = [row * longest + i for row, (_, size) in enumerate(choices) for i in range(size)]
        columns = [at + i for at, size in choices for i in range(size)]
        order = sorted(range(self.width), key=[*ways, *columns].__getitem__)
        indices = {"places": grid, "back": back, "way": ways, "column": columns, "order": order}
        for name, values in indices.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.long), persistent=False)
        self.longest = longest

    def scores(self, row: Tensor) -> Tensor:
        """The logarithm of each choice's share, (rows, numbers that belong to choices)."""
        if not self.longest:
            return row[:, :0]
        padded = F.pad(row, (0, 1), value=-1e9)[:, self.places]  # (rows, choices, longest)
        return padded.log_softmax(2).flatten(1)[:, self.back]

    def harden(self, shares: Tensor) -> Tensor:
        """The greatest of each choice's `shares` as one, the others as zeros, in the same order."""
        if not self.longest:
            return shares
        grid = shares.new_zeros(len(shares), len(self.places) * self.longest)
        grid[:, self.back] = shares
        best = grid.view(len(shares), -1, self.longest).argmax(2)
        return F.one_hot(best, self.longest).flatten(1)[:, self.back].to(shares.dtype)

    def join(self, ways: Tensor, choices: Tensor) -> Tensor:
        """A row of its ways and its choices, each in its place."""
        return torch.cat([ways, choices], 1)[:, self.order]


def with_condition(x: Tensor, condition: Tensor | None, classes: int) -> Tensor:
    """Numbers (rows, n) with the class of each row beside them, as zeros and a one."""
    return x if condition is None else torch.cat([x, F.one_hot(condition[:, 0], classes).to(x.dtype)], 1)
