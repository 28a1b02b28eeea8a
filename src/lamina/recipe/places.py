"""Where a setting is that was written in another place, or by the name that another tool has for it."""

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, get_args

from lamina.config import Config, as_override, nearest_setting, parse, synonyms
from lamina.plugins import available, plugin
from lamina.recipe.sections import SECTIONS, Rest
from lamina.train.settings import Config as Train

PLAIN = re.compile(r"[\w./-]+")  # texts that YAML takes without quotes
LONGEST = 60  # characters of a value that is repeated
NEAR = 0.8  # of a name that is taken for one of another section


class Place(NamedTuple):
    """Settings of one class: the sections around them, their kind, and the names that need not say it."""

    path: tuple[str, ...]
    cls: type[Config]
    kind: str = ""
    shared: frozenset[str] = frozenset()

    def takes(self, name: str, value: Any) -> bool:
        """Whether a value may stand there."""
        faults = list[str]()
        parse(self.cls, {name: value}, "", faults)
        return len(_plain(value)) <= LONGEST and not any(re.match(rf"{name}\b", fault) for fault in faults)

    def write(self, name: str, value: Any) -> str:
        """How to write a setting there: as YAML, and on the command line where no kind has to be said."""
        text = _plain(value) if self.takes(name, value) else "VALUE"
        kind = "" if name in self.shared else self.kind
        needed = [other for other, field in self.cls.model_fields.items() if field.is_required() and other != name]
        pairs = [("kind", kind)] * bool(kind) + [(other, other.upper()) for other in needed] + [(name, text)]
        inner = f"{{{', '.join(f'{key}: {word}' for key, word in pairs)}}}"
        for part in reversed(self.path[1:]):
            inner = f"{{{part}: {inner}}}"
        yaml = f"{self.path[0]}: {inner}" if self.path else f"{name}: {text}"
        command = "" if kind else f", or {as_override((*self.path, name), text)}"
        return f"Write {yaml}{command}."


def write(word: str, value: Any) -> str | None:
    """How to write a setting that is known by this word, where it takes the value if it does anywhere."""
    names = synonyms.own(word)
    homes = ((place, name) for place in _places() for name in names if name in place.cls.model_fields)
    first: str | None = None
    for place, name in homes:
        if place.takes(name, value):
            return place.write(name, value)
        first = first or place.write(name, value)
    return synonyms.absent(word) or first


def cure(word: str, value: Any, siblings: Iterable[str]) -> str:
    """What to do about a setting that is none of its `siblings`."""
    siblings = [*siblings]
    section, _, name = word.partition(".")
    if name and section in siblings:
        return f"Write {section}: {{{name}: {_plain(value)}}}, or {as_override(word.split('.'), _plain(value))}."
    if synonyms.among(word, siblings):
        return nearest_setting(word, siblings)
    if place := write(word, value):
        return place
    near = nearest_setting(word, siblings)
    homes = {} if near.startswith("Did") else {name: place for place in _places() for name in place.cls.model_fields}
    close = difflib.get_close_matches(word, homes, n=1, cutoff=NEAR)
    return homes[close[0]].write(close[0], value) if close else near


def _places() -> Iterator[Place]:
    """All settings there are, those that are asked for most before those that are slow to import."""
    yield Place((), Rest)
    yield Place(("train",), Train)
    for name in ("optimizer", "schedule"):
        for cls in _classes(Train.model_fields[name].annotation):
            yield Place(("train", name), cls, cls.model_fields["kind"].default)
    usual = type(Rest.model_fields["split"].default)
    for cls in _classes(Rest.model_fields["split"].annotation):
        yield Place(("split",), cls, "" if cls is usual else cls.model_fields["kind"].default)
    for section, folder in SECTIONS.items():
        classes = {name: plugin(folder, name).Config for name in available(folder)}
        counts = Counter(field for cls in classes.values() for field in cls.model_fields)
        shared = frozenset(field for field, count in counts.items() if count > 1)
        yield from (Place((section,), cls, name, shared) for name, cls in classes.items())


def _classes(annotation: Any) -> list[type[Config]]:
    """The classes of a choice."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Config) else []
    return [cls for part in get_args(annotation) for cls in _classes(part)]


def _plain(value: Any) -> str:
    """A value as it is written in a recipe."""
    if isinstance(value, str) and PLAIN.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
