"""Sizes of tensors that depend on nothing but the number of rows: `each` times the rows, plus `fixed`.

Whole numbers that a graph computes, such as shapes, are followed as NumPy arrays of Python numbers and `Size`s; what
cannot be said for every number of rows is `Unknown`.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from lamina.deploy.bundle.onnx_protobuf import Setting

ROWS = 4096  # at a time, at most
MAX_VALUES = 1024  # numbers of a tensor that are followed
ENDS = ((1 << 63) - 1, -(1 << 63))  # "to the end", as exporters write it
EXACT = 1 << 24  # up to which whole numbers are whole as floats
DEPENDS = "has sizes that depend on more than the number of rows"


class Unknown(Exception):
    """A number that is not the same multiple of the rows for every number of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Size:
    """`each` times the number of rows, plus `fixed`."""

    each: int
    fixed: int

    def at(self, rows: int) -> int:
        return self.each * rows + self.fixed

    def __add__(self, other: Any) -> Any:
        each, fixed = _parts(other)
        return size(self.each + each, self.fixed + fixed)

    __radd__ = __add__

    def __neg__(self) -> Any:
        return size(-self.each, -self.fixed)

    def __sub__(self, other: Any) -> Any:
        each, fixed = _parts(other)
        return size(self.each - each, self.fixed - fixed)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        each, fixed = _parts(other)
        if each:
            raise Unknown
        return size(self.each * fixed, self.fixed * fixed)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        """The exact quotient; any other depends on the rows."""
        each, fixed = _parts(other)
        if each:
            ratio, rest = divmod(self.each, each)
            if rest or self.fixed != ratio * fixed:
                raise Unknown
            return ratio
        if not fixed or self.each % fixed or self.fixed % fixed:
            raise Unknown
        return size(self.each // fixed, self.fixed // fixed)

    def __rfloordiv__(self, other: Any) -> Any:
        raise Unknown

    def __mod__(self, other: Any) -> Any:
        each, fixed = _parts(other)
        if each or not fixed or self.each % fixed:
            raise Unknown
        return self.fixed % fixed

    def __eq__(self, other: object) -> bool:
        return sign(self - other) == 0

    def __lt__(self, other: Any) -> bool:
        return sign(self - other) < 0

    def __le__(self, other: Any) -> bool:
        return sign(self - other) <= 0

    def __gt__(self, other: Any) -> bool:
        return sign(self - other) > 0

    def __ge__(self, other: Any) -> bool:
        return sign(self - other) >= 0

    def __bool__(self) -> bool:
        return sign(self) != 0

    def __int__(self) -> int:
        raise Unknown

    __hash__ = None


Dim = int | Size
Shape = tuple[Dim, ...]


class Value(NamedTuple):
    """What is known of a tensor before there are rows: shape, bytes of a number, and its numbers if they are few."""

    shape: Shape
    width: int = 4
    constant: np.ndarray | None = None


def size(each: int, fixed: int) -> Dim:
    return Size(each, fixed) if each else fixed


def _parts(value: Any) -> tuple[int, int]:
    if isinstance(value, Size):
        return value.each, value.fixed
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT:
        return 0, int(value)
    if not isinstance(value, int):
        raise Unknown
    return 0, int(value)


def sign(value: Any) -> int:
    """-1, 0 or 1 where it is the same for every number of rows from 1."""
    each, fixed = _parts(value)
    if each >= 0 and each + fixed > 0:
        return 1
    if each <= 0 and each + fixed < 0:
        return -1
    if each:
        raise Unknown
    return 0


def same(one: Dim, other: Dim) -> bool:
    """Whether two sizes are the same for every number of rows."""
    return _parts(one) == _parts(other)


def least(one: Dim, other: Dim) -> Dim:
    return one if sign(one - other) <= 0 else other


def most(one: Dim, other: Dim) -> Dim:
    return one if sign(one - other) >= 0 else other


def product(dims: Iterable[Dim]) -> Dim:
    return reduce(lambda a, b: a * b, dims, 1)


def quotient(dims: Iterable[Dim], by: Iterable[Dim]) -> Dim:
    """The product of some sizes divided by that of others, exactly."""
    left, number = [d for d in dims if isinstance(d, Size)], math.prod(d for d in dims if not isinstance(d, Size))
    for other in by:
        if not isinstance(other, Size):
            number, rest = divmod(number, other) if other and number % other == 0 else _split(left, number, other)
            if rest:
                raise ValueError("reshapes numbers to another count of them")
            continue
        number *= _cancel(left, other)
    return product((number, *left))


def _split(left: list[Size], number: int, other: int) -> tuple[int, int]:
    """A divisor that is in the multiple of the rows."""
    if not other or not left:
        return number, 1
    left[0] = left[0] * number
    left[0] = left[0] // other
    return 1, 0


def _cancel(left: list[Size], other: Size) -> int:
    for i, one in enumerate(left):
        try:
            ratio = one // other
        except Unknown:
            continue
        del left[i]
        return ratio
    raise Unknown


def numbers(shape: Shape) -> int:
    """How many numbers a tensor has for one row: alone, or as its share of many."""
    single = together = 1
    for dim in shape:
        if isinstance(dim, Size):
            single *= dim.each + dim.fixed
            together *= dim.each * ROWS + dim.fixed
        else:
            single *= dim
            together *= dim
    return max(single, -(-together // ROWS))


def broadcast(*shapes: Shape) -> Shape:
    """The shape that tensors of some shapes have together."""
    rank = max(map(len, shapes), default=0)
    dims = list[Dim]()
    for i in range(rank):
        column = [shape[i - rank + len(shape)] for shape in shapes if i - rank + len(shape) >= 0]
        large = [dim for dim in column if isinstance(dim, Size) or dim != 1]
        if any(not same(dim, large[0]) for dim in large):
            raise ValueError("joins tensors whose sizes do not fit")
        dims.append(large[0] if large else 1)
    return tuple(dims)


def sizes_of(numbers: list[Any]) -> Shape:
    """Numbers as sizes of a tensor."""
    if any(not isinstance(n, int | Size) or sign(n) < 0 for n in numbers):
        raise ValueError("has a size below zero, or one that is no whole number")
    return tuple(numbers)


def reading(values: np.ndarray | None) -> np.ndarray | None:
    """Numbers of a stored tensor as they are followed."""
    return None if values is None else values.astype(object)


def follow(compute: Callable[[], Any]) -> np.ndarray | None:
    """Numbers that an operator computes, where they can be said for every number of rows."""
    try:
        values = np.asarray(compute(), object)
    except (Unknown, ArithmeticError, ValueError, TypeError, IndexError):
        return None
    few = values.size <= MAX_VALUES
    return values if few and not any(_large(v) for v in values.ravel().tolist()) else None


def _large(value: Any) -> bool:
    """Whether a number may be another one in the arithmetic of a runtime, which has 64 bits or floats."""
    if type(value) is int:
        return abs(value) >= 1 << 62 and value not in ENDS
    if isinstance(value, float):
        return not abs(value) <= EXACT
    return any(abs(part) >= 1 << 62 for part in _parts(value))


class Call(NamedTuple):
    """One use of an operator."""

    kind: str
    inputs: tuple[Value | None, ...]
    settings: dict[str, Setting]
    outputs: int

    def value(self, index: int) -> Value:
        value = self.optional(index)
        if value is None:
            raise ValueError("lacks something that it works on")
        return value

    def optional(self, index: int) -> Value | None:
        return self.inputs[index] if index < len(self.inputs) else None

    @property
    def width(self) -> int:
        """Bytes of the widest number that it takes."""
        return max((value.width for value in self.inputs if value), default=4)

    def constant(self, index: int) -> list[Any]:
        """The numbers of an input that decide on sizes."""
        values = self.value(index).constant
        if values is None:
            raise ValueError(DEPENDS)
        return list(values.flat)

    def number(self, name: str, default: int) -> int:
        value = self.settings.get(name, default)
        if not isinstance(value, int):
            raise ValueError(f"has no number as '{name}'")
        return value

    def whole_numbers(self, name: str, default: Iterable[int] = ()) -> tuple[int, ...]:
        value = self.settings.get(name, tuple(default))
        whole = tuple(v for v in value if isinstance(v, int)) if isinstance(value, tuple) else ()
        if not isinstance(value, tuple) or len(whole) < len(value):
            raise ValueError(f"has no whole numbers as '{name}'")
        return whole

    def text(self, name: str, default: str = "") -> str:
        value = self.settings.get(name, default.encode())
        return value.decode("ascii", "replace") if isinstance(value, bytes) else default

    def axis(self, rank: int, name: str = "axis", default: int = 0) -> int:
        return inside(self.number(name, default), rank)

    def axes(self, index: int, rank: int) -> tuple[int, ...] | None:
        """Axes as a setting or, of later versions, an input; None where there are none."""
        if "axes" in self.settings:
            return tuple(inside(axis, rank) for axis in self.whole_numbers("axes"))
        if self.optional(index) is None:
            return None
        return tuple(inside(axis, rank) for axis in self.constant(index))


def inside(axis: Any, rank: int) -> int:
    if not isinstance(axis, int) or not -rank <= axis < rank:
        raise ValueError("names an axis that is not there")
    return axis % rank


class Effect(NamedTuple):
    """What an operator gives; `work` and `scratch` are sizes whose products are its multiply-adds, and the numbers it
    needs beside.
    """

    values: tuple[Value, ...]
    work: Shape = ()
    scratch: Shape = ()
