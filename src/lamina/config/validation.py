"""What pydantic finds wrong, in plain words: where, what, got, cure."""

import difflib
import json
import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError


def nearest(word: str, words: Iterable[str]) -> str:
    """`Did you mean 'x'?`, or the list of what there is when nothing is near."""
    words = sorted(words)
    close = difflib.get_close_matches(word, words, n=1)
    return f"Did you mean '{close[0]}'?" if close else f"There is: {', '.join(words) or 'nothing'}."


def sentences(cls: type[BaseModel], path: str, error: ValidationError) -> list[str]:
    """What pydantic finds wrong with settings at `path`, one sentence each."""
    return [_sentence(cls, path, fault) for fault in error.errors(include_url=False)]


def _sentence(cls: type[BaseModel], path: str, fault: Any) -> str:
    spot, fields = _place(cls, [str(part) for part in fault["loc"]])
    where = ".".join(part for part in [path, *spot] if part) or "recipe"
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown setting. {nearest(spot[-1], fields)}"
    if fault["type"] == "missing":
        return f"{where}: is required and was not given."
    text = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    got = "" if isinstance(fault["input"], dict) else f" (got {json.dumps(fault['input'], default=str)[:80]})"
    return f"{where}: {text}{got}."


UNION = re.compile(r"(str|int|float|bool|(tuple|list|dict|literal|function-\w+)\[.*\])$")


def _place(cls: type[BaseModel], loc: list[str]) -> tuple[list[str], list[str]]:
    """Where a fault is, without the names pydantic adds for the members of a union, and the settings valid there."""
    spot: list[str] = []
    choices: list[type[BaseModel]] = [cls]
    for part in loc:
        matching = [c for c in choices if "kind" in c.model_fields and c.model_fields["kind"].default == part]
        if matching and spot:
            choices = matching
        elif not UNION.match(part):
            spot.append(part)
            inner = [k for c in choices if part in c.model_fields for k in _classes(c.model_fields[part].annotation)]
            choices = inner or choices
    return spot, [field.alias or name for c in choices for name, field in c.model_fields.items()]


def _classes(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [c for arg in getattr(annotation, "__args__", ()) for c in _classes(arg)]
