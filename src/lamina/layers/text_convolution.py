"""Convolution over the words of a text: which short phrases stand in it, wherever they stand.

Each filter looks at a few words in a row and gives its largest answer over the text (Kim 2014, arXiv:1408.5882).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.layers.basic import Dropout, token_table
from lamina.layers.recurrent import padding_mask
from lamina.schema import Input

KERNELS = (3, 4, 5)  # words that a filter looks at


class WordVectors(nn.Module):
    """Ids (rows, steps) to vectors (rows, steps, width) and lengths (rows,), 1 at least.

    In training a share of the words is hidden, each as a whole (Gal and Ghahramani 2016).
    """

    def __init__(self, feed: Input, width: int, hide: float):
        super().__init__()
        self.table, self.padding = token_table(feed, width), feed.padding
        self.hide = Dropout(hide)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        present = (ids != self.padding).to(torch.float32)
        step = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        lengths = (present * step).amax(1).long().clamp(min=1)  # a word that is unknown may lie within a text
        return self.table(ids) * self.hide(present).unsqueeze(2), lengths


class TextConvolution(nn.Module):
    """A text as ids (rows, steps) to the largest answer of each filter, (rows, `width`)."""

    def __init__(self, feed: Input, token_width: int, filters: int, hide: float):
        super().__init__()
        self.words = WordVectors(feed, token_width, hide)
        self.convolutions = nn.ModuleList(nn.Conv1d(token_width, filters, kernel) for kernel in KERNELS)
        self.width = filters * len(KERNELS)

    def forward(self, ids: Tensor) -> Tensor:
        x, lengths = self.words(ids)
        x, answers = x.transpose(1, 2), list[Tensor]()  # (rows, token width, steps)
        for kernel, convolution in zip(KERNELS, self.convolutions, strict=True):
            around = kernel - 1  # a window may begin before a text and end behind it
            windows = convolution(F.pad(x, (around, around))).transpose(1, 2)  # (rows, steps + kernel - 1, filters)
            behind = padding_mask(windows, lengths + around)
            answers.append(windows.masked_fill(behind, float("-inf")).amax(1).relu())
        return torch.cat(answers, 1)
