"""Values out of files that somebody else wrote: strict JSON, and refusals that name file, place, reason and cure."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from lamina.config import BundleError, RecipeError, parse

TEXT_BYTES = 1 << 26  # of one JSON file
VALUES, DEPTH = 1 << 21, 64
FEW = {"training.json": 1 << 18, "task.json": 1 << 20}  # values of files that do not grow with columns
COPY = "Get a fresh copy of the bundle."


def rejection(file: str, at: str, reason: str, cure: str = COPY) -> BundleError:
    """The error, with nothing of the bundle's own words in it that could move a cursor or fill a screen."""
    return BundleError(printable(file), printable(at), printable(reason, 300), cure)


def printable(text: str, most: int = 80) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:most])


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__


def strict_json(body: bytes, name: str) -> Any:
    """Strict JSON: UTF-8, no key twice, no NaN, numbers that fit 64 bits, bounded size and depth."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            raise ValueError("a key is there twice")
        return values

    def never(token: str) -> Any:
        raise ValueError(f"{token} is not JSON")

    def number(text: str) -> float:
        return float(text) if math.isfinite(float(text)) else never(text[:20])

    def whole(text: str) -> int:
        return int(text) if len(text) < 20 else never(text[:20])

    if len(body) > TEXT_BYTES or _values(body) > FEW.get(name, VALUES):
        raise rejection(name, "", "is too large")
    hooks: dict[str, Any] = {"parse_constant": never, "parse_float": number, "parse_int": whole}
    try:
        value = json.loads(body.decode(), object_pairs_hook=once, **hooks)
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()  # refuses halves of surrogate pairs
    except (ValueError, RecursionError) as error:
        raise rejection(name, "", f"is not strict JSON ({error})") from None
    if _brackets(body) > DEPTH and _deeper(value, DEPTH):
        raise rejection(name, "", "is too deep")
    return value


def _values(body: bytes) -> int:
    """An upper bound on values, commas inside texts included."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _brackets(body: bytes) -> int:
    """An upper bound on nesting: brackets open at once, those inside texts included."""
    only = np.frombuffer(body.translate(None, bytes(set(range(256)) - set(b"[]{}"))), np.uint8)
    return int(np.where((only == ord("[")) | (only == ord("{")), 1, -1).cumsum().max(initial=0))


def _deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects are nested deeper than that."""
    level = [value]
    for _ in range(depth + 1):
        level = [v for part in level if isinstance(part, dict | list) for v in _of(part) if isinstance(v, dict | list)]
    return bool(level)


def _of(part: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return part.values() if isinstance(part, dict) else part


def read_as(files: Mapping[str, bytes], name: str, cls: type[Any]) -> Any:
    raw = strict_json(files[name], name)
    return guarded(name, lambda: validate_as(cls, raw, ""))


def validate_as(cls: type[Any], raw: Any, path: str) -> Any:
    faults: list[str] = []
    value = parse(cls, raw, path, faults)
    if value is None:
        raise RecipeError(faults)
    return value


def guarded(name: str, build: Callable[[], Any]) -> Any:
    """What is built from a file; whatever goes wrong is the file's fault, because its hash is right."""
    try:
        return build()
    except BundleError:
        raise
    except RecipeError as error:
        at, _, reason = error.faults[0].partition(": ")
        raise rejection(name, at, reason.rstrip(".")) from None
    except Exception as error:  # a plug-in may meet hostile values with anything
        raise rejection(name, "", first_line(error)) from None
