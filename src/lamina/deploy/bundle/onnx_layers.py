"""Operators that multiply, slide over images or go through series: the sizes of what they give, and their work."""

import math
import re
from typing import Any

from lamina.deploy.bundle.onnx_sizes import DEPENDS, Call, Dim, Effect, Shape, Size, Value, broadcast, same

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
CUBIC = 16  # numbers that one of an image is made of


def _matmul(call: Call) -> Effect:
    one, other = (call.value(i).shape for i in ((0, 3) if call.kind == "QLinearMatMul" else (0, 1)))
    if not one or not other:
        raise ValueError("multiplies single numbers as matrices")
    left, right = one if len(one) > 1 else (1, *one), other if len(other) > 1 else (*other, 1)
    if not same(left[-1], right[-2]):
        raise ValueError("multiplies matrices that do not fit")
    out = (*broadcast(left[:-2], right[:-2]), left[-2], right[-1])
    shape = out if len(one) > 1 else (*out[:-2], out[-1])
    shape = shape if len(other) > 1 else shape[:-1]
    width = max(4, call.value(0).width)
    return Effect((Value(shape, width),), (*out, left[-1]), broadcast(left, (*right[:-2], 1, 1)))


def _gemm(call: Call) -> Effect:
    one, other = call.value(0).shape, call.value(1).shape
    if len(one) != 2 or len(other) != 2:
        raise ValueError("multiplies what is no matrix")
    one = one[::-1] if call.number("transA", 0) else one
    other = other[::-1] if call.number("transB", 0) else other
    if not same(one[1], other[0]):
        raise ValueError("multiplies matrices that do not fit")
    shape = (one[0], other[1])
    return Effect((Value(shape, max(4, call.value(0).width)),), (*shape, one[1]))


def _einsum(call: Call) -> Effect:
    """Of one or two tensors, each axis with a letter."""
    parts = re.fullmatch(r"([A-Za-z]+)(?:,([A-Za-z]+))?(?:->([A-Za-z]*))?", call.text("equation").replace(" ", ""))
    if parts is None:
        raise ValueError("sums over axes without letters, or of more than two tensors")
    terms = [term for term in parts.groups()[:2] if term]
    sizes = dict[str, Dim]()
    for i, term in enumerate(terms):
        shape = call.value(i).shape
        if len(term) != len(shape):
            raise ValueError("has another number of axes than letters")
        for letter, dim in zip(term, shape, strict=True):
            sizes[letter] = dim if sizes.get(letter, 1) in (0, 1) or not same(sizes[letter], 1) else sizes[letter]
    every = "".join(terms)
    out = parts[3] if parts[3] is not None else "".join(sorted(c for c in set(every) if every.count(c) == 1))
    if not set(out) <= set(sizes):
        raise ValueError("gives an axis that is not there")
    shape = tuple(sizes[letter] for letter in out)
    return Effect((Value(shape, max(4, call.value(0).width)),), tuple(sizes.values()), shape)


def _spatial(shape: Shape) -> tuple[int, ...]:
    """Height, width and the like, which are fixed."""
    fixed = [n for n in shape[2:] if not isinstance(n, Size)]
    if len(fixed) != len(shape) - 2 or not fixed:
        raise ValueError(DEPENDS)
    return tuple(fixed)


def _windows(call: Call, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
    """How many windows there are along each axis."""
    rank = len(sizes)
    pads, strides, dilations = (
        call.whole_numbers("pads", (0,) * 2 * rank),
        call.whole_numbers("strides", (1,) * rank),
        call.whole_numbers("dilations", (1,) * rank),
    )
    if not len(kernel) == len(strides) == len(dilations) == rank or len(pads) != 2 * rank or min(strides) < 1:
        raise ValueError("has windows of another rank than what it slides over")
    auto, up = call.text("auto_pad", "NOTSET"), call.number("ceil_mode", 0)
    counts = []
    for i, n in enumerate(sizes):
        if auto.startswith("SAME"):
            counts.append(-(-n // strides[i]))
            continue
        before, after = (pads[i], pads[i + rank]) if auto == "NOTSET" else (0, 0)
        room = n + before + after - dilations[i] * (kernel[i] - 1) - 1
        count = (-(-room // strides[i]) if up else room // strides[i]) + 1
        counts.append(max(0, count - (1 if up and (count - 1) * strides[i] >= n + before else 0)))
    return tuple(counts)


def _conv(call: Call) -> Effect:
    data, weights = (call.value(i) for i in ((0, 3) if call.kind == "QLinearConv" else (0, 1)))
    kernel = _spatial(weights.shape)
    counts = _windows(call, _spatial(data.shape), kernel)
    out = (data.shape[0], weights.shape[0], *counts)
    unrolled = (data.shape[0], *counts, *weights.shape[1:])
    laid_out = len(kernel) > 2 or call.kind != "Conv"
    width = max(4, data.width)
    return Effect((Value(out, width),), (*out, *weights.shape[1:]), unrolled if laid_out else ())


def _conv_transpose(call: Call) -> Effect:
    data, weights = call.value(0), call.value(1)
    sizes, kernel = _spatial(data.shape), _spatial(weights.shape)
    rank = len(sizes)
    strides, dilations = call.whole_numbers("strides", (1,) * rank), call.whole_numbers("dilations", (1,) * rank)
    pads, more = call.whole_numbers("pads", (0,) * 2 * rank), call.whole_numbers("output_padding", (0,) * rank)
    if not len(kernel) == len(strides) == len(dilations) == len(more) == rank or len(pads) != 2 * rank:
        raise ValueError("has windows of another rank than what it slides over")
    output_shape, auto = call.whole_numbers("output_shape"), call.text("auto_pad", "NOTSET")
    counts = []
    for i, n in enumerate(sizes):
        count = strides[i] * (n - 1) + more[i] + dilations[i] * (kernel[i] - 1) + 1
        count -= pads[i] + pads[i + rank] if auto == "NOTSET" else 0
        count = strides[i] * n if auto.startswith("SAME") else count
        counts.append(max(0, output_shape[i - rank] if output_shape else count))
    channels = weights.shape[1] * call.number("group", 1)
    unrolled = (*data.shape[:1], *sizes, *weights.shape[1:])
    out = (data.shape[0], channels, *counts)
    return Effect((Value(out, max(4, data.width)),), (*data.shape, *weights.shape[1:]), unrolled)


def _pool(call: Call) -> Effect:
    data = call.value(0)
    kernel = call.whole_numbers("kernel_shape")
    counts = _windows(call, _spatial(data.shape), kernel)
    shape = (*data.shape[:2], *counts)
    values = (Value(shape, data.width), Value(shape, 8))[: max(1, call.outputs)]
    return Effect(values, (*shape, math.prod(kernel)))


def _pool_all(call: Call) -> Effect:
    data = call.value(0)
    return Effect((Value((*data.shape[:2], *(1 for _ in data.shape[2:])), data.width),))


def _resize(call: Call) -> Effect:
    data = call.value(0)
    shape = list[Any](data.shape)
    axes = call.whole_numbers("axes", range(len(shape)))
    if call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise ValueError("keeps the aspect of images")
    sizes, scales = ((call.constant(i) if _has_value(call, i) else None) for i in (3, 2))
    if len(sizes if sizes is not None else scales or ()) != len(axes):
        raise ValueError("has no size for each axis")
    for i, axis in enumerate(axes):
        if sizes is not None:
            shape[axis] = sizes[i]
        elif scales is not None and scales[i] != 1:
            if isinstance(shape[axis], Size):
                raise ValueError(DEPENDS)
            shape[axis] = math.floor(shape[axis] * scales[i])
    if any(not isinstance(n, int | Size) or (not isinstance(n, Size) and n < 0) for n in shape):
        raise ValueError("has a size that cannot be")
    return Effect((Value(tuple(shape), data.width),), (*shape, CUBIC))


def _has_value(call: Call, index: int) -> bool:
    """Whether an optional input is there, and not empty as older exporters leave it."""
    value = call.optional(index)
    return value is not None and value.shape != (0,)


def _pad(call: Call) -> Effect:
    data = call.value(0)
    rank = len(data.shape)
    pads = list(call.whole_numbers("pads")) if "pads" in call.settings else call.constant(1)
    axes = [int(axis) % rank for axis in call.constant(3)] if call.optional(3) else list(range(rank))
    if len(pads) != 2 * len(axes):
        raise ValueError("has no two widths for each axis")
    shape = list(data.shape)
    for i, axis in enumerate(axes):
        shape[axis] = shape[axis] + pads[i] + pads[i + len(axes)]
    if any(n < 0 for n in shape):
        raise ValueError("has a size that cannot be")
    return Effect((Value(tuple(shape), data.width),))


def _recurrent(call: Call) -> Effect:
    data, first, again = (call.value(i).shape for i in range(3))
    if not len(data) == len(first) == len(again) == 3:
        raise ValueError("goes through what is no series")
    steps, rows, wide = data if not call.number("layout", 0) else (data[1], data[0], data[2])
    directions, gates, hidden = again
    ends = Value((directions, rows, hidden), call.value(0).width)
    every = Value((steps, directions, rows, hidden), call.value(0).width)
    if call.number("layout", 0):
        ends, every = (
            ends._replace(shape=(rows, directions, hidden)),
            every._replace(shape=(rows, steps, directions, hidden)),
        )
    work = (steps, rows, directions, gates, wide + hidden)
    return Effect((every, ends, ends)[: 3 if call.kind == "LSTM" else 2], work, (steps, rows, directions, gates))


def _depth_to_space(call: Call) -> Effect:
    data, by = call.value(0), call.number("blocksize", 1)
    rows, channels, height, width = data.shape
    if by < 1 or isinstance(height, Size) or isinstance(width, Size):
        raise ValueError(DEPENDS)
    if call.kind == "DepthToSpace":
        return Effect((Value((rows, channels // (by * by), height * by, width * by), data.width),))
    return Effect((Value((rows, channels * by * by, height // by, width // by), data.width),))


def _sampled(call: Call) -> Effect:
    data, grid = call.value(0), call.value(1).shape
    shape = (*data.shape[:2], *grid[1:-1])
    return Effect((Value(shape, data.width),), (*shape, CUBIC))


def _affine_grid(call: Call) -> Effect:
    rows, _, *sizes = call.constant(1)
    return Effect((Value((rows, *sizes, len(sizes)), call.value(0).width),))


def _layer_norm(call: Call) -> Effect:
    data = call.value(0)
    axis = call.axis(len(data.shape), default=-1)
    rest = Value((*data.shape[:axis], *(1 for _ in data.shape[axis:])))
    return Effect((data._replace(constant=None), rest, rest)[: max(1, call.outputs)])


def _quantize(call: Call) -> Effect:
    one = Value((), 4)
    return Effect((Value(call.value(0).shape, 4), one, one))


LAYERS = {
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), _matmul),
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv"), _conv),
    **dict.fromkeys(("AveragePool", "MaxPool", "LpPool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), _pool_all),
    **dict.fromkeys(GATES, _recurrent),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _depth_to_space),
    "Gemm": _gemm,
    "Einsum": _einsum,
    "ConvTranspose": _conv_transpose,
    "Resize": _resize,
    "Pad": _pad,
    "GridSample": _sampled,
    "AffineGrid": _affine_grid,
    "LayerNormalization": _layer_norm,
    "DynamicQuantizeLinear": _quantize,
}
