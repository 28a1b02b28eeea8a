"""Errors, settings, and how settings are checked: every fault a sentence."""

import difflib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


def as_tuple(value: Any) -> Any:
    """One text as a tuple of it; lists as tuples, because what a validator returns is checked as Python values."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


class LaminaError(Exception):
    """A fault the user can mend: the message says where, what was got, and the cure."""

    exit_code = 1


class RecipeError(LaminaError):
    """One or more settings are wrong; the message lists every fault found."""

    def __init__(self, faults: Iterable[str]):
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class DataError(LaminaError):
    """The data cannot be read or cannot be used as asked."""


class TrainingError(LaminaError):
    """Training cannot go on; the weights on disk are the last good ones."""


class BundleError(LaminaError):
    """A bundle is damaged, altered or from another version.

    Attributes: `file` inside the bundle, `at` (a place in that file), `reason`, `cure`.
    """

    def __init__(self, file: str, at: str, reason: str, cure: str):
        self.file, self.at, self.reason, self.cure = file, at, reason, cure
        super().__init__(f"{file}{': ' + at if at else ''}: {reason}. {cure}")


class Interrupted(LaminaError):
    """The run was asked to stop and has saved everything needed to go on."""

    exit_code = 75


class Config(BaseModel):
    """A frozen, strict group of settings: unknown names and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


C = TypeVar("C", bound=Config)


def nearest(word: str, words: Iterable[str]) -> str:
    """`Did you mean 'x'?`, or the list of what there is when nothing is near."""
    words = sorted(words)
    close = difflib.get_close_matches(word, words, n=1)
    return f"Did you mean '{close[0]}'?" if close else f"There is: {', '.join(words) or 'nothing'}."


def cache() -> Path:
    """Where what is slow to compute is kept: `$LAMINA_CACHE`, else in the user's cache. May be deleted at any time."""
    path = os.environ.get("LAMINA_CACHE")
    return Path(path) if path else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lamina"


def parse(cls: type[C], raw: Any, path: str, faults: list[str]) -> C | None:
    """Check `raw` (plain JSON values) against `cls`; faults are appended, one sentence each."""
    try:
        return cls.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        faults.extend(sentences(cls, path, error))
    except (TypeError, ValueError) as error:
        faults.append(f"{path}: is not a plain value ({error}).")
    return None


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
