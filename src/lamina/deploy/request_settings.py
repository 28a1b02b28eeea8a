"""How the settings of a request are said where all is text: as options of a command, in a URL, in a form."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

NUMBERS = (int, float)
LISTS = (tuple, list, set, frozenset)


class Kind(NamedTuple):
    """How a setting is said on the command line: the type of a value, and whether it is repeatable."""

    type: type
    multiple: bool = False


def kind_of(annotation: Any) -> Kind:
    """A setting's type as the command line has it; what is more than plain values is text, which is checked later."""
    kinds = set(_plain_types(annotation))
    multiple = bool(kinds & set(LISTS))
    scalars = kinds - {*LISTS, dict, NoneType}
    only = next(iter(scalars)) if len(scalars) == 1 else str
    return Kind(only if only in NUMBERS or (only is bool and not multiple) else str, multiple)


def _plain_types(annotation: Any) -> Iterator[Any]:
    """All types that an annotation is made of, those inside of lists too."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from _plain_types(part)
    elif origin is Literal:
        yield from map(type, get_args(annotation))
    elif origin in LISTS:
        yield origin
        for part in get_args(annotation):
            yield from _plain_types(part) if part is not Ellipsis else ()
    else:
        yield origin or annotation
