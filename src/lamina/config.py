"""Errors, settings, and how settings are checked: every fault a sentence."""

import difflib
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


def as_text(value: Any) -> Any:
    """A whole number as text, such as a year that is the name of a column; anything else as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


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


class MissingColumn(DataError):
    """A column that was named is not in the data."""


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
LONGEST, DEEPEST = 1 << 20, 20  # characters and nesting of YAML


@contextmanager
def beside_notes(notes: Iterable[str]) -> Iterator[None]:
    """Within it, an error about a column that is not there says what was guessed of the data too, and the cure."""
    try:
        yield
    except MissingColumn as error:
        raise MissingColumn(" ".join([str(error), *notes])) from None


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


KEY = re.compile(r"""((?:"[^"]*"|'[^']*'|[^"'=])+)=(.*)""", re.DOTALL)
PART = re.compile(r"""(?:"[^"]*"|'[^']*'|[^"'.])+""")


def split_override(override: str) -> tuple[list[str], Any]:
    """`key.sub=value` as the parts of the key and the value. A part with a dot or a sign in it stands in quotes.

    Lists, settings in braces and text in quotes are read as YAML, numbers, true, false and null too; nothing takes a
    choice back; anything else is text as it stands, blanks, `%` and `,` included.
    """
    match = KEY.fullmatch(override)
    key, text = (match[1].strip(), match[2]) if match else ("", "")
    parts = [part.strip("\"'") if part[0] in "\"'" else part for part in PART.findall(key)]
    if not parts or not all(parts) or len(PART.sub("", key)) != len(parts) - 1:
        raise RecipeError([f"--set {override}: write key.sub=value, such as train.lr=1e-3."])
    return parts, _override_value(text, f"--set {key}")


def _override_value(text: str, where: str) -> Any:
    if not text.strip():
        return text or None
    if text.lstrip()[0] in "[{\"'":
        return load_yaml(text, where)
    try:
        value = load_yaml(text, where)
    except RecipeError:
        return text.strip()
    if text.strip() in ("null", "~"):
        return None
    is_code = isinstance(value, int) and re.match(r"[+-]?0\d", text.strip())
    return value if isinstance(value, int | float) and not is_code else text.strip()


def as_override(key: Sequence[str], value: str) -> str:
    """A setting as a person types it: `--set 'columns.my day.format=%d %b'`, quoted for a shell where it must be."""
    parts = [f'"{part}"' if "." in part or "=" in part else part for part in key]
    return f"--set {shlex.quote('.'.join(parts) + '=' + value)}"


def load_yaml(text: str, where: str) -> Any:
    """YAML 1.2, plain values only: `1e-3` is a number, `no` is text, a key given twice is an error."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import SafeConstructor
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    class Plain(SafeConstructor):
        """Dates stay text."""

    Plain.add_constructor("tag:yaml.org,2002:timestamp", Plain.construct_yaml_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Plain
    if len(text) > LONGEST:
        raise RecipeError([f"{where}: is too long for a recipe ({len(text):,} characters)."])
    try:
        _harmless(YAML(typ="safe", pure=True).parse(text), where)
        return yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        spot = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        reason = (error.problem or "is not YAML").splitlines()[0]
        raise RecipeError([f"{spot}: {reason}."]) from None
    except YAMLError as error:
        raise RecipeError([f"{where}: is not YAML ({str(error).splitlines()[0]})."]) from None


def _harmless(events: Iterable[Any], where: str) -> None:
    """Refuse aliases, tags and deep nesting before anything is built, so that nothing can grow."""
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent

    depth = 0
    for event in events:
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        spot = f"{where}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"
        if isinstance(event, AliasEvent):
            raise RecipeError([f"{spot}: an alias (*{event.anchor}) is not allowed in a recipe. Write the value out."])
        if isinstance(event, NodeEvent) and event.ctag:  # pyright: ignore[reportAttributeAccessIssue]
            tag = event.ctag  # pyright: ignore[reportAttributeAccessIssue]
            raise RecipeError([f"{spot}: a tag ({tag}) is not allowed in a recipe. Write a plain value."])
        if depth > DEEPEST:
            raise RecipeError([f"{spot}: is nested too deeply for a recipe."])
