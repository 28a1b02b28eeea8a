"""What a form needs of the fields of a pydantic class: their choices and bounds."""

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

LARGEST = (1 << 53) - 1  # whole number that a browser has

Bound = int | float | None


def choices(annotation: Any) -> list[Any]:
    """The values of a `Literal`, also of an optional one."""
    parts = (annotation, *get_args(annotation))
    return [value for part in parts if get_origin(part) is Literal for value in get_args(part)]


def bounds(kind: type, schema: Mapping[str, Any]) -> tuple[Bound, Bound]:
    """The least and the largest number of a kind, int or float, that a JSON schema allows; None for no end."""
    options = [schema, *schema.get("anyOf", [])]
    ends = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
    low, high = (next((o[k] for o in options for k in keys if k in o), None) for keys in ends)
    if kind is int:
        return tuple(None if end is None else max(-LARGEST, min(int(end), LARGEST)) for end in (low, high))  # type: ignore[return-value]
    return tuple(None if end is None else float(end) for end in (low, high))  # type: ignore[return-value]
