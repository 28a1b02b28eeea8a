"""Batches as views of one gathered epoch: no per-sample Python, no workers.

The order of rows is a function of (seed, epoch) alone, so the state of the data is one integer: the position.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lamina.schema import Batch, Windows

GATHER = 1 << 16  # rows gathered at once: a bound on memory, large enough to cost nothing per step
GATHER_BYTES = 1 << 28
BUCKET = 16  # batches whose rows are sorted by the lengths of texts
WIDTHS = 16  # of which the width of a batch of texts is a multiple
NO_TEXTS: Mapping[str, Any] = MappingProxyType({})
LARGEST = 8192  # rows of a batch for evaluation, and the numbers of its inputs
LARGEST_NUMBERS, CODE_NUMBERS = 1 << 23, 32  # a code counts as that many, which it becomes inside a network


class WindowTensor:
    """Windows on a device: what is asked of a tensor of all rows, without there being one."""

    def __init__(self, windows: Windows, device: torch.device):
        self.values = torch.from_numpy(np.ascontiguousarray(windows.values)).to(device)
        self.starts = torch.from_numpy(np.ascontiguousarray(windows.starts)).to(device)
        self.view = self.values.unfold(0, windows.length, 1).transpose(1, 2)  # (starts, length, channels), no copy
        self.device = device

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: slice) -> Tensor:
        return self.view.index_select(0, self.starts[rows])

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        return self.view.index_select(dim, self.starts.index_select(0, rows))


class TokenWindows:
    """Windows of ids of tokens, in memory or mapped to a file: what is asked for is gathered there, and only that."""

    def __init__(self, windows: Windows, device: torch.device):
        self.windows, self.device = windows, device

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, rows: slice | np.ndarray) -> Tensor:
        return torch.from_numpy(self.windows[rows]).to(self.device)  # (rows, length) int64

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        return self[rows.cpu().numpy()]

    def moved(self, steps: int) -> "TokenWindows":
        """All windows so many steps later."""
        return TokenWindows(replace(self.windows, starts=self.windows.starts + steps), self.device)


def tensors(
    inputs: Mapping[str, np.ndarray | Windows],
    target: np.ndarray | Windows | None,
    device: torch.device,
    lengths: np.ndarray | None = None,
) -> Batch:
    """NumPy arrays as one batch of all rows on the device; windows stay views."""
    own, sizes = (None if values is None else to_device(values, device) for values in (target, lengths))
    return Batch({name: to_device(values, device) for name, values in inputs.items()}, own, sizes)


def to_device(values: np.ndarray | Windows, device: torch.device) -> Any:
    if isinstance(values, Windows):
        return WindowTensor(values, device) if values.values.ndim > 1 else TokenWindows(values, device)
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)


def finite(values: Any) -> bool:
    """Whether all numbers are; in series (rows, steps, channels), NaN marks what was not measured."""
    if isinstance(values, TokenWindows):
        return True
    series = isinstance(values, WindowTensor) or values.ndim == 3
    values = values.values if isinstance(values, WindowTensor) else values
    return not (values.is_floating_point() and bool((values.isinf() if series else ~values.isfinite()).any()))


def rows(data: Batch) -> int:
    return len(next(iter(data.inputs.values())))


def bounds(count: int, size: int) -> list[int]:
    """Batch sizes that cover `count` rows; a last row alone joins the batch before it (batch norm needs two)."""
    sizes = [min(size, count - start) for start in range(0, count, size)]
    if len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [sizes[-2] + 1]
    return sizes


def sizes_of(data: Batch, size: int, lanes: bool = False) -> list[int]:
    """The rows of each batch of a pass; of lanes, all batches are as large."""
    count = rows(data)
    if not lanes:
        return bounds(count, size)
    size = min(size, count)
    return [size] * (count // size)


def stream(
    data: Batch, size: int, seed: int, first: int = 0, lanes: bool = False, padding: Mapping[str, int] = NO_TEXTS
) -> Iterator[Batch]:
    """The batches of a run from the `first` on, pass after pass without end.

    `padding`: by input of texts (rows, steps), the id behind the end of a short one: see `by_length`.
    """
    ids = {name: x for name, x in data.inputs.items() if name in padding and x.dtype == torch.int64}  # not features
    lengths = {name: text_lengths(x, padding[name]) for name, x in ids.items()}
    number, start = divmod(first, len(sizes_of(data, size, lanes)))
    while True:
        yield from epoch(data, size, seed, number, start, lanes, lengths)
        number, start = number + 1, 0


def text_lengths(ids: Tensor, padding: int) -> np.ndarray:
    """(rows,) the steps of texts up to their last token."""
    steps = torch.arange(1, ids.shape[1] + 1, device=ids.device)
    parts = [((part != padding) * steps).amax(1) for part in ids.split(GATHER)]
    return torch.cat(parts).cpu().numpy()


def by_length(order: np.ndarray, size: int, lengths: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """An order of rows in which those of a batch are of about one length: of each few batches the rows are sorted, then
    batches come in an order that is drawn. A last batch that is smaller stays the last.
    """
    full = len(order) // size * size
    for start in range(0, full, BUCKET * size):
        own = order[start : min(start + BUCKET * size, full)]
        own[:] = own[lengths[own].argsort(kind="stable")]
    places = draw.permutation(full // size)
    return np.concatenate([order[:full].reshape(-1, size)[places].reshape(-1), order[full:]])


def epoch(
    data: Batch,
    size: int,
    seed: int,
    number: int,
    start: int = 0,
    lanes: bool = False,
    lengths: Mapping[str, np.ndarray] = NO_TEXTS,
) -> Iterator[Batch]:
    """The batches of one pass over all rows from the `start`-th on, shuffled by (seed, number of the pass).

    With `lanes` rows stay in order: as many runs of rows that follow one another as a batch has rows, side by side,
    from a row on that is drawn. A few rows at the end of a lane wait for another pass.
    """
    count, draw = rows(data), np.random.Generator(np.random.PCG64([seed, number]))
    sizes = sizes_of(data, size, lanes)
    if lanes:
        places = np.arange(len(sizes) * sizes[0]).reshape(sizes[0], -1).T.reshape(-1)
        order = torch.from_numpy((places + draw.integers(count)) % count)
    else:
        order = draw.permutation(count)
        order = by_length(order, size, np.maximum.reduce([*lengths.values()]), draw) if lengths else order
        order = torch.from_numpy(order)
    data = _moved(data, draw)
    wide = sum(values[:1].nbytes for values in data.inputs.values())
    long = any(isinstance(values, TokenWindows) for values in data.inputs.values())  # a step of it is long, too
    group = 1 if long else max(1, min(GATHER, GATHER_BYTES // max(wide, 1)) // size)
    ragged, device = data.lengths is not None, data.target.device
    for first in range(start - start % group, len(sizes), group):
        part = sizes[first : first + group]
        offset = sum(sizes[:first])
        gathered = order[offset : offset + sum(part)].to(device)
        places = gathered.split(part)
        columns = [data.target, *data.inputs.values(), *([data.lengths] if ragged else [])]
        split = [column.index_select(0, gathered).split(part) for column in columns]
        for i, (target, *inputs) in enumerate(zip(*split, strict=True)):
            if first + i >= start:
                ends = inputs.pop() if ragged else None
                own = dict(zip(data.inputs, inputs, strict=True))
                for name, steps in lengths.items():
                    longest = int(steps[places[i].cpu()].max())
                    own[name] = own[name][:, : -(-max(longest, 1) // WIDTHS) * WIDTHS]
                yield Batch(own, target, ends, lanes and first + i > 0)


def _moved(data: Batch, draw: np.random.Generator) -> Batch:
    """Windows of tokens with their beginnings moved, by as much as is drawn; all else as it is."""
    inputs = {
        name: values.moved(int(draw.integers(values.windows.shift + 1))) if isinstance(values, TokenWindows) else values
        for name, values in data.inputs.items()
    }
    return replace(data, inputs=inputs)


def first_rows(inputs: Mapping[str, Any]) -> Iterator[Tensor]:
    return (values[:1] for values in inputs.values())


def evaluation_size(inputs: Mapping[str, Tensor]) -> tuple[int, int]:
    """How many rows there are, and how many go at once through the network for evaluation."""
    wide = sum(one.numel() * (CODE_NUMBERS if one.dtype == torch.int64 else 1) for one in first_rows(inputs))
    return len(next(iter(inputs.values()))), max(1, min(LARGEST, LARGEST_NUMBERS // max(wide, 1)))
