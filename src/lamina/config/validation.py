"""What pydantic finds wrong, in plain words: where, what, got, cure."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from lamina.config import synonyms

LONGEST = 80  # characters of a value that is quoted
MOST = 20  # names of what there is that are listed
ABSENT = ": is required and was not given."
WORDS = {  # by pydantic's name of a fault
    "bool_type": "should be true or false",
    "dict_type": "should be settings, as {name: value}",
    "float_type": "should be a valid number",
    "list_type": "should be a list",
    "model_type": "should be settings, as {name: value}",
    "string_type": "should be a valid string",
    "tuple_type": "should be a list",
}

SETTINGS = ("model_type", "model_attributes_type")


class SeveralFaults(ValueError):
    """What a validator finds wrong at several places, each with what is wrong there; a fault for each."""

    def __init__(self, faults: Mapping[str, str]):
        self.faults = dict(faults)
        super().__init__("; ".join(f"{place}: {text}" for place, text in faults.items()))


def nearest(word: str, words: Iterable[str]) -> str:
    """`Did you mean 'x'?`, or the list of what there is when nothing is near; of many, the first."""
    words = sorted(words)
    by_case = {name.lower(): name for name in reversed(words)}
    close = difflib.get_close_matches(word, words, n=1)
    close = close or [by_case[name] for name in difflib.get_close_matches(word.lower(), by_case, n=1)]
    more = f" and {len(words) - MOST:,} more" if len(words) > MOST else ""
    return f"Did you mean '{close[0]}'?" if close else f"There is: {', '.join(words[:MOST]) or 'nothing'}{more}."


def nearest_setting(word: str, names: Iterable[str]) -> str:
    """The same for the name of a setting or a choice, which may be that of another tool; or why there is none."""
    names = [*names]
    same = synonyms.among(word, names)
    return f"Did you mean '{same}'?" if same else synonyms.absent(word) or nearest(word, names)


def sentences(cls: type[BaseModel], path: str, error: ValidationError) -> list[str]:
    """What pydantic finds wrong with settings at `path`, one sentence each: the first of those of one place."""
    faults: dict[str, list[str]] = {}
    for fault in error.errors(include_url=False):
        spot, classes = _place(cls, [str(part) for part in fault["loc"]])
        where = ".".join(part for part in [path, *spot] if part) or "recipe"
        faults.setdefault(where, _sentences(where, spot, classes, fault))
    return once_each([sentence for several in faults.values() for sentence in several])


def once_each(every: list[str]) -> list[str]:
    """Faults without those on settings that are missing because they were given by another name."""
    right_names = {
        ".".join([*s.partition(":")[0].split(".")[:-1], s.split("'")[-2]]) for s in every if s.endswith("'?")
    }
    return [s for s in every if not (s.endswith(ABSENT) and s.removesuffix(ABSENT) in right_names)]


def _sentences(where: str, spot: list[str], classes: list[type[BaseModel]], fault: Any) -> list[str]:
    kind, facts, value = fault["type"], fault.get("ctx", {}), fault["input"]
    cause = facts.get("error")
    fields = [field.alias or name for cls in classes for name, field in cls.model_fields.items()]
    kinds = [cls.model_fields["kind"].default for cls in classes if "kind" in cls.model_fields]
    if isinstance(cause, SeveralFaults):
        return [f"{where}.{place}: {text}{'' if text[-1:] in '.?' else '.'}" for place, text in cause.faults.items()]
    if kind == "extra_forbidden":
        return [f"{where}: unknown setting. {nearest_setting(spot[-1], fields)}"]
    if kind == "missing":
        return [f"{where}{ABSENT}"]
    if kind == "union_tag_invalid":
        name = str(facts["tag"])
        return [f"{where}: there is no '{name}'. {nearest_setting(name, _quoted(facts['expected_tags']))}"]
    if kind == "union_tag_not_found" or (kind in SETTINGS and kinds):
        return [f"{where}: say which one with kind: <name> (got {quote(value)}). {nearest('', kinds)}"]
    if kind == "literal_error" and isinstance(value, str) and len(_quoted(facts["expected"])) > 1:
        return [f"{where}: should be {facts['expected']} (got {quote(value)}).{_near(value, facts['expected'])}"]
    text = WORDS.get(kind) or fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    got = "" if isinstance(value, dict) and kind in ("value_error", "assertion_error") else f" (got {quote(value)})"
    unquoted = kind in ("int_type", "float_type") and isinstance(value, str) and _is_number(value)
    return [f"{where}: {text}{got}.{' Write it without quotes.' if unquoted else ''}"]


def quote(value: Any) -> str:
    """A value as it is written, cut where it is long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _near(word: str, expected: str) -> str:
    """A blank and `Did you mean 'x'?` where one of the words is near."""
    cure = nearest_setting(word, _quoted(expected))
    return f" {cure}" if cure.startswith("Did") else ""


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


UNION = re.compile(r"(str|int|float|bool|(tuple|list|dict|literal|function-\w+)\[.*\])$")


def _place(cls: type[BaseModel], loc: list[str]) -> tuple[list[str], list[type[BaseModel]]]:
    """Where a fault is, without the names pydantic adds for the members of a union, and the classes there."""
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
    return spot, choices


def _classes(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [c for arg in getattr(annotation, "__args__", ()) for c in _classes(arg)]
