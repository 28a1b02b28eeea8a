"""Errors, settings, and how settings are checked: every fault a sentence."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, ValidationError

from lamina.config import synonyms
from lamina.config.errors import (
    BundleError,
    DataError,
    Interrupted,
    LaminaError,
    MissingColumn,
    RecipeError,
    TrainingError,
    errors_with_notes,
)
from lamina.config.validation import SeveralFaults, nearest, nearest_setting, once_each, sentences
from lamina.config.yaml import as_override, load_yaml, split_override, typed


def as_text(value: Any) -> Any:
    """A whole number as text, such as a year that is the name of a column; anything else as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def as_tuple(value: Any) -> Any:
    """One text as a tuple of it; lists as tuples, because what a validator returns is checked as Python values."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


class Config(BaseModel):
    """A frozen, strict group of settings: unknown names and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


C = TypeVar("C", bound=Config)


def names(cls: type[Config]) -> Iterator[str]:
    """The names by which the settings of a class are read: their own, and earlier ones."""
    for name, field in cls.model_fields.items():
        alias = field.validation_alias
        yield name
        yield from (
            str(one) for one in (alias.choices if isinstance(alias, AliasChoices) else [alias] if alias else [])
        )


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


__all__ = [
    "BundleError",
    "Config",
    "DataError",
    "Interrupted",
    "LaminaError",
    "MissingColumn",
    "RecipeError",
    "SeveralFaults",
    "TrainingError",
    "as_override",
    "as_text",
    "as_tuple",
    "cache",
    "errors_with_notes",
    "load_yaml",
    "names",
    "nearest",
    "nearest_setting",
    "once_each",
    "parse",
    "sentences",
    "split_override",
    "synonyms",
    "typed",
]
