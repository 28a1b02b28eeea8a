"""Operators that lay tensors out otherwise, take parts of them or join them: the sizes of what they give."""

from typing import Any

import numpy as np

from lamina.deploy.bundle.onnx_sizes import (
    MAX_VALUES,
    Call,
    Dim,
    Effect,
    Shape,
    Size,
    Unknown,
    Value,
    broadcast,
    follow,
    inside,
    least,
    most,
    product,
    quotient,
    sign,
    sizes_of,
)


def _expand(call: Call) -> Effect:
    value = call.value(0)
    shape = broadcast(value.shape, sizes_of(call.constant(1)))
    numbers, fixed = value.constant, [n for n in shape if not isinstance(n, Size)]
    constant = None
    if numbers is not None and len(fixed) == len(shape) and product(fixed) <= MAX_VALUES:
        constant = follow(lambda: np.broadcast_to(numbers, fixed))
    return Effect((Value(shape, value.width, constant),))


def _tile(call: Call) -> Effect:
    value, times = call.value(0), sizes_of(call.constant(1))
    if len(times) != len(value.shape):
        raise ValueError("repeats axes that are not there")
    return Effect((Value(tuple(n * by for n, by in zip(value.shape, times, strict=True)), value.width),))


def _reshape(call: Call) -> Effect:
    value, target = call.value(0), call.constant(1)
    dims = list[Any]()
    for i, n in enumerate(target):
        copied = not isinstance(n, Size) and n == 0 and not call.number("allowzero", 0)
        if copied and i >= len(value.shape):
            raise ValueError("copies a size that is not there")
        dims.append(value.shape[i] if copied else n)
    free = [i for i, n in enumerate(dims) if not isinstance(n, Size) and n == -1]
    if len(free) == 1:
        dims[free[0]] = quotient(value.shape, [n for i, n in enumerate(dims) if i != free[0]])
    shape = sizes_of(dims)
    return Effect((Value(shape, value.width, _laid_out(value, shape)),))


def _laid_out(value: Value, shape: Shape) -> np.ndarray | None:
    """Known numbers in another shape."""
    constant = value.constant
    if constant is None or any(isinstance(n, Size) for n in shape):
        return None
    return follow(lambda: constant.reshape([int(n) for n in shape if isinstance(n, int)]))


def _flatten(call: Call) -> Effect:
    value = call.value(0)
    axis = call.number("axis", 1)
    axis = axis if axis == len(value.shape) else inside(axis, max(1, len(value.shape)))
    shape = (product(value.shape[:axis]), product(value.shape[axis:]))
    return Effect((Value(shape, value.width),))


def _squeeze(call: Call) -> Effect:
    value = call.value(0)
    rank = len(value.shape)
    axes = call.axes(1, rank if call.kind == "Squeeze" else rank + _axis_count(call))
    if call.kind == "Squeeze":
        ones = tuple(i for i, n in enumerate(value.shape) if not isinstance(n, Size) and n == 1)
        out: Shape = tuple(n for i, n in enumerate(value.shape) if i not in (ones if axes is None else axes))
        return Effect((Value(out, value.width, _laid_out(value, out)),))
    rest, dims = list(value.shape), list[Dim]()
    for i in range(rank + len(axes or ())):
        dims.append(1 if i in (axes or ()) else rest.pop(0))
    return Effect((Value(tuple(dims), value.width, _laid_out(value, tuple(dims))),))


def _axis_count(call: Call) -> int:
    return len(call.whole_numbers("axes")) if "axes" in call.settings else len(call.constant(1))


def _transpose(call: Call) -> Effect:
    value = call.value(0)
    rank = len(value.shape)
    order = [inside(axis, rank) for axis in call.whole_numbers("perm", reversed(range(rank)))]
    if sorted(order) != list(range(rank)):
        raise ValueError("has no order of axes")
    constant = value.constant.transpose(order) if value.constant is not None else None
    return Effect((Value(tuple(value.shape[axis] for axis in order), value.width, constant),))


def _concat(call: Call) -> Effect:
    values = [value for value in call.inputs if value]
    axis = call.axis(len(call.value(0).shape))
    if any(len(value.shape) != len(values[0].shape) for value in values):
        raise ValueError("joins tensors of different ranks")
    total: Dim = sum((value.shape[axis] for value in values[1:]), values[0].shape[axis])
    shape = (*values[0].shape[:axis], total, *values[0].shape[axis + 1 :])
    arrays = [value.constant for value in values if value.constant is not None]
    few = len(arrays) == len(values) and sum(array.size for array in arrays) <= MAX_VALUES
    return Effect((Value(shape, call.width, follow(lambda: np.concatenate(arrays, axis)) if few else None),))


def _split(call: Call) -> Effect:
    value = call.value(0)
    axis = call.axis(len(value.shape))
    if "split" in call.settings:
        parts: list[Any] = list(call.whole_numbers("split"))
    elif call.optional(1) is not None:
        parts = call.constant(1)
    else:
        whole, count = value.shape[axis], max(1, call.number("num_outputs", call.outputs))
        if isinstance(whole, Size):
            parts = [whole // count] * count
        else:
            size = -(-whole // count)
            parts = [min(size, max(0, whole - i * size)) for i in range(count)]
    shapes = [(*value.shape[:axis], n, *value.shape[axis + 1 :]) for n in sizes_of(parts)]
    return Effect(tuple(Value(shape, value.width) for shape in shapes))


def _slice(call: Call) -> Effect:
    value = call.value(0)
    starts, ends = call.constant(1), call.constant(2)
    axes = call.constant(3) if call.optional(3) else list(range(len(starts)))
    steps = call.constant(4) if call.optional(4) else [1] * len(starts)
    shape, pieces = list(value.shape), [slice(None)] * len(value.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        i = inside(axis, len(shape))
        shape[i], pieces[i] = _piece(value.shape[i], start, end, step)
    constant = value.constant[tuple(pieces)] if value.constant is not None else None
    return Effect((Value(tuple(shape), value.width, constant),))


def _piece(dim: Dim, start: Any, end: Any, step: Any) -> tuple[Dim, slice]:
    """How much of an axis is left, and the piece of it where its size is fixed."""
    if not isinstance(step, int) or not step:
        raise ValueError("steps by nothing")
    if not isinstance(dim, Size) and not isinstance(start, Size) and not isinstance(end, Size):
        start, end = int(start), int(end)
        below = end if end >= 0 else max(end + dim, -1)
        first = start if start >= 0 else max(start + dim, 0)
        piece = slice(first, None if step < 0 and below < 0 else below, step)
        return len(range(*piece.indices(dim))), piece
    if step != 1:
        raise ValueError("steps through rows")
    first = _bound(start, dim)
    return most(_bound(end, dim) - first, 0), slice(None)


def _bound(place: Any, dim: Dim) -> Dim:
    """A place on an axis, counted from its beginning and not behind its end."""
    far = not isinstance(place, Size) and place >= 1 << 31
    place = dim if far else place if sign(place) >= 0 else dim + place
    return most(least(place, dim), 0)


def _gather(call: Call) -> Effect:
    value, index = call.value(0), call.value(1)
    axis = call.axis(len(value.shape))
    shape = (*value.shape[:axis], *index.shape, *value.shape[axis + 1 :])
    numbers, places, constant = value.constant, index.constant, None
    if numbers is not None and places is not None:
        constant = follow(lambda: np.take(numbers, places.astype(np.int64), axis))
    return Effect((Value(shape, value.width, constant),))


def _gather_each(call: Call) -> Effect:
    return Effect((Value(call.value(1).shape, call.value(0).width),))


def _gather_places(call: Call) -> Effect:
    value, index = call.value(0), call.value(1)
    depth = index.shape[-1] if index.shape else 0
    if isinstance(depth, Size):
        raise Unknown
    shape = (*index.shape[:-1], *value.shape[call.number("batch_dims", 0) + depth :])
    return Effect((Value(shape, value.width),))


VIEWS = {
    **dict.fromkeys(("Squeeze", "Unsqueeze"), _squeeze),
    "Expand": _expand,
    "Tile": _tile,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "GatherElements": _gather_each,
    "GatherND": _gather_places,
}
