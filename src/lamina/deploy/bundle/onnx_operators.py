"""The operators that a bundle's graph may use, each with the sizes of what it gives.

Those that exporters write for the networks here, and those of networks of images that others export. Not here: what
runs a graph of its own, what is random, what gives as much as the values of rows say, texts and sequences.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina.deploy.bundle.onnx_layers import LAYERS
from lamina.deploy.bundle.onnx_protobuf import BYTES_OF, Tensor
from lamina.deploy.bundle.onnx_sizes import (
    MAX_VALUES,
    Call,
    Dim,
    Effect,
    Size,
    Unknown,
    Value,
    broadcast,
    follow,
    least,
    most,
    product,
    reading,
    sign,
    sizes_of,
)
from lamina.deploy.bundle.onnx_views import VIEWS

Rule = Callable[[Call], Effect]

ALIKE = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Celu", "Clip", "Cos", "Cosh", "CumSum"),
    *("DequantizeLinear", "Elu", "Erf", "Exp", "EyeLike", "Gelu", "GroupNormalization", "HardSigmoid"),
    *("HardSwish", "Hardmax", "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LeakyRelu", "Log", "LogSoftmax"),
    *("LpNormalization", "MeanVarianceNormalization", "Mish", "Not", "PRelu", "QuantizeLinear", "RMSNormalization"),
    *("Reciprocal", "Relu", "ReverseSequence", "Round", "Scatter", "ScatterElements", "ScatterND", "Selu", "Shrink"),
    *("Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh"),
    *("ThresholdedRelu", "Trilu", "BatchNormalization"),
)
JOINED = (
    *("Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual"),
    *("Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "Pow", "Sub", "Sum", "Where", "Xor"),
)
REDUCED = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"),
    *("ReduceSum", "ReduceSumSquare"),
)
WIDE = {"EyeLike", "ArgMax", "ArgMin"}  # may give numbers wider than those they take


def _divide(one: Any, other: Any) -> Any:
    """As a runtime does: whole numbers towards zero, floats as they are."""
    if isinstance(one, Size) or isinstance(other, Size):
        return one // other
    if isinstance(one, float) or isinstance(other, float):
        return one / other
    return abs(one) // abs(other) * (1 if (one < 0) == (other < 0) else -1)


def _remainder(one: Any, other: Any) -> Any:
    if not isinstance(one, Size) and sign(one) < 0:
        raise Unknown
    return one % other


COMPUTED: dict[str, Callable[..., Any]] = {  # on numbers that sizes are made of
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": _divide,
    "Mod": _remainder,
    "Equal": operator.eq,
    "Less": operator.lt,
    "Greater": operator.gt,
    "Max": most,
    "Min": least,
    "Where": lambda condition, one, other: one if condition else other,
}
ELEMENTWISE_VALUES: dict[str, Callable[[Any], Any]] = {
    "Neg": operator.neg,
    "Floor": lambda x: x if isinstance(x, Size) else float(math.floor(x)),
    "Ceil": lambda x: x if isinstance(x, Size) else float(math.ceil(x)),
}


def _width(call: Call) -> int:
    return 8 if call.kind in WIDE else call.width


def _each(function: Callable[..., Any], *values: Value | None) -> np.ndarray | None:
    """A function of numbers one by one, where all are known."""
    arrays = [value.constant for value in values if value and value.constant is not None]
    if len(arrays) < len(values):
        return None
    return follow(lambda: np.frompyfunc(function, len(arrays), 1)(*arrays))


def _alike(call: Call) -> Effect:
    return Effect((Value(call.value(0).shape, _width(call)),))


def _elementwise(call: Call) -> Effect:
    value = call.value(0)
    return Effect((Value(value.shape, value.width, _each(ELEMENTWISE_VALUES[call.kind], value)),))


def _joined(call: Call) -> Effect:
    shape = broadcast(*(value.shape for value in call.inputs if value))
    function = COMPUTED.get(call.kind)
    constant = _each(function, *call.inputs) if function and len(call.inputs) >= 2 else None
    return Effect((Value(shape, _width(call), constant),))


def _identity(call: Call) -> Effect:
    value = call.value(0)
    return Effect((value, Value(value.shape, 4))[: max(1, call.outputs)])


def _cast(call: Call) -> Effect:
    value = call.value(0)
    kind = call.number("to", 1) if call.kind == "Cast" else 0
    width = BYTES_OF.get(kind, 8)
    whole = kind in (6, 7)

    def converted(x: Any) -> Any:
        if isinstance(x, Size):
            return x if whole or kind in (1, 11) else _unknown()
        return int(x) if whole else bool(x) if kind == 9 else float(x) if kind in (1, 11) else _unknown()

    return Effect((Value(value.shape, max(width, 4), _each(converted, value)),))


def _unknown() -> Any:
    raise Unknown


def _constant(call: Call) -> Effect:
    (value,) = call.settings.values() if len(call.settings) == 1 else (None,)
    if isinstance(value, Tensor):
        return Effect((stored(value),))
    if isinstance(value, int | float):
        return Effect((Value((), 8, np.array(value, object)),))
    if isinstance(value, tuple) and not any(isinstance(part, bytes) for part in value):
        constant = np.array(value, object) if len(value) <= MAX_VALUES else None
        return Effect((Value((len(value),), 8, constant),))
    raise ValueError("holds a constant that is no number")


def stored(tensor: Tensor) -> Value:
    """A tensor that is stored in the graph."""
    return Value(tensor.dims, max(4, BYTES_OF.get(tensor.kind, 8)), reading(tensor.values(MAX_VALUES)))


def _shape(call: Call) -> Effect:
    shape = call.value(0).shape
    if call.kind == "Size":
        return Effect((Value((), 8, follow(lambda: product(shape))),))
    part = shape[call.number("start", 0) : call.number("end", len(shape))]
    constant = np.empty(len(part), object)
    constant[:] = part
    return Effect((Value((len(part),), 8, constant),))


def _filled(call: Call) -> Effect:
    shape, value = sizes_of(call.constant(0)), call.settings.get("value")
    tensor = stored(value) if isinstance(value, Tensor) else Value((1,), 4, np.array([0.0], object))
    constant = None
    if tensor.constant is not None and all(isinstance(n, int) for n in shape) and product(shape) <= MAX_VALUES:
        constant = np.full([int(n) for n in shape if isinstance(n, int)], tensor.constant.flat[0], object)
    return Effect((Value(shape, tensor.width, constant),))


def _range(call: Call) -> Effect:
    start, limit, step = (call.constant(i)[0] for i in range(3))
    if isinstance(limit, Size) or isinstance(start, Size):
        count: Dim = _divide(limit - start, step)
    else:
        count = max(0, math.ceil((limit - start) / step))
    count = most(count, 0)
    constant = None
    if isinstance(count, int) and count <= MAX_VALUES:
        constant = follow(lambda: [start + i * step for i in range(count)])
    return Effect((Value((count,), call.value(0).width, constant),))


def _reduced(call: Call) -> Effect:
    value = call.value(0)
    rank, keep = len(value.shape), call.number("keepdims", 1)
    axes = call.axes(1, rank)
    if not axes:
        axes = () if call.number("noop_with_empty_axes", 0) else tuple(range(rank))
    shape = tuple(1 if i in axes else n for i, n in enumerate(value.shape) if keep or i not in axes)
    constant = None
    if call.kind == "ReduceProd" and value.constant is not None and len(axes) == rank and not keep:
        constant = follow(lambda: product(value.constant.flat))
    return Effect((Value(shape, value.width, constant),), scratch=value.shape)


def _best(call: Call) -> Effect:
    shape = call.value(0).shape
    axis = call.axis(len(shape))
    one = (1,) if call.number("keepdims", 1) else ()
    return Effect((Value((*shape[:axis], *one, *shape[axis + 1 :]), 8),))


def _top(call: Call) -> Effect:
    value = call.value(0)
    axis = call.axis(len(value.shape), default=-1)
    shape = (*value.shape[:axis], *sizes_of(call.constant(1)), *value.shape[axis + 1 :])
    return Effect((Value(shape, value.width), Value(shape, 8)), scratch=value.shape)


def _one_hot(call: Call) -> Effect:
    shape, depth = call.value(0).shape, sizes_of(call.constant(1))
    axis = call.axis(len(shape) + 1, default=-1)
    return Effect((Value((*shape[:axis], *depth[:1], *shape[axis:]), call.value(2).width),))


RULES: dict[str, Rule] = {
    **dict.fromkeys(ALIKE, _alike),
    **dict.fromkeys(JOINED, _joined),
    **dict.fromkeys(ELEMENTWISE_VALUES, _elementwise),
    **dict.fromkeys(REDUCED, _reduced),
    **dict.fromkeys(("ArgMax", "ArgMin"), _best),
    **dict.fromkeys(("Identity", "Dropout"), _identity),
    **dict.fromkeys(("Cast", "CastLike"), _cast),
    **dict.fromkeys(("Shape", "Size"), _shape),
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Range": _range,
    "TopK": _top,
    "OneHot": _one_hot,
    **LAYERS,
    **VIEWS,
}
